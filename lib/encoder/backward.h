/// \file Loss and gradients of encoder and head on a batch. Internal to lib/encoder: finetune.h is
/// the way in.
#pragma once

#include "lib/encoder/forward_block.h"

namespace semdns::encoder {

/// Scores of the classes from a unit-length embedding e: scale * (e . class) + bias, where `cosine`
/// scales each class vector to unit length first and has no bias.
struct Head {
  uint32_t count = 0; ///< classes
  bool cosine = false;
  float scale = 1;
  std::vector<float> classes; ///< [count][width]
  std::vector<float> bias;    ///< [padded(count)]
};

/// A model as training holds it.
struct Parameters {
  Shape shape;
  Weights weights; ///< without `layers`
  std::vector<Block> blocks;
  Head head;
};

/// The derivative of the loss by each parameter.
struct Gradients {
  /// `vocabulary` ids may occur; only rows of `used` ids get room.
  Gradients(const Parameters &parameters, const std::vector<uint32_t> &used);

  static constexpr uint32_t kUnused = ~0u;
  std::vector<uint32_t> slot;    ///< [vocabulary]: row of an id in `words`, or kUnused
  std::vector<float> words;      ///< [used][width]; rows of `touched` are valid
  std::vector<uint32_t> touched; ///< slots with a gradient, in order of first occurrence
  std::vector<bool> isTouched;
  std::vector<float> positions, types;
  Norm embeddingNorm;
  std::vector<Block> blocks;
  std::vector<float> classes, bias;
  bool empty = true; ///< the next accumulate() overwrites
  /// Forgets what was accumulated.
  void clear();
};

/// Computes gradients; keeps its buffers between calls.
class Backward {
public:
  /// Adds the gradients of `share` * sum of the rows' losses to `gradients`, and returns that sum.
  /// The loss is the cross-entropy against (1 - smoothing) on the label and smoothing / classes on
  /// each class. Ids have a slot, labels are below head.count. The same for any number of threads.
  double accumulate(const Parameters &parameters, const Batch &batch,
                    std::span<const uint32_t> labels, float share, float smoothing,
                    float consistency, const Dropout *dropout, unsigned threads,
                    Gradients &gradients);

private:
  struct LayerBuffers {
    Buffer qkv, probabilities, context, middleHat, middleScale, middle, up, active, hat, scale;
  };
  struct Group;
  void reserve(const Shape &shape, const Batch &batch, uint32_t classes);
  double run(const Parameters &parameters, Group &group, std::span<const uint32_t> labels,
             float share, float smoothing, float consistency, const Dropout *dropout);
  Tape tapeOf(const Shape &shape, const Group &group, size_t layer);

  std::vector<LayerBuffers> layers_;
  std::vector<Buffer> x_; ///< [layers + 1] inputs of the layers, and what the last one gives
  Buffer embeddingHat_, embeddingScale_, embeddings_, scores_;
  std::vector<float> classes_; ///< as the scores use them: of unit length for a cosine head
};

} // namespace semdns::encoder
