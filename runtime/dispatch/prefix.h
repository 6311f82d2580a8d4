/// \file Which endpoint has which prompt block in its KV cache, as far as our own attempts tell: a
/// model of each endpoint's cache, which drops the longest unused block once it holds as many as
/// the endpoint has room for. A guess that only costs time when wrong.
///
/// Sixteen shards by block, each with a lock of its own. In a shard stand the blocks, each with a
/// bit for every endpoint, so that counting looks at a block once for all endpoints, and the
/// holdings (block, endpoint) in order of use. The room of an endpoint is divided among the shards.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

namespace semdns::dispatch {

constexpr uint32_t kPrefixShards = 16;

struct PrefixShard;

struct PrefixTable {
  PrefixShard *shards;  ///< [kPrefixShards]
  uint32_t *generation; ///< [slots] of the endpoint that the holdings are about
  uint32_t slots;
};

/// Bytes that a table of `holdings` (block, endpoint) pairs over `slots` endpoints needs.
size_t prefixSize(uint32_t holdings, uint32_t slots);
/// `memory` is zeroed and 64-byte aligned.
void initPrefixes(PrefixTable &table, void *memory, uint32_t holdings, uint32_t slots);
void destroyPrefixes(PrefixTable &table);

/// Sets held[slot] to how many of blocks[0, count) each endpoint holds from the start on without a
/// gap. `generations`, `generationStride` bytes apart, must match. `held` has `slots` zeros.
void countHeld(const PrefixTable &table, const uint64_t *blocks, uint32_t count,
               const uint32_t *generations, uint32_t generationStride, uint32_t slots,
               uint16_t *held);
/// The endpoint is about to use these blocks. `room`: blocks that it can hold; 0: not known.
void markHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count, uint32_t slot,
              uint32_t generation, uint32_t room);

} // namespace semdns::dispatch
