/// \file The teacher of stages 1 and 2: a softmax classifier over the encoder's embeddings, joined
/// with the lexical classifier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

/// scores[k] = classes[k] . embedding + bias[k].
struct DenseHead {
  size_t width = 0, classes = 0;
  std::vector<float> vectors; ///< [classes][width]
  std::vector<float> bias;    ///< [classes]
};

struct DenseOptions {
  uint32_t epochs = 30;
  double rate = 0.02;  ///< of the first step; falls linearly to 0
  double decay = 0.03; ///< share of the weights' size that every step takes, per rate
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Minimises the log loss over unit-length `embeddings` [rows][width] by Adam (Kingma and Ba, 2015)
/// with decoupled weight decay, in batches of 64. `label[i]`, `weight[i]`: of row i; rows of weight
/// 0 do not count. Starts from the classes' mean embeddings, or from `start`. Same result for any
/// number of threads.
DenseHead trainDense(std::span<const float> embeddings, size_t width,
                     std::span<const uint32_t> label, std::span<const float> weight, size_t classes,
                     const DenseOptions &options, const DenseHead *start = nullptr);

/// out[row * classes + k].
std::vector<float> scoreDense(const DenseHead &head, std::span<const float> embeddings,
                              unsigned threads);

/// Two classifiers' scores joined: lexical * a + dense * b.
struct Blend {
  double lexical = 1, dense = 1;
};

/// The blend of least log loss on the given rows, over a grid. `lexical`, `dense`: [rows][classes].
Blend chooseBlend(std::span<const float> lexical, std::span<const float> dense,
                  std::span<const uint32_t> label, size_t classes, unsigned threads);

/// In place: rows of scores become probabilities.
void softmaxRows(std::vector<float> &scores, size_t classes, unsigned threads);

} // namespace semdns::train
