/// \file Corpora: one deterministic way to read documents out of files and folders.
///
/// A path is a text file, a JSON-lines file, a zstd-compressed file of either, a folder of such
/// files, or "-" for stdin. What a file is, its bytes say, not only its name:
///
/// - zstd: starts with the frame magic (several frames one after another are one file);
/// - JSON lines: named *.jsonl or *.ndjson (before .zst), or the first line is an object with a
///   string "text". Each row is a document, its "label" and "owner" come along; other keys are
///   ignored;
/// - text otherwise: each block between blank lines is a document. A block longer than
///   kMaxBlockBytes is cut at a line end.
///
/// Folders are read recursively in bytewise order of the relative path. Names that start with '.'
/// are skipped; symbolic links are followed, each real folder and file is read once. Nothing is
/// held in memory beyond the document at hand.
///
/// Errors are located (file, line, byte column): unreadable or missing path, empty corpus, binary
/// data, UTF-16, wrong UTF-8, a line longer than kMaxLineBytes, a truncated or damaged zstd frame,
/// rows that are no objects or lack "text". Binary files inside a folder are skipped with a
/// warning.
#pragma once

#include "lib/support/diagnostics.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::mine {

/// Longest line read; a longer one is an error (it is no text that anybody wrote).
inline constexpr size_t kMaxLineBytes = size_t(16) << 20;
/// Longest block of a text file that stays one document.
inline constexpr size_t kMaxBlockBytes = size_t(1) << 20;

/// One document. The views live until the callback returns.
struct Document {
  std::string_view text;  ///< well-formed UTF-8, not blank; lines joined by '\n', no final '\n'
  std::string_view file;  ///< the path it came from, as reached from the given paths
  uint32_t line = 0;      ///< 1-based line that it starts at
  bool hasLabel = false;  ///< a JSON row with a string "label"
  std::string_view label; ///< the label's bytes, if hasLabel
  std::string_view owner; ///< a JSON row's string "owner": whose text it is; empty: not said
  uint32_t fileIndex = 0; ///< of `file` in the list that forEachDocument was given
};

/// A file that a list of paths leads to.
struct CorpusFile {
  std::string path;      ///< as reached from the given path; "-" is stdin
  uint64_t size = 0;     ///< bytes on disk; 0 for stdin
  bool inFolder = false; ///< found in a folder, not named by the caller
  uint32_t input = 0;    ///< which of the paths led to it
};

/// The files that `paths` lead to, in reading order. Missing paths, folders without files and link
/// loops are reported into `diags`.
std::vector<CorpusFile> listCorpusFiles(const std::vector<std::string> &paths, Diagnostics &diags);

/// Calls `visit` for each document of `paths`, in the order of `paths`; it returns false to stop
/// early. `progress`, if set, is told now and then how many bytes of the files are read so far.
/// Returns false when an error was reported into `diags` (documents before it were delivered).
/// Thread-safe for different `diags`.
bool forEachDocument(const std::vector<std::string> &paths, Diagnostics &diags,
                     const std::function<bool(const Document &)> &visit,
                     const std::function<void(uint64_t)> &progress = {});
/// The same for files that listCorpusFiles gave.
bool forEachDocument(const std::vector<CorpusFile> &files, Diagnostics &diags,
                     const std::function<bool(const Document &)> &visit,
                     const std::function<void(uint64_t)> &progress = {});

} // namespace semdns::mine
