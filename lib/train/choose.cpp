#include "lib/train/choose.h"

#include <algorithm>
#include <cmath>

namespace semdns::train {

namespace {

constexpr uint32_t kLowestThreshold = 32768; // Q16: an answer is right more likely than not
constexpr double kRejectedShare = 0.005;     // of in-scope texts, that may go to the root
constexpr size_t kOddsLeast = 30;            // texts on either side needed to choose odds on
constexpr double kGuardLoss = 0.003;         // of the texts
constexpr double kDoubtedShare = 0.03;    // of in-scope texts, too near to the root's for stage 2
constexpr double kSurelyRejected = 0.002; // of in-scope texts, that stage 2 may reject

bool within(const Classes &classes, uint32_t zone, uint32_t truth) {
  return zone <= truth && truth < classes.zones[zone].subtreeEnd;
}

} // namespace

Opinion opinionOf(const Classes &classes, std::span<const uint32_t> weights, uint64_t sum,
                  uint32_t best, int32_t odds) {
  Opinion out;
  out.best = best;
  out.odds = odds;
  for (uint32_t z = classes.zone[best]; z != 0; z = classes.zones[z].parent) {
    auto from = std::lower_bound(classes.zone.begin(), classes.zone.end(), z);
    uint64_t inside = 0;
    for (; from != classes.zone.end() && *from < classes.zones[z].subtreeEnd; ++from)
      inside += weights[size_t(from - classes.zone.begin())];
    out.chain.push_back({z, uint32_t(inside * 65536 / sum)});
  }
  return out;
}

Outcome chooseThresholds(const Classes &classes, std::span<const Opinion> opinions,
                         std::span<const uint32_t> truths, double alpha, pack::Acceptance &out) {
  std::vector<int32_t> odds;
  for (size_t i = 0; i < opinions.size(); ++i)
    if (truths[i] != 0)
      odds.push_back(opinions[i].odds);
  out.rootOdds = INT32_MIN;
  if (classes.hasRoot() && odds.size() >= kOddsLeast) {
    std::sort(odds.begin(), odds.end());
    out.rootOdds = odds[size_t(double(odds.size()) * kRejectedShare)];
  }
  Outcome outcome;
  for (uint32_t threshold = kLowestThreshold;; threshold += 512) {
    outcome = {};
    for (size_t i = 0; i < opinions.size(); ++i) {
      if (truths[i] == 0)
        continue;
      ++outcome.inScope;
      if (opinions[i].odds < out.rootOdds)
        continue;
      const auto &chain = opinions[i].chain;
      auto it = std::find_if(chain.begin(), chain.end(),
                             [&](const auto &link) { return link.second >= threshold; });
      if (it == chain.end())
        continue;
      ++outcome.answered;
      outcome.misrouted += !within(classes, it->first, truths[i]);
    }
    bool good = double(outcome.misrouted) <= alpha * double(outcome.inScope);
    if (good || threshold + 512 > 65536) {
      std::fill(out.threshold.begin() + 1, out.threshold.end(), threshold);
      return outcome;
    }
  }
}

uint32_t chooseGuard(const Classes &classes, std::span<const Opinion> embedding,
                     std::span<const Opinion> encoder, std::span<const double> regret,
                     std::span<const uint32_t> truths, int32_t encoderRootOdds, double share,
                     pack::Guard &out) {
  out = {};
  size_t n = truths.size();
  if (n < kOddsLeast)
    return 0;
  if (classes.hasRoot()) {
    std::vector<int32_t> odds;
    for (size_t i = 0; i < n; ++i)
      if (truths[i] != 0)
        odds.push_back(embedding[i].odds);
    std::sort(odds.begin(), odds.end());
    if (odds.size() >= kOddsLeast) {
      out.odds = odds[size_t(double(odds.size()) * kDoubtedShare)];
      out.rejectOdds = odds[size_t(double(odds.size()) * kSurelyRejected)];
    }
  }
  // Losses and the texts that may pass by confidence; texts of equal confidence pass together.
  std::vector<std::pair<uint32_t, uint32_t>> order;
  size_t rejected = 0;
  double loss = 0;
  auto lossOf = [&](size_t i, bool right) {
    uint32_t said = encoder[i].odds < encoderRootOdds ? 0 : classes.zone[encoder[i].best];
    return double(said == truths[i]) - double(right);
  };
  for (uint32_t i = 0; i < n; ++i) {
    if (embedding[i].odds < out.rejectOdds) {
      ++rejected;
      loss += lossOf(i, truths[i] == 0) / 2;
    } else if (embedding[i].odds >= out.odds) {
      order.push_back({embedding[i].chain.empty() ? 65536 : embedding[i].chain[0].second, i});
    }
  }
  std::sort(order.rbegin(), order.rend());
  std::vector<double> lossAt{loss};
  for (auto [confidence, i] : order) {
    bool right = classes.zone[embedding[i].best] == truths[i];
    lossAt.push_back(lossAt.back() + (lossOf(i, right) + regret[i]) / 2);
  }
  for (; share > 0.04; share -= 0.05) {
    size_t taken = 0;
    while (taken < order.size() && (double(rejected + taken) < share * double(n) || taken == 0 ||
                                    order[taken].first == order[taken - 1].first))
      ++taken;
    if (taken == 0 || lossAt[taken] > kGuardLoss * double(n))
      continue;
    out.confidence = order[taken - 1].first;
    return uint32_t(rejected + taken);
  }
  return uint32_t(rejected);
}

} // namespace semdns::train
