/// \file Token buckets per rule and scope, as theoretical arrival times (GCRA, ITU-T I.371): one
/// atomic word a bucket. Fixed memory: scopes beyond it share one bucket a rule.
#pragma once

#include <stdint.h>

namespace semdns::dispatch {

struct BucketSlot {
  uint64_t key;  ///< atomic; 0: free. Never given back: a scope keeps its bucket
  uint64_t full; ///< atomic: when the bucket will be full again, ns
};

struct Buckets {
  BucketSlot *slots; ///< [capacity], then one shared a rule
  uint32_t capacity, rules;
};

/// Takes one token; 0, or how many ns from `now` one will be there. `interval` ns a token, `burst`
/// tokens at most.
uint64_t takeToken(Buckets &buckets, uint32_t rule, uint64_t scope, uint64_t interval,
                   uint32_t burst, uint64_t now);

} // namespace semdns::dispatch
