/* TEXT: Unicode as the tokeniser needs it, frozen at build time from ICU so that the runtime needs
 * no ICU and every artifact keeps its own Unicode version.
 *
 * Normalisation N(text) maps each code point by itself: NFKC_Casefold, then canonical decomposition,
 * then every code point with a canonical combining class other than 0, 7 (nukta), 8 (kana voicing)
 * and 9 (virama) is dropped, and what separates words becomes U+0020. Because accents are dropped and everything else is fully decomposed, no
 * context is needed (no reordering, no composition) and canonically equivalent texts give the same
 * tokens. What ICU says for the whole string and this table agree; a test shows it for every code
 * point and for random strings.
 *
 *     semdns_text_header
 *     uint16_t stage1[0x110000 >> 7]    block number of each 128 code points
 *     uint32_t blocks[block_count * 128] one entry per code point, see below
 *     uint32_t pool[pool_count]         entries (not code points): the targets of mappings
 *
 * An entry: bits 0..20 value, bits 21..23 class (semdns_char_class), bits 24..31 length.
 *   length 0: the code point maps to `value`, itself of class `class` (identity included). A value
 *             is final: it is never mapped again.
 *   length 1..254: it maps to as many final entries (value + class, length 0) at pool[value].
 *   length 255: the code point maps to itself, of class `class`; `value` is 0. Whole scripts share
 *             blocks that way. Not used below U+0080.
 *   class SEMDNS_CHAR_DROP with length 0: maps to nothing. */
#ifndef SEMDNS_FORMAT_TEXT_H
#define SEMDNS_FORMAT_TEXT_H

#include "semdns/format/artifact.h"

#define SEMDNS_TEXT_VERSION 1u
#define SEMDNS_TEXT_STAGE1_SIZE 8704u /* 0x110000 >> 7 */
#define SEMDNS_TEXT_BLOCK_SIZE 128u
#define SEMDNS_TEXT_MAX_BLOCKS 8704u
#define SEMDNS_TEXT_MAX_POOL (1u << 20)

enum semdns_char_class {
  SEMDNS_CHAR_SPACE = 0, /* Z*, Cc, Cn, Co, Cs: separates words */
  SEMDNS_CHAR_WORD = 1,  /* L*, M*, N*: continues a word */
  SEMDNS_CHAR_PUNCT = 2, /* P*, S*: a token of its own */
  SEMDNS_CHAR_IDEO = 3,  /* scripts without spaces (Han, Hiragana, Katakana): a word of its own */
  SEMDNS_CHAR_DROP = 4,  /* default ignorable or combining: vanishes, does not separate */
};

#define SEMDNS_TEXT_VALUE(entry) ((entry) & 0x1fffffu)
#define SEMDNS_TEXT_CLASS(entry) (((entry) >> 21) & 7u)
#define SEMDNS_TEXT_LENGTH(entry) ((entry) >> 24)
#define SEMDNS_TEXT_IDENTITY 255u /* the length that means "itself" */

typedef struct semdns_text_header {
  uint32_t block_count; /* 1..SEMDNS_TEXT_MAX_BLOCKS */
  uint32_t pool_count;  /* 0..SEMDNS_TEXT_MAX_POOL */
  uint32_t unicode_version; /* major << 16 | minor << 8 | update */
  uint32_t reserved; /* zero */
  uint64_t stage1_offset; /* from the start of the section: 64 */
  uint64_t blocks_offset; /* 64 + 2 * SEMDNS_TEXT_STAGE1_SIZE, rounded up to 64 */
  uint64_t pool_offset;   /* behind the blocks, rounded up to 64 */
  uint64_t reserved1[3];  /* zero */
} semdns_text_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_text_header) == 64);

#endif /* SEMDNS_FORMAT_TEXT_H */
