// STAT: what the parser accepts, the builder writes again, byte for byte.
#include "lib/patterns/statistics.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  patterns::Statistics statistics;
  std::string error;
  if (!patterns::parseStatistics(bytes, statistics, error)) {
    if (error.empty())
      abort(); // a refusal without a reason
    return 0;
  }
  if (patterns::buildStatistics(statistics) != bytes)
    abort();
  return 0;
}
