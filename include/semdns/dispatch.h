/* semdns_dispatcher: which endpoint should answer this text now, and what if it is gone.
 *
 * A resolver says which zone and engines; a dispatcher on top of it knows the endpoints of the
 * engines, their health and load, and leads each query to one answer. It works in memory that the
 * caller gives, allocates nothing, starts no threads, does no I/O and has no clock: every call takes
 * `now`, nanoseconds of a clock that never stops (CLOCK_BOOTTIME). docs/dispatch.md is the manual:
 * the state table, the score, the configuration's grammar.
 *
 *     semdns_dispatch_query q = {.size = sizeof q, .query = &query};
 *     uint64_t ticket;
 *     semdns_query_begin(dispatcher, scratch, &q, now, &ticket);
 *     for (semdns_step step = {.size = sizeof step};;) {
 *       semdns_query_next(dispatcher, ticket, now, &step);
 *       if (step.action == SEMDNS_DONE) break;
 *       if (step.action == SEMDNS_TRY) start(step.endpoint, step.attempt);  // ends in semdns_report
 *       wait_for_report_or(step.until);
 *     }
 *     semdns_query_end(dispatcher, ticket, now);
 *
 * THREADS  Any thread may call anything at any time, but init and deinit. Queries of different lanes
 * share no lock: give each thread a lane of its own. A ticket belongs to nobody. */
#ifndef SEMDNS_DISPATCH_H
#define SEMDNS_DISPATCH_H

#include "semdns/semdns.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct semdns_dispatcher semdns_dispatcher;

#define SEMDNS_ID_MAX 64u /* bytes of an endpoint's id or a region with the terminator */
#define SEMDNS_BLOCKS_MAX 256u /* prompt blocks looked at per query */
#define SEMDNS_TRIES_MAX 4u /* attempts per query: at most 3 in sequence and one hedge */

/* ---- Making one ------------------------------------------------------------------------------- */

typedef struct semdns_dispatcher_options {
  uint32_t size;
  uint32_t max_tickets;   /* queries alive at once; 0 = 1024, at most 2^20 */
  uint32_t max_endpoints; /* 0 = 64, at most 1024 */
  uint32_t max_blocks;    /* prompt blocks remembered, summed over the endpoints that hold them;
                             0 = 16384, at most 2^24 */
  uint32_t max_scopes;    /* token bucket states; 0 = 1024, at most 2^20. Beyond: one shared bucket a
                             rule */
  uint32_t lanes;         /* 0 = 8, at most 32 */
  uint32_t max_policy_words; /* in all text patterns of the policy; 0 = 1024, at most 2^20 */
  uint32_t log_entries;   /* of the decision log, about 1.2 kB each; 0 = 256, at most 2^20 */
  uint32_t log_text;      /* bytes of a query's text that the log keeps, at most 64511; 0 = none, the
                             default: what users write is theirs. Costs as much a ticket */
  uint32_t max_history;   /* zones with a history of their own at each endpoint; 0 = 64, at most 65536.
                             24 bytes times max_endpoints each */
  uint64_t seed;          /* of every random choice; equal calls with equal seeds choose equally. Of
                             the cache's keys, too: secret where askers are not trusted */
  uint64_t cache_bytes;   /* memory of the cache; 0: none. Less than one entry takes (some 2 KiB with
                             what one needs around it): refused. An entry takes some 210 bytes */
} semdns_dispatcher_options;

/* Bytes of memory that init needs; 0 where options are out of range. `options` may be null. */
SEMDNS_API size_t semdns_dispatcher_size(const semdns_dispatcher_options *options);
/* `memory` is 64-byte aligned and outlives the dispatcher, as does the resolver. */
SEMDNS_API semdns_status semdns_dispatcher_init(semdns_resolver *resolver,
                                                const semdns_dispatcher_options *options,
                                                void *memory, size_t size,
                                                semdns_dispatcher **out, semdns_error *error);
/* No call may be in progress. Lets the artifacts of open tickets go; the memory is the caller's. */
SEMDNS_API void semdns_dispatcher_deinit(semdns_dispatcher *dispatcher);

/* Replaces the run-time configuration (text, grammar in docs/dispatch.md) for all later decisions.
 * Names are checked against `artifact`, as a rule the one that the resolver has. On
 * SEMDNS_ERROR_ARGUMENT the old one stays and the error says "LINE:COLUMN: what is wrong", with the
 * nearest name where one is unknown. Endpoints that both have keep their live state; those that
 * the new one lacks are drained. */
SEMDNS_API semdns_status semdns_dispatcher_configure(semdns_dispatcher *dispatcher,
                                                     const semdns_artifact *artifact,
                                                     const char *text, size_t text_size,
                                                     uint64_t now, semdns_error *error);

/* ---- Endpoints -------------------------------------------------------------------------------- */

typedef struct semdns_endpoint {
  uint32_t size;
  uint32_t weight;    /* 0 = 1, at most 1000 */
  uint32_t capacity;  /* requests at once; 0 = 64, at most 2^20 */
  uint32_t blocks;    /* room of its KV cache, in blocks of the queries' size; 0 = not known, at most
                         2^24 */
  const char *id;     /* opaque, unique, 1 to 63 bytes */
  const char *engine; /* name of an engine; none of the artifact's need have it */
  const char *region; /* may be null */
  uint32_t speed;     /* tokens of work a second for each weight; 0 = 10000, 16 to 10^7 */
  uint32_t reserved;
} semdns_endpoint;

/* Adds, or changes weight, capacity and region of one that is there (draining ends). MEMORY: full. */
SEMDNS_API semdns_status semdns_endpoint_add(semdns_dispatcher *dispatcher,
                                             const semdns_endpoint *endpoint, uint64_t now);
/* No new attempts; those in flight end as they may. ARGUMENT: no such endpoint (so in all below). */
SEMDNS_API semdns_status semdns_endpoint_drain(semdns_dispatcher *dispatcher, const char *id);
/* Gone at once; attempts in flight count as failed at their query's next step. */
SEMDNS_API semdns_status semdns_endpoint_remove(semdns_dispatcher *dispatcher, const char *id);

typedef struct semdns_load {
  uint32_t size;
  uint32_t running, waiting; /* requests, all callers' together */
  uint32_t reserved;
  double kv_use;             /* 0..1 */
} semdns_load;
/* What the endpoint says of itself. Negative, NaN and out-of-range values: ARGUMENT, counted, nothing
 * changes. */
SEMDNS_API semdns_status semdns_endpoint_load(semdns_dispatcher *dispatcher, const char *id,
                                              const semdns_load *load, uint64_t now);

typedef enum semdns_endpoint_state {
  SEMDNS_ENDPOINT_UP = 0,
  SEMDNS_ENDPOINT_HELD = 1,     /* ejected; nothing goes there before `until` */
  SEMDNS_ENDPOINT_PROBING = 2,  /* one request finds out */
  SEMDNS_ENDPOINT_RAMPING = 3,  /* slow start, up to `until` */
  SEMDNS_ENDPOINT_DRAINING = 4,
} semdns_endpoint_state;
SEMDNS_API const char *semdns_endpoint_state_text(uint32_t state); /* "up" */

typedef struct semdns_endpoint_info {
  uint32_t size;
  uint32_t state;       /* semdns_endpoint_state */
  uint32_t in_flight;   /* our own attempts */
  uint32_t failures;    /* in a row */
  uint32_t hold_level;  /* ejections without a full recovery between */
  uint32_t success;     /* Q16, decayed */
  uint64_t latency;     /* ns, decayed mean; 0 = unknown */
  uint64_t until;       /* of HELD and RAMPING */
  uint64_t attempts;
} semdns_endpoint_info;
SEMDNS_API semdns_status semdns_endpoint_get_info(semdns_dispatcher *dispatcher, const char *id,
                                                  uint64_t now, semdns_endpoint_info *info);

/* ---- Queries ---------------------------------------------------------------------------------- */

#define SEMDNS_DISPATCH_HEDGE 1u /* may be asked twice at once: idempotent */
#define SEMDNS_DISPATCH_LATER 2u /* begin does not run stage 3: where it must decide, a step says
                                    CLASSIFY. Text, context and scope live until then */

typedef struct semdns_dispatch_query {
  uint32_t size;
  uint32_t flags;            /* SEMDNS_DISPATCH_* */
  const semdns_query *query; /* its `now` is replaced by the call's; its deadline is the whole query's */
  uint32_t lane;             /* any number; equal lanes share a lock */
  uint32_t tokens;           /* of the prompt; 0: estimated from its length */
  uint32_t output_tokens;    /* expected; 0 = as the engine's answers of late, 256 at first */
  uint32_t block_count;      /* blocks[], of the prompt from its start; beyond SEMDNS_BLOCKS_MAX unread */
  const uint64_t *blocks;    /* each names its prefix up to there (a chained hash);
                                lives until semdns_query_end */
  uint64_t session;          /* affinity; 0 = none */
  const char *region;        /* the caller's; null = none: no geography */
  const char *regions;       /* allowed, comma-separated; null = all. A hard limit */
  const char *request_id;    /* echoed, up to 63 bytes; may be null */
  const char *traceparent;   /* likewise */
} semdns_dispatch_query;

/* Classifies, through the cache if there is one, and gives a ticket, never 0. Where another query is
 * having stage 3 decide the same, the ticket waits for that. MEMORY: no free ticket (counted as
 * shed). */
SEMDNS_API semdns_status semdns_query_begin(semdns_dispatcher *dispatcher, semdns_scratch *scratch,
                                            const semdns_dispatch_query *query, uint64_t now,
                                            uint64_t *ticket);

typedef enum semdns_action {
  SEMDNS_TRY = 1,
  SEMDNS_WAIT = 2,
  SEMDNS_DONE = 3,
  SEMDNS_CLASSIFY = 4, /* with LATER alone: call semdns_query_classify, in whatever thread */
} semdns_action;

typedef struct semdns_dispatch_answer {
  uint32_t status;     /* semdns_answer_status: of the classification, or what became of it */
  uint32_t reason;     /* semdns_answer_reason */
  uint32_t retryable;  /* docs/dispatch.md has status x reason x retryable */
  uint32_t stage, ttl; /* of the classification; ttl 0 with NOENGINE, REFUSED, SHED and TIMEOUT */
  uint32_t attempts;   /* endpoints tried, hedge included */
  uint32_t zones_tried;
  uint32_t hedged, panic; /* 1: a second attempt ran; held endpoints were asked */
  uint32_t pinned;     /* 1: a policy rule names the zone; no promise about misroutes covers it */
  uint64_t serial;
  uint64_t retry_after;      /* ns from now; SHED and NOENGINE: when asking again may help; else 0 */
  semdns_zone_ref zone;      /* whose engine answers; without one the classification's */
  semdns_zone_ref classified; /* what the cascade said */
  const char *digest_hex;    /* strings live until semdns_query_end */
  const char *engine;        /* "" if none answered */
  const char *endpoint;      /* likewise */
  const char *request_id, *traceparent; /* as given; "" if not */
  const char *by; /* the policy rule that was met, "" if none */
  uint32_t cached;  /* of the classification: SEMDNS_CACHED* */
  uint32_t refresh; /* 1: the cached decision is in the last tenth of its time, and this query alone is
                       told so: semdns_dispatcher_refresh(), when there is time, renews it */
} semdns_dispatch_answer;

typedef struct semdns_step {
  uint32_t size;
  uint32_t action;      /* semdns_action */
  uint64_t attempt;     /* TRY: for semdns_report; never 0 */
  uint64_t timeout;     /* TRY: ns from now; unreported by then the attempt has failed */
  uint64_t until;       /* TRY, WAIT: call again then, or after a report, whichever comes first */
  uint32_t number;      /* TRY: 1 is the first */
  uint32_t hedge, probe; /* TRY: 1 if so */
  uint32_t reserved;
  char endpoint[SEMDNS_ID_MAX]; /* TRY */
  char engine[SEMDNS_ID_MAX];   /* TRY; cut to 63 bytes */
  semdns_dispatch_answer answer; /* DONE; the same at each further call */
} semdns_step;

/* ARGUMENT: no such ticket (never was, has ended or was given up by maintain). */
SEMDNS_API semdns_status semdns_query_next(semdns_dispatcher *dispatcher, uint64_t ticket,
                                           uint64_t now, semdns_step *step);
/* Runs stage 3 for a ticket whose last step said CLASSIFY, and for all that wait for the same; the
 * next step goes on from there. ARGUMENT: it had not said so. */
SEMDNS_API semdns_status semdns_query_classify(semdns_dispatcher *dispatcher,
                                               semdns_scratch *scratch, uint64_t ticket,
                                               uint64_t now);
/* The caller no longer wants it: REFUSED, reason `cancelled`, at the next step. */
SEMDNS_API semdns_status semdns_query_cancel(semdns_dispatcher *dispatcher, uint64_t ticket,
                                             uint64_t now);
/* Gives the ticket back; attempts in flight are given up as cancelled. */
SEMDNS_API semdns_status semdns_query_end(semdns_dispatcher *dispatcher, uint64_t ticket,
                                          uint64_t now);

typedef enum semdns_event {
  SEMDNS_FIRST_BYTE = 1, /* from now on nobody else is asked */
  SEMDNS_REPORT_OK = 2,
  SEMDNS_REPORT_ERROR = 3,
  SEMDNS_REPORT_TIMEOUT = 4,
  SEMDNS_REPORT_CANCEL = 5, /* by the caller: says nothing about the endpoint */
} semdns_event;

typedef struct semdns_measures { /* zero: not known */
  uint32_t size;
  uint32_t tokens;  /* produced */
  uint64_t latency; /* ns from TRY; 0: the clock's difference */
} semdns_measures;

/* `measures` may be null. Repeating a report changes nothing: only an attempt's first end counts.
 * SEMDNS_OK for late and repeated ones too (counted); ARGUMENT for numbers that never were. */
SEMDNS_API semdns_status semdns_report(semdns_dispatcher *dispatcher, uint64_t attempt,
                                       semdns_event event, const semdns_measures *measures,
                                       uint64_t now);

/* Leases, deadlines, drained endpoints, forgotten tickets: looks at up to `budget` tickets, and as many
 * entries of the cache for what nothing can use any more; returns how many tickets it has changed. Call it some times a second; nothing else frees what nobody asks for. */
SEMDNS_API uint32_t semdns_maintain(semdns_dispatcher *dispatcher, uint64_t now, uint32_t budget);

/* ---- The cache -------------------------------------------------------------------------------- */

/* As semdns_resolve at the time `now`, through the dispatcher's cache: `cached` says so, and `ttl` is
 * what is left. `query.now` is replaced. Never waits for another query. Allocates nothing. */
SEMDNS_API semdns_status semdns_dispatcher_resolve(semdns_dispatcher *dispatcher,
                                                   semdns_scratch *scratch,
                                                   const semdns_query *query, uint64_t now,
                                                   semdns_answer *answer);
/* Decides anew and keeps that, whatever is there. */
SEMDNS_API semdns_status semdns_dispatcher_refresh(semdns_dispatcher *dispatcher,
                                                   semdns_scratch *scratch,
                                                   const semdns_query *query, uint64_t now,
                                                   semdns_answer *answer);

#define SEMDNS_FLUSH_ZONE 1u   /* decisions for `zone` and what lies below, and all of other artifacts */
#define SEMDNS_FLUSH_SCOPE 2u  /* of `scope`; those that scopes share stay */
#define SEMDNS_FLUSH_SERIAL 4u /* of artifacts with `serial` */
typedef struct semdns_flush {
  uint32_t size;
  uint32_t what; /* mask of SEMDNS_FLUSH_*: all of these must hold; 0: everything */
  const semdns_artifact *artifact; /* whose zone it is */
  const char *zone;
  const char *scope;
  size_t scope_size;
  uint64_t serial;
} semdns_flush;
/* Drops decisions; what is being decided meanwhile is not kept. ARGUMENT: no such zone. `dropped` may
 * be null. */
SEMDNS_API semdns_status semdns_cache_flush(semdns_dispatcher *dispatcher, const semdns_flush *flush,
                                            uint64_t *dropped);

/* ---- Explaining ------------------------------------------------------------------------------- */

typedef struct semdns_candidate {
  uint32_t size;
  uint32_t excluded; /* semdns_exclusion; 0: it stood for choice */
  const char *endpoint, *engine;
  uint32_t utilisation, complexity, affinity, geography, history; /* Q16, 0 is best */
  uint32_t weight[5]; /* the zone's, in this order */
  uint64_t score;     /* sum of term * weight; the least wins */
} semdns_candidate;
typedef enum semdns_exclusion {
  SEMDNS_STANDS = 0,
  SEMDNS_EXCLUDED_TRIED = 1,
  SEMDNS_EXCLUDED_DRAINING = 2,
  SEMDNS_EXCLUDED_HELD = 3,
  SEMDNS_EXCLUDED_FULL = 4,
  SEMDNS_EXCLUDED_REGION = 5,
  SEMDNS_EXCLUDED_CONTEXT = 6,
} semdns_exclusion;
SEMDNS_API const char *semdns_exclusion_text(uint32_t exclusion); /* "held"; "" for 0 */
typedef void (*semdns_candidate_fn)(void *user, const semdns_candidate *candidate);
/* The endpoints that the ticket's next choice would look at, of all engines of its present zone.
 * `fn` must not call the dispatcher. */
SEMDNS_API semdns_status semdns_query_explain(semdns_dispatcher *dispatcher, uint64_t ticket,
                                              uint64_t now, semdns_candidate_fn fn, void *user);

/* ---- The decision log ------------------------------------------------------------------------- */

/* Moves decisions out of the log as JSON lines (docs/dispatch.md has the keys), as many whole lines as
 * `size` takes; *written bytes, 0 when the log is empty. What is logged is configuration (`log-sample`,
 * `log-climbs`; by default nothing). One caller at a time drains, others wait; queries never do: where
 * the log is full their records are lost and counted. SEMDNS_ERROR_CAPACITY: not even one line. */
SEMDNS_API semdns_status semdns_log_drain(semdns_dispatcher *dispatcher, char *buffer, size_t size,
                                          size_t *written);

/* ---- Statistics ------------------------------------------------------------------------------- */

typedef struct semdns_stats {
  uint32_t size;
  uint32_t tickets;   /* alive */
  uint64_t epoch;     /* of the configuration; 0: none yet */
  uint64_t queries, answers; /* begun; ended in DONE */
  uint64_t by_status[8];     /* of answers, by semdns_answer_status */
  uint64_t attempts, retries, hedges, probes;
  uint64_t ejections, readmissions, panics;
  uint64_t lease_expiries, late_reports, bad_reports;
  uint64_t clock_backwards;  /* calls whose `now` lay before the ticket's last */
  uint64_t tickets_exhausted, tickets_forgotten;
  uint64_t configurations, bad_configurations;
  uint64_t policy_blocked, policy_dropped, policy_pinned, policy_passed; /* queries by what the rule
                                                                            that they met says */
  uint64_t explored; /* attempts where the score would not have gone */
  uint64_t log_written, log_lost; /* decisions; the lost ones met a full log */
  /* The cache. */
  uint64_t cache_hits;        /* by the text */
  uint64_t cache_input_hits;  /* by what stage 3 would have read */
  uint64_t cache_misses, cache_stale;
  uint64_t cache_encoded;     /* runs of stage 3 */
  uint64_t cache_joined;      /* queries that waited for another's */
  uint64_t cache_offered, cache_refreshed; /* refreshes */
  uint64_t cache_entries, cache_capacity;
  uint64_t cache_evictions, cache_refused; /* refused: beyond a scope's quota */
} semdns_stats;
SEMDNS_API semdns_status semdns_dispatcher_stats(semdns_dispatcher *dispatcher, semdns_stats *stats);

/* The same as named numbers for a metrics page: each name with at most one label, whose values are a
 * fixed list. Names are for ever; docs/dispatch.md lists them. `counter`: 1 if it only ever grows. */
typedef struct semdns_metric {
  uint32_t size;
  uint32_t counter;
  const char *name;                /* "semdns_answers_total" */
  const char *label, *label_value; /* "status", "ROUTED"; both "" without */
  uint64_t value;
} semdns_metric;
typedef void (*semdns_metric_fn)(void *user, const semdns_metric *metric);
SEMDNS_API semdns_status semdns_stats_list(const semdns_stats *stats, semdns_metric_fn fn,
                                           void *user);

#ifdef __cplusplus
}
#endif
#endif /* SEMDNS_DISPATCH_H */
