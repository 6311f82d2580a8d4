/* KEYW: stage 1, one automaton for the terms of all zones.
 *
 * The automaton runs over words, not bytes: word boundaries hold by construction. A word is known
 * by its 64-bit hash (kernels/hash.h). It is an Aho-Corasick automaton, stored as its trie with
 * failure links: resolving them into steps would take space in the order of states times words. The
 * next state of `s` on a word is the target of s's edge for it; without one, the same is asked of
 * s's failure state, and so on down to the initial state 0, whose steps stand in `roots`. Depth
 * falls with each failure link and is at most SEMDNS_MAX_TERM_WORDS, which bounds the work per
 * word.
 *
 *     semdns_keyw_header
 *     semdns_word_bucket words[word_buckets]   word hash -> word id (1..word_count)
 *     uint32_t roots[word_count + 1]           state after the word from state 0, else 0; [0] is 0
 *     semdns_keyw_state states[state_count + 1]  breadth first; the last one only ends ranges
 *     semdns_keyw_edge edges[edge_count]       grouped by state, sorted by word; state 0: none
 *     uint32_t outputs[output_count]           term numbers, grouped by the state they end in
 *     semdns_term terms[term_count]
 *     char strings[string_bytes]               the terms as written, for `+trace` and inspection
 *
 * Buckets: semdns_bucket(hash, word_buckets), fingerprint semdns_fingerprint(hash). No bucket
 * overflows: the builder raises the bucket count until all fit. Fingerprint 0 marks a free slot.
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
  uint32_t state_count;  /* at least 1; state 0 is the initial one */
  uint32_t edge_count;
  uint32_t output_count;
  uint32_t term_count;
  uint32_t string_bytes;
  uint32_t accept_votes;  /* or SEMDNS_NEVER */
  uint32_t accept_purity; /* Q16, 0..65536 */
  uint32_t confidence;    /* Q16 confidence reported for a stage 1 answer (measured precision) */
  uint64_t words_offset;  /* offsets from the start of the section, each a multiple of 64 */
  uint64_t roots_offset;
  uint64_t states_offset;
  uint64_t edges_offset;
  uint64_t outputs_offset;
  uint64_t terms_offset;
  uint64_t strings_offset;
  uint64_t reserved[4]; /* zero */
} semdns_keyw_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_keyw_header) == 128);

typedef struct semdns_word_bucket { /* also used by TOKV */
  uint32_t fingerprint[8];
  uint32_t id[8];
} semdns_word_bucket;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_word_bucket) == 64);

typedef struct semdns_keyw_state {
  uint32_t edge_begin;   /* edges [edge_begin, the next state's edge_begin) */
  uint32_t output_begin; /* outputs, likewise */
  uint32_t fail;         /* a state of smaller depth; state 0: 0 */
  uint32_t depth;        /* words from the initial state, 0..SEMDNS_MAX_TERM_WORDS */
} semdns_keyw_state;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_keyw_state) == 16);

typedef struct semdns_keyw_edge {
  uint32_t word;
  uint32_t state; /* of the depth of the edge's own state + 1 */
} semdns_keyw_edge;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_keyw_edge) == 8);

typedef struct semdns_term {
  uint32_t zone;
  uint32_t weight; /* 1..SEMDNS_MAX_TERM_WEIGHT */
  uint32_t text_offset, text_size;
} semdns_term;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_term) == 16);

#endif /* SEMDNS_FORMAT_KEYWORDS_H */
