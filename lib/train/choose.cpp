#include "lib/train/choose.h"

#include <algorithm>
#include <cmath>

namespace semdns::train {

namespace {

constexpr uint32_t kLowestThreshold = 32768; // Q16: an answer is right more likely than not
constexpr double kRejectedShare = 0.015;     // of in-scope texts, that may go to the root
constexpr size_t kOddsLeast = 30;            // texts on either side needed to choose odds on
constexpr double kGuardLoss = 0.002;         // of the texts

bool within(const Classes &classes, uint32_t zone, uint32_t truth) {
  return zone <= truth && truth < classes.zones[zone].subtreeEnd;
}

} // namespace

Opinion opinionOf(const Classes &classes, std::span<const uint32_t> weights, uint64_t sum,
                  uint32_t best, int32_t odds, uint32_t label) {
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
  out.rightShare = double(weights[label]) / double(sum);
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
                     std::span<const Opinion> encoder, std::span<const uint32_t> truths,
                     int32_t encoderRootOdds, pack::Guard &out) {
  out = {};
  size_t n = truths.size();
  if (n < kOddsLeast)
    return 0;
  // Right or not, by each stage; and how stage 2 is right when it rejects.
  std::vector<uint8_t> answerRight(n), encoderRight(n);
  size_t always = 0;
  for (size_t i = 0; i < n; ++i) {
    answerRight[i] = classes.zone[embedding[i].best] == truths[i];
    uint32_t said = encoder[i].odds < encoderRootOdds ? 0 : classes.zone[encoder[i].best];
    encoderRight[i] = said == truths[i];
    always += encoderRight[i];
  }
  auto quantiles = [&](bool inScope, std::vector<int32_t> &grid, std::span<const double> shares) {
    std::vector<int32_t> odds;
    for (size_t i = 0; i < n; ++i)
      if ((truths[i] != 0) == inScope)
        odds.push_back(embedding[i].odds);
    std::sort(odds.begin(), odds.end());
    for (double share : shares)
      if (odds.size() >= kOddsLeast)
        grid.push_back(odds[size_t(double(odds.size() - 1) * share)]);
  };
  std::vector<int32_t> guards{INT32_MIN}, rejects{INT32_MIN};
  if (classes.hasRoot()) {
    constexpr double kIn[] = {0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2};
    quantiles(true, guards, kIn);
    constexpr double kOut[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
    quantiles(false, rejects, kOut);
  }
  size_t allowed = size_t(kGuardLoss * double(n));
  size_t bestShare = 0, bestRight = 0;
  for (int32_t reject : rejects)
    for (int32_t guard : guards) {
      if (guard < reject)
        continue;
      // Texts in the order of falling confidence: each prefix is a guard.
      std::vector<std::pair<uint32_t, uint32_t>> order;
      size_t right = always, rejected = 0;
      for (uint32_t i = 0; i < n; ++i) {
        if (embedding[i].odds < reject) {
          ++rejected;
          right += size_t(truths[i] == 0) - encoderRight[i];
        } else if (embedding[i].odds >= guard) {
          order.push_back({embedding[i].chain.empty() ? 65536 : embedding[i].chain[0].second, i});
        }
      }
      std::sort(order.rbegin(), order.rend());
      for (size_t taken = 0; taken <= order.size(); ++taken) {
        if (taken > 0) {
          uint32_t i = order[taken - 1].second;
          right += size_t(answerRight[i]) - encoderRight[i];
        }
        if (taken < order.size() && taken > 0 && order[taken].first == order[taken - 1].first)
          continue; // texts of one confidence pass together
        size_t share = rejected + taken;
        if (right + allowed < always || share < bestShare ||
            (share == bestShare && right <= bestRight))
          continue;
        bestShare = share;
        bestRight = right;
        out.confidence = taken ? order[taken - 1].first : 65537;
        out.odds = guard;
        out.rejectOdds = reject;
      }
    }
  return uint32_t(bestShare);
}

} // namespace semdns::train
