/// \file The embedding stage of a routing program for GPUs: one block of threads a query.
#pragma once

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

#include <memory>

namespace semdns::gpu {

/// Threads of a block; a multiple of 32, at most 1024, and at least SEMDNS_MAX_DIM / 4.
inline constexpr unsigned kThreads = 256;

/// Adds to a module with one route.program a gpu.module @semdns_gpu with the kernel that
/// include/semdns/format/gpu.h describes. Fails when the program has no embedding stage.
std::unique_ptr<mlir::Pass> createRouteToGpuPass();

/// From gpu.module to the NVVM dialect, with a target for `chip` ("sm_80") and `features`
/// ("+ptx80") attached, ready for gpu-module-to-binary.
void buildGpuToNVVMPipeline(mlir::OpPassManager &pm, llvm::StringRef chip,
                            llvm::StringRef features);

/// What serialisation to PTX needs beyond the dialects: translations and the NVVM target.
void registerGpuTranslations(mlir::DialectRegistry &registry);

/// Makes `route-to-gpu` and the pipelines `gpu-to-nvvm` and `gpu-to-ptx` (which replaces the
/// gpu.module by a gpu.binary that holds PTX) known to mlir-opt like tools.
void registerGpuPasses();

} // namespace semdns::gpu

namespace semdns {
/// For tools/semdns-opt.
inline void registerGpuPasses() { gpu::registerGpuPasses(); }
} // namespace semdns
