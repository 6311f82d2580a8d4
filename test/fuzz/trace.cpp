// Trace files: any bytes give a trace whose parts fit together, or located errors.
#include "lib/sim/trace.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  Diagnostics diagnostics;
  const auto trace = sim::parseTrace(bytes, "fuzz", diagnostics);
  if (trace.has_value() == diagnostics.hasErrors())
    abort();
  uint64_t at = 0, blocks = 0;
  if (trace)
    for (const sim::TraceRequest &request : trace->requests) {
      if (request.at < at || request.firstBlock != blocks)
        abort();
      at = request.at;
      blocks += request.blockCount;
    }
  if (trace && blocks != trace->blocks.size())
    abort();
  return 0;
}
