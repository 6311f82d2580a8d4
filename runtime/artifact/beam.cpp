#include "runtime/artifact/beam.h"

#include "runtime/artifact/arrays.h"

namespace semdns::artifact {

using base::fail;

namespace {

constexpr uint32_t kTag = SEMDNS_TAG_BEAM;

bool shape(const semdns_beam_header &h, const semdns_ztre_header &tree,
           const semdns_cent_header &cent, base::Error &error) {
  if (h.entry_count != cent.class_count || h.entry_count % SEMDNS_LANES || cent.layout != 1)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u entries; CENT has %u, in layout %u; multiples of %u in layout 1 are possible",
                h.entry_count, cent.class_count, cent.layout, SEMDNS_LANES);
  if (h.node_count < 1 || h.node_count > h.entry_count / SEMDNS_LANES)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 4, "%u nodes for %u entries", h.node_count,
                h.entry_count);
  if (h.class_count != tree.class_count || h.zone_count != tree.zone_count || h.class_count < 1)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 8, "%u classes, %u zones; ZTRE has %u and %u",
                h.class_count, h.zone_count, tree.class_count, tree.zone_count);
  if (h.width < 1 || h.width > SEMDNS_BEAM_MAX_WIDTH || h.spread > 31 || h.levels < 1 ||
      h.levels > SEMDNS_BEAM_MAX_LEVELS)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 16,
                "width %u, spread %u, %u levels; 1 to %u, up to 31, 1 to %u are possible", h.width,
                h.spread, h.levels, SEMDNS_BEAM_MAX_WIDTH, SEMDNS_BEAM_MAX_LEVELS);
  if (h.node_room < SEMDNS_LANES || h.node_room > SEMDNS_BEAM_MAX_NODE ||
      h.node_room % SEMDNS_LANES)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_beam_header, node_room),
                "room for %u entries of a node; multiples of %u up to %u are possible", h.node_room,
                SEMDNS_LANES, SEMDNS_BEAM_MAX_NODE);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_beam_header, reserved),
                  "reserved field is not zero");
  return true;
}

/// Nodes one behind the other, each but the first below an earlier one.
bool checkNodes(const Beam &b, base::Error &error) {
  const semdns_beam_header &h = *b.header;
  uint32_t next = 0;
  for (uint32_t i = 0; i < h.node_count; ++i) {
    const semdns_beam_node &n = b.nodes[i];
    const auto bad = [&](const char *what) {
      return fail(error, SEMDNS_ERROR_SECTION, kTag,
                  h.nodes_offset + sizeof(semdns_beam_node) * uint64_t{i}, "node %u: %s", i, what);
    };
    if (n.entry_begin != next || n.entry_count < 1 || n.entry_count > h.node_room ||
        n.entry_count > h.entry_count - next)
      return bad("its entries do not follow the node before, or are too many");
    next += (n.entry_count + SEMDNS_LANES - 1) / SEMDNS_LANES * SEMDNS_LANES;
    for (uint32_t e = n.entry_begin + n.entry_count; e < next; ++e)
      if (b.target[e] != SEMDNS_NONE || b.bias[e] != SEMDNS_BEAM_PADDING)
        return bad("the padding behind its entries has a target or a bias of its own");
    for (uint32_t r : n.reserved)
      if (r)
        return bad("reserved field is not zero");
    if (!i) {
      if (n.parent != SEMDNS_NONE || n.parent_entry != SEMDNS_NONE || n.level)
        return bad("the first has no parent and is on level 0");
      continue;
    }
    if (n.parent >= i)
      return bad("its parent does not come before it");
    const semdns_beam_node &p = b.nodes[n.parent];
    if (n.parent_entry < p.entry_begin || n.parent_entry - p.entry_begin >= p.entry_count ||
        b.target[n.parent_entry] != (SEMDNS_BEAM_NODE | i))
      return bad("no entry of its parent leads to it");
    if (n.level != p.level + 1 || n.level >= h.levels)
      return bad("its level is not its parent's and one, or too deep");
  }
  return next == h.entry_count || fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                                       "the nodes have %u entries of %u", next, h.entry_count);
}

/// Every node and every class is the target of one entry: counts do, since nodes name theirs
/// and class_entry does for classes.
bool checkTargets(const Beam &b, base::Error &error) {
  const semdns_beam_header &h = *b.header;
  uint64_t nodes = 0, classes = 0;
  for (uint32_t e = 0; e < h.entry_count; ++e) {
    const uint32_t t = b.target[e];
    if (t == SEMDNS_NONE)
      continue;
    if (b.bias[e] > SEMDNS_BEAM_MAX_BIAS || b.bias[e] < -SEMDNS_BEAM_MAX_BIAS)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.bias_offset + 4ull * e,
                  "entry %u: bias %d; up to %d either way is possible", e, b.bias[e],
                  SEMDNS_BEAM_MAX_BIAS);
    const bool isNode = t & SEMDNS_BEAM_NODE;
    if (isNode ? (t & ~SEMDNS_BEAM_NODE) >= h.node_count || t == SEMDNS_BEAM_NODE
               : t >= h.class_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.target_offset + 4ull * e,
                  "entry %u leads to 0x%x; there are %u nodes and %u classes", e, t, h.node_count,
                  h.class_count);
    ++(isNode ? nodes : classes);
  }
  for (uint32_t k = 0; k < h.class_count; ++k)
    if (b.classEntry[k] >= h.entry_count || b.target[b.classEntry[k]] != k)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.class_entry_offset + 4ull * k,
                  "class %u: entry %u is not its own", k, b.classEntry[k]);
  // Entries within nodes: padding has none, and each node names the entry that leads to it.
  uint64_t real = 0;
  for (uint32_t i = 0; i < h.node_count; ++i)
    real += b.nodes[i].entry_count;
  if (nodes != h.node_count - 1ull || classes != h.class_count || real != nodes + classes)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, h.target_offset,
                "%u entries lead to nodes and %u to classes, of %u; each node but the first and "
                "each class has one",
                unsigned(nodes), unsigned(classes), unsigned(real));
  return true;
}

/// Whether entry `e` of `node` lies within `home` or below it.
bool isWithin(const Beam &b, uint32_t node, uint32_t e, const semdns_beam_home &home) {
  while (node > home.node) { // parents come first
    e = b.nodes[node].parent_entry;
    node = b.nodes[node].parent;
  }
  return node == home.node && e >= home.begin && e < home.end;
}

bool checkHomes(const Beam &b, const Zones &zones, base::Error &error) {
  const semdns_beam_header &h = *b.header;
  for (uint32_t z = 0; z < h.zone_count; ++z) {
    const semdns_beam_home &home = b.homes[z];
    const uint64_t at = h.homes_offset + sizeof home * uint64_t{z};
    if (home.node >= h.node_count || home.parent != zones.zones[z].parent)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "zone %u: home %u of %u nodes, parent %u; ZTRE's is %u", z, home.node,
                  h.node_count, home.parent, zones.zones[z].parent);
    const semdns_beam_node &n = b.nodes[home.node];
    if (home.begin < n.entry_begin || home.begin > home.end ||
        home.end > n.entry_begin + n.entry_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "zone %u: entries %u to %u; its home has %u to %u", z, home.begin, home.end,
                  n.entry_begin, n.entry_begin + n.entry_count);
    const semdns_zone &zone = zones.zones[z];
    const bool empty = zone.class_begin == zone.class_end;
    if (empty ? home.begin != home.end
              : home.begin == home.end ||
                    (z ? !isWithin(b, home.node, home.begin, b.homes[zone.parent]) ||
                             !isWithin(b, home.node, home.end - 1, b.homes[zone.parent])
                       : home.node || home.end - home.begin != n.entry_count))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "zone %u: its entries are not below its parent's, or it has no classes", z);
  }
  return true;
}

} // namespace

bool Beam::parse(Span span, const Zones &zones, const Acceptance &acceptance,
                 const Centroids &centroids, Beam &out, base::Error &error) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_beam_header), error))
    return false;
  Beam b;
  b.header = reinterpret_cast<const semdns_beam_header *>(span.data);
  const semdns_beam_header &h = *b.header;
  if (!shape(h, *zones.header, *centroids.header, error))
    return false;
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("nodes", h.nodes_offset, h.node_count, sizeof(semdns_beam_node)) ||
      !arrays.take("target", h.target_offset, h.entry_count, 4) ||
      !arrays.take("bias", h.bias_offset, h.entry_count, 4) ||
      !arrays.take("class_entry", h.class_entry_offset, h.class_count, 4) ||
      !arrays.take("homes", h.homes_offset, h.zone_count, sizeof(semdns_beam_home)) ||
      !arrays.finish())
    return false;
  b.nodes = reinterpret_cast<const semdns_beam_node *>(span.data + h.nodes_offset);
  b.target = reinterpret_cast<const uint32_t *>(span.data + h.target_offset);
  b.bias = reinterpret_cast<const int32_t *>(span.data + h.bias_offset);
  b.classEntry = reinterpret_cast<const uint32_t *>(span.data + h.class_entry_offset);
  b.homes = reinterpret_cast<const semdns_beam_home *>(span.data + h.homes_offset);
  if (!checkNodes(b, error) || !checkTargets(b, error) || !checkHomes(b, zones, error))
    return false;
  for (uint32_t i = 0; i < h.node_count; ++i)
    for (uint32_t e = 0; e < b.nodes[i].entry_count; ++e) {
      const uint32_t k = b.target[b.nodes[i].entry_begin + e];
      if (!(k & SEMDNS_BEAM_NODE) &&
          !isWithin(b, i, b.nodes[i].entry_begin + e, b.homes[acceptance.classZone[k]]))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, h.class_entry_offset + 4ull * k,
                    "class %u: its entry is not below its zone's", k);
    }
  out = b;
  return true;
}

} // namespace semdns::artifact
