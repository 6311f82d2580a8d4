/// \file Semantic clusters: words that are used alike, by the words next to them.
#pragma once

#include "lib/mine/grams.h"

#include <cstdint>
#include <vector>

namespace semdns::mine {

struct Cluster {
  std::vector<uint32_t> words; ///< the representative first, then by likeness to it
  int32_t likeness = 0;        ///< Q16: mean cosine to the representative
};

/// Groups `words` (numbers, the most important first: the order matters) by static vectors made of
/// the frequent bigrams and trigrams they are in: positive pointwise mutual information with the
/// words one or two places to either side, by seeded random projection (Levy and Goldberg 2014; Li,
/// Hastie and Church 2006). Integers throughout. `total` is the number of words of the corpus;
/// `hashOf[word]` must depend on the word's spelling alone.
std::vector<Cluster> clusterWords(const Grams &grams, const std::vector<uint32_t> &words,
                                  uint64_t total, const std::vector<uint64_t> &hashOf,
                                  unsigned threads);

} // namespace semdns::mine
