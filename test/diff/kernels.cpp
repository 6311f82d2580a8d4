#include "test/diff/kernels.h"

#include "lib/codegen/codegen.h"
#include "lib/passes/import.h"
#include "lib/passes/passes.h"
#include "test/runs_here.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <cstdio>
#include <cstdlib>

namespace semdns::diff {
namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "test/diff: %s\n", why.c_str());
  std::abort();
}

/// The route module that all levels start from.
mlir::OwningOpRef<mlir::ModuleOp> makeProgram(mlir::MLIRContext &context,
                                              const test::TestModel &model, uint32_t bucketCount) {
  mlir::DialectRegistry registry;
  codegen::registerDialects(registry);
  context.appendDialectRegistry(registry);
  passes::ImportOptions options;
  options.name = "random";
  options.layout = model.layout;
  options.bucketCount = bucketCount;
  auto module = passes::importModel(context, model.tree, model.model, options);
  if (!module)
    die("importModel refuses the model");
  mlir::PassManager pm(&context);
  pm.addPass(mlir::createCanonicalizerPass());
  pm.addPass(passes::createZoneToRoutePass());
  pm.addPass(mlir::createCanonicalizerPass());
  if (mlir::failed(pm.run(*module)))
    die("zone-to-route refuses the model");
  return module;
}

} // namespace

std::vector<Kernel> compileKernels(const test::TestModel &model, uint32_t bucketCount) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto module = makeProgram(context, model, bucketCount);
  std::vector<Kernel> kernels;
  for (const target::IsaTraits &isa : target::allIsas()) {
    if (!test::runsHere(isa.isa))
      continue;
    codegen::KernelSpec spec;
    spec.isa = isa.isa;
    spec.info.layout = model.layout;
    auto elf = codegen::compileKernel(*module, spec);
    if (!elf)
      die(llvm::toString(elf.takeError()));
    Kernel kernel;
    kernel.name = isa.name.str();
    kernel.elf = std::move(*elf);
    artifact::Elf parsed;
    artifact::ElfSymbol symbol;
    base::Error error{};
    if (!artifact::Elf::parse(kernel.elf.data(), kernel.elf.size(), parsed, error))
      die(kernel.name + ": " + error.message);
    if (!parsed.find("semdns_kernel_route", symbol) || !symbol.executable)
      die(kernel.name + ": no semdns_kernel_route");
    kernel.image = std::make_unique<artifact::ElfImage>();
    if (kernel.image->map(parsed, error) != artifact::ElfImage::Result::Mapped)
      die(kernel.name + ": " + error.message);
    kernel.route = reinterpret_cast<semdns_kernel_route_fn>(kernel.image->address(symbol));
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

std::string compileGpu(const test::TestModel &model, uint32_t bucketCount) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto module = makeProgram(context, model, bucketCount);
  auto ptx = codegen::compilePtx(*module);
  if (!ptx)
    die(llvm::toString(ptx.takeError()));
  return *ptx;
}

} // namespace semdns::diff
