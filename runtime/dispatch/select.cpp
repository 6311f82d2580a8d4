#include "runtime/dispatch/select.h"

#include "runtime/dispatch/atomics.h"

namespace semdns::dispatch {
namespace {

constexpr uint32_t kWorst = 4 * kOne;
constexpr uint32_t kOutputWork = 5; ///< an output token is as much work as 5 of the prompt
constexpr uint32_t kFarAway = 100;  ///< ms that count as 1
constexpr uint32_t kMostWait =
    65535u * 4096;                         ///< Q16 seconds: an hour. Beyond it all are equally bad
constexpr uint32_t kImpatience = 4 * kOne; ///< what waiting for longer than patience adds

uint32_t ratio(uint64_t part, uint64_t whole) {
  const uint64_t q16 = part * kOne / (whole ? whole : 1);
  return q16 < kWorst ? static_cast<uint32_t>(q16) : kWorst;
}

/// What is made of the reports of an engine's endpoints. All resolvers see the same imbalance,
/// late, and each could set it right alone; together they would turn it round. So each takes as its
/// own only the share that its requests are of all.
struct Others {
  bool known = false;
  int64_t mean = 0, share = 0; ///< Q8 requests, Q16

  Others(const Engine &engine, uint64_t now) {
    const uint64_t at = load(engine.reportedAt);
    if (!at || now - at > kReportLife)
      return;
    const uint64_t own = (uint64_t(load(engine.active)) + 1) << 8;
    known = true;
    mean = load(engine.othersMean);
    share = static_cast<int64_t>(own * kOne / (own + load(engine.othersSum)));
  }
  /// Requests of others that count at the endpoint, Q8.
  uint32_t at(const Endpoint &e, uint64_t now) const {
    if (!known)
      return 0;
    const uint64_t at = load(e.reportedAt);
    if (!at || now - at > kReportLife)
      return static_cast<uint32_t>(mean);
    return static_cast<uint32_t>(mean + ((int64_t(load(e.others)) - mean) * share >> 16));
  }
};

/// Requests (Q8) over what the endpoint may have at once now: a multiplication, but for the few
/// that ramp up.
uint32_t ofPlaces(const Endpoint &e, const Settings &settings, uint64_t requests, uint64_t now) {
  if (load(e.state) == SEMDNS_ENDPOINT_RAMPING)
    return ratio(requests, uint64_t(capacityAt(e, settings, now)) * e.weight << 8);
  const uint64_t q16 = requests * (e.inverse >> 8) >> 24;
  return q16 < kWorst ? static_cast<uint32_t>(q16) : kWorst;
}

/// Places taken, or KV memory if that is scarcer.
uint32_t occupation(const Endpoint &e, const Settings &settings, uint64_t requests, uint64_t now) {
  const uint32_t places = ofPlaces(e, settings, requests, now);
  const uint64_t at = load(e.reportedAt);
  const uint32_t kv = at && now - at <= kReportLife ? load(e.kvUse) / e.weight : 0;
  return places > kv ? places : kv;
}

/// Share of the last minutes that it has been given work for; may exceed 1.
uint64_t busyShare(const Endpoint &e, uint64_t now) {
  return recentWork(e, now) * e.perShare >> 24;
}

/// Paces against the engine's best without a division each. Up to twice the best counts as equal:
/// queues and answers of unforeseen length make that much difference between equal endpoints.
struct Slowness {
  uint64_t best = 0, inverse = 0;
  explicit Slowness(uint32_t bestPace)
      : best(bestPace), inverse(bestPace ? (uint64_t(1) << 47) / bestPace : 0) {}
  /// (pace - twice the best) / best in Q16, at most 2.
  uint32_t of(uint32_t pace) const {
    if (!best || pace <= 2 * best)
      return 0;
    const uint64_t more = pace - 2 * best;
    return more >= 2 * best ? 2 * kOne : static_cast<uint32_t>(more * inverse >> 31);
  }
};

/// Slowness and failures, faded by the time since we last heard of it.
uint32_t history(const Endpoint &e, const HistoryCell *cell, const Slowness &slowness,
                 uint64_t now) {
  const uint64_t seen = load(e.seenAt);
  if (!seen)
    return 0;
  const Learnt learnt = cell ? learntOf(e, *cell, now) : Learnt{load(e.pace), load(e.success)};
  uint64_t sum = slowness.of(learnt.pace) + uint64_t(kOne - learnt.success) * 4;
  if (now > seen && now - seen >= kHistoryHalf) {
    const uint64_t halvings = (now - seen) / kHistoryHalf;
    sum = halvings < 32 ? sum >> halvings : 0;
  }
  return sum < kWorst ? static_cast<uint32_t>(sum) : kWorst;
}

/// What the score must know of an engine's endpoints as a whole.
struct Field {
  uint32_t bestPace = 0, count = 0;
  uint64_t busy = 0; ///< sum of their shares
  /// Returns the endpoint's own share.
  uint64_t add(const Endpoint &e, uint64_t now) {
    const uint32_t pace = load(e.pace);
    if (pace && (!bestPace || pace < bestPace))
      bestPace = pace;
    const uint64_t share = busyShare(e, now);
    busy += share;
    ++count;
    return share;
  }
  uint64_t meanBusy() const { return count ? busy / count : 0; }
};

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
  Others others;
  Slowness slowness;
  uint64_t meanBusy;
  uint64_t inverseBlocks;
  uint32_t home;
  uint32_t meanWork;
  uint64_t patience; ///< seconds in Q16

  Scorer(const Pool &p, uint32_t engine, const Settings &s, const Rules &r, const Distances &d,
         const Request &q, const Field &f)
      : pool(p), settings(s), rules(r), distances(d), request(q), others(p.engines[engine], q.now),
        slowness(f.bestPace), meanBusy(f.meanBusy()),
        inverseBlocks(q.held ? ((uint64_t(1) << 32) + q.blockCount - 1) / q.blockCount : 0),
        home(q.session && !q.held ? homeOf(p, engine, q.session) : kNobody),
        meanWork(load(p.engines[engine].work)), patience(s.patience * kOne / kSecond) {}

  /// One term; `busy` is the endpoint's own share, `foreign` others' requests there (Q8).
  [[gnu::always_inline]] uint32_t term(uint32_t number, uint32_t slot, uint64_t busy,
                                       uint32_t foreign) const {
    const Endpoint &e = pool.endpoints[slot];
    switch (number) {
    case 0: {
      const uint64_t excess = busy > meanBusy ? busy - meanBusy : 0;
      const uint64_t requests = (uint64_t(load(e.inFlight)) << 8) + foreign;
      return occupation(e, settings, requests, request.now) +
             (excess < kWorst ? static_cast<uint32_t>(excess) : kWorst);
    }
    case 1: {
      // Requests of others are as much work as the engine's usually are.
      const uint64_t ahead = workAhead(e, request.now) + (uint64_t(foreign) * meanWork >> 8);
      const uint64_t wait = secondsFor(e, ahead);
      return static_cast<uint32_t>(wait < kMostWait ? wait : kMostWait) +
             (wait > patience ? kImpatience : 0);
    }
    case 2: {
      if (!request.held)
        return home != kNobody && home != slot ? kOne : 0;
      // Share of the prompt that it has not worked through yet.
      const uint32_t fresh = kOne - static_cast<uint32_t>(request.held[slot] * inverseBlocks >> 16);
      const uint64_t work = secondsFor(e, uint64_t(request.tokens) * fresh >> 16);
      return work < UINT32_MAX ? static_cast<uint32_t>(work) : UINT32_MAX;
    }
    case 3:
      return request.region < kMaxRegions ? ratio(distances[request.region][e.region], kFarAway)
                                          : 0;
    default:
      return history(e, request.history ? request.history + slot : nullptr, slowness, request.now);
    }
  }

  /// The score, or any part of it that is more than `limit` already.
  uint64_t score(uint32_t slot, uint64_t busy, uint64_t limit) const {
    const Endpoint &e = pool.endpoints[slot];
    const uint32_t foreign = others.at(e, request.now);
    uint64_t sum = 0;
    const auto exceeds = [&](uint32_t i) {
      sum += uint64_t(term(i, slot, busy, foreign)) * rules.weights[i];
      return sum > limit;
    };
    // Those that decide most often come first.
    (void)(exceeds(2) || exceeds(0) || exceeds(1) || exceeds(3) || exceeds(4));
    return sum;
  }

  Terms terms(uint32_t slot, uint64_t busy) const {
    const Endpoint &e = pool.endpoints[slot];
    const uint32_t foreign = others.at(e, request.now);
    Terms out;
    out.score = 0;
    for (uint32_t i = 0; i < kTerms; ++i) {
      out.term[i] = term(i, slot, busy, foreign);
      out.score += uint64_t(out.term[i]) * rules.weights[i];
    }
    return out;
  }
};

/// When the zone last heard of the endpoint, or if it has no history anybody.
uint64_t lastSeen(const Endpoint &e, const HistoryCell *row, uint32_t slot) {
  if (!row)
    return load(e.seenAt);
  const HistoryCell &cell = row[slot];
  return load(cell.samples) && load(cell.generation) == e.generation ? load(cell.seen) : 0;
}

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
  const uint64_t work = fresh + uint64_t(request.outputTokens) * kOutputWork;
  return work < UINT32_MAX / 4096 ? static_cast<uint32_t>(work) : UINT32_MAX / 4096;
}

uint64_t foreseen(const Endpoint &e, uint32_t work, uint32_t expected, uint32_t produced) {
  int64_t tokens = work;
  if (produced)
    tokens += (int64_t(produced) - int64_t(expected)) * kOutputWork;
  return tokens > 0 ? (secondsFor(e, static_cast<uint64_t>(tokens)) * kSecond >> 16) + 1 : 1;
}

Terms termsOf(const Pool &pool, uint32_t slot, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request) {
  const uint32_t engine = pool.endpoints[slot].engine;
  Field field;
  uint64_t busy = 0;
  for (uint32_t i = pool.engines[engine].first; i != kNobody; i = pool.endpoints[i].next) {
    const uint64_t share = field.add(pool.endpoints[i], request.now);
    busy = i == slot ? share : busy;
  }
  return Scorer(pool, engine, settings, rules, distances, request, field).terms(slot, busy);
}

Choice choose(Pool &pool, uint32_t engine, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request) {
  Choice out;
  // One pass tells who stands; the methods then walk over those alone.
  uint16_t stands[kMaxEndpoints];
  uint64_t busy[kMaxEndpoints];
  uint32_t standing = 0;
  Field field;
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
    const uint64_t share =
        rules.method == Method::Score ? field.add(pool.endpoints[i], request.now) : 0;
    if (why == SEMDNS_STANDS) {
      busy[standing] = share;
      stands[standing++] = static_cast<uint16_t>(i);
    }
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
  if (request.explores && rules.method == Method::Score) {
    // Of those that the zone has not tried for a while, the one that it knows least of. Prefixes
    // are not spent on it, and one that has work is being tried.
    uint64_t oldest = UINT64_MAX;
    uint32_t mostHeld = 0;
    for (uint32_t place = 0; place < standing && request.held; ++place)
      mostHeld = request.held[stands[place]] > mostHeld ? request.held[stands[place]] : mostHeld;
    for (uint32_t place = 0; place < standing; ++place) {
      if ((request.held && request.held[stands[place]] + 1u < mostHeld) ||
          load(pool.endpoints[stands[place]].inFlight))
        continue;
      const uint64_t seen = lastSeen(pool.endpoints[stands[place]], request.history, stands[place]);
      if (seen < oldest && request.now - seen >= kHistoryHalf) {
        oldest = seen;
        out.slot = stands[place];
      }
    }
    if (out.slot != kNobody) {
      out.explored = true;
      return out;
    }
  }
  const Scorer scorer(pool, engine, settings, rules, distances, request, field);
  uint64_t best = 0, bestTie = 0;
  for (uint32_t place = 0; place < standing; ++place) {
    const uint32_t i = stands[place];
    if (wanted[0] != kNobody && place != wanted[0] && place != wanted[1])
      continue;
    uint64_t value = 0;
    switch (rules.method) {
    case Method::Score:
      value = scorer.score(i, busy[place], out.slot == kNobody ? UINT64_MAX : best);
      break;
    case Method::LeastLoaded:
    case Method::TwoChoices:
      value = occupation(pool.endpoints[i], settings,
                         (uint64_t(load(pool.endpoints[i].inFlight)) << 8) +
                             scorer.others.at(pool.endpoints[i], request.now),
                         request.now);
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
