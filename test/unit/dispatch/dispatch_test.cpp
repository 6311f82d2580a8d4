/// Parts of the dispatcher alone, and all of it under threads. What single queries do is told by
/// test/scenario.
#include "lib/sim/artifact.h"
#include "runtime/dispatch/buckets.h"
#include "runtime/dispatch/log.h"
#include "runtime/dispatch/policy.h"
#include "runtime/dispatch/prefix.h"
#include "runtime/dispatch/query.h"
#include "runtime/dispatch/select.h"
#include "semdns/dispatch.h"
#include "tools/count_allocations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <thread>

using namespace semdns;
using namespace semdns::dispatch;

namespace {

TEST(Table, DoneIsTheEndAndEveryStateHasAWayThere) {
  for (uint8_t e = 0; e <= static_cast<uint8_t>(Event::Cancel); ++e)
    EXPECT_EQ(transition(State::Done, static_cast<Event>(e)).action, Action::None);
  for (const State state : {State::Ready, State::Trying, State::Hedged, State::Streaming})
    for (const Event event : {Event::Deadline, Event::Cancel})
      EXPECT_EQ(transition(state, event).next, State::Done) << stateText(state);
  // Nobody is asked after the first byte.
  for (uint8_t e = 0; e <= static_cast<uint8_t>(Event::Cancel); ++e)
    EXPECT_NE(transition(State::Streaming, static_cast<Event>(e)).action, Action::Start);
}

TEST(Buckets, RateAndBurst) {
  std::vector<BucketSlot> slots(16 + 4);
  Buckets buckets{slots.data(), 16, 4};
  uint32_t taken = 0;
  for (uint64_t now = 0; now < 10 * kSecond; now += kSecond / 1000)
    taken += takeToken(buckets, 0, 77, kSecond / 100, 50, 1 + now) == 0;
  EXPECT_NEAR(taken, 1050, 2); // 100 a second for ten seconds, and the burst
}

TEST(Buckets, ManyScopesShareWhatIsLeft) {
  std::vector<BucketSlot> slots(8 + 1);
  Buckets buckets{slots.data(), 8, 1};
  uint32_t taken = 0;
  for (uint64_t scope = 1; scope <= 1000; ++scope)
    taken += takeToken(buckets, 0, scope, kSecond, 1, 1) == 0;
  EXPECT_EQ(taken, 9u);
}

/// Against a search for every pattern at every place; texts come in pieces, with punctuation.
TEST(Policy, TheAutomatonFindsWhatASlowSearchFinds) {
  std::mt19937 random(3);
  for (uint32_t round = 0; round < 300; ++round) {
    std::vector<std::vector<uint64_t>> patterns;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kMaxPolicyRules; ++i) {
      std::vector<uint64_t> words(1 + random() % 6);
      for (uint64_t &word : words)
        word = 2 + 2 * (random() % (1 + round % 5));
      sum += static_cast<uint32_t>(words.size());
      patterns.push_back(words);
    }
    std::vector<uint64_t> memory(policyMemory(sum) / 8 + 8);
    void *aligned = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) &
                                             ~uintptr_t(63));
    static Policy policy;
    initPolicy(policy, aligned, sum);
    for (uint32_t i = 0; i < kMaxPolicyRules; ++i)
      ASSERT_TRUE(
          addPattern(policy, i, patterns[i].data(), static_cast<uint32_t>(patterns[i].size())));
    finishPolicy(policy);
    std::vector<uint64_t> text(random() % 40);
    for (uint64_t &word : text)
      word = random() % 9 ? 2 + 2 * (random() % 5) : 1;
    RuleSet found = {};
    uint32_t state = 0;
    const auto cut = static_cast<uint32_t>(text.empty() ? 0 : random() % text.size());
    matchWords(policy, state, text.data(), cut, found);
    matchWords(policy, state, text.data() + cut, static_cast<uint32_t>(text.size()) - cut, found);
    std::vector<uint64_t> plain;
    for (const uint64_t word : text)
      if (!(word & 1))
        plain.push_back(word);
    for (uint32_t i = 0; i < kMaxPolicyRules; ++i)
      ASSERT_EQ(found.has(i), std::search(plain.begin(), plain.end(), patterns[i].begin(),
                                          patterns[i].end()) != plain.end())
          << round << " " << i;
  }
}

TEST(Policy, PatternsBeyondTheMemoryAreRefused) {
  alignas(64) static uint8_t memory[4096];
  static Policy policy;
  ASSERT_LE(policyMemory(3), sizeof memory);
  initPolicy(policy, memory, 3);
  const uint64_t words[] = {2, 4, 6, 8};
  EXPECT_TRUE(addPattern(policy, 0, words, 3));
  EXPECT_TRUE(addPattern(policy, 1, words, 2)); // a beginning of the first
  EXPECT_FALSE(addPattern(policy, 2, words + 1, 1));
}

struct Prefixes {
  std::unique_ptr<void, void (*)(void *)> memory;
  PrefixTable table = {};
  Prefixes(uint32_t holdings, uint32_t slots) : memory(nullptr, std::free) {
    const size_t size = prefixSize(holdings, slots);
    memory.reset(std::aligned_alloc(64, size));
    std::memset(memory.get(), 0, size);
    initPrefixes(table, memory.get(), holdings, slots);
  }
  ~Prefixes() { destroyPrefixes(table); }
  std::vector<uint16_t> held(const std::vector<uint64_t> &blocks,
                             const std::vector<uint32_t> &generations) {
    std::vector<uint16_t> out(generations.size());
    countHeld(table, blocks.data(), static_cast<uint32_t>(blocks.size()), generations.data(),
              sizeof(uint32_t), static_cast<uint32_t>(generations.size()), out.data());
    return out;
  }
  void mark(const std::vector<uint64_t> &blocks, uint32_t slot, uint32_t room = 0,
            uint32_t generation = 1) {
    markHeld(table, blocks.data(), static_cast<uint32_t>(blocks.size()), slot, generation, room);
  }
};

TEST(Prefix, CountsLeadingBlocksOnly) {
  Prefixes p(1024, 3);
  p.mark({1, 2, 3, 4}, 0);
  p.mark({1, 2}, 1);
  EXPECT_EQ(p.held({1, 2, 3, 4}, {1, 1, 1}), (std::vector<uint16_t>{4, 2, 0}));
  // Block 4 is there, block 9 is not.
  EXPECT_EQ(p.held({1, 2, 9, 4}, {1, 1, 1}), (std::vector<uint16_t>{2, 2, 0}));
  // Another endpoint in the same slot.
  EXPECT_EQ(p.held({1, 2, 3, 4}, {3, 1, 1}), (std::vector<uint16_t>{0, 2, 0}));
  p.mark({1}, 0, 0, 3);
  EXPECT_EQ(p.held({1, 2, 3, 4}, {3, 1, 1}), (std::vector<uint16_t>{1, 2, 0}));
}

TEST(Prefix, EveryEndpointMayHoldTheSameBlock) {
  constexpr uint32_t kSlots = 200;
  Prefixes p(65536, kSlots);
  for (uint32_t slot = 0; slot < kSlots; ++slot)
    p.mark({7, 100 + slot, 8}, slot);
  const std::vector<uint16_t> held = p.held({7, 105, 8}, std::vector<uint32_t>(kSlots, 1));
  for (uint32_t slot = 0; slot < kSlots; ++slot)
    EXPECT_EQ(held[slot], slot == 5 ? 3 : 1) << slot;
}

TEST(Prefix, RoomIsThatOfTheEndpointNearly) {
  constexpr uint32_t kRoom = 1600;
  Prefixes p(65536, 2);
  for (uint64_t prompt = 0; prompt < 1000; ++prompt)
    p.mark({prompt * 4 + 1, prompt * 4 + 2, prompt * 4 + 3, prompt * 4 + 4}, 0, kRoom);
  uint32_t full = 0;
  for (uint64_t prompt = 0; prompt < 1000; ++prompt) {
    const uint64_t b = prompt * 4;
    const uint16_t held = p.held({b + 1, b + 2, b + 3, b + 4}, {1, 1})[0];
    full += held == 4;
    EXPECT_TRUE(prompt < 700 || held == 4) << prompt; // the last 300 of 400 that there is room for
    EXPECT_TRUE(prompt > 500 || held == 0) << prompt;
  }
  EXPECT_NEAR(full, 400, 40);
}

/// Against sets kept the plain way, through many evictions.
TEST(Prefix, NeverCountsWhatIsNotHeld) {
  Prefixes p(256, 5);
  std::vector<std::set<uint64_t>> ever(5);
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint64_t> blocks;
    for (uint32_t n = 1 + random() % 6; n > 0; --n)
      blocks.push_back(random() % 300);
    const uint32_t slot = random() % 5;
    p.mark(blocks, slot, random() % 2 ? 64 : 0);
    ever[slot].insert(blocks.begin(), blocks.end());
    const std::vector<uint16_t> held = p.held(blocks, {1, 1, 1, 1, 1});
    ASSERT_GE(held[slot], 1u);
    for (uint32_t s = 0; s < 5; ++s)
      for (uint32_t b = 0; b < held[s]; ++b)
        ASSERT_TRUE(ever[s].count(blocks[b]));
  }
}

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

/// A dispatcher over two zones and sixteen endpoints.
struct Fixture {
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  std::unique_ptr<void, Free> memory;

  explicit Fixture(uint32_t endpoints = 16) {
    std::string why;
    const std::string bytes =
        sim::makeArtifact({{"big", "", 0, 0}, {"small", "", 2, 0}},
                          {{".", 3600, false, false, {{"big", 1}}, {}},
                           {"legal.", 60, false, false, {{"small", 1}}, {"court"}}},
                          1, why);
    EXPECT_FALSE(bytes.empty()) << why;
    semdns_error error = {};
    error.size = sizeof error;
    EXPECT_EQ(semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &artifact, &error),
              SEMDNS_OK)
        << error.message;
    EXPECT_EQ(semdns_resolver_create(artifact, nullptr, &resolver, &error), SEMDNS_OK);
    semdns_dispatcher_options options = {};
    options.size = sizeof options;
    options.max_endpoints = 128;
    const size_t size = semdns_dispatcher_size(&options);
    memory.reset(std::aligned_alloc(64, size));
    EXPECT_EQ(semdns_dispatcher_init(resolver, &options, memory.get(), size, &dispatcher, &error),
              SEMDNS_OK);
    for (uint32_t i = 0; i < endpoints; ++i)
      add("s" + std::to_string(i), "small");
    add("b0", "big");
    add("b1", "big");
  }
  ~Fixture() {
    semdns_dispatcher_deinit(dispatcher);
    semdns_resolver_destroy(resolver);
    semdns_artifact_release(artifact);
  }
  void add(const std::string &id, const char *engine) {
    semdns_endpoint e = {};
    e.size = sizeof e;
    e.id = id.c_str();
    e.engine = engine;
    e.capacity = 1000;
    ASSERT_EQ(semdns_endpoint_add(dispatcher, &e, 0), SEMDNS_OK);
  }
};

/// `rounds` queries on a lane of their own; a tenth of the attempts fails. Returns the answers.
uint64_t work(Fixture &f, uint32_t lane, uint32_t rounds, std::atomic<uint64_t> &clock) {
  semdns_scratch *scratch;
  EXPECT_EQ(semdns_scratch_create(f.resolver, &scratch, nullptr), SEMDNS_OK);
  std::mt19937 random(lane);
  semdns_query plain = {};
  plain.size = sizeof plain;
  plain.text = "in court";
  plain.text_size = 8;
  semdns_dispatch_query q = {};
  q.size = sizeof q;
  q.query = &plain;
  q.lane = lane;
  uint64_t answers = 0;
  for (uint32_t i = 0; i < rounds; ++i) {
    uint64_t now = clock.fetch_add(10000) + kSecond, ticket = 0;
    EXPECT_EQ(semdns_query_begin(f.dispatcher, scratch, &q, now, &ticket), SEMDNS_OK);
    semdns_step step = {};
    step.size = sizeof step;
    for (uint32_t steps = 0; steps < 20; ++steps) {
      EXPECT_EQ(semdns_query_next(f.dispatcher, ticket, now, &step), SEMDNS_OK);
      if (step.action == SEMDNS_DONE) {
        ++answers;
        break;
      }
      now += 1000000;
      if (step.action == SEMDNS_TRY)
        semdns_report(f.dispatcher, step.attempt,
                      random() % 10 ? SEMDNS_REPORT_OK : SEMDNS_REPORT_ERROR, nullptr, now);
    }
    semdns_query_end(f.dispatcher, ticket, now);
  }
  semdns_scratch_destroy(scratch);
  return answers;
}

TEST(Dispatcher, OneAnswerPerQueryUnderThreadsAndChanges) {
  Fixture f;
  constexpr uint32_t kThreads = 4, kRounds = 3000;
  std::atomic<uint64_t> clock{0}, answers{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] { answers += work(f, t, kRounds, clock); });
  threads.emplace_back([&] { // everything else that may go on meanwhile
    semdns_error error = {};
    error.size = sizeof error;
    for (uint32_t i = 0; !stop; ++i) {
      const uint64_t now = clock + kSecond;
      const std::string good = "endpoint c" + std::to_string(i % 3) + " engine=small\n";
      EXPECT_EQ(semdns_dispatcher_configure(f.dispatcher, f.artifact, good.data(), good.size(), now,
                                            &error),
                SEMDNS_OK);
      EXPECT_NE(semdns_dispatcher_configure(f.dispatcher, f.artifact, "zone x", 6, now, &error),
                SEMDNS_OK);
      semdns_endpoint_remove(f.dispatcher, "s3");
      f.add("s3", "small");
      semdns_maintain(f.dispatcher, now, 100);
      semdns_stats stats = {};
      stats.size = sizeof stats;
      semdns_dispatcher_stats(f.dispatcher, &stats);
      semdns_resolver_swap(f.resolver, f.artifact, &error);
      std::this_thread::yield();
    }
  });
  for (uint32_t t = 0; t < kThreads; ++t)
    threads[t].join();
  stop = true;
  threads.back().join();
  EXPECT_EQ(answers, uint64_t(kThreads) * kRounds);
  semdns_stats stats = {};
  stats.size = sizeof stats;
  ASSERT_EQ(semdns_dispatcher_stats(f.dispatcher, &stats), SEMDNS_OK);
  EXPECT_EQ(stats.queries, stats.answers);
  EXPECT_EQ(stats.tickets, 0u);
  uint64_t sum = 0;
  for (const uint64_t n : stats.by_status)
    sum += n;
  EXPECT_EQ(sum, stats.answers);
  for (const char *id : {"s0", "s1", "s15", "b0"}) {
    semdns_endpoint_info info = {};
    info.size = sizeof info;
    ASSERT_EQ(semdns_endpoint_get_info(f.dispatcher, id, clock, &info), SEMDNS_OK);
    EXPECT_EQ(info.in_flight, 0u) << id;
  }
}

TEST(Dispatcher, AllocatesNothing) {
  if (!allocationsAreCounted())
    GTEST_SKIP() << "a sanitizer has the allocator";
  Fixture f;
  std::atomic<uint64_t> clock{0};
  work(f, 0, 1, clock); // the generator and the scratch
  const uint64_t before = allocationsSoFar();
  work(f, 0, 1, clock);
  const uint64_t once = allocationsSoFar() - before;
  work(f, 0, 1000, clock);
  EXPECT_EQ(allocationsSoFar() - before, 2 * once);
}

TEST(Dispatcher, RefusesWhatCannotBe) {
  Fixture f;
  semdns_dispatcher_options options = {};
  options.size = sizeof options;
  options.lanes = 1000;
  EXPECT_EQ(semdns_dispatcher_size(&options), 0u);
  semdns_dispatcher *none = nullptr;
  char small[64];
  EXPECT_EQ(semdns_dispatcher_init(f.resolver, nullptr, small, sizeof small, &none, nullptr),
            SEMDNS_ERROR_MEMORY);
  EXPECT_EQ(none, nullptr);
  semdns_step step = {};
  step.size = sizeof step;
  EXPECT_EQ(semdns_query_next(f.dispatcher, 12345, 0, &step), SEMDNS_ERROR_ARGUMENT);
  EXPECT_EQ(semdns_report(f.dispatcher, 0, SEMDNS_REPORT_OK, nullptr, 0), SEMDNS_ERROR_ARGUMENT);
}

TEST(History, RowsAreBoundedAndForgotten) {
  constexpr uint32_t kRows = 4, kSlots = 3;
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, historyMemory(kRows, kSlots)));
  std::memset(memory.get(), 0, historyMemory(kRows, kSlots));
  History h;
  initHistory(h, memory.get(), kRows, kSlots);
  uint64_t now = kSecond;
  for (uint64_t zone = 1; zone <= kRows; ++zone)
    EXPECT_NE(rowOf(h, zone, true, now), kNobody);
  EXPECT_EQ(rowOf(h, 99, true, now), kNobody); // full
  EXPECT_EQ(rowOf(h, 99, false, now), kNobody);
  const uint32_t row = rowOf(h, 1, false, now);
  Endpoint e = {};
  e.generation = 7;
  e.success = kOne;
  e.pace = kOne;
  for (int i = 0; i < 8; ++i)
    learn(h, row, 1, 2, 7, 4 * kSecond, kSecond, now);
  const HistoryCell &cell = cellsOf(h, row)[2];
  EXPECT_EQ(learntOf(e, cell, now).pace, kOne + 3 * kOne / 2); // half way after 8
  EXPECT_LT(learntOf(e, cell, now + kHistoryHalf).pace, kOne + 3 * kOne / 2);
  EXPECT_EQ(learntOf(e, cell, now + 20 * kHistoryHalf).pace, kOne);
  e.generation = 9; // another endpoint in its slot
  EXPECT_EQ(learntOf(e, cell, now).pace, kOne);
  learn(h, row, 5, 2, 7, 0, 0, now); // the row is not zone 5's
  e.generation = 7;
  EXPECT_EQ(learntOf(e, cell, now).success, kOne);
  now += 301 * kSecond;
  const uint32_t fresh = rowOf(h, 99, true, now);
  ASSERT_NE(fresh, kNobody);
  for (uint32_t slot = 0; slot < kSlots; ++slot)
    EXPECT_EQ(cellsOf(h, fresh)[slot].samples, 0u);
}

/// Every record arrives once, whole, or is counted as lost, however writers and reader run.
TEST(Log, ManyWritersOneReader) {
  constexpr uint32_t kThreads = 4, kEach = 20000;
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, logMemory(64, 100)));
  Log log;
  initLog(log, memory.get(), 64, 100);
  std::atomic<uint32_t> running{kThreads};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < kEach; ++i)
        if (LogRecord *r = claimRecord(log)) {
          const std::string text(1 + i % 90, static_cast<char>('a' + t));
          r->textHash = uint64_t(t) << 32 | i;
          r->hasText = true;
          addText(log, *r, LogText::Text, text.data(), text.size());
          publishRecord(*r);
        }
      --running;
    });
  std::vector<int64_t> last(kThreads, -1);
  uint64_t seen = 0;
  for (;;) {
    const bool over = !running;
    const LogRecord *r = oldestRecord(log);
    if (!r && over)
      break;
    if (!r)
      continue;
    const auto thread = r->textHash >> 32;
    const auto i = static_cast<int64_t>(r->textHash & 0xffffffff);
    EXPECT_GT(i, last[thread]); // of one writer in order
    last[thread] = i;
    EXPECT_EQ(std::string(r->strings() + r->offset[static_cast<uint8_t>(LogText::Text)]),
              std::string(static_cast<size_t>(1 + i % 90), static_cast<char>('a' + thread)));
    ++seen;
    dropRecord(log);
  }
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(seen, log.written);
  EXPECT_EQ(log.written + log.lost, uint64_t(kThreads) * kEach);
}

TEST(Log, AnyBytesAreOneLineOfJson) {
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, logMemory(2, 64)));
  Log log;
  std::memset(memory.get(), 0, logMemory(2, 64));
  initLog(log, memory.get(), 2, 64);
  LogRecord *r = claimRecord(log);
  ASSERT_NE(r, nullptr);
  r->hasText = true;
  const std::string text("a\"\\\n\x01\xff\xc3\xa9", 8);
  addText(log, *r, LogText::Text, text.data(), text.size());
  publishRecord(*r);
  char line[4096];
  const size_t size = recordToJson(*r, line, sizeof line);
  const std::string json(line, size);
  EXPECT_NE(json.find("\"text\":\"a\\\"\\\\\\u000a\\u0001\\ufffd\xc3\xa9\""), std::string::npos)
      << json;
  EXPECT_EQ(json.find('\n'), size - 1);
  for (size_t room = 0; room < size; ++room)
    EXPECT_EQ(recordToJson(*r, line, room), 0u);
}

TEST(Stats, NamesAreForEver) {
  semdns_stats stats = {};
  stats.size = sizeof stats;
  std::vector<std::string> names;
  ASSERT_EQ(semdns_stats_list(
                &stats,
                [](void *user, const semdns_metric *m) {
                  static_cast<std::vector<std::string> *>(user)->push_back(
                      std::string(m->name) + "{" + m->label + "=" + m->label_value + "}");
                },
                &names),
            SEMDNS_OK);
  for (const char *wanted :
       {"semdns_queries_total{=}", "semdns_answers_total{status=ROUTED}",
        "semdns_answers_total{status=TIMEOUT}", "semdns_policy_hits_total{action=pin}",
        "semdns_log_records_total{result=lost}"})
    EXPECT_NE(std::find(names.begin(), names.end(), wanted), names.end()) << wanted;
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

/// Any bytes as a configuration: accepted or refused with a place, never more.
TEST(Config, AnyTextIsAcceptedOrLocated) {
  Fixture f(2);
  const std::string good = "set slow-start 5s\nendpoint e engine=small region=eu\n"
                           "zone legal. select=p2c weights=1,2,3,4,5 policy=fail-closed\n"
                           "bucket zone=legal. scope=* rate=10/s burst=3\ndistance eu us 90ms\n"
                           "policy one block text=\"some words # here\" scope=x\n"
                           "policy two pin to=legal. zone=.\n";
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    for (uint32_t n = random() % 4; n > 0; --n) {
      const size_t at = random() % text.size();
      if (random() % 2)
        text[at] = static_cast<char>(random());
      else
        text.erase(at, 1 + random() % 9);
    }
    semdns_error error = {};
    error.size = sizeof error;
    const semdns_status status =
        semdns_dispatcher_configure(f.dispatcher, f.artifact, text.data(), text.size(), 1, &error);
    unsigned line = 0, column = 0;
    if (status != SEMDNS_OK) {
      ASSERT_EQ(std::sscanf(error.message, "%u:%u: ", &line, &column), 2) << error.message;
    }
  }
}

/// Orientation, not a gate: choosing among 64 endpoints by all five terms.
TEST(Selection, Speed) {
  static Endpoint endpoints[64];
  static Engine engines[kMaxEngines];
  Pool pool{endpoints, 64, 0, engines, 0, {}};
  for (uint32_t i = 0; i < 64; ++i) {
    const std::string id = "e" + std::to_string(i);
    const uint32_t slot = addEndpoint(pool, id.data(), id.size(), "x", 1, {i % 4}, false);
    endpoints[slot].pace = 65536 + i;
    endpoints[slot].workInFlight = 1000 * (i % 7);
    endpoints[slot].workNow = 1000 * i;
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
  uint64_t sum = 0;
  constexpr uint32_t kRounds = 100, kRepeats = 200; // short, so that some are not interrupted
  double best = 1e9;
  for (uint32_t repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kRounds; ++i) {
      r.random = i;
      sum += choose(pool, 0, Settings(), Rules(), distances, r).slot;
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / kRounds);
  }
  RecordProperty("us", std::to_string(best));
  std::printf("selection among 64: %.3f us\n", best);
  EXPECT_LT(sum, uint64_t(64) * kRepeats * kRounds); // somebody was chosen every time
}

} // namespace
