/// make-test-artifact OUT [SEED]: writes a small random artifact without native code.
#include "test/unit/runtime/make_artifact.h"

#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  semdns::test::ModelOptions options;
  options.seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const std::string bytes = semdns::test::packArtifact(semdns::test::makeModel(options));
  FILE *out = std::fopen(argv[1], "wb");
  if (!out || std::fwrite(bytes.data(), 1, bytes.size(), out) != bytes.size() || std::fclose(out)) {
    std::perror(argv[1]);
    return 1;
  }
  return 0;
}
