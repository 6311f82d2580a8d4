/* KGPU: stage 2 for GPUs. One section per target: 0 is PTX for any NVIDIA chip from sm_80 on, else
 * the number of the chip (90 = sm_90) whose cubin it holds.
 *
 *     semdns_kgpu_header
 *     image              PTX text with a final NUL, or a cubin
 *
 * The image has one kernel, SEMDNS_GPU_KERNEL, that scores, accepts and climbs as
 * docs/architecture.md ("Arithmetic", stage 2) says, in the same integers as every CPU level, and
 * writes the same semdns_kernel_answer, bit for bit, as a CPU kernel gives with only the embedding
 * stage in its mask. Text becomes feature hashes on the CPU (kernels/tokenise.h): those go in.
 *
 * Launch: one block of `threads` threads for each query (grid x = number of queries, y = z = 1), no
 * dynamic shared memory. Arguments, all of them device addresses, none null, in this order:
 *
 *      0  const uint64_t *features           all queries' feature hashes, one behind the other
 *      1  const semdns_gpu_query *queries    [grid]
 *      2  const semdns_word_bucket *buckets  TOKV's parts, as in the section
 *      3  const int8_t *rows
 *      4  const uint16_t *norms
 *      5  const int8_t *vectors              CENT's, in the layout that the header names
 *      6  const uint32_t *exp2               CLSF's
 *      7  const uint32_t *thresholds         CLSF's
 *      8  const int32_t *root_odds           one value, CLSF's
 *      9  int32_t *scores                    work space, [grid][padded_count]
 *     10  uint32_t *weights                  work space, [grid][padded_count]
 *     11  semdns_kernel_answer *answers      [grid]
 *
 * Addresses are aligned to 16 bytes, root_odds and answers to 4. Maps of the zone tree and all scalars are
 * constants inside the image, except for what calibration sets: it fits the artifact it lies in, and
 * that artifact calibrated again. */
#ifndef SEMDNS_FORMAT_GPU_H
#define SEMDNS_FORMAT_GPU_H

#include "semdns/format/artifact.h"

#define SEMDNS_KGPU_VERSION 2u
#define SEMDNS_GPU_ABI 2u
#define SEMDNS_GPU_KERNEL "semdns_kernel_route_gpu"

typedef struct semdns_kgpu_header {
  uint32_t abi;     /* SEMDNS_GPU_ABI */
  uint32_t target;  /* equals the section's: 0 PTX, else the chip's number */
  uint32_t threads; /* of a block */
  uint32_t layout;  /* CENT layout it reads; equals the section's layout */
  uint32_t dim, class_count, padded_count, zone_count, row_count, bucket_count;
  uint32_t minimum_chip; /* 80: the least sm number that runs the image */
  uint32_t reserved0;    /* zero */
  uint64_t image_offset; /* 64 */
  uint64_t image_size;   /* up to the section's end; with PTX's final NUL */
} semdns_kgpu_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_kgpu_header) == 64);

/* One query: where its feature hashes are and what uk_tokenise counted. */
typedef struct semdns_gpu_query {
  uint64_t begin;    /* index of its first hash in `features` */
  uint32_t words;    /* the five members of uk_counts */
  uint32_t chars;    /* hashes [0, chars) are character n-grams */
  uint32_t unigrams; /* hashes [chars, chars + unigrams) are words */
  uint32_t features; /* number of hashes, at most SEMDNS_MAX_FEATURES */
  uint32_t flags;
  uint32_t top_k; /* 1..SEMDNS_KERNEL_TOP_MAX */
} semdns_gpu_query;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_gpu_query) == 32);

#endif /* SEMDNS_FORMAT_GPU_H */
