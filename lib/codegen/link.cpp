#include "lib/codegen/link.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

namespace semdns::codegen {
namespace {

llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// A file that goes away with this object. lld can read from any path but cannot write to a memfd,
/// so both files lie in the temporary folder; their names never reach the output.
class TemporaryFile {
public:
  TemporaryFile() = default;
  ~TemporaryFile() {
    if (!path_.empty())
      llvm::sys::fs::remove(path_);
  }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;

  llvm::Error create(llvm::StringRef suffix, llvm::StringRef bytes) {
    int fd = -1;
    if (auto error = llvm::sys::fs::createTemporaryFile("semdns", suffix, fd, path_))
      return fail("cannot create a temporary file: " + error.message());
    llvm::raw_fd_ostream out(fd, /*shouldClose=*/true);
    out << bytes;
    out.close();
    if (out.has_error()) {
      auto error = out.error();
      out.clear_error();
      return fail("cannot write '" + path_.str() + "': " + error.message());
    }
    return llvm::Error::success();
  }
  const char *path() { return path_.c_str(); }

private:
  llvm::SmallString<128> path_;
};

} // namespace

llvm::Expected<std::string> linkKernel(llvm::StringRef object) {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);

  TemporaryFile input, output;
  if (auto error = input.create("o", object))
    return std::move(error);
  if (auto error = output.create("so", ""))
    return std::move(error);
  const char *args[] = {
      "ld.lld", "-shared", "-m", "elf_x86_64", "-o", output.path(), input.path(), "--no-undefined",
      "--build-id=none", "--hash-style=sysv", "--strip-all", "--gc-sections", "-Bsymbolic",
      "--threads=1", "--pack-dyn-relocs=none",
      // Nothing is ever writable: the dynamic section neither, and no RELRO is needed then.
      "-z", "rodynamic", "-z", "norelro", "-z", "noexecstack",
      // The runtime maps pages itself, and every x86-64 kernel has pages of 4 KiB.
      "-z", "max-page-size=4096", "-z", "noseparate-code"};
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(args, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return fail("linking the kernel failed: " + llvm::StringRef(messages).trim());
  auto bytes = llvm::MemoryBuffer::getFile(output.path());
  if (!bytes)
    return fail("cannot read the linked kernel: " + bytes.getError().message());
  return (*bytes)->getBuffer().str();
}

} // namespace semdns::codegen
