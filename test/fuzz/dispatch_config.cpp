// Any bytes are a configuration of a dispatcher: taken, or refused with line and column; and with
// whatever was taken, queries still end.
#include "lib/sim/artifact.h"
#include "semdns/dispatch.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Subject {
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_scratch *scratch = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  uint64_t now = 1000000000;

  Subject() {
    std::string why;
    const std::string bytes =
        semdns::sim::makeArtifact({{"big", "", 0, 0, 0}, {"small", "eu", 2, 4096, 0}},
                                  {{".", 3600, false, false, {{"big", 1}}, {}},
                                   {"legal.", 60, false, false, {{"small", 1}}, {"court"}}},
                                  1, why);
    semdns_dispatcher_options options = {};
    options.size = sizeof options;
    options.max_tickets = 64;
    options.lanes = 1;
    options.log_text = 32;
    const size_t size = semdns_dispatcher_size(&options);
    if (semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &artifact, nullptr) ||
        semdns_resolver_create(artifact, nullptr, &resolver, nullptr) ||
        semdns_scratch_create(resolver, &scratch, nullptr) ||
        semdns_dispatcher_init(resolver, &options, std::aligned_alloc(64, size), size, &dispatcher,
                               nullptr))
      abort();
  }

  void ask(const char *text, size_t size) {
    semdns_query plain = {};
    plain.size = sizeof plain;
    plain.text = text;
    plain.text_size = size;
    semdns_dispatch_query query = {};
    query.size = sizeof query;
    query.query = &plain;
    uint64_t ticket;
    if (semdns_query_begin(dispatcher, scratch, &query, now, &ticket))
      abort();
    semdns_step step = {};
    step.size = sizeof step;
    for (int i = 0; i < 16 && step.action != SEMDNS_DONE; ++i) {
      if (semdns_query_next(dispatcher, ticket, now += 1000000, &step))
        abort();
      if (step.action == SEMDNS_TRY)
        semdns_report(dispatcher, step.attempt, i % 2 ? SEMDNS_REPORT_OK : SEMDNS_REPORT_ERROR,
                      nullptr, now);
    }
    if (step.action != SEMDNS_DONE)
      abort();
    semdns_query_end(dispatcher, ticket, now);
    char line[4096];
    size_t written;
    semdns_log_drain(dispatcher, line, sizeof line, &written);
  }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Subject subject;
  const auto *text = reinterpret_cast<const char *>(data);
  semdns_error error = {};
  error.size = sizeof error;
  const semdns_status status = semdns_dispatcher_configure(
      subject.dispatcher, subject.artifact, text, size, subject.now += 1000000000, &error);
  unsigned line = 0, column = 0;
  if (status != SEMDNS_OK && std::sscanf(error.message, "%u:%u: ", &line, &column) != 2) {
    std::fprintf(stderr, "no place: %s\n", error.message);
    abort();
  }
  subject.ask("in court", 8);
  subject.ask(text, size < 4096 ? size : 4096);
  return 0;
}
