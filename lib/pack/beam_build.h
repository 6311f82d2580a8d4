/// \file BEAM (semdns/format/beam.h).
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include <optional>
#include <string>

namespace semdns::pack {

/// BEAM's bytes; the model must have a beam. On failure returns nullopt and sets `error`.
std::optional<std::string> buildBeamSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                            std::string &error);

} // namespace semdns::pack
