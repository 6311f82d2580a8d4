/* Micro-kernel: stage 1's automaton over word hashes. See include/semdns/format/keywords.h. */
#ifndef SEMDNS_KERNELS_MATCH_H
#define SEMDNS_KERNELS_MATCH_H

#include "kernels/lookup.h"

/* The target of the edge for `word` among edges[begin, end), sorted by word, or 0. */
static inline uint32_t uk_edge(const semdns_keyw_edge *__restrict edges, uint32_t begin,
                               uint32_t end, uint32_t word) {
  while (begin < end) {
    uint32_t middle = begin + (end - begin) / 2;
    if (edges[middle].word == word)
      return edges[middle].state;
    if (edges[middle].word < word)
      begin = middle + 1;
    else
      end = middle;
  }
  return 0;
}

/* Runs the automaton of the KEYW section at `keyw` (validated, 64-byte aligned) over `words`.
 * hits [SEMDNS_MAX_HITS]: term numbers in text order, at one word in the order of `outputs`; those
 * beyond are ignored. Returns their count. */
static inline uint32_t uk_match(const uint8_t *__restrict keyw, const uint64_t *__restrict words,
                                uint32_t wordCount, uint32_t *__restrict hits) {
  const semdns_keyw_header *header = (const semdns_keyw_header *)keyw;
  const void *wordTable = keyw + header->words_offset;
  const uint32_t *roots = (const uint32_t *)(keyw + header->roots_offset);
  const semdns_keyw_state *states = (const semdns_keyw_state *)(keyw + header->states_offset);
  const semdns_keyw_edge *edges = (const semdns_keyw_edge *)(keyw + header->edges_offset);
  const uint32_t *outputs = (const uint32_t *)(keyw + header->outputs_offset);
  uint32_t wordBuckets = header->word_buckets;
  if (!header->term_count)
    return 0;

  uint32_t state = 0, count = 0;
  for (uint32_t i = 0; i < wordCount; ++i) {
    uint32_t word = uk_lookup(wordTable, wordBuckets, words[i]);
    if (!word) {
      state = 0;
      continue;
    }
    uint32_t next = 0;
    for (; state && !next; state = states[state].fail)
      next = uk_edge(edges, states[state].edge_begin, states[state + 1].edge_begin, word);
    state = next ? next : roots[word];
    for (uint32_t o = states[state].output_begin; o < states[state + 1].output_begin; ++o) {
      if (count == SEMDNS_MAX_HITS)
        return count;
      hits[count++] = outputs[o];
    }
  }
  return count;
}

#endif /* SEMDNS_KERNELS_MATCH_H */
