#include "lib/pack/zones_build.h"

#include "lib/pack/section_bytes.h"
#include "semdns/format/zones.h"

#include <algorithm>

namespace semdns::pack {

std::optional<ClassRanges> classRanges(const RoutingModel &model, const spec::ZoneTree &tree,
                                       std::string &error) {
  auto zones = static_cast<uint32_t>(tree.zones.size());
  if (zones == 0 || tree.zones.size() > SEMDNS_MAX_ZONES) {
    error = std::to_string(tree.zones.size()) + " zones; 1 to " + std::to_string(SEMDNS_MAX_ZONES) +
            " are possible";
    return std::nullopt;
  }
  const std::vector<uint32_t> &classZone = model.classZone;
  const uint32_t most = model.beam.present() ? SEMDNS_MAX_CLASSES : SEMDNS_MAX_FLAT_CLASSES;
  if (classZone.size() > most) {
    error = std::to_string(classZone.size()) + " zones have examples or a corpus; the limit is " +
            std::to_string(most);
    return std::nullopt;
  }
  bool rising = std::adjacent_find(classZone.begin(), classZone.end(),
                                   std::greater_equal<uint32_t>()) == classZone.end();
  if (!rising || (!classZone.empty() && classZone.back() >= zones)) {
    error = "the routing model's classes do not fit the zone tree";
    return std::nullopt;
  }
  ClassRanges ranges;
  auto classBelow = [&](uint32_t zone) {
    return static_cast<uint32_t>(std::lower_bound(classZone.begin(), classZone.end(), zone) -
                                 classZone.begin());
  };
  for (uint32_t zone = 0; zone < zones; ++zone) {
    ranges.begin.push_back(classBelow(zone));
    ranges.end.push_back(classBelow(tree.zones[zone].subtreeEnd));
  }
  return ranges;
}

std::optional<std::string> buildZonesSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                             std::string &error) {
  auto ranges = classRanges(model, tree, error);
  if (!ranges)
    return std::nullopt;
  if (tree.engines.size() > SEMDNS_MAX_ENGINES) {
    error = std::to_string(tree.engines.size()) + " engines; the limit is " +
            std::to_string(SEMDNS_MAX_ENGINES);
    return std::nullopt;
  }
  std::string strings;
  bool tooLong = false;
  auto string = [&](const std::string &text, uint32_t &offset, uint32_t &size) {
    tooLong |= strings.size() + text.size() > UINT32_MAX;
    offset = static_cast<uint32_t>(strings.size());
    size = static_cast<uint32_t>(text.size());
    if (!tooLong)
      strings += text;
  };
  std::vector<semdns_zone> zones;
  std::vector<semdns_engine_ref> refs;
  for (uint32_t i = 0; i < tree.zones.size(); ++i) {
    const spec::Zone &from = tree.zones[i];
    semdns_zone zone = {};
    zone.parent = from.parent;
    zone.depth = from.depth;
    zone.subtree_end = from.subtreeEnd;
    zone.class_begin = ranges->begin[i];
    zone.class_end = ranges->end[i];
    bool hasClass = zone.class_begin < zone.class_end && model.classZone[zone.class_begin] == i;
    zone.own_class = hasClass ? zone.class_begin : SEMDNS_NONE;
    zone.ttl = from.ttl;
    zone.flags = from.flags;
    zone.engine_begin = static_cast<uint32_t>(refs.size());
    zone.engine_count = static_cast<uint32_t>(from.engines.size());
    tooLong |= refs.size() + from.engines.size() > UINT32_MAX;
    for (const spec::EngineRef &ref : from.engines)
      refs.push_back({ref.engine, ref.weight});
    string(from.name, zone.name_offset, zone.name_size);
    string(from.path, zone.path_offset, zone.path_size);
    zones.push_back(zone);
  }
  std::vector<semdns_engine> engines;
  for (const spec::Engine &from : tree.engines) {
    semdns_engine engine = {};
    string(from.name, engine.name_offset, engine.name_size);
    string(from.region, engine.region_offset, engine.region_size);
    engine.tier = static_cast<uint32_t>(from.tier);
    engine.max_context = from.maxContext;
    engine.cost_per_mtok_nano = from.costPerMtokNano;
    engines.push_back(engine);
  }
  if (tooLong) {
    error = "the zones' names and engines pass 4 GiB";
    return std::nullopt;
  }

  semdns_ztre_header header = {};
  header.zone_count = static_cast<uint32_t>(zones.size());
  header.class_count = static_cast<uint32_t>(model.classZone.size());
  header.engine_count = static_cast<uint32_t>(engines.size());
  header.engine_ref_count = static_cast<uint32_t>(refs.size());
  header.string_bytes = static_cast<uint32_t>(strings.size());
  SectionBytes bytes(sizeof header);
  bytes.appendPacked(zones.data(), zones.size());
  bytes.appendPacked(engines.data(), engines.size());
  bytes.appendPacked(refs.data(), refs.size());
  bytes.appendPacked(strings.data(), strings.size());
  return bytes.finish(header);
}

} // namespace semdns::pack
