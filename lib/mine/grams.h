/// \file Counts of n-grams in streams of numbered tokens: exact, the same for any order of the
/// documents and any number of threads.
#pragma once

#include "lib/mine/spool.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace semdns::mine {

/// A document's tokens in a stream, and whose it is.
struct Place {
  uint64_t begin = 0, end = 0;
  uint32_t owner = 0;
};

struct Gram {
  uint64_t key = 0; ///< (index of the first n-1 tokens) << 32 | last token; one token: that
  uint32_t count = 0, documents = 0, owners = 0;
  uint32_t background = 0;          ///< documents of the background that have it
  uint32_t last = 0, lastOwner = 0; ///< that it was seen in last, + 1
};

/// N-grams of 1..maxTokens tokens that are frequent enough. Token 0 separates: no n-gram reaches
/// across it. An n-gram can be frequent only if both (n-1)-grams in it are: so each length builds
/// on the one before, and rare text never enters a table (Agrawal and Srikant 1994).
///
/// Indices are names only: they depend on the threads. What reaches a library is ranked by counts
/// and texts.
class Grams {
public:
  struct Limits {
    uint32_t maxTokens = 6;
    uint32_t minCount = 1, minOwners = 1;
    unsigned threads = 1;
    uint64_t tableBytes = uint64_t(768) << 20; ///< of a length's tables at a time
  };

  /// Counts. `places` must be sorted by owner; tokens are below `tokens`. False sets `error`.
  /// `progress` is told of stream positions done, of maxTokens times the stream's length.
  template <typename Progress>
  bool count(const Spool<uint32_t> &stream, std::span<const Place> places, uint32_t tokens,
             const Limits &limits, Progress &&progress, std::string &error);

  uint32_t maxTokens() const { return uint32_t(levels_.size()); }
  /// One past the largest index of n-grams of `n` tokens; index 0 is nobody, and an n-gram of one
  /// token has its number as index.
  uint32_t size(uint32_t n) const { return uint32_t(levels_[n - 1].grams.size()); }
  const Gram &gram(uint32_t n, uint32_t index) const { return levels_[n - 1].grams[index]; }
  Gram &gram(uint32_t n, uint32_t index) { return levels_[n - 1].grams[index]; }
  bool frequent(const Gram &g) const {
    return g.count >= limits_.minCount && g.owners >= limits_.minOwners;
  }
  /// The n-gram that continues the n-1 tokens `prefix` with `token`, or 0.
  uint32_t extend(uint32_t n, uint32_t prefix, uint32_t token) const {
    if (n == 1)
      return token < levels_[0].grams.size() && frequent(levels_[0].grams[token]) ? token : 0;
    return levels_[n - 1].find(keyOf(prefix, token));
  }
  /// The tokens of an n-gram.
  std::vector<uint32_t> tokensOf(uint32_t n, uint32_t index) const;
  /// Index of the n-gram without its first token, in its length; frequent, because the whole is.
  uint32_t suffixOf(std::span<const uint32_t> tokens) const;

  /// Puts an n-gram in whose prefix is in, for tables that come from a file. 0 where it cannot be.
  uint32_t insert(uint32_t n, uint32_t prefix, uint32_t token);
  void prepare(const Limits &limits, uint32_t tokens);
  void setLimits(const Limits &limits) { limits_ = limits; }
  /// Counts anew, of `places`, the n-grams that are in the table. Everything that is there must be
  /// frequent(): set the limits accordingly.
  void recount(const Spool<uint32_t> &stream, std::span<const Place> places);

  template <typename Visit> void forEach(uint32_t from, uint32_t to, Visit visit) const {
    for (uint32_t n = from; n <= std::min(to, maxTokens()); ++n)
      for (uint32_t i = 1; i < size(n); ++i)
        if (frequent(gram(n, i)))
          visit(n, i, gram(n, i));
  }

private:
  static uint64_t keyOf(uint32_t prefix, uint32_t token) { return uint64_t(prefix) << 32 | token; }
  static uint64_t hashOf(uint64_t key) {
    key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
  }
  struct Level {
    std::vector<Gram> grams{1};
    std::vector<uint32_t> slots = std::vector<uint32_t>(1 << 6);
    uint32_t find(uint64_t key) const {
      const size_t mask = slots.size() - 1;
      for (size_t s = hashOf(key) & mask; slots[s]; s = (s + 1) & mask)
        if (grams[slots[s]].key == key)
          return slots[s];
      return 0;
    }
    uint32_t insert(uint64_t key);
    void rehash(size_t size);
  };
  bool countOne(const Spool<uint32_t> &stream, std::span<const Place> places, uint32_t tokens);
  bool countLevel(uint32_t n, const uint32_t *stream, const uint32_t *at,
                  std::span<const Place> places, std::string &error);
  void advance(uint32_t n, const uint32_t *stream, uint32_t *at, std::span<const Place> places);

  std::vector<Level> levels_;
  Limits limits_;
};

template <typename Progress>
bool Grams::count(const Spool<uint32_t> &stream, std::span<const Place> places, uint32_t tokens,
                  const Limits &limits, Progress &&progress, std::string &error) {
  prepare(limits, tokens);
  Spool<uint32_t> at; // index of the (n-1)-gram that starts here
  if (!at.open({}, "", stream.size(), error))
    return false;
  countOne(stream, places, tokens);
  advance(1, stream.data(), at.data(), places);
  for (uint32_t n = 2; n <= limits.maxTokens; ++n) {
    progress(stream.size() * (n - 1));
    if (!countLevel(n, stream.data(), at.data(), places, error))
      return false;
    advance(n, stream.data(), at.data(), places);
  }
  return true;
}

} // namespace semdns::mine
