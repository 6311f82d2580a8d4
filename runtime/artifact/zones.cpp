#include "runtime/artifact/zones.h"

#include "runtime/artifact/arrays.h"
#include "runtime/base/utf8.h"

namespace semdns::artifact {

using base::fail;
using base::inBounds;

namespace {

constexpr uint32_t kTag = SEMDNS_TAG_ZTRE;
constexpr uint32_t kTtlMax = 86400;
constexpr uint32_t kNameMax = 1024;    // 255 octets of DNS name, escaped for display
constexpr uint32_t kPathMax = 1 << 16; // labels as the training data spell them
constexpr uint64_t kStringsMax =
    1 << 28; // all zones' names and paths: ranges may overlap in the file

struct Checker {
  const Zones &z;
  base::Error &error;
  uint64_t stringBytes = 0;

  uint64_t zoneAt(uint32_t i) const { return sizeof(semdns_ztre_header) + 64ull * i; }
  uint64_t engineAt(uint32_t i) const {
    return zoneAt(z.header->zone_count) + sizeof(semdns_engine) * uint64_t{i};
  }

  bool string(uint64_t at, uint32_t offset, uint32_t size, uint32_t min, uint32_t max,
              const char *what, uint32_t index) {
    if (size < min || size > max)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "%s %u: string of %u bytes; %u to %u are possible", what, index, size, min, max);
    if (!inBounds(offset, size, z.header->string_bytes))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "%s %u: string of %u bytes at %u; there are %u bytes of strings", what, index,
                  size, offset, z.header->string_bytes);
    const char *text = z.strings + offset;
    if (base::firstInvalidUtf8(text, size) < size || memchr(text, 0, size))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "%s %u: string is not UTF-8 or contains a NUL byte", what, index);
    return true;
  }

  // The label of zone i in its DNS name: what stands before the parent's name. Empty if it does
  // not.
  std::string_view label(uint32_t i) const {
    std::string_view name = z.name(i), parent = z.name(z.zones[i].parent);
    size_t tail = z.zones[i].parent ? parent.size() : 0; // below the root: "label."
    if (name.size() < tail + 2)
      return {};
    size_t size = name.size() - tail - 1;
    if (name[size] != '.' || (tail && memcmp(name.data() + size + 1, parent.data(), tail) != 0))
      return {};
    return {name.data(), size};
  }

  bool pathFits(uint32_t i) const {
    std::string_view path = z.path(i), parent = z.path(z.zones[i].parent);
    size_t head = z.zones[i].parent ? parent.size() + 1 : 0;
    if (path.size() <= head)
      return false;
    if (head && (memcmp(path.data(), parent.data(), head - 1) != 0 || path[head - 1] != '/'))
      return false;
    return memchr(path.data() + head, '/', path.size() - head) == nullptr;
  }

  bool zone(uint32_t i, uint32_t &refCursor) {
    const semdns_zone &v = z.zones[i];
    const uint64_t at = zoneAt(i);
    if (v.reserved || v.reserved0)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at, "zone %u: reserved field is not zero", i);
    if (v.ttl > kTtlMax)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at, "zone %u: ttl %u; the limit is %u", i,
                  v.ttl, kTtlMax);
    if (v.flags & ~(SEMDNS_ZONE_RESTRICTED | SEMDNS_ZONE_SHAREABLE))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at, "zone %u: unknown flags 0x%x", i, v.flags);
    if (v.engine_begin != refCursor || v.engine_count > z.header->engine_ref_count - refCursor)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "zone %u: engine refs [%u, +%u); expected to begin at %u, of %u in all", i,
                  v.engine_begin, v.engine_count, refCursor, z.header->engine_ref_count);
    refCursor += v.engine_count;
    stringBytes += uint64_t{v.name_size} + v.path_size;
    if (stringBytes > kStringsMax)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "zone %u: names and paths so far have %" PRIu64 " bytes; the limit is %" PRIu64,
                  i, stringBytes, kStringsMax);
    return string(at, v.name_offset, v.name_size, 1, kNameMax, "zone name", i) &&
           string(at, v.path_offset, v.path_size, 1, kPathMax, "zone path", i);
  }

  bool tree() {
    const uint32_t count = z.header->zone_count;
    uint32_t stack[SEMDNS_MAX_DEPTH + 1];   // zones that are open
    uint32_t classes[SEMDNS_MAX_DEPTH + 1]; // next class to be given out within each
    uint32_t last[SEMDNS_MAX_DEPTH + 1];    // last child of each, or NONE
    uint32_t open = 0;
    uint32_t refCursor = 0;
    // Zone `count` stands for the end, where all that is open must close.
    for (uint32_t i = 0; i <= count; ++i) {
      while (open && z.zones[stack[open - 1]].subtree_end == i) {
        --open;
        const uint32_t closed = stack[open];
        if (classes[open] != z.zones[closed].class_end)
          return fail(error, SEMDNS_ERROR_SECTION, kTag, zoneAt(closed),
                      "zone %u: classes end at %u; those of its zones end at %u", closed,
                      z.zones[closed].class_end, classes[open]);
        if (open)
          classes[open - 1] = z.zones[closed].class_end;
      }
      if (i == count)
        break;
      if (!zone(i, refCursor))
        return false;
      const semdns_zone &v = z.zones[i];
      const uint64_t at = zoneAt(i);
      const uint32_t parent = open ? stack[open - 1] : SEMDNS_NONE;
      const uint32_t limit = open ? z.zones[parent].subtree_end : count;
      if (v.parent != parent || v.depth != open || open > SEMDNS_MAX_DEPTH)
        return fail(
            error, SEMDNS_ERROR_SECTION, kTag, at,
            "zone %u: parent %u, depth %u; preorder gives parent %u, depth %u of at most %u", i,
            v.parent, v.depth, parent, open, SEMDNS_MAX_DEPTH);
      if (v.subtree_end <= i || v.subtree_end > limit || (i == 0 && v.subtree_end != count))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "zone %u: subtree ends at %u; %u to %u are possible", i, v.subtree_end, i + 1,
                    limit);
      const uint32_t firstClass = open ? classes[open - 1] : 0;
      const uint32_t classLimit = open ? z.zones[parent].class_end : z.header->class_count;
      if (v.class_begin != firstClass || v.class_end < v.class_begin || v.class_end > classLimit ||
          (i == 0 && v.class_end != classLimit))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "zone %u: classes [%u, %u); expected to begin at %u and to end by %u", i,
                    v.class_begin, v.class_end, firstClass, classLimit);
      if (v.own_class != SEMDNS_NONE &&
          (v.own_class != v.class_begin || v.class_begin == v.class_end))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "zone %u: own class %u; it must be the first of [%u, %u)", i, v.own_class,
                    v.class_begin, v.class_end);
      if (i == 0) {
        if (z.name(0) != "." || z.path(0) != "/")
          return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                      "zone 0 must be the root: name \".\", path \"/\"");
      } else {
        const std::string_view mine = label(i);
        if (mine.empty())
          return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                      "zone %u: name '%.*s' is not a label before its parent's '%.*s'", i,
                      static_cast<int>(v.name_size < 80 ? v.name_size : 80), z.name(i).data(),
                      static_cast<int>(z.name(parent).size() < 80 ? z.name(parent).size() : 80),
                      z.name(parent).data());
        if (!pathFits(i))
          return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                      "zone %u: path '%.*s' is not its parent's and one more label", i,
                      static_cast<int>(v.path_size < 120 ? v.path_size : 120), z.path(i).data());
        uint32_t &sibling = last[open - 1];
        if (sibling != SEMDNS_NONE && !(label(sibling) < mine))
          return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                      "zone %u: siblings are not sorted by label or not unique", i);
        sibling = i;
      }
      stack[open] = i;
      classes[open] = v.class_begin + (v.own_class != SEMDNS_NONE);
      last[open] = SEMDNS_NONE;
      ++open;
    }
    if (refCursor != z.header->engine_ref_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, 0, "%u engine refs; the zones have %u",
                  z.header->engine_ref_count, refCursor);
    return true;
  }

  bool engines() {
    for (uint32_t i = 0; i < z.header->engine_count; ++i) {
      const semdns_engine &e = z.engines[i];
      const uint64_t at = engineAt(i);
      if (!string(at, e.name_offset, e.name_size, 1, kNameMax, "engine name", i) ||
          !string(at, e.region_offset, e.region_size, 0, kNameMax, "engine region", i))
        return false;
      if (e.tier > SEMDNS_TIER_SPECIALIST)
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "engine %u: tier %u; 0 to 3 are possible", i, e.tier);
      if (i && !(z.engineName(i - 1) < z.engineName(i)))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "engine %u: engines are not sorted by name or not unique", i);
    }
    const uint64_t refsAt = engineAt(z.header->engine_count);
    for (uint32_t i = 0; i < z.header->engine_ref_count; ++i)
      if (z.refs[i].engine >= z.header->engine_count || z.refs[i].weight < 1)
        return fail(error, SEMDNS_ERROR_SECTION, kTag, refsAt + 8ull * i,
                    "engine ref %u: engine %u of %u, weight %u", i, z.refs[i].engine,
                    z.header->engine_count, z.refs[i].weight);
    return true;
  }
};

} // namespace

bool Zones::parse(Span span, Zones &out, base::Error &error) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_ztre_header), error))
    return false;
  Zones z;
  z.header = reinterpret_cast<const semdns_ztre_header *>(span.data);
  const semdns_ztre_header &h = *z.header;
  if (h.zone_count < 1 || h.zone_count > SEMDNS_MAX_ZONES || h.class_count > SEMDNS_MAX_CLASSES ||
      h.engine_count > SEMDNS_MAX_ENGINES)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u zones, %u classes, %u engines; the limits are 1 to %u, %u, %u", h.zone_count,
                h.class_count, h.engine_count, SEMDNS_MAX_ZONES, SEMDNS_MAX_CLASSES,
                SEMDNS_MAX_ENGINES);
  if (h.reserved[0] || h.reserved[1] || h.reserved[2])
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_ztre_header, reserved),
                "reserved field is not zero");
  // Cannot overflow: every factor has 32 bits.
  const uint64_t zonesEnd = sizeof h + uint64_t{h.zone_count} * sizeof(semdns_zone);
  const uint64_t enginesEnd = zonesEnd + uint64_t{h.engine_count} * sizeof(semdns_engine);
  const uint64_t refsEnd = enginesEnd + uint64_t{h.engine_ref_count} * sizeof(semdns_engine_ref);
  if (refsEnd + h.string_bytes != span.size)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "section of %" PRIu64 " bytes; its counts give %" PRIu64, span.size,
                refsEnd + h.string_bytes);
  z.zones = reinterpret_cast<const semdns_zone *>(span.data + sizeof h);
  z.engines = reinterpret_cast<const semdns_engine *>(span.data + zonesEnd);
  z.refs = reinterpret_cast<const semdns_engine_ref *>(span.data + enginesEnd);
  z.strings = reinterpret_cast<const char *>(span.data + refsEnd);
  Checker checker{z, error, 0};
  if (!checker.engines() || !checker.tree())
    return false;
  out = z;
  return true;
}

} // namespace semdns::artifact
