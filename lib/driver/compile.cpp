#include "lib/driver/compile.h"

#include "lib/codegen/codegen.h"
#include "lib/pack/features_build.h"
#include "lib/passes/import.h"
#include "lib/passes/passes.h"
#include "lib/passes/target/isa.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

namespace semdns::driver {

namespace {

constexpr const char *kPtx = "ptx";

std::string print(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  module.print(out);
  return text;
}

} // namespace

std::vector<std::string> allTargets() {
  std::vector<std::string> names;
  for (const target::IsaTraits &isa : target::allIsas())
    names.push_back(isa.name.str());
  names.push_back(kPtx);
  return names;
}

std::vector<std::string> defaultTargets() { return allTargets(); }

std::string ptxasVersion() {
  auto version = codegen::ptxasVersion();
  if (version)
    return *version;
  llvm::consumeError(version.takeError());
  return "none";
}

bool compileKernels(const spec::ZoneTree &tree, const pack::RoutingModel &model,
                    const CompileOptions &options, const std::string &file, Diagnostics &diags,
                    std::vector<KernelSection> &sections) {
  mlir::DialectRegistry registry;
  codegen::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
      diags.error({file, 0, 0}, diagnostic.str());
    else if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Warning)
      diags.warning({file, 0, 0}, diagnostic.str());
    return mlir::success();
  });

  auto begin = std::chrono::steady_clock::now();
  auto lap = [&](const std::string &name) {
    auto now = std::chrono::steady_clock::now();
    if (options.timing)
      options.timing("  " + name, std::chrono::duration<double>(now - begin).count());
    begin = now;
  };
  auto emit = [&](const std::string &phase, const std::string &text) {
    if (options.dump)
      options.dump(phase == "llvm" || phase.ends_with(".llvm") ? phase + ".ll"
                   : phase.ends_with("asm")                    ? phase + ".s"
                   : phase.ends_with("ptx")                    ? phase + ".ptx"
                                                               : phase + ".mlir",
                   text);
    if (options.stopAfter == phase)
      fwrite(text.data(), 1, text.size(), stdout);
  };

  passes::ImportOptions importOptions;
  importOptions.name = options.name;
  importOptions.serial = options.serial;
  importOptions.layout = options.layout;
  importOptions.bucketCount = options.bucketCount;
  auto module = passes::importModel(context, tree, model, importOptions);
  if (!module)
    return false;
  emit("zone", print(*module));
  lap("import");
  if (options.stopAfter == "zone")
    return true;

  mlir::PassManager pipeline(&context);
  pipeline.addPass(mlir::createCanonicalizerPass());
  pipeline.addPass(passes::createZoneToRoutePass());
  pipeline.addPass(mlir::createCanonicalizerPass());
  if (mlir::failed(pipeline.run(*module)))
    return false;
  emit("route", print(*module));
  lap("zone to route");
  if (options.stopAfter == "route")
    return true;

  codegen::KernelSpec spec;
  spec.encoder = options.encoder;
  spec.info.layout = options.layout;
  spec.info.dim = pack::packedDim(model.embedding);
  spec.info.class_count = static_cast<uint32_t>(model.classZone.size());
  spec.info.zone_count = static_cast<uint32_t>(tree.zones.size());
  spec.info.row_count = std::max<uint32_t>(1, static_cast<uint32_t>(model.embedding.norms.size()));
  spec.info.bucket_count = options.bucketCount;
  spec.info.word_ngram_max = model.embedding.wordNgramMax;
  spec.info.char_ngram_min = model.embedding.charNgramMin;
  spec.info.char_ngram_max = model.embedding.charNgramMax;

  bool stopsInside = options.stopAfter == "lowered" || options.stopAfter == "llvm";
  auto hooks = [&](const std::string &target) {
    codegen::DumpOptions dump;
    dump.dump = [&emit, &options, target](llvm::StringRef phase, llvm::StringRef text) {
      if (phase == "route")
        return; // the same for every target, and written above
      if (phase.str() == options.stopAfter)
        fwrite(text.data(), 1, text.size(), stdout);
      emit(target + "." + phase.str(), text.str());
    };
    if (options.timing)
      dump.timing = [&options, target](llvm::StringRef step, double seconds) {
        options.timing("  " + target + " " + step.str(), seconds);
      };
    dump.stopAfter = stopsInside ? options.stopAfter : "";
    return dump;
  };
  auto failed = [&](const std::string &target, llvm::Error error) {
    diags.error({file, 0, 0}, target + ": " + llvm::toString(std::move(error)));
    return false;
  };

  // What a GPU does well, scoring all classes of many texts, is what a descent avoids.
  bool hasEmbedding = !model.classZone.empty() && !model.beam.present();
  for (const std::string &name : options.targets) {
    codegen::DumpOptions dump = hooks(name);
    if (name == kPtx) {
      // A tree of keywords alone has nothing for a GPU to do either.
      if (!hasEmbedding || stopsInside)
        continue;
      auto ptx = codegen::compilePtx(*module, &dump);
      if (!ptx)
        return failed(name, ptx.takeError());
      sections.push_back({SEMDNS_TAG_KGPU, 0, codegen::makeGpuSection(0, spec.info, *ptx)});
    } else {
      const target::IsaTraits *isa = target::findIsa(llvm::StringRef(name));
      spec.isa = isa->isa;
      auto kernel = codegen::compileKernel(*module, spec, &dump);
      if (!kernel)
        return failed(name, kernel.takeError());
      if (stopsInside)
        return true; // the first target's IR stands for all
      sections.push_back({SEMDNS_TAG_KCPU, static_cast<uint32_t>(isa->isa), std::move(*kernel)});
    }
  }
  for (const std::string &name : options.cubins) {
    if (!hasEmbedding)
      break;
    unsigned chip = static_cast<unsigned>(std::stoul(name.substr(3)));
    codegen::DumpOptions dump = hooks(name);
    auto cubin = codegen::compileCubin(*module, chip, &dump);
    if (!cubin)
      return failed(name, cubin.takeError());
    sections.push_back({SEMDNS_TAG_KGPU, chip, codegen::makeGpuSection(chip, spec.info, *cubin)});
  }
  // The container's order: by tag, then by target, each once.
  std::sort(sections.begin(), sections.end(), [](const auto &a, const auto &b) {
    return std::pair(a.tag == SEMDNS_TAG_KGPU, a.target) <
           std::pair(b.tag == SEMDNS_TAG_KGPU, b.target);
  });
  sections.erase(std::unique(sections.begin(), sections.end(),
                             [](const auto &a, const auto &b) {
                               return a.tag == b.tag && a.target == b.target;
                             }),
                 sections.end());
  return true;
}

} // namespace semdns::driver
