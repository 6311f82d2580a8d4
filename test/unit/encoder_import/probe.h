/// \file A tokeniser made for tests: its vocabulary is every code point below U+20000, as a piece
/// that begins a word and as one that continues it, so that ids tell normalised words exactly; and
/// some longer pieces, to try the longest match.
#pragma once

#include "lib/encoder/model.h"

#include <string>
#include <vector>

namespace semdns::test {

/// Ids: 0 to 4 [PAD] [UNK] [CLS] [SEP] [MASK]; then each code point, and the same behind "##"; then
/// `words`. `flags` are SEMDNS_WPCE_*.
encoder::TokeniserSpec probeSpec(uint32_t flags, const std::vector<std::string> &words);

} // namespace semdns::test
