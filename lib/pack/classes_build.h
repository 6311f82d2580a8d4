/// \file CENT and CLSF: class vectors and acceptance data (semdns/format/classes.h).
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace semdns::pack {

/// The layout u (1, 2 or 4) for a number of classes: the one that pads least; among equals the
/// widest, whose kernel has more independent sums; from 64 classes on 4 unless it pads by more than
/// an eighth.
uint32_t chooseLayout(uint32_t classCount);

/// CENT's bytes in `layout`. On failure returns nullopt and sets `error`. Thread-safe.
std::optional<std::string> buildCentroidsSection(const EmbeddingModel &model, uint32_t layout,
                                                 std::string &error);

/// CLSF's bytes. On failure returns nullopt and sets `error`. Thread-safe.
std::optional<std::string> buildAcceptanceSection(const RoutingModel &model,
                                                  const spec::ZoneTree &tree, std::string &error);

/// Whether a stage's thresholds fit the tree and the format; else sets `error`.
bool validAcceptance(const Acceptance &acceptance, const spec::ZoneTree &tree, std::string &error);

/// round(65536 * 2^(-i/256)), in integers.
std::array<uint32_t, 256> exp2Table();

} // namespace semdns::pack
