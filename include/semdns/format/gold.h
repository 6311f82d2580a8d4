/* GOLD: the spec's `test {}` queries, each with the answer the build got. `build-hierarchy` replays
 * them through the runtime before the file is renamed into place, `inspect-artifact --verify` later.
 *
 *     semdns_gold_header
 *     semdns_gold_entry[count]     in the spec's order
 *     char text[text_bytes]        the queries' bytes
 */
#ifndef SEMDNS_FORMAT_GOLD_H
#define SEMDNS_FORMAT_GOLD_H

#include "semdns/format/artifact.h"

#define SEMDNS_GOLD_VERSION 1u
#define SEMDNS_GOLD_MAX_ENTRIES 65536u

typedef struct semdns_gold_header {
  uint32_t count;
  uint32_t text_bytes;
  uint32_t reserved[2]; /* zero */
} semdns_gold_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_gold_header) == 16);

typedef struct semdns_gold_entry {
  uint32_t text_offset, text_size;
  uint32_t expected_zone; /* from the spec; the answer must be this zone or inside it */
  uint32_t answer_zone;   /* what the build answered */
  uint32_t best_zone;
  uint32_t stage;      /* semdns_stage */
  uint32_t confidence; /* Q16 */
  uint32_t reserved;   /* zero */
} semdns_gold_entry;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_gold_entry) == 32);

#endif /* SEMDNS_FORMAT_GOLD_H */
