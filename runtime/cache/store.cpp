#include "runtime/cache/store.h"

#include <string.h>

namespace semdns::cache {
namespace {

constexpr uint32_t kNone = 0xffffffffu;
enum : uint8_t { kFree = 0, kSmall = 1, kMain = 2 };
constexpr uint8_t kMostHits = 3;

template <typename T> T load(const T &from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }
template <typename T> T acquire(const T &from) { return __atomic_load_n(&from, __ATOMIC_ACQUIRE); }
template <typename T> void store(T &to, T value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }
template <typename T> void release(T &to, T value) {
  __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}
template <typename T> void add(T &to, T value) { __atomic_fetch_add(&to, value, __ATOMIC_RELAXED); }

uint64_t align64(uint64_t n) { return (n + 63) & ~uint64_t(63); }

/// The least power of two that is not less.
uint32_t powerOfTwo(uint32_t n) {
  uint32_t p = 1;
  while (p < n)
    p *= 2;
  return p;
}

struct Shape {
  uint32_t shards, capacity, buckets, ghosts; ///< each shard's
  uint64_t shardSize;
};

Shape shapeOf(uint32_t shards, uint32_t capacity) {
  Shape s;
  s.shards = shards;
  s.capacity = capacity;
  s.buckets = powerOfTwo(capacity);
  s.ghosts = powerOfTwo(capacity < 4 ? 4 : capacity);
  s.shardSize = align64(sizeof(uint32_t) * uint64_t(s.buckets)) +
                sizeof(Slot) * uint64_t(capacity) + align64(sizeof(uint64_t) * uint64_t(s.ghosts)) +
                align64(sizeof(uint32_t) * kScopeCounters);
  return s;
}

uint64_t bytesOf(const Shape &s) { return s.shards * (sizeof(Shard) + s.shardSize); }

/// As many entries as fit, in as many shards as leave each a thousand.
bool shapeFor(uint64_t budget, Shape &out) {
  constexpr uint32_t kMostEntries = 1u << 27; // all shards' slots are numbered in 32 bits
  if (budget < bytesOf(shapeOf(1, 1)))
    return false;
  uint64_t most = budget / sizeof(Slot);
  most = most < kMostEntries ? most : kMostEntries;
  uint32_t shards = 1;
  while (shards < kMaxShards && most / (2 * shards) >= 1024)
    shards *= 2;
  uint32_t low = 1, high = static_cast<uint32_t>(most / shards);
  while (low < high) {
    const uint32_t middle = low + (high - low + 1) / 2;
    if (bytesOf(shapeOf(shards, middle)) <= budget)
      low = middle;
    else
      high = middle - 1;
  }
  out = shapeOf(shards, low);
  return bytesOf(out) <= budget;
}

Shard &shardOf(const Store &s, const Key &key) {
  return s.shards[static_cast<uint32_t>(key.high >> 32) & (s.shardCount - 1)];
}
uint32_t bucketOf(const Shard &shard, const Key &key) {
  return static_cast<uint32_t>(key.low) & shard.bucketMask;
}

struct Guard {
  Shard &shard;
  explicit Guard(Shard &s) : shard(s) { pthread_mutex_lock(&shard.lock); }
  ~Guard() { pthread_mutex_unlock(&shard.lock); }
  Guard(const Guard &) = delete;
  Guard &operator=(const Guard &) = delete;
};

// ---- Under the shard's lock ---------------------------------------------------------------------

/// The slot's entry; only writers change it.
Entry entryOf(const Slot &slot) {
  uint64_t words[kEntryWords];
  for (uint32_t i = 0; i < kEntryWords; ++i)
    words[i] = load(slot.words[i]);
  Entry entry;
  memcpy(&entry, words, sizeof entry);
  return entry;
}
Key keyOf(const Slot &slot) { return {load(slot.words[0]), load(slot.words[1])}; }
uint64_t scopeOf(const Slot &slot) { return load(slot.words[4]); }
uint64_t expiresOf(const Slot &slot) { return load(slot.words[7]); }
static_assert(offsetof(Entry, key) == 0 && offsetof(Entry, scope) == 32 &&
              offsetof(Entry, expires) == 56);

void write(Slot &slot, const Entry &entry) {
  uint64_t words[kEntryWords];
  memcpy(words, &entry, sizeof words);
  // Readers' loads are acquiring: one that sees a new word sees the odd number, too.
  store(slot.sequence, slot.sequence + 1);
  for (uint32_t i = 0; i < kEntryWords; ++i)
    release(slot.words[i], words[i]);
  release(slot.sequence, slot.sequence + 1);
}

void pushFirst(Shard &s, Queue &queue, uint32_t number) {
  Slot &slot = s.slots[number];
  slot.prev = kNone;
  slot.next = queue.first;
  (queue.first == kNone ? queue.last : s.slots[queue.first].prev) = number;
  queue.first = number;
  ++queue.count;
}

void unlink(Shard &s, Queue &queue, uint32_t number) {
  Slot &slot = s.slots[number];
  (slot.prev == kNone ? queue.first : s.slots[slot.prev].next) = slot.next;
  (slot.next == kNone ? queue.last : s.slots[slot.next].prev) = slot.prev;
  --queue.count;
}

uint32_t &counterOf(Shard &s, uint64_t scope) { return s.scopes[(scope >> 8) % kScopeCounters]; }

/// Takes the slot out of its queue, its bucket and its scope's count.
void drop(Shard &s, uint32_t number) {
  Slot &slot = s.slots[number];
  unlink(s, slot.queue == kSmall ? s.small : s.main, number);
  uint32_t *at = &s.buckets[slot.bucket];
  while (load(*at) != number + 1)
    at = &s.slots[load(*at) - 1].chain;
  store(*at, load(slot.chain));
  if (const uint64_t scope = scopeOf(slot))
    --counterOf(s, scope);
  slot.queue = kFree;
  slot.next = s.free;
  s.free = number;
  store(s.entries, s.entries - 1);
}

/// The set of four in the ghost table, and what stands there for a key: never 0. The lowest bit of
/// the upper half is the queue: 0 small, 1 main.
struct Ghost {
  uint64_t *set;
  uint64_t print;
};
Ghost ghostOf(Shard &s, const Key &key) {
  return {s.ghosts + (static_cast<uint32_t>(key.low >> 32) & s.ghostMask & ~3u),
          uint64_t((static_cast<uint32_t>(key.high) | 2u) & ~1u) << 32};
}

uint32_t ghostQueue(uint64_t ghost) { return ghost >> 32 & 1; }
/// How many the same queue has let go since.
uint32_t ageOf(const Shard &s, uint64_t ghost) {
  return ghost ? s.turns[ghostQueue(ghost)] - static_cast<uint32_t>(ghost) : UINT32_MAX;
}

void remember(Shard &s, const Key &key, uint32_t queue) {
  const Ghost g = ghostOf(s, key);
  ++s.turns[queue];
  uint32_t oldest = 0;
  for (uint32_t i = 1; i < 4; ++i)
    if (ageOf(s, g.set[i]) > ageOf(s, g.set[oldest]))
      oldest = i;
  g.set[oldest] = g.print | uint64_t(queue) << 32 | s.turns[queue];
}

/// More or less room for the small queue, after so many regrets.
void adapt(Shard &s) {
  constexpr uint32_t kRegrets = 6;
  if (s.missed[0] + s.missed[1] < kRegrets)
    return;
  const uint32_t step = s.capacity < 50 ? 1 : s.capacity / 50;
  const uint32_t least = s.capacity < 100 ? 1 : s.capacity / 100,
                 most = s.capacity - s.capacity / 10;
  if (s.missed[0] > 2 * s.missed[1])
    s.smallTarget = s.smallTarget + step < most ? s.smallTarget + step : most;
  else if (s.missed[1] > 2 * s.missed[0])
    s.smallTarget = s.smallTarget > least + step ? s.smallTarget - step : least;
  s.missed[0] = s.missed[1] = 0;
}

/// Whether the key was let go not too long ago.
bool wasThere(Shard &s, const Key &key) {
  const Ghost g = ghostOf(s, key);
  for (uint32_t i = 0; i < 4; ++i) {
    if ((g.set[i] & ~(uint64_t(1) << 32)) >> 32 != g.print >> 32)
      continue;
    const uint32_t age = ageOf(s, g.set[i]), queue = ghostQueue(g.set[i]);
    g.set[i] = 0;
    if (age > s.capacity - s.capacity / 10)
      return false;
    if (age <= s.capacity / 5) {
      ++s.missed[queue];
      adapt(s);
    }
    return true;
  }
  return false;
}

void toMain(Shard &s, uint32_t number) {
  s.slots[number].queue = kMain;
  pushFirst(s, s.main, number);
}

/// Frees one slot of a shard that has none left.
void evict(Shard &s, uint64_t now) {
  for (;;) {
    if (s.small.count > s.smallTarget || !s.main.count) {
      const uint32_t number = s.small.last;
      Slot &slot = s.slots[number];
      if (load(slot.hits) && expiresOf(slot) > now) {
        unlink(s, s.small, number);
        store(slot.hits, uint8_t(0));
        toMain(s, number);
        continue;
      }
      remember(s, keyOf(slot), 0);
      drop(s, number);
      break;
    }
    const uint32_t number = s.main.last;
    Slot &slot = s.slots[number];
    const uint8_t hits = load(slot.hits);
    if (hits && expiresOf(slot) > now) {
      unlink(s, s.main, number);
      store(slot.hits, uint8_t(hits - 1));
      pushFirst(s, s.main, number);
      continue;
    }
    remember(s, keyOf(slot), 1);
    drop(s, number);
    break;
  }
  store(s.evictions, s.evictions + 1);
}

/// The scope's oldest among the first of both queues' ends.
bool evictOwn(Shard &s, uint64_t scope) {
  constexpr uint32_t kLooks = 256;
  for (const Queue *queue : {&s.small, &s.main}) {
    uint32_t number = queue->last;
    for (uint32_t i = 0; i < kLooks && number != kNone; ++i, number = s.slots[number].prev)
      if (scopeOf(s.slots[number]) == scope) {
        drop(s, number);
        store(s.evictions, s.evictions + 1);
        return true;
      }
  }
  return false;
}

uint32_t slotOf(const Shard &s, const Key &key) {
  for (uint32_t at = load(s.buckets[bucketOf(s, key)]); at; at = load(s.slots[at - 1].chain))
    if (keyOf(s.slots[at - 1]) == key)
      return at - 1;
  return kNone;
}

} // namespace

uint64_t leastBudget() { return bytesOf(shapeOf(1, 1)); }

uint64_t storeSize(uint64_t budget) {
  Shape shape;
  return shapeFor(budget, shape) ? bytesOf(shape) : 0;
}

void initStore(Store &s, uint64_t budget, void *memory) {
  s = {};
  Shape shape;
  if (!shapeFor(budget, shape))
    return;
  s.shards = static_cast<Shard *>(memory);
  s.shardCount = shape.shards;
  uint8_t *at = static_cast<uint8_t *>(memory) + shape.shards * sizeof(Shard);
  const auto take = [&](uint64_t bytes) {
    uint8_t *taken = at;
    at += align64(bytes);
    return taken;
  };
  for (uint32_t i = 0; i < shape.shards; ++i) {
    Shard &shard = s.shards[i];
    pthread_mutex_init(&shard.lock, nullptr);
    shard.slots = reinterpret_cast<Slot *>(take(sizeof(Slot) * uint64_t(shape.capacity)));
    shard.buckets = reinterpret_cast<uint32_t *>(take(sizeof(uint32_t) * uint64_t(shape.buckets)));
    shard.ghosts = reinterpret_cast<uint64_t *>(take(sizeof(uint64_t) * uint64_t(shape.ghosts)));
    shard.scopes = reinterpret_cast<uint32_t *>(take(sizeof(uint32_t) * kScopeCounters));
    shard.capacity = shape.capacity;
    shard.bucketMask = shape.buckets - 1;
    shard.ghostMask = shape.ghosts - 1;
    shard.smallTarget = shape.capacity < 10 ? 1 : shape.capacity / 10;
    shard.small = shard.main = {kNone, kNone, 0};
    shard.free = kNone;
    for (uint32_t n = shape.capacity; n-- > 0;) {
      shard.slots[n].next = shard.free;
      shard.free = n;
    }
  }
}

void deinitStore(Store &s) {
  for (uint32_t i = 0; i < s.shardCount; ++i)
    pthread_mutex_destroy(&s.shards[i].lock);
  s = {};
}

uint64_t capacityOf(const Store &s) {
  return s.shardCount ? uint64_t(s.shardCount) * s.shards[0].capacity : 0;
}

bool find(const Store &s, const Key &key, Entry &out, Place &place) {
  if (!s.shards)
    return false;
  const Shard &shard = shardOf(s, key);
  // A slot may move to another chain under a reader's feet: a few steps are all there ever are in
  // one, and what is missed is merely computed.
  uint32_t at = load(shard.buckets[bucketOf(shard, key)]);
  for (uint32_t steps = 0; at && steps < 64; ++steps) {
    Slot &slot = shard.slots[at - 1];
    const uint32_t sequence = acquire(slot.sequence);
    if (!(sequence & 1) && acquire(slot.words[0]) == key.low &&
        acquire(slot.words[1]) == key.high) {
      constexpr uint32_t kFixed = offsetof(Entry, decision.other) / 8;
      auto *words = reinterpret_cast<uint64_t *>(&out); // built without strict aliasing
      for (uint32_t i = 0; i <= kFixed; ++i)
        words[i] = acquire(slot.words[i]);
      if (out.decision.others > 1)
        for (uint32_t i = kFixed + 1; i < kEntryWords; ++i)
          words[i] = acquire(slot.words[i]);
      if (load(slot.sequence) != sequence)
        return false; // rewritten meanwhile
      if (const uint8_t hits = load(slot.hits); hits < kMostHits)
        store(slot.hits, uint8_t(hits + 1));
      place = {&slot, sequence};
      return true;
    }
    at = load(slot.chain);
  }
  return false;
}

bool offerRefresh(const Place &place) {
  return load(place.slot->sequence) == place.sequence && !load(place.slot->offered) &&
         !__atomic_exchange_n(&place.slot->offered, uint8_t(1), __ATOMIC_RELAXED);
}

bool insert(Store &s, const Entry &entry, uint32_t quota, uint64_t flushes, uint64_t now) {
  if (!s.shards)
    return false;
  Shard &shard = shardOf(s, entry.key);
  const Guard guard(shard);
  if (acquire(s.flushes) != flushes)
    return false;
  uint32_t number = slotOf(shard, entry.key);
  if (number != kNone) {
    Slot &slot = shard.slots[number];
    write(slot, entry); // the key says the scope, too
    store(slot.offered, uint8_t(0));
    return true;
  }
  if (entry.scope) {
    const uint64_t most = uint64_t(shard.capacity) * quota / 100;
    if (counterOf(shard, entry.scope) >= (most ? most : 1) && !evictOwn(shard, entry.scope)) {
      store(shard.refused, shard.refused + 1);
      return false;
    }
  }
  if (shard.free == kNone)
    evict(shard, now);
  number = shard.free;
  Slot &slot = shard.slots[number];
  shard.free = slot.next;
  slot.bucket = bucketOf(shard, entry.key);
  store(slot.hits, uint8_t(0));
  store(slot.offered, uint8_t(0));
  write(slot, entry);
  store(slot.chain, load(shard.buckets[slot.bucket]));
  release(shard.buckets[slot.bucket], number + 1);
  if (wasThere(shard, entry.key)) {
    toMain(shard, number);
  } else {
    slot.queue = kSmall;
    pushFirst(shard, shard.small, number);
  }
  if (entry.scope)
    ++counterOf(shard, entry.scope);
  store(shard.entries, shard.entries + 1);
  return true;
}

uint32_t expire(Store &s, uint64_t now, uint64_t keep, uint32_t budget) {
  uint32_t dropped = 0;
  for (uint32_t i = 0; i < s.shardCount; ++i) {
    Shard &shard = s.shards[i];
    const Guard guard(shard);
    const uint32_t share = budget / (s.shardCount - i);
    budget -= share;
    for (uint32_t n = 0; n < share && n < shard.capacity; ++n) {
      const uint32_t number = shard.cursor;
      shard.cursor = number + 1 < shard.capacity ? number + 1 : 0;
      const Slot &slot = shard.slots[number];
      if (slot.queue != kFree && expiresOf(slot) <= now && now - expiresOf(slot) >= keep) {
        drop(shard, number);
        ++dropped;
      }
    }
  }
  return dropped;
}

uint64_t flush(Store &s, Match matches, const void *what) {
  __atomic_fetch_add(&s.flushes, 1, __ATOMIC_ACQ_REL);
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < s.shardCount; ++i) {
    Shard &shard = s.shards[i];
    const Guard guard(shard);
    for (uint32_t number = 0; number < shard.capacity; ++number)
      if (shard.slots[number].queue != kFree && matches(entryOf(shard.slots[number]), what)) {
        drop(shard, number);
        ++dropped;
      }
  }
  return dropped;
}

StoreCounts countsOf(const Store &s) {
  StoreCounts counts = {};
  for (uint32_t i = 0; i < s.shardCount; ++i) {
    counts.entries += load(s.shards[i].entries);
    counts.evictions += load(s.shards[i].evictions);
    counts.refused += load(s.shards[i].refused);
  }
  return counts;
}

uint32_t jitteredTtl(uint32_t ttl, uint32_t cap, uint64_t random) {
  ttl = ttl < cap ? ttl : cap;
  ttl = ttl < kMaxTtl ? ttl : kMaxTtl;
  const uint32_t most = (cap < kMaxTtl ? cap : kMaxTtl) * 1000, middle = ttl * 1000;
  const uint32_t low = middle - middle / 10;
  const uint32_t high = middle + middle / 10 < most ? middle + middle / 10 : most;
  return low + static_cast<uint32_t>((random >> 32) * (uint64_t(high) - low + 1) >> 32);
}

} // namespace semdns::cache
