#include "lib/support/diagnostics.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace semdns {

void Diagnostics::error(Location where, std::string message, std::string help) {
  all_.push_back({Severity::Error, std::move(where), std::move(message), std::move(help)});
}

void Diagnostics::warning(Location where, std::string message, std::string help) {
  all_.push_back({Severity::Warning, std::move(where), std::move(message), std::move(help)});
}

void Diagnostics::note(Location where, std::string message) {
  all_.push_back({Severity::Note, std::move(where), std::move(message), {}});
}

size_t Diagnostics::errorCount() const {
  return static_cast<size_t>(std::count_if(all_.begin(), all_.end(), [&](const Diagnostic &d) {
    return d.severity == Severity::Error || (warningsAreErrors_ && d.severity == Severity::Warning);
  }));
}

bool Diagnostics::hasErrors() const { return errorCount() != 0; }

namespace {

const char *severityText(Severity severity) {
  switch (severity) {
  case Severity::Note:
    return "note";
  case Severity::Warning:
    return "warning";
  case Severity::Error:
    break;
  }
  return "error";
}

const char *severityColour(Severity severity) {
  switch (severity) {
  case Severity::Note:
    return "\033[1;36m";
  case Severity::Warning:
    return "\033[1;35m";
  case Severity::Error:
    break;
  }
  return "\033[1;31m";
}

} // namespace

void Diagnostics::print(FILE *out, bool json, size_t limit) const {
  const char *noColour = getenv("NO_COLOR");
  bool colour = isatty(fileno(out)) && (!noColour || !*noColour);
  size_t shown = 0;
  for (const Diagnostic &d : all_) {
    Severity severity =
        warningsAreErrors_ && d.severity == Severity::Warning ? Severity::Error : d.severity;
    if (shown++ == limit) {
      if (!json)
        fprintf(out, "... and %zu more\n", all_.size() - limit);
      return;
    }
    if (json) {
      nlohmann::ordered_json object = {
          {"severity", severityText(severity)}, {"file", d.where.file}, {"line", d.where.line},
          {"column", d.where.column},           {"message", d.message}, {"help", d.help}};
      std::string line =
          object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
      fprintf(out, "%s\n", line.c_str());
      continue;
    }
    std::string place = d.where.file;
    if (d.where.line) {
      place += ":" + std::to_string(d.where.line);
      if (d.where.column)
        place += ":" + std::to_string(d.where.column);
    }
    if (!place.empty())
      place += ": ";
    fprintf(out, "%s%s%s:%s %s\n", place.c_str(), colour ? severityColour(severity) : "",
            severityText(severity), colour ? "\033[0m" : "", d.message.c_str());
    if (!d.help.empty())
      fprintf(out, "  help: %s\n", d.help.c_str());
  }
}

namespace {

/// Optimal string alignment distance: edits and swaps of neighbours, each costing one.
size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

} // namespace

std::string nearest(std::string_view word, const std::vector<std::string> &candidates) {
  size_t best = 2 + word.size() / 4;
  std::string found;
  for (const std::string &candidate : candidates) {
    size_t difference =
        std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (difference >= best)
      continue; // also keeps a megabyte-long word from a quadratic comparison
    size_t distance = editDistance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string didYouMean(std::string_view word, const std::vector<std::string> &candidates) {
  std::string found = nearest(word, candidates);
  return found.empty() ? std::string() : "did you mean '" + found + "'?";
}

} // namespace semdns
