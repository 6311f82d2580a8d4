// Any bytes are a query: the sample artifact answers them, with and without stages, within its
// tree, and so does one with a stage 3, for which the bytes' first half is the context.
#include "semdns/semdns.hpp"
#include "test/unit/artifact/sample.h"
#include "test/unit/runtime/with_encoder.h"

#include <cstdio>
#include <cstdlib>

using namespace semdns;

namespace {

struct Subject {
  std::string file;
  Error error;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;

  explicit Subject(std::string bytes)
      : file(std::move(bytes)),
        artifact(Artifact::openMemory(file.data(), file.size(), OpenOptions{}, error)),
        resolver(artifact, error), scratch(resolver, error) {
    if (!scratch) {
      std::fprintf(stderr, "%s\n", error.message());
      abort();
    }
  }

  void ask(semdns_query query) {
    const uint32_t zones = artifact.info().zone_count;
    query.top_k = SEMDNS_TOP_MAX;
    Answer answer;
    semdns_evidence evidence;
    if (resolver.resolve(scratch, query, answer) != SEMDNS_OK || answer.zone().index >= zones ||
        answer.zone().confidence > 65536 || answer->chain_count < 1 ||
        answer->chain[answer->chain_count - 1].index != 0 || answer->zone_count < 1)
      abort();
    if (resolver.measure(scratch, query, evidence) != SEMDNS_OK)
      abort();
    for (const semdns_stage_evidence *e :
         {&evidence.keyword, &evidence.embedding, &evidence.encoder})
      if (e->stage && (e->count < 1 || e->zone[0] >= zones || e->zone[e->count - 1] != 0))
        abort();
  }
};

std::string withEncoder() {
  test::ModelOptions options;
  options.domains = 3;
  options.rootClass = true;
  return test::packArtifact(test::makeEncoderModel(options));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Subject sample(test::Sample().finish()), encoder(withEncoder());
  const char *text = reinterpret_cast<const char *>(data);
  for (const uint32_t stages : {0u, 1u, 2u, 4u}) {
    semdns_query query = Resolver::query({text, size});
    query.stages = stages;
    sample.ask(query);
    encoder.ask(query);
    query = Resolver::query({text + size / 2, size - size / 2});
    query.stages = stages;
    query.context = text;
    query.context_size = size / 2;
    encoder.ask(query);
  }
  return 0;
}
