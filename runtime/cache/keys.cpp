#include "runtime/cache/keys.h"

#include "semdns/format/features.h"

#include <string.h>

namespace semdns::cache {
namespace {

/// What a hash is of: in the last word of its input.
enum Domain : uint64_t { kText = 1, kInputs = 2, kScope = 3, kName = 4 };
constexpr uint64_t kShared = 1u << 3, kSizesApart = 1u << 4;

uint64_t wordAt(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, 8);
  return word;
}

/// One to eight bytes, zeros behind them.
uint64_t restAt(const uint8_t *bytes, uint64_t size) {
  if (size == 8)
    return wordAt(bytes);
  if (size >= 4) {
    uint32_t low, high;
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + size - 4, 4);
    return low | uint64_t(high) << (8 * (size - 4));
  }
  return bytes[0] | uint64_t(bytes[size / 2]) << (8 * (size / 2)) |
         uint64_t(bytes[size - 1]) << (8 * (size - 1));
}

/// The bytes, filled up with zeros: their number must be said apart.
void absorb(SipHash &hash, const uint8_t *bytes, uint64_t size) {
  uint64_t i = 0;
  for (; i + 8 <= size; i += 8)
    hash.word(wordAt(bytes + i));
  if (i < size)
    hash.word(restAt(bytes + i, size - i));
}

/// The last word: what is hashed, and the sizes of the two things of which the input consists, or
/// their low bits behind words of their own. An input can be read back from its end on.
Key close(SipHash &hash, uint64_t what, uint64_t first, uint64_t second) {
  if (first >> 32 || second >> 16) {
    hash.word(first);
    hash.word(second);
    what |= kSizesApart;
  }
  return hash.finish(what | (second & 0xffff) << 16 | first << 32);
}

struct Fold {
  uint8_t to[256];
};
constexpr Fold makeFold() {
  Fold fold = {};
  for (unsigned c = 0; c < 256; ++c)
    fold.to[c] = static_cast<uint8_t>(c >= 'A' && c <= 'Z'                  ? c + 32
                                      : c == '\t' || c == '\n' || c == '\r' ? ' '
                                                                            : c);
  return fold;
}
constexpr Fold kFold = makeFold();

constexpr uint64_t kOnes = 0x0101010101010101u, kTops = 0x80 * kOnes;

/// Eight bytes in lower case, if they are as normalised but for that; `before`: a space, or
/// nothing, stands before them.
bool foldWord(uint64_t &word, bool before) {
  const uint64_t low = word & 0x7f * kOnes, ascii = ~word & kTops;
  if (ascii & ~(low + 0x60 * kOnes)) // a control character: it may be another space
    return false;
  const uint64_t other = word ^ 0x20 * kOnes;
  const uint64_t spaces = ~(((other & 0x7f * kOnes) + 0x7f * kOnes) | other) & kTops;
  if (spaces & (spaces << 8 | (before ? 0x80u : 0u)))
    return false;
  const uint64_t upper = ascii & (low + (0x80 - 'A') * kOnes) & ~(low + (0x7f - 'Z') * kOnes);
  word |= upper >> 2;
  return true;
}

/// As absorb() of the normalised text, whose size it returns.
uint64_t absorbNormalised(SipHash &hash, const uint8_t *text, uint64_t size) {
  // Most texts are next to normal: word by word, as long as nothing is left out, and the byte after
  // a space is none.
  uint64_t at = 0;
  bool before = true;
  while (at + 8 < size) {
    uint64_t word = wordAt(text + at);
    if (!foldWord(word, before))
      break;
    before = text[at + 7] == ' ';
    if (before && kFold.to[text[at + 8]] == ' ')
      break;
    hash.word(word);
    at += 8;
  }
  if (at < size && size - at <= 8) {
    const uint64_t rest = size - at;
    const uint64_t behind = rest < 8 ? ~uint64_t(0) << (8 * rest) : 0;
    uint64_t word = restAt(text + at, rest) | ('a' * kOnes & behind);
    if (text[size - 1] != ' ' && foldWord(word, before)) {
      hash.word(word & ~behind);
      return size;
    }
  }
  // The rest in pieces. The first character is after a space if the last word ended with one: then
  // it is none itself.
  constexpr uint32_t kPiece = 512;
  uint8_t piece[kPiece + 16];
  uint64_t total = at;
  uint32_t n = 0;
  uint32_t space = !at || text[at - 1] == ' ';
  while (at < size) {
    const uint64_t end = size - at < kPiece - n ? size : at + kPiece - n;
    for (; at < end; ++at) {
      const uint8_t c = kFold.to[text[at]];
      const uint32_t here = c == ' ';
      piece[n] = c;
      n += 1 - (here & space);
      space = here;
    }
    if (at == size)
      break;
    // The last byte stays: it may be a space that ends the text.
    const uint32_t words = n ? (n - 1) / 8 : 0;
    for (uint32_t w = 0; w < words; ++w)
      hash.word(wordAt(piece + 8 * w));
    total += 8 * words;
    n -= 8 * words;
    memmove(piece, piece + 8 * words, n);
  }
  n -= n && space;
  total += n;
  memset(piece + n, 0, 8);
  for (uint32_t i = 0; i < n; i += 8)
    hash.word(wordAt(piece + i));
  return total;
}

/// Both keys of what has been absorbed, which is `size` long.
void finish(SipHash &hash, const semdns_artifact &artifact, const semdns_query &query,
            uint64_t what, uint64_t size, Keys &keys) {
  keys.shared = {0, 0};
  if (artifact.anyShareable) {
    SipHash shared = hash;
    keys.shared = close(shared, what | kShared, size, 0);
  }
  const uint64_t scopeSize = query.scope ? query.scope_size : 0;
  absorb(hash, reinterpret_cast<const uint8_t *>(query.scope), scopeSize);
  keys.own = close(hash, what, size, scopeSize);
}

} // namespace

Seed seedOf(uint64_t number) {
  SipHash hash(number, 0x73656d646e73u);
  const Key key = hash.finish(0);
  return {key.low, key.high};
}

void textKeys(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query,
              Keys &out) {
  const uint64_t stages = resolve::stagesOf(artifact, query);
  const uint64_t top = query.top_k ? query.top_k : 1;
  SipHash hash(seed.k0, seed.k1);
  if (stages & SEMDNS_STAGE_ENCODER) { // first, that its size may stand behind it
    absorb(hash, reinterpret_cast<const uint8_t *>(query.context), query.context_size);
    hash.word(query.context_size);
  }
  const auto *text = reinterpret_cast<const uint8_t *>(query.text);
  uint64_t size = query.text_size;
  if (artifact.foldsAscii && size <= SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES)
    size = absorbNormalised(hash, text, size);
  else
    absorb(hash, text, size);
  finish(hash, artifact, query, kText | stages << 5 | top << 8, size, out);
}

void inputKeys(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query,
               const resolve::Course &course, const resolve::Inputs &inputs, Keys &out) {
  SipHash hash(seed.k0, seed.k1);
  hash.word(uint64_t(inputs.tokenFlags) << 32 | inputs.scoreCount);
  absorb(hash, reinterpret_cast<const uint8_t *>(&inputs.answer), sizeof inputs.answer);
  absorb(hash, reinterpret_cast<const uint8_t *>(inputs.scores),
         sizeof *inputs.scores * uint64_t(inputs.scoreCount));
  absorb(hash, reinterpret_cast<const uint8_t *>(inputs.tokens),
         sizeof *inputs.tokens * uint64_t(inputs.tokenCount));
  finish(hash, artifact, query, kInputs | uint64_t(course.stages) << 5 | uint64_t(course.topK) << 8,
         inputs.tokenCount, out);
}

uint64_t scopeTag(const Seed &seed, const char *scope, uint64_t size) {
  SipHash hash(seed.k0, seed.k1);
  absorb(hash, reinterpret_cast<const uint8_t *>(scope), size);
  return close(hash, kScope, size, 0).low | 1;
}

uint64_t nameKey(const Seed &seed, const char *name) {
  SipHash hash(seed.k0, seed.k1);
  const uint64_t size = strlen(name);
  absorb(hash, reinterpret_cast<const uint8_t *>(name), size);
  return close(hash, kName, size, 0).low;
}

} // namespace semdns::cache
