#include "lib/passes/gpu/passes.h"

#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVM/NVVM/Target.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

namespace semdns::gpu {

void buildGpuToNVVMPipeline(mlir::OpPassManager &pm, llvm::StringRef chip, llvm::StringRef features,
                            llvm::StringRef microKernels) {
  using namespace mlir;
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  GpuNVVMAttachTargetOptions target;
  target.chip = chip.str();
  target.features = features.str();
  target.optLevel = 3;
  if (!microKernels.empty())
    target.linkLibs.push_back(microKernels.str());
  pm.addPass(createGpuNVVMAttachTarget(target));
  pm.addPass(createSCFToControlFlowPass());
  ConvertGpuOpsToNVVMOpsOptions nvvm;
  nvvm.indexBitwidth = 64;
  pm.addNestedPass<::mlir::gpu::GPUModuleOp>(createConvertGpuOpsToNVVMOps(nvvm));
  pm.addPass(createConvertNVVMToLLVMPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void registerGpuTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerGPUDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::registerNVVMDialectTranslation(registry);
  mlir::NVVM::registerNVVMTargetInterfaceExternalModels(registry);
}

namespace {
struct ChipOptions : mlir::PassPipelineOptions<ChipOptions> {
  Option<std::string> chip{*this, "chip", llvm::cl::desc("NVIDIA chip"), llvm::cl::init("sm_80")};
  Option<std::string> features{*this, "features", llvm::cl::desc("PTX version"),
                               llvm::cl::init("+ptx80")};
  Option<std::string> microKernels{*this, "l", llvm::cl::desc("Micro-kernels to link, as bitcode")};
};
} // namespace

void registerGpuPasses() {
  static bool done = false; // tools may link two parts that both register
  if (done)
    return;
  done = true;
  mlir::registerPass([] { return createRouteToGpuPass(); });
  static mlir::PassPipelineRegistration<ChipOptions> toNVVM(
      "gpu-to-nvvm", "Lower a gpu.module to the NVVM dialect",
      [](mlir::OpPassManager &pm, const ChipOptions &options) {
        buildGpuToNVVMPipeline(pm, options.chip, options.features, options.microKernels);
      });
  static mlir::PassPipelineRegistration<ChipOptions> toPtx(
      "gpu-to-ptx", "Replace a gpu.module by a gpu.binary that holds PTX",
      [](mlir::OpPassManager &pm, const ChipOptions &options) {
        buildGpuToNVVMPipeline(pm, options.chip, options.features, options.microKernels);
        mlir::GpuModuleToBinaryPassOptions binary;
        binary.compilationTarget = "isa";
        pm.addPass(mlir::createGpuModuleToBinaryPass(binary));
      });
}

} // namespace semdns::gpu
