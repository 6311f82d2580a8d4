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

/// Parses JSON lines, split at '\n' only (U+2028 and '\r' are data); blank lines are skipped.
/// Wrong UTF-8 is an error with line and byte column, as are lines that are not objects, lack a
/// string "text", have a "label" that is not a string or, with `requireLabel`, lack it. Reports
/// every bad line into `diags` (at most 20 a file, then one summary) and returns the good rows.
std::vector<LabelledText> parseJsonLines(std::string_view bytes, const std::string &fileName,
                                         bool requireLabel, Diagnostics &diags);

/// Reads and parses a file ("-" is stdin); a missing, empty or binary file is an error.
std::vector<LabelledText> readJsonLines(const std::string &path, bool requireLabel,
                                        Diagnostics &diags);

} // namespace semdns
