/// \file The codec mode `turbo`: static phrases, classes of phrases as order-1 contexts, copies of
/// the block's own text, range coded by frozen frequencies (asymmetric numeral systems, Duda 2013).
/// The encoder takes the cheapest way through a trie of the phrases.
#pragma once

#include "runtime/codec/coder.h"
#include "semdns/format/phrases.h"

namespace semdns::codec {

struct TurboIndex;

struct PhraseTables {
  uint32_t phrases = 0, classes = 0; ///< classes: the copies' included, which is the last
  const uint16_t *classStart = nullptr, *classCoarse = nullptr, *phraseStart = nullptr;
  const uint32_t *classFirst = nullptr, *textOffset = nullptr;
  const uint16_t *lengthStart = nullptr, *distanceStart = nullptr;
  const uint8_t *text = nullptr;
  const TurboIndex *index = nullptr; ///< what encoding needs beyond; null: for decoding only
};

// ---- Between the encoder and the trainer (lib/codec/phrases.cpp)
// -----------------------------------

/// Costs are in 1/256 bit.
inline constexpr uint32_t kBit = 256;

/// A node of the trie: a double array after Aoe 1989.
struct TurboUnit {
  uint32_t link; ///< label | kTrieUsed | kTrieEnd | base of the children << kTrieBase
  uint16_t cost; ///< of the phrase that ends here, within its class
  uint16_t classOf;
};
inline constexpr uint32_t kTrieUsed = 1u << 8, kTrieEnd = 1u << 9, kTrieBase = 10;

/// A trie of the phrases, and what everything costs. Owned memory: free it.
struct TurboIndex {
  TurboUnit *units = nullptr;
  uint32_t *phraseOf = nullptr; ///< of the units where one ends
  uint32_t unitCount = 0;
  uint16_t *classCost = nullptr; ///< [classes + 1][classes]
  uint32_t classes = 0;
  uint32_t lengthCost[SEMDNS_PHRS_LENGTHS] = {}; ///< with the bits behind the code
  uint32_t distanceCost[SEMDNS_PHRS_DISTANCES] = {};
};

/// A text to put into a trie.
struct TurboPhrase {
  const uint8_t *text;
  uint32_t size, phrase;
  uint16_t cost, classOf;
};

/// Builds the trie of `count` phrases, distinct and sorted bytewise. False without memory.
bool buildTrie(const TurboPhrase *sorted, uint32_t count, TurboIndex &out);
void freeIndex(TurboIndex &index);

/// The index for encoding with `tables`; null without memory or if a single byte is missing.
TurboIndex *openTurboIndex(const PhraseTables &tables);
void closeTurboIndex(const TurboIndex *index);

/// The best way to a position: the token that ends there.
struct TurboStep {
  uint32_t cost;
  uint32_t phrase;   ///< of a phrase
  uint16_t length;   ///< bytes of the token
  uint16_t distance; ///< of a copy; 0: a phrase
  uint16_t classOf;  ///< of the token; at 0 the beginning's
};

/// Cheapest tokens for `n` <= kMaxBlock bytes: steps[0..n] in the scratch; follow them from n back.
const TurboStep *turboParse(const TurboIndex &index, const uint8_t *in, size_t n, void *scratch);
size_t turboParseScratch();

/// Codes of lengths and distances: value = base of the code + that many bits behind it.
struct TurboCode {
  uint32_t code, bits, extra;
};
TurboCode lengthCode(uint32_t length);
TurboCode distanceCode(uint32_t distance);

/// -log2(part / 2^bits) in 1/256 bit, part >= 1.
uint32_t bitCost(uint32_t part, uint32_t bits);

} // namespace semdns::codec
