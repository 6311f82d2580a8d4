/// \file Many rows: streamed, answered in batches on GPUs or on all cores, in order.
#pragma once

#include "semdns/semdns.hpp"

#include <string>

namespace semdns::tools {

struct BulkOptions {
  std::string input;           ///< JSON lines, plain or as zstd; "-" is stdin
  std::string output;          ///< file, or empty: stdout
  std::string device = "auto"; ///< auto, cpu or cuda:N
  bool resume = false;         ///< go on behind the last whole line of `output`
  bool force = false;          ///< replace an existing output
  uint32_t stages = 0;
  unsigned jobs = 0; ///< threads; 0: all cores
};

/// Whether `device` is a name that BulkOptions takes.
bool isDevice(const std::string &device);

/// Answers every row with one JSON line, in input order, and returns the tool's exit code. Memory
/// is bounded by a block of input, whatever its length. An output file grows by whole blocks; while
/// it is incomplete a file beside it (".state") says what it is the output of, and `resume` refuses
/// another artifact or other stages.
int resolveBulk(const Artifact &artifact, const BulkOptions &options);

} // namespace semdns::tools
