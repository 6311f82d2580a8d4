#include "lib/mine/dictionary.h"

#include "lib/support/parallel.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <zdict.h>

namespace semdns::mine {

namespace {

constexpr uint64_t kMinText = 8; // times the dictionary's size
constexpr uint64_t kMinSize = 1024;

uint64_t windowHash(const char *at) {
  static_assert(kCommonWindow == 16);
  uint64_t a, b;
  std::memcpy(&a, at, 8);
  std::memcpy(&b, at + 8, 8);
  uint64_t h = (a ^ 0x243f6a8885a308d3u) * 0x9e3779b97f4a7c15u;
  h = (h ^ h >> 32 ^ b) * 0xd6e8feb86659fd93u;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93u;
  return (h ^ h >> 29) | 1; // 0 is a free slot
}

/// How many owners have each window. Equal hashes of 64 bits count as equal windows.
struct WindowTable {
  struct Slot {
    uint64_t hash = 0;
    uint32_t lastOwner = 0, owners = 0;
  };
  std::vector<Slot> slots = std::vector<Slot>(1 << 12);
  size_t used = 0;

  Slot &at(uint64_t hash) {
    size_t s = hash >> 8 & (slots.size() - 1);
    while (slots[s].hash && slots[s].hash != hash)
      s = (s + 1) & (slots.size() - 1);
    return slots[s];
  }
  void see(uint64_t hash, uint32_t owner) {
    Slot *slot = &at(hash);
    if (!slot->hash) {
      slot->hash = hash;
      slot->lastOwner = owner;
      slot->owners = 1;
      if (++used * 2 > slots.size())
        grow();
    } else if (slot->lastOwner != owner) {
      slot->lastOwner = owner;
      ++slot->owners;
    }
  }
  void grow() {
    std::vector<Slot> old(slots.size() * 2);
    old.swap(slots);
    for (const Slot &slot : old)
      if (slot.hash)
        at(slot.hash) = slot;
  }
};

} // namespace

std::vector<std::string> commonRuns(std::span<const std::string_view> texts,
                                    std::span<const uint32_t> ownerOf, uint32_t owners,
                                    unsigned threads) {
  // Owner by owner, so that a table need not remember more than the last one.
  std::vector<uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::make_pair(ownerOf[a], a) < std::make_pair(ownerOf[b], b);
  });
  std::vector<std::vector<char>> common(texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    common[i].assign(texts[i].size(), 0);
  // Parts of the windows by hash, so that tables stay small and threads have some each.
  constexpr size_t kParts = 8;
  parallelFor(kParts, threads, [&](size_t part) {
    WindowTable table;
    const auto forEachWindow = [&](auto visit) {
      for (const uint32_t i : order)
        for (size_t at = 0; at + kCommonWindow <= texts[i].size(); ++at) {
          const uint64_t hash = windowHash(texts[i].data() + at);
          if ((hash >> 56) % kParts == part)
            visit(i, at, hash);
        }
    };
    forEachWindow([&](uint32_t i, size_t, uint64_t hash) { table.see(hash, ownerOf[i]); });
    forEachWindow([&](uint32_t i, size_t at, uint64_t hash) {
      if (table.at(hash).owners >= owners)
        common[i][at] = 1;
    });
  });
  std::vector<std::string> runs(texts.size());
  parallelFor(texts.size(), threads, [&](size_t i) {
    size_t until = 0;
    for (size_t at = 0; at < texts[i].size(); ++at) {
      if (common[i][at])
        until = at + kCommonWindow;
      if (at < until)
        runs[i] += texts[i][at];
    }
  });
  return runs;
}

std::string trainDictionary(std::span<const std::string> samples, uint64_t wanted,
                            std::string &why) {
  if (wanted == 0) {
    why = "--dict-size=0";
    return {};
  }
  std::string text;
  std::vector<size_t> sizes;
  for (const std::string &sample : samples) {
    text += sample;
    sizes.push_back(sample.size());
  }
  // A dictionary as large as the text would be the text.
  const uint64_t size = std::min<uint64_t>(wanted, text.size() / kMinText);
  if (size < kMinSize) {
    why = std::to_string(text.size()) +
          " bytes of text that several owners share are too few to train one (at least " +
          std::to_string(kMinSize * kMinText) + ")";
    return {};
  }
  std::string dictionary(size, '\0');
  const size_t got = ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), text.data(),
                                           sizes.data(), unsigned(sizes.size()));
  if (ZDICT_isError(got)) {
    why = std::string("zstd could not train one: ") + ZDICT_getErrorName(got);
    return {};
  }
  dictionary.resize(got);
  return dictionary;
}

} // namespace semdns::mine
