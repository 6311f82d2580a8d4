/// \file Random encoders in int8.
#pragma once

#include "lib/pack/encoder_build.h"

#include <cstdint>

namespace semdns::test {

struct EncoderShape {
  uint32_t layers = 2, heads = 2, headSize = 16, inner = 64, vocabulary = 50, maxTokens = 128;
  semdns_pooling pooling = SEMDNS_POOLING_MEAN;
  semdns_activation activation = SEMDNS_ACTIVATION_GELU;
  float spread = 1; ///< of scales: 1 is what a trained model has; large ones reach every clamp
};

/// The same seed and shape give the same model everywhere. All rules of format/encoder.h hold.
pack::EncoderModel randomEncoder(const EncoderShape &shape, uint64_t seed);

/// MiniLM-L6's.
inline EncoderShape miniShape() {
  EncoderShape shape;
  shape.layers = 6;
  shape.heads = 12;
  shape.headSize = 32;
  shape.inner = 1536;
  shape.vocabulary = 30522;
  return shape;
}

} // namespace semdns::test
