/// \file Linear classifiers over sparse rows: one-against-rest support vector machines by dual
/// coordinate descent, and multinomial logistic regression by stochastic gradient descent. Their
/// errors differ; the sum of both is better than either (docs/architecture.md, "Training").
#pragma once

#include "lib/train/features.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

inline constexpr uint32_t kLanes = 16; ///< classes that are worked on together

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

struct SvmOptions {
  double cost = 4;         ///< C of the squared hinge loss, of an example of weight 1
  uint32_t epochs = 30;    ///< passes over the data, at most
  double tolerance = 0.02; ///< stop when no projected gradient of a pass exceeds it
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Minimises 1/2 |w_k|^2 + sum_i cost_i max(0, 1 - y_ik w_k x_i)^2 for each class k, without bias
/// (Hsieh et al. 2008). `label[i]` is the class of row i, `weight[i]` its weight (cost_i = cost *
/// weight). Rows should have about unit length. Each class is independent of all others, lanes are
/// elementwise: the result depends neither on threads nor on the vector width.
BlockWeights trainSvm(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                      std::span<const float> weight, size_t classes, const SvmOptions &options);

struct SoftmaxOptions {
  uint32_t epochs = 15;
  double rate = 4; ///< learning rate of the first step; falls linearly to 0
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Multinomial logistic regression; the early end is its regularisation. Gradients are taken over
/// batches of 32 rows in an order fixed by the seed; threads share the classes, so that the result
/// does not depend on their number.
BlockWeights trainSoftmax(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                          std::span<const float> weight, size_t classes,
                          const SoftmaxOptions &options);

/// Scores of the given rows: out[i * classes + k].
std::vector<float> scoreRows(const SparseRows &x, std::span<const uint32_t> rows,
                             const BlockWeights &weights, unsigned threads);

} // namespace semdns::train
