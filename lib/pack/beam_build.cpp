#include "lib/pack/beam_build.h"

#include "lib/pack/beam_plan.h"
#include "lib/pack/section_bytes.h"

namespace semdns::pack {

std::optional<std::string> buildBeamSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                            std::string &error) {
  const BeamModel &beam = model.beam;
  semdns_beam_header header = {};
  header.entry_count = static_cast<uint32_t>(beam.entries());
  header.node_count = static_cast<uint32_t>(beam.nodes.size());
  header.class_count = static_cast<uint32_t>(model.classZone.size());
  header.zone_count = static_cast<uint32_t>(tree.zones.size());
  header.width = beam.width;
  header.spread = beam.spread;
  header.levels = levelsOf(beam);
  header.node_room = nodeRoomOf(beam);
  if (beam.entries() > SEMDNS_BEAM_MAX_ENTRIES || header.levels > SEMDNS_BEAM_MAX_LEVELS ||
      header.node_room > SEMDNS_BEAM_MAX_NODE || beam.width > SEMDNS_BEAM_MAX_WIDTH) {
    error = "the search tree has " + std::to_string(beam.entries()) + " entries on " +
            std::to_string(header.levels) + " levels, up to " + std::to_string(header.node_room) +
            " in a node; the limits are " + std::to_string(SEMDNS_BEAM_MAX_ENTRIES) + ", " +
            std::to_string(SEMDNS_BEAM_MAX_LEVELS) + " and " + std::to_string(SEMDNS_BEAM_MAX_NODE);
    return std::nullopt;
  }
  if (beam.bias.size() != beam.entries() || beam.homes.size() != tree.zones.size() ||
      beam.classEntry.size() != model.classZone.size()) {
    error = "the search tree does not fit the zone tree";
    return std::nullopt;
  }
  SectionBytes bytes(sizeof header);
  header.nodes_offset = bytes.append(beam.nodes);
  header.target_offset = bytes.append(beam.target);
  header.bias_offset = bytes.append(beam.bias);
  header.class_entry_offset = bytes.append(beam.classEntry);
  header.homes_offset = bytes.append(beam.homes);
  return bytes.finish(header);
}

} // namespace semdns::pack
