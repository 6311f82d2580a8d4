/* Micro-kernel: bytes to word hashes and feature hashes in one pass. See docs/architecture.md.
 * The contract; the body is written with the text tables. */
#ifndef SEMDNS_KERNELS_TOKENISE_H
#define SEMDNS_KERNELS_TOKENISE_H

#include "kernels/hash.h"
#include "semdns/kernel.h"

typedef struct uk_counts {
  uint32_t words;    /* entries of words[] */
  uint32_t chars;    /* features[0, chars): character n-grams, at most SEMDNS_MAX_FEATURES / 2 */
  uint32_t unigrams; /* features[chars, chars + unigrams): one per counted word */
  uint32_t features; /* all features: + bigrams, + trigrams, at most SEMDNS_MAX_FEATURES */
  uint32_t flags;    /* SEMDNS_KERNEL_TRUNCATED, SEMDNS_KERNEL_REPAIRED */
} uk_counts;

#endif /* SEMDNS_KERNELS_TOKENISE_H */
