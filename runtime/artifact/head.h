/// \file HEAD: stage 3's classes and acceptance.
#pragma once

#include "runtime/artifact/zones.h"
#include "semdns/format/head.h"

namespace semdns::artifact {

/// View of a validated HEAD section; pointers into its bytes.
struct Head {
  const semdns_head_header *header = nullptr;
  const int8_t *vectors = nullptr;         ///< [padded_count * padded_width], CENT's layout
  const int32_t *bias = nullptr;           ///< [class_count]
  const uint32_t *zoneThreshold = nullptr; ///< [zone_count]

  /// Validates `span` by the rules of format/head.h; its counts must be those of `zones`.
  static bool parse(Span span, const Zones &zones, Head &out, base::Error &error);
};

} // namespace semdns::artifact
