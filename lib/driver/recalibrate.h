/// \file Another calibration for a finished artifact: `build-hierarchy --recalibrate=old.sdna`.
#pragma once

#include "lib/calibrate/calibrate.h"
#include "lib/spec/spec.h"
#include "lib/spec/tree.h"
#include "lib/support/exit_codes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::driver {

/// Appends the rows of labelled JSON lines files to `rows`, as Part::Calibrate. Labels name zones
/// as those of examples do; rows with `rootLabel` (empty: only "/") are out of scope. A label
/// without a zone is an error at its line. For a build with `--calibration=F` or the spec's
/// `calibration`:
///
///     readCalibration(input_.spec.calibration, input_.tree, input_.spec.rootLabel, rows, diags_)
///     warnAboutLeakage(rows, trainingTexts, {sourceName_, 0, 0}, threads(), diags_)
void readCalibration(const std::vector<spec::FileRef> &files, const spec::ZoneTree &tree,
                     const std::string &rootLabel, std::vector<calibrate::Row> &rows,
                     Diagnostics &diags);

/// Warns where Calibrate rows are near copies of `training` texts (lib/calibrate/leakage.h).
void warnAboutLeakage(const std::vector<calibrate::Row> &rows,
                      const std::vector<std::string_view> &training, const Location &source,
                      unsigned threads, Diagnostics &diags);

/// What the command line says.
struct RecalibrateOptions {
  std::string artifact;                 ///< --recalibrate
  std::vector<std::string> calibration; ///< --calibration
  std::string output;                   ///< -o
  bool force = false;                   ///< -f
  std::string rootLabel;                ///< default: the artifact's
  std::optional<uint64_t> serial;       ///< default: the old one + 1
  std::optional<double> alpha, delta;   ///< default: the artifact's
  unsigned threads = 0;                 ///< 0: all cores. Never changes the result
  bool warningsAreErrors = false, jsonDiagnostics = false, quiet = false;
};

/// Opens the artifact, measures the rows with it, tests its own sequence of thresholds (META
/// risk.sequence) on them and writes a file that differs in CLSF, HEAD and META only, and in GOLD
/// where tests are answered otherwise. Nothing is trained. Fails (kNegative) when a test of the
/// artifact no longer passes. The output is written when this returns kDone, else left as it was.
ExitCode recalibrate(const RecalibrateOptions &options);

} // namespace semdns::driver
