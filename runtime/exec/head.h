/// \file Stage 3's second half: from the encoder's embedding and stage 2's scores to an answer.
#pragma once

#include "semdns/format/head.h"
#include "semdns/kernel.h"

namespace semdns::exec {

/// Working memory of decideEncoded.
struct HeadScratch {
  int8_t *query = nullptr;     ///< [padded_width]; the embedding goes to [0, width)
  int32_t *scores = nullptr;   ///< [padded_count] stage 3's logits
  uint32_t *weights = nullptr; ///< [padded_count]
};

/// Stage 3 of docs/architecture.md, "Arithmetic". `clsf` and `head` are sections, validated;
/// memory.query holds the embedding in units of peak / 127, and `peak` is Q16. `scores2` and
/// answer.gain are those that stage 2 has left. Replaces stage 2's decision and candidates in
/// `answer` (topK of them, 1..SEMDNS_KERNEL_TOP_MAX). Allocates nothing.
void decideEncoded(const uint8_t *clsf, const uint8_t *head, uint32_t peak, const int32_t *scores2,
                   uint32_t topK, const HeadScratch &memory, semdns_kernel_answer &answer);

} // namespace semdns::exec
