/* CENT: stage 2, second half: one vector per class. CLSF: how scores become an accepted answer.
 *
 * CENT
 *     semdns_cent_header
 *     int8_t vectors[padded_count * dim]   values -127..127, in the layout below
 *     int32_t offsets[padded_count]        -128 * sum of the class's values (for u8 x s8 hardware)
 *
 * Layout `u` (1, 2 or 4; also the id that compiled kernels name as theirs): classes are padded to
 * a multiple of 16 * u with zero vectors, and stored as [group of 16u][dim / 4][u][16 lanes][4]: the
 * four consecutive dimensions of 16 classes form one 64-byte line, and a group is one sequential
 * stream on any vector width. offset(c, d) = ((g * dim/4 + d/4) * u + b) * 64 + lane * 4 + d % 4,
 * with g = c / 16u, b = c / 16 % u, lane = c % 16.
 *
 * CLSF (and HEAD, format/head.h) hold all that recalibration changes. Kernels read thresholds and
 * root_odds from the section, never from constants, so that other values leave their bytes alone.
 *     semdns_clsf_header
 *     uint32_t exp2[256]                     exp2[i] = round(65536 * 2^(-i/256))
 *     uint32_t class_zone[class_count]       zone of each class, ascending
 *     uint32_t zone_parent[zone_count]       these three repeat ZTRE's columns, which must agree
 *     uint32_t zone_class_begin[zone_count]
 *     uint32_t zone_class_end[zone_count]
 *     uint32_t zone_threshold[zone_count]    Q16 confidence that the zone needs to answer, at most
 *                                            65536, or SEMDNS_NONE: never; the root's is 0
 */
#ifndef SEMDNS_FORMAT_CLASSES_H
#define SEMDNS_FORMAT_CLASSES_H

#include "semdns/format/artifact.h"
#include "semdns/format/zones.h"

#define SEMDNS_CENT_VERSION 1u
#define SEMDNS_CLSF_VERSION 2u
#define SEMDNS_GUARD_NEVER 65537u /* a guard_confidence that no zone reaches */
#define SEMDNS_LANES 16u

typedef struct semdns_cent_header {
  uint32_t class_count;
  uint32_t padded_count; /* class_count rounded up to 16 * layout; 0 classes: 0 */
  uint32_t dim;          /* equals TOKV's */
  uint32_t layout;       /* 1, 2 or 4 */
  uint64_t vectors_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t offsets_offset;
  uint64_t reserved[4]; /* zero */
} semdns_cent_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_cent_header) == 64);

typedef struct semdns_clsf_header {
  uint32_t class_count;
  uint32_t zone_count;
  uint32_t root_class; /* 1 if class 0 belongs to the root itself, else 0 */
  uint32_t gain;       /* sharpness of the confidence, 1..2^24, see "Arithmetic" */
  uint64_t exp2_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t class_zone_offset;
  uint64_t zone_parent_offset;
  uint64_t zone_class_begin_offset;
  uint64_t zone_class_end_offset;
  uint64_t zone_threshold_offset;
  int32_t root_odds; /* 1/256 bit: with smaller odds the root answers. INT32_MIN: never */
  /* When stage 2 has the last word although there is a stage 3 ("Arithmetic", Cascade). */
  uint32_t guard_confidence; /* Q16 of the best zone, at most SEMDNS_GUARD_NEVER; and */
  int32_t guard_odds;        /* at least these odds: the best zone answers */
  int32_t reject_odds;       /* with smaller odds the root answers. INT32_MIN: never */
  uint64_t reserved[6]; /* zero */
} semdns_clsf_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_clsf_header) == 128);

#endif /* SEMDNS_FORMAT_CLASSES_H */
