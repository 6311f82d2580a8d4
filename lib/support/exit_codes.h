/// \file Exit codes of every semdns tool; scripts may rely on them (docs/tools.md).
#pragma once

namespace semdns {

enum ExitCode : int {
  kDone = 0,         ///< the job is done
  kRejected = 1,     ///< an input was damaged, unreadable or refused
  kUsage = 2,        ///< wrong command line
  kNegative = 3,     ///< the job ran and the verdict is no: failing test{}, missed gate
  kIncompatible = 4, ///< wrong version, kind or required feature
  kInternal = 5,     ///< a bug in semdns
};

} // namespace semdns
