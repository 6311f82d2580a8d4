#include "runtime/exec/head.h"

#include "kernels/accept.h"
#include "runtime/exec/portable.h"

#include <string.h>

namespace semdns::exec {

void decideEncoded(const uint8_t *clsf, const uint8_t *head, uint32_t peak, const int32_t *scores2,
                   uint32_t topK, const HeadScratch &memory, semdns_kernel_answer &answer) {
  const auto &h = *reinterpret_cast<const semdns_head_header *>(head);
  const auto *bias = reinterpret_cast<const int32_t *>(head + h.bias_offset);
  memset(memory.query + h.width, 0, h.padded_width - h.width);
  scoreClasses(reinterpret_cast<const int8_t *>(head + h.vectors_offset), h.padded_count,
               h.padded_width, h.layout, memory.query, memory.scores);

  const int64_t gain = static_cast<int64_t>((uint64_t(h.gain) * peak) >> 16);
  const int32_t top2 = uk_top(scores2, h.class_count);
  const uint32_t gain2 = answer.gain, limit2 = uk_limit(gain2);
  constexpr int64_t kMost = 1 << 29;
  for (uint32_t k = 0; k < h.class_count; ++k) {
    const int64_t behind2 = uk_distance(static_cast<uint32_t>(top2 - scores2[k]), gain2, limit2);
    const int64_t x = ((memory.scores[k] * gain) >> 16) + ((-behind2 * h.mix) >> 16) + bias[k];
    memory.scores[k] = static_cast<int32_t>(x > kMost ? kMost : x < -kMost ? -kMost : x);
  }

  uk_acceptance acceptance = uk_acceptance_of(clsf);
  acceptance.threshold = reinterpret_cast<const uint32_t *>(head + h.zone_threshold_offset);
  acceptance.root_odds = h.root_odds;
  memset(answer.top_class, 0, sizeof answer.top_class);
  memset(answer.top_zone, 0, sizeof answer.top_zone);
  memset(answer.top_confidence, 0, sizeof answer.top_confidence);
  uk_accept(&acceptance, memory.scores, UK_GAIN_ONE, topK, memory.weights, &answer);
  answer.stage = SEMDNS_KERNEL_STAGE_ENCODER;
  answer.flags &= ~SEMDNS_KERNEL_NO_EVIDENCE;
}

} // namespace semdns::exec
