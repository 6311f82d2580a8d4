/// The simulation itself: caches and queues, and what the dispatcher makes of a small trace.
#include "lib/sim/replay.h"

#include <gtest/gtest.h>

using namespace semdns;
using namespace semdns::sim;

namespace {

constexpr uint64_t kMs = 1000000;

TEST(KvCache, DropsTheEndOfTheLongestUnusedPrefix) {
  KvCache cache(4);
  const uint64_t a[] = {1, 2, 3}, b[] = {1, 4}, c[] = {5};
  cache.use(a);
  cache.use(b);
  EXPECT_EQ(cache.held(a), 3u);
  cache.use(c); // 3 has been unused as long as 2, and lies behind it
  EXPECT_EQ(cache.held(a), 2u);
  EXPECT_EQ(cache.held(b), 2u);
  EXPECT_EQ(cache.held(c), 1u);
}

TEST(KvCache, PromptsLongerThanItKeepTheirBeginning) {
  KvCache cache(2);
  const uint64_t a[] = {1, 2, 3, 4};
  cache.use(a);
  EXPECT_EQ(cache.held(a), 2u);
}

TEST(SimulatedEndpoint, OneAtATime) {
  SimulatedEndpoint endpoint(10);
  const ServiceModel model{50 * kMs, kMs / 2};
  const uint64_t a[] = {1, 2}, b[] = {1, 3};
  const Service first = endpoint.serve(7 * kMs, a, 10, model);
  EXPECT_EQ(first.start, 7 * kMs);
  EXPECT_EQ(first.end, (7 + 100 + 5) * kMs);
  const Service second = endpoint.serve(8 * kMs, b, 0, model);
  EXPECT_EQ(second.hit, 1u);
  EXPECT_EQ(second.start, first.end);
  EXPECT_EQ(second.end, first.end + 50 * kMs);
}

/// Conversations of `turns` requests, each of which goes on where the one before it ended.
Trace conversations(uint32_t count, uint32_t turns) {
  Trace trace;
  trace.file = "made";
  trace.hasPrefixes = true;
  for (uint32_t turn = 0; turn < turns; ++turn)
    for (uint32_t c = 0; c < count; ++c) {
      TraceRequest request;
      request.at = (uint64_t(turn) * count + c) * 40 * kMs;
      request.inputTokens = (2 + turn) * kBlockTokens;
      request.outputTokens = 50;
      request.firstBlock = trace.blocks.size();
      request.blockCount = 2 + turn;
      trace.blocks.push_back(1); // everybody's system prompt
      for (uint32_t b = 0; b <= turn; ++b)
        trace.blocks.push_back(1000 + c * 100 + b);
      trace.requests.push_back(request);
    }
  return trace;
}

ReplayResult run(const Trace &trace, const char *policy, uint64_t seed = 1) {
  ReplayOptions options;
  options.policy = policy;
  options.endpoints = 4;
  options.seed = seed;
  options.blocks = 2000;
  options.window = 1000 * kMs;
  std::string error;
  const auto result = replay(trace, infiniteHits(trace), options, error);
  EXPECT_TRUE(result) << error;
  return *result;
}

TEST(Replay, CountsEveryRequestOnceForEveryPolicy) {
  const Trace trace = conversations(30, 6);
  uint64_t infinite = 0;
  for (const uint32_t hits : infiniteHits(trace))
    infinite += hits;
  EXPECT_EQ(infinite, 29u + 30u * (2 + 3 + 4 + 5 + 6));
  for (const char *policy : kPolicies) {
    const ReplayResult r = run(trace, policy);
    EXPECT_EQ(r.whole.requests, trace.requests.size()) << policy;
    EXPECT_EQ(r.whole.shed, 0u) << policy;
    EXPECT_EQ(r.whole.blocks, trace.blocks.size()) << policy;
    EXPECT_EQ(r.whole.infiniteHits, infinite) << policy;
    EXPECT_LE(r.whole.hits, infinite) << policy;
    EXPECT_EQ(r.firstHalf.requests + r.secondHalf.requests, r.whole.requests) << policy;
    EXPECT_EQ(r.firstHalf.hits + r.secondHalf.hits, r.whole.hits) << policy;
    EXPECT_EQ(r.whole.busy,
              (r.whole.blocks - r.whole.hits) * 50 * kMs + r.whole.requests * 50 * (kMs / 2))
        << policy;
  }
}

TEST(Replay, HashingKeepsConversationsTogether) {
  const Trace trace = conversations(30, 6);
  EXPECT_GT(run(trace, "hash").whole.ofInfinite(), 0.98);
  EXPECT_LT(run(trace, "round-robin").whole.ofInfinite(), 0.9);
}

TEST(Replay, RepeatsItself) {
  const Trace trace = conversations(30, 6);
  for (const char *policy : kPolicies) {
    const ReplayResult a = run(trace, policy), b = run(trace, policy);
    EXPECT_EQ(a.whole.hits, b.whole.hits) << policy;
    EXPECT_EQ(a.whole.waitP99, b.whole.waitP99) << policy;
    ASSERT_FALSE(a.windows.empty());
    EXPECT_EQ(a.windows[0].most, b.windows[0].most) << policy;
  }
}

TEST(Replay, RefusesWhatTheDispatcherRefuses) {
  const Trace trace = conversations(2, 2);
  ReplayOptions options;
  options.policy = "scores";
  std::string error;
  EXPECT_FALSE(replay(trace, infiniteHits(trace), options, error));
  EXPECT_NE(error.find("did you mean 'score'"), std::string::npos) << error;
}

} // namespace
