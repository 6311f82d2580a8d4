/// \file Multinomial logistic regression over sparse rows.
#pragma once

#include "lib/train/features.h"
#include "lib/train/lanes.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

/// Class weights in blocks of kLanes classes: blocks[b][feature * kLanes + lane]. Lanes beyond the
/// last class are zero.
struct BlockWeights {
  size_t features = 0, classes = 0;
  std::vector<std::vector<float>> blocks;
  BlockWeights() = default;
  BlockWeights(size_t featureCount, size_t classCount);
  float at(size_t feature, size_t k) const {
    return blocks[k / kLanes][feature * kLanes + k % kLanes];
  }
};

struct SoftmaxOptions {
  uint32_t epochs = 8;
  double rate = 4; ///< learning rate of the first step; falls linearly to 0
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Minimises the log loss by stochastic gradient descent without bias; the early end is its
/// regularisation. `label[i]` is the class of row i, `weight[i]` its weight. Rows should have about
/// unit length. Gradients are taken over batches of 32 rows in an order fixed by the seed; threads
/// share the classes, so that the result does not depend on their number.
BlockWeights trainSoftmax(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                          std::span<const float> weight, size_t classes,
                          const SoftmaxOptions &options);

/// Scores of the given rows: out[i * classes + k].
std::vector<float> scoreRows(const SparseRows &x, std::span<const uint32_t> rows,
                             const BlockWeights &weights, unsigned threads);

} // namespace semdns::train
