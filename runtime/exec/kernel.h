/// \file The kernel that an artifact is served with: compiled code of its own, or the portable one.
#pragma once

#include "runtime/artifact/contents.h"
#include "runtime/artifact/elf.h"
#include "semdns/kernel.h"

namespace semdns::exec {

struct Kernel {
  semdns_kernel_route_fn route = nullptr;
  semdns_kernel_encode_fn encode = nullptr; ///< stage 3's; null in artifacts without an encoder
  uint32_t isa = SEMDNS_ISA_PORTABLE;
  const char *reason = "";  ///< why this level; a constant
  artifact::ElfImage image; ///< the mapped code; empty for PORTABLE
};

struct Choice {
  const char *forced = nullptr; ///< level by name, or null: the environment variable SEMDNS_ISA
  bool dataOnly = false;        ///< never map code
};

/// Maps the best kernel of the artifact that this machine runs, or the forced one. Where the system
/// denies executable memory, or a kernel has another ABI, the next best or the portable kernel
/// takes over and `reason` says so, unless a level was forced: then that is an error. A kernel that
/// is damaged or was compiled for other tables is an error.
bool loadKernel(const artifact::Reader &reader, const artifact::Contents &contents,
                const Choice &choice, Kernel &kernel, base::Error &error);

} // namespace semdns::exec
