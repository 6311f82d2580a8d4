/// \file The search tree over a zone tree (semdns/format/beam.h): which zones are scored beside
/// each other when classes are too many to score them all.
#pragma once

#include "lib/pack/model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::pack {

/// Beyond so many classes stage 2 descends. Below, scoring them all is as fast and finds the best
/// for certain.
inline constexpr uint32_t kFlatClasses = 1024;

struct BeamShape {
  uint32_t width = 3, spread = 2;
  uint32_t aim = 64;   ///< entries of a node: zones are opened until there are so many
  uint32_t most = 192; ///< a zone with more children has groups of them in between
};

/// A node's entries are what is below one zone: its own class and its child zones, of which the
/// largest are opened, their children in their place, until there are `aim` of them. Zones with a
/// single class are that class. Children in excess of `most` are grouped in order. Preorder:
/// parents[0] is ignored, subtreeEnd[z] is one past the last zone below z; classZone ascends, at
/// least one. Biases are 0. Deterministic; O(zones log zones).
BeamModel planBeam(std::span<const uint32_t> parents, std::span<const uint32_t> subtreeEnd,
                   std::span<const uint32_t> classZone, const BeamShape &shape);

/// Nodes on the longest way down, and padded entries of the largest node.
uint32_t levelsOf(const BeamModel &beam);
uint32_t nodeRoomOf(const BeamModel &beam);

} // namespace semdns::pack
