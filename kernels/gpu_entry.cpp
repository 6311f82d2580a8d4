/* The micro-kernel of an artifact's GPU code: kernels/read.h, compiled to LLVM bitcode for NVPTX,
 * linked with the lowered `route` program and inlined into it with the artifact's constants. */
#include "kernels/read.h"

extern "C" __attribute__((visibility("default"), always_inline)) void
uk_gpu_read(const uint8_t *text, const uint8_t *keyw, const uint8_t *tokv, const uint8_t *clsf,
            const uint8_t *bytes, const uint32_t *offsets, uint64_t *hashes, uint32_t *rows,
            semdns_gpu_text *texts, semdns_gpu_answer *answers, uint32_t index, uint32_t stages,
            uint32_t wordNgramMax, uint32_t charMin, uint32_t charMax, uint32_t punct,
            uint32_t terms, uint32_t room, uint32_t buckets, uint32_t unknownNorm) {
  uk_read_options options = {wordNgramMax, charMin, charMax, punct, terms, room};
  uk_read(text, keyw, tokv, clsf, bytes, offsets, hashes, rows, texts, answers, index, stages,
          options, buckets, unknownNorm);
}
