// Writes the seeds of the artifact and encm targets: make_seeds test/fuzz/corpus. (The seed of the
// ELF target is test/unit/artifact's kernel_good.so.) Deterministic; run it when a format changes.
#include "lib/support/files.h"
#include "test/unit/artifact/sample.h"
#include "test/unit/encoder_int8/sample.h"
#include "test/unit/runtime/with_encoder.h"

#include <cstdio>

using namespace semdns;

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds CORPUS_FOLDER\n");
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/";
  test::Sample all;
  test::Sample bare;
  bare.sections.erase({SEMDNS_TAG_GOLD, 0});
  bare.sections.erase({SEMDNS_TAG_TEXT, 0}); // refused, but small: other checks come first
  test::ModelOptions small;
  small.domains = 2;
  small.leaves = 1;
  small.terms = 3;
  small.dim = 16;
  small.wordsPerClass = 2;
  small.wordNgramMax = 1;
  small.encoderWidth = 16;
  test::ModelOptions descends = small;
  descends.domains = 5;
  descends.leaves = 2;
  descends.encoderWidth = 0;
  descends.beamWidth = 2;
  test::EncoderShape tiny;
  tiny.layers = tiny.heads = 1;
  tiny.inner = 16;
  tiny.vocabulary = 2;
  tiny.maxTokens = 8;
  std::string why;
  const auto encm = pack::buildEncoderSection(test::randomEncoder(tiny, 1), why);
  const std::pair<const char *, std::string> seeds[] = {
      {"encm/tiny", encm ? *encm : why},
      {"artifact/encoder", test::packArtifact(test::makeEncoderModel(small))},
      {"artifact/beam", test::packArtifact(test::makeModel(descends))},
      {"artifact/hierarchy", all.finish()},
      {"artifact/no_text", bare.finish()},
      {"artifact/patterns", test::samplePatterns()},
  };
  for (const auto &[name, bytes] : seeds) {
    std::string error;
    if (!writeFileAtomically(folder + name, bytes, true, error)) {
      std::fprintf(stderr, "make_seeds: error: %s\n", error.c_str());
      return 1;
    }
  }
}
