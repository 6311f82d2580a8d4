/* PHRS: tables of the codec mode `turbo`: phrases that texts of the zone are made of, in classes, and the
 * frozen frequencies that they are coded by. A text is a sequence of tokens; a token is a phrase or a
 * copy of earlier text. Each is coded as its class given the class before, then as a phrase of its class
 * or as the copy's length and distance; runtime/codec/turbo.h has the code.
 *
 *     semdns_phrs_header
 *     uint16_t class_start[classes + 1][classes]   by the class before (the last row: at the beginning)
 *     uint16_t class_coarse[classes + 1][16]       every classes / 16th of these
 *     uint32_t class_first[classes]                first phrase of each class but the last, then
 *                                                  phrase_count; the last class is the copies'
 *     uint16_t phrase_start[phrase_count]          within its class
 *     uint32_t text_offset[phrase_count + 1]       into text; the last is text_bytes
 *     uint16_t length_start[SEMDNS_PHRS_LENGTHS]   of copies
 *     uint16_t distance_start[SEMDNS_PHRS_DISTANCES]
 *     uint8_t text[text_bytes + SEMDNS_PHRS_SLACK] zeros behind the last phrase
 *
 * Each array begins at the next multiple of 64; what is between is zero. `start` arrays hold cumulative
 * frequencies: 0, then strictly ascending, below the sum of their scale (classes 2^15, phrases 2^16,
 * lengths and distances 2^12). The 256 single bytes are among the phrases, so that any text can be sent. */
#ifndef SEMDNS_FORMAT_PHRASES_H
#define SEMDNS_FORMAT_PHRASES_H

#include "semdns/format/artifact.h"

#define SEMDNS_PHRS_VERSION 1u
#define SEMDNS_PHRS_MAX_PHRASES (1u << 20)
#define SEMDNS_PHRS_MAX_CLASSES 256u /* the copies' included */
#define SEMDNS_PHRS_MAX_PHRASE 48u   /* bytes of one phrase */
#define SEMDNS_PHRS_CLASS_BITS 15u
#define SEMDNS_PHRS_PHRASE_BITS 16u
#define SEMDNS_PHRS_COPY_BITS 12u
#define SEMDNS_PHRS_LENGTHS 48u   /* codes of lengths; 40 are used */
#define SEMDNS_PHRS_DISTANCES 32u /* codes of distances */
#define SEMDNS_PHRS_MIN_COPY 4u   /* bytes of the shortest copy */
#define SEMDNS_PHRS_SLACK 64u

typedef struct semdns_phrs_header {
  uint32_t phrase_count; /*  0  256..SEMDNS_PHRS_MAX_PHRASES */
  uint32_t classes;      /*  4  a multiple of 16, 16..SEMDNS_PHRS_MAX_CLASSES */
  uint32_t text_bytes;   /*  8  */
  uint32_t reserved[13]; /* 12  zero */
} semdns_phrs_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_phrs_header) == 64);

#endif /* SEMDNS_FORMAT_PHRASES_H */
