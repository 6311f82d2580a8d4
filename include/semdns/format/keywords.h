/* KEYW: stage 1, one automaton for the terms of all zones.
 *
 * The automaton runs over words, not bytes: word boundaries hold by construction and its work per
 * word is bounded. A word is known by its 64-bit hash (kernels/hash.h). It is an Aho-Corasick
 * automaton whose failure links are resolved at build time: `step` maps (state, word) to the next
 * state for every pair whose target differs from what the initial state does on that word. So the
 * next state is step(state, word), else step(0, word), else 0. (Storing those pairs too would take
 * space in the order of states times first words.)
 *
 *     semdns_keyw_header
 *     buckets of the word table    {u32 fingerprint[8]; u32 id[8]}: word hash -> word id (1..word_count)
 *     buckets of the step table    {u64 key[4]; u32 state[4]; u32 zero[4]}, key = state << 32 | word id
 *     uint32_t output_begin[state_count + 1]   terms that end in a state
 *     uint32_t outputs[output_count]           term numbers
 *     semdns_term terms[term_count]
 *     char strings[string_bytes]               the terms as written, for `+trace` and inspection
 *
 * A word table bucket is chosen by SEMDNS_BUCKET(hash), a step bucket by SEMDNS_BUCKET(mix(key)).
 * No bucket overflows: the builder raises the bucket count until all fit. Fingerprint 0 and key 0
 * mark a free slot (no key is 0: word ids start at 1).
 *
 * Votes: each occurrence of a term in the query adds the term's weight to its zone, hits beyond
 * SEMDNS_MAX_HITS are ignored. Stage 1 answers with the zone of the largest vote (ties: the lowest
 * zone) when that vote >= accept_votes and vote * 65536 >= total * accept_purity, where total is
 * the sum of all votes; votes for ancestors of the winning zone count for it in the purity test. */
#ifndef SEMDNS_FORMAT_KEYWORDS_H
#define SEMDNS_FORMAT_KEYWORDS_H

#include "semdns/format/artifact.h"

#define SEMDNS_KEYW_VERSION 1u
#define SEMDNS_MAX_TERMS (1u << 20)
#define SEMDNS_MAX_TERM_WORDS 8u
#define SEMDNS_MAX_TERM_WEIGHT 65535u
#define SEMDNS_MAX_HITS 64u
#define SEMDNS_NEVER 0xffffffffu /* accept_votes: stage 1 never answers */

typedef struct semdns_keyw_header {
  uint32_t word_count;
  uint32_t word_buckets; /* at least 1, also when empty */
  uint32_t step_buckets; /* at least 1 */
  uint32_t state_count;  /* at least 1; state 0 is the initial one */
  uint32_t output_count;
  uint32_t term_count;
  uint32_t string_bytes;
  uint32_t accept_votes;  /* or SEMDNS_NEVER */
  uint32_t accept_purity; /* Q16, 0..65536 */
  uint32_t confidence;    /* Q16 confidence reported for a stage 1 answer (measured precision) */
  uint64_t words_offset;  /* offsets from the start of the section, each a multiple of 64 */
  uint64_t steps_offset;
  uint64_t output_begin_offset;
  uint64_t outputs_offset;
  uint64_t terms_offset;
  uint64_t strings_offset;
  uint64_t reserved[5]; /* zero */
} semdns_keyw_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_keyw_header) == 128);

typedef struct semdns_word_bucket { /* also used by TOKV */
  uint32_t fingerprint[8];
  uint32_t id[8];
} semdns_word_bucket;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_word_bucket) == 64);

typedef struct semdns_step_bucket {
  uint64_t key[4];
  uint32_t state[4];
  uint32_t zero[4];
} semdns_step_bucket;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_step_bucket) == 64);

typedef struct semdns_term {
  uint32_t zone;
  uint32_t weight; /* 1..SEMDNS_MAX_TERM_WEIGHT */
  uint32_t text_offset, text_size;
} semdns_term;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_term) == 16);

#endif /* SEMDNS_FORMAT_KEYWORDS_H */
