#include "runtime/cache/keys.h"

#include "semdns/format/features.h"

#include <string.h>

namespace semdns::cache {
namespace {

/// What a hash is of: first word of its input.
enum Domain : uint64_t { kText = 1, kInputs = 2, kScope = 3, kName = 4 };

uint64_t wordAt(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, 8);
  return word;
}

/// The bytes, then their number. A sequence of such can be told apart from its end on.
void absorb(SipHash &hash, const uint8_t *bytes, uint64_t size) {
  uint64_t i = 0;
  for (; i + 8 <= size; i += 8)
    hash.word(wordAt(bytes + i));
  uint64_t rest = 0;
  if (size > i)
    memcpy(&rest, bytes + i, size - i);
  if (size & 7)
    hash.word(rest);
  hash.word(size);
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

/// As absorb() of the normalised text, which is made in pieces.
void absorbNormalised(SipHash &hash, const uint8_t *text, uint64_t size) {
  constexpr uint32_t kPiece = 512;
  uint8_t piece[kPiece + 16];
  uint64_t total = 0;
  uint32_t n = 0;
  uint32_t space = 1; // before the first character, so that no space is written there
  for (uint64_t at = 0; at < size;) {
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
  hash.word(total);
}

} // namespace

Seed seedOf(uint64_t number) {
  SipHash hash(number, 0x73656d646e73u);
  const Key key = hash.finish(0);
  return {key.low, key.high};
}

Key textKey(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query) {
  const uint64_t stages = resolve::stagesOf(artifact, query);
  const uint64_t top = query.top_k ? query.top_k : 1;
  SipHash hash(seed.k0, seed.k1);
  hash.word(kText | stages << 8 | top << 16);
  const auto *text = reinterpret_cast<const uint8_t *>(query.text);
  if (artifact.foldsAscii && query.text_size <= SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES)
    absorbNormalised(hash, text, query.text_size);
  else
    absorb(hash, text, query.text_size);
  if (stages & SEMDNS_STAGE_ENCODER)
    absorb(hash, reinterpret_cast<const uint8_t *>(query.context), query.context_size);
  return hash.finish(0);
}

Key inputKey(const Seed &seed, const resolve::Course &course, const resolve::Inputs &inputs) {
  SipHash hash(seed.k0, seed.k1);
  hash.word(kInputs | uint64_t(course.stages) << 8 | uint64_t(course.topK) << 16 |
            uint64_t(inputs.tokenFlags) << 32);
  absorb(hash, reinterpret_cast<const uint8_t *>(&inputs.answer), sizeof inputs.answer);
  absorb(hash, reinterpret_cast<const uint8_t *>(inputs.scores),
         sizeof *inputs.scores * uint64_t(inputs.scoreCount));
  absorb(hash, reinterpret_cast<const uint8_t *>(inputs.tokens),
         sizeof *inputs.tokens * uint64_t(inputs.tokenCount));
  return hash.finish(0);
}

Scope scopeOf(const Seed &seed, const char *scope, uint64_t size) {
  SipHash hash(seed.k0, seed.k1);
  hash.word(kScope);
  absorb(hash, reinterpret_cast<const uint8_t *>(scope), size);
  Scope out;
  out.key = hash.finish(0);
  out.tag = out.key.low | 1;
  return out;
}

uint64_t nameKey(const Seed &seed, const char *name) {
  SipHash hash(seed.k0, seed.k1);
  hash.word(kName);
  absorb(hash, reinterpret_cast<const uint8_t *>(name), strlen(name));
  return hash.finish(0).low;
}

} // namespace semdns::cache
