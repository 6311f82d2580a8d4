#include "runtime/exec/kernel.h"

#include "runtime/exec/encoder.h"
#include "runtime/exec/isa.h"
#include "runtime/exec/portable.h"

#include <stdlib.h>
#include <string.h>

namespace semdns::exec {
namespace {

bool usePortable(const artifact::Contents &contents, Kernel &kernel, const char *reason) {
  kernel.route = routePortable;
  kernel.encode = contents.hasEncoder ? encodePortable : nullptr;
  kernel.isa = SEMDNS_ISA_PORTABLE;
  kernel.reason = reason;
  return true;
}

/// "portable, x86-64-v3, ...": what the artifact holds, for messages.
void listLevels(const artifact::Reader &reader, char *out, size_t capacity) {
  size_t used = strlen(strncpy(out, "portable", capacity));
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section entry = reader.entry(i);
    const char *name = entry.tag == SEMDNS_TAG_KCPU ? isaName(entry.target) : nullptr;
    if (!name || used + strlen(name) + 3 > capacity)
      continue;
    memcpy(out + used, ", ", 2);
    strcpy(out + used + 2, name);
    used += 2 + strlen(name);
  }
}

enum class Loaded { Yes, Denied, OtherAbi, Failed };

Loaded load(const artifact::Reader &reader, const artifact::Contents &contents, uint32_t index,
            Kernel &kernel, base::Error &error) {
  const semdns_section entry = reader.entry(index);
  const artifact::Span bytes = reader.bytes(index);
  if (!artifact::checkKernel(bytes, entry, contents, error))
    return error.code == SEMDNS_ERROR_VERSION ? Loaded::OtherAbi : Loaded::Failed;
  artifact::Elf elf;
  artifact::ElfSymbol route, encode;
  if (!artifact::Elf::parse(bytes.data, bytes.size, elf, error) ||
      !elf.find("semdns_kernel_route", route))
    return Loaded::Failed;
  switch (kernel.image.map(elf, error)) {
  case artifact::ElfImage::Result::Denied:
    return Loaded::Denied;
  case artifact::ElfImage::Result::Failed:
    return Loaded::Failed;
  case artifact::ElfImage::Result::Mapped:
    break;
  }
  kernel.route = reinterpret_cast<semdns_kernel_route_fn>(kernel.image.address(route));
  if (contents.hasEncoder)
    kernel.encode = elf.find("semdns_kernel_encode", encode)
                        ? reinterpret_cast<semdns_kernel_encode_fn>(kernel.image.address(encode))
                        : encodePortable;
  kernel.isa = entry.target;
  return Loaded::Yes;
}

bool loadForced(const artifact::Reader &reader, const artifact::Contents &contents,
                const char *name, const char *origin, bool dataOnly, Kernel &kernel,
                base::Error &error) {
  const auto refuse = [&](const char *why) {
    char levels[160];
    listLevels(reader, levels, sizeof levels);
    return base::fail(error, SEMDNS_ERROR_ISA, 0, 0,
                      "%s asks for kernel level '%.32s', which %s; the artifact has %s", origin,
                      name, why, levels);
  };
  uint32_t isa;
  if (!isaFromName(name, isa))
    return refuse("is no level's name");
  if (isa == SEMDNS_ISA_PORTABLE)
    return usePortable(contents, kernel, "forced");
  if (dataOnly)
    return refuse("is native code, excluded by data-only");
  if (!isaRuns(isa))
    return refuse("this machine does not run");
  const int index = reader.find(SEMDNS_TAG_KCPU, isa);
  if (index < 0)
    return refuse("is not in the artifact");
  switch (load(reader, contents, static_cast<uint32_t>(index), kernel, error)) {
  case Loaded::Yes:
    kernel.reason = "forced";
    return true;
  case Loaded::Denied:
    return refuse("cannot be mapped: PROT_EXEC denied");
  case Loaded::OtherAbi:
  case Loaded::Failed:
    break;
  }
  return false;
}

} // namespace

bool loadKernel(const artifact::Reader &reader, const artifact::Contents &contents,
                const Choice &choice, Kernel &kernel, base::Error &error) {
  if (choice.forced)
    return loadForced(reader, contents, choice.forced, "the caller", choice.dataOnly, kernel,
                      error);
  if (choice.dataOnly)
    return usePortable(contents, kernel, "data only");
  const char *wish = getenv("SEMDNS_ISA");
  if (wish && *wish)
    return loadForced(reader, contents, wish, "SEMDNS_ISA", false, kernel, error);

  const char *reason = "no compiled kernel in the artifact";
  uint32_t below = UINT32_MAX;
  for (;;) {
    // The best level that is not as good as the one before.
    int best = -1;
    uint32_t bestRank = 0;
    for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
      const semdns_section entry = reader.entry(i);
      if (entry.tag != SEMDNS_TAG_KCPU || entry.version != artifact::knownVersion(entry.tag))
        continue;
      if (!isaRuns(entry.target)) {
        if (below == UINT32_MAX && best < 0)
          reason = "no compiled kernel for this machine";
        continue;
      }
      const uint32_t rank = isaRank(entry.target);
      if (rank > bestRank && rank < below) {
        best = static_cast<int>(i);
        bestRank = rank;
      }
    }
    if (best < 0)
      return usePortable(contents, kernel, reason);
    below = bestRank;
    switch (load(reader, contents, static_cast<uint32_t>(best), kernel, error)) {
    case Loaded::Yes:
      kernel.reason = "best";
      return true;
    case Loaded::Denied:
      return usePortable(contents, kernel, "PROT_EXEC denied");
    case Loaded::OtherAbi:
      reason = "the compiled kernels have another ABI";
      continue;
    case Loaded::Failed:
      return false;
    }
  }
}

} // namespace semdns::exec
