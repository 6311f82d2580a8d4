/// \file Zones that no text can be answered by, proved from an artifact's tables.
#pragma once

#include "runtime/artifact/contents.h"

#include <string>
#include <vector>

namespace semdns::pack {

/// For each zone why no text whatever is answered by it ("it needs no less confidence than
/// 'contracts.legal.', which has the same classes"), or "" where there is no such proof. Looks at
/// acceptance of stage 1, at the thresholds of stages 2 and 3, and for classes that another class
/// always beats because it has the same vector. What is left without a proof need not be reachable:
/// that takes a witness.
std::vector<std::string> unreachableZones(const artifact::Contents &contents);

} // namespace semdns::pack
