/// \file Query and example files: JSON lines with "text" and optionally "label".
#pragma once

#include "lib/support/diagnostics.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns {

/// One row. Other keys of the object are ignored.
struct LabelledText {
  std::string text;
  std::optional<std::string> label;
  uint32_t line = 0; ///< 1-based line in its file
};

/// What to do with text that is not UTF-8, or that a JSON string escapes as half a surrogate pair.
enum class BadText {
  Reject, ///< an error: training and labelled data should be clean
  Keep,   ///< the row's text holds the ill-formed bytes: the runtime answers any bytes
};

/// Parses JSON lines, split at '\n' only (U+2028 and '\r' are data); blank lines are skipped.
/// Wrong UTF-8 is an error with line and byte column, as are lines that are not objects, lack a
/// string "text", have a "label" that is not a string or, with `requireLabel`, lack it. Reports
/// every bad line into `diags` (at most 20 a call, then one summary) and returns the good rows; the
/// first line of `bytes` is the file's line `firstLine`.
std::vector<LabelledText> parseJsonLines(std::string_view bytes, const std::string &fileName,
                                         bool requireLabel, Diagnostics &diags,
                                         BadText badText = BadText::Reject, uint32_t firstLine = 1);

/// Reads and parses a file ("-" is stdin); a missing, empty or binary file is an error.
std::vector<LabelledText> readJsonLines(const std::string &path, bool requireLabel,
                                        Diagnostics &diags, BadText badText = BadText::Reject);

} // namespace semdns
