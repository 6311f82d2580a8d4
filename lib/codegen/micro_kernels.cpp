#include "lib/codegen/micro_kernels.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Attributes.h"
#include "llvm/Support/MemoryBuffer.h"

namespace semdns::codegen {
namespace {

const unsigned char kBitcode[] = {
#include "lib/codegen/micro_kernels.inc"
};

} // namespace

llvm::Expected<std::unique_ptr<llvm::Module>> loadMicroKernels(llvm::LLVMContext &context) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(kBitcode), sizeof kBitcode);
  auto module = llvm::parseBitcodeFile(llvm::MemoryBufferRef(bytes, "micro-kernels"), context);
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
    if (!f.isDeclaration() && f.getName() != "semdns_kernel_route")
      f.addFnAttr(llvm::Attribute::AlwaysInline);
  }
  return std::move(*module);
}

} // namespace semdns::codegen
