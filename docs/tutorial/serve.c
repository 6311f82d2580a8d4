/* serve ARTIFACT: reads a text a line, says who should answer it. */
#include <semdns/semdns.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  semdns_error error = {.size = sizeof error};
  semdns_artifact *artifact;
  semdns_resolver *resolver;
  semdns_scratch *scratch; /* one per thread */
  if (argc != 2 || semdns_artifact_open_path(argv[1], NULL, &artifact, &error) != SEMDNS_OK ||
      semdns_resolver_create(artifact, NULL, &resolver, &error) != SEMDNS_OK ||
      semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK)
    return fprintf(stderr, "serve: %s\n", error.message), 1;
  char line[8192];
  while (fgets(line, sizeof line, stdin)) {
    semdns_query query = {.size = sizeof query, .text = line, .text_size = strcspn(line, "\n")};
    semdns_answer answer = {.size = sizeof answer};
    semdns_resolve(resolver, scratch, &query, &answer);
    printf("%-20s %.2f  %s\n", answer.zone.name, answer.zone.confidence / 65536.0,
           answer.engine_count ? answer.engines[0].name : "-");
  }
  semdns_scratch_destroy(scratch);
  semdns_resolver_destroy(resolver);
  semdns_artifact_release(artifact);
  return 0;
}
