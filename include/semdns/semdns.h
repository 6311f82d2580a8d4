/* libsemdns: route a text to the zone, and the engines, that should answer it.
 *
 * A small C11 library that serves artifacts made by `build-hierarchy`. It depends on libc and libzstd,
 * starts no threads, throws no exceptions, allocates nothing per query and does no I/O beyond
 * opening artifacts.
 *
 *     semdns_error error = {.size = sizeof error};
 *     semdns_artifact *artifact;
 *     semdns_resolver *resolver;
 *     semdns_scratch *scratch;
 *     if (semdns_artifact_open_path("demo.sdna", NULL, &artifact, &error) != SEMDNS_OK ||
 *         semdns_resolver_create(artifact, NULL, &resolver, &error) != SEMDNS_OK ||
 *         semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK)
 *       die(error.message);
 *     semdns_query query = {.size = sizeof query, .text = text, .text_size = size};
 *     semdns_answer answer = {.size = sizeof answer};
 *     semdns_resolve(resolver, scratch, &query, &answer);
 *     printf("%s\n", answer.zone.name);          // "contracts.legal."
 *
 * OBJECTS AND THREADS
 *   artifact   immutable, shared by any number of threads, reference counted (retain/release).
 *   resolver   shared by any number of threads; its artifact can be swapped while others resolve.
 *   scratch    working memory of one thread at a time. Never share one between two calls at once.
 * Everything an answer points to lives until the next call with the same scratch, or until the
 * scratch is destroyed.
 *
 * VERSIONS  Structures begin with `size`, set by the caller to sizeof; later versions append fields,
 * and the library touches none beyond the caller's size. Enumerators are pinned for ever. The soname
 * changes when this ABI breaks; the file format has versions of its own (docs/compatibility.md). */
#ifndef SEMDNS_SEMDNS_H
#define SEMDNS_SEMDNS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SEMDNS_VERSION_MAJOR 0
#define SEMDNS_VERSION_MINOR 1
#define SEMDNS_VERSION_PATCH 0

#if defined(SEMDNS_STATIC)
#define SEMDNS_API
#else
#define SEMDNS_API __attribute__((visibility("default")))
#endif

/* ---- Status codes, pinned, with gaps by family ------------------------------------------------ */

typedef enum semdns_status {
  SEMDNS_OK = 0,
  /* 1..19: the caller */
  SEMDNS_ERROR_ARGUMENT = 1, /* null pointer, bad size field, value out of range */
  SEMDNS_ERROR_SCRATCH = 2,  /* scratch too small for the resolver's artifact (after a swap) */
  SEMDNS_ERROR_ISA = 3,      /* SEMDNS_ISA or options.isa: unknown, absent or not runnable here */
  SEMDNS_ERROR_CAPACITY = 4, /* the output does not fit in what the caller gave (codec.h) */
  /* 20..39: the operating system */
  SEMDNS_ERROR_IO = 20,
  SEMDNS_ERROR_MEMORY = 21,
  /* 40..59: the file is damaged */
  SEMDNS_ERROR_TRUNCATED = 40,
  SEMDNS_ERROR_MAGIC = 41,    /* not a semdns file, or mangled by a text-mode transfer */
  SEMDNS_ERROR_STRUCTURE = 42, /* a count, offset, size or padding that cannot be */
  SEMDNS_ERROR_DIGEST = 43,
  SEMDNS_ERROR_SECTION = 44,  /* a section's content breaks its own rules */
  SEMDNS_ERROR_CODE = 45,     /* a native-code section that must not be mapped */
  SEMDNS_ERROR_FRAME = 46,    /* not a frame, or a damaged one (codec.h) */
  /* 60..79: intact but not for us */
  SEMDNS_ERROR_VERSION = 60, /* another format major or kernel ABI */
  SEMDNS_ERROR_KIND = 61,    /* a pattern library where a hierarchy is wanted, or the reverse */
  SEMDNS_ERROR_FEATURE = 62, /* needs a feature that this library does not have */
  SEMDNS_ERROR_TABLES = 63,  /* codec tables that the artifact does not have (codec.h) */
  SEMDNS_ERROR_SERIAL = 64,  /* not newer than what is served */
} semdns_status;

/* Lower-case words without final dot, e.g. "digest mismatch"; never null. */
SEMDNS_API const char *semdns_status_text(semdns_status status);

/* Filled on failure, where the caller passes one (may be null). */
typedef struct semdns_error {
  uint32_t size;
  int32_t code;      /* semdns_status */
  char section[8];   /* tag of the section concerned, NUL-terminated; "" = header or none */
  uint64_t offset;   /* byte offset in the file, where one is known */
  char message[256]; /* found and expected values and the remedy; NUL-terminated */
} semdns_error;

/* ---- Artifacts -------------------------------------------------------------------------------- */

typedef struct semdns_artifact semdns_artifact;
typedef struct semdns_resolver semdns_resolver;
typedef struct semdns_scratch semdns_scratch;

#define SEMDNS_OPEN_COPY 0u      /* default: read into sealed memory; nobody can change it under us */
#define SEMDNS_OPEN_MAP 1u       /* map the file itself; the caller vouches that files are only
                                    replaced by rename. Whatever could lead out of a table is
                                    checked; digests and the ranges of weights are not */
#define SEMDNS_OPEN_VERIFY 2u    /* with OPEN_MAP: check all digests too (always done with OPEN_COPY) */
#define SEMDNS_OPEN_DATA_ONLY 4u /* never map native code; the portable kernels answer, the same */

/* Called before native code is mapped; a return other than 0 refuses the file. For signatures, which
 * lie outside the file: `digest` is the root digest that they sign. */
typedef int (*semdns_verify_fn)(void *user, const uint8_t digest[32]);

typedef struct semdns_open_options {
  uint32_t size;
  uint32_t flags;          /* SEMDNS_OPEN_* */
  const char *isa;         /* force a kernel level ("x86-64-v3", "portable"); null: environment variable
                              SEMDNS_ISA, else the best that the machine runs */
  semdns_verify_fn verify; /* may be null */
  void *verify_user;
} semdns_open_options;

/* `options` may be null. On failure *out is null. The descriptor stays the caller's; `data` is copied
 * (OPEN_COPY) or must outlive the artifact and be 64-byte aligned (OPEN_MAP). */
SEMDNS_API semdns_status semdns_artifact_open_path(const char *path,
                                                   const semdns_open_options *options,
                                                   semdns_artifact **out, semdns_error *error);
SEMDNS_API semdns_status semdns_artifact_open_fd(int fd, const semdns_open_options *options,
                                                 semdns_artifact **out, semdns_error *error);
SEMDNS_API semdns_status semdns_artifact_open_memory(const void *data, size_t size,
                                                     const semdns_open_options *options,
                                                     semdns_artifact **out, semdns_error *error);
SEMDNS_API semdns_artifact *semdns_artifact_retain(semdns_artifact *artifact);
SEMDNS_API void semdns_artifact_release(semdns_artifact *artifact); /* null is fine */

typedef struct semdns_artifact_info {
  uint32_t size;
  uint32_t zone_count, class_count, engine_count;
  uint64_t serial;
  uint64_t file_size;
  uint8_t digest[32];       /* root digest: the artifact's identity */
  const char *digest_hex;   /* the same as 64 hex digits */
  const char *name;         /* META "name" */
  const char *isa;          /* level of the kernel in use, "portable" without one */
  const char *isa_reason;   /* why this level: "best", "forced", "PROT_EXEC denied", ... */
  const char *source_reason; /* how the bytes are held: "sealed memfd", "memfd denied", "map", ... */
  size_t scratch_size;      /* bytes that semdns_scratch_init needs for this artifact */
} semdns_artifact_info;
SEMDNS_API semdns_status semdns_artifact_get_info(const semdns_artifact *artifact,
                                                  semdns_artifact_info *info);

/* Value of a META key, null if absent. Lives as long as the artifact. */
SEMDNS_API const char *semdns_artifact_meta(const semdns_artifact *artifact, const char *key);

/* The kernel levels of the artifact: fills up to `capacity` names, returns how many there are. A name
 * is listed whether or not this machine can run it; "portable" is always the first. */
SEMDNS_API size_t semdns_artifact_isas(const semdns_artifact *artifact, const char **names,
                                       size_t capacity);
SEMDNS_API int semdns_isa_runnable(const char *name); /* 1 if this machine can run the level */

/* ---- Zones ------------------------------------------------------------------------------------ */

/* Strings are NUL-terminated and UTF-8. */
typedef struct semdns_zone_ref {
  uint32_t index;       /* preorder; 0 is the root */
  uint32_t confidence;  /* Q16: 65536 is certain */
  const char *name;     /* DNS name, leaf first: "contracts.legal."; root: "." */
  const char *path;     /* root-to-leaf labels as the training data spell them: "legal/contracts"; "/" */
} semdns_zone_ref;

typedef struct semdns_engine_choice {
  const char *name;
  const char *region; /* "" if none */
  uint32_t tier;      /* 0 root, 1 domain, 2 subdomain, 3 specialist */
  uint32_t weight;
  uint32_t max_context; /* tokens, 0 = not stated */
  uint32_t reserved;
  double cost_per_mtok;
} semdns_engine_choice;

/* Zone by index (confidence 0); SEMDNS_ERROR_ARGUMENT beyond the last. */
SEMDNS_API semdns_status semdns_artifact_zone(const semdns_artifact *artifact, uint32_t index,
                                              semdns_zone_ref *zone);
/* Index of the zone with this DNS name or this path, UINT32_MAX if there is none. */
SEMDNS_API uint32_t semdns_artifact_find_zone(const semdns_artifact *artifact, const char *name);
/* Parent of a zone; UINT32_MAX for the root and for indices beyond the last. */
SEMDNS_API uint32_t semdns_artifact_zone_parent(const semdns_artifact *artifact, uint32_t index);

/* ---- Resolving -------------------------------------------------------------------------------- */

typedef struct semdns_resolver_options {
  uint32_t size;
  uint32_t reserved;
} semdns_resolver_options;

/* Takes a reference of its own to the artifact. `options` may be null. */
SEMDNS_API semdns_status semdns_resolver_create(semdns_artifact *artifact,
                                                const semdns_resolver_options *options,
                                                semdns_resolver **out, semdns_error *error);
/* No call may be in progress, and all scratches made from it must be gone or never used again. */
SEMDNS_API void semdns_resolver_destroy(semdns_resolver *resolver);
#define SEMDNS_SWAP_BACK 1u /* whatever the serials are */

/* Replaces the artifact for all later calls; calls in progress end with the old one, which each
 * scratch lets go at its next call (or semdns_scratch_let_go): with its last user its memory goes.
 * The serial must have grown, by RFC 1982's arithmetic on 64 bits (so that numbers may wrap), or the
 * digest be the same; else SERIAL, and the old one stays. Any thread, any time. */
SEMDNS_API semdns_status semdns_resolver_swap(semdns_resolver *resolver, semdns_artifact *artifact,
                                              semdns_error *error);
/* The same with SEMDNS_SWAP_* flags. */
SEMDNS_API semdns_status semdns_resolver_swap_with(semdns_resolver *resolver,
                                                   semdns_artifact *artifact, uint32_t flags,
                                                   semdns_error *error);

/* Scratch on the heap, or in memory of the caller's (64-byte aligned, info.scratch_size bytes, which
 * must outlive it; destroy then frees nothing but lets its artifact go). After a swap to a larger
 * artifact a heap scratch grows by itself (the one allocation); a caller's answers SCRATCH. */
SEMDNS_API semdns_status semdns_scratch_create(semdns_resolver *resolver, semdns_scratch **out,
                                               semdns_error *error);
SEMDNS_API semdns_status semdns_scratch_init(semdns_resolver *resolver, void *memory, size_t size,
                                             semdns_scratch **out, semdns_error *error);
SEMDNS_API void semdns_scratch_destroy(semdns_scratch *scratch);
/* For threads that will be idle: after a swap, lets the old artifact go, and with it what the last
 * answer points to, without waiting for the next call. Codes as semdns_resolve's. */
SEMDNS_API semdns_status semdns_scratch_let_go(semdns_resolver *resolver, semdns_scratch *scratch);

#define SEMDNS_STAGE_NONE 0u
#define SEMDNS_STAGE_KEYWORD 1u
#define SEMDNS_STAGE_EMBEDDING 2u
#define SEMDNS_STAGE_ENCODER 4u
#define SEMDNS_STAGES_ALL 7u
#define SEMDNS_TOP_MAX 8u
#define SEMDNS_CHAIN_MAX 17u
#define SEMDNS_ENGINES_MAX 16u

/* semdns_answer.cached */
#define SEMDNS_CACHED 1u       /* as the same artifact has answered the same */
#define SEMDNS_CACHED_STALE 2u /* expired, or an older artifact's decision: reason STALE */

/* What to route. Zero fields mean defaults, so a designated initialiser of size, text and text_size
 * is a whole query. */
typedef struct semdns_query {
  uint32_t size;
  uint32_t stages;      /* mask of SEMDNS_STAGE_*; 0 = all that the artifact has. Where stage 3 is
                           asked for, stage 2 answers only what its guard lets pass; without stage 3
                           its own thresholds decide */
  uint32_t top_k;       /* candidates wanted in `zones`, at most SEMDNS_TOP_MAX; 0 = 1 */
  uint32_t flags;       /* zero */
  const char *text;     /* any bytes, no terminator needed; null only when text_size is 0 */
  size_t text_size;
  const char *context;  /* conversation so far; read by stage 3 only */
  size_t context_size;
  uint64_t now;         /* the caller's clock in ns, monotonic; only compared with `deadline` */
  uint64_t deadline;    /* on the same clock; 0 = none. Past it: TIMEOUT, answered by the root. At it,
                           or where stage 3's stated cost does not fit: as without stage 3 */
  const char *scope;    /* tenant: caches keep scopes apart (dispatch.h) */
  size_t scope_size;
} semdns_query;

/* Pinned. status x reason x retryable is one table, docs/tools.md. */
typedef enum semdns_answer_status {
  SEMDNS_ROUTED = 0,   /* a zone below the root, as confident as its threshold asks */
  SEMDNS_FALLBACK = 1, /* climbed: an ancestor (the root included) answers for the best guess */
  SEMDNS_NOZONE = 2,   /* nothing to go by; the root answers */
  SEMDNS_NOENGINE = 3, /* engines are declared and none is usable (dispatch.h) */
  SEMDNS_REFUSED = 4,  /* cancelled, or policy (dispatch.h) */
  SEMDNS_SHED = 5,     /* overload (dispatch.h) */
  SEMDNS_TIMEOUT = 6,  /* the deadline has passed; the root answers */
} semdns_answer_status;

typedef enum semdns_answer_reason {
  SEMDNS_REASON_NONE = 0,
  SEMDNS_REASON_LOW_CONFIDENCE = 1, /* FALLBACK: no deeper zone passes its threshold */
  SEMDNS_REASON_NO_EVIDENCE = 2,    /* NOZONE: no known word or keyword */
  SEMDNS_REASON_EMPTY = 3,          /* NOZONE: the text has no words at all */
  SEMDNS_REASON_TRUNCATED = 4,      /* decided on the head and tail windows only */
  SEMDNS_REASON_REPAIRED = 5,       /* invalid UTF-8 was read as U+FFFD */
  SEMDNS_REASON_DEADLINE = 6,       /* TIMEOUT */
  SEMDNS_REASON_NO_STAGE = 7,       /* NOZONE: none of the stages asked for is in the artifact */
  /* Of dispatchers alone: docs/dispatch.md. */
  SEMDNS_REASON_NO_ENDPOINT = 8,   /* FALLBACK: an ancestor's engine serves; NOENGINE: nor has the root */
  SEMDNS_REASON_FAIL_CLOSED = 9,   /* NOENGINE: the zone's policy forbids to ask its parent */
  SEMDNS_REASON_RESTRICTED = 10,   /* NOENGINE: a restricted zone's queries never leave its subtree */
  SEMDNS_REASON_OVERLOAD = 11,     /* SHED: whatever could answer is at its capacity */
  SEMDNS_REASON_RATE_LIMIT = 12,   /* SHED: a token bucket is empty */
  SEMDNS_REASON_RETRY_BUDGET = 13, /* SHED: too many queries are being retried */
  SEMDNS_REASON_WORK_BUDGET = 14,  /* NOENGINE: all tries are spent */
  SEMDNS_REASON_INTERRUPTED = 15,  /* NOENGINE: failed after the first byte */
  SEMDNS_REASON_CANCELLED = 16,    /* REFUSED: by the caller */
  SEMDNS_REASON_CONTEXT = 17,      /* NOENGINE: longer than any engine's context */
  SEMDNS_REASON_REGION = 18,       /* NOENGINE: no endpoint in the allowed regions */
  SEMDNS_REASON_BLOCKED = 19,      /* REFUSED: by a policy rule */
  SEMDNS_REASON_DROPPED = 20,      /* REFUSED: by a policy rule; the asker need not hear of it */
  SEMDNS_REASON_POLICY = 21,       /* ROUTED: a policy rule names the zone */
  SEMDNS_REASON_STALE = 22,        /* ROUTED, FALLBACK: kept from before, the deadline forbids stage 3 */
  SEMDNS_REASON_RELOAD = 23,       /* SHED: the policy changed while the query waited for stage 3 */
} semdns_answer_reason;

SEMDNS_API const char *semdns_answer_status_text(semdns_answer_status status); /* "ROUTED" */
SEMDNS_API const char *semdns_answer_reason_text(semdns_answer_reason reason); /* "low-confidence", "" */
SEMDNS_API const char *semdns_stage_text(uint32_t stage); /* "keyword", "embedding", "encoder", "none" */

typedef struct semdns_answer {
  uint32_t size;
  uint32_t status;    /* semdns_answer_status */
  uint32_t reason;    /* semdns_answer_reason: DEADLINE, else TRUNCATED, else REPAIRED, else what the
                         status asks for (FALLBACK: LOW_CONFIDENCE; NOZONE: NO_STAGE, EMPTY or
                         NO_EVIDENCE; ROUTED: NONE) */
  uint32_t retryable; /* 1 if the same query may fare better later */
  uint32_t stage;     /* SEMDNS_STAGE_* that decided */
  uint32_t cached;    /* SEMDNS_CACHED*; 0: no, as always without a dispatcher's cache */
  uint32_t margin;    /* Q16: lead of the best class over the next */
  uint32_t ttl;       /* seconds for which the answer may be kept */
  uint32_t truncated, repaired; /* 1 if so, whatever `reason` says */
  uint64_t serial;
  const uint8_t *digest;  /* [32] of the artifact that answered */
  const char *digest_hex; /* 64 digits */
  semdns_zone_ref zone;   /* the answer, after climbing */
  semdns_zone_ref best;   /* deepest best guess, never the root unless the tree is only a root: where
                             nothing speaks for any zone it is the first leaf, with confidence 0 */
  uint32_t zone_count;    /* of `zones`, at most top_k: `zones[0]` is `zone`, then what else the text
                             may be about, by the deciding stage: the zones of its best classes,
                             best first, with their confidences; none is an ancestor or a descendant
                             of another, but for the root at the head. Stage keyword: one alone */
  uint32_t chain_count;   /* from the answer to the root, both included; confidences of the first
                             (the answer's) and the last (the root's) only */
  uint32_t engine_count;
  uint32_t reserved;
  semdns_zone_ref zones[SEMDNS_TOP_MAX];
  semdns_zone_ref chain[SEMDNS_CHAIN_MAX];
  semdns_engine_choice engines[SEMDNS_ENGINES_MAX]; /* the zone's, else its nearest ancestor's, in
                                                       the spec's order of preference */
} semdns_answer;

/* Routes one text. SEMDNS_OK with an answer for any bytes, always; other codes only for wrong
 * arguments. Allocates nothing. */
SEMDNS_API semdns_status semdns_resolve(semdns_resolver *resolver, semdns_scratch *scratch,
                                        const semdns_query *query, semdns_answer *answer);
/* The same for `count` queries; stops at the first code other than SEMDNS_OK. `answers` and `queries`
 * are arrays with the strides given by their first elements' `size`. Their strings live until the
 * next call with the same scratch. */
SEMDNS_API semdns_status semdns_resolve_many(semdns_resolver *resolver, semdns_scratch *scratch,
                                             const semdns_query *queries, semdns_answer *answers,
                                             size_t count);

/* ---- Measuring --------------------------------------------------------------------------------- */

/* What one stage says about a text before any threshold, guard or other stage has its say. */
typedef struct semdns_stage_evidence {
  uint32_t stage;    /* SEMDNS_STAGE_*; 0: not in the artifact or the mask, or nothing to go by (no
                        term, no known feature, no word) */
  uint32_t accepted; /* keyword: 1 if it answers by its own rule, which is not calibrated */
  int32_t odds;      /* best zone's class against the root's own class in 1/256 bit; INT32_MAX where
                        there is nothing to compare */
  uint32_t margin;   /* Q16 */
  uint32_t count;    /* of zone[] and confidence[] */
  uint32_t best_class_zone; /* zone of the best of all classes: 0 where it is the root's own */
  uint32_t zone[SEMDNS_CHAIN_MAX];       /* the best zone below the root, then its ancestors */
  uint32_t confidence[SEMDNS_CHAIN_MAX]; /* Q16 of each; the root's is 65536 */
} semdns_stage_evidence;

#define SEMDNS_EVIDENCE_TRUNCATED 1u
#define SEMDNS_EVIDENCE_REPAIRED 2u
#define SEMDNS_EVIDENCE_NONE 4u /* stages 1 and 2 know nothing in the text */
#define SEMDNS_EVIDENCE_ENCODER 8u /* stage 3 is in the artifact and the mask, and has run */

typedef struct semdns_evidence {
  uint32_t size;
  uint32_t flags; /* SEMDNS_EVIDENCE_* */
  semdns_stage_evidence keyword, embedding, encoder;
  uint32_t candidate_count;
  uint32_t reserved;
  semdns_zone_ref candidates[SEMDNS_TOP_MAX]; /* of the last stage that has evidence: its best zone
                                below the root, then others as in semdns_answer.zones */
} semdns_evidence;

/* What each stage in the query's mask says, whatever the guards and the stages before it say, and
 * without any threshold: from this every decision under other thresholds can be replayed. For
 * calibration and evaluation; `now` and `deadline` are not looked at. Allocates nothing; the
 * threads' rules are those of semdns_resolve. Without evidence in stage 2 its `stage` is 0, and what
 * the bias alone would guess stands in the other fields. */
SEMDNS_API semdns_status semdns_measure(semdns_resolver *resolver, semdns_scratch *scratch,
                                        const semdns_query *query, semdns_evidence *evidence);

/* ---- Explaining ------------------------------------------------------------------------------- */

/* One step of a decision: a zone that a stage looked at. */
typedef struct semdns_trace_step {
  uint32_t size;
  uint32_t stage;     /* SEMDNS_STAGE_* */
  uint32_t score;     /* keyword: votes; embedding, encoder: Q16 confidence */
  uint32_t threshold; /* what the zone needs, in the same unit; UINT32_MAX: it never suffices. Stage
                         2 before a stage 3: what its guard asks for */
  uint32_t accepted;  /* 1 if it passes */
  uint32_t reserved;
  uint64_t nanoseconds; /* spent in this stage (on its first step), measured by re-running it */
  semdns_zone_ref zone;
  const char *detail;   /* keyword hits, counts; may be "" */
} semdns_trace_step;
typedef void (*semdns_trace_fn)(void *user, const semdns_trace_step *step);

/* As semdns_resolve, then calls `fn` for each step in the order in which the cascade took them.
 * For people, not for the hot path. */
SEMDNS_API semdns_status semdns_explain(semdns_resolver *resolver, semdns_scratch *scratch,
                                        const semdns_query *query, semdns_answer *answer,
                                        semdns_trace_fn fn, void *user);

SEMDNS_API const char *semdns_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif /* SEMDNS_SEMDNS_H */
