/// \file Queries that belong to several zones at once: rows with `"labels": ["a/b", "c"]`.
///
/// Emitted zones are those of an answer's list, less the root and less an answer that climbed. They
/// are judged at two levels: `top`, the zones of depth 1 (a top zone's score is the sum of its
/// listed zones' confidences), and `path`, the zones themselves.
///
/// Rules for how many to emit, each with a threshold t that is swept:
///
///   confidence   the first, and every other with a confidence of at least t
///   segments     the text is cut at ends of sentences; the best guess of every segment that is at
///                least t sure (the surest when none is)
///   cut          the text is cut in two at that word boundary where the less sure half is surest;
///                both halves' best guesses when they differ and both are at least t sure, else the
///                whole text's
#pragma once

#include "lib/eval/report.h"

#include <string>
#include <vector>

namespace semdns::eval {

/// Micro-averaged over rows.
struct SetScore {
  Rate precision, recall; ///< emitted zones that are right; labels that are emitted
  Rate exact;             ///< rows whose emitted zones are their labels, no more, no less
  double f1() const;
};

struct MultiPoint {
  double threshold = 0;
  SetScore all, several, single; ///< all rows; with two labels and more; with one
};

struct MultiRule {
  std::string name;
  std::vector<MultiPoint> points;
  size_t best = 0;     ///< the point with the highest F1 over all rows; the first of equals
  double resolves = 1; ///< of the runtime, for each row on average
};

struct MultiLevel {
  std::string name;                ///< "top" or "path"
  std::vector<SetScore> at;        ///< the first k listed zones, k = 1, 2, 3; all rows
  std::vector<SetScore> severalAt; ///< rows with two labels and more
  std::vector<MultiRule> rules;
};

struct MultiReport {
  std::string queries;
  uint64_t rows = 0, several = 0;
  std::vector<MultiLevel> levels;
};

/// Reads rows with "text" and "labels" (or a single "label"); unknown labels, no labels and other
/// bad rows are errors. nullopt after an error.
std::optional<MultiReport> evaluateMulti(Subject &subject, const std::vector<std::string> &files,
                                         const Settings &settings, Diagnostics &diagnostics);

std::string multiText(const Header &header, const MultiReport &report);
std::string multiJson(const Header &header, const MultiReport &report);

/// The text cut behind '.', '!', '?', ';' before a space, and at line ends; without empty pieces.
std::vector<std::string_view> sentences(std::string_view text);

} // namespace semdns::eval
