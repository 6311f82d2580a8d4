// Hierarchy files: any bytes give a spec or located errors, and what parses is written and read
// back.
#include "lib/spec/spec.h"
#include "lib/spec/tree.h"

#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  Diagnostics diagnostics;
  const auto lenient = spec::parseLeniently(bytes, "fuzz.txtpb", diagnostics);
  if (lenient)
    spec::buildTree(*lenient);
  Diagnostics strict;
  const auto spec = spec::parseSpec(bytes, "fuzz.txtpb", strict);
  if (!spec)
    return strict.hasErrors() ? 0 : (abort(), 0);
  Diagnostics again;
  const auto second = spec::parseSpec(spec::dumpSpec(*spec), "dump.txtpb", again);
  if (!second || spec::buildTree(*second).zones.size() != spec::buildTree(*spec).zones.size())
    abort();
  return 0;
}
