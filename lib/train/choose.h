/// \file What is chosen on the Tune part: thresholds, odds against the root, stage 2's guard. First
/// choices: lib/calibrate chooses again, with a guarantee, where there are texts for it.
#pragma once

#include "lib/pack/model.h"
#include "lib/train/train.h"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace semdns::train {

/// What a stage says to a Tune text.
struct Opinion {
  uint32_t best = 0; ///< class, never the root's own unless there is no other
  int32_t odds = INT32_MAX;
  std::vector<std::pair<uint32_t, uint32_t>> chain; ///< (zone, confidence Q16), best zone first
};

/// The tree and its classes.
struct Classes {
  std::span<const Zone> zones;
  std::span<const uint32_t> zone; ///< [classes]
  bool hasRoot() const { return !zone.empty() && zone[0] == 0; }
};

/// From class weights (Q16) that add up to `sum`.
Opinion opinionOf(const Classes &classes, std::span<const uint32_t> weights, uint64_t sum,
                  uint32_t best, int32_t odds);

/// What `acceptance` makes of the texts: answered below the root, misrouted, both in scope.
struct Outcome {
  uint32_t inScope = 0, answered = 0, misrouted = 0;
};

/// `truths`: the texts' zones. Sets rootOdds so that 0.5 % of the in-scope texts fall below (never,
/// where the root has no class or there are too few texts), and one threshold for all zones: the
/// lowest of at least one half for which no more than `alpha` of the in-scope texts are misrouted.
Outcome chooseThresholds(const Classes &classes, std::span<const Opinion> opinions,
                         std::span<const uint32_t> truths, double alpha, pack::Acceptance &out);

/// The strictest guard that lets stage 2 answer `share` of the texts, or fewer (in steps) where
/// that costs more than 0.3 % of the texts: by their labels, and by what stage 3 thinks of stage
/// 2's answer (`regret`: its probability for its own best class less that for stage 2's), on
/// average. Stage 3 rejects by `encoderRootOdds`. Returns how many of the texts stage 2 answers.
uint32_t chooseGuard(const Classes &classes, std::span<const Opinion> embedding,
                     std::span<const Opinion> encoder, std::span<const double> regret,
                     std::span<const uint32_t> truths, int32_t encoderRootOdds, double share,
                     pack::Guard &out);

/// Of the texts, that stage 2 is to answer: in any tree, and where zones are only described, which
/// stage 2 can hardly know.
inline constexpr double kGuardShare = 0.905, kGuardShareDescribed = 0.75;

} // namespace semdns::train
