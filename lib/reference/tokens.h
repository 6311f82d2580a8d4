/// \file Words and features of a text as docs/architecture.md defines them, by ICU and std::
/// containers: what kernels/tokenise.h and the TEXT section are compared with.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace semdns::reference {

struct TokenOptions {
  uint32_t wordNgramMax = 1;                   ///< 1..3
  uint32_t charNgramMin = 0, charNgramMax = 0; ///< 2..6, or both 0
  bool punct = false;
};

struct Tokens {
  std::vector<uint64_t> words;    ///< all words' hashes
  std::vector<uint64_t> features; ///< character n-grams, unigrams, bigrams, trigrams
  uint32_t chars = 0, unigrams = 0;
  bool truncated = false, repaired = false;
};

/// Any bytes. Slow; thread-safe.
Tokens tokenise(std::string_view text, const TokenOptions &options);

} // namespace semdns::reference
