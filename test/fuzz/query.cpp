// Any bytes are a query: the sample artifact answers them, with and without stages, within its
// tree.
#include "semdns/semdns.hpp"
#include "test/unit/artifact/sample.h"

#include <cstdio>
#include <cstdlib>

using namespace semdns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string file = test::Sample().finish();
  static Error error;
  static Artifact artifact = Artifact::openMemory(file.data(), file.size(), OpenOptions{}, error);
  static Resolver resolver(artifact, error);
  static Scratch scratch(resolver, error);
  if (!scratch) {
    std::fprintf(stderr, "%s\n", error.message());
    abort();
  }
  for (const uint32_t stages : {0u, 1u, 2u, 4u}) {
    semdns_query query = Resolver::query({reinterpret_cast<const char *>(data), size});
    query.stages = stages;
    query.top_k = SEMDNS_TOP_MAX;
    Answer answer;
    if (resolver.resolve(scratch, query, answer) != SEMDNS_OK)
      abort();
    if (answer.zone().index >= test::Sample::kZones || answer.zone().confidence > 65536 ||
        answer->chain_count < 1 || answer->chain[answer->chain_count - 1].index != 0 ||
        answer->zone_count < 1)
      abort();
  }
  return 0;
}
