/// fault-bench: what the dispatcher does when endpoints die, crawl or report late, when artifacts
/// are swapped under load, and what choosing costs. Virtual clocks but for `reload`, `threads` and
/// `select`. One JSON object on stdout; --check exits 3 where a count (never a time) is wrong.
#include "lib/sim/artifact.h"
#include "lib/support/exit_codes.h"
#include "runtime/dispatch/select.h"
#include "semdns/dispatch.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <malloc.h>
#include <map>
#include <memory>
#include <numeric>
#include <queue>
#include <random>
#include <thread>
#include <time.h>

using namespace semdns;
using Json = nlohmann::ordered_json;

namespace {

constexpr uint64_t kMs = 1000000, kSecond = 1000 * kMs, kStart = 1000 * kSecond;

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "fault-bench: error: %s\n", why.c_str());
  std::exit(kInternal);
}

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

struct ZoneOf {
  std::string name, keyword, engine;
};

semdns_artifact *openBytes(const std::string &bytes) {
  semdns_artifact *artifact = nullptr;
  semdns_error error = {};
  error.size = sizeof error;
  if (semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &artifact, &error) !=
      SEMDNS_OK)
    die(error.message);
  return artifact;
}

semdns_artifact *openArtifact(const std::vector<ZoneOf> &zones, uint64_t serial,
                              std::string *keep = nullptr) {
  std::vector<sim::EngineText> engines;
  std::vector<sim::ZoneText> texts;
  for (const ZoneOf &zone : zones) {
    if (std::none_of(engines.begin(), engines.end(),
                     [&](const sim::EngineText &e) { return e.name == zone.engine; }))
      engines.push_back({zone.engine, "", 0, 0, 0});
    texts.push_back({zone.name, 3600, false, false, {{zone.engine, 1}}, {}});
    if (!zone.keyword.empty())
      texts.back().keywords = {zone.keyword};
  }
  std::string why;
  const std::string bytes = sim::makeArtifact(engines, texts, serial, why);
  if (bytes.empty())
    die(why);
  if (keep)
    *keep = bytes;
  return openBytes(bytes);
}

/// A resolver with a dispatcher.
struct Service {
  semdns_resolver *resolver = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  semdns_scratch *scratch = nullptr;
  std::unique_ptr<void, Free> memory;

  Service(semdns_artifact *artifact, const std::string &config, uint64_t seed,
          uint32_t tickets = 1u << 16) {
    semdns_error error = {};
    error.size = sizeof error;
    semdns_dispatcher_options options = {};
    options.size = sizeof options;
    options.seed = seed;
    options.max_tickets = tickets;
    const size_t size = semdns_dispatcher_size(&options);
    memory.reset(std::aligned_alloc(64, size));
    if (semdns_resolver_create(artifact, nullptr, &resolver, &error) != SEMDNS_OK ||
        semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK ||
        semdns_dispatcher_init(resolver, &options, memory.get(), size, &dispatcher, &error) !=
            SEMDNS_OK ||
        semdns_dispatcher_configure(dispatcher, artifact, config.data(), config.size(), kStart,
                                    &error) != SEMDNS_OK)
      die(error.message);
  }
  ~Service() {
    semdns_dispatcher_deinit(dispatcher);
    semdns_scratch_destroy(scratch);
    semdns_resolver_destroy(resolver);
  }
  Service(const Service &) = delete;
  Service &operator=(const Service &) = delete;
};

double quantile(std::vector<double> values, double q) {
  if (values.empty())
    return 0;
  const auto at = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

// ---- A fleet on a virtual clock -----------------------------------------------------------------

/// Queries arrive one after the other and are led through their dispatcher; what endpoints do is
/// the caller's.
class Fleet {
public:
  struct Event {
    uint64_t at, order;
    enum { Arrive, Wake, Report } kind;
    uint64_t query, attempt;
    semdns_event event;
    uint32_t wake; ///< Wake: valid while the query's is the same
    bool operator>(const Event &o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  struct Query {
    uint64_t began = 0, ticket = 0, ended = 0;
    uint32_t service = 0, wake = 0, answers = 0;
  };

  std::vector<Service *> services;
  std::vector<Query> queries;
  std::vector<std::string> texts;
  uint64_t gap = 0;
  /// The report that an attempt will bring and after how long.
  std::function<std::pair<semdns_event, uint64_t>(const std::string &endpoint, uint64_t now,
                                                  uint64_t attempt)>
      serve;
  std::function<void(uint64_t now)> tick; ///< every 100 ms
  std::function<void(const Query &, const semdns_dispatch_answer &, uint64_t now)> done;
  uint64_t now = kStart;

  void run(uint64_t count) {
    queries.assign(count, {});
    push({kStart, 0, Event::Arrive, 0, 0, SEMDNS_REPORT_OK, 0});
    uint64_t nextTick = kStart;
    while (!events_.empty()) {
      const Event e = events_.top();
      events_.pop();
      for (; nextTick <= e.at; nextTick += 100 * kMs) {
        now = nextTick;
        if (tick)
          tick(now);
        for (Service *service : services)
          semdns_maintain(service->dispatcher, now, 256);
      }
      now = e.at;
      Query &q = queries[e.query];
      if (e.kind == Event::Arrive) {
        if (e.query + 1 < count)
          push({now + gap, 0, Event::Arrive, e.query + 1, 0, SEMDNS_REPORT_OK, 0});
        begin(e.query);
      } else if (!q.ticket || (e.kind == Event::Wake && e.wake != q.wake)) {
        continue;
      } else if (e.kind == Event::Report) {
        semdns_report(services[q.service]->dispatcher, e.attempt, e.event, nullptr, now);
      }
      lead(e.query);
    }
  }

private:
  void push(Event e) {
    e.order = order_++;
    events_.push(e);
  }
  void begin(uint64_t number) {
    Query &q = queries[number];
    q.began = now;
    q.service = static_cast<uint32_t>(number % services.size());
    const std::string &text = texts[number % texts.size()];
    semdns_query plain = {};
    plain.size = sizeof plain;
    plain.text = text.data();
    plain.text_size = text.size();
    plain.deadline = now + 30 * kSecond;
    semdns_dispatch_query query = {};
    query.size = sizeof query;
    query.query = &plain;
    query.lane = static_cast<uint32_t>(number);
    Service &service = *services[q.service];
    if (semdns_query_begin(service.dispatcher, service.scratch, &query, now, &q.ticket) !=
        SEMDNS_OK)
      die("a query was not taken");
  }
  void lead(uint64_t number) {
    Query &q = queries[number];
    semdns_dispatcher *dispatcher = services[q.service]->dispatcher;
    if (!q.ticket)
      return;
    semdns_step step = {};
    step.size = sizeof step;
    semdns_query_next(dispatcher, q.ticket, now, &step);
    if (step.action == SEMDNS_DONE) {
      ++q.answers;
      q.ended = now;
      done(q, step.answer, now);
      semdns_query_end(dispatcher, q.ticket, now);
      q.ticket = 0;
      return;
    }
    if (step.action == SEMDNS_TRY) {
      const auto [event, after] = serve(step.endpoint, now, step.attempt);
      if (after != UINT64_MAX)
        push({now + after, 0, Event::Report, number, step.attempt, event, 0});
    }
    if (step.until != UINT64_MAX)
      push({std::max(step.until, now + 1), 0, Event::Wake, number, 0, SEMDNS_REPORT_OK, ++q.wake});
  }

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t order_ = 0;
};

semdns_stats statsOf(const Service &service) {
  semdns_stats stats = {};
  stats.size = sizeof stats;
  semdns_dispatcher_stats(service.dispatcher, &stats);
  return stats;
}

/// 16 endpoints in 4 zones; every 500 ms one comes back and another dies: what it was working on
/// breaks off, and what comes to it is refused after 1 ms.
Json kill(uint64_t queries, uint64_t seed, bool &good) {
  const std::vector<ZoneOf> zones = {
      {".", "", "root"}, {"a.", "apple", "ea"}, {"b.", "bread", "eb"}, {"c.", "cheese", "ec"}};
  std::string config;
  for (const ZoneOf &zone : zones)
    for (int i = 0; i < 4; ++i)
      config += "endpoint " + zone.engine + std::to_string(i) + " engine=" + zone.engine + "\n";
  semdns_artifact *artifact = openArtifact(zones, 1);
  Json out;
  {
    Service service(artifact, config, seed);
    std::mt19937_64 random(seed);
    std::vector<std::string> names;
    for (const ZoneOf &zone : zones)
      for (int i = 0; i < 4; ++i)
        names.push_back(zone.engine + std::to_string(i));
    std::string dead;
    uint64_t nextKill = kStart + 500 * kMs, kills = 0, answered = 0, byAncestor = 0;
    std::map<std::string, std::vector<std::pair<uint64_t, uint64_t>>> deaths; // [from, to)
    Fleet fleet;
    fleet.services = {&service};
    fleet.texts = {"apple pie", "bread roll", "cheese cake", "nothing known"};
    fleet.gap = 200000; // 5,000 a second
    // The whole plan beforehand, so that an attempt knows when its endpoint will die.
    for (uint64_t at = nextKill; at < kStart + queries * fleet.gap + 40 * kSecond;
         at += 500 * kMs) {
      std::string next;
      do
        next = names[random() % names.size()];
      while (next == dead);
      dead = next;
      deaths[dead].push_back({at, at + 500 * kMs});
      ++kills;
    }
    fleet.serve = [&](const std::string &endpoint, uint64_t now, uint64_t) {
      const uint64_t takes = 5 * kMs + random() % (10 * kMs);
      const auto &plan = deaths[endpoint];
      auto next = std::upper_bound(plan.begin(), plan.end(), std::pair(now, UINT64_MAX));
      if (next != plan.begin() && now < std::prev(next)->second)
        return std::pair(SEMDNS_REPORT_ERROR, kMs);
      if (next != plan.end() && now + takes > next->first)
        return std::pair(SEMDNS_REPORT_ERROR, next->first - now);
      return std::pair(SEMDNS_REPORT_OK, takes);
    };
    std::map<std::string, uint64_t> others;
    fleet.done = [&](const Fleet::Query &, const semdns_dispatch_answer &a, uint64_t) {
      answered += a.endpoint[0] != 0;
      if (!a.endpoint[0])
        ++others[semdns_answer_reason_text(static_cast<semdns_answer_reason>(a.reason))];
      byAncestor += a.endpoint[0] && a.reason == SEMDNS_REASON_NO_ENDPOINT;
    };
    fleet.run(queries);
    uint64_t exactlyOne = 0;
    for (const Fleet::Query &q : fleet.queries)
      exactlyOne += q.answers == 1;
    const semdns_stats stats = statsOf(service);
    const double share = static_cast<double>(answered) / static_cast<double>(queries);
    const double retries = static_cast<double>(stats.retries) / static_cast<double>(queries);
    out = {{"queries", queries},
           {"kills", kills},
           {"exactly_one_answer", exactlyOne},
           {"answered_by_zone_or_ancestor", share},
           {"by_ancestor", byAncestor},
           {"others_by_reason", others},
           {"retries_per_query", retries},
           {"ejections", stats.ejections},
           {"readmissions", stats.readmissions}};
    good = exactlyOne == queries && stats.answers == queries && share >= 0.9999 && retries <= 0.2;
  }
  semdns_artifact_release(artifact);
  return out;
}

/// One endpoint of four takes 1 s more from the 20th second on, for `slowFor`.
Json slow(uint64_t slowFor, uint64_t seed, bool &good) {
  const std::vector<ZoneOf> zones = {{".", "", "root"}};
  semdns_artifact *artifact = openArtifact(zones, 1);
  Json out;
  {
    std::string config;
    for (int i = 0; i < 4; ++i)
      config += "endpoint e" + std::to_string(i) + " engine=root capacity=1000\n";
    Service service(artifact, config, seed);
    std::mt19937_64 random(seed);
    Fleet fleet;
    fleet.services = {&service};
    fleet.texts = {"nothing known"};
    fleet.gap = kMs; // 1,000 a second
    const uint64_t from = kStart + 20 * kSecond, to = from + slowFor, end = to + 60 * kSecond;
    std::vector<std::vector<double>> latencies((end - kStart) / kSecond + 40);
    uint64_t readmitted = 0;
    fleet.serve = [&](const std::string &endpoint, uint64_t now, uint64_t) {
      const bool crawls = endpoint == "e0" && now >= from && now < to;
      return std::pair(SEMDNS_REPORT_OK, 10 * kMs + random() % (10 * kMs) + (crawls ? kSecond : 0));
    };
    fleet.tick = [&](uint64_t now) {
      semdns_endpoint_info info = {};
      info.size = sizeof info;
      semdns_endpoint_get_info(service.dispatcher, "e0", now, &info);
      if (!readmitted && now >= to &&
          (info.state == SEMDNS_ENDPOINT_UP || info.state == SEMDNS_ENDPOINT_RAMPING))
        readmitted = now;
    };
    fleet.done = [&](const Fleet::Query &q, const semdns_dispatch_answer &, uint64_t now) {
      latencies[(q.began - kStart) / kSecond].push_back(static_cast<double>(now - q.began) / kMs);
    };
    fleet.run((end - kStart) / fleet.gap);
    std::vector<double> before;
    for (uint64_t s = 10; s < 20; ++s)
      before.insert(before.end(), latencies[s].begin(), latencies[s].end());
    const double baseline = quantile(before, 0.99);
    // The last second that was bad, of those in which the endpoint was slow or had just been.
    uint64_t bad = 0;
    double worst = 0, slowest = 0;
    for (uint64_t s = 20; s < (end - kStart) / kSecond; ++s) {
      const double p99 = quantile(latencies[s], 0.99);
      worst = std::max(worst, p99);
      slowest = std::max(slowest, quantile(latencies[s], 1));
      if (p99 >= 2 * baseline)
        bad = s;
    }
    const double backAfter = bad ? static_cast<double>(bad + 1 - 20) : 0;
    const double readmittedAfter = readmitted ? static_cast<double>(readmitted - to) / kSecond : -1;
    out = {{"slow_for_s", slowFor / kSecond},
           {"p99_before_ms", baseline},
           {"p99_worst_second_ms", worst},
           {"slowest_ms", slowest},
           {"p99_back_below_twice_after_s", backAfter},
           {"readmitted_after_s", readmittedAfter},
           {"ejections", statsOf(service).ejections}};
    good = backAfter <= 10 && readmittedAfter >= 0 && readmittedAfter <= 30;
  }
  semdns_artifact_release(artifact);
  return out;
}

/// Eight resolvers share 16 endpoints and hear of their load once a second, five seconds late.
Json stale(uint64_t seconds, uint64_t seed, const std::string &method, bool &good) {
  const std::vector<ZoneOf> zones = {{".", "", "root"}};
  semdns_artifact *artifact = openArtifact(zones, 1);
  Json out;
  {
    std::string config = "zone . select=" + method + "\n";
    for (int i = 0; i < 16; ++i)
      config += "endpoint e" + std::to_string(i) + " engine=root capacity=64\n";
    std::vector<std::unique_ptr<Service>> services;
    Fleet fleet;
    for (uint64_t i = 0; i < 8; ++i) {
      services.push_back(std::make_unique<Service>(artifact, config, seed + i, 1u << 13));
      fleet.services.push_back(services.back().get());
    }
    std::mt19937_64 random(seed);
    fleet.texts = {"nothing known"};
    fleet.gap = kMs / 2; // 2,000 a second, 100 ms each: 200 at work of 1,024 places
    std::vector<std::vector<uint64_t>> given(seconds / 10 + 5, std::vector<uint64_t>(16));
    std::vector<uint32_t> running(16);
    std::priority_queue<std::pair<uint64_t, uint32_t>, std::vector<std::pair<uint64_t, uint32_t>>,
                        std::greater<>>
        ends;
    fleet.serve = [&](const std::string &endpoint, uint64_t now, uint64_t) {
      const auto e = static_cast<uint32_t>(std::atoi(endpoint.c_str() + 1));
      const uint64_t takes = 50 * kMs + random() % (100 * kMs);
      ++running[e];
      ends.push({now + takes, e});
      ++given[(now - kStart) / (10 * kSecond)][e];
      return std::pair(SEMDNS_REPORT_OK, takes);
    };
    std::deque<std::vector<uint32_t>> past;
    fleet.tick = [&](uint64_t now) {
      for (; !ends.empty() && ends.top().first <= now; ends.pop())
        --running[ends.top().second];
      if (now % kSecond)
        return;
      past.push_back(running);
      if (past.size() <= 5)
        return;
      for (Service *service : fleet.services)
        for (uint32_t e = 0; e < 16; ++e) {
          semdns_load load = {};
          load.size = sizeof load;
          load.running = past.front()[e];
          semdns_endpoint_load(service->dispatcher, ("e" + std::to_string(e)).c_str(), &load, now);
        }
      past.pop_front();
    };
    uint64_t answered = 0;
    fleet.done = [&](const Fleet::Query &, const semdns_dispatch_answer &a, uint64_t) {
      answered += a.endpoint[0] != 0;
    };
    const uint64_t queries = seconds * kSecond / fleet.gap;
    fleet.run(queries);
    double worst = 0;
    for (uint64_t w = 0; w < seconds / 10; ++w) {
      uint64_t sum = 0, most = 0;
      for (const uint64_t n : given[w]) {
        sum += n;
        most = std::max(most, n);
      }
      worst = std::max(worst, static_cast<double>(most) * 16 / static_cast<double>(sum));
    }
    out = {{"select", method},
           {"queries", queries},
           {"answered", answered},
           {"worst_max_over_mean_in_10s", worst}};
    good = worst <= 1.3 && answered == queries;
  }
  semdns_artifact_release(artifact);
  return out;
}

// ---- Real time ----------------------------------------------------------------------------------

using Clock = std::chrono::steady_clock;

uint64_t nanoseconds() {
  return static_cast<uint64_t>(Clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

uint64_t residentBytes() {
  malloc_trim(0); // what the allocator keeps for itself is nobody's
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

/// One query of a lane to its end; ns, and what answered.
uint64_t oneQuery(Service &service, semdns_scratch *scratch, uint32_t lane, const std::string &text,
                  uint64_t &serial, bool &fine) {
  semdns_query plain = {};
  plain.size = sizeof plain;
  plain.text = text.data();
  plain.text_size = text.size();
  semdns_dispatch_query query = {};
  query.size = sizeof query;
  query.query = &plain;
  query.lane = lane;
  const uint64_t began = nanoseconds();
  uint64_t ticket = 0;
  fine = semdns_query_begin(service.dispatcher, scratch, &query, began, &ticket) == SEMDNS_OK;
  semdns_step step = {};
  step.size = sizeof step;
  for (int i = 0; fine && i < 8; ++i) {
    fine = semdns_query_next(service.dispatcher, ticket, nanoseconds(), &step) == SEMDNS_OK;
    if (step.action == SEMDNS_DONE)
      break;
    if (step.action == SEMDNS_TRY)
      semdns_report(service.dispatcher, step.attempt, SEMDNS_REPORT_OK, nullptr, nanoseconds());
  }
  fine = fine && step.action == SEMDNS_DONE && step.answer.status <= SEMDNS_NOZONE;
  serial = fine ? step.answer.serial : 0;
  if (ticket)
    semdns_query_end(service.dispatcher, ticket, nanoseconds());
  return nanoseconds() - began;
}

/// Swaps every 300 ms, ten in a row and as long a pause, under two threads' load; every tenth
/// artifact is damaged.
Json reload(uint32_t swaps, uint32_t apartMs, uint32_t zoneCount, bool &good) {
  std::vector<ZoneOf> zones = {{".", "", "root"}};
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < zoneCount; ++i) {
    zones.push_back({"z" + std::to_string(i) + ".", "word" + std::to_string(i), "root"});
    texts.push_back("say word" + std::to_string(i) + " again");
  }
  std::string bytes[2];
  for (int i = 0; i < 2; ++i)
    semdns_artifact_release(openArtifact(zones, static_cast<uint64_t>(i) + 1, &bytes[i]));
  // What one costs in memory, the allocator's habits included: a second one beside the first.
  semdns_artifact *first = openBytes(bytes[0]);
  const uint64_t withOne = residentBytes();
  semdns_artifact *second = openBytes(bytes[1]);
  const uint64_t one = residentBytes() - withOne;
  semdns_artifact_release(second);
  Json out;
  {
    Service service(first, "endpoint e0 engine=root capacity=1000\n", 1, 256);
    semdns_artifact_release(first);
    std::atomic<bool> stop{false};
    std::atomic<uint32_t> phase{0};
    std::atomic<uint64_t> errors{0}, strangers{0}, answers{0};
    constexpr size_t kKept = 1 << 20;
    std::vector<double> latencies[2][2]; // [thread][phase]
    size_t count[2][2] = {};
    for (auto &thread : latencies) // touched beforehand, so as not to grow while memory is watched
      for (std::vector<double> &phase_ : thread)
        phase_.assign(kKept, 1);
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 2; ++t)
      threads.emplace_back([&, t] {
        semdns_scratch *scratch = nullptr;
        semdns_scratch_create(service.resolver, &scratch, nullptr);
        for (uint64_t i = t; !stop; ++i) {
          uint64_t serial = 0;
          bool fine = false;
          const uint64_t took =
              oneQuery(service, scratch, t, texts[i % texts.size()], serial, fine);
          errors += !fine;
          strangers += serial != 1 && serial != 2;
          ++answers;
          const uint32_t p = phase;
          latencies[t][p][count[t][p]++ % kKept] = static_cast<double>(took);
          if (i % 64 == 0) // a service is not busy all the time
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        semdns_scratch_destroy(scratch);
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(apartMs));
    const uint64_t before = residentBytes();
    uint64_t most = 0, refused = 0, taken = 0, heldBack = 0;
    for (uint32_t i = 0; i < swaps; ++i) {
      if (i % 10 == 0) { // calm and swapping times alternate: other processes disturb both alike
        phase = 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(apartMs * 10));
        phase = 1;
      }
      std::string &next = bytes[(i + 1) % 2];
      char &middle = next[next.size() / 2];
      const bool damaged = i % 10 == 9;
      middle = static_cast<char>(middle ^ damaged);
      semdns_artifact *artifact = nullptr;
      semdns_error error = {};
      error.size = sizeof error;
      if (semdns_artifact_open_memory(next.data(), next.size(), nullptr, &artifact, &error) ==
          SEMDNS_OK) {
        // The serials of two artifacts in turn: going back half of the time is meant here.
        taken += semdns_resolver_swap_with(service.resolver, artifact, SEMDNS_SWAP_BACK, &error) ==
                 SEMDNS_OK;
        semdns_artifact_release(artifact);
        semdns_scratch_let_go(service.resolver, service.scratch); // nobody resolves with this one
      } else {
        ++refused;
      }
      middle = static_cast<char>(middle ^ damaged);
      most = std::max(most, residentBytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(apartMs));
      // Both threads are at work, so that the old one must be gone: one file in memory is left.
      std::ifstream maps("/proc/self/maps");
      uint64_t files = 0;
      for (std::string line; std::getline(maps, line);)
        files += line.find("memfd:") != std::string::npos;
      heldBack += files > 1;
    }
    stop = true;
    for (std::thread &thread : threads)
      thread.join();
    for (uint32_t t = 0; t < 2; ++t)
      for (uint32_t p = 0; p < 2; ++p)
        latencies[t][p].resize(std::min(count[t][p], kKept));
    std::vector<double> calm = latencies[0][0], busy = latencies[0][1];
    calm.insert(calm.end(), latencies[1][0].begin(), latencies[1][0].end());
    busy.insert(busy.end(), latencies[1][1].begin(), latencies[1][1].end());
    const double p99Calm = quantile(calm, 0.99), p99Busy = quantile(busy, 0.99);
    const double growth = most > before ? static_cast<double>(most - before) : 0;
    out = {{"swaps", taken},
           {"refused", refused},
           {"answers", answers.load()},
           {"errors", errors.load()},
           {"neither_old_nor_new", strangers.load()},
           {"p99_calm_us", p99Calm / 1000},
           {"p99_swapping_us", p99Busy / 1000},
           {"p99_ratio", p99Calm > 0 ? p99Busy / p99Calm : 0},
           {"artifact_bytes", bytes[0].size()},
           {"one_in_memory_bytes", one},
           {"peak_over_one_in_memory", 1 + growth / static_cast<double>(one)},
           {"old_still_mapped_after_one_pause", heldBack}};
    good = !errors && !strangers && refused == swaps / 10 && taken == swaps - refused &&
           !heldBack && growth <= 1.05 * static_cast<double>(one);
  }
  return out;
}

/// Whole queries a second of one thread and of several, on lanes of their own.
Json threads(uint32_t count, uint32_t rounds) {
  semdns_artifact *artifact = openArtifact({{".", "", "root"}, {"a.", "apple", "ea"}}, 1);
  Json out;
  {
    std::string config;
    for (int i = 0; i < 64; ++i)
      config += "endpoint e" + std::to_string(i) + " engine=ea capacity=1000\n";
    Service service(artifact, config, 1, 4096);
    const auto cpuTime = [] {
      timespec t;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
    };
    // Queries a second by the wall, and of each thread a CPU second, summed.
    const auto rate = [&](uint32_t n) {
      std::vector<double> byCpu(n);
      std::vector<std::thread> workers;
      std::atomic<uint32_t> ready{0};
      std::atomic<bool> go{false};
      for (uint32_t t = 0; t < n; ++t)
        workers.emplace_back([&, t] {
          semdns_scratch *scratch = nullptr;
          semdns_scratch_create(service.resolver, &scratch, nullptr);
          ++ready;
          while (!go) {
          }
          uint64_t serial;
          bool fine;
          const double before = cpuTime();
          for (uint32_t i = 0; i < rounds; ++i)
            oneQuery(service, scratch, t, "apple pie", serial, fine);
          byCpu[t] = rounds / (cpuTime() - before);
          semdns_scratch_destroy(scratch);
        });
      while (ready < n)
        std::this_thread::yield();
      const auto start = Clock::now();
      go = true;
      for (std::thread &worker : workers)
        worker.join();
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      return std::pair(n * rounds / seconds, std::accumulate(byCpu.begin(), byCpu.end(), 0.0));
    };
    double one = 0, many = 0, oneCpu = 0, manyCpu = 0;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto [wall, cpu] = rate(1);
      one = std::max(one, wall);
      oneCpu = std::max(oneCpu, cpu);
      const auto [wallOfAll, cpuOfAll] = rate(count);
      many = std::max(many, wallOfAll);
      manyCpu = std::max(manyCpu, cpuOfAll);
    }
    out = {{"threads", count},
           {"queries_per_s_one", one},
           {"queries_per_s_all", many},
           {"times_one", many / one},
           {"cpu_times_one", manyCpu / oneCpu}};
  }
  semdns_artifact_release(artifact);
  return out;
}

/// Choosing among 64 endpoints by all five terms.
Json select(uint32_t repeats) {
  using namespace dispatch;
  static Endpoint endpoints[64];
  static Engine engines[kMaxEngines];
  Pool pool{};
  pool.endpoints = endpoints;
  pool.capacity = 64;
  pool.engines = engines;
  for (uint32_t i = 0; i < 64; ++i) {
    const std::string id = "e" + std::to_string(i);
    const uint32_t slot =
        addEndpoint(pool, id.data(), id.size(), "x", 1, Traits{.region = i % 4}, false);
    endpoints[slot].pace = 1000000 + i;
    endpoints[slot].seenAt = 1;
    endpoints[slot].inFlight = i % 7;
  }
  static Distances distances = {{0, 50, 100, 20}};
  uint16_t held[64] = {};
  Request r = {};
  r.now = kSecond;
  r.tokens = 1000;
  r.blockCount = 10;
  r.held = held;
  r.allowedRegions = ~0u;
  // Short runs, so that some are not interrupted; of two threads each its own best.
  const auto choosing = [&](Request own) {
    constexpr uint32_t kRounds = 100;
    double best = 1e9;
    uint64_t sum = 0;
    for (uint32_t repeat = 0; repeat < repeats; ++repeat) {
      const auto start = Clock::now();
      for (uint32_t i = 0; i < kRounds; ++i) {
        own.random = i;
        sum += choose(pool, 0, Settings(), Rules(), distances, own).slot;
      }
      const std::chrono::duration<double, std::micro> took = Clock::now() - start;
      best = std::min(best, took.count() / kRounds);
    }
    if (!sum)
      die("nobody was chosen");
    return best;
  };
  const double alone = choosing(r);
  double two[2] = {};
  std::thread other([&] { two[1] = choosing(r); });
  two[0] = choosing(r);
  other.join();
  return {
      {"endpoints", 64}, {"us", alone}, {"two_threads_times_one", alone / two[0] + alone / two[1]}};
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> modes;
  double scale = 1;
  uint64_t seed = 1;
  bool check = false;
  uint32_t zones = 4000;
  CLI::App app("What the dispatcher does under faults, as one JSON object.\n\n"
               "  fault-bench                    # all of it, a few minutes\n"
               "  fault-bench kill --scale=0.02  # 20,000 queries instead of a million",
               "fault-bench");
  app.add_option("modes", modes, "kill, slow, stale, reload, threads, select (default: all)")
      ->check(CLI::IsMember({"kill", "slow", "stale", "reload", "threads", "select"}));
  app.add_option("--scale", scale, "Share of the full size")->check(CLI::Range(0.001, 1.0));
  app.add_option("--zones", zones, "Of the artifacts that reload swaps (some 180 bytes each)")
      ->check(CLI::Range(10, 60000));
  app.add_option("--seed", seed, "Of arrivals and faults");
  app.add_flag("--check", check, "Exit 3 where a count misses its goal");
  CLI11_PARSE(app, argc, argv);
  if (modes.empty())
    modes = {"kill", "slow", "stale", "reload", "threads", "select"};
  const auto of = [&](double full) {
    return std::max<uint64_t>(1, static_cast<uint64_t>(std::llround(full * scale)));
  };
  Json out;
  bool allGood = true;
  for (const std::string &mode : modes) {
    bool good = true;
    if (mode == "kill")
      out[mode] = kill(of(1e6), seed, good);
    if (mode == "slow") {
      out[mode] = Json::array();
      for (const uint64_t seconds : {of(30), of(300)}) {
        bool one = true;
        out[mode].push_back(slow(std::max<uint64_t>(seconds, 10) * kSecond, seed, one));
        good &= one;
      }
    }
    if (mode == "stale") {
      out[mode] = Json::array();
      for (const char *method : {"score", "least-loaded", "p2c", "round-robin"}) {
        bool one = true;
        out[mode].push_back(stale(std::max<uint64_t>(of(60), 20), seed, method, one));
        good &= one || std::string(method) != "score";
      }
    }
    if (mode == "reload")
      out[mode] = reload(static_cast<uint32_t>(std::max<uint64_t>(of(200), 10)), 300, zones, good);
    if (mode == "threads")
      out[mode] = threads(2, static_cast<uint32_t>(of(200000)));
    if (mode == "select")
      out[mode] = select(static_cast<uint32_t>(of(2000)));
    if (mode == "kill" || mode == "reload")
      out[mode]["good"] = good;
    allGood &= good;
  }
  std::printf("%s\n", out.dump(2).c_str());
  return check && !allGood ? kNegative : kDone;
}
