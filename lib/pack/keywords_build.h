/// \file KEYW: stage 1's terms as an automaton over words (semdns/format/keywords.h).
#pragma once

#include "lib/pack/model.h"

#include <cstdint>
#include <optional>
#include <string>

namespace semdns::pack {

/// Bytes of the section. States are numbered in the order in which the terms, in the model's order,
/// first need them; at a word the longest terms come first, equal ones in the model's order. No
/// terms give a valid section that never matches. On failure returns nullopt and says in `error`
/// which limit was passed (lower case, no final dot). Thread-safe, deterministic.
std::optional<std::string> buildKeywordsSection(const KeywordModel &model, uint32_t zoneCount,
                                                std::string &error);

} // namespace semdns::pack
