/// \file GOLD: the spec's `test {}` queries with the build's answers (semdns/format/gold.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::pack {

struct GoldQuery {
  std::string text; ///< any bytes
  uint32_t expectedZone = 0;
  uint32_t answerZone = 0, bestZone = 0;
  uint32_t stage = 0;      ///< semdns_kernel_stage that decided
  uint32_t confidence = 0; ///< Q16
};

/// Bytes of the section, queries in the given order. On failure (too many, too long) returns
/// nullopt and sets `error`. Thread-safe, deterministic.
std::optional<std::string> buildGoldSection(const std::vector<GoldQuery> &queries,
                                            std::string &error);

} // namespace semdns::pack
