#include "runtime/codec/model.h"

#include "runtime/exec/isa.h"

namespace semdns::codec {
namespace {

using model::View;

// ---- arithmetic coder: carry-free binary range coder with 32-bit bounds (as in Mahoney's PAQ)
// ----

struct Encoder {
  static constexpr bool kDecode = false;
  uint8_t *out;
  size_t capacity, size = 0; // size may exceed the capacity: it did not fit
  uint32_t low = 0, high = ~0u;

  SEMDNS_MODEL_INLINE uint32_t code(uint32_t bit, uint32_t p) {
    const uint32_t range = high - low;
    const uint32_t middle = low + (range >> 16) * p + ((range & 0xffff) * p >> 16);
    if (bit)
      high = middle;
    else
      low = middle + 1;
    while (((low ^ high) & 0xff000000) == 0) {
      put(uint8_t(high >> 24));
      low <<= 8;
      high = high << 8 | 255;
    }
    return bit;
  }
  SEMDNS_MODEL_INLINE void put(uint8_t byte) {
    if (size < capacity)
      out[size] = byte;
    ++size;
  }
  /// The shortest bytes that, followed by zeros, lie within the bounds.
  size_t finish() {
    for (uint32_t bytes = 0; bytes <= 4; ++bytes) {
      const uint32_t tail = bytes ? bytes < 4 ? ~0u >> (8 * bytes) : 0u : ~0u;
      const uint64_t value = (uint64_t{low} + tail) & ~uint64_t{tail};
      if (value > high)
        continue;
      for (uint32_t i = 0; i < bytes; ++i)
        put(uint8_t(value >> (24 - 8 * i)));
      break;
    }
    if (size > capacity)
      return 0;
    while (size > 1 && !out[size - 1])
      --size;
    if (!size) {
      if (!capacity)
        return 0;
      out[size++] = 0;
    }
    return size;
  }
};

struct Decoder {
  static constexpr bool kDecode = true;
  const uint8_t *in;
  size_t size, next = 0; // next may pass the end: zeros follow
  uint32_t low = 0, high = ~0u, value = 0;

  Decoder(const uint8_t *bytes, size_t n) : in(bytes), size(n) {
    for (int i = 0; i < 4; ++i)
      value = value << 8 | get();
  }
  SEMDNS_MODEL_INLINE uint32_t get() {
    const uint32_t byte = next < size ? in[next] : 0u;
    ++next;
    return byte;
  }
  SEMDNS_MODEL_INLINE uint32_t code(uint32_t, uint32_t p) {
    const uint32_t range = high - low;
    const uint32_t middle = low + (range >> 16) * p + ((range & 0xffff) * p >> 16);
    const uint32_t bit = value <= middle;
    if (bit)
      high = middle;
    else
      low = middle + 1;
    while (((low ^ high) & 0xff000000) == 0) {
      low <<= 8;
      high = high << 8 | 255;
      value = value << 8 | get();
    }
    return bit;
  }
};

// ---- the same code for two levels
// ----------------------------------------------------------------

template <class K>
SEMDNS_MODEL_INLINE size_t encode(const View &v, const uint8_t *in, size_t n, uint8_t *out,
                                  size_t capacity, void *scratch) {
  Encoder coder{out, capacity};
  model::NoTeacher teacher;
  model::codeDocument<K>(v, coder, in, static_cast<uint8_t *>(nullptr), n, scratch, teacher);
  return coder.finish();
}

template <class K>
SEMDNS_MODEL_INLINE bool decode(const View &v, const uint8_t *in, size_t size, uint8_t *out,
                                size_t n, void *scratch) {
  Decoder coder(in, size);
  model::NoTeacher teacher;
  return model::codeDocument<K>(v, coder, static_cast<const uint8_t *>(nullptr), out, n, scratch,
                                teacher) &&
         size <= coder.next; // nothing behind what was asked for
}

using EncodeFunction = size_t (*)(const View &, const uint8_t *, size_t, uint8_t *, size_t, void *);
using DecodeFunction = bool (*)(const View &, const uint8_t *, size_t, uint8_t *, size_t, void *);

#if defined(__x86_64__) && defined(__GNUC__)
#define SEMDNS_MODEL_WIDE __attribute__((target("avx2,bmi,bmi2")))
#else
#define SEMDNS_MODEL_WIDE
#endif

template <class K>
size_t encodePlain(const View &v, const uint8_t *in, size_t n, uint8_t *out, size_t capacity,
                   void *scratch) {
  return encode<K>(v, in, n, out, capacity, scratch);
}
template <class K>
SEMDNS_MODEL_WIDE size_t encodeWide(const View &v, const uint8_t *in, size_t n, uint8_t *out,
                                    size_t capacity, void *scratch) {
  return encode<K>(v, in, n, out, capacity, scratch);
}
template <class K>
bool decodePlain(const View &v, const uint8_t *in, size_t size, uint8_t *out, size_t n,
                 void *scratch) {
  return decode<K>(v, in, size, out, n, scratch);
}
template <class K>
SEMDNS_MODEL_WIDE bool decodeWide(const View &v, const uint8_t *in, size_t size, uint8_t *out,
                                  size_t n, void *scratch) {
  return decode<K>(v, in, size, out, n, scratch);
}

// ---- validation
// ----------------------------------------------------------------------------------

template <class T> bool within(const T *values, uint64_t count, int64_t limit) {
  for (uint64_t i = 0; i < count; ++i)
    if (values[i] > limit || values[i] < -limit)
      return false;
  return true;
}

/// Offsets, prefixes, first bytes, tree and codes: everything that the coder indexes with.
const char *checkTokens(const View &v, uint32_t tokenSize, uint64_t &at, const model::Layout &l) {
  const uint32_t n = v.tokenCount;
  at = l.tokenOffsets;
  if (v.tokenOffsets[0] != 0 || v.tokenOffsets[n] != tokenSize)
    return "token offsets do not span the tokens' bytes";
  for (uint32_t t = 0; t < n; ++t)
    if (v.tokenOffsets[t + 1] <= v.tokenOffsets[t] || v.tokenOffsets[t + 1] > tokenSize ||
        v.tokenOffsets[t + 1] - v.tokenOffsets[t] > SEMDNS_MODEL_MAX_TOKEN)
      return "a token is empty or too long";
  at = l.tokenParents;
  for (uint32_t t = 0; t < n; ++t) {
    const uint32_t p = v.tokenParents[t];
    const uint8_t *token = v.tokenBytes + v.tokenOffsets[t];
    const uint32_t size = v.tokenOffsets[t + 1] - v.tokenOffsets[t];
    if (p > t || (p == t && size > 1))
      return "a token's prefix is no earlier token";
    if (p == t)
      continue;
    const uint32_t prefix = v.tokenOffsets[p + 1] - v.tokenOffsets[p];
    if (prefix >= size || memcmp(v.tokenBytes + v.tokenOffsets[p], token, prefix) != 0)
      return "a token does not begin with its prefix";
  }
  at = l.tokenFirsts;
  for (uint32_t k = 0; k < 65536; ++k)
    if (v.tokenFirsts[k] > v.tokenFirsts[k + 1] || v.tokenFirsts[k + 1] > n)
      return "tokens by their first bytes are out of order";
  for (uint32_t b = 0; b < 256; ++b) {
    // The last token before those with two bytes, of which this is the first, is this single byte.
    const uint32_t before = v.tokenFirsts[b << 8];
    if (before == 0 || v.tokenBytes[v.tokenOffsets[before - 1]] != b ||
        v.tokenOffsets[before] - v.tokenOffsets[before - 1] != 1)
      return "a single byte is no token";
  }
  at = l.tokenChildren;
  for (uint32_t i = 0; i < n - 1; ++i)
    for (uint32_t bit = 0; bit < 2; ++bit) {
      const uint32_t c = v.tokenChildren[2 * i + bit];
      if ((c & 0x8000) ? (c & 0x7fff) >= n : c <= i || c >= n - 1)
        return "the decoding tree is broken";
    }
  at = l.tokenCodes;
  for (uint32_t t = 0; t < n; ++t) {
    const uint32_t length = v.tokenLengths[t];
    if (length < 1 || length > SEMDNS_MODEL_MAX_CODE || v.tokenCodes[t] >> length)
      return "a code is too long";
    uint32_t node = 0;
    for (uint32_t d = 0; d < length; ++d) {
      node = v.tokenChildren[2 * node + (v.tokenCodes[t] >> (length - 1 - d) & 1)];
      if (((node & 0x8000) != 0) != (d + 1 == length))
        return "a code does not end where its token is";
    }
    if ((node & 0x7fff) != t)
      return "a code is another token's";
  }
  return nullptr;
}

template <class K>
const char *attach(const semdns_model_header &h, const uint8_t *bytes, size_t size, View &out,
                   uint64_t &at) {
  const model::Layout l = model::layoutOf<K>(h);
  at = 0;
  if (l.size != size)
    return "the header's counts give another size";
  const View v = model::viewOf<K>(h, bytes);
  at = l.joint;
  if (!within(v.joint, uint64_t{K::kContexts} * 256 * model::kDocumentStates, model::kMaxLogit))
    return "log-odds out of range";
  at = l.matched;
  if (!within(v.matched, 2 * model::kMatchLengths * model::kMatchBits, model::kMaxLogit))
    return "log-odds of matches out of range";
  if (K::kGuesses) {
    at = l.guess;
    if (!within(v.guess, model::kGuessTables, model::kMaxLogit))
      return "log-odds of guesses out of range";
    at = l.guessWeights;
    if (!within(v.guessWeights, uint64_t{model::kGuessSets} * model::kGuessInputs,
                model::kMaxWeight))
      return "weight out of range";
  }
  at = l.weights;
  if (!within(v.weights, uint64_t{K::kAllSets} * K::kInputs, model::kMaxWeight))
    return "weight out of range";
  at = l.last;
  if (!within(v.last, uint64_t{model::kLastSets} * model::kLastInputs, model::kMaxWeight))
    return "weight out of range";
  if (K::kKind == SEMDNS_MODEL_TOKENS) {
    if (const char *wrong = checkTokens(v, h.token_size, at, l))
      return wrong;
    at = l.successors;
    for (uint64_t i = 0; i < uint64_t{h.successor_lines} * 16; ++i)
      if ((v.successors[i] & 0xffff) >= h.token_count)
        return "a successor is no token";
  }
  out = v;
  return nullptr;
}

} // namespace

const char *attachModel(const uint8_t *bytes, size_t size, ModelTables &out, uint64_t &at) {
  at = 0;
  if (size < sizeof(semdns_model_header))
    return "shorter than its header";
  if (reinterpret_cast<uintptr_t>(bytes) % 8)
    return "not aligned";
  semdns_model_header h;
  memcpy(&h, bytes, sizeof h);
  if (h.version != SEMDNS_MODEL_VERSION)
    return "unknown version of the layout";
  const bool tokens = h.kind == SEMDNS_MODEL_TOKENS;
  if (!tokens && h.kind != SEMDNS_MODEL_BYTES)
    return "neither a model of bytes nor of tokens";
  if (h.line_count < 1 || h.line_count % model::kWindow || h.line_count > SEMDNS_MODEL_MAX_LINES ||
      h.text_count > SEMDNS_MODEL_MAX_TEXT || h.index_bits > SEMDNS_MODEL_MAX_INDEX_BITS ||
      (h.text_count == 0) != (h.index_bits == 0) || h.rate < 1 || h.rate > 1024 ||
      (tokens ? h.successor_lines < 1 || h.successor_lines > SEMDNS_MODEL_MAX_LINES
              : h.successor_lines != 0) ||
      (tokens ? h.token_count < 256 || h.token_count > SEMDNS_MODEL_MAX_TOKENS ||
                    h.token_size > SEMDNS_MODEL_MAX_TOKEN_BYTES || h.text_count != 0
              : h.token_count != 0 || h.token_size != 0))
    return "a count is out of range";
  for (const uint32_t r : h.reserved)
    if (r)
      return "reserved field is not zero";
  const char *wrong = tokens ? attach<model::Tokens>(h, bytes, size, out.view, at)
                             : attach<model::Bytes>(h, bytes, size, out.view, at);
  out.wide = !wrong && exec::isaRuns(SEMDNS_ISA_X86_64_V3);
  return wrong;
}

size_t modelScratch(const ModelTables &tables, Mode) {
  return tables.view.kind == SEMDNS_MODEL_TOKENS ? model::Workspace<model::Tokens>::bytes(kMaxBlock)
                                                 : model::Workspace<model::Bytes>::bytes(kMaxBlock);
}

size_t modelEncode(const ModelTables &tables, Mode, const uint8_t *in, size_t n, uint8_t *out,
                   size_t capacity, void *scratch) {
  if (n > kMaxBlock)
    return 0;
  const bool tokens = tables.view.kind == SEMDNS_MODEL_TOKENS;
  const EncodeFunction run =
      tables.wide ? (tokens ? encodeWide<model::Tokens> : encodeWide<model::Bytes>)
                  : (tokens ? encodePlain<model::Tokens> : encodePlain<model::Bytes>);
  return run(tables.view, in, n, out, capacity, scratch);
}

bool modelDecode(const ModelTables &tables, Mode, const uint8_t *in, size_t size, uint8_t *out,
                 size_t n, void *scratch) {
  if (n > kMaxBlock)
    return false;
  const bool tokens = tables.view.kind == SEMDNS_MODEL_TOKENS;
  const DecodeFunction run =
      tables.wide ? (tokens ? decodeWide<model::Tokens> : decodeWide<model::Bytes>)
                  : (tokens ? decodePlain<model::Tokens> : decodePlain<model::Bytes>);
  return run(tables.view, in, size, out, n, scratch);
}

} // namespace semdns::codec
