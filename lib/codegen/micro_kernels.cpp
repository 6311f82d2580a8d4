#include "lib/codegen/micro_kernels.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Attributes.h"
#include "llvm/Support/MemoryBuffer.h"

namespace semdns::codegen {
namespace {

const unsigned char kEntry[] = {
#include "lib/codegen/entry.inc"
};
const unsigned char kEncodeEntry[] = {
#include "lib/codegen/encode_entry.inc"
};
const unsigned char kGpuEntry[] = {
#include "lib/codegen/gpu_entry.inc"
};

llvm::Expected<std::unique_ptr<llvm::Module>> load(llvm::ArrayRef<unsigned char> bitcode,
                                                   llvm::LLVMContext &context) {
  auto module = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(llvm::toStringRef(bitcode), "micro-kernels"), context);
  if (!module)
    return module.takeError();
  (*module)->setSourceFileName("semdns");
  if (auto *ident = (*module)->getNamedMetadata("llvm.ident"))
    ident->eraseFromParent();
  for (llvm::Function &f : **module) {
    // clang states what it knew of its target. LLVM refuses to inline across a difference in these,
    // silently, so the kernel's own are set on everything later.
    for (llvm::StringRef name :
         {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width", "frame-pointer",
          "stack-protector-buffer-size", "no-trapping-math"})
      f.removeFnAttr(name);
    for (llvm::Attribute::AttrKind kind :
         {llvm::Attribute::NoInline, llvm::Attribute::OptimizeNone, llvm::Attribute::UWTable,
          llvm::Attribute::InlineHint, llvm::Attribute::MustProgress})
      f.removeFnAttr(kind);
    if (!f.isDeclaration() && !f.getName().starts_with("semdns_kernel_"))
      f.addFnAttr(llvm::Attribute::AlwaysInline);
  }
  return std::move(*module);
}

} // namespace

llvm::Expected<std::unique_ptr<llvm::Module>> loadMicroKernels(llvm::LLVMContext &context) {
  return load(kEntry, context);
}

llvm::Expected<std::unique_ptr<llvm::Module>> loadEncodeKernel(llvm::LLVMContext &context) {
  return load(kEncodeEntry, context);
}

llvm::Expected<std::unique_ptr<llvm::Module>> loadGpuKernel(llvm::LLVMContext &context) {
  return load(kGpuEntry, context);
}

} // namespace semdns::codegen
