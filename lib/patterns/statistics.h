/// \file STAT sections: counts of n-grams, so that a library can be added to without its corpus
/// (semdns/format/patterns.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::patterns {

/// Words and n-grams with their counts. Each is stored because several owners had it.
struct Statistics {
  struct Gram {
    uint32_t prefix = 0; ///< index of the first n-1 words, in their length; words: 0
    uint32_t word = 0;   ///< index of the last word
    /// All 0: only there because longer n-grams begin with it.
    uint32_t count = 0, documents = 0, owners = 0, background = 0;
  };
  uint64_t mass = 0;              ///< sum of the document frequencies of all words of the corpus
  uint64_t backgroundMass = 0;    ///< the same of the background
  std::vector<std::string> words; ///< sorted bytewise, each once
  /// [n-1]: n-grams of n words, sorted by (prefix, word), each once; [0]: one for each word.
  std::vector<std::vector<Gram>> grams;
};

/// The section's content.
std::string buildStatistics(const Statistics &statistics);
/// Validates and reads it. False sets `error` to one line.
bool parseStatistics(std::string_view bytes, Statistics &statistics, std::string &error);

} // namespace semdns::patterns
