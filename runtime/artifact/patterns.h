/// \file PATS: what mine-patterns found.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/patterns.h"

#include <string_view>

namespace semdns::artifact {

/// View of a validated PATS section; pointers into its bytes.
struct Patterns {
  const semdns_pats_header *header = nullptr;
  const semdns_pattern *patterns = nullptr; ///< [pattern_count]
  const char *strings = nullptr;            ///< [string_bytes]

  /// Validates `span` by the rules of format/patterns.h. Offsets in `error` count from the section.
  static bool parse(Span span, Patterns &out, base::Error &error);

  std::string_view text(uint32_t pattern) const {
    return {strings + patterns[pattern].text_offset, patterns[pattern].text_size};
  }
};

} // namespace semdns::artifact
