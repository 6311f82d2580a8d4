/// \file What to do about the training data: labels that look wrong, examples to add, zones that
/// need more.
#pragma once

#include "lib/eval/analysis.h"

#include <string>
#include <vector>

namespace semdns::eval {

struct Suggestion {
  uint32_t row = 0;
  std::string kind;  ///< "relabel" or "add"
  std::string label; ///< proposed, as a path
  std::string was;   ///< relabel: the row's label
  std::string why;
  double score = 0; ///< relabel: how sure, 0..1; add: rows of its group
};

/// A zone whose best guesses are worse than the tree's beyond chance (p < 0.01).
struct NeedsData {
  uint32_t zone = 0;
  uint64_t rows = 0, right = 0, climbed = 0, misrouted = 0;
  std::string mostly; ///< path that its wrong best guesses most often name
};

struct Suggestions {
  std::vector<Suggestion>
      list; ///< relabels, the surest first; then additions, largest groups first
  std::vector<NeedsData> zones; ///< most rows lost first
};

/// Labels: confident learning (Northcutt, Jiang, Chuang, JAIR 2021). A zone's typical confidence is
/// its mean over the rows labelled with it; a row is suspect when another zone, neither above nor
/// below its label's, reaches that zone's typical confidence (one half at least) and its own zone
/// stays below a tenth. Additions: in-scope rows that climbed or went astray, grouped by likeness
/// within their zone, the group's first for all; rows without a label take their best guess.
Suggestions suggest(const Subject &subject, const Rows &rows, const std::vector<Result> &results);

/// JSON lines that `--from-examples` and `examples:` take: text, label, suggestion, was, why, from.
std::string suggestionLines(const Suggestions &suggestions, const Rows &rows);

} // namespace semdns::eval
