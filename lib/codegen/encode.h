/// \file What stage 3's micro-kernel (kernels/encode.h) leaves to the compiler: its shape and how a
/// CPU level multiplies bytes.
#pragma once

#include "lib/passes/target/isa.h"
#include "semdns/format/encoder.h"

#include "llvm/IR/Module.h"

namespace semdns::codegen {

/// Defines, in a module that holds the bitcode of kernels/encode_entry.cpp: `uk_encode_shape` as
/// `shape`, `uk_encode_target` and `uk_dot4` for `isa`.
void defineEncode(llvm::Module &module, const target::IsaTraits &isa,
                  const semdns_encm_header &shape);

} // namespace semdns::codegen
