/// \file Scenario files (docs/scenarios.md): a dispatcher led through scripted steps on a virtual
/// clock.
#pragma once

#include "lib/support/diagnostics.h"

#include <functional>
#include <string>
#include <string_view>

namespace semdns::sim {

struct ScenarioResult {
  uint32_t steps = 0, checks = 0;
  std::vector<Diagnostic> failures; ///< checks that found something else; where and what
  std::string log;                  ///< the decision log, JSON lines
};

/// Runs one scenario. A bad line is an error in `diags`, and the run ends there; a check that fails
/// is in the result, and the run goes on. `trace` (may be empty) gets a line for each thing that
/// happens. Files that it names are relative to `fileName`. The same text gives the same result.
ScenarioResult runScenario(std::string_view text, const std::string &fileName, Diagnostics &diags,
                           const std::function<void(const std::string &)> &trace = {});

} // namespace semdns::sim
