/// \file Words with their spelling, for keywords and mining. Feature extraction is
/// kernels/tokenise.h; the words are the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::text {

/// A word with its spelling.
struct Word {
  std::string text;          ///< normalised, UTF-8
  uint64_t hash = 0;         ///< as in kernels/hash.h: what uk_tokenise writes for it
  bool punct = false;        ///< a punctuation token
  size_t begin = 0, end = 0; ///< the source bytes [begin, end) that it comes from
};

/// All words of a text of any length, with spelling and place; the same words as the tokeniser's,
/// without its limits. For keywords and mining: not fast. Thread-safe.
std::vector<Word> splitWords(std::string_view textSection, std::string_view text);

} // namespace semdns::text
