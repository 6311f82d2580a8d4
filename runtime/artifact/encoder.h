/// \file ENCM: stage 3's encoder.
#pragma once

#include "runtime/artifact/meta.h"
#include "semdns/format/encoder.h"

namespace semdns::artifact {

/// View of a validated ENCM section; pointers into its bytes.
struct Encoder {
  const semdns_encm_header *header = nullptr;
  const uint8_t *data = nullptr; ///< the section's start, as kernels take it

  /// Validates `span` by the rules of format/encoder.h: shape, arrays, every float's range, offsets
  /// recomputed. One pass over the section.
  static bool parse(Span span, Encoder &out, base::Error &error, bool trustValues = false);
};

/// What a compiled kernel states in semdns_kernel_info_t::encoder to say which shape it was
/// compiled for: a hash of ENCM's header, never 0.
uint32_t encoderShapeId(const semdns_encm_header &header);

} // namespace semdns::artifact
