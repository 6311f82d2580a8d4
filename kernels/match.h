/* Micro-kernel: stage 1's automaton over word hashes. See include/semdns/format/keywords.h. */
#ifndef SEMDNS_KERNELS_MATCH_H
#define SEMDNS_KERNELS_MATCH_H

#include "kernels/lookup.h"

/* The target of (state, word id) if the table has the pair, else 0. */
static inline uint32_t uk_step(const semdns_step_bucket *__restrict buckets, uint32_t bucketCount,
                               uint32_t state, uint32_t word) {
  uint64_t key = (uint64_t)state << 32 | word;
  const semdns_step_bucket *bucket = buckets + semdns_bucket(semdns_hash_mix(key), bucketCount);
  uint32_t target = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t found = bucket->key[i] == key ? bucket->state[i] : 0;
    target = found > target ? found : target;
  }
  return target;
}

/* Runs the automaton of the KEYW section at `keyw` (validated, 64-byte aligned) over `words`.
 * hits [SEMDNS_MAX_HITS]: term numbers in text order, at one word in the order of `outputs`; those
 * beyond are ignored. Returns their count. */
static inline uint32_t uk_match(const uint8_t *__restrict keyw, const uint64_t *__restrict words,
                                uint32_t wordCount, uint32_t *__restrict hits) {
  const semdns_keyw_header *header = (const semdns_keyw_header *)keyw;
  const void *wordTable = keyw + header->words_offset;
  const semdns_step_bucket *steps = (const semdns_step_bucket *)(keyw + header->steps_offset);
  const uint32_t *outputBegin = (const uint32_t *)(keyw + header->output_begin_offset);
  const uint32_t *outputs = (const uint32_t *)(keyw + header->outputs_offset);
  uint32_t wordBuckets = header->word_buckets, stepBuckets = header->step_buckets;
  if (!header->term_count)
    return 0;

  uint32_t state = 0, count = 0;
  for (uint32_t i = 0; i < wordCount; ++i) {
    uint32_t word = uk_lookup(wordTable, wordBuckets, words[i]);
    if (!word) {
      state = 0;
      continue;
    }
    uint32_t next = uk_step(steps, stepBuckets, state, word);
    if (!next && state) /* pairs that go where the initial state goes are not stored */
      next = uk_step(steps, stepBuckets, 0, word);
    state = next;
    for (uint32_t o = outputBegin[state]; o < outputBegin[state + 1]; ++o) {
      if (count == SEMDNS_MAX_HITS)
        return count;
      hits[count++] = outputs[o];
    }
  }
  return count;
}

#endif /* SEMDNS_KERNELS_MATCH_H */
