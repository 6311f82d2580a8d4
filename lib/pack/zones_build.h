/// \file ZTRE: zone tree, engines, names (semdns/format/zones.h).
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::pack {

/// The classes of each zone's subtree: [begin[zone], end[zone]).
struct ClassRanges {
  std::vector<uint32_t> begin, end;
};

/// Checks that `model.classZone` fits the tree and numbers the classes. On failure returns nullopt
/// and sets `error`.
std::optional<ClassRanges> classRanges(const RoutingModel &model, const spec::ZoneTree &tree,
                                       std::string &error);

/// Bytes of the section. On failure returns nullopt and sets `error`. Thread-safe, deterministic.
std::optional<std::string> buildZonesSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                             std::string &error);

} // namespace semdns::pack
