/// \file Runs rows through the cascade, by the public ABI, and keeps what each answer said.
#pragma once

#include "lib/eval/tally.h"
#include "lib/support/json_lines.h"
#include "semdns/semdns.hpp"

#include <array>
#include <string>
#include <vector>

namespace semdns::eval {

/// The artifact's zones in index order.
std::vector<ZoneInfo> zonesOf(const Artifact &artifact);

/// An artifact opened for evaluation.
struct Subject {
  std::string file;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;
  std::vector<ZoneInfo> zones;

  /// An empty `artifact` with `error` filled when the file cannot be opened.
  static Subject open(const std::string &file, const OpenOptions &options, Error &error);
  static Subject of(const std::string &file, Artifact artifact, Error &error);
  /// Value of a META key, "" if absent.
  std::string meta(const char *key) const;
};

/// Rows of one or more files.
struct Rows {
  std::vector<std::string> files;
  std::vector<LabelledText> rows;
  std::vector<uint32_t> fileOf; ///< [rows]

  /// Appends a file's rows; problems go into `diagnostics`.
  void read(const std::string &file, bool requireLabel, Diagnostics &diagnostics);
  std::string place(uint32_t row) const; ///< "FILE:LINE"
  std::string names() const;             ///< files, joined by ", "
};

struct Candidate {
  uint32_t zone = 0, confidence = 0; ///< confidence is Q16: 65536 is certain
};

/// One row's answer. Confidences are Q16.
struct Result {
  uint32_t row = 0; ///< in Rows::rows
  Truth truth;      ///< root and known for rows without a label
  Outcome outcome;
  uint32_t confidence = 0, bestConfidence = 0, margin = 0;
  int32_t odds = INT32_MAX; ///< of the last stage that ran, 1/256 bit; INT32_MAX: none to tell
  uint32_t nanoseconds = 0; ///< of the fastest of Settings::passes
  /// What the last stage that has evidence would list (semdns_measure): its best guess, then
  /// others, best first. Where keywords decided, this is what the embedding thinks of it.
  std::array<Candidate, SEMDNS_TOP_MAX> candidates;
  uint32_t candidateCount = 0;
};

struct Settings {
  uint32_t stages = 0;         ///< mask of SEMDNS_STAGE_*; 0 = all that the artifact has
  std::string rootLabel;       ///< rows with it belong to the root; empty: only "/" does
  bool ignoreUnknown = false;  ///< leave out rows whose label no zone has
  uint64_t *ignored = nullptr; ///< how many those were; may be null
  uint32_t passes = 1;
};

/// Resolves all rows on one thread; `results` are in the rows' order. Returns SEMDNS_OK or the
/// library's refusal.
semdns_status resolveAll(Subject &subject, const Rows &rows, const Settings &settings,
                         std::vector<Result> &results);

/// Counts over results, or over those of them that `keep` (by row) says; null keeps all.
Tally tallyOf(const Subject &subject, const Rows &rows, const std::vector<Result> &results,
              const std::vector<bool> *keep = nullptr);

} // namespace semdns::eval
