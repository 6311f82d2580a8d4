// semdns-opt: runs any pass of the compiler over textual IR, as mlir-opt does for MLIR's own.
#include "dialects/route/route.h"
#include "dialects/zone/zone.h"
#ifdef SEMDNS_HAS_PASSES
#include "lib/passes/passes.h"
#endif
#ifdef SEMDNS_HAS_PASSES_TARGET
#include "lib/passes/target/passes.h"
#endif
#ifdef SEMDNS_HAS_PASSES_GPU
#include "lib/passes/gpu/passes.h"
#endif

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<semdns::zone::ZoneDialect, semdns::route::RouteDialect, mlir::arith::ArithDialect,
                  mlir::cf::ControlFlowDialect, mlir::func::FuncDialect, mlir::gpu::GPUDialect,
                  mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect, mlir::math::MathDialect,
                  mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::ub::UBDialect,
                  mlir::vector::VectorDialect>();
  mlir::registerTransformsPasses();
  mlir::registerConversionPasses();
#ifdef SEMDNS_HAS_PASSES
  semdns::passes::registerPasses();
#endif
#ifdef SEMDNS_HAS_PASSES_TARGET
  semdns::registerTargetPasses();
#endif
#ifdef SEMDNS_HAS_PASSES_GPU
  semdns::registerGpuPasses();
#endif
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "semdns-opt: the compiler's passes, one by one\n", registry));
}
