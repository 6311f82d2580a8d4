// cpp_app ARTIFACT TEXT: prints the zone, with exceptions or without.
#include <cstdio>
#include <semdns/semdns.hpp>

static int run(semdns::Resolver &resolver, semdns::Scratch &scratch, const char *text) {
  semdns::Answer answer;
  if (resolver.resolve(scratch, semdns::Resolver::query(text), answer) != SEMDNS_OK)
    return 1;
  std::printf("%s %s %s\n", answer.zone().name, answer.best().path,
              semdns_answer_status_text(answer.status()));
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
#if defined(__cpp_exceptions)
  try {
    semdns::Artifact artifact = semdns::Artifact::open(argv[1]);
    semdns::Resolver resolver(artifact);
    semdns::Scratch scratch(resolver);
    return run(resolver, scratch, argv[2]);
  } catch (const semdns::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
#else
  semdns::Error error;
  semdns::Artifact artifact = semdns::Artifact::open(argv[1], {}, error);
  semdns::Resolver resolver(artifact, error);
  semdns::Scratch scratch(resolver, error);
  if (!scratch) {
    std::fprintf(stderr, "%s\n", error.message());
    return 1;
  }
  return run(resolver, scratch, argv[2]);
#endif
}
