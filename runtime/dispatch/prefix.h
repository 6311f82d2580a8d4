/// \file Which endpoint has which prompt block in its KV cache, as far as our own attempts tell: a
/// fixed table of blocks, each with its last few holders. A guess that only costs time when wrong.
#pragma once

#include <pthread.h>
#include <stdint.h>

namespace semdns::dispatch {

constexpr uint32_t kHolders = 9;

/// One cache line.
struct BlockEntry {
  uint64_t block;                ///< 0: free
  uint32_t usedAt;               ///< ms, wraps
  uint16_t holder[kHolders];     ///< endpoint slot + 1; 0: none. Latest first
  uint16_t generation[kHolders]; ///< low bits of the endpoint's
  uint8_t spare[16];
};
static_assert(sizeof(BlockEntry) == 64);

struct PrefixTable {
  BlockEntry *entries;
  uint32_t capacity; ///< multiple of 4 (sets of four)
  pthread_mutex_t locks[16];
};

/// Adds to held[slot] how many of blocks[0, count) each endpoint holds from the start on without a
/// gap. `generation(slot)` & 0xffff must match. `held` has `slots` zeros.
void countHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count,
               const uint32_t *generations, uint32_t generationStride, uint32_t slots,
               uint16_t *held);
/// The endpoint is about to hold these blocks.
void markHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count, uint32_t slot,
              uint32_t generation, uint64_t now);

} // namespace semdns::dispatch
