/// \file `build-hierarchy` as a function: spec in, one frozen artifact out.
#pragma once

#include "lib/driver/gate.h"
#include "lib/support/exit_codes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::driver {

/// What the command line says. Paths are as given; "-" is stdin or stdout where a file is meant.
struct BuildOptions {
  std::string spec;                      ///< hierarchy.txtpb, or empty with `fromExamples`
  std::vector<std::string> fromExamples; ///< derive the tree from these files' labels
  std::string rootLabel;                 ///< with fromExamples: rows with it belong to the root
  std::string output;                    ///< -o
  bool force = false;                    ///< -f: replace an existing output
  unsigned threads = 0;                  ///< -j; 0 = all cores. Never changes the result
  std::string name;                      ///< overrides the spec's
  std::optional<uint64_t> serial;        ///< overrides the spec's
  std::vector<std::string> targets;    ///< kernel levels and "ptx"; empty: the spec's, else default
  std::vector<std::string> cubins;     ///< "sm_90": assembled with the CUDA toolkit's ptxas
  std::string encoder;                 ///< folder of a sentence encoder; overrides the spec's
  uint32_t encoderLayers = 0;          ///< 0: the spec's, else all
  bool finetune = false;               ///< or the spec says so
  bool teachOnly = false;              ///< the encoder teaches and stays out of the artifact
  std::vector<std::string> unlabelled; ///< beside the spec's
  std::vector<std::string> calibration; ///< labelled files for the promise alone, beside the spec's
  std::optional<double> alpha, delta;   ///< override the spec's risk, each in (0, 1)
  /// Nodes of a level that stage 2 follows down a search tree, 1..8; 0: it scores all classes.
  /// Without a value: 3 beyond pack::kFlatClasses classes, where there is no encoder.
  std::optional<uint32_t> beam;
  std::string cache;                   ///< folder; empty: the default one; "none": no cache
  std::vector<std::string> keepCodecs; ///< artifacts whose codec tables go along
  std::string dumpSpec;                ///< write the spec (as derived) here
  std::string dumpIrTo;                ///< folder for the IR after each phase
  std::string stopAfter;               ///< spec | zone | route | lowered | llvm
  bool timing = false;                 ///< seconds of each phase on stderr
  bool warningsAreErrors = false;
  bool jsonDiagnostics = false;
  bool quiet = false; ///< no summary
  GateOptions gate;   ///< an old artifact whose right answers must stay
  uint64_t seed = 1;  ///< of the held-out split and the samplers
};

/// Runs the whole build: parse, train, lower, compile, pack, reopen with the runtime's own loader,
/// replay the golden queries, rename into place. Diagnostics go to stderr, the summary too. Either
/// the complete artifact stands at `output` when this returns kDone, or `output` is as it was.
/// One call at a time per process (LLVM's linker keeps global state).
ExitCode build(const BuildOptions &options);

} // namespace semdns::driver
