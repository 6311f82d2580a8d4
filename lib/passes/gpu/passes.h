/// \file A routing program for GPUs.
#pragma once

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

#include <memory>

namespace semdns::gpu {

/// Shared memory that every chip from sm_80 on but the small ones (sm_86, sm_89, sm_120) gives a
/// block.
inline constexpr int64_t kMostShared = 163 << 10;

/// How the kernels of a program are laid out; indices and strides in 32-bit words.
struct GpuShape {
  unsigned threads = 0, readThreads = 128;
  unsigned room = 0;                             ///< entries for each byte of text (format/gpu.h)
  int64_t tile = 0;                              ///< texts of a block
  int64_t gainAt = 0, quantAt = 0, scoresAt = 0; ///< in shared memory, behind the table of 2^-x
  int64_t quantStride = 0, scoreStride = 0;
  int64_t roundedClasses = 0; ///< to 128
  int64_t scoreWords = 0;     ///< of a text in device memory; 0: the scores stay in shared memory
  int64_t sharedBytes = 0;
};
GpuShape shapeFor(int64_t dim, int64_t classes, int64_t charMin, int64_t charMax);

/// Adds to a module with one route.program a gpu.module @semdns_gpu with the kernels that
/// include/semdns/format/gpu.h describes. One of them calls the micro-kernel uk_gpu_read, which is
/// to be linked in. Fails when the program has no embedding stage.
std::unique_ptr<mlir::Pass> createRouteToGpuPass();

/// From gpu.module to the NVVM dialect, with a target for `chip` ("sm_80") and `features`
/// ("+ptx80") attached, ready for gpu-module-to-binary, which will link the bitcode file at
/// `microKernels` (empty: none).
void buildGpuToNVVMPipeline(mlir::OpPassManager &pm, llvm::StringRef chip, llvm::StringRef features,
                            llvm::StringRef microKernels);

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
