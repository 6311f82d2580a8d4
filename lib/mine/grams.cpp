#include "lib/mine/grams.h"

#include "lib/support/parallel.h"

#include <algorithm>

namespace semdns::mine {

namespace {

constexpr uint64_t kChunkTokens = 1 << 16; ///< of work that threads share

void see(Gram &gram, uint32_t document, uint32_t owner) {
  if (gram.count != UINT32_MAX)
    ++gram.count;
  if (gram.last != document) {
    gram.last = document;
    ++gram.documents;
    if (gram.lastOwner != owner + 1) {
      gram.lastOwner = owner + 1;
      ++gram.owners;
    }
  }
}

/// Ends of runs of documents with about kChunkTokens tokens.
std::vector<size_t> chunksOf(std::span<const Place> places) {
  std::vector<size_t> ends;
  uint64_t tokens = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    tokens += places[i].end - places[i].begin;
    if (tokens >= kChunkTokens || i + 1 == places.size()) {
      ends.push_back(i + 1);
      tokens = 0;
    }
  }
  return ends;
}

} // namespace

uint32_t Grams::Level::insert(uint64_t key) {
  const size_t mask = slots.size() - 1;
  size_t s = hashOf(key) & mask;
  for (; slots[s]; s = (s + 1) & mask)
    if (grams[slots[s]].key == key)
      return slots[s];
  const auto index = uint32_t(grams.size());
  slots[s] = index;
  grams.push_back({.key = key});
  if (grams.size() * 2 > slots.size())
    rehash(slots.size() * 2);
  return index;
}

void Grams::Level::rehash(size_t size) {
  slots.assign(size, 0);
  for (uint32_t i = 1; i < grams.size(); ++i) {
    size_t s = hashOf(grams[i].key) & (size - 1);
    while (slots[s])
      s = (s + 1) & (size - 1);
    slots[s] = i;
  }
}

void Grams::prepare(const Limits &limits, uint32_t tokens) {
  limits_ = limits;
  levels_.clear();
  levels_.resize(limits.maxTokens);
  levels_[0].grams.resize(std::max(1u, tokens));
  for (uint32_t i = 0; i < tokens; ++i)
    levels_[0].grams[i].key = i;
}

uint32_t Grams::insert(uint32_t n, uint32_t prefix, uint32_t token) {
  if (n == 1)
    return token < size(1) ? token : 0;
  return n <= maxTokens() ? levels_[n - 1].insert(keyOf(prefix, token)) : 0;
}

std::vector<uint32_t> Grams::tokensOf(uint32_t n, uint32_t index) const {
  std::vector<uint32_t> result(n);
  for (; n > 1; --n) {
    const uint64_t key = gram(n, index).key;
    result[n - 1] = uint32_t(key);
    index = uint32_t(key >> 32);
  }
  result[0] = index;
  return result;
}

uint32_t Grams::suffixOf(std::span<const uint32_t> tokens) const {
  uint32_t index = 0;
  for (uint32_t n = 1; n < tokens.size(); ++n) {
    index = extend(n, index, tokens[n]);
    if (index == 0)
      break;
  }
  return index;
}

void Grams::recount(const Spool<uint32_t> &stream, std::span<const Place> places) {
  for (Level &level : levels_)
    for (Gram &g : level.grams)
      g = {.key = g.key};
  const unsigned parts = std::max(1u, limits_.threads);
  // Each thread has the n-grams that begin with tokens of its own.
  parallelFor(parts, parts, [&](size_t part) {
    for (uint32_t d = 0; d < places.size(); ++d)
      for (uint64_t i = places[d].begin; i < places[d].end; ++i) {
        if (!stream[i] || (parts > 1 && stream[i] % parts != part))
          continue;
        uint32_t index = 0;
        for (uint32_t n = 1; n <= maxTokens() && i + n <= places[d].end; ++n) {
          const uint32_t token = stream[i + n - 1];
          index = token ? extend(n, index, token) : 0;
          if (!index)
            break;
          see(levels_[n - 1].grams[index], d + 1, places[d].owner);
        }
      }
  });
}

bool Grams::countOne(const Spool<uint32_t> &stream, std::span<const Place> places, uint32_t) {
  auto &grams = levels_[0].grams;
  const unsigned parts = std::max(1u, limits_.threads);
  // Each thread counts its own tokens.
  parallelFor(parts, parts, [&](size_t part) {
    for (uint32_t d = 0; d < places.size(); ++d)
      for (uint64_t i = places[d].begin; i < places[d].end; ++i)
        if (const uint32_t token = stream[i]; token && (parts == 1 || token % parts == part))
          see(grams[token], d + 1, places[d].owner);
  });
  return true;
}

bool Grams::countLevel(uint32_t n, const uint32_t *stream, const uint32_t *at,
                       std::span<const Place> places, std::string &error) {
  // Threads divide the n-grams among them by hash, and so do passes where the tables would be too
  // large. Tables hold what was not pruned yet: at worst a gram for each position.
  uint64_t possible = 0;
  for (const Place &place : places)
    if (place.end - place.begin >= n)
      for (uint64_t i = place.begin; i + n <= place.end; ++i)
        possible += at[i] && at[i + 1] && stream[i + n - 1];
  const unsigned threads = std::max(1u, limits_.threads);
  const uint64_t bytes = possible * (sizeof(Gram) + 3 * sizeof(uint32_t)) / 2;
  const uint64_t passes = bytes / std::max<uint64_t>(1, limits_.tableBytes) + 1;
  const uint64_t parts = passes * threads;
  if (passes > 4096) {
    error = "the corpus is too large to count its n-grams";
    return false;
  }
  std::vector<std::vector<Gram>> kept(parts);
  parallelFor(parts, threads, [&](size_t part) {
    Level table;
    for (uint32_t d = 0; d < places.size(); ++d) {
      const Place &place = places[d];
      if (place.end - place.begin < n)
        continue;
      for (uint64_t i = place.begin; i + n <= place.end; ++i) {
        if (!at[i] || !at[i + 1] || !stream[i + n - 1])
          continue;
        const uint64_t key = keyOf(at[i], stream[i + n - 1]);
        // The table takes the low bits of the hash, the division the high ones.
        if (parts > 1 && (hashOf(key) >> 40) % parts != part)
          continue;
        see(table.grams[table.insert(key)], d + 1, place.owner);
      }
    }
    for (size_t i = 1; i < table.grams.size(); ++i)
      if (frequent(table.grams[i]))
        kept[part].push_back(table.grams[i]);
  });
  Level &level = levels_[n - 1];
  for (auto &part : kept) {
    level.grams.insert(level.grams.end(), part.begin(), part.end());
    part = {};
  }
  if (level.grams.size() >= UINT32_MAX / 2) {
    error = "there are more than 2^31 different frequent n-grams: raise --min-support";
    return false;
  }
  size_t size = 1 << 6;
  while (size < level.grams.size() * 2)
    size *= 2;
  level.rehash(size);
  return true;
}

/// From the (n-1)-gram that starts at each position to the n-gram.
void Grams::advance(uint32_t n, const uint32_t *stream, uint32_t *at,
                    std::span<const Place> places) {
  const std::vector<size_t> ends = chunksOf(places);
  parallelFor(ends.size(), limits_.threads, [&](size_t chunk) {
    for (size_t d = chunk ? ends[chunk - 1] : 0; d < ends[chunk]; ++d)
      for (uint64_t i = places[d].begin; i < places[d].end; ++i) {
        if (n == 1) {
          at[i] = stream[i] ? extend(1, 0, stream[i]) : 0;
          continue;
        }
        // at[i + 1] is still that of length n-1: positions are gone through upwards.
        const bool possible = i + n <= places[d].end && at[i] && at[i + 1] && stream[i + n - 1];
        at[i] = possible ? levels_[n - 1].find(keyOf(at[i], stream[i + n - 1])) : 0;
      }
  });
}

} // namespace semdns::mine
