/* c_app ARTIFACT TEXT: prints the zone. Strict C11, warnings are errors. */
#include <semdns/semdns.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  semdns_error error = {.size = sizeof error};
  semdns_artifact *artifact = NULL;
  semdns_resolver *resolver = NULL;
  semdns_scratch *scratch = NULL;
  if (argc != 3)
    return 2;
  if (semdns_artifact_open_path(argv[1], NULL, &artifact, &error) != SEMDNS_OK ||
      semdns_resolver_create(artifact, NULL, &resolver, &error) != SEMDNS_OK ||
      semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  semdns_query query = {.size = sizeof query, .text = argv[2], .text_size = strlen(argv[2])};
  semdns_answer answer = {.size = sizeof answer};
  if (semdns_resolve(resolver, scratch, &query, &answer) != SEMDNS_OK)
    return 1;
  printf("%s %s %s\n", answer.zone.name, answer.best.path,
         semdns_answer_status_text((semdns_answer_status)answer.status));
  semdns_scratch_destroy(scratch);
  semdns_resolver_destroy(resolver);
  semdns_artifact_release(artifact);
  return 0;
}
