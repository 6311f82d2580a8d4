#include "test/unit/encoder_int8/kernels.h"

#include "lib/codegen/codegen.h"
#include "lib/passes/import.h"
#include "lib/passes/passes.h"
#include "runtime/artifact/encoder.h"
#include "test/runs_here.h"
#include "test/unit/runtime/make_artifact.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"

#include <cstdio>
#include <cstdlib>

namespace semdns::test {
namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "encoder_int8: %s\n", why.c_str());
  std::abort();
}

} // namespace

std::vector<EncodeKernel> compileEncodeKernels(const semdns_encm_header &header) {
  mlir::DialectRegistry registry;
  codegen::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  ModelOptions small; // stages 1 and 2 are here because a kernel has them
  small.domains = small.leaves = 2;
  TestModel model = makeModel(small);
  passes::ImportOptions options;
  options.name = "encoder";
  options.layout = model.layout;
  options.bucketCount = 64;
  auto module = passes::importModel(context, model.tree, model.model, options);
  if (!module)
    die("importModel refuses the model");
  mlir::PassManager pm(&context);
  pm.addPass(passes::createZoneToRoutePass());
  if (mlir::failed(pm.run(*module)))
    die("zone-to-route refuses the model");

  std::vector<EncodeKernel> kernels;
  for (const target::IsaTraits &isa : target::allIsas()) {
    if (!runsHere(isa.isa))
      continue;
    codegen::KernelSpec spec;
    spec.isa = isa.isa;
    spec.info.layout = model.layout;
    spec.encoder = &header;
    auto elf = codegen::compileKernel(*module, spec);
    if (!elf)
      die(llvm::toString(elf.takeError()));
    EncodeKernel kernel;
    kernel.name = isa.name.str();
    kernel.elf = std::move(*elf);
    artifact::Elf parsed;
    artifact::ElfSymbol symbol, info;
    base::Error error{};
    if (!artifact::Elf::parse(kernel.elf.data(), kernel.elf.size(), parsed, error))
      die(kernel.name + ": " + error.message);
    if (!parsed.find("semdns_kernel_encode", symbol) || !symbol.executable)
      die(kernel.name + ": no semdns_kernel_encode");
    kernel.image = std::make_unique<artifact::ElfImage>();
    if (!parsed.find("semdns_kernel_info", info) ||
        kernel.image->map(parsed, error) != artifact::ElfImage::Result::Mapped)
      die(kernel.name + ": " + error.message);
    const auto *stated =
        reinterpret_cast<const semdns_kernel_info_t *>(kernel.image->address(info));
    if (stated->encoder != artifact::encoderShapeId(header))
      die(kernel.name + ": states another shape");
    kernel.encode = reinterpret_cast<semdns_kernel_encode_fn>(kernel.image->address(symbol));
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

} // namespace semdns::test
