// The ELF loader: parse, look up, and map what was accepted (without calling it).
#include "runtime/artifact/elf.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  artifact::Elf elf;
  base::Error error;
  if (!artifact::Elf::parse(data, size, elf, error)) {
    if (error.code == SEMDNS_OK || !error.message[0])
      abort(); // a refusal without a reason
    return 0;
  }
  artifact::ElfSymbol route, info;
  elf.find("semdns_kernel_route", route);
  if (elf.find("semdns_kernel_info", info))
    if (const uint8_t *bytes = elf.fileBytes(info.address, 64))
      if (bytes < data || bytes + 64 > data + size)
        abort();
  artifact::ElfImage image;
  image.map(elf, error);
  return 0;
}
