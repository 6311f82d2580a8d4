/* Micro-kernel: bytes to word hashes and feature hashes in one pass. The definition of every rule
 * here is docs/architecture.md, "Arithmetic"; lib/reference is the same thing written slowly.
 *
 * Plain C++ without dependencies, globals, recursion or calls: it is compiled into the runtime and
 * the trainer, and as LLVM bitcode into every kernel, where the four options are constants. */
#ifndef SEMDNS_KERNELS_TOKENISE_H
#define SEMDNS_KERNELS_TOKENISE_H

#include "kernels/hash.h"
#include "semdns/kernel.h"

typedef struct uk_counts {
  uint32_t words;    /* entries of words[] */
  uint32_t chars;    /* features[0, chars): character n-grams, at most SEMDNS_MAX_FEATURES / 2 */
  uint32_t unigrams; /* features[chars, chars + unigrams): one per counted word */
  uint32_t features; /* all features: + bigrams, + trigrams, at most SEMDNS_MAX_FEATURES */
  uint32_t flags;    /* SEMDNS_KERNEL_TRUNCATED, SEMDNS_KERNEL_REPAIRED */
} uk_counts;

#define UK_MAX_CHARS (SEMDNS_MAX_FEATURES / 2)
#define UK_SYMBOLS 64u /* symbols held before their n-grams are written */
#define UK_SLACK 8u    /* at least the longest n-gram: windows may look beyond the last symbol */

typedef struct uk_state {
  uint64_t hash;    /* of the word being read, before semdns_word_hash */
  uint32_t in_word; /* 0 or 1 */
  uint32_t words;
  uint32_t chars;
  uint32_t symbols; /* entries of symbol[]; between words the last is the next word's BEGIN */
  uint32_t flags;
} uk_state;

/* One code point from p[0, avail), avail >= 1. An ill-formed maximal subpart: returns U+FFFD and
 * sets *repaired. *size: bytes taken. */
static inline uint32_t uk_decode(const uint8_t *__restrict p, uint64_t avail, uint32_t *size,
                                 uint32_t *repaired) {
  uint32_t lead = p[0];
  if (lead < 0x80) {
    *size = 1;
    return lead;
  }
  uint32_t more = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
  uint32_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint32_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code = lead & (0x3fu >> more);
  uint32_t taken = 1;
  while (taken <= more && taken < avail && p[taken] >= low && p[taken] <= high) {
    code = code << 6 | (p[taken] & 0x3fu);
    low = 0x80;
    high = 0xbf;
    ++taken;
  }
  *size = taken;
  if (taken == more + 1 && more)
    return code;
  *repaired = 1;
  return 0xfffd;
}

/* Where the well-formed code point that straddles `pos` starts (*end: where it ends); both are
 * `pos` when there is none. 0 < pos < size. */
static inline uint64_t uk_straddling(const uint8_t *__restrict text, uint64_t size, uint64_t pos,
                                     uint64_t *end) {
  for (uint32_t back = 1; back <= 3 && back <= pos; ++back) {
    uint32_t taken, repaired = 0;
    uk_decode(text + pos - back, size - (pos - back), &taken, &repaired);
    if (!repaired && taken > back) {
      *end = pos - back + taken;
      return pos - back;
    }
  }
  *end = pos;
  return pos;
}

/* Writes the n-grams that start at symbols [0, starts). symbol[] is a run of words, each between
 * BEGIN and END, so a window with an END before its last symbol is no n-gram: it is computed too
 * and overwritten, which is cheaper than a branch (features[] has room behind the half that is
 * theirs). Symbols up to starts + charMax - 2 are read, and need not be meaningful beyond an END.
 */
static inline void uk_emit_chars(const uint32_t *__restrict symbol, uint32_t starts,
                                 uint32_t charMin, uint32_t charMax, uint64_t *__restrict features,
                                 uk_state *state) {
  uint32_t chars = state->chars;
  if (charMin == charMax) { /* two loops, so that the first becomes vector code */
    uint64_t hash[UK_SYMBOLS];
    for (uint32_t i = 0; i < starts; ++i)
      hash[i] = semdns_feature_chars(symbol + i, charMin);
    for (uint32_t i = 0; i < starts; ++i) {
      uint32_t whole = 1;
      for (uint32_t k = 0; k + 1 < charMin; ++k)
        whole &= symbol[i + k] != SEMDNS_MARK_END;
      features[chars] = hash[i];
      chars += whole;
    }
  } else {
    for (uint32_t i = 0; i < starts; ++i) {
      uint32_t whole = 1;
      for (uint32_t n = 1; n <= charMax; ++n) {
        if (n >= charMin) {
          features[chars] = semdns_feature_chars(symbol + i, n);
          chars += whole;
        }
        whole &= symbol[i + n - 1] != SEMDNS_MARK_END;
      }
    }
  }
  if (chars > UK_MAX_CHARS) {
    chars = UK_MAX_CHARS;
    state->flags |= SEMDNS_KERNEL_TRUNCATED;
  }
  state->chars = chars;
}

/* Makes room for two more symbols: writes the n-grams whose windows are all there. */
static inline void uk_flush_chars(uint32_t *__restrict symbol, uint32_t charMin, uint32_t charMax,
                                  uint64_t *__restrict features, uk_state *state) {
  if (state->symbols + 2 <= UK_SYMBOLS)
    return;
  uint32_t starts = state->symbols - charMax + 1;
  uk_emit_chars(symbol, starts, charMin, charMax, features, state);
  for (uint32_t i = 0; i + 1 < charMax; ++i)
    symbol[i] = symbol[starts + i];
  state->symbols = charMax - 1;
}

/* A code point of a word. */
static inline void uk_push_word(uint32_t *__restrict symbol, uint32_t value, uint32_t charMin,
                                uint32_t charMax, uint64_t *__restrict features, uk_state *state) {
  state->in_word = 1;
  state->hash = semdns_hash_step(state->hash, value);
  if (!charMax || state->words == SEMDNS_MAX_WORDS)
    return;
  symbol[state->symbols++] = value;
  uk_flush_chars(symbol, charMin, charMax, features, state);
}

static inline void uk_end_word(uint32_t *__restrict symbol, uint32_t charMin, uint32_t charMax,
                               uint64_t *__restrict words, uint64_t *__restrict features,
                               uk_state *state) {
  if (state->in_word) {
    if (state->words < SEMDNS_MAX_WORDS) {
      words[state->words++] = semdns_word_hash(state->hash, 0);
      if (charMax) {
        symbol[state->symbols++] = SEMDNS_MARK_END;
        symbol[state->symbols++] = SEMDNS_MARK_BEGIN;
        uk_flush_chars(symbol, charMin, charMax, features, state);
      }
    } else {
      state->flags |= SEMDNS_KERNEL_TRUNCATED;
    }
  }
  state->in_word = 0;
  state->hash = SEMDNS_HASH_SEED;
}

/* Reads `text` (any bytes, any alignment; may be null when size is 0) with the TEXT section at
 * `textTable` (validated).
 *
 *   words     [SEMDNS_MAX_WORDS]     out: hashes of all words in text order, bit 0 = punctuation
 *   features  [SEMDNS_MAX_FEATURES]  out: character n-grams, unigrams, bigrams, trigrams
 *
 * Both are also working memory: entries beyond the counts are undefined. wordNgramMax 1..3;
 * charMin 2..6 and charMax charMin..6, or both 0; punct: punctuation counts for word features.
 * Writes every field of *counts. Thread-safe, allocates nothing, needs 1 KB of stack. */
static inline void uk_tokenise(const uint8_t *__restrict textTable, const uint8_t *__restrict text,
                               uint64_t size, uint32_t wordNgramMax, uint32_t charMin,
                               uint32_t charMax, uint32_t punct, uint64_t *__restrict words,
                               uint64_t *__restrict features, uk_counts *__restrict counts) {
  const semdns_text_header *header = (const semdns_text_header *)textTable;
  const uint16_t *stage1 = (const uint16_t *)(textTable + header->stage1_offset);
  const uint32_t *blocks = (const uint32_t *)(textTable + header->blocks_offset);
  const uint32_t *pool = (const uint32_t *)(textTable + header->pool_offset);
  const uint32_t *ascii = blocks + (uint32_t)stage1[0] * SEMDNS_TEXT_BLOCK_SIZE;

  uint32_t symbol[UK_SYMBOLS + UK_SLACK];
  if (charMax) {
    for (uint32_t i = 0; i < UK_SYMBOLS + UK_SLACK; ++i)
      symbol[i] = 0;
    symbol[0] = SEMDNS_MARK_BEGIN;
  }
  uk_state state;
  state.hash = SEMDNS_HASH_SEED;
  state.in_word = 0;
  state.words = 0;
  state.chars = 0;
  state.symbols = 1;
  state.flags = 0;

  uint64_t pos = 0, end = size, tail = size; /* tail: start of the second window, == size: none */
  if (size > SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES) {
    uint64_t unused;
    end = uk_straddling(text, size, SEMDNS_HEAD_BYTES, &unused);
    uk_straddling(text, size, size - SEMDNS_TAIL_BYTES, &tail);
    state.flags = SEMDNS_KERNEL_TRUNCATED;
  }

  for (;;) {
    /* Letters, digits and spaces of ASCII, without a branch per word: what a word's end writes is
     * written at every byte, and counts where a word ends. Its hash is finished afterwards. */
    uint32_t first = state.words;
    while (pos < end && text[pos] < 0x80 && state.words < SEMDNS_MAX_WORDS) {
      uint32_t entry = ascii[text[pos]];
      uint32_t isWord = entry >> 21; /* class and length */
      if (isWord > SEMDNS_CHAR_WORD)
        break;
      ++pos;
      uint32_t ends = state.in_word & ~isWord;
      words[state.words] = state.hash;
      state.words += ends;
      uint32_t value = SEMDNS_TEXT_VALUE(entry);
      uint64_t next = semdns_hash_step(state.hash, value);
      state.hash = isWord ? next : SEMDNS_HASH_SEED;
      state.in_word = isWord;
      if (charMax) {
        symbol[state.symbols] = isWord ? value : SEMDNS_MARK_END;
        symbol[state.symbols + 1] = SEMDNS_MARK_BEGIN;
        state.symbols += isWord | ends << 1;
        uk_flush_chars(symbol, charMin, charMax, features, &state);
      }
    }
    for (uint32_t i = first; i < state.words; ++i)
      words[i] = semdns_word_hash(words[i], 0);

    if (pos == end) {
      uk_end_word(symbol, charMin, charMax, words, features, &state);
      if (tail == size)
        break;
      pos = tail;
      end = size;
      tail = size;
      continue;
    }

    /* Anything else, one code point at a time. */
    uint32_t taken, repaired = 0;
    uint32_t code = uk_decode(text + pos, end - pos, &taken, &repaired);
    pos += taken;
    if (repaired)
      state.flags |= SEMDNS_KERNEL_REPAIRED;
    uint32_t entry = blocks[(uint32_t)stage1[code >> 7] * SEMDNS_TEXT_BLOCK_SIZE + (code & 127u)];
    uint32_t length = SEMDNS_TEXT_LENGTH(entry);
    if (length == SEMDNS_TEXT_IDENTITY) {
      entry |= code;
      length = 0;
    }
    const uint32_t *finals = length ? pool + SEMDNS_TEXT_VALUE(entry) : &entry;
    for (uint32_t i = 0; i == 0 || i < length; ++i) {
      uint32_t kind = SEMDNS_TEXT_CLASS(finals[i]);
      uint32_t value = SEMDNS_TEXT_VALUE(finals[i]);
      if (kind == SEMDNS_CHAR_DROP)
        continue;
      if (kind != SEMDNS_CHAR_WORD)
        uk_end_word(symbol, charMin, charMax, words, features, &state);
      if (kind == SEMDNS_CHAR_SPACE)
        continue;
      if (kind == SEMDNS_CHAR_PUNCT) {
        if (state.words < SEMDNS_MAX_WORDS)
          words[state.words++] = semdns_word_hash(semdns_hash_step(SEMDNS_HASH_SEED, value), 1);
        else
          state.flags |= SEMDNS_KERNEL_TRUNCATED;
        continue;
      }
      uk_push_word(symbol, value, charMin, charMax, features, &state);
      if (kind == SEMDNS_CHAR_IDEO)
        uk_end_word(symbol, charMin, charMax, words, features, &state);
    }
  }

  if (charMax)
    uk_emit_chars(symbol, state.symbols - 1, charMin, charMax, features, &state);

  /* Word features. Unigrams and bigrams always fit behind the character n-grams. */
  uint32_t n = state.chars;
  for (uint32_t i = 0; i < state.words; ++i) {
    features[n] = semdns_feature_word(words[i]);
    n += punct ? 1u : (uint32_t)(~words[i] & 1u);
  }
  counts->words = state.words;
  counts->chars = state.chars;
  counts->unigrams = n - state.chars;
  if (wordNgramMax >= 2 && counts->unigrams >= 2) {
    uint64_t previous = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < state.words; ++i) {
      uint32_t counted = punct ? 1u : (uint32_t)(~words[i] & 1u);
      features[n] = semdns_feature_bigram(previous, words[i]);
      n += counted & have;
      have |= counted;
      previous = counted ? words[i] : previous;
    }
  }
  if (wordNgramMax >= 3 && counts->unigrams >= 3) {
    uint64_t first = 0, second = 0;
    uint32_t seen = 0; /* counted words so far */
    for (uint32_t i = 0; i < state.words; ++i) {
      if (!punct && (words[i] & 1u))
        continue;
      if (seen >= 2) {
        if (n == SEMDNS_MAX_FEATURES) {
          state.flags |= SEMDNS_KERNEL_TRUNCATED;
          break;
        }
        features[n++] = semdns_feature_trigram(first, second, words[i]);
      }
      ++seen;
      first = second;
      second = words[i];
    }
  }
  counts->features = n;
  counts->flags = state.flags;
}

#endif /* SEMDNS_KERNELS_TOKENISE_H */
