/// \file Zone names (DNS style, leaf first) and labels (root to leaf, joined by '/').
///
/// A name is held as its levels, root to leaf, each the raw bytes of one DNS label. Its text form
/// is "contracts.legal." (root: "."), in which bytes other than a-z 0-9 '-' and non-ASCII UTF-8 are
/// escaped as DNS master files do (`\.`, `\063`), as is a '-' at either end of a level.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::spec {

/// Levels, root to leaf; empty for the root.
using Levels = std::vector<std::string>;

struct NameError {
  std::string message; ///< empty: no error
  std::string help;
};

/// Parses a zone name as written in a spec. Checks DNS rules: final dot, levels of 1..63 bytes, at
/// most 255 bytes in wire form, lower case letters, digits and '-' (not at the ends), escapes as
/// above. At most SEMDNS_MAX_DEPTH levels. On failure returns nullopt and fills `error`.
std::optional<Levels> parseName(std::string_view text, NameError &error);

/// One level in its text form, escaped.
std::string formatLevel(std::string_view level);

/// Text form; parseName(formatName(x)) == x for levels that mapLevel made.
std::string formatName(const Levels &levels);

/// One level of a label file as a name's level: lower case (Unicode, root locale), NFC, space and
/// '_' become '-'. Deterministic and idempotent; valid UTF-8 in, valid UTF-8 out.
std::string mapLevel(std::string_view original);

/// Splits a label at '/' ("legal/contracts"; "/" is the root: no levels), in the original spelling.
/// Refuses empty levels, control characters, levels whose mapped form exceeds 63 bytes, more than
/// SEMDNS_MAX_DEPTH levels, more than 255 bytes in wire form.
std::optional<Levels> splitLabel(std::string_view label, NameError &error);

/// mapLevel of each level.
Levels mapLevels(const Levels &original);

/// Levels joined by '/'; "/" for the root.
std::string joinPath(const Levels &levels);

} // namespace semdns::spec
