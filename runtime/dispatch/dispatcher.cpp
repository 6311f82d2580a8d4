/// The C ABI of semdns/dispatch.h: tickets, and the actions of the table in query.h.
///
/// Locks. A lane's mutex guards its tickets, and holding any lane keeps configuration, endpoints'
/// slots and engines as they are; who changes those holds all lanes. Under a lane an endpoint's own
/// lock or one of the prefix table's may be taken, never the other way round.
#include "runtime/cache/classifier.h"
#include "runtime/dispatch/atomics.h"
#include "runtime/dispatch/buckets.h"
#include "runtime/dispatch/config.h"
#include "runtime/dispatch/log.h"
#include "runtime/dispatch/policy.h"
#include "runtime/dispatch/prefix.h"
#include "runtime/dispatch/query.h"
#include "runtime/resolve/artifact.h"

#include <stdio.h>
#include <string.h>

using namespace semdns::dispatch;

namespace {

constexpr uint32_t kMaxLanes =
    32; // all of them are held at once, and TSan follows 64 locks a thread
constexpr uint32_t kNoLevel = 0xff;

enum class Flight : uint8_t { None, Waiting, Streaming, Ended };

struct Attempt {
  uint32_t slot, generation, engine, work;
  uint64_t started, expires;
  Flight flight;
  bool probe, hedge, retry;
  uint32_t expected, produced; ///< tokens of output; produced 0: not reported
  uint32_t row;                ///< of the zone's history
  uint64_t zone;
};

/// What policy says to one query, as far as it has been asked.
struct Ruling {
  PolicyAction action = PolicyAction::None;
  bool textsRead = false;
  uint64_t epoch = UINT64_MAX; ///< of the policy that `texts` belongs to
  RuleSet texts = {};
  char by[SEMDNS_ID_MAX];
  char target[kZoneNameMax];
};

struct Ticket {
  uint32_t generation; ///< of the slot; with it the ticket's number
  uint32_t nextFree;
  bool inUse;
  State state;
  uint8_t level, chainCount, attemptCount, panicLevel;
  bool hedged, hedgeOver, panicked, hasFinal;
  uint8_t zonesTried;
  semdns_artifact *artifact;
  bool holdsLane; ///< the reference is the lane's
  uint64_t epoch; ///< of the configuration that rule[] is about
  uint32_t rule[SEMDNS_CHAIN_MAX], chain[SEMDNS_CHAIN_MAX];
  uint32_t rulesKnown;
  // The classification, and what policy has made of it.
  uint32_t status, reason, stage, ttl, confidence;
  uint32_t classified, classifiedConfidence; ///< the cascade's zone
  uint32_t best, bestConfidence, margin;
  PolicyAction policy;
  char by[SEMDNS_ID_MAX]; ///< policy rule
  // The query.
  bool logged;      ///< or will be: its end has a record
  uint32_t logDraw; ///< per mille
  uint32_t logTextSize;
  bool logTextCut, hasScope;
  uint64_t began, textHash;
  uint64_t deadline, last, key, session;
  uint32_t tokens, outputTokens, region, allowedRegions, blockCount, flags;
  const uint64_t *blocks;
  uint64_t scope; ///< hash; 1: none
  // While stage 3 is to decide.
  uint32_t flight; ///< kNoFlight: none, or somebody is computing for this ticket
  bool promised;   ///< to compute for the flight
  semdns_query query;
  Ruling ruling; ///< so far
  // Of the cache.
  uint32_t cached, refresh;
  // The end.
  uint32_t finalStatus, finalReason, winner; ///< winner: attempt, kNobody if none
  uint64_t retryAfter;
  char winnerEndpoint[SEMDNS_ID_MAX], winnerEngine[SEMDNS_ID_MAX];
  char requestId[SEMDNS_ID_MAX], traceparent[SEMDNS_ID_MAX];
  Attempt attempts[SEMDNS_TRIES_MAX];
};

struct alignas(64) Lane {
  pthread_mutex_t lock;
  uint32_t free;          ///< first free ticket of the lane, kNobody if none
  uint32_t cursor;        ///< of maintain
  uint32_t exploreCredit; ///< per mille of an attempt
  uint64_t sequence;
  semdns_artifact
      *artifact;    ///< one reference for all of the lane's tickets that have it; may be null
  uint32_t holders; ///< how many these are
  semdns_stats stats;
};

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t(63); }

} // namespace

struct semdns_dispatcher {
  semdns_resolver *resolver;
  uint64_t seed;
  uint32_t laneCount, ticketsPerLane, maxEndpoints;
  uint32_t maintained; ///< atomic: lane that maintain looks at next
  uint64_t epoch;
  uint64_t policyEpoch; ///< changes whenever the policy does; under a lane. Caches compare it
  Lane *lanes;
  Ticket *tickets;
  semdns::cache::Classifier classifier;
  Pool pool;
  PrefixTable prefixes;
  Buckets buckets;
  History history;
  Config config, draft; ///< draft: under `configuring`
  Policy policy, policyDraft;
  uint32_t policyRules; ///< atomic: of `policy`
  EndpointLine *lines;  ///< of the draft
  pthread_mutex_t configuring, draining;
  Log log;
  char *logTexts; ///< [tickets][log.textBytes]
};

namespace {

using semdns::cache::kNoFlight;
using semdns::resolve::ZoneView;

// ---- Memory -------------------------------------------------------------------------------------

struct Shape {
  uint32_t tickets, endpoints, blocks, scopes, lanes, policyWords, logEntries, logText, history;
  uint64_t seed, cache; ///< cache: bytes asked for
};

bool shapeOf(const semdns_dispatcher_options *options, Shape &out) {
  out = {1024, 64, 16384, 1024, 8, 1024, 256, 0, 64, 0, 0};
  if (!options)
    return true;
  if (options->size < sizeof *options)
    return false;
  const auto take = [](uint32_t given, uint32_t most, uint32_t &value) {
    value = given ? given : value;
    return value <= most;
  };
  out.seed = options->seed;
  out.cache = options->cache_bytes;
  const bool good = take(options->max_tickets, 1u << 20, out.tickets) &&
                    take(options->max_endpoints, kMaxEndpoints, out.endpoints) &&
                    take(options->max_blocks, 1u << 24, out.blocks) &&
                    take(options->max_scopes, 1u << 20, out.scopes) &&
                    take(options->lanes, kMaxLanes, out.lanes) &&
                    take(options->max_policy_words, 1u << 20, out.policyWords) &&
                    take(options->max_history, 1u << 16, out.history) &&
                    take(options->log_entries, 1u << 20, out.logEntries) &&
                    take(options->log_text, 65535 - kLogStrings, out.logText);
  if (out.lanes > out.tickets)
    out.lanes = out.tickets;
  return good && (!out.cache || semdns::cache::storeSize(out.cache));
}

struct Layout {
  size_t lanes, tickets, endpoints, engines, blocks, buckets, lines, policies, log, logTexts,
      history, cache, end;
};

Layout layoutOf(const Shape &s) {
  Layout l;
  l.lanes = align64(sizeof(semdns_dispatcher));
  l.tickets = l.lanes + align64(s.lanes * sizeof(Lane));
  l.endpoints = l.tickets + align64(size_t(s.tickets / s.lanes) * s.lanes * sizeof(Ticket));
  l.engines = l.endpoints + align64(s.endpoints * sizeof(Endpoint));
  l.blocks = l.engines + align64(kMaxEngines * sizeof(Engine));
  l.buckets = l.blocks + prefixSize(s.blocks, s.endpoints);
  l.lines = l.buckets + align64((size_t(s.scopes) + kMaxBucketRules) * sizeof(BucketSlot));
  l.policies = l.lines + align64(s.endpoints * sizeof(EndpointLine));
  l.log = l.policies + 2 * policyMemory(s.policyWords);
  l.logTexts = l.log + align64(logMemory(s.logEntries, s.logText));
  l.history = l.logTexts + align64(size_t(s.tickets) * s.logText);
  l.cache = l.history + historyMemory(s.history, s.endpoints);
  l.end = l.cache + semdns::cache::classifierSize() + semdns::cache::storeSize(s.cache);
  return l;
}

// ---- Locks --------------------------------------------------------------------------------------

struct LaneGuard {
  Lane &lane;
  explicit LaneGuard(Lane &l) : lane(l) { pthread_mutex_lock(&lane.lock); }
  ~LaneGuard() { pthread_mutex_unlock(&lane.lock); }
};

struct AllLanes {
  semdns_dispatcher &d;
  explicit AllLanes(semdns_dispatcher &dispatcher) : d(dispatcher) {
    for (uint32_t i = 0; i < d.laneCount; ++i)
      pthread_mutex_lock(&d.lanes[i].lock);
  }
  ~AllLanes() {
    for (uint32_t i = d.laneCount; i-- > 0;)
      pthread_mutex_unlock(&d.lanes[i].lock);
  }
};

// ---- Zones --------------------------------------------------------------------------------------

const ZoneView &viewAt(const Ticket &t, uint32_t level) {
  return t.artifact->views[t.chain[level]];
}

bool hasEngines(const Ticket &t) {
  for (uint32_t i = 0; i < t.chainCount; ++i)
    if (viewAt(t, i).engineCount)
      return true;
  return false;
}

/// Rules belong to a configuration: looks them up anew when it has changed.
void findRules(const semdns_dispatcher &d, Ticket &t) {
  if (t.rulesKnown && t.epoch == d.epoch)
    return;
  t.epoch = d.epoch;
  t.rulesKnown = 1;
  for (uint32_t i = 0; i < t.chainCount; ++i) {
    const char *name = t.artifact->views[t.chain[i]].name;
    t.rule[i] = d.config.zoneCount ? findRule(d.config, hashBytes(name, strlen(name))) : kNoRule;
  }
}

/// The rules of the zone, or of its nearest ancestor that has some.
Rules rulesAt(const semdns_dispatcher &d, const Ticket &t, uint32_t level) {
  for (uint32_t i = level; i < t.chainCount; ++i)
    if (t.rule[i] != kNoRule)
      return d.config.zones[t.rule[i]].rules;
  return Rules();
}

bool restrictedAt(const Ticket &t, uint32_t level) {
  return t.artifact->zones[t.chain[level]].flags & SEMDNS_ZONE_RESTRICTED;
}

/// Whether the zone's parent may be asked; if not, `why` says it.
bool mayClimb(const semdns_dispatcher &d, const Ticket &t, uint32_t level, uint32_t &why) {
  if (level + 1 >= t.chainCount)
    return false;
  if (restrictedAt(t, level) && !restrictedAt(t, level + 1)) {
    why = SEMDNS_REASON_RESTRICTED;
    return false;
  }
  if (t.rule[level] != kNoRule && d.config.zones[t.rule[level]].failClosed) {
    why = SEMDNS_REASON_FAIL_CLOSED;
    return false;
  }
  return true;
}

/// An inheriting zone has a copy of its ancestor's list; names are shared.
bool sameEngines(const ZoneView &a, const ZoneView &b) {
  if (a.engineCount != b.engineCount)
    return false;
  for (uint32_t i = 0; i < a.engineCount; ++i)
    if (a.engines[i].name != b.engines[i].name)
      return false;
  return true;
}

/// The level above that has other engines and may be asked; kNobody if none.
uint32_t levelAbove(const semdns_dispatcher &d, const Ticket &t, uint32_t level, uint32_t &why) {
  const ZoneView &here = viewAt(t, level);
  for (; mayClimb(d, t, level, why); ++level)
    if (viewAt(t, level + 1).engineCount && !sameEngines(viewAt(t, level + 1), here))
      return level + 1;
  return kNobody;
}

// ---- Attempts -----------------------------------------------------------------------------------

bool flies(const Attempt &a) {
  return a.flight == Flight::Waiting || a.flight == Flight::Streaming;
}

enum class Verdict { Success, Failure, None };

void endAttempt(semdns_dispatcher &d, Attempt &a, Verdict verdict, uint64_t latency, uint64_t now) {
  a.flight = Flight::Ended;
  Engine &engine = d.pool.engines[a.engine];
  if (a.retry || a.hedge)
    dropOne(engine.retries);
  Endpoint &e = d.pool.endpoints[a.slot];
  if (!inUse(e) || e.generation != a.generation) { // removed meanwhile
    dropOne(engine.active);
    return;
  }
  if (verdict == Verdict::Success && a.produced)
    learnOutput(engine, a.produced);
  const Settings &settings = d.config.settings;
  if (verdict == Verdict::Success) {
    const uint64_t took = latency ? latency : now > a.started ? now - a.started : 1;
    const uint64_t expected = foreseen(e, a.work, a.expected, a.produced);
    onSuccess(d.pool, a.slot, settings, a.probe, took, expected, now);
    if (settings.learning)
      learn(d.history, a.row, a.zone, a.slot, a.generation, took, expected, now);
  } else if (verdict == Verdict::Failure) {
    onFailure(d.pool, a.slot, settings, a.probe, now);
    if (settings.learning)
      learn(d.history, a.row, a.zone, a.slot, a.generation, 0, 0, now);
  }
  giveBack(d.pool, a.slot, a.work, a.probe, now);
}

void releaseAll(semdns_dispatcher &d, Ticket &t, uint64_t now) {
  for (uint32_t i = 0; i < t.attemptCount; ++i)
    if (flies(t.attempts[i]))
      endAttempt(d, t.attempts[i], Verdict::None, 0, now);
}

/// An endpoint that has kept silent for longer than it usually takes is to blame for a missed
/// deadline; one that was asked a moment before is not.
bool toBlame(const semdns_dispatcher &d, const Attempt &a, uint64_t now) {
  const uint64_t usual = load(d.pool.endpoints[a.slot].latency);
  return a.flight == Flight::Waiting && now - a.started >= 2 * usual;
}

uint32_t retryable(uint32_t status, uint32_t reason) {
  switch (status) {
  case SEMDNS_NOENGINE:
    return reason != SEMDNS_REASON_CONTEXT && reason != SEMDNS_REASON_REGION;
  case SEMDNS_SHED:
  case SEMDNS_TIMEOUT:
    return 1;
  default:
    return 0;
  }
}

void finish(Lane &lane, Ticket &t, uint32_t status, uint32_t reason, uint64_t retryAfter) {
  t.finalStatus = status;
  t.finalReason = reason;
  t.retryAfter = retryAfter;
  ++lane.stats.answers;
  ++lane.stats.by_status[status & 7];
}

// ---- The log ------------------------------------------------------------------------------------

char *logTextOf(const semdns_dispatcher &d, const Ticket &t) {
  return d.logTexts + static_cast<size_t>(&t - d.tickets) * d.log.textBytes;
}

void logAnswer(semdns_dispatcher &d, const Ticket &t, uint64_t now) {
  LogRecord *record = claimRecord(d.log);
  if (!record)
    return;
  LogRecord &r = *record;
  r.began = t.began;
  r.ended = now > t.began ? now : t.began;
  r.textHash = t.textHash;
  r.scopeHash = t.scope;
  r.hasScope = t.hasScope;
  r.serial = t.artifact->serial;
  r.status = t.finalStatus;
  r.reason = t.finalReason;
  r.stage = t.stage;
  r.attempts = t.attemptCount;
  r.zonesTried = t.zonesTried;
  r.confidence = t.confidence;
  r.bestConfidence = t.bestConfidence;
  r.margin = t.margin;
  r.pinned = t.policy == PolicyAction::Pin;
  const auto text = [&](LogText which, const char *words) {
    addText(d.log, r, which, words, strlen(words));
  };
  const ZoneView *views = t.artifact->views;
  text(LogText::Classified, views[t.classified].path);
  text(LogText::Zone, views[t.chain[t.winner == kNobody ? 0 : t.level]].path);
  text(LogText::Best, views[t.best].path);
  text(LogText::Engine, t.winnerEngine);
  text(LogText::Endpoint, t.winnerEndpoint);
  text(LogText::By, t.by);
  text(LogText::Id, t.requestId);
  text(LogText::Traceparent, t.traceparent);
  addText(d.log, r, LogText::Digest, t.artifact->digestHex, 16);
  r.hasText = d.log.textBytes != 0;
  r.textCut = t.logTextCut;
  addText(d.log, r, LogText::Text, logTextOf(d, t), t.logTextSize);
  publishRecord(r);
}

struct Ending {
  uint32_t status = SEMDNS_NOENGINE, reason = SEMDNS_REASON_NO_ENDPOINT;
  uint64_t retryAfter = 0;
};

/// Drops the ticket's artifact. The lane keeps the one that its resolver has: counting references
/// to it query by query would have all threads write one line.
void dropArtifact(const semdns_dispatcher &d, Lane &lane, Ticket &t) {
  if (!t.holdsLane) {
    semdns_artifact_release(t.artifact);
  } else if (!--lane.holders && !semdns::resolve::isCurrent(*d.resolver, lane.artifact)) {
    semdns_artifact_release(lane.artifact);
    lane.artifact = nullptr;
  }
  t.artifact = nullptr;
  t.holdsLane = false;
}

/// Gives the ticket another artifact.
void holdArtifact(const semdns_dispatcher &d, Lane &lane, Ticket &t, semdns_artifact *artifact) {
  if (lane.artifact != artifact && !lane.holders) {
    semdns_artifact_release(lane.artifact);
    lane.artifact = semdns_artifact_retain(artifact);
  }
  const bool ofLane = lane.artifact == artifact;
  lane.holders += ofLane;
  if (!ofLane)
    semdns_artifact_retain(artifact);
  dropArtifact(d, lane, t);
  t.artifact = artifact;
  t.holdsLane = ofLane;
}

/// What others wait for with this ticket, if anything, goes on without it.
void leaveFlight(semdns_dispatcher &d, Ticket &t) {
  if (t.flight != kNoFlight)
    semdns::cache::leave(d.classifier.flights, t.flight, t.promised);
  t.flight = kNoFlight;
  t.promised = false;
}

/// Carries out what the table says. `number`: the attempt concerned, kNobody if none; false when
/// the table says nothing.
bool happen(semdns_dispatcher &d, Lane &lane, Ticket &t, Event event, uint32_t number,
            uint64_t latency, uint64_t now, const Ending &ending = {}) {
  const Transition step = transition(t.state, event);
  Attempt *a = number == kNobody ? nullptr : &t.attempts[number];
  switch (step.action) {
  case Action::None:
    return false;
  case Action::Adopt:
  case Action::Start:
    break;
  case Action::Refuse:
    finish(lane, t, ending.status, ending.reason, ending.retryAfter);
    break;
  case Action::Answer: {
    uint32_t status = t.status, reason = t.reason;
    if (a) {
      const Endpoint &e = d.pool.endpoints[a->slot];
      memcpy(t.winnerEngine, d.pool.engines[a->engine].name, sizeof t.winnerEngine);
      if (inUse(e) && e.generation == a->generation)
        memcpy(t.winnerEndpoint, e.id, sizeof t.winnerEndpoint);
      t.winner = number;
      endAttempt(d, *a, Verdict::Success, latency, now);
      releaseAll(d, t, now);
      if (!sameEngines(viewAt(t, t.level), viewAt(t, 0))) {
        status = SEMDNS_FALLBACK;
        reason = SEMDNS_REASON_NO_ENDPOINT;
      }
    }
    finish(lane, t, status, reason, 0);
    break;
  }
  case Action::TimeOut:
    for (uint32_t i = 0; i < t.attemptCount; ++i)
      if (flies(t.attempts[i]))
        endAttempt(d, t.attempts[i],
                   toBlame(d, t.attempts[i], now) ? Verdict::Failure : Verdict::None, 0, now);
    finish(lane, t, SEMDNS_TIMEOUT, SEMDNS_REASON_DEADLINE, 0);
    break;
  case Action::CancelQuery:
    releaseAll(d, t, now);
    finish(lane, t, SEMDNS_REFUSED, SEMDNS_REASON_CANCELLED, 0);
    break;
  case Action::Commit:
    a->flight = Flight::Streaming;
    a->expires = now + d.config.settings.streamLease;
    for (uint32_t i = 0; i < t.attemptCount; ++i)
      if (i != number && flies(t.attempts[i]))
        endAttempt(d, t.attempts[i], Verdict::None, 0, now);
    break;
  case Action::Fail:
    endAttempt(d, *a, Verdict::Failure, 0, now);
    break;
  case Action::Release:
    endAttempt(d, *a, Verdict::None, 0, now);
    break;
  case Action::BreakOff:
    endAttempt(d, *a, Verdict::Failure, 0, now);
    finish(lane, t, SEMDNS_NOENGINE, SEMDNS_REASON_INTERRUPTED, 0);
    break;
  }
  t.state = step.next;
  if (t.state == State::Done) {
    leaveFlight(d, t);
    if (t.logged)
      logAnswer(d, t, now);
  }
  return true;
}

// ---- Choosing -----------------------------------------------------------------------------------

/// What a search for an endpoint has met on its way.
struct Search {
  uint32_t exclusions = 0;
  uint64_t earliest = 0;
  bool budgetSpent = false, tooLong = false, somebodyReads = false;
};

Request requestOf(const semdns_dispatcher &d, Lane &lane, const Ticket &t, uint64_t now,
                  uint16_t *held, uint32_t *tried) {
  Request r = {};
  r.key = t.key;
  r.random = mix(d.seed ^ mix(++lane.sequence + (uint64_t(&lane - d.lanes) << 48)));
  r.now = now;
  r.session = t.session;
  r.tokens = t.tokens;
  r.region = t.region;
  r.allowedRegions = t.allowedRegions;
  r.blockCount = t.blockCount;
  r.held = t.blockCount ? held : nullptr;
  r.tried = tried;
  for (uint32_t i = 0; i < t.attemptCount; ++i)
    tried[r.triedCount++] = t.attempts[i].slot;
  return r;
}

void countBlocks(semdns_dispatcher &d, const Ticket &t, uint16_t *held) {
  if (!t.blockCount)
    return;
  memset(held, 0, d.maxEndpoints * sizeof *held);
  countHeld(d.prefixes, t.blocks, t.blockCount, &d.pool.endpoints->generation, sizeof(Endpoint),
            d.pool.used, held);
}

bool retryAllowed(const Engine &engine, const Settings &settings) {
  const uint32_t share = load(engine.active) * settings.retryBudget / 100;
  return load(engine.retries) < (share > settings.retryMinimum ? share : settings.retryMinimum);
}

uint32_t outputOf(const Ticket &t, uint32_t usual) {
  return t.outputTokens ? t.outputTokens : usual;
}

/// Reads the whole prompt and has room for the answer.
bool contextFits(const semdns_engine_choice &engine, const Ticket &t) {
  return !engine.max_context ||
         uint64_t(t.tokens) + outputOf(t, kUsualOutput) <= engine.max_context;
}

/// The spec's order; where it gives shares, one engine is drawn by weight and comes first.
uint32_t firstEngine(const ZoneView &view, uint64_t random) {
  uint64_t sum = 0;
  bool shares = false;
  for (uint32_t i = 0; i < view.engineCount; ++i) {
    sum += view.engines[i].weight;
    shares |= view.engines[i].weight != view.engines[0].weight || view.engines[i].weight > 1;
  }
  if (!shares || !sum)
    return 0;
  uint64_t drawn = mix(random) % sum;
  uint32_t i = 0;
  for (; drawn >= view.engines[i].weight; ++i)
    drawn -= view.engines[i].weight;
  return i;
}

/// By cost, then by the spec's order: the one after `last`, the first after kNobody. What states no
/// cost comes at the end.
uint32_t nextCheapest(const ZoneView &view, uint32_t last) {
  const auto before = [&](uint32_t a, uint32_t b) {
    const double x = view.engines[a].cost_per_mtok, y = view.engines[b].cost_per_mtok;
    return x == y ? a < b : y <= 0 || (x > 0 && x < y);
  };
  uint32_t best = kNobody;
  for (uint32_t i = 0; i < view.engineCount; ++i)
    if ((last == kNobody || before(last, i)) && (best == kNobody || before(i, best)))
      best = i;
  return best;
}

/// A fixed share of a lane's first attempts, at moments that the seed draws.
bool mayExplore(const semdns_dispatcher &d, Lane &lane, uint64_t random) {
  constexpr uint32_t kSaved = 4000;
  const Settings &settings = d.config.settings;
  if (!settings.learning || !settings.explore)
    return false;
  lane.exploreCredit += settings.explore;
  if (lane.exploreCredit > kSaved)
    lane.exploreCredit = kSaved;
  return lane.exploreCredit >= 1000 && mix(random) % 4 == 0;
}

/// Reserves an endpoint of the level's engines and appends the attempt.
bool pickAt(semdns_dispatcher &d, Lane &lane, Ticket &t, uint32_t level, bool retry, bool hedge,
            uint64_t now, Search &search) {
  const ZoneView &view = viewAt(t, level);
  const Settings &settings = d.config.settings;
  uint16_t held[kMaxEndpoints];
  uint32_t tried[SEMDNS_TRIES_MAX];
  countBlocks(d, t, held);
  Request request = requestOf(d, lane, t, now, held, tried);
  const uint64_t zone = hashBytes(view.name, strlen(view.name));
  const uint32_t row = rowOf(d.history, zone, settings.learning, now);
  request.history = cellsOf(d.history, row);
  request.explores = !retry && !hedge && mayExplore(d, lane, request.random);
  const Rules rules = rulesAt(d, t, level);
  const uint32_t first = rules.cheapest ? 0 : firstEngine(view, request.random);
  uint32_t last = kNobody;
  for (uint32_t i = 0; i < view.engineCount; ++i) {
    last = rules.cheapest ? nextCheapest(view, last) : i == 0 ? first : i <= first ? i - 1 : i;
    const semdns_engine_choice &declared = view.engines[last];
    if (!contextFits(declared, t)) {
      search.tooLong = true;
      continue;
    }
    search.somebodyReads = true;
    const uint32_t number = findEngine(d.pool, hashBytes(declared.name, strlen(declared.name)));
    if (number == kNobody)
      continue;
    Engine &engine = d.pool.engines[number];
    if ((retry || hedge) && !retryAllowed(engine, settings)) {
      search.budgetSpent = true;
      continue;
    }
    request.outputTokens = outputOf(t, expectedOutput(engine));
    uint32_t why = 0;
    request.probesAllowed = !retry && !hedge;
    request.heldAllowed =
        inPanic(engine, settings) && t.panicLevel != level &&
        (load(engine.held) < engine.count || levelAbove(d, t, level, why) == kNobody);
    for (uint32_t round = 0; round < 4; ++round) {
      const Choice choice = choose(d.pool, number, settings, rules, d.config.distances, request);
      search.exclusions |= choice.exclusions;
      if (choice.earliest && (!search.earliest || choice.earliest < search.earliest))
        search.earliest = choice.earliest;
      if (choice.slot == kNobody)
        break;
      const uint32_t work = workOf(choice.slot, request);
      if (!reserve(d.pool, choice.slot, settings, work, choice.probe, now))
        continue; // somebody was faster
      Endpoint &e = d.pool.endpoints[choice.slot];
      Attempt &a = t.attempts[t.attemptCount++];
      a = {choice.slot,
           e.generation,
           number,
           work,
           now,
           now + settings.attemptTimeout,
           Flight::Waiting,
           choice.probe,
           hedge,
           retry,
           request.outputTokens,
           0,
           row,
           zone};
      if (t.deadline && a.expires > t.deadline)
        a.expires = t.deadline;
      const uint32_t state = stateAt(e, now);
      if (!choice.probe && (state == SEMDNS_ENDPOINT_HELD || state == SEMDNS_ENDPOINT_PROBING)) {
        t.panicked = true;
        t.panicLevel = static_cast<uint8_t>(level);
        ++lane.stats.panics;
      }
      if (retry || hedge)
        add(engine.retries, 1u);
      if (t.blockCount)
        markHeld(d.prefixes, t.blocks, t.blockCount, choice.slot, e.generation, e.blocks);
      ++lane.stats.attempts;
      if (choice.explored) {
        ++lane.stats.explored;
        lane.exploreCredit -= 1000;
      }
      lane.stats.retries += retry;
      lane.stats.hedges += hedge;
      t.level = static_cast<uint8_t>(level);
      return true;
    }
  }
  return false;
}

uint32_t plainTries(const Ticket &t) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < t.attemptCount; ++i)
    n += !t.attempts[i].hedge;
  return n;
}

/// READY: an endpoint of the zone or of the nearest ancestor that has one, or the reason why none.
void seek(semdns_dispatcher &d, Lane &lane, Ticket &t, uint64_t now) {
  if (!hasEngines(t)) {
    happen(d, lane, t, Event::NoEngines, kNobody, 0, now);
    return;
  }
  const Settings &settings = d.config.settings;
  Search search;
  Ending ending;
  uint32_t why = SEMDNS_REASON_NO_ENDPOINT;
  const uint32_t used = plainTries(t);
  if (used >= settings.tries || t.attemptCount >= SEMDNS_TRIES_MAX) {
    ending.reason = SEMDNS_REASON_WORK_BUDGET;
    ending.retryAfter = settings.holdBase;
    happen(d, lane, t, Event::Nobody, kNobody, 0, now, ending);
    return;
  }
  // A zone may spend all tries but the last, which is its ancestors' where they may be asked.
  const bool lastTry = used && used + 1 >= settings.tries;
  uint32_t level = t.level, skipped = kNobody;
  for (;;) {
    const uint32_t above = levelAbove(d, t, level, why);
    bool chosen = false;
    if (lastTry && above != kNobody && skipped == kNobody && level == t.level)
      skipped = level;
    else
      chosen = pickAt(d, lane, t, level, used > 0, false, now, search);
    if (chosen)
      break;
    if (above == kNobody) {
      if (skipped != kNobody && pickAt(d, lane, t, skipped, used > 0, false, now, search))
        break;
      if (search.exclusions >> SEMDNS_EXCLUDED_FULL & 1)
        ending = {SEMDNS_SHED, SEMDNS_REASON_OVERLOAD, settings.holdBase};
      else if (search.budgetSpent)
        ending = {SEMDNS_SHED, SEMDNS_REASON_RETRY_BUDGET, settings.holdBase};
      else if (search.tooLong && !search.somebodyReads)
        ending = {SEMDNS_NOENGINE, SEMDNS_REASON_CONTEXT, 0};
      else if (!used && search.exclusions == 1u << SEMDNS_EXCLUDED_REGION)
        ending = {SEMDNS_NOENGINE, SEMDNS_REASON_REGION, 0};
      else
        ending = {SEMDNS_NOENGINE, why,
                  search.earliest > now ? search.earliest - now : settings.holdBase};
      happen(d, lane, t, Event::Nobody, kNobody, 0, now, ending);
      return;
    }
    level = above;
    ++t.zonesTried;
  }
  happen(d, lane, t, Event::Chosen, t.attemptCount - 1u, 0, now);
}

uint64_t hedgeTime(const semdns_dispatcher &d, const Ticket &t) {
  const uint64_t after = d.config.settings.hedgeAfter;
  if (!after || !(t.flags & SEMDNS_DISPATCH_HEDGE) || t.hedgeOver || t.state != State::Trying)
    return UINT64_MAX;
  for (uint32_t i = 0; i < t.attemptCount; ++i)
    if (flies(t.attempts[i]))
      return t.attempts[i].started + after;
  return UINT64_MAX;
}

/// What time alone brings about: deadline, leases, endpoints that were removed. True if anything.
bool passTime(semdns_dispatcher &d, Lane &lane, Ticket &t, uint64_t now) {
  if (t.state == State::Done)
    return false;
  if (t.deadline && now >= t.deadline)
    return happen(d, lane, t, Event::Deadline, kNobody, 0, now);
  bool changed = false;
  for (uint32_t i = 0; i < t.attemptCount; ++i) {
    Attempt &a = t.attempts[i];
    if (!flies(a))
      continue;
    const Endpoint &e = d.pool.endpoints[a.slot];
    const bool gone = !inUse(e) || e.generation != a.generation;
    if (!gone && now < a.expires)
      continue;
    lane.stats.lease_expiries += !gone;
    changed |= happen(d, lane, t, Event::Failure, i, 0, now);
  }
  return changed;
}

// ---- Tickets ------------------------------------------------------------------------------------

uint64_t numberOf(const semdns_dispatcher &d, const Ticket &t) {
  return uint64_t(t.generation) << 32 | static_cast<uint64_t>(&t - d.tickets) << 8;
}

/// Locks the lane of a ticket or attempt for its lifetime and finds the ticket.
struct Found {
  Lane *lane = nullptr;
  Ticket *ticket = nullptr; ///< null: not alive
  bool late = false;        ///< it has been alive
  Found(semdns_dispatcher &d, uint64_t number) {
    const auto slot = static_cast<uint32_t>(number >> 8 & 0xffffff);
    const auto generation = static_cast<uint32_t>(number >> 32);
    if (!generation || slot >= d.laneCount * d.ticketsPerLane) {
      lane = &d.lanes[0];
      pthread_mutex_lock(&lane->lock);
      return;
    }
    lane = &d.lanes[slot / d.ticketsPerLane];
    pthread_mutex_lock(&lane->lock);
    Ticket &t = d.tickets[slot];
    if (t.inUse && t.generation == generation)
      ticket = &t;
    else
      late = generation <= t.generation;
  }
  ~Found() { pthread_mutex_unlock(&lane->lock); }
  Found(const Found &) = delete;
  Found &operator=(const Found &) = delete;
};

/// A clock that goes back stands still instead.
uint64_t forward(Lane &lane, Ticket &t, uint64_t now) {
  if (now < t.last) {
    ++lane.stats.clock_backwards;
    return t.last;
  }
  t.last = now;
  return now;
}

void freeTicket(semdns_dispatcher &d, Lane &lane, Ticket &t, uint64_t now) {
  releaseAll(d, t, now);
  leaveFlight(d, t);
  dropArtifact(d, lane, t);
  t.inUse = false;
  t.nextFree = lane.free;
  lane.free = static_cast<uint32_t>(&t - d.tickets);
}

void copyText(char (&to)[SEMDNS_ID_MAX], const char *from) {
  size_t n = from ? strlen(from) : 0;
  n = n < SEMDNS_ID_MAX ? n : SEMDNS_ID_MAX - 1;
  if (n)
    memcpy(to, from, n);
  to[n] = 0;
}

uint32_t regionsOf(const Regions &regions, const char *list) {
  if (!list)
    return 0xffffffffu;
  uint32_t mask = 0;
  for (const char *at = list;; ++at) {
    const char *start = at;
    while (*at && *at != ',')
      ++at;
    const uint32_t region = findRegion(regions, start, static_cast<size_t>(at - start));
    if (at > start && region < kMaxRegions)
      mask |= 1u << region;
    if (!*at)
      return mask;
  }
}

void setZone(const Ticket &t, uint32_t level, uint32_t confidence, semdns_zone_ref &out) {
  out.index = t.chain[level];
  out.confidence = confidence;
  out.name = t.artifact->views[out.index].name;
  out.path = t.artifact->views[out.index].path;
}

void fillAnswer(const Ticket &t, semdns_dispatch_answer &out) {
  memset(&out, 0, sizeof out);
  out.status = t.finalStatus;
  out.reason = t.finalReason;
  out.retryable = retryable(out.status, out.reason);
  out.stage = t.stage;
  out.ttl = out.status <= SEMDNS_NOZONE ? t.ttl : 0;
  out.attempts = t.attemptCount;
  out.zones_tried = t.zonesTried;
  out.hedged = t.hedged;
  out.panic = t.panicked;
  out.serial = t.artifact->serial;
  out.retry_after = t.retryAfter;
  const bool answered = t.winner != kNobody;
  setZone(t, answered ? t.level : 0, t.confidence, out.zone);
  if (answered && t.level)
    out.zone.confidence = t.chain[t.level] ? 0 : kOne;
  out.classified.index = t.classified;
  out.classified.confidence = t.classifiedConfidence;
  out.classified.name = t.artifact->views[t.classified].name;
  out.classified.path = t.artifact->views[t.classified].path;
  out.pinned = t.policy == PolicyAction::Pin;
  out.by = t.by;
  out.digest_hex = t.artifact->digestHex;
  out.engine = t.winnerEngine;
  out.endpoint = t.winnerEndpoint;
  out.request_id = t.requestId;
  out.traceparent = t.traceparent;
  out.cached = t.cached;
  out.refresh = t.refresh;
}

void fillTry(const semdns_dispatcher &d, const Ticket &t, uint64_t now, semdns_step &out) {
  const Attempt &a = t.attempts[t.attemptCount - 1];
  out.action = SEMDNS_TRY;
  out.attempt = numberOf(d, t) | t.attemptCount;
  out.timeout = a.expires - now;
  out.number = t.attemptCount;
  out.hedge = a.hedge;
  out.probe = a.probe;
  memcpy(out.endpoint, d.pool.endpoints[a.slot].id, SEMDNS_ID_MAX);
  memcpy(out.engine, d.pool.engines[a.engine].name, SEMDNS_ID_MAX);
}

/// When something will happen without a report.
uint64_t nextTime(const semdns_dispatcher &d, const Ticket &t) {
  uint64_t until = hedgeTime(d, t);
  if (t.deadline && t.deadline < until)
    until = t.deadline;
  for (uint32_t i = 0; i < t.attemptCount; ++i)
    if (flies(t.attempts[i]) && t.attempts[i].expires < until)
      until = t.attempts[i].expires;
  return until;
}

/// Where the cascade is asked, with the cache in front of it.
semdns_status classify(semdns_dispatcher &d, semdns_scratch *scratch, const semdns_query &query,
                       semdns::cache::Mode mode, semdns_answer &answer,
                       semdns::cache::Outcome &outcome) {
  return semdns::cache::classify(d.classifier, d.resolver, scratch, query, load(d.policyEpoch),
                                 mode, answer, outcome);
}

/// 1 stands for none.
uint64_t scopeOf(const semdns_query &query) {
  return query.scope_size ? hashBytes(query.scope, query.scope_size) : 1;
}

// ---- Policy -------------------------------------------------------------------------------------

/// Reads all of the text, unlike the cascade, which decides on two windows of a long one: padding
/// must not get a text past a rule. In pieces that end at a space where there is one.
void readTexts(const Policy &policy, const semdns_scratch &scratch, const semdns_query &query,
               RuleSet &found) {
  constexpr size_t kPiece = 1024; // far fewer words than SEMDNS_MAX_WORDS, whatever the bytes
  const char *text = query.text;
  size_t left = query.text_size;
  uint32_t state = 0;
  while (left) {
    size_t size = left;
    if (left > kPiece) {
      size = kPiece;
      while (size && static_cast<uint8_t>(text[size - 1]) > ' ')
        --size;
      if (!size)
        for (size = kPiece; size > kPiece - 4 && (text[size] & 0xc0) == 0x80;)
          --size;
    }
    const uint64_t *words;
    const uint32_t count = semdns::resolve::wordsOf(scratch, text, size, words);
    matchWords(policy, state, words, count, found);
    text += size;
    left -= size;
  }
}

/// Has `ruling` know which patterns occur in the text; false where it does not, and the text is not
/// here to be read: no scratch. Under a lane.
bool knowTexts(const semdns_dispatcher &d, const semdns_scratch *scratch, const semdns_query *query,
               Ruling &ruling) {
  if (ruling.textsRead && ruling.epoch == d.policyEpoch)
    return true;
  if (d.policy.textRules && !scratch)
    return false;
  ruling.epoch = d.policyEpoch;
  ruling.textsRead = true;
  ruling.texts = {};
  if (d.policy.textRules)
    readTexts(d.policy, *scratch, *query, ruling.texts);
  return true;
}

/// The first rule that holds, before classification or, with the names of the classified zone and
/// of its ancestors, after it. False as knowTexts(). Under a lane.
bool askPolicy(const semdns_dispatcher &d, const semdns_scratch *scratch, const semdns_query *query,
               bool after, uint64_t scope, const uint64_t *zones, uint32_t zoneCount,
               Ruling &ruling) {
  const Policy &policy = d.policy;
  if (!(after ? policy.afterRules : policy.beforeRules))
    return true;
  if (!knowTexts(d, scratch, query, ruling))
    return false;
  const uint32_t number = firstRule(policy, after, ruling.texts, scope, zones, zoneCount);
  if (number == kMaxPolicyRules)
    return true;
  const PolicyRule &rule = policy.rules[number];
  ruling.action = rule.action;
  memcpy(ruling.by, rule.name, sizeof ruling.by);
  memcpy(ruling.target, rule.target, sizeof ruling.target);
  return true;
}

/// The zone of this name or, where an artifact has none, its nearest ancestor: the name is the
/// configuration's, which may have been checked against another artifact.
uint32_t zoneOrAbove(const semdns_artifact &artifact, const char *name) {
  for (;; ++name) {
    const uint32_t zone = semdns_artifact_find_zone(&artifact, name);
    if (zone != UINT32_MAX)
      return zone;
    while (*name && *name != '.')
      ++name;
    if (!*name || !name[1])
      return 0;
  }
}

/// The answer that policy gives in the cascade's place; false where it leaves that as it is.
bool answerByPolicy(const semdns_artifact &artifact, const Ruling &ruling, semdns_answer &answer) {
  using semdns::resolve::answerWith;
  switch (ruling.action) {
  case PolicyAction::None:
  case PolicyAction::Pass:
    return false;
  case PolicyAction::Block:
    answerWith(artifact, 0, SEMDNS_REFUSED, SEMDNS_REASON_BLOCKED, answer);
    return true;
  case PolicyAction::Drop:
    answerWith(artifact, 0, SEMDNS_REFUSED, SEMDNS_REASON_DROPPED, answer);
    return true;
  case PolicyAction::Pin:
    answerWith(artifact, zoneOrAbove(artifact, ruling.target), SEMDNS_ROUTED, SEMDNS_REASON_POLICY,
               answer);
    return true;
  }
  return false;
}

/// After classification; also counts what was met before it.
/// False where the policy has changed while the query waited, and its text is not here to be read.
bool applyPolicy(const semdns_dispatcher &d, Lane &lane, const semdns_scratch *scratch,
                 const semdns_query *query, Ticket &t, semdns_answer &answer) {
  Ruling &ruling = t.ruling;
  t.classified = answer.zone.index;
  t.classifiedConfidence = answer.zone.confidence;
  if (ruling.action == PolicyAction::None && d.policy.afterRules &&
      answer.status != SEMDNS_TIMEOUT) {
    uint64_t zones[SEMDNS_CHAIN_MAX];
    for (uint32_t i = 0; i < answer.chain_count; ++i)
      zones[i] = hashBytes(answer.chain[i].name, strlen(answer.chain[i].name));
    if (!askPolicy(d, scratch, query, true, t.scope, zones, answer.chain_count, ruling))
      return false;
    answerByPolicy(*t.artifact, ruling, answer);
  }
  t.policy = ruling.action;
  if (t.policy == PolicyAction::None)
    return true;
  memcpy(t.by, ruling.by, sizeof t.by);
  lane.stats.policy_blocked += t.policy == PolicyAction::Block;
  lane.stats.policy_dropped += t.policy == PolicyAction::Drop;
  lane.stats.policy_pinned += t.policy == PolicyAction::Pin;
  lane.stats.policy_passed += t.policy == PolicyAction::Pass;
  return true;
}

/// Draws the lot that decides whether the query's end will be in the log, and keeps its text until
/// then where it may.
void startLog(const semdns_dispatcher &d, Lane &lane, Ticket &t, const semdns_query &query) {
  const Settings &settings = d.config.settings;
  constexpr uint64_t kOwnStream = 0x10c; // other draws stay what they are without a log
  const uint64_t draw =
      mix(d.seed ^ kOwnStream ^ mix(lane.stats.queries + (uint64_t(&lane - d.lanes) << 48)));
  t.logDraw = static_cast<uint32_t>(draw % 1000);
  t.logged = t.logDraw < settings.logSample;
  if (!t.logged && t.logDraw >= settings.logClimbs)
    return;
  size_t size = query.text_size;
  if (size > d.log.textBytes)
    for (size = d.log.textBytes; size && (query.text[size] & 0xc0) == 0x80;)
      --size;
  t.logTextCut = size < query.text_size;
  t.logTextSize = static_cast<uint32_t>(size);
  if (size)
    memcpy(logTextOf(d, t), query.text, size);
}

/// 0, or ns until every bucket that concerns the query would have a token.
uint64_t askBuckets(semdns_dispatcher &d, const Ticket &t, uint64_t now) {
  uint64_t wait = 0;
  for (uint32_t i = 0; i < d.config.bucketCount; ++i) {
    const BucketRule &rule = d.config.buckets[i];
    bool concerns = !rule.zone;
    for (uint32_t level = 0; level < t.chainCount && !concerns; ++level) {
      const char *name = t.artifact->views[t.chain[level]].name;
      concerns = hashBytes(name, strlen(name)) == rule.zone;
    }
    if (!concerns || (rule.scope && rule.scope != t.scope))
      continue;
    const uint64_t needed = takeToken(d.buckets, i, t.scope, rule.interval, rule.burst, now);
    wait = needed > wait ? needed : wait;
  }
  return wait;
}

bool validQuery(const semdns_dispatch_query *q) {
  return q && q->size >= sizeof *q && q->query && q->query->size >= sizeof *q->query &&
         !(q->flags & ~(SEMDNS_DISPATCH_HEDGE | SEMDNS_DISPATCH_LATER)) &&
         (q->blocks || !q->block_count) && (q->query->text || !q->query->text_size) &&
         (q->query->context || !q->query->context_size) &&
         (q->query->scope || !q->query->scope_size);
}

/// The ticket has its classification, by `artifact`, which it keeps from here on. `scratch` may be
/// null: then policy knows of the text what it has read before.
void adopt(semdns_dispatcher &d, Lane &lane, Ticket &t, semdns_artifact *artifact,
           const semdns_scratch *scratch, const semdns_query *query, semdns_answer &answer,
           uint64_t now) {
  holdArtifact(d, lane, t, artifact);
  t.best = answer.best.index;
  t.bestConfidence = answer.best.confidence;
  t.margin = answer.margin;
  t.logged |= (answer.status == SEMDNS_FALLBACK || answer.status == SEMDNS_NOZONE) &&
              t.logDraw < d.config.settings.logClimbs;
  const bool ruled = applyPolicy(d, lane, scratch, query, t, answer);
  t.chainCount = static_cast<uint8_t>(answer.chain_count);
  for (uint32_t i = 0; i < answer.chain_count; ++i)
    t.chain[i] = answer.chain[i].index;
  t.status = answer.status;
  t.reason = answer.reason;
  t.stage = answer.stage;
  t.ttl = answer.ttl;
  t.cached = answer.cached;
  t.confidence = answer.zone.confidence;
  t.rulesKnown = 0;
  findRules(d, t);
  happen(d, lane, t, Event::Classified, kNobody, 0, now);
  if (answer.status == SEMDNS_TIMEOUT) {
    happen(d, lane, t, Event::Deadline, kNobody, 0, now);
  } else if (!ruled) {
    happen(d, lane, t, Event::Nobody, kNobody, 0, now, {SEMDNS_SHED, SEMDNS_REASON_RELOAD, 0});
  } else if (answer.status == SEMDNS_REFUSED) {
    happen(d, lane, t, Event::Nobody, kNobody, 0, now, {SEMDNS_REFUSED, answer.reason, 0});
  } else if (const uint64_t wait = askBuckets(d, t, now)) {
    Ending ending;
    ending.status = SEMDNS_SHED;
    ending.reason = SEMDNS_REASON_RATE_LIMIT;
    ending.retryAfter = wait;
    happen(d, lane, t, Event::Nobody, kNobody, 0, now, ending);
  }
}

/// Looks whether what the ticket waits for has come.
void watchFlight(semdns_dispatcher &d, Lane &lane, Ticket &t, uint64_t now) {
  if (t.state != State::Asking || t.flight == kNoFlight)
    return;
  semdns::cache::Flight landed;
  if (semdns::cache::watch(d.classifier.flights, t.flight, t.flags & SEMDNS_DISPATCH_LATER,
                           t.promised, landed) != semdns::cache::FlightState::Landed)
    return;
  t.flight = kNoFlight;
  t.promised = false;
  semdns_answer answer;
  answer.size = sizeof answer;
  semdns::cache::answerOf(landed, now, answer);
  adopt(d, lane, t, landed.artifact, nullptr, nullptr, answer, now);
  semdns_artifact_release(landed.artifact);
}

/// When to look again whether stage 3 has decided: by the artifact's own estimate.
uint64_t encoderTime(const Ticket &t) {
  const semdns_encm_header *h = t.artifact->encoder.header;
  const uint64_t cost = h ? uint64_t(h->token_cost) * h->max_tokens : 0;
  return cost ? cost : 1000000;
}

void begin(semdns_dispatcher &d, Lane &lane, Ticket &t, semdns_scratch *scratch,
           const semdns_dispatch_query &q, const Ruling &ruling, semdns_answer &answer,
           const semdns::cache::Outcome &outcome, uint64_t now) {
  const uint32_t generation = t.generation + 1 ? t.generation + 1 : 1;
  memset(static_cast<void *>(&t), 0, sizeof t); // a ruling is set below
  t.generation = generation;
  t.inUse = true;
  t.state = State::Asking;
  t.flight = kNoFlight;
  t.ruling = ruling;
  t.refresh = outcome.refresh;
  t.deadline = q.query->deadline;
  t.last = now;
  t.session = q.session;
  t.began = now;
  t.textHash = hashBytes(q.query->text, q.query->text_size);
  t.hasScope = q.query->scope_size;
  t.scope = scopeOf(*q.query);
  t.key = q.session ? q.session : t.textHash;
  // Four bytes a token is what tokenisers need for English; only limits and the score's work
  // depend on it.
  const uint64_t bytes = q.query->text_size + q.query->context_size;
  t.tokens = q.tokens                 ? q.tokens
             : bytes / 4 < UINT32_MAX ? static_cast<uint32_t>(bytes / 4 + 1)
                                      : UINT32_MAX;
  t.outputTokens = q.output_tokens;
  t.region = q.region ? findRegion(d.config.regions, q.region, strlen(q.region)) : kMaxRegions;
  t.allowedRegions = regionsOf(d.config.regions, q.regions);
  t.blockCount = q.block_count < SEMDNS_BLOCKS_MAX ? q.block_count : SEMDNS_BLOCKS_MAX;
  t.blocks = q.blocks;
  t.flags = q.flags;
  t.winner = kNobody;
  t.panicLevel = kNoLevel;
  t.zonesTried = 1;
  copyText(t.requestId, q.request_id);
  copyText(t.traceparent, q.traceparent);
  ++lane.stats.queries;
  startLog(d, lane, t, *q.query);
  if (!outcome.waits) {
    adopt(d, lane, t, semdns::resolve::artifactOf(*scratch), scratch, q.query, answer, now);
    return;
  }
  // Until it is known better: the root.
  holdArtifact(d, lane, t, semdns::resolve::artifactOf(*scratch));
  t.chainCount = 1;
  t.confidence = kOne;
  t.flight = outcome.flight;
  t.promised = outcome.promised;
  t.query = *q.query;
  knowTexts(d, scratch, q.query, t.ruling);
  findRules(d, t);
}

/// Queries read them without a lane.
void setLimits(semdns_dispatcher &d) {
  const Settings &s = d.config.settings;
  store(d.classifier.limits.quota, s.cacheQuota);
  store(d.classifier.limits.negative, static_cast<uint32_t>(s.cacheNegative / kSecond));
  store(d.classifier.limits.stale, s.cacheStale);
}

bool goodId(const char *id) {
  if (!id || !*id)
    return false;
  for (uint32_t i = 0; i < SEMDNS_ID_MAX; ++i)
    if (!id[i])
      return true;
  return false;
}

} // namespace

// ---- The ABI ------------------------------------------------------------------------------------

extern "C" {

size_t semdns_dispatcher_size(const semdns_dispatcher_options *options) {
  Shape shape;
  return shapeOf(options, shape) ? layoutOf(shape).end : 0;
}

semdns_status semdns_dispatcher_init(semdns_resolver *resolver,
                                     const semdns_dispatcher_options *options, void *memory,
                                     size_t size, semdns_dispatcher **out, semdns_error *error) {
  using semdns::resolve::fail;
  if (!out)
    return fail(error, SEMDNS_ERROR_ARGUMENT, "no place for the dispatcher");
  *out = nullptr;
  Shape shape;
  if (options && options->size >= sizeof *options && options->cache_bytes &&
      !semdns::cache::storeSize(options->cache_bytes)) {
    if (error && error->size >= sizeof *error) {
      fail(error, SEMDNS_ERROR_ARGUMENT, "");
      snprintf(error->message, sizeof error->message,
               "cache_bytes = %llu is less than one entry takes: give at least %llu, or 0 for none",
               static_cast<unsigned long long>(options->cache_bytes),
               static_cast<unsigned long long>(semdns::cache::leastBudget()));
    }
    return SEMDNS_ERROR_ARGUMENT;
  }
  if (!resolver || !memory || !shapeOf(options, shape))
    return fail(error, SEMDNS_ERROR_ARGUMENT, "no resolver, no memory or options out of range");
  const Layout layout = layoutOf(shape);
  if (size < layout.end || reinterpret_cast<uintptr_t>(memory) % 64)
    return fail(error, SEMDNS_ERROR_MEMORY,
                "the memory is smaller than semdns_dispatcher_size says or not 64-byte aligned");
  auto *bytes = static_cast<uint8_t *>(memory);
  memset(bytes, 0, layout.end);
  auto *d = reinterpret_cast<semdns_dispatcher *>(bytes);
  d->resolver = resolver;
  d->seed = shape.seed;
  d->laneCount = shape.lanes;
  d->ticketsPerLane = shape.tickets / shape.lanes;
  d->maxEndpoints = shape.endpoints;
  d->lanes = reinterpret_cast<Lane *>(bytes + layout.lanes);
  d->tickets = reinterpret_cast<Ticket *>(bytes + layout.tickets);
  d->pool.endpoints = reinterpret_cast<Endpoint *>(bytes + layout.endpoints);
  d->pool.capacity = shape.endpoints;
  d->pool.engines = reinterpret_cast<Engine *>(bytes + layout.engines);
  initPrefixes(d->prefixes, bytes + layout.blocks, shape.blocks, shape.endpoints);
  d->buckets.slots = reinterpret_cast<BucketSlot *>(bytes + layout.buckets);
  d->buckets.capacity = shape.scopes;
  d->buckets.rules = kMaxBucketRules;
  d->lines = reinterpret_cast<EndpointLine *>(bytes + layout.lines);
  semdns::cache::initClassifier(d->classifier, shape.seed, shape.cache, bytes + layout.cache);
  clearConfig(d->config);
  initPolicy(d->policy, bytes + layout.policies, shape.policyWords);
  initPolicy(d->policyDraft, bytes + layout.policies + policyMemory(shape.policyWords),
             shape.policyWords);
  initHistory(d->history, bytes + layout.history, shape.history, shape.endpoints);
  initLog(d->log, bytes + layout.log, shape.logEntries, shape.logText);
  d->logTexts = reinterpret_cast<char *>(bytes + layout.logTexts);
  pthread_mutex_init(&d->draining, nullptr);
  setLimits(*d);
  pthread_mutex_init(&d->configuring, nullptr);
  for (uint32_t i = 0; i < d->laneCount; ++i) {
    Lane &lane = d->lanes[i];
    pthread_mutex_init(&lane.lock, nullptr);
    lane.free = kNobody;
    for (uint32_t t = d->ticketsPerLane; t-- > 0;) {
      const uint32_t slot = i * d->ticketsPerLane + t;
      d->tickets[slot].nextFree = lane.free;
      lane.free = slot;
    }
  }
  *out = d;
  return SEMDNS_OK;
}

void semdns_dispatcher_deinit(semdns_dispatcher *d) {
  if (!d)
    return;
  semdns::cache::deinitClassifier(d->classifier);
  for (uint32_t i = 0; i < d->laneCount * d->ticketsPerLane; ++i)
    if (d->tickets[i].inUse && !d->tickets[i].holdsLane)
      semdns_artifact_release(d->tickets[i].artifact);
  for (uint32_t i = 0; i < d->laneCount; ++i)
    semdns_artifact_release(d->lanes[i].artifact);
  for (uint32_t i = 0; i < d->laneCount; ++i)
    pthread_mutex_destroy(&d->lanes[i].lock);
  for (uint32_t i = 0; i < d->pool.used; ++i)
    pthread_mutex_destroy(&d->pool.endpoints[i].lock);
  destroyPrefixes(d->prefixes);
  pthread_mutex_destroy(&d->configuring);
  pthread_mutex_destroy(&d->draining);
}

semdns_status semdns_dispatcher_configure(semdns_dispatcher *d, const semdns_artifact *artifact,
                                          const char *text, size_t size, uint64_t now,
                                          semdns_error *error) {
  if (!d || !artifact || (!text && size))
    return semdns::resolve::fail(error, SEMDNS_ERROR_ARGUMENT, "a null pointer");
  (void)now;
  pthread_mutex_lock(&d->configuring);
  bool good = parseConfig(text, size, *artifact, d->config.regions, d->draft, d->lines,
                          d->maxEndpoints, d->policyDraft, error);
  const AllLanes all(*d);
  Pool &pool = d->pool;
  if (good) {
    // Endpoints that stay, whoever brought them, and the new ones must fit.
    uint32_t fresh = 0, used = 0;
    for (uint32_t i = 0; i < d->draft.endpointCount; ++i)
      fresh += findEndpoint(pool, d->lines[i].id, strlen(d->lines[i].id)) == kNobody;
    for (uint32_t i = 0; i < pool.used; ++i)
      used += inUse(pool.endpoints[i]);
    if (used + fresh > pool.capacity) {
      good = false;
      if (error && error->size >= sizeof *error) {
        error->code = SEMDNS_ERROR_ARGUMENT;
        error->section[0] = 0;
        error->offset = 0;
        snprintf(error->message, sizeof error->message,
                 "1:1: %u endpoints and %u new ones are more than the dispatcher's %u", used, fresh,
                 pool.capacity);
      }
    }
  }
  if (good) {
    memcpy(&d->config, &d->draft, sizeof d->config);
    ++d->epoch;
    // What has been classified under the same rules stays good: endpoints come and go.
    if (!samePolicy(d->policy, d->policyDraft)) {
      swapPolicies(d->policy, d->policyDraft);
      store(d->policyEpoch, d->policyEpoch + 1);
    }
    store(d->policyRules, d->policy.ruleCount);
    setLimits(*d);
    for (uint32_t i = 0; i < pool.used; ++i) {
      const Endpoint &e = pool.endpoints[i];
      bool stays = !inUse(e) || !e.configured;
      for (uint32_t l = 0; l < d->draft.endpointCount && !stays; ++l)
        stays = !strcmp(d->lines[l].id, e.id);
      if (!stays)
        drainEndpoint(pool, i);
    }
    for (uint32_t l = 0; l < d->draft.endpointCount; ++l) {
      const EndpointLine &line = d->lines[l];
      addEndpoint(pool, line.id, strlen(line.id), line.engine, strlen(line.engine), line.traits,
                  true);
    }
  }
  ++(good ? d->lanes[0].stats.configurations : d->lanes[0].stats.bad_configurations);
  pthread_mutex_unlock(&d->configuring);
  return good ? SEMDNS_OK : SEMDNS_ERROR_ARGUMENT;
}

semdns_status semdns_endpoint_add(semdns_dispatcher *d, const semdns_endpoint *endpoint,
                                  uint64_t now) {
  (void)now;
  if (!d || !endpoint || endpoint->size < sizeof *endpoint || !goodId(endpoint->id) ||
      !goodId(endpoint->engine) || endpoint->weight > 1000 || endpoint->capacity > 1u << 20 ||
      endpoint->blocks > kMostBlocks || endpoint->speed > kMostSpeed ||
      (endpoint->speed && endpoint->speed < kLeastSpeed))
    return SEMDNS_ERROR_ARGUMENT;
  const char *region = endpoint->region ? endpoint->region : "";
  pthread_mutex_lock(&d->configuring); // a draft holds a copy of the regions
  semdns_status status = SEMDNS_OK;
  {
    const AllLanes all(*d);
    const uint32_t number = internRegion(d->config.regions, region, strlen(region));
    if (number >= kMaxRegions ||
        addEndpoint(d->pool, endpoint->id, strlen(endpoint->id), endpoint->engine,
                    strlen(endpoint->engine),
                    {number, endpoint->weight ? endpoint->weight : 1,
                     endpoint->capacity ? endpoint->capacity : 64, endpoint->blocks,
                     endpoint->speed ? endpoint->speed : kDefaultSpeed},
                    false) == kNobody)
      status = SEMDNS_ERROR_MEMORY;
  }
  pthread_mutex_unlock(&d->configuring);
  return status;
}

semdns_status semdns_endpoint_drain(semdns_dispatcher *d, const char *id) {
  if (!d || !goodId(id))
    return SEMDNS_ERROR_ARGUMENT;
  const AllLanes all(*d);
  const uint32_t slot = findEndpoint(d->pool, id, strlen(id));
  if (slot == kNobody)
    return SEMDNS_ERROR_ARGUMENT;
  drainEndpoint(d->pool, slot);
  return SEMDNS_OK;
}

semdns_status semdns_endpoint_remove(semdns_dispatcher *d, const char *id) {
  if (!d || !goodId(id))
    return SEMDNS_ERROR_ARGUMENT;
  const AllLanes all(*d);
  const uint32_t slot = findEndpoint(d->pool, id, strlen(id));
  if (slot == kNobody)
    return SEMDNS_ERROR_ARGUMENT;
  freeEndpoint(d->pool, slot);
  return SEMDNS_OK;
}

semdns_status semdns_endpoint_load(semdns_dispatcher *d, const char *id, const semdns_load *report,
                                   uint64_t now) {
  if (!d)
    return SEMDNS_ERROR_ARGUMENT;
  const LaneGuard guard(d->lanes[0]);
  const uint32_t slot = goodId(id) ? findEndpoint(d->pool, id, strlen(id)) : kNobody;
  // NaN fails both comparisons.
  if (slot == kNobody || !report || report->size < sizeof *report ||
      !(report->kv_use >= 0 && report->kv_use <= 1) || report->running > 1u << 20 ||
      report->waiting > 1u << 20) {
    ++d->lanes[0].stats.bad_reports;
    return SEMDNS_ERROR_ARGUMENT;
  }
  onLoad(d->pool, slot, uint64_t(report->running) + report->waiting,
         static_cast<uint32_t>(report->kv_use * kOne), now);
  return SEMDNS_OK;
}

const char *semdns_endpoint_state_text(uint32_t state) {
  static constexpr const char *kWords[] = {"up", "held", "probing", "ramping", "draining"};
  return state < 5 ? kWords[state] : "unknown";
}

semdns_status semdns_endpoint_get_info(semdns_dispatcher *d, const char *id, uint64_t now,
                                       semdns_endpoint_info *info) {
  if (!d || !goodId(id) || !info || info->size < sizeof *info)
    return SEMDNS_ERROR_ARGUMENT;
  const LaneGuard guard(d->lanes[0]);
  const uint32_t slot = findEndpoint(d->pool, id, strlen(id));
  if (slot == kNobody)
    return SEMDNS_ERROR_ARGUMENT;
  Endpoint &e = d->pool.endpoints[slot];
  pthread_mutex_lock(&e.lock);
  info->state = stateAt(e, now);
  info->in_flight = load(e.inFlight);
  info->failures = e.failures;
  info->hold_level = e.holdLevel;
  info->success = load(e.success);
  info->latency = load(e.latency);
  info->until = load(e.until);
  info->attempts = load(e.attempts);
  pthread_mutex_unlock(&e.lock);
  return SEMDNS_OK;
}

semdns_status semdns_query_begin(semdns_dispatcher *d, semdns_scratch *scratch,
                                 const semdns_dispatch_query *query, uint64_t now,
                                 uint64_t *ticket) {
  if (!d || !scratch || !ticket || !validQuery(query))
    return SEMDNS_ERROR_ARGUMENT;
  *ticket = 0;
  semdns_query plain = *query->query;
  plain.now = now;
  semdns_answer answer;
  answer.size = sizeof answer;
  Ruling ruling;
  semdns::cache::Outcome outcome = {false, false, false, kNoFlight};
  semdns_status status = SEMDNS_OK;
  if (load(d->policyRules)) {
    status = semdns::resolve::enter(d->resolver, scratch);
    if (status != SEMDNS_OK)
      return status;
    const LaneGuard guard(d->lanes[query->lane % d->laneCount]);
    askPolicy(*d, scratch, &plain, false, scopeOf(plain), nullptr, 0, ruling);
  }
  const auto mode = query->flags & SEMDNS_DISPATCH_LATER ? semdns::cache::Mode::Later
                                                         : semdns::cache::Mode::Ticket;
  if (ruling.action == PolicyAction::None || ruling.action == PolicyAction::Pass)
    status = classify(*d, scratch, plain, mode, answer, outcome);
  else
    answerByPolicy(*semdns::resolve::artifactOf(*scratch), ruling, answer);
  if (status != SEMDNS_OK)
    return status;
  for (uint32_t i = 0; i < d->laneCount; ++i) {
    Lane &lane = d->lanes[(query->lane + i) % d->laneCount];
    const LaneGuard guard(lane);
    if (lane.free == kNobody)
      continue;
    Ticket &t = d->tickets[lane.free];
    lane.free = t.nextFree;
    begin(*d, lane, t, scratch, *query, ruling, answer, outcome, now);
    *ticket = numberOf(*d, t);
    return SEMDNS_OK;
  }
  if (outcome.waits)
    semdns::cache::leave(d->classifier.flights, outcome.flight, outcome.promised);
  Lane &lane = d->lanes[query->lane % d->laneCount];
  const LaneGuard guard(lane);
  ++lane.stats.tickets_exhausted;
  return SEMDNS_ERROR_MEMORY;
}

semdns_status semdns_query_next(semdns_dispatcher *d, uint64_t ticket, uint64_t now,
                                semdns_step *step) {
  if (!d || !step || step->size < sizeof *step)
    return SEMDNS_ERROR_ARGUMENT;
  const Found found(*d, ticket);
  if (!found.ticket)
    return SEMDNS_ERROR_ARGUMENT;
  Ticket &t = *found.ticket;
  Lane &lane = *found.lane;
  now = forward(lane, t, now);
  memset(step, 0, sizeof *step);
  step->size = sizeof *step;
  findRules(*d, t);
  watchFlight(*d, lane, t, now);
  passTime(*d, lane, t, now);
  const uint32_t before = t.attemptCount;
  if (t.state == State::Asking) {
    step->action = t.promised ? SEMDNS_CLASSIFY : SEMDNS_WAIT;
    const uint64_t until = now + encoderTime(t);
    step->until = t.deadline && t.deadline < until ? t.deadline : until;
    return SEMDNS_OK;
  }
  if (t.state == State::Ready) {
    seek(*d, lane, t, now);
  } else if (now >= hedgeTime(*d, t)) {
    Search search;
    t.hedgeOver = true; // one chance, taken or not
    if (pickAt(*d, lane, t, t.level, false, true, now, search)) {
      t.hedged = true;
      happen(*d, lane, t, Event::Hedge, t.attemptCount - 1u, 0, now);
    }
  }
  if (t.state == State::Done) {
    step->action = SEMDNS_DONE;
    fillAnswer(t, step->answer);
    return SEMDNS_OK;
  }
  if (t.attemptCount > before)
    fillTry(*d, t, now, *step);
  else
    step->action = SEMDNS_WAIT;
  step->until = nextTime(*d, t);
  return SEMDNS_OK;
}

semdns_status semdns_query_classify(semdns_dispatcher *d, semdns_scratch *scratch, uint64_t ticket,
                                    uint64_t now) {
  if (!d || !scratch)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_query query;
  semdns::cache::Outcome outcome;
  {
    const Found found(*d, ticket);
    if (!found.ticket || found.ticket->state != State::Asking || !found.ticket->promised)
      return SEMDNS_ERROR_ARGUMENT;
    Ticket &t = *found.ticket;
    query = t.query;
    query.now = forward(*found.lane, t, now);
    outcome.flight = t.flight;
    // Whatever becomes of the ticket meanwhile, this call is the member now.
    t.flight = kNoFlight;
    t.promised = false;
  }
  semdns_answer answer;
  answer.size = sizeof answer;
  const semdns_status status =
      semdns::cache::complete(d->classifier, d->resolver, scratch, query, load(d->policyEpoch),
                              outcome.flight, answer, outcome);
  const Found found(*d, ticket);
  if (!found.ticket || found.ticket->state != State::Asking) {
    if (outcome.waits)
      semdns::cache::leave(d->classifier.flights, outcome.flight, outcome.promised);
    return status;
  }
  Ticket &t = *found.ticket;
  if (outcome.waits) {
    t.flight = outcome.flight;
    t.promised = outcome.promised;
  } else {
    adopt(*d, *found.lane, t, semdns::resolve::artifactOf(*scratch), scratch, &query, answer,
          forward(*found.lane, t, now));
  }
  return status;
}

semdns_status semdns_query_cancel(semdns_dispatcher *d, uint64_t ticket, uint64_t now) {
  if (!d)
    return SEMDNS_ERROR_ARGUMENT;
  const Found found(*d, ticket);
  if (!found.ticket)
    return SEMDNS_ERROR_ARGUMENT;
  now = forward(*found.lane, *found.ticket, now);
  happen(*d, *found.lane, *found.ticket, Event::Cancel, kNobody, 0, now);
  return SEMDNS_OK;
}

semdns_status semdns_query_end(semdns_dispatcher *d, uint64_t ticket, uint64_t now) {
  if (!d)
    return SEMDNS_ERROR_ARGUMENT;
  const Found found(*d, ticket);
  if (!found.ticket)
    return SEMDNS_ERROR_ARGUMENT;
  freeTicket(*d, *found.lane, *found.ticket, forward(*found.lane, *found.ticket, now));
  return SEMDNS_OK;
}

semdns_status semdns_report(semdns_dispatcher *d, uint64_t attempt, semdns_event event,
                            const semdns_measures *measures, uint64_t now) {
  if (!d || (measures && measures->size < sizeof *measures))
    return SEMDNS_ERROR_ARGUMENT;
  const Found found(*d, attempt);
  Lane &lane = *found.lane;
  const auto number = static_cast<uint32_t>(attempt & 0xff);
  const bool known = event >= SEMDNS_FIRST_BYTE && event <= SEMDNS_REPORT_CANCEL && number;
  if (known && found.late) {
    ++lane.stats.late_reports;
    return SEMDNS_OK;
  }
  if (!known || !found.ticket || number > found.ticket->attemptCount) {
    ++lane.stats.bad_reports;
    return SEMDNS_ERROR_ARGUMENT;
  }
  Ticket &t = *found.ticket;
  now = forward(lane, t, now);
  findRules(*d, t);
  passTime(*d, lane, t, now);
  Attempt &a = t.attempts[number - 1];
  if (measures && flies(a))
    a.produced = measures->tokens;
  const Event what = event == SEMDNS_FIRST_BYTE      ? Event::FirstByte
                     : event == SEMDNS_REPORT_OK     ? Event::Ok
                     : event == SEMDNS_REPORT_CANCEL ? Event::GivenUp
                                                     : Event::Failure;
  if (!flies(a) || !happen(*d, lane, t, what, number - 1, measures ? measures->latency : 0, now))
    ++lane.stats.late_reports;
  return SEMDNS_OK;
}

uint32_t semdns_maintain(semdns_dispatcher *d, uint64_t now, uint32_t budget) {
  if (!d)
    return 0;
  uint32_t changed = 0;
  bool drained = false;
  const uint32_t total = d->laneCount * d->ticketsPerLane, entries = budget;
  budget = budget < total ? budget : total;
  for (uint32_t lanes = 0; budget && lanes < d->laneCount; ++lanes) {
    Lane &lane = d->lanes[add(d->maintained, 1u) % d->laneCount];
    const LaneGuard guard(lane);
    Ticket *tickets = d->tickets + static_cast<uint64_t>(&lane - d->lanes) * d->ticketsPerLane;
    for (uint32_t i = 0; budget && i < d->ticketsPerLane; ++i, --budget) {
      Ticket &t = tickets[lane.cursor++ % d->ticketsPerLane];
      if (!t.inUse)
        continue;
      if (now > t.last && now - t.last >= d->config.settings.ticketLease) {
        if (t.state != State::Done) // every query ends in exactly one answer, heard or not
          happen(*d, lane, t, Event::Cancel, kNobody, 0, now);
        freeTicket(*d, lane, t, now);
        ++lane.stats.tickets_forgotten;
        ++changed;
      } else if (now >= t.last && passTime(*d, lane, t, now)) {
        ++changed;
      }
    }
    for (uint32_t i = 0; i < d->pool.used; ++i)
      drained |= inUse(d->pool.endpoints[i]) && d->pool.endpoints[i].draining &&
                 !load(d->pool.endpoints[i].inFlight);
  }
  // What a swap has left in lanes without queries.
  for (uint32_t i = 0; i < d->laneCount; ++i) {
    Lane &lane = d->lanes[i];
    const LaneGuard guard(lane);
    if (lane.artifact && !lane.holders &&
        !semdns::resolve::isCurrent(*d->resolver, lane.artifact)) {
      semdns_artifact_release(lane.artifact);
      lane.artifact = nullptr;
    }
  }
  semdns::cache::expire(d->classifier.store, now, load(d->classifier.limits.stale), entries);
  if (drained) {
    const AllLanes all(*d);
    for (uint32_t i = 0; i < d->pool.used; ++i)
      if (inUse(d->pool.endpoints[i]) && d->pool.endpoints[i].draining &&
          !load(d->pool.endpoints[i].inFlight))
        freeEndpoint(d->pool, i);
  }
  return changed;
}

semdns_status semdns_dispatcher_resolve(semdns_dispatcher *d, semdns_scratch *scratch,
                                        const semdns_query *query, uint64_t now,
                                        semdns_answer *answer) {
  if (!d || !query || !answer || query->size < sizeof *query)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_query plain = *query;
  plain.now = now;
  semdns::cache::Outcome outcome;
  return classify(*d, scratch, plain, semdns::cache::Mode::Alone, *answer, outcome);
}

semdns_status semdns_dispatcher_refresh(semdns_dispatcher *d, semdns_scratch *scratch,
                                        const semdns_query *query, uint64_t now,
                                        semdns_answer *answer) {
  if (!d || !query || !answer || query->size < sizeof *query)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_query plain = *query;
  plain.now = now;
  semdns::cache::Outcome outcome;
  return classify(*d, scratch, plain, semdns::cache::Mode::Refresh, *answer, outcome);
}

semdns_status semdns_cache_flush(semdns_dispatcher *d, const semdns_flush *flush,
                                 uint64_t *dropped) {
  if (dropped)
    *dropped = 0;
  if (!d || !flush || flush->size < sizeof *flush ||
      (flush->what & ~(SEMDNS_FLUSH_ZONE | SEMDNS_FLUSH_SCOPE | SEMDNS_FLUSH_SERIAL)) ||
      (!flush->scope && flush->scope_size))
    return SEMDNS_ERROR_ARGUMENT;
  semdns::cache::Flush what = {flush->artifact, UINT32_MAX, 0, false, flush->serial};
  what.bySerial = flush->what & SEMDNS_FLUSH_SERIAL;
  if (flush->what & SEMDNS_FLUSH_SCOPE)
    what.scope = semdns::cache::scopeTag(d->classifier.seed, flush->scope, flush->scope_size);
  if (flush->what & SEMDNS_FLUSH_ZONE) {
    what.zone =
        flush->artifact ? semdns_artifact_find_zone(flush->artifact, flush->zone) : UINT32_MAX;
    if (what.zone == UINT32_MAX)
      return SEMDNS_ERROR_ARGUMENT;
  }
  const uint64_t count = semdns::cache::flush(d->classifier, what);
  if (dropped)
    *dropped = count;
  return SEMDNS_OK;
}

const char *semdns_exclusion_text(uint32_t exclusion) {
  static constexpr const char *kWords[] = {"",     "tried",  "draining", "held",
                                           "full", "region", "context"};
  return exclusion < 7 ? kWords[exclusion] : "unknown";
}

semdns_status semdns_query_explain(semdns_dispatcher *d, uint64_t ticket, uint64_t now,
                                   semdns_candidate_fn fn, void *user) {
  if (!d || !fn)
    return SEMDNS_ERROR_ARGUMENT;
  const Found found(*d, ticket);
  if (!found.ticket)
    return SEMDNS_ERROR_ARGUMENT;
  Ticket &t = *found.ticket;
  now = now < t.last ? t.last : now;
  findRules(*d, t);
  const Rules rules = rulesAt(*d, t, t.level);
  const ZoneView &view = viewAt(t, t.level);
  uint16_t held[kMaxEndpoints];
  uint32_t tried[SEMDNS_TRIES_MAX];
  countBlocks(*d, t, held);
  const uint64_t sequence = found.lane->sequence; // looking draws no lots
  Request request = requestOf(*d, *found.lane, t, now, held, tried);
  request.history =
      cellsOf(d->history, rowOf(d->history, hashBytes(view.name, strlen(view.name)), false, now));
  found.lane->sequence = sequence;
  request.probesAllowed = !t.attemptCount;
  for (uint32_t i = 0; i < view.engineCount; ++i) {
    const semdns_engine_choice &declared = view.engines[i];
    const uint32_t number = findEngine(d->pool, hashBytes(declared.name, strlen(declared.name)));
    if (number == kNobody)
      continue;
    request.heldAllowed = inPanic(d->pool.engines[number], d->config.settings);
    for (uint32_t e = d->pool.engines[number].first; e != kNobody; e = d->pool.endpoints[e].next) {
      bool probe;
      semdns_candidate c;
      memset(&c, 0, sizeof c);
      c.size = sizeof c;
      c.excluded = !contextFits(declared, t)
                       ? uint32_t(SEMDNS_EXCLUDED_CONTEXT)
                       : excluded(d->pool.endpoints[e], e, d->config.settings, request, probe);
      c.endpoint = d->pool.endpoints[e].id;
      c.engine = declared.name;
      const Terms terms =
          termsOf(d->pool, e, d->config.settings, rules, d->config.distances, request);
      c.utilisation = terms.term[0];
      c.complexity = terms.term[1];
      c.affinity = terms.term[2];
      c.geography = terms.term[3];
      c.history = terms.term[4];
      memcpy(c.weight, rules.weights, sizeof c.weight);
      c.score = terms.score;
      fn(user, &c);
    }
  }
  return SEMDNS_OK;
}

semdns_status semdns_dispatcher_stats(semdns_dispatcher *d, semdns_stats *stats) {
  if (!d || !stats || stats->size < sizeof *stats)
    return SEMDNS_ERROR_ARGUMENT;
  memset(stats, 0, sizeof *stats);
  stats->size = sizeof *stats;
  for (uint32_t i = 0; i < d->laneCount; ++i) {
    Lane &lane = d->lanes[i];
    const LaneGuard guard(lane);
    // All that follows `epoch` are counters.
    const auto *from = &lane.stats.queries;
    auto *to = &stats->queries;
    for (size_t c = 0; c < (sizeof *stats - offsetof(semdns_stats, queries)) / 8; ++c)
      to[c] += from[c];
    for (uint32_t t = 0; t < d->ticketsPerLane; ++t)
      stats->tickets += d->tickets[i * d->ticketsPerLane + t].inUse;
    stats->epoch = d->epoch;
  }
  stats->probes = load(d->pool.counts.probes);
  stats->ejections = load(d->pool.counts.ejections);
  stats->readmissions = load(d->pool.counts.readmissions);
  const semdns::cache::Counters cache = semdns::cache::sumOf(d->classifier);
  stats->cache_hits = cache.hits;
  stats->cache_input_hits = cache.inputHits;
  stats->cache_misses = cache.misses;
  stats->cache_stale = cache.stale;
  stats->cache_encoded = cache.encoded;
  stats->cache_joined = cache.joined;
  stats->cache_offered = cache.offered;
  stats->cache_refreshed = cache.refreshed;
  const semdns::cache::StoreCounts entries = semdns::cache::countsOf(d->classifier.store);
  stats->cache_entries = entries.entries;
  stats->cache_capacity = semdns::cache::capacityOf(d->classifier.store);
  stats->cache_evictions = entries.evictions;
  stats->cache_refused = entries.refused;
  stats->log_written = load(d->log.written);
  stats->log_lost = load(d->log.lost);
  return SEMDNS_OK;
}

semdns_status semdns_log_drain(semdns_dispatcher *d, char *buffer, size_t size, size_t *written) {
  if (!d || !written || (!buffer && size))
    return SEMDNS_ERROR_ARGUMENT;
  *written = 0;
  semdns_status status = SEMDNS_OK;
  pthread_mutex_lock(&d->draining);
  while (const LogRecord *record = oldestRecord(d->log)) {
    const size_t line = recordToJson(*record, buffer + *written, size - *written);
    if (!line) {
      status = *written ? SEMDNS_OK : SEMDNS_ERROR_CAPACITY;
      break;
    }
    *written += line;
    dropRecord(d->log);
  }
  pthread_mutex_unlock(&d->draining);
  return status;
}

semdns_status semdns_stats_list(const semdns_stats *stats, semdns_metric_fn fn, void *user) {
  if (!stats || stats->size < sizeof *stats || !fn)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_metric metric = {};
  metric.size = sizeof metric;
  const auto say = [&](const char *name, bool counter, uint64_t value, const char *label = "",
                       const char *labelValue = "") {
    metric.counter = counter;
    metric.name = name;
    metric.label = label;
    metric.label_value = labelValue;
    metric.value = value;
    fn(user, &metric);
  };
  say("semdns_tickets", false, stats->tickets);
  say("semdns_configuration_epoch", true, stats->epoch);
  say("semdns_queries_total", true, stats->queries);
  for (uint32_t i = 0; i <= SEMDNS_TIMEOUT; ++i)
    say("semdns_answers_total", true, stats->by_status[i], "status",
        semdns_answer_status_text(static_cast<semdns_answer_status>(i)));
  say("semdns_attempts_total", true, stats->attempts);
  say("semdns_retries_total", true, stats->retries);
  say("semdns_hedges_total", true, stats->hedges);
  say("semdns_explored_total", true, stats->explored);
  say("semdns_probes_total", true, stats->probes);
  say("semdns_ejections_total", true, stats->ejections);
  say("semdns_readmissions_total", true, stats->readmissions);
  say("semdns_panics_total", true, stats->panics);
  say("semdns_lease_expiries_total", true, stats->lease_expiries);
  say("semdns_reports_rejected_total", true, stats->late_reports, "why", "late");
  say("semdns_reports_rejected_total", true, stats->bad_reports, "why", "bad");
  say("semdns_clock_backwards_total", true, stats->clock_backwards);
  say("semdns_tickets_lost_total", true, stats->tickets_exhausted, "why", "exhausted");
  say("semdns_tickets_lost_total", true, stats->tickets_forgotten, "why", "forgotten");
  say("semdns_configurations_total", true, stats->configurations, "result", "taken");
  say("semdns_configurations_total", true, stats->bad_configurations, "result", "refused");
  say("semdns_policy_hits_total", true, stats->policy_blocked, "action", "block");
  say("semdns_policy_hits_total", true, stats->policy_dropped, "action", "drop");
  say("semdns_policy_hits_total", true, stats->policy_pinned, "action", "pin");
  say("semdns_policy_hits_total", true, stats->policy_passed, "action", "pass");
  say("semdns_cache_lookups_total", true, stats->cache_hits, "result", "hit");
  say("semdns_cache_lookups_total", true, stats->cache_input_hits, "result", "input-hit");
  say("semdns_cache_lookups_total", true, stats->cache_misses, "result", "miss");
  say("semdns_cache_lookups_total", true, stats->cache_stale, "result", "stale");
  say("semdns_cache_encoded_total", true, stats->cache_encoded);
  say("semdns_cache_joined_total", true, stats->cache_joined);
  say("semdns_cache_refreshes_total", true, stats->cache_offered, "what", "offered");
  say("semdns_cache_refreshes_total", true, stats->cache_refreshed, "what", "done");
  say("semdns_cache_entries", false, stats->cache_entries);
  say("semdns_cache_capacity", false, stats->cache_capacity);
  say("semdns_cache_evictions_total", true, stats->cache_evictions);
  say("semdns_cache_refused_total", true, stats->cache_refused);
  say("semdns_log_records_total", true, stats->log_written, "result", "written");
  say("semdns_log_records_total", true, stats->log_lost, "result", "lost");
  return SEMDNS_OK;
}

} // extern "C"
