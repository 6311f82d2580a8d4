/* The ABI between the runtime and compiled kernels (KCPU sections), and the meeting point of
 * lib/ and runtime/ beside the format headers.
 *
 * A KCPU section is an ELF shared object (ET_DYN) without imports, whose only relocations are
 * R_*_RELATIVE, that exports two symbols, or three:
 *
 *     semdns_kernel_route   a semdns_kernel_route_fn: routes one text through stages 1 and 2
 *     semdns_kernel_info    a const semdns_kernel_info_t: what the kernel was compiled for
 *     semdns_kernel_encode  a semdns_kernel_encode_fn: stage 3's encoder, if info.encoder is not 0
 *
 * The runtime refuses a kernel whose info does not match the artifact it lies in. Kernels are
 * re-entrant, keep no state, allocate nothing, call nothing and read only what they are given.
 * runtime/exec/portable.cpp is the same function without a compiler: data-only, bit-equal. */
#ifndef SEMDNS_KERNEL_H
#define SEMDNS_KERNEL_H

#include <stdint.h>

#include "semdns/format/beam.h"
#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/keywords.h"
#include "semdns/format/text.h"

#define SEMDNS_KERNEL_ABI 2u
#define SEMDNS_KERNEL_TOP_MAX 8u

/* Stages as bits of a mask (`--stages=1,2` is 3) and as the answer's deciding stage. */
enum semdns_kernel_stage {
  SEMDNS_KERNEL_STAGE_NONE = 0, /* nothing to decide on: the root */
  SEMDNS_KERNEL_STAGE_KEYWORD = 1,
  SEMDNS_KERNEL_STAGE_EMBEDDING = 2,
  SEMDNS_KERNEL_STAGE_ENCODER = 4, /* not a kernel's: the runtime decides on top of its answer */
};

/* Answer flags. */
#define SEMDNS_KERNEL_TRUNCATED 1u /* longer than the windows, or too many words or features */
#define SEMDNS_KERNEL_REPAIRED 2u  /* invalid UTF-8 was read as U+FFFD */
#define SEMDNS_KERNEL_NO_EVIDENCE 4u /* no known feature and no keyword: the root answers */

/* Bases of the sections, 64-byte aligned, validated by the reader before any kernel runs. */
typedef struct semdns_kernel_tables {
  uint32_t size; /* of this structure */
  uint32_t abi;  /* SEMDNS_KERNEL_ABI */
  const uint8_t *text;
  const uint8_t *keyw;
  const uint8_t *tokv;
  const uint8_t *cent;
  const uint8_t *clsf;
  const uint8_t *beam; /* null: all classes are scored */
  const void *reserved[3];
} semdns_kernel_tables;

typedef struct semdns_kernel_query {
  uint32_t size;
  uint32_t stages;  /* mask of semdns_kernel_stage; others are skipped */
  uint32_t top_k;   /* 1..SEMDNS_KERNEL_TOP_MAX */
  uint32_t reserved; /* zero */
  const uint8_t *text; /* any bytes; may be null when text_size is 0 */
  uint64_t text_size;
  const uint8_t *context; /* stage 3's; kernels do not look at it */
  uint64_t context_size;
} semdns_kernel_query;

/* The nodes of the search tree that stage 2 has looked at, in this order. Node i's weights (Q16, one
 * an entry) are weights[i * node_room + entry - entry_begin]; an entry's mass is
 * (rate * weight) >> 16 in Q31. */
typedef struct semdns_kernel_trace {
  uint32_t count;
  uint32_t reserved;
  struct {
    uint32_t node, rate;
  } at[SEMDNS_BEAM_MAX_LEVELS * SEMDNS_BEAM_MAX_WIDTH];
} semdns_kernel_trace;

/* Working memory of one call: pointers into one caller-owned block, each 64-byte aligned. `votes`
 * is all zero on entry and on return; nothing else need be initialised. */
typedef struct semdns_kernel_scratch {
  uint32_t size;
  uint32_t reserved;
  uint64_t *words;    /* [SEMDNS_MAX_WORDS]     word hashes, in text order */
  uint64_t *features; /* [SEMDNS_MAX_FEATURES]  feature hashes, in the order of "Features" */
  uint32_t *rows;     /* [SEMDNS_MAX_FEATURES]  rows of the known ones, in feature order */
  uint32_t *hits;     /* [SEMDNS_MAX_HITS]      term numbers, in text order */
  int32_t *votes;     /* [zone_count] */
  int32_t *pool;      /* [dim] */
  int8_t *quant;      /* [dim] */
  int32_t *scores;    /* [padded_count] */
  uint32_t *weights;  /* [padded_count]         Q16 weight of each class, see "Arithmetic" */
                      /* scores and weights stay valid for the caller when stage 2 has run */
                      /* With BEAM: scores [node_room], weights [levels * width * node_room] */
  semdns_kernel_trace *trace; /* with BEAM: the nodes that stage 2 has looked at */
  void *reserved1[3];
} semdns_kernel_scratch;

typedef struct semdns_kernel_answer {
  uint32_t size;
  uint32_t stage;      /* semdns_kernel_stage that decided */
  uint32_t zone;       /* the answer after climbing; 0 = the root */
  uint32_t best_zone;  /* deepest best guess without climbing, not the root unless it is alone */
  uint32_t confidence; /* Q16 confidence of `zone` (root: 65536) */
  uint32_t best_confidence; /* Q16 confidence of `best_zone` */
  uint32_t margin;     /* Q16: best class's weight share minus the second best class's */
  uint32_t flags;      /* SEMDNS_KERNEL_* */
  uint32_t word_count, feature_count, row_count, hit_count;
  uint32_t top_count;  /* up to top_k candidates, best first; stage keyword: 1 */
  uint32_t votes;      /* stage 1: the largest vote */
  uint32_t total_weight; /* stage 2: sum of all classes' weights */
  int32_t odds;        /* stage 2: best class against the root's own in 1/256 bit, see "Arithmetic";
                          INT32_MAX where there is nothing to compare */
  uint32_t gain;       /* stage 2: g, which turns differences of scores into 1/256 bit */
  uint32_t reserved[7]; /* zero */
  uint32_t top_class[SEMDNS_KERNEL_TOP_MAX]; /* stage keyword: SEMDNS_NONE */
  uint32_t top_zone[SEMDNS_KERNEL_TOP_MAX];
  uint32_t top_confidence[SEMDNS_KERNEL_TOP_MAX]; /* Q16 share of the class's weight */
} semdns_kernel_answer;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_kernel_answer) == 192);

typedef void (*semdns_kernel_route_fn)(const semdns_kernel_tables *tables,
                                       const semdns_kernel_query *query,
                                       const semdns_kernel_scratch *scratch,
                                       semdns_kernel_answer *answer);

/* Symbol semdns_kernel_encode, which kernels of artifacts with an encoder may have: the embedding of `count`
 * token ids by the encoder in the ENCM section at `encm` (kernels/encode.h has the arithmetic).
 * `arena` is 64-byte aligned working memory of exec::encoderArenaSize() bytes. Writes q[width],
 * -127..127, the embedding's components in units of peak / 127, and its largest magnitude, Q16.
 * Ids beyond the vocabulary are read as 0, tokens beyond max_tokens not at all. The caller sees to
 * it that floats round to nearest and that denormals are kept, the state that programs start in. */
typedef void (*semdns_kernel_encode_fn)(const uint8_t *encm, const uint32_t *ids, uint32_t count,
                                        void *arena, int8_t *q, uint32_t *peak);

typedef struct semdns_kernel_info_t {
  uint32_t size;
  uint32_t abi;    /* SEMDNS_KERNEL_ABI */
  uint32_t isa;    /* semdns_isa; equals the section's target */
  uint32_t layout; /* CENT layout it reads; equals the section's layout */
  uint32_t dim, class_count, zone_count, row_count, bucket_count;
  uint32_t word_ngram_max, char_ngram_min, char_ngram_max;
  uint32_t encoder; /* id of ENCM's shape that semdns_kernel_encode is compiled for; 0: none */
  uint32_t reserved[3];
} semdns_kernel_info_t;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_kernel_info_t) == 64);

#endif /* SEMDNS_KERNEL_H */
