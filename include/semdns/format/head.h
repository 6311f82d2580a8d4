/* HEAD: stage 3, second half: class vectors over the encoder's embedding, and acceptance of what they
 * say. docs/architecture.md, "Arithmetic", defines what it computes; thresholds and root_odds are
 * data that recalibration changes, as CLSF's are.
 *
 *     semdns_head_header
 *     int8_t vectors[padded_count * padded_width]  -127..127, in CENT's layout `layout`
 *                                                  (format/classes.h); all padding is zero
 *     int32_t bias[class_count]                    1/256 bit
 *     uint32_t zone_threshold[zone_count]          as CLSF's, for stage 3's confidences
 *
 * A file has ENCM, WPCE and HEAD, or none of them. */
#ifndef SEMDNS_FORMAT_HEAD_H
#define SEMDNS_FORMAT_HEAD_H

#include "semdns/format/classes.h"

#define SEMDNS_HEAD_VERSION 1u
#define SEMDNS_HEAD_MAX_WIDTH 2048u
#define SEMDNS_HEAD_MAX_GAIN ((1u << 24) - 1)
#define SEMDNS_HEAD_MAX_MIX (16u * 65536u)

typedef struct semdns_head_header {
  uint32_t class_count;  /* equals CLSF's, at least 1 */
  uint32_t padded_count; /* class_count rounded up to 16 * layout */
  uint32_t width;        /* equals ENCM's, 1..SEMDNS_HEAD_MAX_WIDTH */
  uint32_t padded_width; /* width rounded up to 16 */
  uint32_t layout;       /* 1, 2 or 4 */
  uint32_t zone_count;   /* equals CLSF's */
  uint32_t gain;         /* of the embedding's scores, 1..SEMDNS_HEAD_MAX_GAIN */
  uint32_t mix;          /* Q16 weight of stage 2's logits, 0..SEMDNS_HEAD_MAX_MIX */
  int32_t root_odds;     /* 1/256 bit: with smaller odds the root answers. INT32_MIN: never */
  uint32_t reserved0;    /* zero */
  uint64_t vectors_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t bias_offset;
  uint64_t zone_threshold_offset;
  uint64_t reserved[8]; /* zero */
} semdns_head_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_head_header) == 128);

#endif /* SEMDNS_FORMAT_HEAD_H */
