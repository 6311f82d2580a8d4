/// \file Pattern libraries in memory: to PATS bytes and back, and whole .plib files.
#pragma once

#include "semdns/format/patterns.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::patterns {

/// One pattern; the fields are those of semdns_pattern.
struct Pattern {
  semdns_pattern_kind kind = SEMDNS_PATTERN_NGRAM;
  uint32_t words = 0;
  uint32_t count = 0;
  uint32_t documents = 0;
  uint32_t background = 0;
  int32_t score = 0; ///< Q16
  std::string text;
};

/// A pattern library. `patterns` is sorted by (kind, text) in a parsed one; build sorts for you.
struct PatternLibrary {
  std::map<std::string, std::string> meta; ///< META; "name" is the domain
  uint64_t serial = 1;
  uint64_t documentCount = 0, wordCount = 0, byteCount = 0, distinctWords = 0;
  uint64_t backgroundDocuments = 0;
  semdns_contrast contrast = SEMDNS_CONTRAST_RESIDUAL_IDF;
  std::vector<Pattern> patterns;
  /// Codec tables by tag: DICT, PHRS, TOKM, BYTM; a mode without them is not there.
  std::map<uint32_t, std::string> codecs;
  std::string statistics; ///< content of the STAT section (statistics.h); empty: none
  std::string partial;    ///< PART section (partial.h); empty but in partial libraries

  /// Patterns of one kind: [begin, end) in a parsed library.
  std::pair<const Pattern *, const Pattern *> ofKind(semdns_pattern_kind kind) const;
};

/// The PATS section. The patterns must be valid and distinct in (kind, text): a wrong one is a bug
/// in the caller, said on stderr, and the process aborts. The same library gives the same bytes.
std::string buildPats(const PatternLibrary &library);

/// Validates `bytes` as PATS (every count, offset, order, UTF-8, words) and fills the fields of
/// `library` that come from it. False sets `error` to one line with the offset in the section.
bool parsePats(std::string_view bytes, PatternLibrary &library, std::string &error);

/// The whole .plib file. On failure (META limits) returns "" and sets `error`.
std::string buildPlib(const PatternLibrary &library, std::string &error);

/// Why a file could not be read as a pattern library.
struct ReadError {
  std::string message;       ///< one line, without the file's name
  bool incompatible = false; ///< wrong version, kind or required feature: exit 4, else 1
};

/// Reads a .plib: the container with all its digests, then META, PATS, codec tables.
std::optional<PatternLibrary> parsePlib(std::string_view bytes, ReadError &error);
std::optional<PatternLibrary> readPlib(const std::string &path, ReadError &error);

} // namespace semdns::patterns
