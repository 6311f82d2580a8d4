/// \file Stage 3's first half: a query as the encoder's embedding, in int8.
#pragma once

#include "runtime/artifact/encoder.h"
#include "semdns/kernel.h"

namespace semdns::exec {

/// Bytes of working memory that encodeQuery needs for `encoder`: a multiple of 64, a megabyte or
/// so.
uint64_t encoderArenaSize(const artifact::Encoder &encoder);

/// A semdns_kernel_encode_fn that reads everything, dimensions included, from the section.
/// Bit-equal to every compiled one (docs/architecture.md, "Stage 3's embedding").
void encodePortable(const uint8_t *encm, const uint32_t *ids, uint32_t count, void *arena,
                    int8_t *q, uint32_t *peak);

struct Encoded {
  uint32_t tokens = 0; ///< in the window, [CLS] and [SEP] included
  uint32_t flags = 0;  ///< SEMDNS_KERNEL_TRUNCATED, SEMDNS_KERNEL_REPAIRED: as the window says
  uint32_t peak = 0;   ///< Q16: the embedding's largest component in magnitude, 0..65536
};

/// Cuts query.text (and query.context) into tokens by the validated WPCE section at `wpce`, which
/// must be of the encoder's vocabulary, and runs `encode` (Kernel's, or encodePortable) over them:
/// q[encoder.header->width] is the embedding in units of peak / 127, -127..127. `arena`:
/// encoderArenaSize() bytes, 64-byte aligned, contents irrelevant.
///
/// False, with q and peak zero, when the text has no token: nothing to decide on. Whatever rounding
/// mode and treatment of denormals the calling thread has set is put aside for the call and is in
/// place again afterwards, so that the result does not depend on it. Re-entrant; allocates nothing.
bool encodeQuery(const artifact::Encoder &encoder, const uint8_t *wpce,
                 semdns_kernel_encode_fn encode, const semdns_kernel_query &query, void *arena,
                 int8_t *q, Encoded &out);

} // namespace semdns::exec
