/// \file Which CPU levels a test can run here, by the compiler's word: the runtime's own answer
/// (runtime/exec/isa.h) is among the things under test.
#pragma once

#include "semdns/format/artifact.h"

namespace semdns::test {

inline bool runsHere(semdns_isa isa) {
  switch (isa) {
  case SEMDNS_ISA_X86_64_V2:
    return __builtin_cpu_supports("x86-64-v2");
  case SEMDNS_ISA_X86_64_V3:
    return __builtin_cpu_supports("x86-64-v3");
  case SEMDNS_ISA_X86_64_V4:
    return __builtin_cpu_supports("x86-64-v4");
  case SEMDNS_ISA_X86_64_V4_VNNI:
    return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni");
  default:
    return false;
  }
}

} // namespace semdns::test
