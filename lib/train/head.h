/// \file Stage 3's head: quantising it, and its integer arithmetic (docs/architecture.md,
/// "Arithmetic"), for choosing what is chosen on the Tune part.
#pragma once

#include "lib/pack/model.h"
#include "lib/train/embedding.h"
#include "lib/train/teacher.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

/// Stage 2's logits relative to the largest, in 1/256 bit: 0 down to -2^20.
std::vector<int32_t> relativeLogits(const Pooled &pooled, uint32_t gain);

/// Stage 2's odds: best class below the root against the root's own (class 0), in 1/256 bit;
/// INT32_MAX where the root has no class.
int32_t oddsOf(const Pooled &pooled, uint32_t gain, bool rootClass);

/// An embedding as stage 3's head reads it.
struct CodedEmbedding {
  std::vector<int8_t> q; ///< [width]
  uint32_t peak = 0;     ///< P, Q16
};
CodedEmbedding codeEmbedding(std::span<const float> embedding);

/// The head for logits `dense` * scores of `head` + `mix` * stage 2's, without acceptance data.
pack::EncoderHead quantiseHead(const DenseHead &head, double dense, double mix);

/// Logits x3 [classes] in 1/256 bit.
std::vector<int32_t> headLogits(const pack::EncoderHead &head, const CodedEmbedding &embedding,
                                std::span<const int32_t> relative);

/// Class weights (Q16) from logits in 1/256 bit, and their sum.
uint64_t logitWeights(std::span<const int32_t> logits, std::vector<uint32_t> &weights);

} // namespace semdns::train
