// PART: any bytes are documents or a reason.
#include "lib/patterns/partial.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  patterns::PartialCover cover;
  std::string error;
  uint64_t bytes = 0;
  const bool good = patterns::parsePartial(
      {reinterpret_cast<const char *>(data), size}, cover,
      [&](bool, std::string_view owner, std::string_view text) {
        bytes += owner.size() + text.size();
        return bytes < (1 << 20);
      },
      error);
  if (!good && error.empty())
    abort(); // a refusal without a reason
  return 0;
}
