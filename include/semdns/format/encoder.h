/* ENCM: stage 3's sentence encoder, a transformer of the BERT family in int8.
 *
 *     semdns_encm_header
 *     int8_t words[vocabulary * width]         a row per token id, -127..127
 *     float  word_scales[vocabulary]           a word's vector is its row times its scale
 *     float  positions[max_tokens * width]     position vectors, that of token type 0 added
 *     float  norm_gain[width], norm_bias[width]  of the sum of the two
 *     layers[layer_count], each the arrays below, layer_stride bytes apart
 *
 * A layer, in this order, with A = heads * head_room:
 *     query, key and value as one linear map   width -> 3 * A
 *     output                                   A -> width
 *     float norm_gain[width], norm_bias[width]
 *     up                                       width -> inner
 *     down                                     inner -> width
 *     float norm_gain[width], norm_bias[width]
 *
 * Heads whose size is not a multiple of 16 are padded to one with outputs that are zero (and inputs
 * that `output` does not look at), so that no vector straddles two heads. The query's rows contain
 * the factor 1 / sqrt(head_size).
 *
 * A linear map `in -> out`:
 *     int8_t  weights[out * in]   -127..127, as [out / 16][in / 4][16 outputs][4 inputs]: lines of 64
 *                                 bytes, as CENT's in layout 1
 *     int32_t offsets[out]        -128 * sum of the output's weights: for inputs whose range does not
 *                                 lie around zero, and for u8 x s8 hardware
 *     float   scales[out]         a weight is its integer times its output's scale
 *     float   bias[out]
 *     float   smooth[in]          inputs are multiplied by these before they are quantised; the
 *                                 weights contain the inverse
 *
 * Every array starts at a multiple of 64; all of them but word_scales end at one. Floats are IEEE
 * single precision, finite, zero or normal, and within the limits below: with these no intermediate
 * result of docs/architecture.md, "Stage 3's embedding", can overflow or be NaN, whatever the
 * integers are. */
#ifndef SEMDNS_FORMAT_ENCODER_H
#define SEMDNS_FORMAT_ENCODER_H

#include "semdns/format/artifact.h"

#define SEMDNS_ENCM_VERSION 1u

/* Limits on the shape. */
#define SEMDNS_ENCODER_MAX_LAYERS 48u
#define SEMDNS_ENCODER_MAX_HEADS 64u
#define SEMDNS_ENCODER_MAX_WIDTH 2048u  /* also of heads * head_room */
#define SEMDNS_ENCODER_MAX_INNER 16384u
#define SEMDNS_ENCODER_MAX_VOCABULARY (1u << 20)
#define SEMDNS_ENCODER_MIN_TOKENS 8u   /* of a query's window, special tokens included */
#define SEMDNS_ENCODER_MAX_TOKENS 128u

/* Limits on the floats' magnitudes. Largest at any point is the sum of squares of the norm behind
 * `down`, below 2^127: norms yield less than 2^12, `up` less than 2^33, `down` less than 2^57. */
#define SEMDNS_ENCODER_MIN_SCALE 0x1p-40f /* scales and smooth; a scale may also be 0 */
#define SEMDNS_ENCODER_MAX_SCALE 0.25f    /* of words and weights: those are at most 31.75 */
#define SEMDNS_ENCODER_MAX_SMOOTH 16.0f
#define SEMDNS_ENCODER_MAX_NORM 64.0f     /* norm_gain, norm_bias, positions */
#define SEMDNS_ENCODER_MAX_BIAS 65536.0f
#define SEMDNS_ENCODER_MIN_EPSILON 0x1p-48f
#define SEMDNS_ENCODER_MAX_EPSILON 1.0f

enum semdns_pooling {
  SEMDNS_POOLING_MEAN = 0, /* of all tokens, special ones included */
  SEMDNS_POOLING_CLS = 1,  /* the first token's vector */
  SEMDNS_POOLING_MAX = 2,
};

enum semdns_activation {
  SEMDNS_ACTIVATION_GELU = 0,
  SEMDNS_ACTIVATION_GELU_TANH = 1,
  SEMDNS_ACTIVATION_RELU = 2,
};

typedef struct semdns_encm_header {
  uint32_t layer_count;
  uint32_t heads;
  uint32_t head_size; /* as trained */
  uint32_t head_room; /* head_size rounded up to a multiple of 16 */
  uint32_t width;     /* of an embedding, heads * head_size; a multiple of 16 */
  uint32_t inner;     /* of the feed-forward layer; a multiple of 16 */
  uint32_t vocabulary;
  uint32_t max_tokens; /* of a window, SEMDNS_ENCODER_MIN_TOKENS..MAX_TOKENS */
  uint32_t pooling;    /* semdns_pooling */
  uint32_t activation; /* semdns_activation */
  float epsilon;       /* of the layer norms */
  uint32_t token_cost; /* nanoseconds that one token takes, 0 = not known; for deadlines */
  uint64_t words_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t word_scales_offset;
  uint64_t positions_offset;
  uint64_t norm_offset;
  uint64_t layers_offset;
  uint64_t layer_stride;
  uint64_t reserved[4]; /* zero */
} semdns_encm_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_encm_header) == 128);

/* Where a layer's arrays lie, from the start of the layer. The shape must be within the limits. */
typedef struct semdns_encm_linear {
  uint32_t in, out;
  uint64_t weights, offsets, scales, bias, smooth, end;
} semdns_encm_linear;

typedef struct semdns_encm_layer {
  semdns_encm_linear attend, output, up, down;
  uint64_t attention_norm, output_norm; /* gain, then bias */
  uint64_t end;
} semdns_encm_layer;

static inline semdns_encm_linear semdns_encm_linear_at(uint64_t begin, uint32_t in, uint32_t out) {
  semdns_encm_linear l;
  l.in = in;
  l.out = out;
  l.weights = begin;
  l.offsets = l.weights + (uint64_t)in * out; /* both multiples of 16: a multiple of 64 */
  l.scales = l.offsets + 4 * (uint64_t)out;
  l.bias = l.scales + 4 * (uint64_t)out;
  l.smooth = l.bias + 4 * (uint64_t)out;
  l.end = l.smooth + 4 * (uint64_t)in;
  return l;
}

static inline semdns_encm_layer semdns_encm_layer_of(const semdns_encm_header *h) {
  semdns_encm_layer layer;
  uint32_t room = h->heads * h->head_room;
  layer.attend = semdns_encm_linear_at(0, h->width, 3 * room);
  layer.output = semdns_encm_linear_at(layer.attend.end, room, h->width);
  layer.attention_norm = layer.output.end;
  layer.up = semdns_encm_linear_at(layer.attention_norm + 8 * (uint64_t)h->width, h->width, h->inner);
  layer.down = semdns_encm_linear_at(layer.up.end, h->inner, h->width);
  layer.output_norm = layer.down.end;
  layer.end = layer.output_norm + 8 * (uint64_t)h->width;
  return layer;
}

#endif /* SEMDNS_FORMAT_ENCODER_H */
