// Costs, the scheduler and its ablation, on recorded costs: no GPU, no clock.
#include "lib/schedule/ablation.h"

#include <gtest/gtest.h>
#include <set>

namespace {

using namespace semdns::schedule;

/// clinc150's artifact on an H100 and 16 cores beside it, as measured (docs/benchmarks.md).
std::vector<Device> recordedCosts() {
  return {{"cpu", 277, 883, 0, 16, 1, 1}, {"cuda:0", 119957, 29.8, 0, 1, 131072, 1}};
}

TEST(Costs, AreFoundAgain) {
  std::vector<Sample> samples;
  for (uint64_t texts : {1, 100, 10000, 1000000})
    samples.push_back(
        {texts, texts * 40 + texts % 7 * 13, 9000 + 25.0 * static_cast<double>(texts)});
  const auto device = fit("d", samples);
  ASSERT_TRUE(device);
  EXPECT_NEAR(device->launch, 9000, 100);
  EXPECT_NEAR(device->predict(10000, 400000), 259000, 3000);
  EXPECT_FALSE(fit("d", {samples[0], samples[1]}));
}

TEST(Costs, AreReadAsWritten) {
  std::string error;
  const auto read = readCosts(writeCosts(recordedCosts()), error);
  ASSERT_TRUE(read) << error;
  EXPECT_EQ((*read)[1].launch, 119957);
  EXPECT_EQ((*read)[0].lanes, 16u);
  for (const char *bad : {"", "[]", "{\"devices\":[]}", "{\"devices\":[{\"name\":1}]}",
                          "{\"devices\":[{\"name\":\"a\",\"launch_ns\":-1}]}"})
    EXPECT_FALSE(readCosts(bad, error)) << bad;
}

TEST(Scheduler, FewGoToTheCoresManyToTheGpu) {
  Scheduler few(recordedCosts()), many(recordedCosts());
  Batch batch;
  for (uint64_t i = 0; i < 3; ++i)
    few.add({i, 0, 40, 0, 1e7});
  ASSERT_TRUE(few.next(0, batch));
  EXPECT_EQ(batch.device, 0u);
  EXPECT_EQ(batch.requests.size(), 1u);
  for (uint64_t i = 0; i < 20000; ++i)
    many.add({i, 0, 40, 0, 1e7});
  ASSERT_TRUE(many.next(0, batch));
  EXPECT_EQ(batch.device, 1u);
  EXPECT_EQ(batch.requests.size(), 20000u);
  EXPECT_NE(batch.why.find("cuda:0"), std::string::npos) << batch.why;
  EXPECT_FALSE(many.next(0, batch));
}

TEST(Scheduler, UrgentQueriesDoNotWaitForABatch) {
  Scheduler scheduler(recordedCosts());
  for (uint64_t i = 0; i < 20000; ++i)
    scheduler.add({i, 0, 40, 0, 1e7});
  scheduler.add({77777, 0, 40, 0, 20000}); // due in 20 us
  Batch batch;
  ASSERT_TRUE(scheduler.next(0, batch));
  EXPECT_EQ(batch.device, 0u);
  EXPECT_EQ(batch.requests[0].id, 77777u);
  ASSERT_TRUE(scheduler.next(0, batch));
  EXPECT_EQ(batch.device, 1u);
}

TEST(Scheduler, ScopesShare) {
  auto costs = recordedCosts();
  costs.pop_back();
  costs[0].lanes = 1;
  Scheduler scheduler(costs);
  for (uint64_t i = 0; i < 1000; ++i)
    scheduler.add({i, 1, 40, 0, 1e9});
  for (uint64_t i = 0; i < 10; ++i)
    scheduler.add({5000 + i, 2, 40, 1, 1e9});
  std::multiset<uint32_t> first;
  for (int i = 0; i < 20; ++i) {
    Batch batch;
    ASSERT_TRUE(scheduler.next(2, batch));
    first.insert(batch.requests[0].scope);
    scheduler.done(0, 1160, 1160);
  }
  EXPECT_EQ(first.count(2), 10u);
}

TEST(Scheduler, CostsAreCorrected) {
  Scheduler scheduler(recordedCosts());
  const double before = scheduler.predict(0, 1, 40);
  for (int i = 0; i < 200; ++i) {
    scheduler.add({0, 0, 40, 0, 1e9});
    Batch batch;
    ASSERT_TRUE(scheduler.next(0, batch));
    scheduler.done(batch.device, batch.predicted, 2 * before);
  }
  EXPECT_NEAR(scheduler.predict(0, 1, 40), 2 * before, 0.1 * before);
}

TEST(Ablation, OursIsNeverFarFromTheBestFixedChoice) {
  const auto costs = recordedCosts();
  const double better = 1e9 / 31; // the GPU's queries a second, nearly
  bool betterSomewhere = false;
  for (double load : {0.001, 0.05, 0.2, 0.5, 0.8}) {
    const auto arrivals = poisson(load * better, 20000, 5e6, 7);
    const Outcome ours = simulate(costs, Policy::Ours, arrivals, 1);
    double throughput = 0;
    bool all = true;
    for (Policy policy : {Policy::CpuOnly, Policy::GpuOnly, Policy::AlwaysBatch}) {
      const Outcome fixed = simulate(costs, policy, arrivals, 1);
      throughput = std::max(throughput, fixed.throughput);
      all &= ours.p99 < fixed.p99;
    }
    betterSomewhere |= all;
    EXPECT_GE(ours.throughput, 0.95 * throughput) << load;
    EXPECT_GE(ours.inTime, 0.999) << load;
  }
  EXPECT_TRUE(betterSomewhere);
}

TEST(Ablation, IsRepeatable) {
  const auto arrivals = recorded({1, 5, 0.1, 0, 7}, 1e6, 5000, 1e6, 3);
  const Outcome a = simulate(recordedCosts(), Policy::Ours, arrivals, 5);
  const Outcome b = simulate(recordedCosts(), Policy::Ours, arrivals, 5);
  EXPECT_EQ(a.p99, b.p99);
  EXPECT_NEAR(a.offered, 1e6, 1e4);
}

} // namespace
