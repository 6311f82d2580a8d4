#include "runtime/artifact/wordpiece.h"

#include "runtime/artifact/arrays.h"

namespace semdns::artifact {

using base::fail;

namespace {

constexpr uint32_t kTag = SEMDNS_TAG_WPCE;

// What a code point may end as: a scalar value that continues a word or stands alone, or nothing.
bool isFinal(uint32_t entry) {
  const uint32_t value = SEMDNS_WPCE_VALUE(entry), length = SEMDNS_WPCE_LENGTH(entry);
  const bool scalar = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
  const uint32_t kind = SEMDNS_WPCE_CLASS(entry);
  return scalar && (kind == SEMDNS_WPCE_MARK ? length >= 1 && length <= 254
                                             : kind < SEMDNS_WPCE_MARK && length == 0);
}

} // namespace

bool WordPiece::parse(Span span, WordPiece &out, base::Error &error) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_wpce_header), error))
    return false;
  WordPiece w;
  w.header = reinterpret_cast<const semdns_wpce_header *>(span.data);
  const semdns_wpce_header &h = *w.header;
  const struct {
    const char *what;
    uint32_t found, least, most;
  } ranges[] = {
      {"vocabulary", h.vocabulary, 1, SEMDNS_WPCE_MAX_VOCABULARY},
      {"max_word_chars", h.max_word_chars, 1, SEMDNS_WPCE_MAX_WORD_CHARS},
      {"flags", h.flags, 0, SEMDNS_WPCE_FLAGS_KNOWN},
      {"block_count", h.block_count, 1, SEMDNS_WPCE_MAX_BLOCKS},
      {"pool_count", h.pool_count, 0, SEMDNS_WPCE_MAX_POOL},
      {"unit_count", h.unit_count, 256, SEMDNS_WPCE_MAX_UNITS},
      {"unknown", h.unknown, 0, h.vocabulary - 1},
      {"cls", h.cls, 0, h.vocabulary - 1},
      {"sep", h.sep, 0, h.vocabulary - 1},
      {"pad", h.pad, 0, h.vocabulary - 1},
      {"start_state", h.start_state, 0, h.unit_count - 1},
      {"next_state", h.next_state, 0, h.unit_count - 1},
  };
  for (const auto &r : ranges)
    if (r.found < r.least || r.found > r.most)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%s is %u; %u to %u are possible", r.what,
                  r.found, r.least, r.most);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_wpce_header, reserved),
                  "reserved field is not zero");
  const uint32_t entryCount = h.block_count * SEMDNS_WPCE_BLOCK_SIZE;
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("stage1", h.stage1_offset, SEMDNS_WPCE_STAGE1_SIZE, sizeof(uint16_t)) ||
      !arrays.take("blocks", h.blocks_offset, entryCount, sizeof(uint32_t)) ||
      !arrays.take("pool", h.pool_offset, h.pool_count, sizeof(uint32_t)) ||
      !arrays.take("units", h.units_offset, h.unit_count, sizeof(semdns_wpce_unit)) ||
      !arrays.take("ids", h.ids_offset, h.unit_count, sizeof(uint32_t)) || !arrays.finish())
    return false;
  w.stage1 = reinterpret_cast<const uint16_t *>(span.data + h.stage1_offset);
  w.blocks = reinterpret_cast<const uint32_t *>(span.data + h.blocks_offset);
  w.pool = reinterpret_cast<const uint32_t *>(span.data + h.pool_offset);
  w.units = reinterpret_cast<const semdns_wpce_unit *>(span.data + h.units_offset);
  w.ids = reinterpret_cast<const uint32_t *>(span.data + h.ids_offset);

  for (uint32_t i = 0; i < SEMDNS_WPCE_STAGE1_SIZE; ++i)
    if (w.stage1[i] >= h.block_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.stage1_offset + 2ull * i,
                  "stage1[%u] is block %u; there are %u blocks", i, w.stage1[i], h.block_count);
  for (uint32_t i = 0; i < entryCount; ++i) {
    const uint32_t entry = w.blocks[i], length = SEMDNS_WPCE_LENGTH(entry);
    const uint32_t value = SEMDNS_WPCE_VALUE(entry), kind = SEMDNS_WPCE_CLASS(entry);
    const bool possible = kind >= SEMDNS_WPCE_MARK || length == 0 ? isFinal(entry)
                          : length == SEMDNS_WPCE_IDENTITY
                              ? value == 0 // the code point itself
                              : base::inBounds(value, length, h.pool_count);
    if (!possible)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.blocks_offset + 4ull * i,
                  "block entry %u is 0x%08x: value, class or pool range is impossible", i, entry);
  }
  for (uint32_t i = 0; i < h.pool_count; ++i)
    if (!isFinal(w.pool[i]))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.pool_offset + 4ull * i,
                  "pool entry %u is 0x%08x: not a code point with a class", i, w.pool[i]);
  for (uint32_t i = 0; i < h.unit_count; ++i) {
    const semdns_wpce_unit &unit = w.units[i];
    if (unit.base > h.unit_count - 256 ||
        (unit.owner >= h.unit_count && unit.owner != SEMDNS_WPCE_NONE))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.units_offset + sizeof unit * uint64_t{i},
                  "unit %u has base %u and owner %u; there are %u units, and steps must stay "
                  "within them",
                  i, unit.base, unit.owner, h.unit_count);
    if (w.ids[i] >= h.vocabulary && w.ids[i] != SEMDNS_WPCE_NONE)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.ids_offset + 4ull * i,
                  "unit %u ends the piece %u; the vocabulary has %u", i, w.ids[i], h.vocabulary);
  }
  out = w;
  return true;
}

} // namespace semdns::artifact
