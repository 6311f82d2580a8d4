/// \file The CPU levels that kernels are compiled for, as the code generator sees them.
#pragma once

#include "semdns/format/artifact.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace semdns::target {

/// What code generation must know about a level. All levels compute the same integers: they differ
/// in instructions only (docs/architecture.md, "Arithmetic").
struct IsaTraits {
  semdns_isa isa;
  llvm::StringLiteral name;     ///< as `--targets` and `SEMDNS_ISA` spell it
  llvm::StringLiteral cpu;      ///< LLVM's -mcpu
  llvm::StringLiteral features; ///< LLVM's -mattr, on top of the CPU's
  uint32_t vectorBytes;         ///< widest vector that pays: 16, 32 or 64
  uint32_t chains;              ///< independent dot4 sums (16 lanes each) that hide its latency
  uint32_t poolBlock;           ///< dimensions that pooling keeps in registers at a time
  uint32_t lhsBias;             ///< what `route.dot4` adds to its left operand: 0 or 128 (u8 x s8)
};

/// All levels that this version compiles for, in the order of their numbers.
llvm::ArrayRef<IsaTraits> allIsas();
/// Traits of one level, or null when this version does not compile for it.
const IsaTraits *findIsa(semdns_isa isa);
/// Traits by name, or null.
const IsaTraits *findIsa(llvm::StringRef name);

} // namespace semdns::target
