/* PATS: what mine-patterns found in a domain's corpus. A pattern library (.plib) is a container of
 * kind SEMDNS_KIND_PATTERNS with the sections META, PATS and, if the corpus was large enough to
 * train one, DICT (a zstd dictionary, target 0).
 *
 *     semdns_pats_header
 *     semdns_pattern patterns[pattern_count]  sorted by (kind, text bytewise), each pair once
 *     char strings[string_bytes]              the texts in the order of the patterns, nothing
 * between
 *
 * A text is 1..SEMDNS_PATS_MAX_WORDS words joined by single spaces (of kind DOCUMENT: lines of such,
 * joined by '\n'). Words are the tokeniser's
 * (format/text.h: normalised, so lower case), punctuation excluded: a pattern never reaches across
 * punctuation, so that each one is a possible stage 1 term.
 *
 * Frequencies count documents, not occurrences, where they weigh evidence: a word that one document
 * repeats a thousand times says little about a domain. */
#ifndef SEMDNS_FORMAT_PATTERNS_H
#define SEMDNS_FORMAT_PATTERNS_H

#include "semdns/format/artifact.h"

#define SEMDNS_PATS_VERSION 1u
#define SEMDNS_DICT_VERSION 1u
#define SEMDNS_MAX_PATTERNS (1u << 24)
#define SEMDNS_PATS_MAX_WORDS 8u
#define SEMDNS_PATS_MAX_TEXT 1024u /* bytes of one text */
#define SEMDNS_PATS_MAX_STRINGS (1u << 30)

enum semdns_pattern_kind {
  SEMDNS_PATTERN_NGRAM = 1,     /* frequent run of 1..3 words;
                                   score: log2 of the bytes that its occurrences cover */
  SEMDNS_PATTERN_KEYWORD = 2,   /* run of 1..3 words that tells this domain from the background;
                                   score: bits, see semdns_pats_header.contrast */
  SEMDNS_PATTERN_PHRASE = 3,    /* run of 2..SEMDNS_PATS_MAX_WORDS words that belong together;
                                   score: bits of pointwise mutual information of the weaker of the
                                   two cuts next to its ends */
  SEMDNS_PATTERN_TEMPLATE = 4,  /* run of 3..SEMDNS_PATS_MAX_WORDS words with typed slots: one of <number>,
                                   <date>, <amount>, <citation>, <section>, <identifier>, <dose>, <url> is a
                                   word; score: as of n-grams, without the slots */
  SEMDNS_PATTERN_CLUSTER = 5,   /* 3..SEMDNS_PATS_MAX_WORDS words used alike, the representative first,
                                   then by likeness to it; score: their mean likeness, 0..1 */
  SEMDNS_PATTERN_STATISTIC = 6, /* not in PATS: section STAT */
  SEMDNS_PATTERN_DOCUMENT = 7,  /* skeleton of documents: 2..SEMDNS_PATS_MAX_WORDS lines (`words` counts
                                   them) that follow each other, other text between them;
                                   score: log2 of the documents */
};

/* How the scores of keywords came about. */
enum semdns_contrast {
  /* log-odds in bits of the word's document frequency here against the background's, with an
   * informative Dirichlet prior, minus 1.645 standard errors: at least so much with 95 % */
  SEMDNS_CONTRAST_LOG_ODDS = 1,
  /* no background was given: residual inverse document frequency, the bits by which the word
   * gathers in fewer documents than chance would spread it over */
  SEMDNS_CONTRAST_RESIDUAL_IDF = 2,
};

typedef struct semdns_pats_header {
  uint32_t pattern_count;        /*  0  0..SEMDNS_MAX_PATTERNS */
  uint32_t string_bytes;         /*  4  0..SEMDNS_PATS_MAX_STRINGS */
  uint64_t document_count;       /*  8  of the corpus, at least 1 */
  uint64_t word_count;           /* 16  words in them, punctuation excluded */
  uint64_t byte_count;           /* 24  bytes in them */
  uint64_t distinct_words;       /* 32 */
  uint64_t background_documents; /* 40  0: no background */
  uint32_t contrast;             /* 48  semdns_contrast */
  uint32_t reserved[3];          /* 52  zero */
} semdns_pats_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_pats_header) == 64);

typedef struct semdns_pattern {
  uint32_t kind;        /*  0  semdns_pattern_kind */
  uint32_t words;       /*  4  1..SEMDNS_PATS_MAX_WORDS; spaces in the text + 1 */
  uint32_t count;       /*  8  occurrences, at least 1; 2^32-1 stands for that or more */
  uint32_t documents;   /* 12  documents that have it, 1..count */
  uint32_t background;  /* 16  background documents that have it */
  int32_t score;        /* 20  Q16, by kind */
  uint32_t text_offset; /* 24  into strings: the sum of the text sizes before */
  uint32_t text_size;   /* 28  1..SEMDNS_PATS_MAX_TEXT */
} semdns_pattern;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_pattern) == 32);

/* STAT: counts of n-grams, sorted, from which a library's patterns follow and to which new text can be
 * added (`mine-patterns --base`, `--merge`). Not critical, zstd. Numbers are LEB128, in the shortest form:
 *
 *     mass, background mass: sums of the document frequencies of all words of corpus and background
 *     levels L (1..SEMDNS_PATS_MAX_WORDS), then the number of n-grams of 1, 2, .. L words
 *     words: size, bytes; sorted bytewise. The index of a word is its place here
 *     for n = 1..L its n-grams, sorted by (prefix, word): for n > 1 the prefix (index among the n-grams
 *       of n-1 words) less that of the one before, the last word (less that of the one before, where the
 *       prefixes are equal); then the count, and where that is not 0: count less documents, documents
 *       less owners, background documents. Count 0: there only because others begin with it */
#define SEMDNS_STAT_VERSION 1u

/* PART: a partial library holds documents yet to be mined: what `mine-patterns --shard=i/n` writes and
 * `--merge` reads. Such a file has an empty PATS, META "partial" is "yes", and only the merge of all
 * shards is a library. Its text is that of the corpus, unprotected.
 *
 *     semdns_part_header
 *     u32 shards[covered]   which of shard_count are in, ascending
 *     blocks: u32 raw_size (1..SEMDNS_PART_MAX_BLOCK), u32 stored_size, a zstd frame of them
 *
 * A block is whole records: u8 role (0 document, 1 document of the background), u32 owner_size,
 * u32 text_size (at least 1), owner, text (both UTF-8). */
#define SEMDNS_PART_VERSION 1u
#define SEMDNS_PART_MAX_SHARDS 65536u
#define SEMDNS_PART_MAX_BLOCK (1u << 26)

typedef struct semdns_part_header {
  uint32_t shard_count; /*  0  1..SEMDNS_PART_MAX_SHARDS */
  uint32_t covered;     /*  4  1..shard_count */
  uint32_t block_count; /*  8 */
  uint32_t reserved;    /* 12  zero */
} semdns_part_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_part_header) == 16);

#endif /* SEMDNS_FORMAT_PATTERNS_H */
