/// \file BERT's normaliser and pre-tokeniser, frozen into a table (semdns/format/wordpiece.h).
#pragma once

#include "lib/encoder/model.h"

#include <cstdint>
#include <vector>

namespace semdns::encoder {

/// The final entries (SEMDNS_WPCE_*) of one code point, in order: what BertNormalizer makes of it,
/// with how BertPreTokenizer and the sorting of marks take each result. Empty: it vanishes.
/// As PyPI's `tokenizers` 0.23: general categories of Unicode 8, decompositions and combining
/// classes of Unicode 9, lower case of Unicode 17, whatever ICU (72 or later) is linked.
/// Thread-safe.
std::vector<uint32_t> normalisedEntries(const TokeniserSpec &spec, uint32_t codePoint);

struct NormaliserTable {
  std::vector<uint16_t> stage1; ///< [SEMDNS_WPCE_STAGE1_SIZE]
  std::vector<uint32_t> blocks; ///< [n * SEMDNS_WPCE_BLOCK_SIZE]
  std::vector<uint32_t> pool;
};

/// normalisedEntries of every code point. Takes a tenth of a second.
NormaliserTable buildNormaliserTable(const TokeniserSpec &spec);

} // namespace semdns::encoder
