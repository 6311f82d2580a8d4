/// \file What is known of each endpoint right now, and what reports make of it: outlier detection,
/// ejection with exponential hold-down, the single probe, slow start.
///
/// Two kinds of fields. Counters that selection reads for every query are atomic and read without a
/// lock; the state machine changes under the endpoint's own lock. Slots are handed out and taken
/// back only while no query runs (the dispatcher holds every lane).
#pragma once

#include "runtime/dispatch/atomics.h"
#include "semdns/dispatch.h"

#include <pthread.h>

namespace semdns::dispatch {

constexpr uint32_t kMaxEngines = 256;
constexpr uint32_t kMaxEndpoints = 1024;
constexpr uint32_t kMaxRegions = 32;
constexpr uint32_t kNobody = 0xffffffffu;
constexpr uint64_t kSecond = 1000000000u;
constexpr uint32_t kOne = 65536;               ///< 1 in Q16
constexpr uint64_t kReportLife = 10 * kSecond; ///< a load report older than this is not believed
constexpr uint32_t kLeastSpeed = 16, kMostSpeed = 10000000, kDefaultSpeed = 10000; ///< tokens/s
constexpr uint32_t kUsualOutput = 256;
constexpr uint32_t kMostBlocks = 1u << 24;
/// Recent work is counted over this time: 2^38 ns, four and a half minutes.
constexpr uint32_t kRecentBits = 38;

/// What configuration says about health (docs/dispatch.md, "Configuration", has words and units).
struct Settings {
  uint64_t holdBase = kSecond, holdMax = 300 * kSecond;
  uint64_t holdSlow = 15 * kSecond; ///< longest hold-down for slowness: asking costs time alone
  uint64_t slowStart = 30 * kSecond;
  uint64_t attemptTimeout = 10 * kSecond, streamLease = 60 * kSecond, ticketLease = 300 * kSecond;
  uint64_t hedgeAfter = 0;     ///< 0: never
  uint64_t patience = kSecond; ///< a wait of this length for held blocks costs little
  uint32_t consecutiveErrors = 5;
  uint32_t ejectionCap = 50;  ///< percent of an engine's endpoints
  uint32_t latencyFactor = 4; ///< times the mean of the engine's others; 0: off
  uint32_t retryBudget = 20;  ///< percent of the engine's attempts in flight
  uint32_t retryMinimum = 10; ///< retries at once that are always allowed
  uint32_t tries = 3;
  uint32_t explore = 10;  ///< per mille of first attempts that may go where the score would not
  uint32_t learning = 1;  ///< 0: a zone's history stays as it is, and nothing is explored
  uint32_t logSample = 0; ///< per mille of the queries that the log gets
  uint32_t logClimbs = 0; ///< the same of those that the cascade answers by an ancestor or the root
  // Of the cache.
  uint64_t cacheStale = 86400 * kSecond;   ///< how long an expired decision may serve in need
  uint64_t cacheNegative = 3600 * kSecond; ///< at most for decisions that no zone below fits
  uint32_t cacheQuota = 100;               ///< percent of the entries that a scope may have
};

/// An engine by name, as endpoints and artifacts mention it. Interned: never goes.
struct Engine {
  char name[SEMDNS_ID_MAX];
  uint64_t hash;
  uint32_t first;      ///< endpoint, linked by Endpoint::next in order of slots; kNobody: none
  uint32_t count;      ///< endpoints that are not draining
  uint32_t held;       ///< atomic: HELD and PROBING ones
  uint32_t active;     ///< atomic: attempts in flight
  uint32_t retries;    ///< atomic: of them second and third ones
  uint32_t turn;       ///< atomic: round robin
  uint32_t work;       ///< atomic: decayed mean of an attempt's tokens of work
  uint32_t output;     ///< atomic: of the tokens that answers had, 8 fractional bits; 0: not known
  uint32_t othersMean; ///< atomic, Q8: of the endpoints' `others`
  uint64_t othersSum, reportedAt; ///< atomic
};

/// What is said of an endpoint besides its name.
struct Traits {
  uint32_t region = 0, weight = 1, capacity = 64;
  uint32_t blocks = 0;            ///< room of its KV cache; 0: not known
  uint32_t speed = kDefaultSpeed; ///< tokens of work a second, for each weight
};

struct Endpoint {
  // Set while nobody else looks.
  char id[SEMDNS_ID_MAX];
  uint64_t hash; ///< of id
  uint32_t engine, region, weight, capacity;
  uint32_t blocks; ///< room of its KV cache; 0: not known
  uint32_t speed;  ///< tokens of work a second and weight
  // What selection would divide by for every candidate.
  uint64_t inverse;  ///< 2^40 / (capacity * weight)
  uint64_t perToken; ///< seconds, 40 fractional bits
  uint64_t perShare; ///< of 2^kRecentBits ns, 40 fractional bits
  uint64_t rate;     ///< tokens in 2^30 ns
  uint32_t next;
  uint32_t generation; ///< of the slot: odd while in use
  bool configured;     ///< came by configuration, so that the next one may drop it
  bool draining;
  // Atomic.
  uint32_t state; ///< semdns_endpoint_state without DRAINING
  uint32_t inFlight;
  uint32_t workInFlight;        ///< tokens
  uint32_t window;              ///< number of the time window that workNow is about
  uint32_t workNow, workBefore; ///< tokens begun in this window and the one before it
  uint32_t pace;    ///< Q16: how long attempts took over what was foreseen; 0: not known
  uint32_t others;  ///< Q8: requests of others there, by load reports, smoothed
  uint32_t kvUse;   ///< Q16
  uint32_t success; ///< Q16, decayed
  uint64_t reportedAt, until, latency, seenAt, attempts;
  uint64_t headSince; ///< since when it has been at work on what it does now
  // Under `lock`.
  uint64_t lastHold, readmitted;
  uint64_t took, foreseen; ///< decayed sums of which pace is the ratio
  pthread_mutex_t lock;
  uint32_t failures, samples, holdLevel;
};

/// Counters that the state machine moves; atomic.
struct HealthCounts {
  uint64_t ejections, readmissions, probes;
};

struct Pool {
  Endpoint *endpoints;
  uint32_t capacity, used; ///< slots [0, used) may be in use
  Engine *engines;         ///< [kMaxEngines]
  uint32_t engineCount;
  HealthCounts counts;
};

inline bool inUse(const Endpoint &e) { return e.generation & 1; }

/// Interned number of an engine, kNobody if there is none by that name.
uint32_t findEngine(const Pool &pool, uint64_t hash);
uint32_t findEndpoint(const Pool &pool, const char *id, size_t size);

/// Takes a slot, or changes the one that has this id; kNobody when full. `region` is a number of
/// the registry's. Nobody else may look.
uint32_t addEndpoint(Pool &pool, const char *id, size_t idSize, const char *engine,
                     size_t engineSize, const Traits &traits, bool configured);
void drainEndpoint(Pool &pool, uint32_t slot);
void freeEndpoint(Pool &pool, uint32_t slot);

/// Seconds, Q16, that the endpoint needs for this many tokens of work.
inline uint64_t secondsFor(const Endpoint &e, uint64_t tokens) {
  constexpr uint64_t kMost = (uint64_t(1) << 28) - 1; // so that nothing overflows at any speed
  return (tokens < kMost ? tokens : kMost) * e.perToken >> 24;
}
/// Tokens of work in front of a new request: what we have begun there and not ended, less what it
/// should have done since it turned to the first of it.
inline uint64_t workAhead(const Endpoint &e, uint64_t now) {
  const uint64_t work = load(e.workInFlight);
  const uint32_t requests = load(e.inFlight);
  const uint64_t since = load(e.headSince);
  if (!requests || now <= since)
    return work;
  // Not more than one request of mean size, whose end we would have heard of.
  const uint64_t most = requests == 1 ? work : work >> (32 - __builtin_clz(requests - 1));
  const uint64_t time = now - since < 600 * kSecond ? now - since : 600 * kSecond;
  const uint64_t done = (time >> 10) * e.rate >> 20;
  return work - (done < most ? done : most);
}
/// Tokens of work begun there over the last 2^kRecentBits ns.
inline uint64_t recentWork(const Endpoint &e, uint64_t now) {
  const auto window = static_cast<uint32_t>(now >> kRecentBits);
  const uint32_t seen = load(e.window);
  const uint64_t left = 65536 - (now >> (kRecentBits - 16) & 0xffff); // Q16 of the window before
  if (window == seen)
    return load(e.workNow) + (load(e.workBefore) * left >> 16);
  return window - seen == 1 ? load(e.workNow) * left >> 16 : 0;
}

/// The state as of `now`: RAMPING ends by itself.
uint32_t stateAt(const Endpoint &e, uint64_t now);
/// Requests at once that it may have now: its capacity, during the slow start a growing share of
/// it.
inline uint32_t capacityAt(const Endpoint &e, const Settings &settings, uint64_t now) {
  const uint64_t until = load(e.until);
  if (load(e.state) != SEMDNS_ENDPOINT_RAMPING || now >= until || !settings.slowStart)
    return e.capacity;
  const uint64_t left = until - now < settings.slowStart ? until - now : settings.slowStart;
  // From a tenth upwards, linearly.
  const uint64_t share = 10 + 90 * (settings.slowStart - left) / settings.slowStart;
  const uint64_t capacity = e.capacity * share / 100;
  return capacity ? static_cast<uint32_t>(capacity) : 1;
}
/// More of the engine's endpoints are held than its cap allows.
bool inPanic(const Engine &engine, const Settings &settings);

/// Reserves room for one attempt of `work` tokens; false when full. With `asProbe` also makes the
/// endpoint PROBING, which succeeds for one caller once its hold-down is over.
bool reserve(Pool &pool, uint32_t slot, const Settings &settings, uint32_t work, bool asProbe,
             uint64_t now);
/// Gives the room back. `released` probes fall back to HELD, due at once.
void giveBack(Pool &pool, uint32_t slot, uint32_t work, bool wasProbe, uint64_t now);

/// An answer of the engine's had this many tokens.
void learnOutput(Engine &engine, uint32_t tokens);
/// Tokens that an answer of the engine's will have: as its answers of late, 256 at first.
inline uint32_t expectedOutput(const Engine &engine) {
  const uint32_t mean = load(engine.output);
  return mean ? (mean >> 8) + 1 : kUsualOutput;
}

/// `latency` and what was `foreseen` for it in ns, both at least 1.
/// The endpoint says that it has `requests`, ours among them. Keeps what others have there,
/// smoothed over some seconds (reports are snapshots of what goes up and down, and late), and their
/// mean and sum over the engine. A lane is held, so that slots stay what they are.
void onLoad(Pool &pool, uint32_t slot, uint64_t requests, uint32_t kvUse, uint64_t now);

/// How long it took over what was foreseen, Q16; at least 1.
uint32_t paceOf(uint64_t took, uint64_t foreseen);

void onSuccess(Pool &pool, uint32_t slot, const Settings &settings, bool wasProbe, uint64_t latency,
               uint64_t foreseen, uint64_t now);
void onFailure(Pool &pool, uint32_t slot, const Settings &settings, bool wasProbe, uint64_t now);

} // namespace semdns::dispatch
