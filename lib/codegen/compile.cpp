#include "dialects/route/route.h"
#include "lib/codegen/codegen.h"
#include "lib/codegen/dumps.h"
#include "lib/codegen/encode.h"
#include "lib/codegen/link.h"
#include "lib/codegen/micro_kernels.h"
#include "lib/passes/gpu/passes.h"
#include "lib/passes/passes.h"
#include "lib/passes/target/passes.h"
#include "runtime/artifact/encoder.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/AlwaysInliner.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/Scalar/SCCP.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <cstring>

namespace semdns::codegen {
namespace {

constexpr llvm::StringLiteral kRoute = "semdns_kernel_route";
constexpr llvm::StringLiteral kEncode = "semdns_kernel_encode";
constexpr llvm::StringLiteral kInfo = "semdns_kernel_info";
constexpr llvm::StringLiteral kBody = "semdns_route_body";

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeMachine(const target::IsaTraits &isa) {
  static const bool initialised = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)initialised;
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return fail(error);
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, isa.cpu, isa.features, llvm::TargetOptions(), llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return fail("LLVM has no code generator for " + isa.name);
  return std::move(machine);
}

/// semdns_kernel_info as a constant.
void addInfo(llvm::Module &module, const KernelSpec &spec) {
  semdns_kernel_info_t info = spec.info;
  info.size = sizeof info;
  info.abi = SEMDNS_KERNEL_ABI;
  info.isa = spec.isa;
  info.encoder = spec.encoder ? artifact::encoderShapeId(*spec.encoder) : 0;
  uint32_t words[sizeof info / sizeof(uint32_t)];
  std::memcpy(words, &info, sizeof info);
  auto *data = llvm::ConstantDataArray::get(module.getContext(), llvm::ArrayRef<uint32_t>(words));
  auto *global = new llvm::GlobalVariable(module, data->getType(), /*isConstant=*/true,
                                          llvm::GlobalValue::ExternalLinkage, data, kInfo);
  global->setAlignment(llvm::Align(64));
}

bool isExported(const llvm::Function &f) { return f.getName() == kRoute || f.getName() == kEncode; }

/// What holds for every function of a kernel. LLVM inlines only between functions that agree.
void setFunctionAttributes(llvm::Module &module, const target::IsaTraits &isa) {
  for (llvm::Function &f : module) {
    if (f.isIntrinsic())
      continue;
    f.addFnAttr("target-cpu", isa.cpu);
    if (!isa.features.empty())
      f.addFnAttr("target-features", isa.features);
    f.addFnAttr("no-builtins"); // else loops become calls of memset and memcpy
    f.addFnAttr("prefer-vector-width", llvm::utostr(isa.vectorBytes * 8));
    f.setDoesNotThrow();
    if (f.isDeclaration())
      continue;
    bool exported = isExported(f);
    f.setLinkage(exported ? llvm::GlobalValue::ExternalLinkage
                          : llvm::GlobalValue::InternalLinkage);
    f.setVisibility(llvm::GlobalValue::DefaultVisibility);
    f.setDSOLocal(true);
    if (!exported) {
      f.removeFnAttr(llvm::Attribute::NoInline);
      f.addFnAttr(llvm::Attribute::AlwaysInline);
    }
  }
  // The lowered program's buffers are distinct, or read-only.
  for (llvm::StringRef name : {llvm::StringRef(kBody), llvm::StringRef(passes::kScoreNode)})
    if (llvm::Function *f = module.getFunction(name); f && !f->isDeclaration())
      for (llvm::Argument &argument : f->args())
        if (argument.getType()->isPointerTy())
          argument.addAttr(llvm::Attribute::NoAlias);
}

/// Nothing may be left to call: neither a micro-kernel that was not inlined nor the C library.
llvm::Error checkNoCalls(const llvm::Module &module) {
  for (const llvm::Function &f : module) {
    if (f.isIntrinsic() || isExported(f))
      continue;
    if (!f.isDeclaration())
      return fail("'" + f.getName() + "' was not inlined into the kernel");
    if (!f.use_empty())
      return fail("the kernel would call '" + f.getName() + "'");
  }
  for (const llvm::GlobalVariable &global : module.globals())
    if (global.getName() != kInfo && (!global.isConstant() || !global.hasLocalLinkage()) &&
        !global.use_empty())
      return fail("the kernel would have the variable '" + global.getName() + "'");
  return llvm::Error::success();
}

/// `module` lowered to optimised LLVM IR with the micro-kernels inlined; null when stopped early.
llvm::Expected<std::unique_ptr<llvm::Module>>
makeModule(mlir::ModuleOp routeModule, const KernelSpec &spec, const target::IsaTraits &isa,
           llvm::TargetMachine &machine, llvm::LLVMContext &llvmContext,
           const DumpOptions *options) {
  mlir::MLIRContext &context = *routeModule.getContext();
  mlir::DialectRegistry registry;
  registerDialects(registry);
  context.appendDialectRegistry(registry);

  dump(options, "route", [&](llvm::raw_ostream &out) { routeModule.print(out); });
  mlir::OwningOpRef<mlir::ModuleOp> lowered(routeModule.clone());
  {
    Step step(options, "lower");
    ErrorCollector errors(context);
    mlir::PassManager pm(&context);
    if (!lowered->getOps<route::ProgramOp>().empty()) {
      passes::RouteToVectorOptions vector;
      vector.lhsBias = static_cast<int>(isa.lhsBias);
      vector.poolBlock = isa.poolBlock;
      pm.addPass(passes::createRouteToVectorPass(vector));
    }
    target::buildRouteToLLVMPipeline(pm, isa.name);
    if (mlir::failed(pm.run(*lowered)))
      return fail("lowering the routing program for " + isa.name + " failed: " + errors.text());
  }
  dump(options, "lowered", [&](llvm::raw_ostream &out) { lowered->print(out); });
  if (options && options->stopAfter == "lowered")
    return nullptr;

  std::unique_ptr<llvm::Module> module;
  {
    Step step(options, "translate");
    module = mlir::translateModuleToLLVMIR(*lowered, llvmContext, "semdns");
    if (!module)
      return fail("translation to LLVM IR failed");
    auto kernels = loadMicroKernels(llvmContext);
    if (!kernels)
      return kernels.takeError();
    module->setTargetTriple(machine.getTargetTriple());
    module->setDataLayout(machine.createDataLayout());
    (*kernels)->setDataLayout(machine.createDataLayout());
    (*kernels)->setTargetTriple(machine.getTargetTriple());
    if (!module->getFunction(kBody) || module->getFunction(kBody)->isDeclaration())
      return fail("the module holds no routing program");
    // The wrapper declares the body as C sees it; types and number of arguments must agree.
    const llvm::Function *body = module->getFunction(kBody);
    const llvm::Function *declared = (*kernels)->getFunction(kBody);
    if (!declared || body->getFunctionType() != declared->getFunctionType())
      return fail("semdns_route_body does not have the arguments that kernels/entry.cpp passes");
    if (llvm::Linker::linkModules(*module, std::move(*kernels)))
      return fail("the micro-kernels and the routing program do not fit together");
    if (spec.encoder) {
      auto encode = loadEncodeKernel(llvmContext);
      if (!encode)
        return encode.takeError();
      (*encode)->setDataLayout(machine.createDataLayout());
      (*encode)->setTargetTriple(machine.getTargetTriple());
      defineEncode(**encode, isa, *spec.encoder);
      if (llvm::Linker::linkModules(*module, std::move(*encode)))
        return fail("the encoder's micro-kernel and the routing program do not fit together");
    }
    module->setSourceFileName("semdns");
    addInfo(*module, spec);
    setFunctionAttributes(*module, isa);
    if (llvm::verifyModule(*module))
      return fail("the kernel's LLVM IR is not valid");
  }
  {
    Step step(options, "optimise");
    llvm::LoopAnalysisManager lam;
    llvm::FunctionAnalysisManager fam;
    llvm::CGSCCAnalysisManager cgam;
    llvm::ModuleAnalysisManager mam;
    llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
    library.disableAllFunctions(); // a kernel calls nothing
    fam.registerPass([&] { return llvm::TargetLibraryAnalysis(library); });
    llvm::PassBuilder builder(&machine);
    builder.registerModuleAnalyses(mam);
    builder.registerCGSCCAnalyses(cgam);
    builder.registerFunctionAnalyses(fam);
    builder.registerLoopAnalyses(lam);
    builder.crossRegisterProxies(lam, fam, cgam, mam);
    llvm::ModulePassManager passes;
    if (spec.encoder) { // of its variants one is for this level: the others need not be inlined
      llvm::FunctionPassManager choose;
      choose.addPass(llvm::SCCPPass());
      choose.addPass(llvm::SimplifyCFGPass());
      passes.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(choose)));
      passes.addPass(llvm::GlobalDCEPass());
    }
    passes.addPass(llvm::AlwaysInlinerPass());
    passes.addPass(builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3));
    passes.run(*module, mam);
  }
  dump(options, "llvm", [&](llvm::raw_ostream &out) { module->print(out, nullptr); });
  if (auto error = checkNoCalls(*module))
    return std::move(error);
  if (options && options->stopAfter == "llvm")
    return nullptr;
  return std::move(module);
}

llvm::Expected<std::string> emit(llvm::Module &module, llvm::TargetMachine &machine,
                                 llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  passes.add(new llvm::TargetLibraryInfoWrapperPass(library));
  if (machine.addPassesToEmitFile(passes, out, nullptr, type))
    return fail("LLVM cannot emit this kind of file");
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

/// An object file, and the `asm` dump on the way.
llvm::Expected<std::string> makeObject(llvm::Module &module, llvm::TargetMachine &machine,
                                       const DumpOptions *options) {
  if (wantsDump(options)) {
    auto copy = llvm::CloneModule(module); // code generation changes the module
    auto text = emit(*copy, machine, llvm::CodeGenFileType::AssemblyFile);
    if (!text)
      return text.takeError();
    options->dump("asm", *text);
  }
  Step step(options, "emit");
  return emit(module, machine, llvm::CodeGenFileType::ObjectFile);
}

llvm::Expected<const target::IsaTraits *> traitsOf(const KernelSpec &spec) {
  if (const target::IsaTraits *isa = target::findIsa(spec.isa))
    return isa;
  return fail("this version does not compile for level " + llvm::Twine(unsigned(spec.isa)));
}

/// A program as an object file for one level, its symbols ending in `suffix`; empty when
/// options->stopAfter asked for an earlier end.
llvm::Expected<std::string> compileObject(mlir::ModuleOp routeModule, const KernelSpec &spec,
                                          const target::IsaTraits &isa, const std::string &suffix,
                                          const DumpOptions *options) {
  auto machine = makeMachine(isa);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext llvmContext;
  auto module = makeModule(routeModule, spec, isa, **machine, llvmContext, options);
  if (!module)
    return module.takeError();
  if (!*module)
    return std::string();
  (*module)->getFunction(kRoute)->setName(kRoute + suffix);
  if (llvm::Function *encode = (*module)->getFunction(kEncode))
    encode->setName(kEncode + suffix);
  (*module)->getGlobalVariable(kInfo)->setName(kInfo + suffix);
  return makeObject(**module, **machine, options);
}

} // namespace

void registerDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllToLLVMIRTranslations(registry);
  gpu::registerGpuTranslations(registry);
  registry.insert<route::RouteDialect>();
}

llvm::Expected<std::string> compileKernel(mlir::ModuleOp routeModule, const KernelSpec &spec,
                                          const DumpOptions *options) {
  auto isa = traitsOf(spec);
  if (!isa)
    return isa.takeError();
  auto object = compileObject(routeModule, spec, **isa, "", options);
  if (!object || object->empty())
    return object;
  Step step(options, "link");
  auto shared = linkKernel(*object);
  if (!shared)
    return shared.takeError();
  if (auto error = checkKernelElf(*shared))
    return std::move(error);
  return std::move(*shared);
}

llvm::Expected<std::string> emitObject(mlir::ModuleOp routeModule, const KernelSpec &spec,
                                       const DumpOptions *options) {
  auto isa = traitsOf(spec);
  if (!isa)
    return isa.takeError();
  std::string suffix = "_" + (*isa)->name.str();
  for (char &c : suffix)
    if (!llvm::isAlnum(c))
      c = '_';
  return compileObject(routeModule, spec, **isa, suffix, options);
}

} // namespace semdns::codegen
