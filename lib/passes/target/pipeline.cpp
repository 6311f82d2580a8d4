#include "lib/passes/target/passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Vector/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace semdns::target {

void buildRouteToLLVMPipeline(mlir::OpPassManager &pm, llvm::StringRef isa) {
  using namespace mlir;
  if (const IsaTraits *traits = findIsa(isa))
    pm.addPass(createSplitDot4ChainsPass(traits->chains));
  pm.addPass(createLowerDot4Pass(isa));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(vector::createLowerVectorMultiReductionPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions func;
  func.useBarePtrCallConv = true;
  pm.addPass(createConvertFuncToLLVMPass(func));
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

namespace {
struct RouteToLLVMOptions : mlir::PassPipelineOptions<RouteToLLVMOptions> {
  Option<std::string> isa{*this, "isa", llvm::cl::desc("CPU level, or generic"),
                          llvm::cl::init("generic")};
};
} // namespace

void registerTargetPasses() {
  static bool done = false; // tools may link two parts that both register
  if (done)
    return;
  done = true;
  mlir::registerPass([] { return createLowerDot4Pass(); });
  mlir::registerPass([] { return createSplitDot4ChainsPass(); });
  static mlir::PassPipelineRegistration<RouteToLLVMOptions> pipeline(
      "route-to-llvm", "Lower the vector level with route.dot4 to the LLVM dialect",
      [](mlir::OpPassManager &pm, const RouteToLLVMOptions &options) {
        buildRouteToLLVMPipeline(pm, options.isa);
      });
}

} // namespace semdns::target
