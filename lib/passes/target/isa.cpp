#include "lib/passes/target/isa.h"

namespace semdns::target {

llvm::ArrayRef<IsaTraits> allIsas() {
  static constexpr IsaTraits kIsas[] = {
      {SEMDNS_ISA_X86_64_V2, "x86-64-v2", "x86-64-v2", "", 16, 1, 64, 0},
      {SEMDNS_ISA_X86_64_V3, "x86-64-v3", "x86-64-v3", "", 32, 2, 128, 0},
      {SEMDNS_ISA_X86_64_V4, "x86-64-v4", "x86-64-v4", "", 64, 4, 512, 0},
      {SEMDNS_ISA_X86_64_V4_VNNI, "x86-64-v4+vnni", "x86-64-v4", "+avx512vnni", 64, 8, 512, 128},
  };
  return kIsas;
}

const IsaTraits *findIsa(semdns_isa isa) {
  for (const IsaTraits &traits : allIsas())
    if (traits.isa == isa)
      return &traits;
  return nullptr;
}

const IsaTraits *findIsa(llvm::StringRef name) {
  for (const IsaTraits &traits : allIsas())
    if (traits.name == name)
      return &traits;
  return nullptr;
}

} // namespace semdns::target
