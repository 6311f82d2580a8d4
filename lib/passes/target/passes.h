/// \file From the vector level with `route.dot4` to LLVM's dialect, per CPU level.
#pragma once

#include "lib/passes/target/isa.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

#include <memory>

namespace semdns::target {

/// Replaces every `route.dot4` by the instructions of one level, exactly: s8 operands in -127..127
/// cannot saturate any of the expansions. `isa` is the name of a level (isa.h) or `generic`:
/// extend, multiply, add, which every target can run and tests compare with. Fails on other names.
std::unique_ptr<mlir::Pass> createLowerDot4Pass(llvm::StringRef isa = "generic");

/// Gives loops that only add up `route.dot4` at least `chains` independent sums where the number of
/// rounds allows, so that one need not wait for the other. Results do not change.
std::unique_ptr<mlir::Pass> createSplitDot4ChainsPass(unsigned chains = 8);

/// Both passes, then func/scf/vector/memref/arith down to the LLVM dialect. Functions keep
/// plain pointers for static 1-D memrefs (bare-pointer convention).
void buildRouteToLLVMPipeline(mlir::OpPassManager &pm, llvm::StringRef isa);

/// Makes `route-lower-dot4{isa=NAME}`, `route-split-dot4-chains{chains=N}` and the pipeline
/// `route-to-llvm{isa=NAME}` known to mlir-opt like tools. NAME is `generic` or one of
/// target::allIsas().
void registerTargetPasses();

} // namespace semdns::target

namespace semdns {
/// For tools/semdns-opt.
inline void registerTargetPasses() { target::registerTargetPasses(); }
} // namespace semdns
