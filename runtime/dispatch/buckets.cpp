#include "runtime/dispatch/buckets.h"

#include "runtime/dispatch/atomics.h"

namespace semdns::dispatch {
namespace {

constexpr uint32_t kProbes = 8;

BucketSlot &slotOf(Buckets &buckets, uint32_t rule, uint64_t scope) {
  uint64_t key = mix(scope ^ (uint64_t(rule + 1) << 48));
  key += !key;
  for (uint32_t i = 0; i < kProbes && i < buckets.capacity; ++i) {
    BucketSlot &slot = buckets.slots[(key + i) % buckets.capacity];
    uint64_t there = load(slot.key);
    if (!there && __atomic_compare_exchange_n(&slot.key, &there, key, false, __ATOMIC_RELAXED,
                                              __ATOMIC_RELAXED))
      return slot;
    if (there == key)
      return slot;
  }
  return buckets.slots[buckets.capacity + rule];
}

} // namespace

uint64_t takeToken(Buckets &buckets, uint32_t rule, uint64_t scope, uint64_t interval,
                   uint32_t burst, uint64_t now) {
  BucketSlot &slot = slotOf(buckets, rule, scope);
  const uint64_t room = interval * burst;
  uint64_t full = load(slot.full), next;
  do {
    next = (full > now ? full : now) + interval;
    if (next - now > room)
      return next - now - room;
  } while (!__atomic_compare_exchange_n(&slot.full, &full, next, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  return 0;
}

} // namespace semdns::dispatch
