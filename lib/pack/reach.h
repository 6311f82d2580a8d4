/// \file Zones that no text can be answered by, proved from an artifact's tables.
#pragma once

#include "runtime/artifact/contents.h"

#include <string>
#include <vector>

namespace semdns::pack {

struct Unreachable {
  std::string why; ///< "its threshold says never"; empty: there is no proof
  /// The zone has no class or keywords of its own and would only be climbed to: a matter of where
  /// climbs end, not of a zone that was meant to answer and cannot.
  bool between = false;
};

/// For each zone why no text whatever is answered by it, where there is a proof of that. Looks at
/// acceptance of stage 1, at the thresholds of stages 2 and 3, and for classes that another class
/// always beats because it has the same vector. What is left without a proof need not be reachable:
/// that takes a witness.
std::vector<Unreachable> unreachableZones(const artifact::Contents &contents);

} // namespace semdns::pack
