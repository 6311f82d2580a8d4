#include "runtime/artifact/head.h"

#include "runtime/artifact/arrays.h"
#include "runtime/artifact/classes.h"
#include "runtime/artifact/features.h"

#include <stddef.h>

namespace semdns::artifact {

using base::fail;

bool Head::parse(Span span, const Zones &zones, Head &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_HEAD;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_head_header), error))
    return false;
  Head head;
  head.header = reinterpret_cast<const semdns_head_header *>(span.data);
  const semdns_head_header &h = *head.header;
  const semdns_ztre_header &tree = *zones.header;
  if (h.class_count < 1 || h.class_count != tree.class_count || h.zone_count != tree.zone_count)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u classes, %u zones; ZTRE has %u and %u, and stage 3 needs a class",
                h.class_count, h.zone_count, tree.class_count, tree.zone_count);
  if (h.layout != 1 && h.layout != 2 && h.layout != 4)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_head_header, layout),
                "layout %u; 1, 2 and 4 are possible", h.layout);
  if (h.width < 1 || h.width > SEMDNS_HEAD_MAX_WIDTH || h.padded_width != (h.width + 15) / 16 * 16)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_head_header, width),
                "width %u padded to %u; 1 to %u, rounded up to 16, are possible", h.width,
                h.padded_width, SEMDNS_HEAD_MAX_WIDTH);
  const uint32_t group = SEMDNS_LANES * h.layout;
  const uint32_t padded = (h.class_count + group - 1) / group * group;
  if (h.padded_count != padded)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_head_header, padded_count),
                "%u classes padded to %u; expected %u", h.class_count, h.padded_count, padded);
  if (h.gain < 1 || h.gain > SEMDNS_HEAD_MAX_GAIN || h.mix > SEMDNS_HEAD_MAX_MIX)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_head_header, gain),
                "gain %u, mix %u; 1 to %u and 0 to %u are possible", h.gain, h.mix,
                SEMDNS_HEAD_MAX_GAIN, SEMDNS_HEAD_MAX_MIX);
  uint64_t reserved = h.reserved0;
  for (uint64_t r : h.reserved)
    reserved |= r;
  if (reserved)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_head_header, reserved0),
                "reserved field is not zero");
  const uint64_t values = uint64_t{padded} * h.padded_width; // at most 2^25
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("vectors", h.vectors_offset, values, 1) ||
      !arrays.take("bias", h.bias_offset, h.class_count, sizeof(int32_t)) ||
      !arrays.take("zone_threshold", h.zone_threshold_offset, h.zone_count, sizeof(uint32_t)) ||
      !arrays.finish())
    return false;
  head.vectors = reinterpret_cast<const int8_t *>(span.data + h.vectors_offset);
  head.bias = reinterpret_cast<const int32_t *>(span.data + h.bias_offset);
  head.zoneThreshold = reinterpret_cast<const uint32_t *>(span.data + h.zone_threshold_offset);
  if (uint64_t i = firstMinimum(head.vectors, values); i < values)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, h.vectors_offset + i,
                "a class vector has the value -128; -127 to 127 are possible");
  for (uint32_t k = 0; k < padded; ++k) {
    // A class of the padding is zero everywhere, the others behind `width`.
    for (uint32_t d = k < h.class_count ? h.width : 0; d < h.padded_width; ++d) {
      const uint64_t line = (uint64_t{k / group} * (h.padded_width / 4) + d / 4) * h.layout +
                            k / SEMDNS_LANES % h.layout;
      const uint64_t i = line * 64 + k % SEMDNS_LANES * 4 + d % 4;
      if (head.vectors[i])
        return fail(error, SEMDNS_ERROR_SECTION, kTag, h.vectors_offset + i,
                    "padding of the class vectors is not zero");
    }
  }
  for (uint32_t z = 0; z < h.zone_count; ++z)
    if (!checkThreshold(kTag, h.zone_threshold_offset, head.zoneThreshold, z, error))
      return false;
  out = head;
  return true;
}

} // namespace semdns::artifact
