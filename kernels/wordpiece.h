/* Micro-kernel: bytes to WordPiece ids, and to the window that the encoder reads. It gives the ids
 * of PyPI's `tokenizers` with BertNormalizer, BertPreTokenizer and WordPiece, with one exception:
 * text that spells a special token ("[SEP]") is text, never that token.
 *
 * Plain C++ without dependencies, globals, recursion or calls: compiled into the runtime and the
 * trainer, so that both see the same ids. Time is linear in the text (a word longer than
 * max_word_chars is [UNK] and not looked at further), memory a kilobyte or two of stack. */
#ifndef SEMDNS_KERNELS_WORDPIECE_H
#define SEMDNS_KERNELS_WORDPIECE_H

#include "kernels/tokenise.h"
#include "semdns/format/wordpiece.h"

/* Where ids go: the first `head` ones to out[0..), the last `ring` of those after them to
 * out[head..) as a ring. `count` counts all. */
typedef struct uk_pieces {
  uint32_t *out;
  uint64_t head;
  uint64_t ring;
  uint64_t next; /* slot of the ring that the next id goes to */
  uint64_t count;
} uk_pieces;

typedef struct uk_word {
  uint32_t size;    /* code points of the word so far; stops at max_word_chars + 1 */
  uint32_t barrier; /* marks before this index are not sorted any more */
  uint32_t code[SEMDNS_WPCE_MAX_WORD_CHARS + 1];
  uint8_t mark[SEMDNS_WPCE_MAX_WORD_CHARS + 1]; /* canonical combining class, 0: not a mark */
} uk_word;

static inline void uk_put_piece(uk_pieces *pieces, uint32_t id) {
  uint64_t n = pieces->count++;
  if (n < pieces->head) {
    pieces->out[n] = id;
  } else if (pieces->ring) {
    pieces->out[pieces->head + pieces->next] = id;
    pieces->next = pieces->next + 1 == pieces->ring ? 0 : pieces->next + 1;
  }
}

/* UTF-8 of a scalar value; returns its size, 1..4. */
static inline uint32_t uk_encode(uint32_t code, uint8_t *bytes) {
  if (code < 0x80) {
    bytes[0] = (uint8_t)code;
    return 1;
  }
  if (code < 0x800) {
    bytes[0] = (uint8_t)(0xc0 | code >> 6);
    bytes[1] = (uint8_t)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    bytes[0] = (uint8_t)(0xe0 | code >> 12);
    bytes[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    bytes[2] = (uint8_t)(0x80 | (code & 0x3f));
    return 3;
  }
  bytes[0] = (uint8_t)(0xf0 | code >> 18);
  bytes[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
  bytes[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
  bytes[3] = (uint8_t)(0x80 | (code & 0x3f));
  return 4;
}

/* The pieces of the word that ends here: the longest piece, again and again; a word that the
 * vocabulary cannot spell is one [UNK]. */
static inline void uk_end_pieces(const uint8_t *__restrict table, uk_word *word,
                                 uk_pieces *pieces) {
  const semdns_wpce_header *header = (const semdns_wpce_header *)table;
  const semdns_wpce_unit *units = (const semdns_wpce_unit *)(table + header->units_offset);
  const uint32_t *ids = (const uint32_t *)(table + header->ids_offset);
  uint32_t length = word->size;
  word->size = 0;
  word->barrier = 0;
  if (!length)
    return;
  if (length > header->max_word_chars) {
    uk_put_piece(pieces, header->unknown);
    return;
  }
  uint8_t bytes[4 * SEMDNS_WPCE_MAX_WORD_CHARS];
  uint32_t size = 0;
  for (uint32_t i = 0; i < length; ++i)
    size += uk_encode(word->code[i], bytes + size);
  /* Pieces found so far wait in code[], which is not needed any more: at most one a byte, and as
   * many code points would be ASCII, so they fit. */
  uint32_t found = 0, begin = 0, state = header->start_state;
  while (begin < size) {
    uint32_t id = SEMDNS_WPCE_NONE, end = begin;
    for (uint32_t i = begin; i < size; ++i) {
      uint32_t to = units[state].base + bytes[i];
      if (units[to].owner != state)
        break;
      state = to;
      if (ids[to] != SEMDNS_WPCE_NONE) {
        id = ids[to];
        end = i + 1;
      }
    }
    if (id == SEMDNS_WPCE_NONE || found == length) {
      uk_put_piece(pieces, header->unknown);
      return;
    }
    word->code[found++] = id;
    begin = end;
    state = header->next_state;
  }
  for (uint32_t i = 0; i < found; ++i)
    uk_put_piece(pieces, word->code[i]);
}

/* Adds a code point to the word; `mark` is its canonical combining class where marks are sorted. */
static inline void uk_push_code(uk_word *word, uint32_t code, uint32_t mark, uint32_t limit) {
  if (word->size > limit)
    return; /* already too long: [UNK] whatever follows */
  uint32_t at = word->size++;
  if (mark)
    for (; at > word->barrier && word->mark[at - 1] > mark; --at) {
      word->code[at] = word->code[at - 1];
      word->mark[at] = word->mark[at - 1];
    }
  word->code[at] = code;
  word->mark[at] = (uint8_t)mark;
}

/* Reads a run of text to its end, the last word included. Returns SEMDNS_KERNEL_REPAIRED or 0. */
static inline uint32_t uk_read_pieces(const uint8_t *__restrict table,
                                      const uint8_t *__restrict text, uint64_t size,
                                      uk_pieces *pieces) {
  const semdns_wpce_header *header = (const semdns_wpce_header *)table;
  const uint16_t *stage1 = (const uint16_t *)(table + header->stage1_offset);
  const uint32_t *blocks = (const uint32_t *)(table + header->blocks_offset);
  const uint32_t *pool = (const uint32_t *)(table + header->pool_offset);
  const uint32_t limit = header->max_word_chars;
  uint32_t flags = 0;
  uk_word word;
  word.size = 0;
  word.barrier = 0;
  for (uint64_t pos = 0; pos < size;) {
    uint32_t taken, repaired = 0;
    uint32_t code = uk_decode(text + pos, size - pos, &taken, &repaired);
    pos += taken;
    if (repaired)
      flags = SEMDNS_KERNEL_REPAIRED;
    uint32_t entry = blocks[(uint32_t)stage1[code >> 7] * SEMDNS_WPCE_BLOCK_SIZE + (code & 127u)];
    uint32_t length = SEMDNS_WPCE_LENGTH(entry);
    if (SEMDNS_WPCE_CLASS(entry) == SEMDNS_WPCE_MARK) {
      length = 0;
    } else if (length == SEMDNS_WPCE_IDENTITY) {
      entry = (entry & 0xe00000u) | code;
      length = 0;
    }
    const uint32_t *finals = length ? pool + SEMDNS_WPCE_VALUE(entry) : &entry;
    for (uint32_t i = 0; i == 0 || i < length; ++i) {
      uint32_t kind = SEMDNS_WPCE_CLASS(finals[i]);
      uint32_t value = SEMDNS_WPCE_VALUE(finals[i]);
      if (kind == SEMDNS_WPCE_WORD) {
        uk_push_code(&word, value, 0, limit);
      } else if (kind == SEMDNS_WPCE_MARK) {
        uk_push_code(&word, value, SEMDNS_WPCE_LENGTH(finals[i]), limit);
      } else if (kind == SEMDNS_WPCE_BARRIER) {
        word.barrier = word.size;
      } else if (kind != SEMDNS_WPCE_DROP) {
        uk_end_pieces(table, &word, pieces);
        if (kind == SEMDNS_WPCE_SINGLE) {
          uk_push_code(&word, value, 0, limit);
          uk_end_pieces(table, &word, pieces);
        }
      }
    }
  }
  uk_end_pieces(table, &word, pieces);
  return flags;
}

/* Ids of the whole text (any bytes; ill-formed UTF-8 is read as U+FFFD per maximal subpart),
 * without special tokens. `table` is a validated WPCE section; `text` may be null when size is 0.
 * Writes the first `capacity` ids and returns how many there are, which may be more. */
static inline uint64_t uk_wordpiece(const uint8_t *__restrict table, const uint8_t *__restrict text,
                                    uint64_t size, uint32_t *__restrict ids, uint64_t capacity) {
  uk_pieces pieces = {ids, capacity, 0, 0, 0};
  uk_read_pieces(table, text, size, &pieces);
  return pieces.count;
}

static inline void uk_reverse(uint32_t *ids, uint64_t count) {
  for (uint64_t i = 0; i < count / 2; ++i) {
    uint32_t id = ids[i];
    ids[i] = ids[count - 1 - i];
    ids[count - 1 - i] = id;
  }
}

/* ids[by, count) before ids[0, by). */
static inline void uk_rotate(uint32_t *ids, uint64_t count, uint64_t by) {
  uk_reverse(ids, by);
  uk_reverse(ids + by, count - by);
  uk_reverse(ids, count);
}

/* The ids that end up in out[0, head + ring): all, or the first `head` and the last `ring`.
 * Returns how many; sets SEMDNS_KERNEL_TRUNCATED in *flags when some were left out. */
static inline uint32_t uk_close_pieces(uk_pieces *pieces, uint32_t *flags) {
  if (pieces->count <= pieces->head + pieces->ring)
    return (uint32_t)pieces->count;
  *flags |= SEMDNS_KERNEL_TRUNCATED;
  uk_rotate(pieces->out + pieces->head, pieces->ring, pieces->next);
  return (uint32_t)(pieces->head + pieces->ring);
}

/* What the encoder reads: [CLS] text [SEP], or [CLS] context [SEP] text [SEP], at most `max_tokens`
 * ids, 8..SEMDNS_WPCE_MAX_WINDOW. Of a text longer than SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES the
 * first and last bytes are read, as stage 2 does, as two texts in a row; of a longer context the
 * last SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES.
 *
 * The text comes first: of more than max_tokens - 2 pieces the last quarter of the room takes the
 * last ones, the rest the first ones. The context's last pieces fill what is left; when nothing is
 * left, or the context has no pieces, there is no context and one [SEP].
 *
 * Writes ids[0, max_tokens) (working memory beyond the count) and *flags (SEMDNS_KERNEL_TRUNCATED:
 * something of the text was not read or left out; SEMDNS_KERNEL_REPAIRED: of either). */
static inline uint32_t uk_window(const uint8_t *__restrict table, const uint8_t *__restrict context,
                                 uint64_t contextSize, const uint8_t *__restrict text,
                                 uint64_t size, uint32_t maxTokens, uint32_t *__restrict ids,
                                 uint32_t *__restrict flags) {
  const semdns_wpce_header *header = (const semdns_wpce_header *)table;
  const uint64_t most = SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES;
  const uint32_t room = maxTokens - 2;
  uint32_t found = 0;
  ids[0] = header->cls;

  uk_pieces pieces = {ids + 1, room - room / 4, room / 4, 0, 0};
  if (size > most) {
    uint64_t unused, tail;
    uint64_t end = uk_straddling(text, size, SEMDNS_HEAD_BYTES, &unused);
    uk_straddling(text, size, size - SEMDNS_TAIL_BYTES, &tail);
    found = SEMDNS_KERNEL_TRUNCATED | uk_read_pieces(table, text, end, &pieces);
    found |= uk_read_pieces(table, text + tail, size - tail, &pieces);
  } else {
    found = uk_read_pieces(table, text, size, &pieces);
  }
  const uint32_t query = uk_close_pieces(&pieces, &found);

  uint32_t before = 0; /* ids of the context */
  if (contextSize && query + 1 < room) {
    uint64_t begin = 0;
    if (contextSize > most)
      uk_straddling(context, contextSize, contextSize - most, &begin);
    uint32_t ignored = 0; /* a context is cut as a rule: no flag */
    uk_pieces last = {ids + 1 + query, 0, room - query - 1, 0, 0};
    found |= uk_read_pieces(table, context + begin, contextSize - begin, &last);
    before = uk_close_pieces(&last, &ignored);
  }
  uint32_t count = 1 + query;
  if (before) {
    ids[count + before] = header->sep;
    uk_rotate(ids + 1, (uint64_t)query + before + 1, query);
    count += before + 1;
  }
  ids[count++] = header->sep;
  *flags = found;
  return count;
}

#endif /* SEMDNS_KERNELS_WORDPIECE_H */
