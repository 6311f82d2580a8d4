/* TOKV: stage 2, first half: which features a text has and the vector of each.
 *
 * A feature is a 64-bit hash (kernels/hash.h) of a word, a run of words or a run of characters in a
 * word. Features the artifact knows have a row; all others count only as unknown words (`n`).
 *
 *     semdns_tokv_header
 *     semdns_word_bucket[bucket_count]   feature hash -> row (ids: row numbers 1..row_count-1)
 *     int8_t rows[row_count][dim]        row 0: the bias, added once to every text
 *     uint16_t norms[row_count]          weight of the feature in the text's norm; norms[0] = 0
 *
 * Bucket: SEMDNS_BUCKET(hash, bucket_count); fingerprint: SEMDNS_FINGERPRINT(hash); no overflow.
 *
 * Pooling (docs/architecture.md, "Arithmetic"): p = rows[0] + sum of rows of all occurrences, int32;
 * n2 = sum of norms^2 over the same occurrences + unknown_norm^2 per word unigram without a row. */
#ifndef SEMDNS_FORMAT_FEATURES_H
#define SEMDNS_FORMAT_FEATURES_H

#include "semdns/format/artifact.h"
#include "semdns/format/keywords.h"

#define SEMDNS_TOKV_VERSION 2u
#define SEMDNS_MAX_ROWS (1u << 24)
#define SEMDNS_MAX_DIM 1024u
#define SEMDNS_DIM_ALIGN 16u

/* Input limits, the same for every artifact of this kernel ABI. A text longer than head + tail is
 * cut to its first HEAD and last TAIL bytes (cuts moved outwards to UTF-8 boundaries, a word break
 * between), and the answer says `truncated`, as it does when words or features overflow. */
#define SEMDNS_HEAD_BYTES 6144u
#define SEMDNS_TAIL_BYTES 2048u
#define SEMDNS_MAX_WORDS 4096u     /* words beyond are ignored */
#define SEMDNS_MAX_FEATURES 16384u /* features beyond are ignored */

enum semdns_tokeniser {
  SEMDNS_TOKENISER_WORDS = 0,     /* words and character n-grams */
  SEMDNS_TOKENISER_WORDPIECE = 1, /* an encoder's vocabulary (reserved) */
};

#define SEMDNS_FEATURE_PUNCT 1u /* punctuation tokens are words for n-grams too; else they are skipped */

typedef struct semdns_tokv_header {
  uint32_t tokeniser;    /* semdns_tokeniser */
  uint32_t flags;        /* SEMDNS_FEATURE_* */
  uint32_t dim;          /* multiple of 16, at most SEMDNS_MAX_DIM */
  uint32_t row_count;    /* 1..SEMDNS_MAX_ROWS */
  uint32_t bucket_count; /* at least 1 */
  uint32_t word_ngram_max; /* 1..3 */
  uint32_t char_ngram_min; /* 0 = none, else 2..6 */
  uint32_t char_ngram_max; /* 0, or char_ngram_min..6 */
  uint32_t unknown_norm;   /* 0..65535 */
  uint32_t reserved0;      /* zero */
  uint64_t buckets_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t rows_offset;
  uint64_t norms_offset;
  uint64_t reserved1[8]; /* zero */
} semdns_tokv_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_tokv_header) == 128);

#endif /* SEMDNS_FORMAT_FEATURES_H */
