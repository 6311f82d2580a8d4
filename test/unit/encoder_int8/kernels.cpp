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
#include <cstring>

namespace semdns::test {
namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "encoder_int8: %s\n", why.c_str());
  std::abort();
}

struct Compiled {
  semdns_isa isa;
  std::string name, elf;
};

std::vector<Compiled> compileLevels(const TestModel &model, const semdns_kernel_info_t &info,
                                    const semdns_encm_header &header) {
  mlir::DialectRegistry registry;
  codegen::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  passes::ImportOptions options;
  options.name = "encoder";
  options.layout = model.layout;
  options.bucketCount = info.bucket_count;
  auto module = passes::importModel(context, model.tree, model.model, options);
  if (!module)
    die("importModel refuses the model");
  mlir::PassManager pm(&context);
  pm.addPass(passes::createZoneToRoutePass());
  if (mlir::failed(pm.run(*module)))
    die("zone-to-route refuses the model");
  std::vector<Compiled> compiled;
  for (const target::IsaTraits &isa : target::allIsas()) {
    if (!runsHere(isa.isa))
      continue;
    codegen::KernelSpec spec;
    spec.isa = isa.isa;
    spec.info = info;
    spec.encoder = &header;
    auto elf = codegen::compileKernel(*module, spec);
    if (!elf)
      die(llvm::toString(elf.takeError()));
    compiled.push_back({isa.isa, isa.name.str(), std::move(*elf)});
  }
  return compiled;
}

} // namespace

std::vector<KernelSection> compileKernelSections(const TestModel &model) {
  const SectionBytes sections = packSections(model);
  semdns_tokv_header tokv;
  std::memcpy(&tokv, sections.tokv.data(), sizeof tokv);
  semdns_encm_header encm;
  std::memcpy(&encm, model.encm.data(), sizeof encm);
  semdns_kernel_info_t info = {};
  info.layout = model.layout;
  info.dim = tokv.dim;
  info.class_count = static_cast<uint32_t>(model.model.classZone.size());
  info.zone_count = static_cast<uint32_t>(model.tree.zones.size());
  info.row_count = tokv.row_count;
  info.bucket_count = tokv.bucket_count;
  info.word_ngram_max = tokv.word_ngram_max;
  info.char_ngram_min = tokv.char_ngram_min;
  info.char_ngram_max = tokv.char_ngram_max;
  std::vector<KernelSection> kernels;
  for (Compiled &kernel : compileLevels(model, info, encm))
    kernels.push_back({uint32_t(kernel.isa), std::move(kernel.elf)});
  return kernels;
}

std::vector<EncodeKernel> compileEncodeKernels(const semdns_encm_header &header) {
  ModelOptions small; // stages 1 and 2 are here because a kernel has them
  small.domains = small.leaves = 2;
  const TestModel model = makeModel(small);
  semdns_kernel_info_t info = {};
  info.layout = model.layout;
  info.bucket_count = 64;
  std::vector<EncodeKernel> kernels;
  for (Compiled &from : compileLevels(model, info, header)) {
    EncodeKernel kernel;
    kernel.name = std::move(from.name);
    kernel.elf = std::move(from.elf);
    artifact::Elf parsed;
    artifact::ElfSymbol symbol, statement;
    base::Error error{};
    if (!artifact::Elf::parse(kernel.elf.data(), kernel.elf.size(), parsed, error))
      die(kernel.name + ": " + error.message);
    if (!parsed.find("semdns_kernel_encode", symbol) || !symbol.executable)
      die(kernel.name + ": no semdns_kernel_encode");
    kernel.image = std::make_unique<artifact::ElfImage>();
    if (!parsed.find("semdns_kernel_info", statement) ||
        kernel.image->map(parsed, error) != artifact::ElfImage::Result::Mapped)
      die(kernel.name + ": " + error.message);
    const auto *stated =
        reinterpret_cast<const semdns_kernel_info_t *>(kernel.image->address(statement));
    if (stated->encoder != artifact::encoderShapeId(header))
      die(kernel.name + ": states another shape");
    kernel.encode = reinterpret_cast<semdns_kernel_encode_fn>(kernel.image->address(symbol));
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

} // namespace semdns::test
