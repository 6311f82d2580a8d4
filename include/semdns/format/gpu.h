/* KGPU: stages 1 and 2 for GPUs. One section per target: 0 is PTX for any NVIDIA chip from sm_80
 * on, else the number of the chip (90 = sm_90) whose cubin it holds.
 *
 *     semdns_kgpu_header
 *     image              PTX text with a final NUL, or a cubin
 *
 * The image has two kernels, run one behind the other over a batch of texts. Both compute in the
 * same integers as every CPU level (docs/architecture.md, "Arithmetic"), so that a
 * semdns_gpu_answer equals, value for value, what a CPU kernel gives with the stages keyword and
 * embedding in its mask.
 *
 * SEMDNS_GPU_READ, one thread a text, blocks of `read_threads`: tokenises the raw bytes, runs stage
 * 1, and looks the features up. Arguments, device addresses unless a type says otherwise:
 *
 *      0  const uint8_t *text         the TEXT section
 *      1  const uint8_t *keyw         KEYW
 *      2  const uint8_t *tokv         TOKV
 *      3  const uint8_t *clsf         CLSF
 *      4  const uint8_t *bytes        all texts, one behind the other
 *      5  const uint32_t *offsets     [count + 1] of each text in `bytes`
 *      6  uint64_t *hashes            work space, [SEMDNS_GPU_ROOM(room, bytes, count)]
 *      7  uint32_t *rows              out, as large: row numbers of the features that have one
 *      8  semdns_gpu_text *texts      out, [count]
 *      9  semdns_gpu_answer *answers  out, [count]: of those texts alone that need no other kernel
 *     10  uint32_t count              by value
 *     11  uint32_t stages             by value: SEMDNS_KERNEL_STAGE_KEYWORD in it or not
 *
 * SEMDNS_GPU_ANSWER, blocks of `threads` threads for `tile` texts each, with `shared_bytes` of
 * dynamic shared memory: pools, scores, accepts and climbs:
 *
 *      0  const semdns_gpu_text *texts
 *      1  const uint32_t *rows        row numbers
 *      2  const int8_t *table         TOKV's rows
 *      3  const int8_t *vectors       CENT's, in the layout that the header names
 *      4  const uint32_t *exp2        CLSF's
 *      5  const uint32_t *thresholds  CLSF's
 *      6  const int32_t *root_odds    one value, CLSF's
 *      7  int32_t *scores             work space, [blocks * tile][score_words]; unused if that is 0
 *      8  semdns_gpu_answer *answers  out, [count]
 *      9  uint32_t count              by value
 *
 * A text that the first kernel will not decide (longer than SEMDNS_GPU_MAX_TEXT, or with more words
 * or features than its room holds) has SEMDNS_GPU_LEFT in its answer: a CPU answers it.
 *
 * Addresses are aligned to 16 bytes, sections to 64; root_odds to 4. Dimensions and the maps of the
 * zone tree are constants inside the image, what calibration sets is not: the image fits the
 * artifact it lies in, and that artifact calibrated again. */
#ifndef SEMDNS_FORMAT_GPU_H
#define SEMDNS_FORMAT_GPU_H

#include "semdns/format/artifact.h"

#define SEMDNS_KGPU_VERSION 3u
#define SEMDNS_GPU_ABI 3u
#define SEMDNS_GPU_READ "semdns_kernel_read_gpu"
#define SEMDNS_GPU_ANSWER "semdns_kernel_answer_gpu"
#define SEMDNS_GPU_MAX_TEXT 2048u
#define SEMDNS_GPU_MAX_ROOM 8u
#define SEMDNS_GPU_SPARE 8u /* entries a text beyond those for its bytes */

/* Where the entries of text `index`, which begins at byte `offset`, begin in hashes and rows. */
#define SEMDNS_GPU_ROOM(room, offset, index)                                                       \
  ((uint64_t)(offset) * (room) + (uint64_t)(index) * SEMDNS_GPU_SPARE)

typedef struct semdns_kgpu_header {
  uint32_t abi;     /* SEMDNS_GPU_ABI */
  uint32_t target;  /* equals the section's: 0 PTX, else the chip's number */
  uint32_t threads; /* of a block of SEMDNS_GPU_ANSWER */
  uint32_t layout;  /* CENT layout it reads; equals the section's layout */
  uint32_t dim, class_count, padded_count, zone_count, row_count, bucket_count;
  uint32_t minimum_chip; /* 80: the least sm number that runs the image */
  uint32_t read_threads; /* of a block of SEMDNS_GPU_READ */
  uint64_t image_offset; /* 128 */
  uint64_t image_size;   /* up to the section's end; with PTX's final NUL */
  uint32_t tile;         /* texts of a block of SEMDNS_GPU_ANSWER, at most 64 */
  uint32_t shared_bytes; /* at most 232448 */
  uint32_t score_words;  /* at most SEMDNS_MAX_CLASSES rounded up to 128, + 4 */
  uint32_t room;         /* entries a byte of text, 1..SEMDNS_GPU_MAX_ROOM */
  uint32_t reserved[12]; /* zero */
} semdns_kgpu_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_kgpu_header) == 128);

/* A text between the two kernels. */
typedef struct semdns_gpu_text {
  uint32_t begin; /* index of its first entry in `rows` */
  uint32_t rows;  /* how many, or SEMDNS_NONE: its answer is written already */
  uint32_t norm;  /* n, at least 1 */
  uint32_t info;  /* SEMDNS_GPU_FLAG..SEMDNS_GPU_HITS of the answer-to-be */
} semdns_gpu_text;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_gpu_text) == 16);

/* Members as in semdns_kernel_answer. */
typedef struct semdns_gpu_answer {
  uint32_t zone;
  uint32_t best_zone;
  uint32_t confidence;
  uint32_t best_confidence;
  uint32_t margin;
  int32_t odds;
  uint32_t top_class; /* best of all classes, or SEMDNS_NONE */
  uint32_t info;      /* stage, flags and the bits below */
} semdns_gpu_answer;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_gpu_answer) == 32);

#define SEMDNS_GPU_STAGE(info) ((info) & 255u)      /* semdns_kernel_stage */
#define SEMDNS_GPU_FLAGS(info) ((info) >> 8 & 255u) /* SEMDNS_KERNEL_* */
#define SEMDNS_GPU_FLAG_SHIFT 8
#define SEMDNS_GPU_WORDS 0x10000u /* there is a word, or punctuation */
#define SEMDNS_GPU_HITS 0x20000u  /* a keyword was found */
#define SEMDNS_GPU_LEFT 0x40000u  /* not answered; nothing else in the answer counts */

#endif /* SEMDNS_FORMAT_GPU_H */
