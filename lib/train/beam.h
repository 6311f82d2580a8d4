/// \file Training where classes are too many to score them all: one classifier per node of the
/// search tree (pack::BeamModel), all over the same pooled features.
#pragma once

#include "lib/pack/model.h"
#include "lib/train/embedding.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

struct BeamOptions {
  uint32_t epochs = 12;
  double rate = 0.5;
  double dropped = 0.5; ///< share of a text's features that a step leaves out
  uint64_t seed = 1;
  unsigned threads = 1;
};

/// Feature rows, entry vectors (factors.classes are entries) and entry biases, in nats.
struct BeamFactors {
  Factors factors;
  std::vector<float> bias; ///< [entries]
};

/// A start: random directions for entries, biases by how much training text is below them.
BeamFactors startBeam(const pack::BeamModel &beam, size_t features, std::span<const uint32_t> label,
                      std::span<const float> weight, size_t dim, uint64_t seed);

/// Trains rows, vectors and biases together: the log loss of every choice on the way to a text's
/// class (hierarchical softmax: Morin and Bengio, "Hierarchical probabilistic neural network
/// language model", 2005), by adaptive gradient steps in batches, random features left out. The
/// work of a step is the entries on one way down, not the number of classes. Deterministic for any
/// thread count.
void trainBeam(BeamFactors &model, const pack::BeamModel &beam, const SparseRows &x,
               std::span<const uint32_t> label, std::span<const float> weight,
               const BeamOptions &options);

/// Mean log loss in nats of the texts `rows` at each of `sharpness`: the factor of all logits.
std::vector<double> beamLoss(const BeamFactors &model, const pack::BeamModel &beam,
                             const SparseRows &x, std::span<const uint32_t> rows,
                             std::span<const uint32_t> label, std::span<const double> sharpness,
                             unsigned threads);

} // namespace semdns::train
