/// \file TEXT: the frozen Unicode tables.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/text.h"

namespace semdns::artifact {

/// View of a validated TEXT section; pointers into its bytes.
struct Text {
  const semdns_text_header *header = nullptr;
  const uint16_t *stage1 = nullptr; ///< [SEMDNS_TEXT_STAGE1_SIZE]
  const uint32_t *blocks = nullptr; ///< [block_count * SEMDNS_TEXT_BLOCK_SIZE]
  const uint32_t *pool = nullptr;   ///< [pool_count]

  /// Validates `span` by the rules of format/text.h.
  static bool parse(Span span, Text &out, base::Error &error);
};

} // namespace semdns::artifact
