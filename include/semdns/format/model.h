/* TOKM, BYTM: a domain's frozen model, by which the codecs `fast` (TOKM) and `max` (BYTM) predict a
 * text symbol by symbol, a symbol bit by bit. TOKM predicts tokens of a vocabulary by Huffman-like
 * codes, BYTM predicts bytes. One section per zone, target = the zone (0 in a pattern library).
 *
 * The areas below follow the header in this order, each at the next multiple of 64 bytes, zeros
 * between. `C` is the kind's number of contexts, `I` of mixer inputs, `M` of mixers, `S` the sum of
 * the mixers' weight sets (runtime/codec/model_predict.h).
 *
 *     int16_t joint[C][256][32]        log-odds of a 1, in 1/256, by frozen and by document state
 *     int16_t matched[2][16][8]        log-odds that a match's bit is right: in the document; in
 * the library (bytes) or of a wrong guess (tokens) int16_t guess[...]               tokens only:
 * log-odds that a guess is right (kGuessTables) int32_t guess_weights[16][4]     tokens only:
 * 1/65536 int32_t weights[S][I]            1/65536 int32_t last[16][8]              of the mixer of
 * the mixers' outputs uint16_t refine[2][8192][32]     bytes only: probabilities of a 1, 1/65536,
 * by log-odds
 *     -- tokens only (V = token_count)
 *     uint32_t token_offsets[V + 1]    into token_bytes; tokens ascend bytewise
 *     uint32_t token_codes[V]          the code's bits, first bit highest of `length` bits
 *     uint16_t token_children[V-1][2]  decoding tree; bit 15: the rest is a token, else a later
 * node uint16_t token_parents[V]        longest token that is a proper prefix; itself where none is
 *     uint16_t token_firsts[65537]     tokens before those with these first two bytes
 *     uint8_t token_lengths[V]         of the codes, 1..SEMDNS_MODEL_MAX_CODE
 *     uint8_t token_bytes[token_size]
 *     -- both
 *     uint8_t lines[line_count][4][16] buckets: check byte, states of 15 nodes of a 4-bit subtree
 *     uint32_t successors[successor_lines][16]   tokens only: check (12 bits), grade (4; 0: free),
 *                                      token (16) that most often follows the last three or two
 *     uint8_t text[text_count]         bytes only: what documents say, for matches of any length
 *     uint32_t index[2^index_bits]     bytes only: places in the text by hash of the bytes before
 */
#ifndef SEMDNS_FORMAT_MODEL_H
#define SEMDNS_FORMAT_MODEL_H

#include "semdns/format/artifact.h"

#define SEMDNS_TOKM_VERSION 1u
#define SEMDNS_BYTM_VERSION 1u
#define SEMDNS_MODEL_VERSION 1u /* of the layout below, both kinds */
#define SEMDNS_MODEL_MAX_TOKENS (1u << 15)
#define SEMDNS_MODEL_MAX_TOKEN_BYTES (1u << 20)
#define SEMDNS_MODEL_MAX_TOKEN 64u /* bytes of one token */
#define SEMDNS_MODEL_MAX_CODE 28u
#define SEMDNS_MODEL_MAX_LINES (1u << 24)
#define SEMDNS_MODEL_MAX_TEXT (1u << 28)
#define SEMDNS_MODEL_MAX_INDEX_BITS 26u

enum semdns_model_kind {
  SEMDNS_MODEL_BYTES = 1,
  SEMDNS_MODEL_TOKENS = 2,
};

typedef struct semdns_model_header {
  uint32_t version;         /*  0  SEMDNS_MODEL_VERSION */
  uint32_t kind;            /*  4  semdns_model_kind */
  uint32_t line_count;      /*  8  32..SEMDNS_MODEL_MAX_LINES, a multiple of 32 */
  uint32_t text_count;      /* 12  0..SEMDNS_MODEL_MAX_TEXT; 0 for tokens */
  uint32_t index_bits;      /* 16  0 without text, else 1..SEMDNS_MODEL_MAX_INDEX_BITS */
  uint32_t token_count;     /* 20  0 for bytes, else 256..SEMDNS_MODEL_MAX_TOKENS */
  uint32_t token_size;      /* 24  bytes of all tokens */
  uint32_t rate;            /* 28  mixers' learning rate in a document, 1..1024 */
  uint32_t successor_lines; /* 32  tokens: 1..SEMDNS_MODEL_MAX_LINES, bytes: 0 */
  uint32_t reserved[7];     /* 36  zero */
} semdns_model_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_model_header) == 64);

#endif /* SEMDNS_FORMAT_MODEL_H */
