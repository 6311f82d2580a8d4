#include "runtime/artifact/meta.h"

#include "runtime/artifact/arrays.h"
#include "runtime/base/utf8.h"

namespace semdns::artifact {

using base::fail;
using base::load;

namespace {
constexpr uint32_t kTag = SEMDNS_TAG_META;

bool checkString(const uint8_t *bytes, uint32_t size, uint64_t at, const char *what,
                 base::Error &error) {
  size_t bad = base::firstInvalidUtf8(bytes, size);
  if (bad < size)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, at + bad, "%s is not UTF-8", what);
  if (const void *nul = memchr(bytes, 0, size))
    return fail(error, SEMDNS_ERROR_SECTION, kTag,
                at + static_cast<uint64_t>(static_cast<const uint8_t *>(nul) - bytes),
                "%s contains a NUL byte", what);
  return true;
}
} // namespace

bool Meta::parse(Span span, Meta &out, base::Error &error) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_meta_header), error))
    return false;
  const auto header = load<semdns_meta_header>(span.data);
  if (header.count > SEMDNS_META_MAX_PAIRS)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%u pairs; the limit is %u", header.count,
                SEMDNS_META_MAX_PAIRS);
  if (sizeof header + uint64_t{header.bytes} != span.size)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 4,
                "pairs of %u bytes in a section of %" PRIu64 "; expected %" PRIu64, header.bytes,
                span.size, span.size - sizeof header);
  Meta meta;
  meta.pairs_ = span.data + sizeof header;
  meta.bytes_ = header.bytes;
  meta.count_ = header.count;
  uint64_t at = 0;
  std::string_view last;
  for (uint32_t i = 0; i < header.count; ++i) {
    if (!base::inBounds(at, sizeof(semdns_meta_pair), header.bytes))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, sizeof header + at,
                  "section ends within pair %u of %u", i, header.count);
    const auto pair = load<semdns_meta_pair>(meta.pairs_ + at);
    const uint64_t pairAt = sizeof header + at;
    at += sizeof pair;
    if (pair.key_size < 1 || pair.key_size > SEMDNS_META_MAX_STRING ||
        pair.value_size > SEMDNS_META_MAX_STRING)
      return fail(
          error, SEMDNS_ERROR_SECTION, kTag, pairAt,
          "pair %u: key of %u and value of %u bytes; the limit is %u, and keys are not empty", i,
          pair.key_size, pair.value_size, SEMDNS_META_MAX_STRING);
    const uint64_t bytes = uint64_t{pair.key_size} + pair.value_size;
    if (!base::inBounds(at, bytes, header.bytes))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, pairAt,
                  "pair %u: %" PRIu64 " bytes reach beyond the section", i, bytes);
    const uint8_t *key = meta.pairs_ + at;
    if (!checkString(key, pair.key_size, sizeof header + at, "key", error) ||
        !checkString(key + pair.key_size, pair.value_size, sizeof header + at + pair.key_size,
                     "value", error))
      return false;
    std::string_view name(reinterpret_cast<const char *>(key), pair.key_size);
    if (i && !(last < name))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, pairAt,
                  "pair %u: keys are not sorted or not unique", i);
    last = name;
    at += bytes;
  }
  if (at != header.bytes)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, sizeof header + at,
                "%" PRIu64 " bytes behind the last pair", header.bytes - at);
  out = meta;
  return true;
}

bool Meta::next(uint64_t &cursor, std::string_view &key, std::string_view &value) const {
  if (cursor >= bytes_)
    return false;
  const auto pair = load<semdns_meta_pair>(pairs_ + cursor);
  const char *text = reinterpret_cast<const char *>(pairs_ + cursor + sizeof pair);
  key = {text, pair.key_size};
  value = {text + pair.key_size, pair.value_size};
  cursor += sizeof pair + pair.key_size + pair.value_size;
  return true;
}

std::string_view Meta::find(std::string_view wanted) const {
  uint64_t cursor = 0;
  std::string_view key, value;
  while (next(cursor, key, value))
    if (key == wanted)
      return value;
  return {};
}

} // namespace semdns::artifact
