/// \file Located errors, warnings and notes, collected so that one run reports all of them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace semdns {

/// A place in an input file. `line` and `column` count from 1; 0 means "the file as a whole".
/// Columns count bytes, as compilers and editors' `file:line:column` links do.
struct Location {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
};

enum class Severity { Note, Warning, Error };

struct Diagnostic {
  Severity severity = Severity::Error;
  Location where;
  std::string message; ///< what is wrong, lower case, no final dot
  std::string help;    ///< what would be right; may be empty
};

/// Collects diagnostics in the order they arise. Not thread-safe.
class Diagnostics {
public:
  void error(Location where, std::string message, std::string help = {});
  void warning(Location where, std::string message, std::string help = {});
  void note(Location where, std::string message);

  /// From now on warnings count as errors (`--Werror`), those already there included.
  void setWarningsAreErrors(bool on) { warningsAreErrors_ = on; }
  bool hasErrors() const;
  size_t errorCount() const;
  const std::vector<Diagnostic> &all() const { return all_; }

  /// `file:line:column: error: message` lines with the help below, or with `json` one JSON object a
  /// line: {"severity","file","line","column","message","help"}. At most `limit` of them.
  void print(FILE *out, bool json = false, size_t limit = 50) const;

private:
  std::vector<Diagnostic> all_;
  bool warningsAreErrors_ = false;
};

/// The candidate nearest to `word` (Damerau-Levenshtein), if near enough to be a likely typo
/// (distance at most 1 + size/4); empty otherwise. Ties: the first.
std::string nearest(std::string_view word, const std::vector<std::string> &candidates);
/// "did you mean 'x'?" or empty.
std::string didYouMean(std::string_view word, const std::vector<std::string> &candidates);

} // namespace semdns
