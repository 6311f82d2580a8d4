/// \file WPCE: the encoder's tokeniser.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/wordpiece.h"

namespace semdns::artifact {

/// View of a validated WPCE section; pointers into its bytes. kernels/wordpiece.h reads it.
struct WordPiece {
  const semdns_wpce_header *header = nullptr;
  const uint16_t *stage1 = nullptr;        ///< [SEMDNS_WPCE_STAGE1_SIZE]
  const uint32_t *blocks = nullptr;        ///< [block_count * SEMDNS_WPCE_BLOCK_SIZE]
  const uint32_t *pool = nullptr;          ///< [pool_count]
  const semdns_wpce_unit *units = nullptr; ///< [unit_count]
  const uint32_t *ids = nullptr;           ///< [unit_count]

  /// Validates `span` by the rules of format/wordpiece.h: no text leads the kernels out of it.
  static bool parse(Span span, WordPiece &out, base::Error &error);
};

} // namespace semdns::artifact
