/// What the cache of decisions is worth and whether it is right, as JSON, one object a line:
///
///     cache-bench MODE [--artifact=FILE] [--texts=FILE]... [--queries=N] [--trace=FILE]
///     [--prompts=FILE]
///
///   hit       time of an exact hit against stages 1 and 2 of the same texts, taken in turns
///   threads   hits a second of two threads against one, by their CPU time and by the wall
///   ratio     hit ratio of S3-FIFO, LRU and the optimum on a trace of block ids and on prompts
///   stampede  10,000 queries of one text in 64 scopes before any is decided
///   expiry    100,000 entries that were made together: when are they renewed
///   soak      queries of all stages in two scopes against memoised answers; memory
///   twins     near-duplicates over 100 scopes: false and foreign hits
/// Without --artifact and --texts: a small random artifact, all of whose stages answer, and its
/// texts. Exit 1 where soak, stampede or twins find anything wrong. Times are ratios within one
/// run.
#include "runtime/cache/store.h"
#include "semdns/dispatch.h"
#include "test/unit/runtime/make_artifact.h"
#include "test/unit/runtime/with_encoder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kSecond = 1000000000u, kStart = 1000 * kSecond;

struct Options {
  std::string mode, artifact, trace, prompts;
  std::vector<std::string> texts;
  uint64_t queries = 0;
};

[[noreturn]] void die(const std::string &what) {
  std::fprintf(stderr, "cache-bench: %s\n", what.c_str());
  std::exit(2);
}

uint64_t nanoseconds(Clock::duration d) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count());
}

std::vector<std::string> readTexts(const std::vector<std::string> &files) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const std::string &file : files) {
    std::ifstream in(file);
    if (!in)
      die("cannot read " + file);
    for (std::string line; std::getline(in, line);)
      if (const std::string text = Json::parse(line).at("text"); seen.insert(text).second)
        out.push_back(text);
  }
  if (out.empty())
    die("no texts");
  return out;
}

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

/// What is given, or a small random one of each.
struct Subject {
  std::string name, bytes;
  std::vector<std::string> texts;
  explicit Subject(const Options &o) : name(o.artifact.empty() ? "random" : o.artifact) {
    if (!o.artifact.empty()) {
      if (!o.texts.empty())
        texts = readTexts(o.texts);
      return;
    }
    const semdns::test::TestModel model = semdns::test::makeEncoderModel({.rootClass = true}, 1000);
    bytes = semdns::test::packArtifact(model);
    std::mt19937_64 random(3);
    for (int i = 0; i < 30000; ++i)
      texts.push_back(semdns::test::randomText(random, model, 1 + random() % 10));
  }
};

struct Service {
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_scratch *scratch = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  std::unique_ptr<void, Free> memory;

  Service(const Subject &subject, uint64_t cacheBytes, uint32_t tickets = 1024) {
    semdns_error error = {};
    error.size = sizeof error;
    semdns_dispatcher_options options = {};
    options.size = sizeof options;
    options.cache_bytes = cacheBytes;
    options.max_tickets = tickets;
    options.seed = 42;
    const size_t size = semdns_dispatcher_size(&options);
    memory.reset(std::aligned_alloc(64, size));
    const semdns_status opened =
        subject.bytes.empty()
            ? semdns_artifact_open_path(subject.name.c_str(), nullptr, &artifact, &error)
            : semdns_artifact_open_memory(subject.bytes.data(), subject.bytes.size(), nullptr,
                                          &artifact, &error);
    if (opened != SEMDNS_OK ||
        semdns_resolver_create(artifact, nullptr, &resolver, &error) != SEMDNS_OK ||
        semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK ||
        semdns_dispatcher_init(resolver, &options, memory.get(), size, &dispatcher, &error) !=
            SEMDNS_OK)
      die(subject.name + ": " + error.message);
  }
  ~Service() {
    semdns_dispatcher_deinit(dispatcher);
    semdns_scratch_destroy(scratch);
    semdns_resolver_destroy(resolver);
    semdns_artifact_release(artifact);
  }
  Service(const Service &) = delete;
  Service &operator=(const Service &) = delete;

  semdns_stats stats() {
    semdns_stats s = {};
    s.size = sizeof s;
    semdns_dispatcher_stats(dispatcher, &s);
    return s;
  }
};

semdns_query queryOf(const std::string &text, const std::string &scope, uint32_t stages = 0) {
  semdns_query q = {};
  q.size = sizeof q;
  q.stages = stages;
  q.text = text.data();
  q.text_size = text.size();
  q.scope = scope.data();
  q.scope_size = scope.size();
  return q;
}

/// What must not depend on a cache.
struct Essence {
  uint32_t status, reason, stage, zone, confidence, best, margin, engines;
  bool operator==(const Essence &) const = default;
};
Essence essenceOf(const semdns_answer &a) {
  return {a.status,          a.reason,     a.stage,  a.zone.index,
          a.zone.confidence, a.best.index, a.margin, a.engine_count};
}

uint64_t residentBytes() {
  std::ifstream in("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * 4096;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void say(Json line) { std::printf("%s\n", line.dump().c_str()); }

// ---- Time ---------------------------------------------------------------------------------------

constexpr uint32_t kFast = SEMDNS_STAGE_KEYWORD | SEMDNS_STAGE_EMBEDDING;

/// Both are called with each text of a batch; returns the medians of their times a query over many
/// short turns, so that whatever else the machine does hits both alike.
std::pair<double, double> inTurns(const std::vector<semdns_query> &queries,
                                  const std::function<void(const semdns_query &)> &a,
                                  const std::function<void(const semdns_query &)> &b) {
  constexpr size_t kBatch = 250, kTurns = 200;
  std::vector<double> first, second;
  for (size_t turn = 0; turn < kTurns; ++turn) {
    const size_t begin = turn * kBatch % (queries.size() - kBatch + 1);
    const auto time = [&](const std::function<void(const semdns_query &)> &work) {
      const auto start = Clock::now();
      for (size_t i = begin; i < begin + kBatch; ++i)
        work(queries[i]);
      return static_cast<double>(nanoseconds(Clock::now() - start)) / kBatch;
    };
    first.push_back(time(a));
    second.push_back(time(b));
  }
  return {median(first), median(second)};
}

int hit(const Options &o) {
  const Subject subject(o);
  Service s(subject, 4 << 20);
  std::vector<std::string> texts = subject.texts;
  if (texts.size() > 2000)
    texts.resize(2000);
  const std::string scope = "tenant";
  std::vector<semdns_query> queries;
  for (const std::string &t : texts)
    queries.push_back(queryOf(t, scope, kFast));
  semdns_answer answer = {};
  answer.size = sizeof answer;
  uint64_t hits = 0;
  const auto cached = [&](const semdns_query &q) {
    semdns_dispatcher_resolve(s.dispatcher, s.scratch, &q, kStart, &answer);
    hits += answer.cached;
  };
  const auto plain = [&](const semdns_query &q) {
    semdns_resolve(s.resolver, s.scratch, &q, &answer);
  };
  const auto ticket = [&](const semdns_query &q) {
    semdns_dispatch_query d = {};
    d.size = sizeof d;
    d.query = &q;
    uint64_t number;
    semdns_query_begin(s.dispatcher, s.scratch, &d, kStart, &number);
    semdns_step step;
    step.size = sizeof step;
    semdns_query_next(s.dispatcher, number, kStart, &step);
    hits += step.answer.cached;
    semdns_query_end(s.dispatcher, number, kStart);
  };
  for (const semdns_query &q : queries)
    cached(q);
  hits = 0;
  const auto [resolve, found] = inTurns(queries, plain, cached);
  const auto [again, life] = inTurns(queries, plain, ticket);
  say({{"bench", "hit"},
       {"texts", texts.size()},
       {"resolve_ns", resolve},
       {"hit_ns", found},
       {"ratio", found / resolve},
       {"ticket_ns", life},
       {"ticket_ratio", life / again},
       {"hits", hits},
       {"goal", 0.25}});
  return 0;
}

/// CPU time of the calling thread: what other processes take of the machine does not count.
uint64_t cpuNow() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

int threads(const Options &o) {
  const Subject subject(o);
  Service s(subject, 4 << 20);
  std::vector<std::string> texts = subject.texts;
  texts.resize(std::min<size_t>(texts.size(), 500));
  const std::string scope = "tenant";
  struct Rate {
    double cpu, wall;
  };
  const auto work = [&](bool tickets, uint32_t lane, std::atomic<uint32_t> &ready, uint32_t wanted,
                        uint64_t rounds) {
    semdns_scratch *scratch = nullptr;
    semdns_scratch_create(s.resolver, &scratch, nullptr);
    std::vector<semdns_query> queries;
    for (const std::string &t : texts)
      queries.push_back(queryOf(t, scope, kFast));
    semdns_answer answer = {};
    answer.size = sizeof answer;
    const auto ask = [&](const semdns_query &q) {
      if (!tickets) {
        semdns_dispatcher_resolve(s.dispatcher, scratch, &q, kStart, &answer);
        return;
      }
      semdns_dispatch_query d = {};
      d.size = sizeof d;
      d.query = &q;
      d.lane = lane;
      uint64_t number;
      semdns_query_begin(s.dispatcher, scratch, &d, kStart, &number);
      semdns_step step;
      step.size = sizeof step;
      semdns_query_next(s.dispatcher, number, kStart, &step);
      semdns_query_end(s.dispatcher, number, kStart);
    };
    for (int i = 0; i < 4; ++i)
      for (const semdns_query &q : queries)
        ask(q);
    ++ready;
    while (ready < wanted)
      std::this_thread::yield();
    const auto start = Clock::now();
    const uint64_t cpu = cpuNow();
    for (uint64_t r = 0; r < rounds; ++r)
      for (const semdns_query &q : queries)
        ask(q);
    const double used = static_cast<double>(cpuNow() - cpu) / 1e9;
    const double passed = static_cast<double>(nanoseconds(Clock::now() - start)) / 1e9;
    semdns_scratch_destroy(scratch);
    const auto n = static_cast<double>(rounds * queries.size());
    return Rate{n / used, n / passed};
  };
  for (const bool tickets : {false, true}) {
    std::vector<double> cpuRatios;
    double one = 0, two = 0; // the best walls: other processes only ever make them slower
    for (int turn = 0; turn < 21; ++turn) {
      std::atomic<uint32_t> alone{0}, both{0};
      const Rate single = work(tickets, 0, alone, 1, 200);
      Rate a = {}, b = {};
      std::thread other([&] { a = work(tickets, 1, both, 2, 200); });
      b = work(tickets, 0, both, 2, 200);
      other.join();
      cpuRatios.push_back((a.cpu + b.cpu) / single.cpu);
      one = std::max(one, single.wall);
      two = std::max(two, a.wall + b.wall);
    }
    say({{"bench", "threads"},
         {"calls", tickets ? "begin, next, end" : "resolve"},
         {"cores", std::thread::hardware_concurrency()},
         {"one_per_s", one},
         {"two_per_s", two},
         {"wall_ratio", two / one},
         {"cpu_ratio", median(cpuRatios)},
         {"goal", 1.9}});
  }
  return 0;
}

// ---- Hit ratios ---------------------------------------------------------------------------------

double lru(const std::vector<uint64_t> &trace, size_t capacity) {
  std::list<uint64_t> order;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> where;
  uint64_t hits = 0;
  for (const uint64_t key : trace) {
    const auto found = where.find(key);
    if (found != where.end()) {
      ++hits;
      order.splice(order.begin(), order, found->second);
      continue;
    }
    if (where.size() == capacity) {
      where.erase(order.back());
      order.pop_back();
    }
    order.push_front(key);
    where[key] = order.begin();
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

/// Belady's, that may also leave out what comes: no cache of this size can have more hits.
double optimum(const std::vector<uint64_t> &trace, size_t capacity) {
  std::vector<uint64_t> next(trace.size(), UINT64_MAX);
  std::unordered_map<uint64_t, uint64_t> seen;
  for (size_t i = trace.size(); i-- > 0;) {
    if (const auto found = seen.find(trace[i]); found != seen.end())
      next[i] = found->second;
    seen[trace[i]] = i;
  }
  std::set<std::pair<uint64_t, uint64_t>> order; // next use, key
  std::unordered_map<uint64_t, uint64_t> held;   // key, next use
  uint64_t hits = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    if (const auto found = held.find(trace[i]); found != held.end()) {
      ++hits;
      order.erase({found->second, trace[i]});
    }
    order.insert({next[i], trace[i]});
    held[trace[i]] = next[i];
    if (held.size() > capacity) {
      held.erase(std::prev(order.end())->second);
      order.erase(std::prev(order.end()));
    }
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

/// Of the library's own store; `capacity` becomes what the memory has room for.
double ours(const std::vector<uint64_t> &trace, size_t &capacity) {
  using namespace semdns::cache;
  const uint64_t budget = std::max<uint64_t>(leastBudget(), capacity * 212 + 2048);
  std::unique_ptr<void, Free> memory(std::aligned_alloc(64, storeSize(budget)));
  std::memset(memory.get(), 0, storeSize(budget));
  Store store;
  initStore(store, budget, memory.get());
  capacity = capacityOf(store);
  uint64_t hits = 0;
  Entry entry;
  std::memset(&entry, 0, sizeof entry);
  entry.expires = UINT64_MAX;
  for (const uint64_t id : trace) {
    SipHash hash(1, 2);
    hash.word(id);
    const Key key = hash.finish(0);
    Entry found;
    Place place;
    if (find(store, key, found, place)) {
      ++hits;
      continue;
    }
    entry.key = key;
    insert(store, entry, 100, 0, 0);
  }
  deinitStore(store);
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

void compare(const char *name, const std::vector<uint64_t> &trace) {
  const size_t distinct = std::set<uint64_t>(trace.begin(), trace.end()).size();
  for (const double share : {0.01, 0.05, 0.1, 0.2, 0.4}) {
    auto capacity = static_cast<size_t>(share * static_cast<double>(distinct));
    if (capacity < 5)
      continue;
    const double s3 = ours(trace, capacity);
    say({{"bench", "ratio"},
         {"trace", name},
         {"accesses", trace.size()},
         {"distinct", distinct},
         {"capacity", capacity},
         {"s3_fifo", s3},
         {"lru", lru(trace, capacity)},
         {"optimum", optimum(trace, capacity)}});
  }
}

int ratio(const Options &o) {
  if (!o.trace.empty()) {
    std::ifstream in(o.trace);
    if (!in)
      die("cannot read " + o.trace);
    std::vector<uint64_t> trace;
    for (std::string line; std::getline(in, line);) {
      const Json request = Json::parse(line);
      for (const uint64_t id : request.at("hash_ids"))
        trace.push_back(id);
    }
    compare("blocks", trace);
  }
  if (!o.prompts.empty()) {
    // Zipf's weights (exponent 1) over the prompts in shuffled order; no prompt's text matters
    // here.
    const size_t n = readTexts({o.prompts}).size();
    std::mt19937_64 random(7);
    std::vector<uint64_t> order(n);
    for (size_t i = 0; i < n; ++i)
      order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> sums;
    for (size_t i = 0; i < n; ++i)
      sums.push_back((sums.empty() ? 0 : sums.back()) + 1.0 / static_cast<double>(i + 1));
    std::vector<uint64_t> trace;
    for (int i = 0; i < 500000; ++i) {
      const double at = static_cast<double>(random() >> 11) * 0x1p-53 * sums.back();
      const auto found = std::lower_bound(sums.begin(), sums.end(), at);
      trace.push_back(order[static_cast<size_t>(found - sums.begin())]);
    }
    compare("prompts-zipf", trace);
  }
  return 0;
}

// ---- Storms -------------------------------------------------------------------------------------

int stampede(const Options &o) {
  constexpr uint32_t kQueries = 10000, kScopes = 64;
  const Subject subject(o);
  Service s(subject, 4 << 20, 16384);
  std::string text;
  semdns_answer answer = {};
  answer.size = sizeof answer;
  for (const std::string &t : subject.texts) {
    const semdns_query q = queryOf(t, "");
    semdns_resolve(s.resolver, s.scratch, &q, &answer);
    if (answer.stage == SEMDNS_STAGE_ENCODER) {
      text = t;
      break;
    }
  }
  if (text.empty())
    die("stage 3 decides none of the texts");
  const Essence want = essenceOf(answer);
  std::vector<std::string> scopes;
  for (uint32_t i = 0; i < kScopes; ++i)
    scopes.push_back("scope-" + std::to_string(i));
  // All are begun before any is decided.
  std::vector<uint64_t> tickets(kQueries);
  std::vector<semdns_query> plain;
  for (const std::string &scope : scopes)
    plain.push_back(queryOf(text, scope));
  for (uint32_t i = 0; i < kQueries; ++i) {
    semdns_dispatch_query q = {};
    q.size = sizeof q;
    q.query = &plain[i % kScopes];
    q.flags = SEMDNS_DISPATCH_LATER;
    q.lane = i;
    if (semdns_query_begin(s.dispatcher, s.scratch, &q, kStart, &tickets[i]) != SEMDNS_OK)
      die("no ticket");
  }
  const uint64_t before = s.stats().cache_encoded;
  uint64_t asked = 0, done = 0, wrong = 0, rounds = 0;
  while (done < kQueries && ++rounds < 10)
    for (uint64_t &ticket : tickets) {
      if (!ticket)
        continue;
      semdns_step step = {};
      step.size = sizeof step;
      semdns_query_next(s.dispatcher, ticket, kStart, &step);
      if (step.action == SEMDNS_CLASSIFY) {
        ++asked;
        semdns_query_classify(s.dispatcher, s.scratch, ticket, kStart);
        semdns_query_next(s.dispatcher, ticket, kStart, &step);
      }
      if (step.action == SEMDNS_TRY) {
        semdns_report(s.dispatcher, step.attempt, SEMDNS_REPORT_OK, nullptr, kStart);
        semdns_query_next(s.dispatcher, ticket, kStart, &step);
      }
      if (step.action != SEMDNS_DONE)
        continue;
      ++done;
      wrong += step.answer.classified.index != want.zone;
      semdns_query_end(s.dispatcher, ticket, kStart);
      ticket = 0;
    }
  const uint64_t encoded = s.stats().cache_encoded;
  // And in threads, in as many scopes again, each query classified where it begins.
  std::atomic<uint64_t> answers{0}, foreign{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      semdns_scratch *scratch = nullptr;
      semdns_scratch_create(s.resolver, &scratch, nullptr);
      for (uint32_t i = 0; i < kQueries / 4; ++i) {
        const std::string scope = "thread-scope-" + std::to_string(i % kScopes);
        const semdns_query p = queryOf(text, scope);
        semdns_dispatch_query q = {};
        q.size = sizeof q;
        q.query = &p;
        q.lane = t;
        uint64_t ticket;
        semdns_query_begin(s.dispatcher, scratch, &q, kStart, &ticket);
        semdns_step step = {};
        step.size = sizeof step;
        for (;;) {
          semdns_query_next(s.dispatcher, ticket, kStart, &step);
          if (step.action == SEMDNS_DONE)
            break;
          if (step.action == SEMDNS_TRY)
            semdns_report(s.dispatcher, step.attempt, SEMDNS_REPORT_OK, nullptr, kStart);
          else
            std::this_thread::yield();
        }
        ++answers;
        foreign += step.answer.classified.index != want.zone;
        semdns_query_end(s.dispatcher, ticket, kStart);
      }
      semdns_scratch_destroy(scratch);
    });
  for (std::thread &t : threads)
    t.join();
  const uint64_t threaded = s.stats().cache_encoded - encoded;
  say({{"bench", "stampede"},
       {"queries", kQueries},
       {"scopes", kScopes},
       {"answered", done},
       {"classifications", encoded - before},
       {"wrong", wrong},
       {"in_threads",
        {{"answered", answers.load()}, {"classifications", threaded}, {"wrong", foreign.load()}}},
       {"goal", kScopes}});
  return asked != kScopes || encoded - before != kScopes || threaded != kScopes ||
         done != kQueries || wrong || foreign;
}

int expiry(const Options &o) {
  constexpr uint32_t kEntries = 100000, kStep = 20; // every entry is asked for every 20 s
  const Subject subject(o);
  Service s(subject, 40 << 20);
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < kEntries; ++i)
    texts.push_back("what is the number " + std::to_string(i) + " good for");
  semdns_answer answer = {};
  answer.size = sizeof answer;
  const std::string scope = "tenant";
  uint64_t ttl = 0;
  for (const std::string &t : texts) {
    const semdns_query q = queryOf(t, scope, kFast);
    semdns_dispatcher_resolve(s.dispatcher, s.scratch, &q, kStart, &answer);
    ttl = std::max<uint64_t>(ttl, answer.ttl);
  }
  // Renewals per bucket of kStep seconds until the last has been renewed once.
  std::vector<uint64_t> renewed;
  for (uint64_t at = 0; at <= ttl + kStep; at += kStep) {
    const uint64_t before = s.stats().cache_misses + s.stats().cache_refreshed;
    uint64_t here = 0;
    for (uint32_t i = 0; i < kEntries; ++i) {
      const uint64_t now = kStart + at * kSecond + i * (kStep * kSecond / kEntries);
      const semdns_query q = queryOf(texts[i], scope, kFast);
      semdns_dispatch_query d = {};
      d.size = sizeof d;
      d.query = &q;
      uint64_t ticket;
      semdns_query_begin(s.dispatcher, s.scratch, &d, now, &ticket);
      semdns_step step = {};
      step.size = sizeof step;
      semdns_query_cancel(s.dispatcher, ticket, now);
      semdns_query_next(s.dispatcher, ticket, now, &step);
      semdns_query_end(s.dispatcher, ticket, now);
      if (step.answer.refresh) {
        semdns_dispatcher_refresh(s.dispatcher, s.scratch, &q, now, &answer);
        ++here;
      }
    }
    renewed.push_back(here + s.stats().cache_misses + s.stats().cache_refreshed - before);
  }
  uint64_t sum = 0, peak = 0;
  size_t first = renewed.size(), last = 0;
  for (size_t i = 0; i < renewed.size(); ++i)
    if (renewed[i]) {
      first = std::min(first, i);
      last = i;
      sum += renewed[i];
      peak = std::max(peak, renewed[i]);
    }
  const auto buckets = static_cast<double>(last - first + 1);
  const double mean = static_cast<double>(sum) / buckets;
  const double over = static_cast<double>(kEntries) / (static_cast<double>(ttl) / 1.1); // for ever
  say({{"bench", "expiry"},
       {"entries", kEntries},
       {"bucket_s", kStep},
       {"renewed", sum},
       {"from_s", first * kStep},
       {"to_s", (last + 1) * kStep},
       {"peak_per_s", static_cast<double>(peak) / kStep},
       {"mean_per_s_while_renewing", mean / kStep},
       {"peak_over_mean", static_cast<double>(peak) / mean},
       {"peak_over_mean_of_all_time", static_cast<double>(peak) / kStep / over},
       {"without_jitter_per_s", static_cast<double>(kEntries) / kStep},
       {"goal", 2}});
  return 0;
}

// ---- Right or wrong -----------------------------------------------------------------------------

int soak(const Options &o) {
  const uint64_t queries = o.queries ? o.queries : 2000000;
  const Subject subject(o);
  Service s(subject, 16 << 20);
  struct Memo {
    std::string text;
    Essence want;
  };
  std::map<uint32_t, std::vector<Memo>> byStage;
  semdns_answer answer = {};
  answer.size = sizeof answer;
  for (const std::string &t : subject.texts) {
    const semdns_query q = queryOf(t, "");
    semdns_resolve(s.resolver, s.scratch, &q, &answer);
    std::vector<Memo> &memos = byStage[answer.stage];
    const size_t most = answer.stage == SEMDNS_STAGE_ENCODER ? 2000 : 20000;
    if (memos.size() < most)
      memos.push_back({t, essenceOf(answer)});
  }
  const std::vector<Memo> &three = byStage[SEMDNS_STAGE_ENCODER];
  std::vector<Memo> &one = byStage[SEMDNS_STAGE_KEYWORD], &two = byStage[SEMDNS_STAGE_EMBEDDING];
  // An artifact whose stage 1 never answers has only two stages.
  const bool hasOne = !one.empty(), hasThree = !three.empty();
  std::mt19937_64 random(1);
  const std::string scopes[] = {"tenant-a", "tenant-b"};
  uint64_t different = 0, hits = 0, count[3] = {}, now = kStart, after = 0;
  const auto start = Clock::now();
  for (uint64_t i = 0; i < queries; ++i) {
    const uint32_t dice = static_cast<uint32_t>(random() % 10);
    const uint32_t stage = dice < 6 && hasOne ? 0 : dice < 9 || !hasThree ? 1 : 2;
    const std::vector<Memo> &from = stage == 0 ? one : stage == 1 ? two : three;
    const Memo &m = from[random() % from.size()];
    ++count[stage];
    now += random() % 500000;
    const semdns_query q = queryOf(m.text, scopes[random() % 2]);
    semdns_dispatcher_resolve(s.dispatcher, s.scratch, &q, now, &answer);
    different += !(essenceOf(answer) == m.want);
    hits += answer.cached == SEMDNS_CACHED;
    if (i == 1000000)
      after = residentBytes();
  }
  const uint64_t end = residentBytes();
  const uint64_t growth = after && end > after ? end - after : 0;
  const semdns_stats stats = s.stats();
  say({{"bench", "soak"},
       {"artifact", subject.name},
       {"queries", queries},
       {"stages", {count[0], count[1], count[2]}},
       {"distinct", {one.size(), two.size(), three.size()}},
       {"scopes", 2},
       {"virtual_s", (now - kStart) / kSecond},
       {"hits", hits},
       {"encoded", stats.cache_encoded},
       {"evictions", stats.cache_evictions},
       {"different", different},
       {"growth_bytes", growth},
       {"seconds", static_cast<double>(nanoseconds(Clock::now() - start)) / 1e9},
       {"goal", {{"different", 0}, {"growth_bytes", 4 << 20}}}});
  return different || growth > 4u << 20;
}

int twins(const Options &o) {
  const uint64_t pairs = o.queries ? o.queries : 1000000;
  const Subject subject(o);
  Service s(subject, 64 << 20);
  std::mt19937_64 random(5);
  static const char *const kNames[] = {"anna", "hanna", "ann", "joe", "zoe", "jon", "john"};
  uint64_t falseHits = 0, foreign = 0, missed = 0, different = 0;
  semdns_answer answer = {}, want = {};
  answer.size = want.size = sizeof answer;
  const auto ask = [&](const std::string &text, const std::string &scope, uint64_t now) {
    const semdns_query q = queryOf(text, scope, kFast);
    semdns_dispatcher_resolve(s.dispatcher, s.scratch, &q, now, &answer);
    semdns_resolve(s.resolver, s.scratch, &q, &want);
    different += !(essenceOf(answer) == essenceOf(want));
    return answer.cached != 0;
  };
  for (uint64_t i = 0; i < pairs; ++i) {
    // Numbers that no other pair has: what is found is this pair's.
    const std::string n = std::to_string(2 * i + 1000), m = std::to_string(2 * i + 1001);
    std::string a, b;
    switch (random() % 6) {
    case 0:
      a = "what is " + n + "+2", b = "what is " + n + "+3";
      break;
    case 1:
      a = "transfer " + n + " dollars to my account",
      b = "do not transfer " + n + " dollars to my account";
      break;
    case 2: {
      const size_t x = random() % 7, y = (x + 1 + random() % 6) % 7;
      a = std::string("book table ") + n + " for " + kNames[x];
      b = std::string("book table ") + n + " for " + kNames[y];
      break;
    }
    case 3:
      a = "is order " + n + " late", b = "is order " + m + " late";
      break;
    case 4:
      a = "can i pay bill " + n + " today", b = "can't i pay bill " + n + " today";
      break;
    default:
      a = "flight " + n + " from rome to oslo", b = "flight " + n + " from oslo to rome";
    }
    const uint64_t one = random() % 100, two = (one + 1 + random() % 99) % 100;
    const std::string scope = "scope-" + std::to_string(one),
                      other = "scope-" + std::to_string(two);
    const uint64_t now = kStart + i * 1000;
    falseHits += ask(a, scope, now);
    missed += !ask(a, scope, now);
    falseHits += ask(b, scope, now);
    foreign += ask(a, other, now);
    foreign += ask(b, other, now);
  }
  say({{"bench", "twins"},
       {"pairs", pairs},
       {"scopes", 100},
       {"false_hits", falseHits},
       {"foreign_hits", foreign},
       {"different_answers", different},
       {"hits_missed", missed},
       {"goal", 0}});
  return falseHits || foreign || different || missed;
}

} // namespace

int main(int argc, char **argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&](const char *name) -> const char * {
      const size_t size = std::strlen(name);
      return arg.compare(0, size, name) == 0 ? argv[i] + size : nullptr;
    };
    if (const char *v = value("--artifact="))
      o.artifact = v;
    else if (const char *t = value("--texts="))
      o.texts.push_back(t);
    else if (const char *r = value("--trace="))
      o.trace = r;
    else if (const char *p = value("--prompts="))
      o.prompts = p;
    else if (const char *q = value("--queries="))
      o.queries = std::strtoull(q, nullptr, 10);
    else if (arg[0] != '-' && o.mode.empty())
      o.mode = arg;
    else
      die("unknown option " + arg);
  }
  const std::map<std::string, int (*)(const Options &)> modes = {
      {"hit", hit},       {"threads", threads}, {"ratio", ratio}, {"stampede", stampede},
      {"expiry", expiry}, {"soak", soak},       {"twins", twins}};
  const auto mode = modes.find(o.mode);
  if (mode == modes.end())
    die("the first argument says what: hit, threads, ratio, stampede, expiry, soak or twins");
  return mode->second(o);
}
