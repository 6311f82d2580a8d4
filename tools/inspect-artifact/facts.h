/// \file `--facts`: what holds for every text, proved from an artifact's tables or shown by texts.
#pragma once

#include "tools/inspect-artifact/report.h"

#include <string>
#include <vector>

namespace semdns::inspect {

struct Fact {
  std::string name;               ///< "totality", "work", "reachability", "keywords", "decision"
  std::string state;              ///< "proved", "shown", "open" or "violated"
  std::string text;               ///< one line
  std::vector<std::string> lines; ///< zones, pairs of terms: at most 20
};

/// All facts of a hierarchy, by its tables and by asking it. Deterministic; seconds at most for a
/// large one.
std::vector<Fact> factsOf(const File &file);

std::string factsText(const File &file, const std::vector<Fact> &facts);
std::string factsJson(const File &file, const std::vector<Fact> &facts);

} // namespace semdns::inspect
