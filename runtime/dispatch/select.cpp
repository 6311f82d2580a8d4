#include "runtime/dispatch/select.h"

#include "runtime/dispatch/atomics.h"

namespace semdns::dispatch {
namespace {

constexpr uint32_t kWorst = 4 * kOne;
constexpr uint64_t kReportLife = 10 * kSecond; ///< a load report older than this is not believed
constexpr uint64_t kHistoryHalf =
    30 * kSecond; ///< what is learnt loses half of its weight in this time
constexpr uint32_t kTokensPerPlaceBits =
    10;                            ///< 1024 tokens of work a place of an endpoint's capacity
constexpr uint32_t kFarAway = 100; ///< ms that count as 1

uint32_t ratio(uint64_t part, uint64_t whole) {
  const uint64_t q16 = part * kOne / (whole ? whole : 1);
  return q16 < kWorst ? static_cast<uint32_t>(q16) : kWorst;
}

/// Requests at the endpoint: the greater of what we know ourselves and what it last said, moved by
/// what we have begun and ended since.
uint32_t loadOf(const Endpoint &e, uint64_t now) {
  const uint32_t own = load(e.inFlight);
  const uint64_t at = load(e.reportedAt);
  if (!at || now - at > kReportLife)
    return own;
  const int64_t moved = int64_t(load(e.reported)) + int64_t(own) - int64_t(load(e.atReport));
  return moved > int64_t(own) ? static_cast<uint32_t>(moved) : own;
}

/// `part` over what the endpoint may do now, which is `scale` per place and weight: a
/// multiplication, but for the few that ramp up.
uint32_t ofCapacity(const Endpoint &e, const Settings &settings, uint64_t part, uint32_t scaleBits,
                    uint64_t now) {
  if (load(e.state) == SEMDNS_ENDPOINT_RAMPING)
    return ratio(part, (uint64_t(capacityAt(e, settings, now)) * e.weight) << scaleBits);
  const uint64_t few = part < uint64_t(1) << 32 ? part : (uint64_t(1) << 32) - 1;
  const uint64_t q16 =
      scaleBits ? few * (e.inverse >> scaleBits) >> 24 : (few & 0x3fffff) * e.inverse >> 24;
  return q16 < kWorst ? static_cast<uint32_t>(q16) : kWorst;
}

uint32_t utilisation(const Endpoint &e, const Settings &settings, uint64_t now) {
  const uint32_t places = ofCapacity(e, settings, loadOf(e, now), 0, now);
  const uint64_t at = load(e.reportedAt);
  const uint32_t kv = at && now - at <= kReportLife ? load(e.kvUse) / e.weight : 0;
  return places > kv ? places : kv;
}

/// Latencies against the engine's fastest without a division each.
struct Slowness {
  uint64_t fastest = 0, inverse = 0;
  uint32_t shift = 0;
  explicit Slowness(uint64_t best) : fastest(best) {
    while (best >> shift >= uint64_t(1) << 31)
      ++shift;
    inverse = best ? (uint64_t(1) << 47) / (best >> shift) : 0;
  }
  /// (latency - fastest) / fastest in Q16, at most 2.
  uint32_t of(uint64_t latency) const {
    if (!fastest || latency <= fastest)
      return 0;
    const uint64_t more = latency - fastest;
    return more >= 2 * fastest ? 2 * kOne : static_cast<uint32_t>((more >> shift) * inverse >> 31);
  }
};

/// Slowness and failures, faded by the time since we last heard of it.
uint32_t history(const Endpoint &e, const Slowness &slowness, uint64_t now) {
  const uint64_t seen = load(e.seenAt);
  if (!seen)
    return 0;
  uint64_t sum = slowness.of(load(e.latency)) + uint64_t(kOne - load(e.success)) * 4;
  if (now > seen && now - seen >= kHistoryHalf) {
    const uint64_t halvings = (now - seen) / kHistoryHalf;
    sum = halvings < 32 ? sum >> halvings : 0;
  }
  return sum < kWorst ? static_cast<uint32_t>(sum) : kWorst;
}

uint64_t fastestOf(const Pool &pool, uint32_t engine) {
  uint64_t best = 0;
  for (uint32_t i = pool.engines[engine].first; i != kNobody; i = pool.endpoints[i].next) {
    const uint64_t latency = load(pool.endpoints[i].latency);
    if (latency && (!best || latency < best))
      best = latency;
  }
  return best;
}

uint64_t rendezvous(uint64_t key, const Endpoint &e) { return mix(key ^ e.hash); }

/// The endpoint that a session hashes to, among those that are in use at all: leaving and coming
/// back moves only the sessions that are concerned (Thaler, Ravishankar 1998).
uint32_t homeOf(const Pool &pool, uint32_t engine, uint64_t session) {
  uint32_t home = kNobody;
  uint64_t best = 0;
  for (uint32_t i = pool.engines[engine].first; i != kNobody; i = pool.endpoints[i].next) {
    const uint64_t value = rendezvous(session, pool.endpoints[i]);
    if (!pool.endpoints[i].draining && (home == kNobody || value > best)) {
      home = i;
      best = value;
    }
  }
  return home;
}

struct Scorer {
  const Pool &pool;
  const Settings &settings;
  const Rules &rules;
  const Distances &distances;
  const Request &request;
  Slowness slowness;
  uint64_t inverseBlocks;
  uint32_t home;

  Scorer(const Pool &p, uint32_t engine, const Settings &s, const Rules &r, const Distances &d,
         const Request &q, uint64_t fastest)
      : pool(p), settings(s), rules(r), distances(d), request(q), slowness(fastest),
        inverseBlocks(q.held ? ((uint64_t(1) << 32) + q.blockCount - 1) / q.blockCount : 0),
        home(q.session && !q.held ? homeOf(p, engine, q.session) : kNobody) {}

  Terms operator()(uint32_t slot) const {
    const Endpoint &e = pool.endpoints[slot];
    // Share of the prompt that it has not worked through yet.
    const uint32_t fresh =
        request.held ? kOne - static_cast<uint32_t>(request.held[slot] * inverseBlocks >> 16)
                     : kOne;
    const uint64_t work =
        (uint64_t(request.tokens) * fresh >> 16) + request.outputTokens + load(e.workInFlight);
    Terms out;
    out.term[0] = utilisation(e, settings, request.now);
    out.term[1] = ofCapacity(e, settings, work, kTokensPerPlaceBits, request.now);
    out.term[2] = request.held ? fresh : home != kNobody && home != slot ? kOne : 0;
    out.term[3] =
        request.region < kMaxRegions ? ratio(distances[request.region][e.region], kFarAway) : 0;
    out.term[4] = history(e, slowness, request.now);
    out.score = 0;
    for (uint32_t i = 0; i < kTerms; ++i)
      out.score += uint64_t(out.term[i]) * rules.weights[i];
    return out;
  }
};

} // namespace

uint32_t excluded(const Endpoint &e, uint32_t slot, const Settings &settings,
                  const Request &request, bool &probe) {
  probe = false;
  for (uint32_t i = 0; i < request.triedCount; ++i)
    if (request.tried[i] == slot)
      return SEMDNS_EXCLUDED_TRIED;
  if (e.draining)
    return SEMDNS_EXCLUDED_DRAINING;
  if (!(request.allowedRegions >> e.region & 1))
    return SEMDNS_EXCLUDED_REGION;
  const uint32_t state = load(e.state);
  if (state == SEMDNS_ENDPOINT_HELD || state == SEMDNS_ENDPOINT_PROBING) {
    probe = request.probesAllowed && state == SEMDNS_ENDPOINT_HELD && request.now >= load(e.until);
    if (!probe && !request.heldAllowed)
      return SEMDNS_EXCLUDED_HELD;
  }
  if (load(e.inFlight) >= capacityAt(e, settings, request.now)) {
    probe = false;
    return SEMDNS_EXCLUDED_FULL;
  }
  return SEMDNS_STANDS;
}

uint32_t workOf(uint32_t slot, const Request &request) {
  const uint64_t fresh = request.held && request.blockCount
                             ? uint64_t(request.tokens) *
                                   (request.blockCount - request.held[slot]) / request.blockCount
                             : request.tokens;
  const uint64_t work = fresh + request.outputTokens;
  return work < UINT32_MAX / 4096 ? static_cast<uint32_t>(work) : UINT32_MAX / 4096;
}

Terms termsOf(const Pool &pool, uint32_t slot, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request) {
  const uint32_t engine = pool.endpoints[slot].engine;
  return Scorer(pool, engine, settings, rules, distances, request, fastestOf(pool, engine))(slot);
}

Choice choose(Pool &pool, uint32_t engine, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request) {
  Choice out;
  // One pass tells who stands; the methods then walk over those alone.
  uint16_t stands[kMaxEndpoints];
  uint32_t standing = 0;
  uint64_t fastest = 0;
  for (uint32_t i = pool.engines[engine].first; i != kNobody; i = pool.endpoints[i].next) {
    bool probe;
    const uint32_t why = excluded(pool.endpoints[i], i, settings, request, probe);
    out.exclusions |= 1u << why;
    if (probe) {
      out.slot = i;
      out.probe = true;
      return out;
    }
    if (why == SEMDNS_EXCLUDED_HELD) {
      const uint64_t until = load(pool.endpoints[i].until);
      if (!out.earliest || until < out.earliest)
        out.earliest = until;
    }
    if (why == SEMDNS_STANDS)
      stands[standing++] = static_cast<uint16_t>(i);
    const uint64_t latency = load(pool.endpoints[i].latency);
    if (latency && (!fastest || latency < fastest))
      fastest = latency;
  }
  if (!standing)
    return out;

  uint32_t wanted[2] = {kNobody, kNobody}; // places in the list of those that stand
  if (rules.method == Method::RoundRobin)
    wanted[0] = wanted[1] = add(pool.engines[engine].turn, 1u) % standing;
  if (rules.method == Method::TwoChoices) {
    wanted[0] = static_cast<uint32_t>(request.random % standing);
    wanted[1] = static_cast<uint32_t>((request.random >> 32) % (standing > 1 ? standing - 1 : 1));
    wanted[1] += standing > 1 && wanted[1] >= wanted[0];
  }
  const Scorer scorer(pool, engine, settings, rules, distances, request, fastest);
  uint64_t best = 0, bestTie = 0;
  for (uint32_t place = 0; place < standing; ++place) {
    const uint32_t i = stands[place];
    if (wanted[0] != kNobody && place != wanted[0] && place != wanted[1])
      continue;
    uint64_t value = 0;
    switch (rules.method) {
    case Method::Score:
      value = scorer(i).score;
      break;
    case Method::LeastLoaded:
    case Method::TwoChoices:
      value = utilisation(pool.endpoints[i], settings, request.now);
      break;
    case Method::RoundRobin:
      break;
    case Method::Hash:
      value = ~rendezvous(request.key, pool.endpoints[i]);
      break;
    }
    if (out.slot != kNobody && value > best)
      continue;
    // Equal ones draw lots, so that idle endpoints share what comes.
    const uint64_t tie = mix(request.random ^ pool.endpoints[i].hash);
    if (out.slot == kNobody || value < best || tie < bestTie) {
      out.slot = i;
      best = value;
      bestTie = tie;
    }
  }
  return out;
}

} // namespace semdns::dispatch
