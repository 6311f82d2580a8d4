/// \file The micro-kernels (kernels/*entry.cpp) as LLVM bitcode.
#pragma once

#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace semdns::codegen {

/// Parses the embedded bitcode and prepares it for linking into a kernel: nothing of the machine it
/// was compiled for is left, and every function wants to be inlined.
llvm::Expected<std::unique_ptr<llvm::Module>> loadMicroKernels(llvm::LLVMContext &context);
/// The same of stage 3's (kernels/encode_entry.cpp).
llvm::Expected<std::unique_ptr<llvm::Module>> loadEncodeKernel(llvm::LLVMContext &context);
/// And the one of GPUs (kernels/gpu_entry.cpp).
llvm::Expected<std::unique_ptr<llvm::Module>> loadGpuKernel(llvm::LLVMContext &context);

} // namespace semdns::codegen
