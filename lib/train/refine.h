/// \file Joint training of feature rows and class vectors, from a factorisation as the start.
#pragma once

#include "lib/train/embedding.h"

#include <cstdint>
#include <span>

namespace semdns::train {

struct RefineOptions {
  uint32_t epochs = 12;
  double rate = 0.35;      ///< learning rate of the rows at first; falls linearly to 0
  double vectorRate = 0.1; ///< of the class vectors, as a share of `rate`
  double dropped = 0.5;    ///< share of a text's features that each step leaves out
  uint64_t seed = 1;
};

/// Minimises the log loss of scores = vectors * (rows^T x) by stochastic gradient descent over both
/// factors. Leaving out half of the features each time teaches rows to stand in for each other;
/// that and the small dimension make this better than the linear classifier it starts from. Scores
/// are scaled first so that their starting size does not matter. One thread: the order of the texts
/// is part of the result. With more than 1024 classes each step looks at the text's own and 1023
/// random others. `label`, `weight` as for trainSoftmax; dim must be a multiple of 16.
void refine(Factors &factors, const SparseRows &x, std::span<const uint32_t> label,
            std::span<const float> weight, const RefineOptions &options);

} // namespace semdns::train
