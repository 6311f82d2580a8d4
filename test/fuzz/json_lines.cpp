// Query and example files: any bytes give rows or located errors.
#include "lib/support/json_lines.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  for (const bool requireLabel : {false, true}) {
    Diagnostics diagnostics;
    const auto rows = parseJsonLines(bytes, "fuzz.jsonl", requireLabel, diagnostics);
    for (const LabelledText &row : rows)
      if (row.line == 0 || (requireLabel && !row.label))
        abort();
  }
  return 0;
}
