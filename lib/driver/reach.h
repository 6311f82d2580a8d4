/// \file Whether each zone of a finished artifact is ever answered: by a text that shows it, or not
/// at all, with the proof.
#pragma once

#include "lib/spec/load.h"
#include "lib/support/diagnostics.h"

#include <string>
#include <string_view>

namespace semdns::driver {

struct Reach {
  uint32_t zones = 0;   ///< below the root
  uint32_t reached = 0; ///< a text was found that the zone answers
  uint32_t proved = 0;  ///< no text is answered by it (lib/pack/reach.h)
};

/// Looks for a witness of each zone of `artifact` among the texts at hand: its examples, keywords
/// and label; for inner zones those of two zones below it, one behind the other. At most 64 texts a
/// zone, through the whole cascade. Warns about each zone with something of its own that no text
/// can reach, with the proof, and once about those for which neither was found. Deterministic. An
/// artifact that does not open gives an empty result.
Reach checkReach(std::string_view artifact, const spec::Input &input, Diagnostics &diags);

} // namespace semdns::driver
