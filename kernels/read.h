/* Micro-kernel: one text, on one GPU thread, from bytes to rows of the feature table. What
 * uk_tokenise, uk_match and uk_lookup do one after the other with arrays in between, done in one
 * pass over the bytes and one over the hashes, for texts that hit no limit; others are left to a
 * CPU. The rules are docs/architecture.md, "Arithmetic"; test/unit/kernels compares it with the
 * functions named.
 *
 * Plain C++ without dependencies, globals, recursion or calls; every option is a constant when the
 * compiler inlines it into an artifact's kernel. */
#ifndef SEMDNS_KERNELS_READ_H
#define SEMDNS_KERNELS_READ_H

#include "kernels/match.h"
#include "kernels/tokenise.h"
#include "semdns/format/gpu.h"

#define UK_WINDOW 6u /* longest character n-gram */

typedef struct uk_read_options {
  uint32_t word_ngram_max, char_min, char_max, punct;
  uint32_t terms; /* 0: no stage 1 */
  uint32_t room;  /* entries a byte, as in SEMDNS_GPU_ROOM */
} uk_read_options;

typedef struct uk_reader {
  uk_read_options options;
  const uint8_t *keyw;
  uint64_t *hashes; /* other features from the front, unigrams from the back */
  uint32_t front, back;
  uint32_t left; /* 1: over some limit */
  uint64_t hash; /* of the word being read */
  uint32_t in_word;
  uint32_t words, chars, features;
  uint64_t previous, before;  /* the last counted words */
  uint32_t seen;              /* counted words */
  uint32_t symbols;           /* of the word so far, BEGIN included */
  uint32_t window[UK_WINDOW]; /* the last symbols, the newest last */
  uint32_t state, hits;       /* stage 1's automaton */
} uk_reader;

/* What the automaton has found; apart from uk_reader, so that that one can live in registers. */
typedef struct uk_found {
  uint32_t zone[SEMDNS_MAX_HITS], weight[SEMDNS_MAX_HITS];
} uk_found;

static inline void uk_put(uk_reader *r, uint64_t hash) {
  if (r->front < r->back)
    r->hashes[r->front++] = hash;
  else
    r->left = 1;
  ++r->features;
}

/* A symbol of the current word: the n-grams that end with it. */
static inline void uk_read_symbol(uk_reader *r, uint32_t value) {
#pragma unroll
  for (uint32_t i = 1; i < UK_WINDOW; ++i)
    r->window[i - 1] = r->window[i];
  r->window[UK_WINDOW - 1] = value;
  ++r->symbols;
#pragma unroll
  for (uint32_t n = 2; n <= UK_WINDOW; ++n) {
    if (n < r->options.char_min || n > r->options.char_max || n > r->symbols)
      continue;
    uk_put(r, semdns_feature_chars(r->window + UK_WINDOW - n, n));
    ++r->chars;
  }
}

/* Stage 1's automaton takes a word. */
static inline void uk_read_term(uk_reader *r, uk_found *found, uint64_t word) {
  const semdns_keyw_header *header = (const semdns_keyw_header *)r->keyw;
  const uint32_t *roots = (const uint32_t *)(r->keyw + header->roots_offset);
  const semdns_keyw_state *states = (const semdns_keyw_state *)(r->keyw + header->states_offset);
  const semdns_keyw_edge *edges = (const semdns_keyw_edge *)(r->keyw + header->edges_offset);
  const uint32_t *outputs = (const uint32_t *)(r->keyw + header->outputs_offset);
  const semdns_term *terms = (const semdns_term *)(r->keyw + header->terms_offset);
  uint32_t id = uk_lookup(r->keyw + header->words_offset, header->word_buckets, word);
  uint32_t next = 0;
  if (id) {
    for (uint32_t s = r->state; s && !next; s = states[s].fail)
      next = uk_edge(edges, states[s].edge_begin, states[s + 1].edge_begin, id);
    next = next ? next : roots[id];
  }
  r->state = next;
  for (uint32_t o = states[next].output_begin; o < states[next + 1].output_begin; ++o) {
    if (r->hits == SEMDNS_MAX_HITS)
      return;
    found->zone[r->hits] = terms[outputs[o]].zone;
    found->weight[r->hits++] = terms[outputs[o]].weight;
  }
}

/* A word, or punctuation, is complete. */
static inline void uk_read_word(uk_reader *r, uk_found *found, uint64_t word) {
  if (r->words == SEMDNS_MAX_WORDS)
    r->left = 1;
  ++r->words;
  if (r->options.terms)
    uk_read_term(r, found, word);
  if (!r->options.punct && (word & 1u))
    return;
  if (r->front < r->back)
    r->hashes[--r->back] = semdns_feature_word(word);
  else
    r->left = 1;
  ++r->features;
  if (r->options.word_ngram_max >= 2 && r->seen >= 1)
    uk_put(r, semdns_feature_bigram(r->previous, word));
  if (r->options.word_ngram_max >= 3 && r->seen >= 2)
    uk_put(r, semdns_feature_trigram(r->before, r->previous, word));
  ++r->seen;
  r->before = r->previous;
  r->previous = word;
}

static inline void uk_read_end(uk_reader *r, uk_found *found) {
  if (r->in_word) {
    if (r->options.char_max) {
      uk_read_symbol(r, SEMDNS_MARK_END);
      r->window[UK_WINDOW - 1] = SEMDNS_MARK_BEGIN;
      r->symbols = 1;
    }
    uk_read_word(r, found, semdns_word_hash(r->hash, 0));
  }
  r->in_word = 0;
  r->hash = SEMDNS_HASH_SEED;
}

/* As uk_lookup, with the bucket's alignment said aloud, so that it is read in four loads. */
static inline uint32_t uk_find_row(const void *buckets, uint32_t bucketCount, uint64_t hash) {
  const uint32_t *bucket = (const uint32_t *)__builtin_assume_aligned(
      (const semdns_word_bucket *)buckets + semdns_bucket(hash, bucketCount), 64);
  uint32_t fingerprint = semdns_fingerprint(hash);
  uint32_t id = 0;
#pragma unroll
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t found = bucket[i] == fingerprint ? bucket[8 + i] : 0;
    id = found > id ? found : id;
  }
  return id;
}

/* The largest integer whose square is at most n2 < 2^47. */
static inline uint32_t uk_norm(uint64_t n2) {
#ifdef __NVPTX__
  /* There rounding cannot lift the root of k^2 - 1 to k, so cutting it is exact. */
  return (uint32_t)__nvvm_sqrt_rn_d((double)n2);
#else
  uint64_t root = 0;
  for (uint64_t bit = UINT64_C(1) << 46; bit; bit >>= 2) {
    if (n2 >= root + bit) {
      n2 -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return (uint32_t)root;
#endif
}

/* Stage 1's decision over the hits; 1 and the answer if it is accepted. */
static inline uint32_t uk_read_votes(const uk_reader *r, const uk_found *found,
                                     const uint32_t *parents, semdns_gpu_answer *answer) {
  const semdns_keyw_header *header = (const semdns_keyw_header *)r->keyw;
  uint32_t winner = 0, most = 0;
  uint64_t total = 0;
  for (uint32_t i = 0; i < r->hits; ++i) {
    uint32_t votes = 0;
    total += found->weight[i];
    for (uint32_t j = 0; j < r->hits; ++j)
      votes += found->zone[j] == found->zone[i] ? found->weight[j] : 0;
    if (votes > most || (votes == most && found->zone[i] < winner)) {
      most = votes;
      winner = found->zone[i];
    }
  }
  uint64_t agreeing = 0;
  for (uint32_t zone = winner;; zone = parents[zone]) {
    for (uint32_t i = 0; i < r->hits; ++i)
      agreeing += found->zone[i] == zone ? found->weight[i] : 0;
    if (!zone)
      break;
  }
  if (!r->hits || header->accept_votes == SEMDNS_NEVER || most < header->accept_votes ||
      agreeing * 65536 < total * header->accept_purity)
    return 0;
  answer->zone = answer->best_zone = winner;
  answer->confidence = answer->best_confidence = answer->margin = header->confidence;
  answer->odds = 0;
  answer->top_class = SEMDNS_NONE;
  answer->info = SEMDNS_KERNEL_STAGE_KEYWORD;
  return 1;
}

/* Text number `index` of a batch, [offsets[index], offsets[index + 1]) of `bytes`: writes
 * texts[index] and its entries of `rows`, or answers[index]; `hashes` is working memory. Sections
 * are validated ones (format/gpu.h has all shapes). */
static inline void uk_read(const uint8_t *__restrict textTable, const uint8_t *__restrict keyw,
                           const uint8_t *__restrict tokv, const uint8_t *__restrict clsf,
                           const uint8_t *__restrict bytes, const uint32_t *__restrict offsets,
                           uint64_t *__restrict hashes, uint32_t *__restrict rows,
                           semdns_gpu_text *__restrict texts, semdns_gpu_answer *__restrict answers,
                           uint32_t index, uint32_t stages, uk_read_options options,
                           uint32_t bucketCount, uint32_t unknownNorm) {
  const semdns_text_header *header = (const semdns_text_header *)textTable;
  const uint16_t *stage1 = (const uint16_t *)(textTable + header->stage1_offset);
  const uint32_t *blocks = (const uint32_t *)(textTable + header->blocks_offset);
  const uint32_t *pool = (const uint32_t *)(textTable + header->pool_offset);
  const uint32_t *ascii = blocks + (uint32_t)stage1[0] * SEMDNS_TEXT_BLOCK_SIZE;

  const uint32_t offset = offsets[index], size = offsets[index + 1] - offset;
  const uint64_t begin = SEMDNS_GPU_ROOM(options.room, offset, index);
  const uint8_t *text = bytes + offset;
  semdns_gpu_text out;
  out.begin = (uint32_t)begin;
  out.rows = SEMDNS_NONE;
  out.norm = 1;
  out.info = 0;

  uk_found found;
  uk_reader r;
  r.options = options;
  r.options.terms = options.terms && (stages & SEMDNS_KERNEL_STAGE_KEYWORD);
  r.keyw = keyw;
  r.hashes = hashes + begin;
  r.front = 0;
  r.back = size > SEMDNS_GPU_MAX_TEXT ? 0 : size * options.room + SEMDNS_GPU_SPARE;
  r.left = size > SEMDNS_GPU_MAX_TEXT;
  r.hash = SEMDNS_HASH_SEED;
  r.in_word = r.words = r.chars = r.features = r.seen = r.state = r.hits = 0;
  r.previous = r.before = 0;
  r.symbols = 1;
#pragma unroll
  for (uint32_t i = 0; i < UK_WINDOW; ++i)
    r.window[i] = SEMDNS_MARK_BEGIN;
  const uint32_t room = r.back;
  uint32_t flags = 0;

  for (uint32_t pos = 0; pos < size && !r.left;) {
    uint32_t entry, taken = 1, length = 0;
    if (text[pos] < 0x80) {
      entry = ascii[text[pos]];
      length = SEMDNS_TEXT_LENGTH(entry);
    } else {
      uint32_t repaired = 0;
      uint32_t code = uk_decode(text + pos, size - pos, &taken, &repaired);
      if (repaired)
        flags = SEMDNS_KERNEL_REPAIRED;
      entry = blocks[(uint32_t)stage1[code >> 7] * SEMDNS_TEXT_BLOCK_SIZE + (code & 127u)];
      length = SEMDNS_TEXT_LENGTH(entry);
      if (length == SEMDNS_TEXT_IDENTITY) {
        entry |= code;
        length = 0;
      }
    }
    pos += taken;
    const uint32_t *several = pool + (length ? SEMDNS_TEXT_VALUE(entry) : 0);
    for (uint32_t i = 0; i == 0 || i < length; ++i) {
      const uint32_t final = length ? several[i] : entry;
      const uint32_t kind = SEMDNS_TEXT_CLASS(final), value = SEMDNS_TEXT_VALUE(final);
      if (kind == SEMDNS_CHAR_DROP)
        continue;
      if (kind != SEMDNS_CHAR_WORD)
        uk_read_end(&r, &found);
      if (kind == SEMDNS_CHAR_SPACE)
        continue;
      if (kind == SEMDNS_CHAR_PUNCT) {
        uk_read_word(&r, &found, semdns_word_hash(semdns_hash_step(SEMDNS_HASH_SEED, value), 1));
        continue;
      }
      r.in_word = 1;
      r.hash = semdns_hash_step(r.hash, value);
      if (options.char_max)
        uk_read_symbol(&r, value);
      if (kind == SEMDNS_CHAR_IDEO)
        uk_read_end(&r, &found);
    }
  }
  uk_read_end(&r, &found);
  out.info = flags << SEMDNS_GPU_FLAG_SHIFT | (r.words ? SEMDNS_GPU_WORDS : 0) |
             (r.hits ? SEMDNS_GPU_HITS : 0);

  if (r.left || r.chars > UK_MAX_CHARS || r.features > SEMDNS_MAX_FEATURES) {
    semdns_gpu_answer answer = {0, 0, 0, 0, 0, 0, SEMDNS_NONE, SEMDNS_GPU_LEFT};
    answers[index] = answer;
    texts[index] = out;
    return;
  }
  if (r.options.terms && r.hits) {
    const semdns_clsf_header *acceptance = (const semdns_clsf_header *)clsf;
    semdns_gpu_answer answer;
    if (uk_read_votes(&r, &found, (const uint32_t *)(clsf + acceptance->zone_parent_offset),
                      &answer)) {
      answer.info |= out.info;
      answers[index] = answer;
      texts[index] = out;
      return;
    }
  }

  const semdns_tokv_header *features = (const semdns_tokv_header *)tokv;
  const uint8_t *buckets = tokv + features->buckets_offset;
  const uint16_t *norms = (const uint16_t *)(tokv + features->norms_offset);
  uint64_t n2 = 0;
  uint32_t known = 0;
  const uint32_t total = r.front + room - r.back;
  for (uint32_t i = 0; i < total; ++i) {
    const uint32_t at = i < r.front ? i : i - r.front + r.back;
    const uint32_t row = uk_find_row(buckets, bucketCount, r.hashes[at]);
    const uint32_t norm = row ? norms[row] : i < r.front ? 0 : unknownNorm;
    n2 += (uint64_t)norm * norm;
    if (row)
      rows[begin + known++] = row;
  }
  const uint32_t n = uk_norm(n2);
  out.rows = known;
  out.norm = n ? n : 1;
  texts[index] = out;
}

#endif /* SEMDNS_KERNELS_READ_H */
