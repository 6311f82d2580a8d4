/// \file From a routing program in MLIR to machine code: KCPU sections (ELF), objects to link, PTX.
#pragma once

#include "lib/passes/target/isa.h"
#include "semdns/format/encoder.h"
#include "semdns/kernel.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <string>

namespace semdns::codegen {

/// What a kernel is compiled for. `info.size`, `info.abi`, `info.isa` and `info.encoder` are filled
/// in by the code generator; the rest must state the artifact that the kernel will lie in.
struct KernelSpec {
  semdns_isa isa = SEMDNS_ISA_X86_64_V2;
  semdns_kernel_info_t info = {};
  /// The header of the artifact's ENCM section; null without one. Not owned. It is compiled in:
  /// semdns_kernel_encode is for this shape alone, and info.encoder says so.
  const semdns_encm_header *encoder = nullptr;
};

/// Looks inside a compilation. Every member may be empty.
struct DumpOptions {
  /// Called with the text after each phase: `route` (as given), `lowered` (MLIR's LLVM dialect),
  /// `llvm` (optimised LLVM IR), `asm`; for GPUs `gpu` (MLIR's NVVM dialect) and `ptx`.
  std::function<void(llvm::StringRef phase, llvm::StringRef text)> dump;
  /// Called with the seconds that each step took: `lower`, `translate`, `optimise`, `emit`, `link`.
  std::function<void(llvm::StringRef step, double seconds)> timing;
  /// `lowered` or `llvm`: stop behind that phase; the result is then empty.
  std::string stopAfter;
};

/// Everything that modules given to this library may hold, with the translations to LLVM IR.
void registerDialects(mlir::DialectRegistry &registry);

/// Compiles one routing program (a module with one route.program, or already lowered to a func.func
/// @semdns_route_body; left unchanged) for one CPU level. Returns the bytes of an ELF shared object
/// as include/semdns/kernel.h wants it: position-independent, no imports, at most RELATIVE
/// relocations, stripped, the same bytes for the same input. Fails with a message when the module
/// is not valid, when a micro-kernel call is left or when the code would call anything. One call at
/// a time per process: the linker has global state (a mutex guards it).
llvm::Expected<std::string> compileKernel(mlir::ModuleOp routeModule, const KernelSpec &spec,
                                          const DumpOptions *options = nullptr);

/// The same kernel as a relocatable object for services that forbid loading code at run time. Its
/// symbols are semdns_kernel_route_SUFFIX, semdns_kernel_info_SUFFIX and, with an encoder,
/// semdns_kernel_encode_SUFFIX, where SUFFIX is the level's name with every character that C does
/// not allow replaced by `_`: x86_64_v4_vnni.
llvm::Expected<std::string> emitObject(mlir::ModuleOp routeModule, const KernelSpec &spec,
                                       const DumpOptions *options = nullptr);

/// Compiles the embedding stage of one routing program (a module with one route.program, left
/// unchanged) to PTX for sm_80 and later; needs no CUDA. include/semdns/format/gpu.h has the launch
/// contract. Fails when the program has no embedding stage.
llvm::Expected<std::string> compilePtx(mlir::ModuleOp routeModule,
                                       const DumpOptions *options = nullptr);
/// The same as a cubin for one chip (90 = sm_90), by the CUDA toolkit's ptxas, which CUDA_HOME or
/// PATH must lead to.
llvm::Expected<std::string> compileCubin(mlir::ModuleOp routeModule, unsigned chip,
                                         const DumpOptions *options = nullptr);
/// What compileCubin's ptxas calls itself ("13.0.88"), for META; or why there is none.
llvm::Expected<std::string> ptxasVersion();
/// A KGPU section: header and image. `target` is 0 for PTX (a NUL is appended), else the chip.
std::string makeGpuSection(unsigned target, const semdns_kernel_info_t &info,
                           llvm::StringRef image);

/// Checks what the runtime's loader will insist on: ET_DYN for x86-64, exactly the exported symbols
/// of include/semdns/kernel.h (semdns_kernel_encode may be missing), nothing undefined, no
/// DT_NEEDED, relocations only RELATIVE, no segment both writable and executable. compileKernel has
/// done so already.
llvm::Error checkKernelElf(llvm::StringRef bytes);

} // namespace semdns::codegen
