/* WPCE: the encoder's tokeniser: BERT's normaliser and pre-tokeniser as a frozen table, and the
 * WordPiece vocabulary as a trie. It stands in artifacts that have an encoder (ENCM).
 *
 *     semdns_wpce_header
 *     uint16_t stage1[0x110000 >> 7]       block number of each 128 code points
 *     uint32_t blocks[block_count * 128]   one entry per code point, see below
 *     uint32_t pool[pool_count]            final entries: the targets of mappings
 *     semdns_wpce_unit units[unit_count]   double-array trie over UTF-8 bytes
 *     uint32_t ids[unit_count]             piece that ends at a unit, SEMDNS_NONE: none
 *
 * Normalisation and splitting map each code point by itself; what needs context is the order of
 * combining marks alone. An entry: bits 0..20 value, bits 21..23 class (semdns_wpce_class), bits
 * 24..31 length.
 *   length 0: the code point becomes `value`, of class `class`; a value is final.
 *   length 1..254: it becomes as many final entries (length 0, or SEMDNS_WPCE_MARK) at pool[value].
 *   length 255: it stays itself, of class `class`; `value` is 0.
 *   class SEMDNS_WPCE_MARK: `length` is the canonical combining class, 1..254, of the final `value`
 *   (which is the code point itself): neighbouring marks of a word are sorted by it, stably.
 *
 * Two trees share the units: pieces that begin a word are walked from state `start_state`, those
 * that continue one (the vocabulary's "##...", without the prefix) from `next_state`. From state s,
 * byte b leads to t = units[s].base + b if units[t].owner == s, and nowhere otherwise. All bases
 * are at most unit_count - 256, so that no step leads out of the array. Pieces of special tokens
 * are in neither tree: text cannot spell them. */
#ifndef SEMDNS_FORMAT_WORDPIECE_H
#define SEMDNS_FORMAT_WORDPIECE_H

#include "semdns/format/artifact.h"

#define SEMDNS_WPCE_VERSION 1u
#define SEMDNS_WPCE_STAGE1_SIZE 8704u /* 0x110000 >> 7 */
#define SEMDNS_WPCE_BLOCK_SIZE 128u
#define SEMDNS_WPCE_MAX_BLOCKS 8704u
#define SEMDNS_WPCE_MAX_POOL (1u << 20)
#define SEMDNS_WPCE_MAX_VOCABULARY (1u << 20)
#define SEMDNS_WPCE_MAX_UNITS (1u << 26)
#define SEMDNS_WPCE_MAX_WORD_CHARS 256u
#define SEMDNS_WPCE_MAX_WINDOW 512u /* tokens of a window, [CLS] and [SEP] included */
#define SEMDNS_WPCE_NONE 0xffffffffu

enum semdns_wpce_class {
  SEMDNS_WPCE_SPACE = 0,   /* separates words */
  SEMDNS_WPCE_WORD = 1,    /* continues a word */
  SEMDNS_WPCE_SINGLE = 2,  /* a word of its own: punctuation, Han */
  SEMDNS_WPCE_DROP = 3,    /* vanishes: controls, and accents among marks that may be reordered */
  SEMDNS_WPCE_BARRIER = 4, /* vanishes, but marks are not sorted across it: accents of class 0 */
  SEMDNS_WPCE_MARK = 5,    /* continues a word; sorted by canonical combining class */
};

#define SEMDNS_WPCE_VALUE(entry) ((entry) & 0x1fffffu)
#define SEMDNS_WPCE_CLASS(entry) (((entry) >> 21) & 7u)
#define SEMDNS_WPCE_LENGTH(entry) ((entry) >> 24)
#define SEMDNS_WPCE_IDENTITY 255u /* the length that means "itself" */

/* semdns_wpce_header.flags: what the table was made from; the kernels do not read them. */
#define SEMDNS_WPCE_CLEAN_TEXT 1u
#define SEMDNS_WPCE_LOWERCASE 2u
#define SEMDNS_WPCE_STRIP_ACCENTS 4u
#define SEMDNS_WPCE_SPLIT_CHINESE 8u
#define SEMDNS_WPCE_FLAGS_KNOWN 15u

typedef struct semdns_wpce_unit {
  uint32_t base;  /* of the steps that leave this state; at most unit_count - 256 */
  uint32_t owner; /* the state whose step leads here, SEMDNS_WPCE_NONE: none */
} semdns_wpce_unit;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_wpce_unit) == 8);

typedef struct semdns_wpce_header {
  uint32_t vocabulary;     /*  0  ids are below it; 1..SEMDNS_WPCE_MAX_VOCABULARY */
  uint32_t unknown;        /*  4  id of [UNK] */
  uint32_t cls;            /*  8  id of [CLS] */
  uint32_t sep;            /* 12  id of [SEP] */
  uint32_t pad;            /* 16  id of [PAD] */
  uint32_t max_word_chars; /* 20  1..SEMDNS_WPCE_MAX_WORD_CHARS; longer words are [UNK] */
  uint32_t flags;          /* 24  SEMDNS_WPCE_* */
  uint32_t block_count;    /* 28  1..SEMDNS_WPCE_MAX_BLOCKS */
  uint32_t pool_count;     /* 32  0..SEMDNS_WPCE_MAX_POOL */
  uint32_t unit_count;     /* 36  256..SEMDNS_WPCE_MAX_UNITS */
  uint32_t start_state;    /* 40  below unit_count; no piece ends there */
  uint32_t next_state;     /* 44  below unit_count; no piece ends there */
  uint64_t stage1_offset;  /* 48  from the start of the section: 128; arrays at multiples of 64 */
  uint64_t blocks_offset;  /* 56 */
  uint64_t pool_offset;    /* 64 */
  uint64_t units_offset;   /* 72 */
  uint64_t ids_offset;     /* 80 */
  uint64_t reserved[5];    /* 88  zero */
} semdns_wpce_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_wpce_header) == 128);

#endif /* SEMDNS_FORMAT_WORDPIECE_H */
