/* Stage 3's part of a compiled kernel: LLVM bitcode like entry.cpp, linked only into kernels of
 * artifacts with an encoder. The compiler gives uk_encode_target and uk_dot4 (encode.h) their
 * definitions for each level, and uk_encode_shape the header of the artifact's ENCM section, whose
 * fields become constants. */
#define UK_ENCODE_COMPILED
#include "kernels/encode.h"

extern "C" const semdns_encm_header uk_encode_shape;

extern "C" __attribute__((visibility("default"))) void
semdns_kernel_encode(const uint8_t *encm, const uint32_t *ids, uint32_t count, void *arena,
                     int8_t *q, uint32_t *peak) {
  uk_encode_tokens(&uk_encode_shape, encm, ids, count, (uint8_t *)arena, q, peak);
}
