/// \file BEAM: the search tree of artifacts with many classes.
#pragma once

#include "runtime/artifact/classes.h"
#include "semdns/format/beam.h"

namespace semdns::artifact {

/// View of a validated BEAM section; pointers into its bytes.
struct Beam {
  const semdns_beam_header *header = nullptr;
  const semdns_beam_node *nodes = nullptr; ///< [node_count]
  const uint32_t *target = nullptr;        ///< [entry_count]
  const int32_t *bias = nullptr;           ///< [entry_count]
  const uint32_t *classEntry = nullptr;    ///< [class_count]
  const semdns_beam_home *homes = nullptr; ///< [zone_count]

  /// Validates `span` by the rules of format/beam.h: a tree whose nodes fill CENT's entries, each
  /// class in one entry below its zone's home, each zone's home below its parent's.
  static bool parse(Span span, const Zones &zones, const Acceptance &acceptance,
                    const Centroids &centroids, Beam &out, base::Error &error);
};

} // namespace semdns::artifact
