/// \file TOKV: feature table, rows and norms (semdns/format/features.h).
#pragma once

#include "lib/pack/model.h"

#include <cstdint>
#include <optional>
#include <string>

namespace semdns::pack {

/// The dimension of the artifact: the model's, or 16 when the model is empty (dim 0: a hierarchy of
/// keywords alone, whose TOKV and CENT then hold no more than the format demands).
uint32_t packedDim(const EmbeddingModel &model);

/// Bytes of the section. An empty model gives one row of zeros and no feature. On failure (shapes
/// that do not fit together, values out of range, a limit) returns nullopt and sets `error`.
/// Thread-safe, deterministic.
std::optional<std::string> buildFeaturesSection(const EmbeddingModel &model, std::string &error);

} // namespace semdns::pack
