#include "runtime/dispatch/prefix.h"

#include "runtime/dispatch/atomics.h"

#include <string.h>

namespace semdns::dispatch {
namespace {

constexpr uint32_t kWays = 4;

struct Place {
  BlockEntry *set;
  pthread_mutex_t *lock;
};

Place placeOf(PrefixTable &table, uint64_t block) {
  const auto set = static_cast<uint32_t>(mix(block) % (table.capacity / kWays));
  return {table.entries + uint64_t(set) * kWays, &table.locks[set % 16]};
}

BlockEntry *findIn(BlockEntry *set, uint64_t block) {
  for (uint32_t i = 0; i < kWays; ++i)
    if (set[i].block == block)
      return &set[i];
  return nullptr;
}

} // namespace

void countHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count,
               const uint32_t *generations, uint32_t generationStride, uint32_t slots,
               uint16_t *held) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(generations);
  bool anybody = true;
  for (uint32_t b = 0; b < count && anybody && table.capacity; ++b) {
    anybody = false;
    const uint64_t block = blocks[b] ? blocks[b] : 1;
    const Place place = placeOf(table, block);
    pthread_mutex_lock(place.lock);
    if (const BlockEntry *entry = findIn(place.set, block))
      for (uint32_t h = 0; h < kHolders && entry->holder[h]; ++h) {
        const uint32_t slot = entry->holder[h] - 1u;
        if (slot >= slots || held[slot] != b)
          continue;
        uint32_t generation;
        memcpy(&generation, bytes + size_t(slot) * generationStride, sizeof generation);
        if (static_cast<uint16_t>(generation) != entry->generation[h])
          continue;
        ++held[slot];
        anybody = true;
      }
    pthread_mutex_unlock(place.lock);
  }
}

void markHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count, uint32_t slot,
              uint32_t generation, uint64_t now) {
  const auto time = static_cast<uint32_t>(now / 1000000);
  for (uint32_t b = 0; b < count && table.capacity; ++b) {
    const uint64_t block = blocks[b] ? blocks[b] : 1;
    const Place place = placeOf(table, block);
    pthread_mutex_lock(place.lock);
    BlockEntry *entry = findIn(place.set, block);
    if (!entry) {
      entry = place.set;
      for (uint32_t i = 0; i < kWays && entry->block; ++i) // a free one, else the longest unused
        if (!place.set[i].block || static_cast<int32_t>(place.set[i].usedAt - entry->usedAt) < 0)
          entry = &place.set[i];
      memset(entry, 0, sizeof *entry);
      entry->block = block;
    }
    entry->usedAt = time;
    uint32_t at = 0;
    while (at + 1 < kHolders && entry->holder[at] && entry->holder[at] != slot + 1)
      ++at;
    for (; at; --at) {
      entry->holder[at] = entry->holder[at - 1];
      entry->generation[at] = entry->generation[at - 1];
    }
    entry->holder[0] = static_cast<uint16_t>(slot + 1);
    entry->generation[0] = static_cast<uint16_t>(generation);
    pthread_mutex_unlock(place.lock);
  }
}

} // namespace semdns::dispatch
