#include "runtime/dispatch/prefix.h"

#include "runtime/dispatch/atomics.h"

#include <string.h>

namespace semdns::dispatch {

namespace {

constexpr uint32_t kMaxWords = 16; ///< 1024 endpoints

/// Indices count from 1, so that zeroed memory is empty; 0 is "none".
struct BlockEntry {
  uint64_t block;
  uint32_t next;    ///< in its bucket, or of the free ones
  uint32_t holders; ///< bits set in the words that follow
};

struct Holding {
  uint64_t block;
  uint32_t next; ///< in its bucket, or of the free ones
  uint32_t newer, older;
  uint16_t slot, spare;
};

struct Order {
  uint32_t newest, oldest, count;
};

} // namespace

struct alignas(64) PrefixShard {
  pthread_mutex_t lock;
  uint8_t *entries; ///< entryBytes each
  uint32_t *entryBuckets, *holdingBuckets;
  Holding *holdings;
  Order *orders; ///< [slots]
  uint32_t words, entryBytes, capacity, bucketMask, slots;
  uint32_t usedEntries, usedHoldings, freeEntry, freeHolding;
  uint32_t victim; ///< slot that gives a holding up next when all are in use
};

namespace {

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t(63); }

struct Shape {
  uint32_t capacity, buckets, words;
  size_t entries, entryBuckets, holdings, holdingBuckets, orders,
      end; ///< offsets in a shard's part
};

Shape shapeOf(uint32_t holdings, uint32_t slots) {
  Shape s;
  s.capacity = (holdings + kPrefixShards - 1) / kPrefixShards;
  s.buckets = 1;
  while (s.buckets < s.capacity)
    s.buckets *= 2;
  s.words = (slots + 63) / 64;
  s.entries = 0;
  s.entryBuckets = align64(s.capacity * (sizeof(BlockEntry) + 8 * size_t(s.words)));
  s.holdings = s.entryBuckets + align64(size_t(s.buckets) * 4);
  s.holdingBuckets = s.holdings + align64(s.capacity * sizeof(Holding));
  s.orders = s.holdingBuckets + align64(size_t(s.buckets) * 4);
  s.end = s.orders + align64(slots * sizeof(Order));
  return s;
}

struct Guard {
  pthread_mutex_t &lock;
  explicit Guard(PrefixShard &shard) : lock(shard.lock) { pthread_mutex_lock(&lock); }
  ~Guard() { pthread_mutex_unlock(&lock); }
};

PrefixShard &shardOf(const PrefixTable &table, uint64_t hash) { return table.shards[hash >> 60]; }

BlockEntry &entryAt(PrefixShard &s, uint32_t index) {
  return *reinterpret_cast<BlockEntry *>(s.entries + size_t(index - 1) * s.entryBytes);
}
uint64_t *wordsOf(BlockEntry &entry) { return reinterpret_cast<uint64_t *>(&entry + 1); }
Holding &holdingAt(PrefixShard &s, uint32_t index) { return s.holdings[index - 1]; }

uint32_t &bucketOf(PrefixShard &s, uint64_t hash) { return s.entryBuckets[hash & s.bucketMask]; }
uint32_t &bucketOf(PrefixShard &s, uint64_t hash, uint32_t slot) {
  return s.holdingBuckets[mix(hash + slot) & s.bucketMask];
}

uint32_t findEntry(PrefixShard &s, uint64_t block, uint64_t hash) {
  uint32_t i = bucketOf(s, hash);
  while (i && entryAt(s, i).block != block)
    i = entryAt(s, i).next;
  return i;
}

uint32_t findHolding(PrefixShard &s, uint64_t block, uint64_t hash, uint32_t slot) {
  uint32_t i = bucketOf(s, hash, slot);
  while (i && (holdingAt(s, i).block != block || holdingAt(s, i).slot != slot))
    i = holdingAt(s, i).next;
  return i;
}

void unlinkOrder(PrefixShard &s, uint32_t index) {
  const Holding &h = holdingAt(s, index);
  Order &order = s.orders[h.slot];
  (h.newer ? holdingAt(s, h.newer).older : order.newest) = h.older;
  (h.older ? holdingAt(s, h.older).newer : order.oldest) = h.newer;
  --order.count;
}

void pushNewest(PrefixShard &s, uint32_t index) {
  Holding &h = holdingAt(s, index);
  Order &order = s.orders[h.slot];
  h.newer = 0;
  h.older = order.newest;
  (order.newest ? holdingAt(s, order.newest).newer : order.oldest) = index;
  order.newest = index;
  ++order.count;
}

void drop(PrefixShard &s, uint32_t index) {
  Holding &h = holdingAt(s, index);
  const uint64_t hash = mix(h.block);
  unlinkOrder(s, index);
  uint32_t *link = &bucketOf(s, hash, h.slot);
  while (*link != index)
    link = &holdingAt(s, *link).next;
  *link = h.next;
  h.next = s.freeHolding;
  s.freeHolding = index;

  uint32_t *entryLink = &bucketOf(s, hash);
  while (entryAt(s, *entryLink).block != h.block)
    entryLink = &entryAt(s, *entryLink).next;
  const uint32_t number = *entryLink;
  BlockEntry &entry = entryAt(s, number);
  wordsOf(entry)[h.slot / 64] &= ~(uint64_t(1) << h.slot % 64);
  if (--entry.holders)
    return;
  *entryLink = entry.next;
  entry.next = s.freeEntry;
  s.freeEntry = number;
}

/// A free holding; some endpoint, `slot` for choice, gives one up where all are in use. There is an
/// entry for every holding, so that those cannot run out.
uint32_t takeHolding(PrefixShard &s, uint32_t slot, uint32_t room) {
  if (room && s.orders[slot].count >= room)
    drop(s, s.orders[slot].oldest);
  if (!s.freeHolding && s.usedHoldings < s.capacity)
    return ++s.usedHoldings;
  if (!s.freeHolding && s.orders[slot].count)
    drop(s, s.orders[slot].oldest);
  while (!s.freeHolding) {
    s.victim = (s.victim + 1) % s.slots;
    if (s.orders[s.victim].count)
      drop(s, s.orders[s.victim].oldest);
  }
  const uint32_t index = s.freeHolding;
  s.freeHolding = holdingAt(s, index).next;
  return index;
}

void hold(PrefixShard &s, uint64_t block, uint64_t hash, uint32_t slot, uint32_t room) {
  if (const uint32_t there = findHolding(s, block, hash, slot)) {
    unlinkOrder(s, there);
    pushNewest(s, there);
    return;
  }
  const uint32_t index = takeHolding(s, slot, room);
  Holding &h = holdingAt(s, index);
  uint32_t &bucket = bucketOf(s, hash, slot);
  h = {block, bucket, 0, 0, static_cast<uint16_t>(slot), 0};
  bucket = index;
  pushNewest(s, index);

  uint32_t number = findEntry(s, block, hash);
  if (!number) {
    number = s.freeEntry ? s.freeEntry : ++s.usedEntries;
    BlockEntry &fresh = entryAt(s, number);
    if (number == s.freeEntry)
      s.freeEntry = fresh.next;
    uint32_t &entryBucket = bucketOf(s, hash);
    fresh = {block, entryBucket, 0};
    memset(wordsOf(fresh), 0, 8 * size_t(s.words));
    entryBucket = number;
  }
  BlockEntry &entry = entryAt(s, number);
  wordsOf(entry)[slot / 64] |= uint64_t(1) << slot % 64;
  ++entry.holders;
}

/// Another endpoint by the same slot: it has nothing yet.
void forget(PrefixTable &table, uint32_t slot) {
  for (uint32_t i = 0; i < kPrefixShards; ++i) {
    const Guard guard(table.shards[i]);
    while (table.shards[i].orders[slot].count)
      drop(table.shards[i], table.shards[i].orders[slot].oldest);
  }
}

} // namespace

size_t prefixSize(uint32_t holdings, uint32_t slots) {
  return align64(kPrefixShards * sizeof(PrefixShard)) + align64(slots * sizeof(uint32_t)) +
         kPrefixShards * shapeOf(holdings, slots).end;
}

void initPrefixes(PrefixTable &table, void *memory, uint32_t holdings, uint32_t slots) {
  const Shape shape = shapeOf(holdings, slots);
  auto *bytes = static_cast<uint8_t *>(memory);
  table.shards = reinterpret_cast<PrefixShard *>(bytes);
  bytes += align64(kPrefixShards * sizeof(PrefixShard));
  table.generation = reinterpret_cast<uint32_t *>(bytes);
  bytes += align64(slots * sizeof(uint32_t));
  table.slots = slots;
  for (uint32_t i = 0; i < kPrefixShards; ++i, bytes += shape.end) {
    PrefixShard &s = table.shards[i];
    pthread_mutex_init(&s.lock, nullptr);
    s.entries = bytes + shape.entries;
    s.entryBuckets = reinterpret_cast<uint32_t *>(bytes + shape.entryBuckets);
    s.holdings = reinterpret_cast<Holding *>(bytes + shape.holdings);
    s.holdingBuckets = reinterpret_cast<uint32_t *>(bytes + shape.holdingBuckets);
    s.orders = reinterpret_cast<Order *>(bytes + shape.orders);
    s.words = shape.words;
    s.entryBytes = static_cast<uint32_t>(sizeof(BlockEntry) + 8 * size_t(shape.words));
    s.capacity = shape.capacity;
    s.bucketMask = shape.buckets - 1;
    s.slots = slots;
  }
}

void destroyPrefixes(PrefixTable &table) {
  for (uint32_t i = 0; i < kPrefixShards; ++i)
    pthread_mutex_destroy(&table.shards[i].lock);
}

void countHeld(const PrefixTable &table, const uint64_t *blocks, uint32_t count,
               const uint32_t *generations, uint32_t generationStride, uint32_t slots,
               uint16_t *held) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(generations);
  const uint32_t words = (table.slots + 63) / 64;
  uint64_t holding[kMaxWords]; // endpoints that hold all blocks so far
  memset(holding, 0xff, sizeof holding);
  const auto leave = [&](uint32_t word, uint64_t bits, uint32_t blocksHeld) {
    for (; bits; bits &= bits - 1) {
      const uint32_t slot = word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits));
      if (slot >= slots)
        return;
      uint32_t generation;
      memcpy(&generation, bytes + size_t(slot) * generationStride, sizeof generation);
      if (load(table.generation[slot]) == generation)
        held[slot] = static_cast<uint16_t>(blocksHeld);
    }
  };
  bool anybody = true;
  uint32_t b = 0;
  for (; b < count && anybody; ++b) {
    anybody = false;
    const uint64_t hash = mix(blocks[b]);
    PrefixShard &s = shardOf(table, hash);
    uint64_t here[kMaxWords] = {};
    {
      const Guard guard(s);
      if (const uint32_t entry = findEntry(s, blocks[b], hash))
        memcpy(here, wordsOf(entryAt(s, entry)), 8 * size_t(words));
    }
    for (uint32_t w = 0; w < words; ++w) {
      if (b)
        leave(w, holding[w] & ~here[w], b);
      holding[w] &= here[w];
      anybody |= holding[w] != 0;
    }
  }
  for (uint32_t w = 0; w < words && b == count && count; ++w)
    leave(w, holding[w], count);
}

void markHeld(PrefixTable &table, const uint64_t *blocks, uint32_t count, uint32_t slot,
              uint32_t generation, uint32_t room) {
  if (load(table.generation[slot]) != generation) {
    forget(table, slot);
    store(table.generation[slot], generation);
  }
  const uint32_t share = (room + kPrefixShards - 1) / kPrefixShards;
  for (uint32_t b = count; b-- > 0;) { // the prompt's end is what an endpoint drops first
    const uint64_t hash = mix(blocks[b]);
    PrefixShard &s = shardOf(table, hash);
    const Guard guard(s);
    hold(s, blocks[b], hash, slot, share);
  }
}

} // namespace semdns::dispatch
