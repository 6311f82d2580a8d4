/* Micro-kernel: hash to row (TOKV) or word id (KEYW) in a bucketed table. */
#ifndef SEMDNS_KERNELS_LOOKUP_H
#define SEMDNS_KERNELS_LOOKUP_H

#include "kernels/hash.h"
#include "semdns/format/keywords.h"

/* The id of `hash` in `buckets` (64-byte aligned semdns_word_bucket[bucketCount]), or 0. All eight
 * slots are compared at once; the largest id of equal fingerprints wins (a valid table has none),
 * so that the result is an id of the table whatever it holds. */
static inline uint32_t uk_lookup(const void *__restrict buckets, uint32_t bucketCount,
                                 uint64_t hash) {
  const semdns_word_bucket *bucket =
      (const semdns_word_bucket *)buckets + semdns_bucket(hash, bucketCount);
  uint32_t fingerprint = semdns_fingerprint(hash);
  uint32_t id = 0;
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t found = bucket->fingerprint[i] == fingerprint ? bucket->id[i] : 0;
    id = found > id ? found : id;
  }
  return id;
}

#endif /* SEMDNS_KERNELS_LOOKUP_H */
