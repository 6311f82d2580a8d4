/// \file Joint training of feature rows and class vectors, from a factorisation as the start.
#pragma once

#include "lib/train/embedding.h"

#include <cstdint>
#include <span>

namespace semdns::train {

/// What each text's class probabilities should be: its class's 1, or a teacher's distribution.
struct Targets {
  static constexpr uint32_t kHard = 0xffffffffu;
  std::span<const uint32_t> label;   ///< [texts] class; any where there is a distribution
  std::span<const uint32_t> softRow; ///< [texts] row in `soft`, or kHard; empty: all hard
  std::span<const float> soft;       ///< [rows][classes], each adds up to 1
};

struct RefineOptions {
  uint32_t epochs = 12;
  double rate = 0.35;      ///< learning rate of the rows at first; falls linearly to 0
  double vectorRate = 0.1; ///< of the class vectors, as a share of `rate`
  double dropped = 0.5;    ///< share of a text's features that each step leaves out
  bool rescale = true;     ///< bring scores to the size that training starts best from
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Minimises the cross entropy of scores = vectors * (rows^T x) to the targets by stochastic
/// gradient descent over both factors, in batches whose texts all see the same factors. Leaving out
/// half of the features each time teaches rows to stand in for each other; that and the small
/// dimension make this better than the linear classifier it starts from. Threads share a batch's
/// texts, then its rows and classes, so that the result does not depend on their number. With more
/// than 1024 classes each text looks at its own and 1023 random others (hard targets only).
/// `weight` as for trainSoftmax; dim must be a multiple of 16.
void refine(Factors &factors, const SparseRows &x, const Targets &targets,
            std::span<const float> weight, const RefineOptions &options);

} // namespace semdns::train
