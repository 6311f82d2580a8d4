/// \file --fit-costs: what batches cost here, and what the scheduler makes of it.
#pragma once

#include "lib/support/json_lines.h"
#include "semdns/semdns.hpp"

#include <string>
#include <vector>

namespace semdns {

struct CostOptions {
  std::string output; ///< the costs, as JSON (lib/schedule/costs.h); replaced if it exists
  std::string trace;  ///< CSV of arrivals, or empty
  bool ablation = false;
};

/// Times batches of `rows` on one core and on every usable GPU, fits costs, writes them, and prints
/// them with what they predict; returns the tool's exit code.
int fitCosts(const Artifact &artifact, const std::vector<LabelledText> &rows, uint32_t stages,
             const CostOptions &options);

} // namespace semdns
