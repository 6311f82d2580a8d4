/// \file GOLD: the spec's test queries with the answers the build got.
#pragma once

#include "runtime/artifact/zones.h"
#include "semdns/format/gold.h"

namespace semdns::artifact {

/// View of a validated GOLD section; pointers into its bytes.
struct Gold {
  const semdns_gold_header *header = nullptr;
  const semdns_gold_entry *entries = nullptr; ///< [header->count]
  const char *text = nullptr;                 ///< [header->text_bytes]

  /// Validates `span` by the rules of format/gold.h; zones must be those of `zones`.
  static bool parse(Span span, const Zones &zones, Gold &out, base::Error &error);

  std::string_view query(uint32_t entry) const {
    return {text + entries[entry].text_offset, entries[entry].text_size};
  }
};

} // namespace semdns::artifact
