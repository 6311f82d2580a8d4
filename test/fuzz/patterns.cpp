// PATS: what the parser accepts, the builder writes again, byte for byte.
#include "lib/patterns/patterns.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  patterns::PatternLibrary library;
  std::string error;
  if (!patterns::parsePats(bytes, library, error)) {
    if (error.empty())
      abort(); // a refusal without a reason
    return 0;
  }
  if (patterns::buildPats(library) != bytes)
    abort();
  patterns::ReadError why;
  if (patterns::parsePlib(bytes, why))
    abort(); // a section is no file
  return 0;
}
