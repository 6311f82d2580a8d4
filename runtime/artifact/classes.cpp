#include "runtime/artifact/classes.h"

#include "runtime/artifact/arrays.h"
#include "runtime/artifact/features.h"
#include "semdns/format/beam.h"
#include "semdns/format/features.h"

namespace semdns::artifact {

using base::fail;

bool Centroids::parse(Span span, Centroids &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_CENT;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_cent_header), error))
    return false;
  Centroids c;
  c.header = reinterpret_cast<const semdns_cent_header *>(span.data);
  const semdns_cent_header &h = *c.header;
  if (h.class_count > SEMDNS_BEAM_MAX_ENTRIES || (h.layout != 1 && h.layout != 2 && h.layout != 4))
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u classes, layout %u; at most %u, and layouts 1, 2, 4 are possible",
                h.class_count, h.layout, SEMDNS_BEAM_MAX_ENTRIES);
  if (h.dim < SEMDNS_DIM_ALIGN || h.dim > SEMDNS_MAX_DIM || h.dim % SEMDNS_DIM_ALIGN)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 8,
                "dimension %u; a multiple of %u up to %u is possible", h.dim, SEMDNS_DIM_ALIGN,
                SEMDNS_MAX_DIM);
  const uint32_t group = SEMDNS_LANES * h.layout;
  const uint32_t padded = (h.class_count + group - 1) / group * group;
  if (h.padded_count != padded)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 4, "%u classes padded to %u; expected %u",
                h.class_count, h.padded_count, padded);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_cent_header, reserved),
                  "reserved field is not zero");
  const uint64_t values = uint64_t{padded} * h.dim; // at most 2^29
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("vectors", h.vectors_offset, values, 1) ||
      !arrays.take("offsets", h.offsets_offset, padded, sizeof(int32_t)) || !arrays.finish())
    return false;
  c.vectors = reinterpret_cast<const int8_t *>(span.data + h.vectors_offset);
  c.offsets = reinterpret_cast<const int32_t *>(span.data + h.offsets_offset);
  if (uint64_t i = firstMinimum(c.vectors, values); i < values)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, h.vectors_offset + i,
                "a class vector has the value -128; -127 to 127 are possible");
  // Line by line as stored: [group][dim / 4][u][16 lanes][4].
  for (uint32_t g = 0; g < padded / group; ++g) {
    for (uint32_t b = 0; b < h.layout; ++b) {
      int32_t sums[SEMDNS_LANES] = {}, sizes[SEMDNS_LANES] = {};
      for (uint32_t d = 0; d < h.dim / 4; ++d) {
        const int8_t *line = c.vectors + ((uint64_t{g} * (h.dim / 4) + d) * h.layout + b) * 64;
        for (uint32_t lane = 0; lane < SEMDNS_LANES; ++lane)
          for (uint32_t k = 0; k < 4; ++k) {
            sums[lane] += line[4 * lane + k];
            sizes[lane] |= line[4 * lane + k];
          }
      }
      for (uint32_t lane = 0; lane < SEMDNS_LANES; ++lane) {
        const uint32_t k = g * group + b * SEMDNS_LANES + lane;
        if (c.offsets[k] != -128 * sums[lane])
          return fail(error, SEMDNS_ERROR_SECTION, kTag, h.offsets_offset + 4ull * k,
                      "offset of class %u is %d; its vector gives %d", k, c.offsets[k],
                      -128 * sums[lane]);
        if (k >= h.class_count && sizes[lane])
          return fail(error, SEMDNS_ERROR_SECTION, kTag, h.vectors_offset,
                      "the padding behind class %u is not zero", h.class_count);
      }
    }
  }
  out = c;
  return true;
}

bool checkThreshold(uint32_t tag, uint64_t offset, const uint32_t *thresholds, uint32_t zone,
                    base::Error &error) {
  // Above certainty means that the zone never answers; one value says so.
  const uint32_t t = thresholds[zone];
  if (zone ? t > 65536 && t != SEMDNS_NONE : t != 0)
    return fail(error, SEMDNS_ERROR_SECTION, tag, offset + 4ull * zone,
                "zone %u: threshold %u; 0 to 65536 or 0xffffffff (never) are possible, 0 for the "
                "root",
                zone, t);
  return true;
}

bool Acceptance::parse(Span span, const Zones &zones, Acceptance &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_CLSF;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_clsf_header), error))
    return false;
  Acceptance a;
  a.header = reinterpret_cast<const semdns_clsf_header *>(span.data);
  const semdns_clsf_header &h = *a.header;
  const semdns_ztre_header &tree = *zones.header;
  if (h.class_count != tree.class_count || h.zone_count != tree.zone_count)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%u classes, %u zones; ZTRE has %u and %u",
                h.class_count, h.zone_count, tree.class_count, tree.zone_count);
  const uint32_t rootClass = zones.zones[0].own_class != SEMDNS_NONE;
  if (h.root_class != rootClass)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 8, "root_class is %u; ZTRE says %u",
                h.root_class, rootClass);
  if (h.gain < 1 || h.gain > 1u << 24)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 12, "gain %u; 1 to 2^24 are possible", h.gain);
  if (h.guard_confidence > SEMDNS_GUARD_NEVER)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_clsf_header, guard_confidence),
                "guard confidence %u; 0 to %u (never) are possible", h.guard_confidence,
                SEMDNS_GUARD_NEVER);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_clsf_header, reserved),
                  "reserved field is not zero");
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("exp2", h.exp2_offset, 256, 4) ||
      !arrays.take("class_zone", h.class_zone_offset, h.class_count, 4) ||
      !arrays.take("zone_parent", h.zone_parent_offset, h.zone_count, 4) ||
      !arrays.take("zone_class_begin", h.zone_class_begin_offset, h.zone_count, 4) ||
      !arrays.take("zone_class_end", h.zone_class_end_offset, h.zone_count, 4) ||
      !arrays.take("zone_threshold", h.zone_threshold_offset, h.zone_count, 4) || !arrays.finish())
    return false;
  auto column = [&](uint64_t offset) {
    return reinterpret_cast<const uint32_t *>(span.data + offset);
  };
  a.exp2 = column(h.exp2_offset);
  a.classZone = column(h.class_zone_offset);
  a.zoneParent = column(h.zone_parent_offset);
  a.zoneClassBegin = column(h.zone_class_begin_offset);
  a.zoneClassEnd = column(h.zone_class_end_offset);
  a.zoneThreshold = column(h.zone_threshold_offset);
  // One halving over 256 falling steps; the sum of weights relies on nothing more than that.
  for (uint32_t i = 0; i < 256; ++i)
    if (i == 0 ? a.exp2[0] != 65536 : a.exp2[i] >= a.exp2[i - 1] || a.exp2[i] <= 32768)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.exp2_offset + 4ull * i,
                  "exp2[%u] is %u; the table falls from 65536 to above 32768", i, a.exp2[i]);
  uint32_t expected = 0;
  for (uint32_t z = 0; z < h.zone_count; ++z) {
    const semdns_zone &zone = zones.zones[z];
    if (a.zoneParent[z] != zone.parent || a.zoneClassBegin[z] != zone.class_begin ||
        a.zoneClassEnd[z] != zone.class_end)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.zone_parent_offset + 4ull * z,
                  "zone %u: parent or classes differ from ZTRE's", z);
    if (!checkThreshold(kTag, h.zone_threshold_offset, a.zoneThreshold, z, error))
      return false;
    // Classes are numbered in preorder, so walking the zones meets them in order.
    if (zone.own_class == SEMDNS_NONE)
      continue;
    if (zone.own_class != expected || a.classZone[expected] != z)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.class_zone_offset + 4ull * expected,
                  "class %u belongs to zone %u; ZTRE says zone %u", expected, a.classZone[expected],
                  z);
    ++expected;
  }
  if (expected != h.class_count)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%u classes; ZTRE's zones have %u",
                h.class_count, expected);
  out = a;
  return true;
}

} // namespace semdns::artifact
