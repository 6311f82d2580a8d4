#include "runtime/artifact/gold.h"

#include "runtime/artifact/arrays.h"

namespace semdns::artifact {

using base::fail;

bool Gold::parse(Span span, const Zones &zones, Gold &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_GOLD;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_gold_header), error))
    return false;
  Gold gold;
  gold.header = reinterpret_cast<const semdns_gold_header *>(span.data);
  const semdns_gold_header &h = *gold.header;
  if (h.count > SEMDNS_GOLD_MAX_ENTRIES)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%u queries; the limit is %u", h.count,
                SEMDNS_GOLD_MAX_ENTRIES);
  if (h.reserved[0] || h.reserved[1])
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 8, "reserved field is not zero");
  const uint64_t textAt = sizeof h + uint64_t{h.count} * sizeof(semdns_gold_entry);
  if (textAt + h.text_bytes != span.size)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "section of %" PRIu64 " bytes; its counts give %" PRIu64, span.size,
                textAt + h.text_bytes);
  gold.entries = reinterpret_cast<const semdns_gold_entry *>(span.data + sizeof h);
  gold.text = reinterpret_cast<const char *>(span.data + textAt);
  const uint32_t zoneCount = zones.header->zone_count;
  for (uint32_t i = 0; i < h.count; ++i) {
    const semdns_gold_entry &e = gold.entries[i];
    const uint64_t at = sizeof h + sizeof e * uint64_t{i};
    if (!base::inBounds(e.text_offset, e.text_size, h.text_bytes))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "query %u: %u bytes at %u reach beyond the text's %u", i, e.text_size,
                  e.text_offset, h.text_bytes);
    if (e.expected_zone >= zoneCount || e.answer_zone >= zoneCount || e.best_zone >= zoneCount)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "query %u: zones %u, %u, %u; there are %u zones", i, e.expected_zone,
                  e.answer_zone, e.best_zone, zoneCount);
    if (e.stage > 4 || e.stage == 3 || e.confidence > 65536 || e.reserved)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "query %u: stage %u, confidence %u, reserved %u; stages are 0, 1, 2, 4, "
                  "confidence is at most 65536, reserved is zero",
                  i, e.stage, e.confidence, e.reserved);
  }
  out = gold;
  return true;
}

} // namespace semdns::artifact
