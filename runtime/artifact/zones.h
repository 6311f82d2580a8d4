/// \file ZTRE: the zone tree and the engines.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/zones.h"

#include <string_view>

namespace semdns::artifact {

/// View of a validated ZTRE section; pointers into its bytes.
struct Zones {
  const semdns_ztre_header *header = nullptr;
  const semdns_zone *zones = nullptr;      ///< [header->zone_count]
  const semdns_engine *engines = nullptr;  ///< [header->engine_count]
  const semdns_engine_ref *refs = nullptr; ///< [header->engine_ref_count]
  const char *strings = nullptr;           ///< [header->string_bytes]

  /// Validates `span` by the rules of format/zones.h: ranges, preorder, classes, engine refs, names
  /// and paths that fit the tree. Offsets in `error` count from the section.
  static bool parse(Span span, Zones &out, base::Error &error);

  std::string_view name(uint32_t zone) const {
    return {strings + zones[zone].name_offset, zones[zone].name_size};
  }
  std::string_view path(uint32_t zone) const {
    return {strings + zones[zone].path_offset, zones[zone].path_size};
  }
  std::string_view engineName(uint32_t engine) const {
    return {strings + engines[engine].name_offset, engines[engine].name_size};
  }
  std::string_view engineRegion(uint32_t engine) const {
    return {strings + engines[engine].region_offset, engines[engine].region_size};
  }
};

} // namespace semdns::artifact
