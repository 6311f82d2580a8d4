/// \file HEAD: stage 3's classes and acceptance (semdns/format/head.h).
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include <optional>
#include <string>

namespace semdns::pack {

/// HEAD's bytes for a model whose head is present. On failure (sizes or values that the format does
/// not hold) returns nullopt and sets `error`. Thread-safe, deterministic.
std::optional<std::string> buildHeadSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                            std::string &error);

} // namespace semdns::pack
