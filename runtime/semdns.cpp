/// The parts of the C ABI that need no object: words for numbers.
#include "semdns/semdns.h"

#include "runtime/exec/isa.h"

extern "C" {

const char *semdns_status_text(semdns_status status) {
  switch (status) {
  case SEMDNS_OK:
    return "ok";
  case SEMDNS_ERROR_ARGUMENT:
    return "invalid argument";
  case SEMDNS_ERROR_SCRATCH:
    return "scratch too small for this artifact";
  case SEMDNS_ERROR_ISA:
    return "kernel level unknown, absent or not runnable here";
  case SEMDNS_ERROR_CAPACITY:
    return "output does not fit";
  case SEMDNS_ERROR_IO:
    return "input or output error";
  case SEMDNS_ERROR_MEMORY:
    return "out of memory";
  case SEMDNS_ERROR_TRUNCATED:
    return "file is truncated";
  case SEMDNS_ERROR_MAGIC:
    return "not a semdns file";
  case SEMDNS_ERROR_STRUCTURE:
    return "damaged structure";
  case SEMDNS_ERROR_DIGEST:
    return "digest mismatch";
  case SEMDNS_ERROR_SECTION:
    return "damaged section";
  case SEMDNS_ERROR_CODE:
    return "native code that must not be mapped";
  case SEMDNS_ERROR_FRAME:
    return "damaged frame";
  case SEMDNS_ERROR_VERSION:
    return "unsupported version";
  case SEMDNS_ERROR_KIND:
    return "another kind of semdns file";
  case SEMDNS_ERROR_FEATURE:
    return "needs an unknown feature";
  case SEMDNS_ERROR_TABLES:
    return "codec tables that are not here";
  case SEMDNS_ERROR_SERIAL:
    return "not newer than what is served";
  }
  return "unknown status";
}

const char *semdns_answer_status_text(semdns_answer_status status) {
  switch (status) {
  case SEMDNS_ROUTED:
    return "ROUTED";
  case SEMDNS_FALLBACK:
    return "FALLBACK";
  case SEMDNS_NOZONE:
    return "NOZONE";
  case SEMDNS_NOENGINE:
    return "NOENGINE";
  case SEMDNS_REFUSED:
    return "REFUSED";
  case SEMDNS_SHED:
    return "SHED";
  case SEMDNS_TIMEOUT:
    return "TIMEOUT";
  }
  return "UNKNOWN";
}

const char *semdns_answer_reason_text(semdns_answer_reason reason) {
  switch (reason) {
  case SEMDNS_REASON_NONE:
    return "";
  case SEMDNS_REASON_LOW_CONFIDENCE:
    return "low-confidence";
  case SEMDNS_REASON_NO_EVIDENCE:
    return "no-evidence";
  case SEMDNS_REASON_EMPTY:
    return "empty";
  case SEMDNS_REASON_TRUNCATED:
    return "truncated";
  case SEMDNS_REASON_REPAIRED:
    return "repaired";
  case SEMDNS_REASON_DEADLINE:
    return "deadline";
  case SEMDNS_REASON_NO_STAGE:
    return "no-stage";
  case SEMDNS_REASON_NO_ENDPOINT:
    return "no-endpoint";
  case SEMDNS_REASON_FAIL_CLOSED:
    return "fail-closed";
  case SEMDNS_REASON_RESTRICTED:
    return "restricted";
  case SEMDNS_REASON_OVERLOAD:
    return "overload";
  case SEMDNS_REASON_RATE_LIMIT:
    return "rate-limit";
  case SEMDNS_REASON_RETRY_BUDGET:
    return "retry-budget";
  case SEMDNS_REASON_WORK_BUDGET:
    return "work-budget";
  case SEMDNS_REASON_INTERRUPTED:
    return "interrupted";
  case SEMDNS_REASON_CANCELLED:
    return "cancelled";
  case SEMDNS_REASON_CONTEXT:
    return "context";
  case SEMDNS_REASON_REGION:
    return "region";
  case SEMDNS_REASON_BLOCKED:
    return "blocked";
  case SEMDNS_REASON_DROPPED:
    return "dropped";
  case SEMDNS_REASON_POLICY:
    return "policy";
  case SEMDNS_REASON_STALE:
    return "stale";
  case SEMDNS_REASON_RELOAD:
    return "reload";
  }
  return "unknown";
}

const char *semdns_stage_text(uint32_t stage) {
  switch (stage) {
  case SEMDNS_STAGE_NONE:
    return "none";
  case SEMDNS_STAGE_KEYWORD:
    return "keyword";
  case SEMDNS_STAGE_EMBEDDING:
    return "embedding";
  case SEMDNS_STAGE_ENCODER:
    return "encoder";
  default:
    return "unknown";
  }
}

int semdns_isa_runnable(const char *name) {
  uint32_t isa;
  return name && semdns::exec::isaFromName(name, isa) && semdns::exec::isaRuns(isa);
}

const char *semdns_version(void) { return "0.1.0"; }

} // extern "C"
