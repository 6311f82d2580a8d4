/// \file From a linear classifier to stage 2's integer model: factorise, prune, quantise; and stage
/// 2's integer inference, for choosing what is chosen on the held-out slice.
#pragma once

#include "lib/pack/model.h"
#include "lib/train/features.h"
#include "lib/train/linear.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

/// What the features weigh before the classifier: value = weight * occurrences / norm, where the
/// norm is the one of docs/architecture.md ("n"), unknown words included.
struct FeatureWeights {
  std::vector<uint32_t> norm; ///< [features] weight in units of 1 / kNormOne
  uint32_t unknownNorm = 0;   ///< of a word that the vocabulary lacks
};
inline constexpr uint32_t kNormOne = 256;

/// Damped inverse document frequency times a factor of the feature's family.
FeatureWeights weighFeatures(const Vocabulary &vocabulary);

/// One row a text, of norm about 1.
SparseRows vectorise(std::span<const Counts> texts, const FeatureWeights &weights);

/// scores(x) = classes * (rows^T x): rows [features][dim], classes [classes][dim].
struct Factors {
  size_t features = 0, classes = 0, dim = 0;
  std::vector<float> rows, vectors;
};

/// The factorisation of `weights` (scores up to a constant a text) that loses least of the scores'
/// variance over (a sample of) the rows of `x`.
Factors factorise(const BlockWeights &weights, const SparseRows &x, size_t dim, unsigned threads);

inline constexpr uint32_t kPruned = 0, kPrunedWord = 0xffffffffu;

/// A start for many classes, cheaper than a classifier: class vectors are random directions, a
/// feature's row is the sum of the directions of the classes it occurs in (less their mean).
Factors projectCentroids(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                         std::span<const float> weight, size_t classes, size_t dim);

/// Everything of stage 2 but the gain, which calibration sets. `scale` makes integer scores
/// comparable between models: logit = s * m / n * scale, with s, m, n as in docs/architecture.md.
struct Quantised {
  pack::EmbeddingModel model;
  double scale = 1;
  std::vector<uint32_t> rowOf; ///< [features] row, kPruned or kPrunedWord
};

/// Keeps the (at most maxRows - 1) features that move the training texts most and rounds everything
/// to int8.
Quantised quantise(const Factors &factors, const Vocabulary &vocabulary,
                   const FeatureWeights &weights, const FeatureShape &shape, size_t maxRows,
                   std::span<const double> prior);

/// Stage 2 up to the scores, as docs/architecture.md defines it.
struct Pooled {
  std::vector<int32_t> scores; ///< [classes]
  uint32_t peak = 0;           ///< m
  uint32_t norm = 1;           ///< n
  uint32_t rows = 0;           ///< occurrences of known features
};
Pooled scoreInteger(const pack::EmbeddingModel &model, const std::vector<uint32_t> &rowOf,
                    const Counts &text);

/// Class weights (Q16) and their sum, from scores.
uint64_t softWeights(const Pooled &pooled, uint32_t gain, std::vector<uint32_t> &weights);

/// exp2[i] = round(65536 * 2^(-i/256)): the table that CLSF carries.
const std::vector<uint32_t> &exp2Table();

} // namespace semdns::train
