/// \file From the float encoder to the one that artifacts hold, in int8.
#pragma once

#include "lib/encoder/model.h"
#include "lib/pack/encoder_build.h"

namespace semdns::encoder {

/// `model`'s first `layers` blocks (1..shape.layers) in int8: weights and words symmetric, with a
/// scale per output channel and per word; windows of at most 128 tokens. What is normalised or
/// pooled, and where, is docs/architecture.md, "Stage 3's embedding".
///
/// Inputs of linear maps differ much between channels, and one scale for a token leaves small
/// channels few steps. Each channel is therefore multiplied by a factor, and the weights divided by
/// it, that shares the difficulty between them: sqrt(largest weight / largest input), the inputs'
/// sizes taken from random token sequences, which know nothing of any data (Xiao et al.,
/// "SmoothQuant", 2023, with data-free calibration).
///
/// The same bits on every host; thread-safe. Floats that the format does not take (see
/// format/encoder.h) are left as they are, for packing to refuse.
pack::EncoderModel quantise(const Model &model, uint32_t layers);

} // namespace semdns::encoder
