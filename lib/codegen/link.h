/// \file Object to shared object, in process and without a trace of the machine it runs on.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace semdns::codegen {

/// Links one x86-64 object into a kernel's ELF shared object. lld keeps global state: calls are
/// serialised by a mutex. Note that lld resets all llvm::cl options of the process.
llvm::Expected<std::string> linkKernel(llvm::StringRef object);

} // namespace semdns::codegen
