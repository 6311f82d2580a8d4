#include "runtime/cache/classifier.h"

#include <string.h>

namespace semdns::cache {
namespace {

using resolve::Course;
using resolve::Decision;

constexpr uint32_t kStaleTtl = 30; ///< seconds, RFC 8767's
constexpr uint64_t kMillisecond = 1000000;

template <typename T> T load(const T &from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }

uint64_t align64(uint64_t n) { return (n + 63) & ~uint64_t(63); }

/// What a query looks up with.
struct Look {
  Keys text;
  Origin origin;
  uint64_t now, flushes;
  bool share; ///< the artifact has decisions that scopes may share
};

bool fresh(const Look &look, const Entry &e) {
  return e.digest[0] == look.origin.digest[0] && e.digest[1] == look.origin.digest[1] &&
         e.epoch == static_cast<uint32_t>(look.origin.epoch) && e.expires > look.now;
}

/// What is left of a decision's time. A clock that went back gives no more than there was.
uint64_t leftOf(const Entry &e, uint64_t now) {
  const uint64_t left = e.expires > now ? e.expires - now : 0, most = e.ttl * kMillisecond;
  return left < most ? left : most;
}

uint32_t seconds(uint64_t ns) { return static_cast<uint32_t>(ns / 1000000000u); }

/// An entry that was found and is not fresh.
struct Old {
  bool there;
  Entry entry;
};

/// Looks for a fresh entry, the scope's own and then the shared one; leaves the first that is not
/// fresh in `old`.
bool lookUp(const Classifier &c, const Look &look, const Keys &keys, Entry &entry, Place &place,
            Old &old) {
  if (find(c.store, keys.own, entry, place)) {
    if (fresh(look, entry))
      return true;
    old = {true, entry};
  }
  if (look.share && find(c.store, keys.shared, entry, place)) {
    if (fresh(look, entry))
      return true;
    if (!old.there)
      old = {true, entry};
  }
  return false;
}

/// The zone of an entry of another artifact in this one; UINT32_MAX if it is not there any more.
uint32_t zoneOf(const Classifier &c, const semdns_artifact &a, const Entry &e) {
  const auto is = [&](uint32_t zone) { return nameKey(c.seed, a.views[zone].name) == e.zoneName; };
  if (e.decision.zone < a.zoneCount && is(e.decision.zone))
    return e.decision.zone;
  for (uint32_t zone = 0; zone < a.zoneCount; ++zone)
    if (is(zone))
      return zone;
  return UINT32_MAX;
}

/// Answers with a decision whose time is over, or that an older artifact took: better than what
/// stage 2 alone makes of a text that it would have left to stage 3.
bool serveStale(const Classifier &c, const semdns_artifact &a, const Look &look, const Old &found,
                semdns_answer &answer) {
  const Entry &old = found.entry;
  if (!found.there || old.epoch != static_cast<uint32_t>(look.origin.epoch))
    return false;
  if (old.expires <= look.now && look.now - old.expires >= load(c.limits.stale))
    return false;
  const uint32_t zone = zoneOf(c, a, old);
  if (zone == UINT32_MAX || (a.zones[zone].flags & SEMDNS_ZONE_RESTRICTED))
    return false;
  Decision d = old.decision;
  if (memcmp(old.digest, look.origin.digest, sizeof old.digest)) {
    // The other zones' numbers are another artifact's.
    d.zone = d.best = zone;
    d.bestConfidence = d.confidence;
    d.others = 0;
  }
  resolve::expand(a, d, answer);
  answer.reason = SEMDNS_REASON_STALE;
  answer.cached = SEMDNS_CACHED_STALE;
  answer.ttl = kStaleTtl;
  return true;
}

/// Keeps the answer under the text's key, and under its inputs' where stage 3 decided; sets its
/// TTL. Returns when it expires, 0 if it is not kept.
uint64_t keep(Classifier &c, const semdns_artifact &a, const semdns_query &query, const Look &look,
              const Keys *inputs, semdns_answer &answer) {
  if (!c.store.shards)
    return 0;
  const uint32_t cap = answer.status == SEMDNS_ROUTED ? kMaxTtl : load(c.limits.negative);
  SipHash jitter(c.seed.k0, c.seed.k1);
  jitter.word(look.text.own.low);
  const uint32_t ttl = jitteredTtl(answer.ttl, cap, jitter.finish(look.now).low);
  answer.ttl = ttl / 1000;
  if (!ttl)
    return 0;
  const bool shared = a.zones[answer.zone.index].flags & SEMDNS_ZONE_SHAREABLE;
  Entry e;
  e.digest[0] = look.origin.digest[0];
  e.digest[1] = look.origin.digest[1];
  e.scope = shared ? 0 : scopeTag(c.seed, query.scope, query.scope ? query.scope_size : 0);
  e.serial = look.origin.serial;
  e.zoneName = nameKey(c.seed, answer.zone.name);
  e.expires = look.now + ttl * kMillisecond;
  e.epoch = static_cast<uint32_t>(look.origin.epoch);
  e.ttl = ttl;
  e.decision = resolve::decisionOf(answer);
  const uint32_t quota = load(c.limits.quota);
  for (const Keys *keys : {&look.text, inputs}) {
    if (!keys)
      continue;
    e.key = shared ? keys->shared : keys->own;
    insert(c.store, e, quota, look.flushes, look.now);
  }
  return e.expires;
}

void answerFrom(const semdns_artifact &a, const Entry &e, uint64_t now, semdns_answer &answer) {
  resolve::expand(a, e.decision, answer);
  answer.cached = SEMDNS_CACHED;
  answer.ttl = seconds(leftOf(e, now));
}

/// The same under the text's key, so that it is found sooner next time.
void keepAlias(Classifier &c, const Look &look, Entry e) {
  e.key = e.scope ? look.text.own : look.text.shared;
  insert(c.store, e, load(c.limits.quota), look.flushes, look.now);
}

/// A scratch's own counters, or the last ones, which those share that have found none.
Counters &countersOf(const Classifier &c, const semdns_scratch *scratch) {
  const auto self = reinterpret_cast<uintptr_t>(scratch);
  Counters &own = c.counters[(uint64_t(self >> 6) * 0x9e3779b97f4a7c15u >> 32) % (kCounters - 1)];
  uint64_t owner = load(own.owner);
  if (owner == self || (!owner && __atomic_compare_exchange_n(&own.owner, &owner, self, false,
                                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED)))
    return own;
  return c.counters[kCounters - 1];
}

void count(Counters &counters, uint64_t Counters::*which) {
  uint64_t &counter = counters.*which;
  if (load(counters.owner))
    __atomic_store_n(&counter, load(counter) + 1, __ATOMIC_RELAXED); // nobody else writes it
  else
    __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}

/// Runs stage 3 for itself, or for all in a flight.
void encode(Classifier &c, const semdns_scratch &scratch, const semdns_query &query,
            const Look &look, const Keys &inputs, Course &course, uint32_t flight,
            Counters &counters, semdns_answer &answer) {
  semdns_artifact *artifact = resolve::artifactOf(scratch);
  const semdns_artifact &a = *artifact;
  Entry entry;
  Old old;
  old.there = false;
  Place place;
  uint64_t expires = 0;
  uint32_t ttl = 0;
  // Whoever was at it a moment ago may be through.
  if (flight != kNoFlight && lookUp(c, look, inputs, entry, place, old)) {
    answerFrom(a, entry, look.now, answer);
    expires = entry.expires;
    ttl = answer.ttl;
    count(counters, &Counters::inputHits);
  } else {
    resolve::runEncoder(scratch, course);
    resolve::fillAnswer(scratch, course, answer);
    count(counters, &Counters::encoded);
    expires = keep(c, a, query, look, &inputs, answer);
    ttl = answer.ttl;
  }
  if (flight != kNoFlight)
    land(c.flights, flight, artifact, resolve::decisionOf(answer), expires, ttl);
}

void lookWith(const Classifier &c, const semdns_artifact &a, const semdns_query &query,
              uint64_t epoch, Look &look) {
  look.flushes = __atomic_load_n(&c.store.flushes, __ATOMIC_ACQUIRE);
  textKeys(c.seed, a, query, look.text);
  memcpy(look.origin.digest, a.digest, sizeof look.origin.digest);
  look.origin.serial = a.serial;
  look.origin.epoch = epoch;
  look.now = query.now;
  look.share = a.anyShareable;
}

} // namespace

uint64_t classifierSize() {
  return align64(kFlights * sizeof(Flight)) + kCounters * sizeof(Counters);
}

void initClassifier(Classifier &c, uint64_t seed, uint64_t budget, void *memory) {
  c.seed = seedOf(seed);
  c.flights.flights = static_cast<Flight *>(memory);
  pthread_mutex_init(&c.flights.lock, nullptr);
  c.counters = reinterpret_cast<Counters *>(static_cast<uint8_t *>(memory) +
                                            align64(kFlights * sizeof(Flight)));
  initStore(c.store, budget, static_cast<uint8_t *>(memory) + classifierSize());
}

void deinitClassifier(Classifier &c) {
  for (uint32_t i = 0; i < kFlights; ++i)
    semdns_artifact_release(c.flights.flights[i].artifact);
  pthread_mutex_destroy(&c.flights.lock);
  deinitStore(c.store);
}

Counters sumOf(const Classifier &c) {
  Counters sum = {};
  for (uint32_t i = 0; i < kCounters; ++i)
    for (uint64_t Counters::*which :
         {&Counters::hits, &Counters::inputHits, &Counters::misses, &Counters::stale,
          &Counters::encoded, &Counters::joined, &Counters::offered, &Counters::refreshed})
      sum.*which += load(c.counters[i].*which);
  return sum;
}

semdns_status classify(Classifier &c, semdns_resolver *resolver, semdns_scratch *scratch,
                       const semdns_query &query, uint64_t epoch, Mode mode, semdns_answer &answer,
                       Outcome &outcome) {
  outcome = {false, false, false, kNoFlight};
  const semdns_status status = resolve::enter(resolver, scratch);
  if (status != SEMDNS_OK)
    return status;
  if (!resolve::valid(query) || answer.size < sizeof answer)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_artifact *artifact = resolve::artifactOf(*scratch);
  const semdns_artifact &a = *artifact;
  Counters &counters = countersOf(c, scratch);
  const bool late = query.deadline && query.now > query.deadline;
  const bool looks = c.store.shards && mode != Mode::Refresh && !late;
  Look look = {};
  Entry entry;
  Old old;
  old.there = false;
  Place place;
  if (c.store.shards)
    lookWith(c, a, query, epoch, look);
  if (looks && lookUp(c, look, look.text, entry, place, old)) {
    answerFrom(a, entry, look.now, answer);
    count(counters, &Counters::hits);
    if (leftOf(entry, look.now) * 10 <= entry.ttl * kMillisecond && offerRefresh(place)) {
      outcome.refresh = true;
      count(counters, &Counters::offered);
    }
    return SEMDNS_OK;
  }
  Course course;
  resolve::runFirst(*scratch, query, course);
  if (!course.asks) {
    if (looks)
      count(counters, &Counters::misses);
    if (course.missed && serveStale(c, a, look, old, answer)) {
      count(counters, &Counters::stale);
      return SEMDNS_OK;
    }
    resolve::fillAnswer(*scratch, course, answer);
    if (!course.hurried && !course.late)
      keep(c, a, query, look, nullptr, answer);
    return SEMDNS_OK;
  }
  if (!c.store.shards)
    lookWith(c, a, query, epoch, look);
  resolve::Inputs inputs;
  resolve::inputsOf(*scratch, course, inputs);
  Keys keys;
  inputKeys(c.seed, a, query, course, inputs, keys);
  old.there = false;
  if (looks && lookUp(c, look, keys, entry, place, old)) {
    answerFrom(a, entry, look.now, answer);
    keepAlias(c, look, entry);
    count(counters, &Counters::inputHits);
    return SEMDNS_OK;
  }
  if (looks)
    count(counters, &Counters::misses);
  if (mode == Mode::Refresh)
    count(counters, &Counters::refreshed);
  Joined joined = Joined::None;
  if (mode == Mode::Ticket || mode == Mode::Later)
    joined =
        join(c.flights, keys.own, artifact, mode == Mode::Ticket, outcome.flight, outcome.promised);
  if (joined == Joined::Follows) {
    outcome.waits = true;
    if (!outcome.promised)
      count(counters, &Counters::joined);
    return SEMDNS_OK;
  }
  encode(c, *scratch, query, look, keys, course,
         joined == Joined::Runs ? outcome.flight : kNoFlight, counters, answer);
  outcome.flight = kNoFlight;
  return SEMDNS_OK;
}

semdns_status complete(Classifier &c, semdns_resolver *resolver, semdns_scratch *scratch,
                       const semdns_query &query, uint64_t epoch, uint32_t flight,
                       semdns_answer &answer, Outcome &outcome) {
  outcome = {true, true, false, flight};
  const semdns_status status = resolve::enter(resolver, scratch);
  if (status != SEMDNS_OK)
    return status;
  if (answer.size < sizeof answer)
    return SEMDNS_ERROR_ARGUMENT;
  const semdns_artifact &a = *resolve::artifactOf(*scratch);
  Look look;
  lookWith(c, a, query, epoch, look);
  Course course;
  resolve::runFirst(*scratch, query, course);
  if (!course.asks) { // too late for stage 3 by now, or another artifact
    leave(c.flights, flight, true);
    outcome = {false, false, false, kNoFlight};
    resolve::fillAnswer(*scratch, course, answer);
    return SEMDNS_OK;
  }
  if (!run(c.flights, flight)) {
    outcome.promised = false;
    return SEMDNS_OK;
  }
  resolve::Inputs inputs;
  resolve::inputsOf(*scratch, course, inputs);
  Keys keys;
  inputKeys(c.seed, a, query, course, inputs, keys);
  encode(c, *scratch, query, look, keys, course, flight, countersOf(c, scratch), answer);
  outcome = {false, false, false, kNoFlight};
  return SEMDNS_OK;
}

void answerOf(const Flight &landed, uint64_t now, semdns_answer &answer) {
  resolve::expand(*landed.artifact, landed.decision, answer);
  answer.cached = SEMDNS_CACHED;
  const uint32_t left = landed.expires > now ? seconds(landed.expires - now) : 0;
  answer.ttl = landed.expires && left < landed.ttl ? left : landed.ttl;
}

uint64_t flush(Classifier &c, const Flush &what) {
  return flush(
      c.store,
      [](const Entry &e, const void *data) {
        const auto &f = *static_cast<const Flush *>(data);
        if ((f.scope && e.scope != f.scope) || (f.bySerial && e.serial != f.serial))
          return false;
        if (f.zone == UINT32_MAX || memcmp(e.digest, f.artifact->digest, sizeof e.digest))
          return true;
        return e.decision.zone >= f.zone && e.decision.zone < f.artifact->zones[f.zone].subtree_end;
      },
      &what);
}

} // namespace semdns::cache
