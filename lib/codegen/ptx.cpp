#include "lib/codegen/codegen.h"
#include "lib/codegen/dumps.h"
#include "lib/codegen/micro_kernels.h"
#include "lib/passes/gpu/passes.h"
#include "semdns/format/gpu.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <cstdlib>
#include <cstring>

namespace semdns::codegen {
namespace {

/// Runs the GPU passes over a copy of `routeModule` and returns the only object of its gpu.binary.
llvm::Expected<std::string> compileImage(mlir::ModuleOp routeModule, llvm::StringRef chip,
                                         llvm::StringRef features, llvm::StringRef format,
                                         const DumpOptions *options) {
  mlir::MLIRContext &context = *routeModule.getContext();
  mlir::DialectRegistry registry;
  registerDialects(registry);
  context.appendDialectRegistry(registry);

  // MLIR takes what it links from files. Nothing of their names reaches the image.
  llvm::SmallString<128> microKernels;
  int fd = -1;
  if (auto error = llvm::sys::fs::createTemporaryFile("semdns", "bc", fd, microKernels))
    return fail("cannot create a temporary file: " + error.message());
  llvm::FileRemover remover(microKernels);
  {
    llvm::raw_fd_ostream out(fd, /*shouldClose=*/true);
    llvm::LLVMContext bitcodeContext;
    auto reader = loadGpuKernel(bitcodeContext);
    if (!reader)
      return reader.takeError();
    llvm::WriteBitcodeToFile(**reader, out);
    out.close();
    if (out.has_error())
      return fail("cannot write '" + microKernels + "': " + out.error().message());
  }

  mlir::OwningOpRef<mlir::ModuleOp> module(routeModule.clone());
  {
    Step step(options, "lower");
    ErrorCollector errors(context);
    mlir::PassManager pm(&context);
    pm.addPass(gpu::createRouteToGpuPass());
    gpu::buildGpuToNVVMPipeline(pm, chip, features, microKernels);
    if (mlir::failed(pm.run(*module)))
      return fail("lowering the routing program for " + chip + " failed: " + errors.text());
  }
  dump(options, "gpu", [&](llvm::raw_ostream &out) { module->print(out); });
  if (options && options->stopAfter == "lowered")
    return std::string();
  {
    Step step(options, "emit");
    ErrorCollector errors(context);
    mlir::PassManager pm(&context);
    mlir::GpuModuleToBinaryPassOptions binary;
    binary.compilationTarget = format.str();
    pm.addPass(mlir::createGpuModuleToBinaryPass(binary));
    if (mlir::failed(pm.run(*module)))
      return fail("no code for " + chip + ": " + errors.text());
  }
  std::string image;
  module->walk([&](mlir::gpu::BinaryOp op) {
    for (mlir::Attribute object : op.getObjects())
      image = llvm::cast<mlir::gpu::ObjectAttr>(object).getObject().str();
  });
  if (image.empty())
    return fail("no code for " + chip);
  return image;
}

/// Where MLIR will look for ptxas: in the toolkit that the environment names, then in PATH.
std::string findPtxas() {
  for (const char *name : {"CUDA_ROOT", "CUDA_HOME", "CUDA_PATH"})
    if (const char *value = std::getenv(name)) {
      llvm::SmallString<128> path(value);
      llvm::sys::path::append(path, "bin", "ptxas");
      if (llvm::sys::fs::can_execute(path))
        return path.str().str();
    }
  auto found = llvm::sys::findProgramByName("ptxas");
  return found ? *found : std::string();
}

} // namespace

llvm::Expected<std::string> ptxasVersion() {
  std::string ptxas = findPtxas();
  if (ptxas.empty())
    return fail("a cubin needs ptxas of the CUDA toolkit: let CUDA_HOME or PATH lead to it");
  llvm::SmallString<128> output;
  if (auto error = llvm::sys::fs::createTemporaryFile("semdns", "txt", output))
    return fail("cannot create a temporary file: " + error.message());
  llvm::FileRemover remover(output);
  std::string message;
  // No input, output to the file, errors nowhere.
  std::optional<llvm::StringRef> redirects[] = {"", output.str(), ""};
  if (llvm::sys::ExecuteAndWait(ptxas, {ptxas, "--version"}, std::nullopt, redirects, 10, 0,
                                &message) != 0)
    return fail("'" + ptxas + " --version' failed" + (message.empty() ? "" : ": " + message));
  auto text = llvm::MemoryBuffer::getFile(output);
  if (!text)
    return fail("cannot read the version of '" + ptxas + "'");
  // "Cuda compilation tools, release 13.0, V13.0.88"
  llvm::StringRef version = (*text)->getBuffer().split(", V").second;
  version = version.take_while([](char c) { return c == '.' || llvm::isDigit(c); });
  if (version.empty())
    return fail("cannot read the version of '" + ptxas + "'");
  return version.str();
}

llvm::Expected<std::string> compilePtx(mlir::ModuleOp routeModule, const DumpOptions *options) {
  auto ptx = compileImage(routeModule, "sm_80", "+ptx80", "isa", options);
  if (!ptx)
    return ptx.takeError();
  if (options && options->stopAfter == "lowered")
    return std::string();
  while (!ptx->empty() && ptx->back() == '\0')
    ptx->pop_back();
  if (ptx->find("\tcall") != std::string::npos)
    return fail("the GPU kernel would call a function");
  dump(options, "ptx", [&](llvm::raw_ostream &out) { out << *ptx; });
  return std::move(*ptx);
}

llvm::Expected<std::string> compileCubin(mlir::ModuleOp routeModule, unsigned chip,
                                         const DumpOptions *options) {
  if (chip != 80 && chip != 86 && chip != 89 && chip != 90 && chip != 100 && chip != 120)
    return fail("cannot make a cubin for sm_" + llvm::Twine(chip) +
                "; known are sm_80, sm_86, sm_89, sm_90, sm_100 and sm_120");
  auto version = ptxasVersion(); // a plain answer before MLIR's long one
  if (!version)
    return version.takeError();
  // A PTX version below what the chip needs would abort the process inside LLVM.
  llvm::StringRef features = chip >= 100 ? "+ptx88" : "+ptx80";
  return compileImage(routeModule, "sm_" + std::to_string(chip), features, "bin", options);
}

std::string makeGpuSection(unsigned target, const semdns_kernel_info_t &info,
                           llvm::StringRef image) {
  const gpu::GpuShape shape =
      gpu::shapeFor(info.dim, info.class_count, info.char_ngram_min, info.char_ngram_max);
  semdns_kgpu_header header = {};
  header.abi = SEMDNS_GPU_ABI;
  header.target = target;
  header.threads = shape.threads;
  header.layout = info.layout;
  header.dim = info.dim;
  header.class_count = info.class_count;
  uint32_t unit = SEMDNS_LANES * info.layout;
  header.padded_count = (info.class_count + unit - 1) / unit * unit;
  header.zone_count = info.zone_count;
  header.row_count = info.row_count;
  header.bucket_count = info.bucket_count;
  header.minimum_chip = target ? target : 80;
  header.read_threads = shape.readThreads;
  header.tile = static_cast<uint32_t>(shape.tile);
  header.shared_bytes = static_cast<uint32_t>(shape.sharedBytes);
  header.score_words = static_cast<uint32_t>(shape.scoreWords);
  header.room = shape.room;
  header.image_offset = sizeof header;
  header.image_size = image.size() + (target ? 0 : 1);
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes += image;
  if (!target)
    bytes += '\0';
  return bytes;
}

} // namespace semdns::codegen
