/// \file A replayed trace (lib/sim/replay.h) as text, JSON and HTML.
#pragma once

#include "lib/sim/replay.h"

#include <optional>
#include <string>
#include <vector>

namespace semdns::eval {

struct TraceReport {
  const sim::Trace *trace = nullptr;
  std::vector<sim::ReplayResult> policies; ///< one a policy, at the same capacity
  std::vector<uint32_t> capacities;        ///< of the sweep, ascending; may be empty
  std::vector<sim::ReplayResult> sweep;    ///< [policy][capacity]
};

/// Least capacity at which the sweep's policy number `policy` has `share` of the infinite cache's
/// hits, on straight lines between the sweep's points; nullopt when it never has.
std::optional<double> capacityFor(const TraceReport &report, size_t policy, double share);

/// For people, on a terminal.
std::string traceText(const TraceReport &report);
/// One JSON object with everything, ending in a newline. Times are ms.
std::string traceJson(const TraceReport &report);
/// One HTML page that needs nothing else. No scripts.
std::string traceHtml(const TraceReport &report);

} // namespace semdns::eval
