/// \file The predictor of the codecs `fast` and `max`: one design in two sizes, shared by the
/// runtime (coding) and the trainer (which simulates coding, so that the frozen weights fit what
/// they meet).
///
/// A symbol (a byte, or a token of the domain's vocabulary) is coded bit by bit along its code, in
/// subtrees of 4 bits. For every context (the last k symbols, words, columns, ...) a bucket of 15
/// nodes holds, per node, a state that summarises what followed in the corpus (frozen tables) and
/// one for what followed in this document (scratch). A table learnt in training maps the pair to
/// log-odds; matches with earlier text give log-odds too. Gated logistic mixers (Mahoney's PAQ:
/// weight sets chosen by small contexts, then a mixer of the mixers' outputs), whose weights start
/// where training left them and go on learning inside the document, make one probability of them.
///
/// Bytes (`max`): 21 contexts, four mixers, matches in the document and in the library's text, a
/// frozen refinement of the result. Tokens (`fast`): six contexts, one mixer, and before that one
/// decision whether the token is the most probable one by frozen successors and the document's
/// match: where it is, which is half of the time that this is asked, nothing else is done.
///
/// Integers only: the same bits on every machine. No function here allocates, and none trusts the
/// tables beyond what attachModel() checked.
#pragma once

#include "semdns/format/model.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__GNUC__)
#define SEMDNS_MODEL_INLINE inline __attribute__((always_inline))
#else
#define SEMDNS_MODEL_INLINE inline
#endif

namespace semdns::codec::model {

// ---- fixed point
// ---------------------------------------------------------------------------------

/// Log-odds are in 1/256, probabilities in 1/65536.
inline constexpr int kMaxLogit = 3071;
inline constexpr int32_t kWeightOne = 65536, kMaxWeight = 4 * kWeightOne;

struct SquashTable {
  uint16_t p[1537];
};

/// 1 / (1 + exp(-x)) at every 1/64. Computed by the compiler, by additions and products alone.
constexpr SquashTable makeSquash() {
  SquashTable t{};
  for (int i = 0; i <= 1536; ++i) {
    const double x = double(i - 768) / 64;
    double y = x / 1024, e = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)));
    for (int k = 0; k < 10; ++k)
      e *= e;
    const double p = 65536 * (e / (1 + e));
    t.p[i] = uint16_t(p < 2 ? 2 : p > 65534 ? 65534 : p);
  }
  return t;
}
inline constexpr SquashTable kSquash = makeSquash();

/// Probability of a 1 of log-odds within +-kMaxLogit.
SEMDNS_MODEL_INLINE uint32_t squash(int x) { return kSquash.p[(x + kMaxLogit + 3) >> 2]; }

SEMDNS_MODEL_INLINE int clampLogit(int x) {
  return x < -kMaxLogit ? -kMaxLogit : x > kMaxLogit ? kMaxLogit : x;
}

// ---- document states
// -----------------------------------------------------------------------------

/// What followed a context in this document: counts of 0 and 1, and which came last.
struct DocumentState {
  uint8_t n0, n1, last;
};
inline constexpr int kDocumentStates = 32;
inline constexpr DocumentState kDocumentState[kDocumentStates] = {
    {0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0}, {6, 0, 0}, {0, 1, 1}, {0, 2, 1},
    {0, 3, 1}, {0, 4, 1}, {0, 6, 1}, {1, 1, 0}, {1, 1, 1}, {2, 1, 0}, {2, 1, 1}, {1, 2, 0},
    {1, 2, 1}, {3, 1, 0}, {3, 1, 1}, {1, 3, 0}, {1, 3, 1}, {2, 2, 0}, {2, 2, 1}, {4, 1, 0},
    {1, 4, 1}, {3, 2, 0}, {3, 2, 1}, {2, 3, 0}, {2, 3, 1}, {4, 2, 0}, {2, 4, 1}, {9, 0, 0}};

struct NextTable {
  uint8_t next[kDocumentStates][2];
};

/// The count of the bit that came grows; the other, beyond 2, shrinks: the recent past weighs more.
constexpr NextTable makeNext() {
  NextTable t{};
  for (int s = 0; s < kDocumentStates; ++s)
    for (int bit = 0; bit < 2; ++bit) {
      int n[2] = {kDocumentState[s].n0, kDocumentState[s].n1};
      ++n[bit];
      if (n[1 - bit] > 2)
        n[1 - bit] = (n[1 - bit] + 3) / 2 > n[1 - bit] - 1 ? n[1 - bit] - 1 : (n[1 - bit] + 3) / 2;
      int best = 0, bestDistance = 1 << 20;
      for (int c = 1; c < kDocumentStates; ++c) {
        const int d0 = kDocumentState[c].n0 - n[0], d1 = kDocumentState[c].n1 - n[1];
        int d = 4 * (d0 * d0 + d1 * d1) + (kDocumentState[c].last != bit ? 3 : 0);
        if ((kDocumentState[c].n0 == 0) != (n[0] == 0) ||
            (kDocumentState[c].n1 == 0) != (n[1] == 0))
          d += 1000; // certainty stays certainty
        if (d < bestDistance) {
          best = c;
          bestDistance = d;
        }
      }
      t.next[s][bit] = uint8_t(best);
    }
  // Long runs, which the nearest neighbour would not leave or reach: 4 -> 6 -> 9 (0 only).
  t.next[4][0] = 5;
  t.next[5][0] = 31;
  t.next[31][0] = 31;
  t.next[9][1] = 10;
  t.next[10][1] = 10;
  return t;
}
inline constexpr NextTable kNext = makeNext();

// ---- sizes
// ---------------------------------------------------------------------------------------

inline constexpr int kMatchLengths = 16, kMatchBits = 8;
inline constexpr int kLastSets = 16, kLastInputs = 8;
/// Of guesses: log-odds that one is right, by each source's grade alone (the document's match, the
/// frozen successors of three and of two symbols), by all three sources' together, by the symbol,
/// by how the guesses before went.
inline constexpr int kGrades = 16, kGuessSources = 3;
inline constexpr int kGuessAlone = kGuessSources * kGrades, kGuessTogether = 8 * 18 * 18,
                     kGuessSymbols = 8192, kGuessPast = 64 * 16;
inline constexpr int kGuessTables = kGuessAlone + kGuessTogether + kGuessSymbols + kGuessPast;
/// Log-odds that make a guess worth a decision: about one in six. It costs 1 % of the ratio and
/// saves a fifth of the time.
inline constexpr int kGuessFrom = -400;
inline constexpr int kGuessSets = 16, kGuessInputs = 4;
inline constexpr int kRefineSteps = 32; // 25 used: log-odds -3072..3072 by 256

/// What differs between the two kinds, beside their contexts.
struct Bytes {
  using Symbol = uint8_t;
  static constexpr bool kGuesses = false;
  static constexpr uint32_t kKind = SEMDNS_MODEL_BYTES;
  static constexpr int kContexts = 21, kInputs = 24, kMixers = 4, kOrders = 9;
  static constexpr int kSets[kMixers] = {256, 128, 40, 256};
  static constexpr int kAllSets = 256 + 128 + 40 + 256;
  static constexpr int kRows = 8192;
  static constexpr uint32_t kSpread = 0xf; // contexts whose subtrees no window could hold
  static constexpr int kDocumentMatch = 6, kLibraryMatch = 8; // symbols that find a match
  static constexpr int kSlotsPerByte = 64, kMaxSlotBits = 20;
};
struct Tokens {
  using Symbol = uint16_t;
  static constexpr bool kGuesses = true;
  static constexpr uint32_t kKind = SEMDNS_MODEL_TOKENS;
  static constexpr int kContexts = 6, kInputs = 8, kMixers = 1, kOrders = 4;
  static constexpr int kSets[kMixers] = {135};
  static constexpr int kAllSets = 135;
  static constexpr int kRows = 0; // the refinement is not worth its time here
  static constexpr uint32_t kSpread = 0x13;
  static constexpr int kDocumentMatch = 2, kLibraryMatch = 3;
  static constexpr int kSlotsPerByte = 8, kMaxSlotBits = 17;
};

/// Plain pointers into a section; lib/codec points them at what it is still training.
struct View {
  const int16_t *joint, *matched, *guess;
  const int32_t *guessWeights;
  const int32_t *weights, *last;
  const uint16_t *refine;
  const uint32_t *tokenOffsets, *tokenCodes;
  const uint16_t *tokenChildren, *tokenParents, *tokenFirsts;
  const uint8_t *tokenLengths, *tokenBytes;
  const uint8_t *lines;
  const uint8_t *textBytes;
  const uint16_t *textTokens;
  const uint32_t *index, *successors;
  uint32_t kind, lineCount, successorLines, textCount, indexBits, tokenCount, rate;

  const uint8_t *text(const Bytes *) const { return textBytes; }
  const uint16_t *text(const Tokens *) const { return textTokens; }
};

/// Where each area of a section starts; the header's counts must be within their limits.
struct Layout {
  uint64_t joint, matched, guess, guessWeights, weights, last, refine, tokenOffsets, tokenCodes,
      tokenChildren, tokenParents, tokenFirsts, tokenLengths, tokenBytes, lines, successors, text,
      index, size;
};

template <class K> constexpr Layout layoutOf(const semdns_model_header &h) {
  Layout l{};
  uint64_t at = sizeof h;
  auto area = [&](uint64_t bytes) {
    at = (at + 63) & ~uint64_t{63};
    const uint64_t start = at;
    at += bytes;
    return start;
  };
  l.joint = area(uint64_t{K::kContexts} * 256 * kDocumentStates * 2);
  l.matched = area(2 * kMatchLengths * kMatchBits * 2);
  l.guess = area(K::kGuesses ? 2 * kGuessTables : 0);
  l.guessWeights = area(K::kGuesses ? 4 * kGuessSets * kGuessInputs : 0);
  l.weights = area(uint64_t{K::kAllSets} * K::kInputs * 4);
  l.last = area(kLastSets * kLastInputs * 4);
  l.refine = area(uint64_t{2} * K::kRows * kRefineSteps * 2);
  if (K::kKind == SEMDNS_MODEL_TOKENS) {
    const uint64_t v = h.token_count;
    l.tokenOffsets = area(4 * (v + 1));
    l.tokenCodes = area(4 * v);
    l.tokenChildren = area(4 * (v - 1));
    l.tokenParents = area(2 * v);
    l.tokenFirsts = area(2 * 65537);
    l.tokenLengths = area(v);
    l.tokenBytes = area(h.token_size);
  }
  l.lines = area(uint64_t{h.line_count} * 64);
  l.successors = area(uint64_t{h.successor_lines} * 64);
  l.text = area(uint64_t{h.text_count} * sizeof(typename K::Symbol));
  l.index = area(h.index_bits ? uint64_t{4} << h.index_bits : 0);
  l.size = at;
  return l;
}

/// The views of a section's bytes at `base`, once its header is known to be sound.
template <class K> inline View viewOf(const semdns_model_header &h, const uint8_t *base) {
  const Layout l = layoutOf<K>(h);
  View v{};
  auto at = [&](uint64_t offset, auto &pointer) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(base + offset);
  };
  at(l.joint, v.joint);
  at(l.matched, v.matched);
  at(l.guess, v.guess);
  at(l.guessWeights, v.guessWeights);
  at(l.weights, v.weights);
  at(l.last, v.last);
  at(l.refine, v.refine);
  at(l.tokenOffsets, v.tokenOffsets);
  at(l.tokenCodes, v.tokenCodes);
  at(l.tokenChildren, v.tokenChildren);
  at(l.tokenParents, v.tokenParents);
  at(l.tokenFirsts, v.tokenFirsts);
  at(l.tokenLengths, v.tokenLengths);
  at(l.tokenBytes, v.tokenBytes);
  at(l.lines, v.lines);
  at(l.successors, v.successors);
  at(l.text, v.textBytes);
  at(l.text, v.textTokens);
  at(l.index, v.index);
  v.kind = h.kind;
  v.lineCount = h.line_count;
  v.successorLines = h.successor_lines;
  v.textCount = h.text_count;
  v.indexBits = h.index_bits;
  v.tokenCount = h.token_count;
  v.rate = h.rate;
  return v;
}

// ---- contexts
// ------------------------------------------------------------------------------------

SEMDNS_MODEL_INLINE uint32_t mix(uint64_t value, uint32_t context) {
  const uint64_t h = (value + (uint64_t{context} + 1) * UINT64_C(0x9e3779b97f4a7c15)) *
                     UINT64_C(0xd6e8feb86659fd93);
  return uint32_t((h ^ h >> 29) * UINT64_C(0x9fb21c651e98df25) >> 32);
}

/// The bucket of a context and the bits before its subtree (a leading 1, then the bits).
SEMDNS_MODEL_INLINE uint32_t bucketHash(uint32_t context, uint32_t prefix) {
  uint32_t h = (context ^ prefix * 0x9e3779b1u) * 0x85ebca6bu;
  h = (h ^ h >> 15) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

/// The check byte that tells the buckets of a line apart.
SEMDNS_MODEL_INLINE uint8_t bucketCheck(uint32_t hash) { return uint8_t(hash % 255 + 1); }
SEMDNS_MODEL_INLINE uint32_t bucketLine(uint32_t hash, uint32_t lines) {
  return uint32_t(uint64_t{hash} * lines >> 32);
}

/// Lines of a window: what a context's later subtrees share with its first, so that they are mostly
/// on the same page of memory. `lines` is a multiple of it.
inline constexpr uint32_t kWindow = 32;

/// The line of a subtree: `first` is the hash of its context's first, `hash` its own.
SEMDNS_MODEL_INLINE uint32_t laterLine(uint32_t first, uint32_t hash, uint32_t lines) {
  return (bucketLine(first, lines) & ~(kWindow - 1)) | hash >> 27;
}

SEMDNS_MODEL_INLINE uint64_t hash2(uint64_t a, uint64_t b) {
  return (a + UINT64_C(0x632be59bd9b4e019)) * UINT64_C(0x9e3779b97f4a7c15) ^
         (b + 1) * UINT64_C(0xc2b2ae3d27d4eb4f);
}

template <class K> struct History;

/// What the contexts of bytes remember.
template <> struct History<Bytes> {
  uint64_t last8 = 0, before8 = 0;
  uint64_t word = 0, word1 = 0, word2 = 0, word3 = 0;
  uint32_t lineStart = 0, lineBefore = 0, indent = 0, position = 0;
  uint8_t lineFirst = 0, gap = 0, inIndent = 1;

  explicit History(const View &) {}

  void push(const uint8_t *symbols, uint8_t c) {
    before8 = before8 << 8 | last8 >> 56;
    last8 = last8 << 8 | c;
    ++position;
    const uint8_t lower = c >= 'A' && c <= 'Z' ? uint8_t(c + 32) : c;
    if ((lower >= 'a' && lower <= 'z') || c >= 0x80 || (c >= '0' && c <= '9') || c == '_') {
      word = (word + lower + 1) * UINT64_C(0x2f0b4c47d9a1e3b5);
      word ^= word >> 31;
      gap = 0;
    } else {
      if (word) {
        word3 = word2;
        word2 = word1;
        word1 = word;
        word = 0;
      }
      gap = c == ' ' ? gap : c;
    }
    if (c == '\n') {
      lineBefore = lineStart;
      lineStart = position;
      inIndent = 1;
      indent = 0;
      lineFirst = 0;
    } else if (inIndent) {
      if (c == ' ' || c == '\t') {
        ++indent;
      } else {
        inIndent = 0;
        lineFirst = c;
      }
    }
  }

  void contexts(const uint8_t *symbols, uint32_t *out) const {
    const uint64_t c = last8;
    uint32_t i = 0;
    auto add = [&](uint64_t value) {
      out[i] = mix(value, i);
      ++i;
    };
    add(0);
    add(c & 0xff);
    add(c & 0xffff);
    add(c & 0xffffff);
    add(c & 0xffffffff);
    add(c & 0xffffffffff);
    add(c & 0xffffffffffff);
    add(c);
    add(hash2(c, before8 & 0xffffff)); // 11 bytes
    add(hash2(word, gap));
    add(hash2(word, word1));
    add(hash2(hash2(word, word1), word2));
    add(hash2(hash2(word, word1), hash2(word2, word3)));
    add(hash2(word, word2));
    add(hash2(hash2(word, c & 0xff), hash2(word2, word3)));
    add(c & 0xffff00);
    add(c & 0xffffff00);
    add(hash2(c & 0xf8f8f8f8, 7));
    const uint32_t column = position - lineStart;
    const uint32_t above = lineBefore + column < lineStart ? symbols[lineBefore + column] : 256u;
    add(hash2(above, c & 0xff));
    add(hash2(hash2(column < 63 ? column : 63, lineFirst),
              hash2(indent < 31 ? indent : 31, inIndent)));
    add(hash2(hash2(lineFirst, word), hash2(c & 0xff, 3)));
  }

  /// Small contexts of the mixers and of the refinement.
  uint32_t previous() const { return uint32_t(last8 & 0xff); }
};

/// What the contexts of tokens remember.
template <> struct History<Tokens> {
  const View &view;
  uint32_t t1 = 0, t2 = 0, t3 = 0; // the last tokens + 1
  uint32_t word1 = 0, word2 = 0;   // those of them that end in a letter

  explicit History(const View &v) : view(v) {}

  void push(const uint16_t *, uint16_t token) {
    t3 = t2;
    t2 = t1;
    t1 = token + 1u;
    const uint8_t end = view.tokenBytes[view.tokenOffsets[token + 1] - 1];
    const uint8_t lower = end | 0x20;
    if ((lower >= 'a' && lower <= 'z') || end >= 0x80) {
      word2 = word1;
      word1 = t1;
    }
  }

  void contexts(const uint16_t *, uint32_t *out) const {
    out[0] = mix(0, 0);
    out[1] = mix(t1, 1);
    out[2] = mix(uint64_t{t1} | uint64_t{t2} << 16, 2);
    out[3] = mix(uint64_t{t1} | uint64_t{t2} << 16 | uint64_t{t3} << 32, 3);
    out[4] = mix(t2, 4);
    out[5] = mix(uint64_t{word1} | uint64_t{word2} << 16 | uint64_t{word1 == t1} << 32, 5);
  }

  uint32_t previous() const { return t1; }
  /// Of the frozen successors of the last three (1) or two (2) symbols.
  uint32_t successorHash(int source) const {
    return mix(uint64_t{t1} | uint64_t{t2} << 16 | (source == 1 ? uint64_t{t3} << 32 : 0u),
               100u + uint32_t(source));
  }
};

// ---- tokens
// --------------------------------------------------------------------------------------

/// The longest token at the start of text[0, n), n > 0. A vocabulary holds every single byte.
inline uint32_t longestToken(const View &v, const uint8_t *text, size_t n) {
  const uint32_t second = n > 1 ? text[1] : 0u;
  const uint32_t key = uint32_t{text[0]} << 8 | second;
  // Tokens of one byte precede those of two with the same first byte.
  uint32_t low = v.tokenFirsts[key], high = v.tokenFirsts[key + 1];
  // The last token that is not beyond the text: tokens [low, high) share its first two bytes.
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const uint8_t *token = v.tokenBytes + v.tokenOffsets[middle];
    const size_t size = v.tokenOffsets[middle + 1] - v.tokenOffsets[middle];
    const int order = memcmp(token, text, size < n ? size : n);
    if (order > 0 || (order == 0 && size > n))
      high = middle;
    else
      low = middle + 1;
  }
  uint32_t token = low - 1;
  for (;;) {
    const size_t size = v.tokenOffsets[token + 1] - v.tokenOffsets[token];
    if (size <= n && memcmp(v.tokenBytes + v.tokenOffsets[token], text, size) == 0)
      return token;
    if (v.tokenParents[token] == token) // only in tables that no one built
      return v.tokenFirsts[uint32_t{text[0]} << 8] - 1u;
    token = v.tokenParents[token];
  }
}

// ---- matches
// -------------------------------------------------------------------------------------

/// A place in earlier text whose next symbol is expected here.
struct Match {
  uint32_t at = 0, length = 0; // length 0: none
  uint32_t code = 0, bits = 0; // of the expected symbol
  bool live = false;           // the coded bits agree so far
  uint32_t grade16 = 0;

  SEMDNS_MODEL_INLINE uint32_t bucket() const {
    return length < 8 ? length : length < 36 ? 6 + length / 4 : 15;
  }
  /// 0: none, 1..3 by length.
  SEMDNS_MODEL_INLINE uint32_t grade() const {
    return !live ? 0u : length < 4 ? 1u : length < 16 ? 2u : 3u;
  }
};

template <class Symbol> SEMDNS_MODEL_INLINE uint32_t hashBack(const Symbol *end, int symbols) {
  uint64_t h = 0;
  for (int i = 1; i <= symbols; ++i)
    h = (h + end[-i] + 1) * UINT64_C(0x9e3779b97f4a7c15);
  return uint32_t((h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93) >> 32);
}

template <class Symbol>
inline uint32_t commonBack(const Symbol *a, uint32_t aCount, const Symbol *b, uint32_t bCount) {
  uint32_t limit = aCount < bCount ? aCount : bCount, n = 0;
  limit = limit < 40 ? limit : 40;
  while (n < limit && a[-1 - ptrdiff_t(n)] == b[-1 - ptrdiff_t(n)])
    ++n;
  return n;
}

// ---- prediction
// ----------------------------------------------------------------------------------

/// Does nothing: coding. The trainer's teacher is told every prediction's inputs and its outcome.
struct NoTeacher {
  static constexpr bool kOn = false;
};

constexpr uint32_t slotBits(size_t n, int perByte, int maxBits) {
  uint32_t bits = 10;
  while (bits < uint32_t(maxBits) && (size_t{1} << bits) < n * size_t(perByte))
    ++bits;
  return bits;
}
constexpr uint32_t positionBits(size_t n) {
  uint32_t bits = 8;
  while (bits < 16 && (size_t{1} << bits) < 2 * n)
    ++bits;
  return bits;
}

/// One document's coding state, in scratch. Nothing in it outlives the call.
template <class K> struct Workspace {
  using Symbol = typename K::Symbol;
  uint32_t *tags;        // of the document's buckets; 0: free
  uint8_t *nodes;        // 16 a bucket
  uint16_t *positions;   // of matches in the document
  int32_t *weights;      // [K::kAllSets][K::kInputs]
  int32_t *last;         // [kLastSets][kLastInputs]
  int32_t *guessWeights; // [kGuessSets][kGuessInputs]
  Symbol *symbols;       // the document so far; of bytes: the text itself
  uint32_t slotBits, positionBits;

  static size_t bytes(size_t n) {
    const uint32_t slots = model::slotBits(n, K::kSlotsPerByte, K::kMaxSlotBits);
    return 64 * 8 + (size_t{20} << slots) + (size_t{2} << model::positionBits(n)) +
           size_t{K::kAllSets} * K::kInputs * 4 + kLastSets * kLastInputs * 4 +
           kGuessSets * kGuessInputs * 4 + 2 * n;
  }

  /// Lays the state of a document of n bytes out in `scratch` (64-byte aligned, bytes(n)).
  Workspace(const View &v, size_t n, void *scratch) {
    slotBits = model::slotBits(n, K::kSlotsPerByte, K::kMaxSlotBits);
    positionBits = model::positionBits(n);
    auto *at = static_cast<uint8_t *>(scratch);
    auto area = [&](size_t size) {
      uint8_t *start = at;
      at += (size + 63) & ~size_t{63};
      return start;
    };
    nodes = area(size_t{16} << slotBits);
    tags = reinterpret_cast<uint32_t *>(area(size_t{4} << slotBits));
    positions = reinterpret_cast<uint16_t *>(area(size_t{2} << positionBits));
    weights = reinterpret_cast<int32_t *>(area(size_t{K::kAllSets} * K::kInputs * 4));
    last = reinterpret_cast<int32_t *>(area(kLastSets * kLastInputs * 4));
    guessWeights = reinterpret_cast<int32_t *>(area(kGuessSets * kGuessInputs * 4));
    symbols = reinterpret_cast<Symbol *>(area(2 * n));
    memset(tags, 0, size_t{4} << slotBits);
    memset(positions, 0, size_t{2} << positionBits);
    memcpy(weights, v.weights, size_t{K::kAllSets} * K::kInputs * 4);
    memcpy(last, v.last, kLastSets * kLastInputs * 4);
    if (K::kGuesses)
      memcpy(guessWeights, v.guessWeights, kGuessSets * kGuessInputs * 4);
  }

  /// The document's bucket of that hash, emptied if another had the place.
  SEMDNS_MODEL_INLINE uint8_t *bucket(uint32_t hash) {
    const uint32_t tag = hash | 1;
    uint32_t i = (hash * 0x9e3779b1u) >> (32 - slotBits);
    if (tags[i] != tag) {
      const uint32_t other = i ^ 1;
      if (tags[other] == tag)
        return nodes + size_t{16} * other;
      i = tags[i] && !tags[other] ? other : i;
      tags[i] = tag;
      memset(nodes + size_t{16} * i, 0, 16);
    }
    return nodes + size_t{16} * i;
  }
};

/// The bucket in a line, or one of zeros.
SEMDNS_MODEL_INLINE const uint8_t *findBucket(const uint8_t *line, uint32_t hash,
                                              const uint8_t *none) {
  const uint8_t check = bucketCheck(hash);
  const uint8_t *found = none;
  for (int i = 3; i >= 0; --i)
    found = line[16 * i] == check ? line + 16 * i : found;
  return found;
}

/// What most often followed those symbols: an entry holds check (12 bits), grade (4), symbol (16).
SEMDNS_MODEL_INLINE void findSuccessor(const View &v, uint32_t hash, uint32_t &grade,
                                       uint32_t &symbol) {
  const uint32_t *line = v.successors + size_t{16} * bucketLine(hash, v.successorLines);
  const uint32_t check = hash & 0xfff;
  for (int i = 15; i >= 0; --i)
    if (line[i] >> 20 == check && (line[i] >> 16 & 15)) {
      grade = line[i] >> 16 & 15;
      symbol = line[i] & 0xffff;
    }
}

/// Codes the symbols of one document. `Coder` has kDecode, `uint32_t code(uint32_t bit, uint32_t
/// p)` (gives the bit: what it was told or, decoding, what it read) and may fail later.
/// \returns false when the decoder met what no encoder wrote.
template <class K, class Coder, class Teacher>
SEMDNS_MODEL_INLINE bool codeDocument(const View &view, Coder &coder, const uint8_t *in,
                                      uint8_t *out, size_t n, void *scratch, Teacher &teacher) {
  using Symbol = typename K::Symbol;
  constexpr bool kTokens = K::kKind == SEMDNS_MODEL_TOKENS;
  constexpr int C = K::kContexts, I = K::kInputs, M = K::kMixers;
  static_assert(C + 2 <= I && M <= kLastInputs && I % 8 == 0);
  alignas(64) static constexpr uint8_t kNone[64] = {};

  Workspace<K> w(view, n, scratch);
  History<K> history(view);
  // Bytes are their own symbols: the text is the history.
  const Symbol *symbols;
  if constexpr (kTokens)
    symbols = w.symbols;
  else
    symbols = Coder::kDecode ? out : in;
  const Symbol *text = view.text(static_cast<const K *>(nullptr));

  Match matches[2];
  uint32_t contexts[C];
  const uint8_t *frozen[C] = {};
  uint8_t *fresh[C] = {};
  uint32_t joints[C]; // of the teacher
  alignas(64) int32_t x[I] = {};
  const int32_t rate = int32_t(view.rate);

  auto ask = [&](const History<K> &from, const uint32_t *hashes) {
    for (int c = 0; c < C; ++c)
      __builtin_prefetch(view.lines + size_t{64} * bucketLine(hashes[c], view.lineCount));
    if constexpr (K::kGuesses)
      for (int k = 1; k < kGuessSources; ++k)
        __builtin_prefetch(view.successors +
                           size_t{16} * bucketLine(from.successorHash(k), view.successorLines));
  };
  uint32_t count = 0; // symbols
  uint32_t past = 0;  // guesses, right or wrong, the last lowest
  for (size_t at = 0; at < n;) {
    uint32_t symbol = 0, code = 0, length = 8;
    if constexpr (!Coder::kDecode) {
      if constexpr (kTokens) {
        symbol = longestToken(view, in + at, n - at);
        code = view.tokenCodes[symbol];
        length = view.tokenLengths[symbol];
      } else {
        code = symbol = in[at];
      }
    }
    // All that this symbol may need from the tables is under way before any of it is used; an
    // encoder, which knows what comes, asks one symbol ahead.
    uint32_t firsts[C];
    history.contexts(symbols, contexts);
    for (int c = 0; c < C; ++c)
      firsts[c] = bucketHash(contexts[c], 1);
    if (Coder::kDecode || !at)
      ask(history, firsts);
    if constexpr (!Coder::kDecode) {
      uint32_t ahead[C];
      History<K> next = history;
      next.push(symbols, Symbol(symbol));
      next.contexts(symbols, ahead);
      for (int c = 0; c < C; ++c)
        ahead[c] = bucketHash(ahead[c], 1);
      ask(next, ahead);
    }
    uint32_t expected[2] = {};
    for (Match &m : matches) {
      m.live = m.length > 0;
      if (m.live)
        expected[&m - matches] = &m == matches ? symbols[m.at] : text[m.at];
    }
    bool known = false; // the symbol was guessed
    if constexpr (K::kGuesses) {
      // The most probable symbol as a whole, in one decision.
      uint32_t grades[kGuessSources] = {}, candidates[kGuessSources] = {expected[0], 0, 0};
      if (matches[0].live)
        grades[0] = matches[0].bucket();
      for (int k = 1; k < kGuessSources; ++k)
        findSuccessor(view, history.successorHash(k), grades[k], candidates[k]);
      int best = -1, bestLogit = -kMaxLogit - 1;
      for (int k = 0; k < kGuessSources; ++k) {
        const int logit = view.guess[k * kGrades + int(grades[k])];
        if (grades[k] && logit > bestLogit) {
          best = k;
          bestLogit = logit;
        }
      }
      if (best >= 0) {
        const uint32_t guessed = candidates[best];
        uint32_t relation[kGuessSources];
        for (int k = 0; k < kGuessSources; ++k)
          relation[k] = !grades[k] ? 0u : candidates[k] == guessed ? grades[k] + 1 : 1u;
        const uint32_t r0 = relation[0] < 4    ? relation[0]
                            : relation[0] < 6  ? 4u
                            : relation[0] < 9  ? 5u
                            : relation[0] < 12 ? 6u
                                               : 7u;
        const uint32_t together = kGuessAlone + (r0 * 18 + relation[1]) * 18 + relation[2];
        const int32_t sure = view.guess[together];
        const int32_t level = (sure + kMaxLogit + 1) * 16 / (2 * kMaxLogit + 2);
        if (sure >= kGuessFrom) {
          const uint32_t tables[3] = {
              together, uint32_t(kGuessAlone + kGuessTogether) + mix(guessed, 3) % kGuessSymbols,
              uint32_t(kGuessAlone + kGuessTogether + kGuessSymbols) + (past & 63) * 16 +
                  uint32_t(level)};
          int32_t *set = w.guessWeights + level * kGuessInputs;
          int32_t inputs[3], sum = 0;
          for (int i = 0; i < 3; ++i) {
            inputs[i] = view.guess[tables[i]];
            sum += (inputs[i] * set[i]) >> 6;
          }
          const uint32_t p = squash(clampLogit(sum >> 10));
          const uint32_t bit = coder.code(guessed == symbol, p);
          const int32_t error = (int32_t(bit << 16) - int32_t(p)) * rate >> 8;
          for (int i = 0; i < 3; ++i) {
            const int32_t moved = set[i] + ((inputs[i] * error + (1 << 13)) >> 14);
            set[i] = moved > kMaxWeight ? kMaxWeight : moved < -kMaxWeight ? -kMaxWeight : moved;
          }
          if constexpr (Teacher::kOn) {
            for (int k = 1; k < 3; ++k)
              teacher.guess(tables[k], bit);
            teacher.cost(p, bit);
          }
          past = past << 1 | bit;
          known = bit;
          if (bit) {
            symbol = guessed;
          } else {
            // It is neither what the match expects nor, in what follows, possible at all.
            matches[0].live = matches[0].live && expected[0] != guessed;
            matches[1].live = true;
            matches[1].grade16 = uint32_t(level);
            expected[1] = guessed;
          }
        }
        if constexpr (Teacher::kOn) {
          teacher.guess(together, guessed == symbol);
          for (int k = 0; k < kGuessSources; ++k)
            if (grades[k])
              teacher.guess(uint32_t(k * kGrades) + grades[k], candidates[k] == symbol);
        }
      }
    }
    if (!known) {
      for (Match &m : matches) {
        if (!m.live)
          continue;
        const uint32_t e = expected[&m - matches];
        if constexpr (kTokens) {
          m.code = view.tokenCodes[e];
          m.bits = view.tokenLengths[e];
        } else {
          m.code = e;
          m.bits = 8;
        }
      }
      uint32_t prefix = 1, node = 0, sub = 1, lastNode = 1;
      for (uint32_t depth = 0;; ++depth) {
        if (depth % 4 == 0) {
          sub = 1;
          uint32_t hashes[C];
          const uint8_t *places[C];
          for (int c = 0; c < C; ++c) {
            hashes[c] = depth ? bucketHash(contexts[c], prefix) : firsts[c];
            // What no node led to is not in the tables.
            const bool possible = !depth || frozen[c][lastNode] > 1;
            const uint32_t line = !depth || (K::kSpread >> c & 1)
                                      ? bucketLine(hashes[c], view.lineCount)
                                      : laterLine(firsts[c], hashes[c], view.lineCount);
            places[c] = possible ? view.lines + size_t{64} * line : kNone;
            if (Coder::kDecode && depth)
              __builtin_prefetch(places[c]);
          }
          if (!Coder::kDecode && depth + 4 < length) {
            const uint32_t later = 1u << (depth + 4) | code >> (length - depth - 4);
            for (int c = 0; c < C; ++c) {
              const uint32_t h = bucketHash(contexts[c], later);
              __builtin_prefetch(view.lines +
                                 size_t{64} * (K::kSpread >> c & 1
                                                   ? bucketLine(h, view.lineCount)
                                                   : laterLine(firsts[c], h, view.lineCount)));
            }
          }
          for (int c = 0; c < C; ++c)
            fresh[c] = w.bucket(hashes[c]);
          for (int c = 0; c < C; ++c)
            frozen[c] = findBucket(places[c], hashes[c], kNone);
        }
        lastNode = sub;
        // Inputs.
        uint32_t top = 0, words = 0;
        for (int c = 0; c < C; ++c) {
          const uint32_t s = frozen[c][sub], d = fresh[c][sub] & (kDocumentStates - 1);
          const uint32_t j = (uint32_t(c) * 256 + s) * kDocumentStates + d;
          x[c] = view.joint[j];
          if constexpr (Teacher::kOn)
            joints[c] = j;
          if (c < K::kOrders)
            top = s > 1 ? uint32_t(c) : top;
          else if (c < K::kOrders + 4)
            words += s > 1;
        }
        uint32_t matchedAt[2] = {};
        for (int k = 0; k < 2; ++k) {
          Match &m = matches[k];
          x[C + k] = 0;
          if (!m.live)
            continue;
          if (K::kGuesses && k == 1) {
            // A wrong guess: the fewer bits are left, the less else is behind its bit.
            const uint32_t left = m.bits - 1 - depth;
            matchedAt[k] = (kMatchLengths + m.grade16) * kMatchBits +
                           (left < kMatchBits ? left : kMatchBits - 1);
          } else {
            matchedAt[k] = (uint32_t(k) * kMatchLengths + m.bucket()) * kMatchBits +
                           (depth < kMatchBits ? depth : kMatchBits - 1);
          }
          const int32_t logit = view.matched[matchedAt[k]];
          x[C + k] = m.code >> (m.bits - 1 - depth) & 1 ? logit : -logit;
        }
        if constexpr (C + 2 < I)
          x[C + 2] = 256;
        // Mixers.
        const uint32_t grades = matches[0].grade() * 4 + matches[1].grade();
        uint32_t chosen[M];
        if constexpr (kTokens) {
          const uint32_t g0 = matches[0].grade(), g1 = !matches[1].live              ? 0u
                                                       : matches[1].bits - depth > 3 ? 1u
                                                                                     : 2u;
          chosen[0] = (top * 3 + (g0 > 2 ? 2 : g0)) * 3 + (g1 > 2 ? 2 : g1) +
                      45 * (depth < 4   ? 0u
                            : depth < 8 ? 1u
                                        : 2u);
        } else {
          chosen[0] = prefix & 255;
          chosen[1] = 256 + grades * 8 + depth;
          chosen[2] = 256 + 128 + (top > 8 ? 8 : top) * 4 + (words < 4 ? words : 3);
          chosen[3] = 256 + 128 + 40 + history.previous();
        }
        int mixed[kLastInputs] = {};
        for (int k = 0; k < M; ++k) {
          const int32_t *set = w.weights + size_t{chosen[k]} * I;
          int32_t sum = 0;
          for (int i = 0; i < I; ++i)
            sum += (x[i] * set[i]) >> 6;
          mixed[k] = clampLogit(sum >> 10);
        }
        int logit = mixed[0];
        int32_t *last = w.last + grades * kLastInputs;
        if constexpr (M > 1) {
          int32_t sum = 0;
          for (int k = 0; k < M; ++k)
            sum += (mixed[k] * last[k]) >> 6;
          logit = clampLogit(sum >> 10);
        }
        const uint32_t p0 = squash(logit);
        uint32_t p = p0;
        [[maybe_unused]] uint32_t rows[2] = {}, step = 0, fraction = 0;
        if constexpr (K::kRows > 0) {
          // Refinement: frozen, by two small contexts, interpolated in the log-odds.
          step = uint32_t(logit + kMaxLogit + 1) >> 8;
          fraction = uint32_t(logit + kMaxLogit + 1) & 255;
          rows[0] = (mix(prefix, 0) + matches[0].grade()) % uint32_t(K::kRows);
          rows[1] =
              K::kRows + mix(uint64_t{prefix} << 32 | history.previous(), 1) % uint32_t(K::kRows);
          uint32_t refined[2];
          for (int k = 0; k < 2; ++k) {
            const uint16_t *row = view.refine + size_t{rows[k]} * kRefineSteps + step;
            refined[k] = (row[0] * (256 - fraction) + row[1] * fraction) >> 8;
          }
          p = (2 * p0 + refined[0] + refined[1] + 2) >> 2;
        }
        p = p < 2 ? 2 : p > 65534 ? 65534 : p;

        uint32_t bit = 0;
        if constexpr (!Coder::kDecode)
          bit = code >> (length - 1 - depth) & 1;
        bit = coder.code(bit, p);

        // Learning.
        for (int k = 0; k < M; ++k) {
          int32_t *set = w.weights + size_t{chosen[k]} * I;
          const int32_t error = (int32_t(bit << 16) - int32_t(squash(mixed[k]))) * rate >> 8;
          for (int i = 0; i < I; ++i) {
            const int32_t moved = set[i] + ((x[i] * error + (1 << 13)) >> 14);
            set[i] = moved > kMaxWeight ? kMaxWeight : moved < -kMaxWeight ? -kMaxWeight : moved;
          }
        }
        if constexpr (M > 1) {
          const int32_t error = (int32_t(bit << 16) - int32_t(p0)) * rate >> 10;
          for (int k = 0; k < M; ++k) {
            const int32_t moved = last[k] + ((mixed[k] * error + (1 << 13)) >> 14);
            last[k] = moved > kMaxWeight ? kMaxWeight : moved < -kMaxWeight ? -kMaxWeight : moved;
          }
        }
        if constexpr (Teacher::kOn) {
          for (int c = 0; c < C; ++c)
            teacher.joint(joints[c], bit);
          for (int k = 0; k < 2; ++k)
            if (matches[k].live)
              teacher.match(matchedAt[k],
                            (matches[k].code >> (matches[k].bits - 1 - depth) & 1) == bit);
          for (int k = 0; K::kRows && k < 2; ++k)
            teacher.refine(rows[k] * kRefineSteps + step, fraction, bit);
          teacher.cost(p, bit);
        }
        for (int c = 0; c < C; ++c)
          fresh[c][sub] = kNext.next[fresh[c][sub] & (kDocumentStates - 1)][bit];
        for (Match &m : matches)
          m.live = m.live && (m.code >> (m.bits - 1 - depth) & 1) == bit && depth + 1 < m.bits;
        sub = sub << 1 | bit;
        prefix = prefix << 1 | bit;
        if constexpr (kTokens) {
          if constexpr (Coder::kDecode) {
            const uint32_t next = view.tokenChildren[2 * node + bit];
            if (next & 0x8000) {
              symbol = next & 0x7fff;
              break;
            }
            node = next;
          } else if (depth + 1 == length) {
            break;
          }
        } else if (depth == 7) {
          symbol = prefix & 255;
          break;
        }
      }
    }

    if constexpr (kTokens) {
      const uint32_t size = view.tokenOffsets[symbol + 1] - view.tokenOffsets[symbol];
      if constexpr (Coder::kDecode) {
        if (size > n - at)
          return false;
        memcpy(out + at, view.tokenBytes + view.tokenOffsets[symbol], size);
      }
      at += size;
      w.symbols[count] = Symbol(symbol);
    } else {
      if constexpr (Coder::kDecode)
        out[at] = uint8_t(symbol);
      ++at;
    }
    ++count;
    history.push(symbols, Symbol(symbol));
    // Matches go on, or new ones are looked for.
    Match &own = matches[0], &library = matches[1];
    if (own.length)
      own.length = symbols[own.at] == symbol ? own.length + 1 : 0, ++own.at;
    if (count >= uint32_t(K::kDocumentMatch)) {
      uint16_t &position =
          w.positions[hashBack(symbols + count, K::kDocumentMatch) >> (32 - w.positionBits)];
      if (!own.length && position) {
        own.at = position;
        own.length = commonBack(symbols + count, count, symbols + own.at, own.at);
        if (own.length < uint32_t(K::kDocumentMatch))
          own.length = 0;
      }
      position = uint16_t(count);
    }
    if constexpr (K::kGuesses)
      continue;
    if (library.length) {
      library.length = text[library.at] == symbol ? library.length + 1 : 0;
      if (++library.at >= view.textCount)
        library.length = 0;
    }
    if (!library.length && view.indexBits && count >= uint32_t(K::kLibraryMatch)) {
      library.at = view.index[hashBack(symbols + count, K::kLibraryMatch) >> (32 - view.indexBits)];
      if (library.at < view.textCount) {
        library.length = commonBack(symbols + count, count, text + library.at, library.at);
        if (library.length < uint32_t(K::kLibraryMatch))
          library.length = 0;
      }
    }
  }
  if constexpr (Teacher::kOn)
    teacher.finish(w.weights, w.last, w.guessWeights);
  return true;
}

} // namespace semdns::codec::model
