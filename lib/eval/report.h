/// \file One evaluation as text, JSON and HTML.
#pragma once

#include "lib/eval/analysis.h"
#include "lib/eval/compare.h"
#include "lib/eval/drift.h"
#include "lib/eval/leakage.h"
#include "lib/eval/suggest.h"

#include <optional>
#include <string>

namespace semdns::eval {

/// What a report says besides figures.
struct Header {
  std::string artifact; ///< its path
  std::string name, digest, isa;
  uint64_t serial = 0;
  std::string queries; ///< files, joined by ", "
  uint64_t ignored = 0;
};
Header headerOf(const Subject &subject, const std::string &queries);

/// Leakage with the figures of the rows that leak and of the others.
struct LeakageReport {
  Leakage found;
  std::string training; ///< files
  const Rows *trainingRows = nullptr;
  Tally clean, leaked;
};

/// Everything that one run found out. The parts left out were not asked for.
struct Evaluation {
  Header header;
  const Subject *subject = nullptr;
  const Rows *rows = nullptr;
  std::vector<Result> results;
  std::optional<Tally> tally; ///< this and the next two: rows with labels
  std::optional<Analysis> analysis;
  std::optional<Guarantee> guarantee;
  std::string against; ///< the old artifact's file
  std::optional<Comparison> comparison;
  std::optional<LeakageReport> leakage;
  std::optional<Suggestions> suggestions;
  std::optional<Drift> drift;
  bool timing = false; ///< text: times too
};

constexpr size_t kFlipsShown = 20, kFlipsListed = 1000; ///< in text and HTML; in JSON
constexpr size_t kSuggestionsShown = 20;

/// For people, on a terminal.
std::string textReport(const Evaluation &evaluation);
/// One JSON object with everything, ending in a newline. Rates are {value, hits, total, low, high}
/// with the Wilson interval of 95 %; value is null when total is 0.
std::string jsonReport(const Evaluation &evaluation);
/// One HTML page that needs nothing else: figures, plots as SVG, texts escaped. No scripts.
std::string htmlReport(const Evaluation &evaluation);

} // namespace semdns::eval
