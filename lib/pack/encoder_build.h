/// \file ENCM: stage 3's encoder in int8 (semdns/format/encoder.h).
#pragma once

#include "semdns/format/encoder.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::pack {

/// outputs = bias + scales * (weights . quantised(smooth * inputs)).
struct EncoderLinear {
  uint32_t in = 0, out = 0;
  std::vector<int8_t> weights; ///< [out][in] row-major, -127..127
  std::vector<float> scales;   ///< [out]
  std::vector<float> bias;     ///< [out]
  std::vector<float> smooth;   ///< [in]
};

struct EncoderLayer {
  EncoderLinear attend; ///< width -> query, key, value, each of heads * headRoom
  EncoderLinear output; ///< heads * headRoom -> width
  EncoderLinear up;     ///< width -> inner
  EncoderLinear down;   ///< inner -> width
  std::vector<float> attentionGain, attentionBias, outputGain, outputBias; ///< [width]
};

/// An encoder in its final numbers; packing only arranges them. Meanings and limits:
/// semdns/format/encoder.h.
struct EncoderModel {
  uint32_t heads = 0, headSize = 0, width = 0, inner = 0, vocabulary = 0, maxTokens = 0;
  semdns_pooling pooling = SEMDNS_POOLING_MEAN;
  semdns_activation activation = SEMDNS_ACTIVATION_GELU;
  float epsilon = 1e-12f;
  uint32_t tokenCost = 0;        ///< nanoseconds a token, 0: not known
  std::vector<int8_t> words;     ///< [vocabulary][width], -127..127
  std::vector<float> wordScales; ///< [vocabulary]
  std::vector<float> positions;  ///< [maxTokens][width], type 0 added
  std::vector<float> gain, bias; ///< [width]
  std::vector<EncoderLayer> layers;
  uint32_t headRoom() const { return (headSize + 15) / 16 * 16; }
  uint32_t room() const { return heads * headRoom(); }
};

/// Bytes of the section. On failure (shapes that do not fit together, a limit, also of the
/// floats) returns nullopt and sets `error`. Thread-safe, deterministic.
std::optional<std::string> buildEncoderSection(const EncoderModel &model, std::string &error);

} // namespace semdns::pack
