#include "runtime/artifact/text.h"

#include "runtime/artifact/arrays.h"

namespace semdns::artifact {

using base::fail;

bool Text::parse(Span span, Text &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_TEXT;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_text_header), error))
    return false;
  Text text;
  text.header = reinterpret_cast<const semdns_text_header *>(span.data);
  const semdns_text_header &h = *text.header;
  if (h.block_count < 1 || h.block_count > SEMDNS_TEXT_MAX_BLOCKS ||
      h.pool_count > SEMDNS_TEXT_MAX_POOL)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u blocks and %u pool entries; 1 to %u and 0 to %u are possible", h.block_count,
                h.pool_count, SEMDNS_TEXT_MAX_BLOCKS, SEMDNS_TEXT_MAX_POOL);
  if (h.reserved || h.reserved1[0] || h.reserved1[1] || h.reserved1[2])
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 12, "reserved field is not zero");
  const uint32_t entryCount = h.block_count * SEMDNS_TEXT_BLOCK_SIZE;
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("stage1", h.stage1_offset, SEMDNS_TEXT_STAGE1_SIZE, sizeof(uint16_t)) ||
      !arrays.take("blocks", h.blocks_offset, entryCount, sizeof(uint32_t)) ||
      !arrays.take("pool", h.pool_offset, h.pool_count, sizeof(uint32_t)) || !arrays.finish())
    return false;
  text.stage1 = reinterpret_cast<const uint16_t *>(span.data + h.stage1_offset);
  text.blocks = reinterpret_cast<const uint32_t *>(span.data + h.blocks_offset);
  text.pool = reinterpret_cast<const uint32_t *>(span.data + h.pool_offset);

  for (uint32_t i = 0; i < SEMDNS_TEXT_STAGE1_SIZE; ++i)
    if (text.stage1[i] >= h.block_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.stage1_offset + 2ull * i,
                  "stage1[%u] is block %u; there are %u blocks", i, text.stage1[i], h.block_count);
  // A final entry is a code point with its class; only entries of blocks may refer to the pool.
  auto isFinal = [](uint32_t entry) {
    return SEMDNS_TEXT_LENGTH(entry) == 0 && SEMDNS_TEXT_VALUE(entry) <= 0x10ffff &&
           SEMDNS_TEXT_CLASS(entry) <= SEMDNS_CHAR_DROP;
  };
  for (uint32_t i = 0; i < entryCount; ++i) {
    const uint32_t entry = text.blocks[i], length = SEMDNS_TEXT_LENGTH(entry);
    const bool possible = SEMDNS_TEXT_CLASS(entry) <= SEMDNS_CHAR_DROP &&
                          (length == 0 ? isFinal(entry)
                           : length == SEMDNS_TEXT_IDENTITY
                               ? SEMDNS_TEXT_VALUE(entry) == 0 // the code point itself
                               : base::inBounds(SEMDNS_TEXT_VALUE(entry), length, h.pool_count));
    if (!possible)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.blocks_offset + 4ull * i,
                  "block entry %u is 0x%08x: value, class or pool range is impossible", i, entry);
  }
  for (uint32_t i = 0; i < h.pool_count; ++i)
    if (!isFinal(text.pool[i]))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.pool_offset + 4ull * i,
                  "pool entry %u is 0x%08x: not a code point with a class", i, text.pool[i]);
  out = text;
  return true;
}

} // namespace semdns::artifact
