/// \file Decisions by key in fixed memory, S3-FIFO (Yang, Zhang, Qiu, Yue, Vigfusson: FIFO queues
/// are all you need for cache eviction, SOSP 2023): a small queue on trial, a main queue whose
/// entries get another round for each hit, and the fingerprints of what they have let go. As in
/// the paper's adaptive variant the small queue's share moves to where what was let go of late is
/// missed more; unlike there, one hit on trial is enough for the main queue.
///
/// Threads. The store is cut into shards by key. Readers take no lock: an entry is copied under a
/// sequence number and thrown away if that has moved; what they write is the entry's count of hits
/// up to 3, and nothing once it is there. Writers lock their shard.
#pragma once

#include "runtime/cache/siphash.h"
#include "runtime/resolve/cascade.h"

#include <pthread.h>
#include <stdint.h>

namespace semdns::cache {

constexpr uint32_t kMaxShards = 16;
constexpr uint32_t kMaxTtl = 86400; ///< seconds

/// What a decision rests on.
struct Origin {
  uint64_t digest[2]; ///< of the artifact, its first half
  uint64_t serial;
  uint64_t epoch; ///< of the policy
};

struct Entry {
  Key key; ///< with the scope's, or of none
  uint64_t digest[2];
  uint64_t scope; ///< tag, 0: shared
  uint64_t serial;
  uint64_t zoneName; ///< nameKey()
  uint64_t expires;  ///< ns
  uint32_t epoch;
  uint32_t ttl; ///< ms; jittered
  resolve::Decision decision;
};
constexpr uint32_t kEntryWords = sizeof(Entry) / 8;
static_assert(sizeof(Entry) == 160 && alignof(Entry) == 8);

/// 192 bytes. All fields are read without the lock but prev, next, bucket and queue.
struct Slot {
  uint32_t sequence; ///< odd while it is being written
  uint32_t chain;    ///< slot + 1 of the next in the bucket; 0: none
  uint32_t prev, next, bucket;
  uint8_t queue;   ///< 0: free, 1: small, 2: main
  uint8_t hits;    ///< 0..3
  uint8_t offered; ///< its refresh has been asked of somebody
  uint8_t spare[9];
  uint64_t words[kEntryWords]; ///< Entry
};
static_assert(sizeof(Slot) == 192);

struct Queue {
  uint32_t first, last, count; ///< slots; new ones become the first
};

struct alignas(64) Shard {
  // Readers' line: never written again.
  uint32_t *buckets; ///< [bucketMask + 1] slot + 1
  Slot *slots;       ///< [capacity]
  uint64_t *ghosts;  ///< [ghostMask + 1] fingerprint and queue << 32 | turn, in sets of four
  uint32_t *scopes;  ///< [kScopeCounters] entries by tag
  uint32_t capacity, bucketMask, ghostMask;
  // Writers'.
  alignas(64) pthread_mutex_t lock;
  uint32_t smallTarget; ///< entries that the small queue may have
  uint32_t turns[2];    ///< entries let go, by queue
  uint32_t missed[2];   ///< of those the ones asked for again soon, since smallTarget was looked at
  uint32_t free;
  uint32_t cursor;  ///< of expire()
  uint32_t entries; ///< atomic
  Queue small, main;
  uint64_t evictions, refused; ///< atomic
};

/// Scopes whose tags fall on one counter share its quota.
constexpr uint32_t kScopeCounters = 256;

struct Store {
  Shard *shards; ///< null: no cache
  uint32_t shardCount;
  uint64_t flushes; ///< atomic; what was begun before a flush is not kept after it
};

/// Bytes for as many entries as fit `budget` bytes; 0 if not one does.
uint64_t storeSize(uint64_t budget);
/// The least budget that holds an entry.
uint64_t leastBudget();
/// `memory`: storeSize(budget) zeroed bytes, 64-byte aligned.
void initStore(Store &store, uint64_t budget, void *memory);
void deinitStore(Store &store);
uint64_t capacityOf(const Store &store);

/// Where an entry was found; only for offerRefresh().
struct Place {
  Slot *slot;
  uint32_t sequence;
};

/// A copy of the entry, whatever its age; counts as a hit of it.
bool find(const Store &store, const Key &key, Entry &out, Place &place);

/// True for one caller in the entry's life.
bool offerRefresh(const Place &place);

/// Puts the entry in, or in the place of the one with its key. `quota`: percent of the entries that
/// a scope may have; beyond it a scope's own oldest makes room. False where that finds none, or
/// where the store was flushed since it had had `flushes` flushes.
bool insert(Store &store, const Entry &entry, uint32_t quota, uint64_t flushes, uint64_t now);

/// Looks at up to `budget` entries and drops those that expired more than `keep` ns ago. Returns
/// how many.
uint32_t expire(Store &store, uint64_t now, uint64_t keep, uint32_t budget);

/// Drops what `matches` says; returns how many.
using Match = bool (*)(const Entry &entry, const void *what);
uint64_t flush(Store &store, Match matches, const void *what);

struct StoreCounts {
  uint64_t entries, evictions, refused;
};
StoreCounts countsOf(const Store &store);

/// Milliseconds that a decision with a zone's `ttl` seconds may be kept: at most a day, `cap`
/// seconds if that is less, and 10 % more or less by `random`, so that what came together does not
/// go together.
uint32_t jitteredTtl(uint32_t ttl, uint32_t cap, uint64_t random);

} // namespace semdns::cache
