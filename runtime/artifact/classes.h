/// \file CENT and CLSF: class vectors and acceptance.
#pragma once

#include "runtime/artifact/zones.h"
#include "semdns/format/classes.h"

namespace semdns::artifact {

/// View of a validated CENT section; pointers into its bytes.
struct Centroids {
  const semdns_cent_header *header = nullptr;
  const int8_t *vectors = nullptr;  ///< [padded_count * dim], in the layout of format/classes.h
  const int32_t *offsets = nullptr; ///< [padded_count]

  /// Validates `span` by the rules of format/classes.h: the offsets are recomputed.
  static bool parse(Span span, Centroids &out, base::Error &error);
};

/// View of a validated CLSF section; pointers into its bytes.
struct Acceptance {
  const semdns_clsf_header *header = nullptr;
  const uint32_t *exp2 = nullptr;      ///< [256]
  const uint32_t *classZone = nullptr; ///< [class_count]
  const uint32_t *zoneParent = nullptr, *zoneClassBegin = nullptr, *zoneClassEnd = nullptr,
                 *zoneThreshold = nullptr; ///< [zone_count] each

  /// Validates `span` by the rules of format/classes.h; its columns must be those of `zones`.
  static bool parse(Span span, const Zones &zones, Acceptance &out, base::Error &error);
};

/// Internal to CLSF's and HEAD's validators: whether thresholds[zone] is one. `offset` is the
/// column's in its section.
bool checkThreshold(uint32_t tag, uint64_t offset, const uint32_t *thresholds, uint32_t zone,
                    base::Error &error);

} // namespace semdns::artifact
