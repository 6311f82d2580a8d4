/// \file A release gate: what the artifact before answered right must stay right.
#pragma once

#include "lib/support/diagnostics.h"
#include "lib/support/exit_codes.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::driver {

struct GateOptions {
  std::string against;                     ///< the old artifact; empty: no gate
  uint64_t maxRegressions = 0;             ///< so many are let pass
  std::vector<std::string> regressionSets; ///< labelled JSON lines, beside the old one's GOLD
  bool quiet = false;                      ///< no summary line on stderr when the gate is met
};

/// Asks the old artifact's golden queries (right: answered by the zone that they expect or one
/// below it) and the rows of the regression sets (right: answered by the label's zone itself) of
/// both artifacts, and adds a diagnostic with both answers for each query that only the old one has
/// right: errors when there are more than `maxRegressions`, else warnings. Zones are the same when
/// their paths are. Labels are the new artifact's, `rootLabel` and all; one that it does not know
/// is an error at its line.
///
/// kDone: the gate is met (or there is none); kNegative: it is not; kRejected, kIncompatible: the
/// old artifact or a set cannot be read. Writes nothing but the summary.
///
/// A build calls it with the finished bytes, before it writes them:
///
///     if (ExitCode code = checkRegressions(bytes, options_.gate, input_.spec.rootLabel, diags_);
///         code != kDone)
///       return finish(code);
ExitCode checkRegressions(std::string_view bytes, const GateOptions &options,
                          const std::string &rootLabel, Diagnostics &diags);

} // namespace semdns::driver
