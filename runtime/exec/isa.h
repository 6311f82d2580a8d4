/// \file Which CPU levels this machine can run, by CPUID and the state the OS saves.
#pragma once

#include "semdns/format/artifact.h"

namespace semdns::exec {

/// "portable", "x86-64-v2", ... for a semdns_isa; null when the number names none.
const char *isaName(uint32_t isa);

/// The semdns_isa of a name; false when no level is called so.
bool isaFromName(const char *name, uint32_t &isa);

/// True when this machine and its operating system run code of that level. PORTABLE always runs.
bool isaRuns(uint32_t isa);

/// How desirable a level is: higher is faster. 0 for PORTABLE.
uint32_t isaRank(uint32_t isa);

} // namespace semdns::exec
