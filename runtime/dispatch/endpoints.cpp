#include "runtime/dispatch/endpoints.h"

#include "runtime/dispatch/atomics.h"

#include <string.h>

namespace semdns::dispatch {
namespace {

/// Share of the cap in endpoints, at least one: a pool of one may be held as a whole, and its
/// parent answers.
uint32_t allowedHeld(const Engine &engine, const Settings &settings) {
  const uint32_t share = engine.count * settings.ejectionCap / 100;
  return share ? share : 1;
}

/// Ends what the slow start has left behind; under the lock.
void settle(Endpoint &e, uint64_t now) {
  if (load(e.state) == SEMDNS_ENDPOINT_RAMPING && now >= load(e.until)) {
    store(e.state, uint32_t(SEMDNS_ENDPOINT_UP));
    e.holdLevel = 0;
  }
}

/// Under the lock; `wasHeld` when it counts as held already.
void hold(Pool &pool, Endpoint &e, const Settings &settings, uint64_t most, bool wasHeld,
          uint64_t now) {
  // Healthy for as long as it was held: what was before does not count against it.
  if (!wasHeld && e.readmitted && now - e.readmitted >= e.lastHold)
    e.holdLevel = 0;
  uint64_t time = settings.holdBase;
  for (uint32_t i = 0; i < e.holdLevel && time < most; ++i)
    time *= 2;
  if (time > most)
    time = most;
  if (e.holdLevel < 32)
    ++e.holdLevel;
  e.lastHold = time;
  store(e.until, now + time);
  store(e.state, uint32_t(SEMDNS_ENDPOINT_HELD));
  if (!wasHeld && !e.draining)
    add(pool.engines[e.engine].held, 1u);
  add(pool.counts.ejections, uint64_t(1));
}

void average(uint32_t &mean, uint32_t value) {
  const uint32_t old = load(mean);
  store(mean, value >= old ? old + (value - old) / 8 : old - (old - value + 7) / 8);
}

/// Mean pace of the engine's other endpoints that are known; 0 if fewer than two are.
uint64_t othersPace(const Pool &pool, const Endpoint &self) {
  uint64_t sum = 0, count = 0;
  for (uint32_t i = pool.engines[self.engine].first; i != kNobody; i = pool.endpoints[i].next) {
    const uint64_t pace = load(pool.endpoints[i].pace);
    if (&pool.endpoints[i] != &self && pace &&
        load(pool.endpoints[i].state) != SEMDNS_ENDPOINT_HELD) {
      sum += pace;
      ++count;
    }
  }
  return count >= 2 ? sum / count : 0;
}

/// Whether attempts of this latency would have been `latencyFactor` times faster with the others.
bool tooSlow(const Pool &pool, const Endpoint &e, const Settings &settings, uint64_t pace,
             uint64_t latency) {
  if (!settings.latencyFactor)
    return false;
  const uint64_t others = othersPace(pool, e);
  // The margin keeps microseconds of difference between idle endpoints from counting.
  return others && pace / settings.latencyFactor > others &&
         latency - latency / pace * others > kSecond / 20;
}

uint64_t averaged(uint64_t mean, uint64_t value) {
  return value >= mean ? mean + (value - mean) / 8 : mean - (mean - value) / 8;
}

/// The window of recent work that `now` lies in begins where it does for everybody.
void countWork(Endpoint &e, uint32_t work, uint64_t now) {
  const auto window = static_cast<uint32_t>(now >> kRecentBits);
  uint32_t seen = load(e.window);
  if (static_cast<int32_t>(window - seen) > 0 &&
      __atomic_compare_exchange_n(&e.window, &seen, window, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED)) {
    store(e.workBefore, window - seen == 1 ? load(e.workNow) : 0);
    store(e.workNow, uint32_t(0));
  }
  add(e.workNow, work);
}

void setTraits(Endpoint &e, const Traits &traits) {
  e.region = traits.region;
  e.weight = traits.weight;
  e.capacity = traits.capacity;
  e.blocks = traits.blocks;
  e.speed = traits.speed;
  e.inverse = (uint64_t(1) << 40) / (uint64_t(e.capacity) * e.weight);
  const uint64_t speed = uint64_t(e.speed) * e.weight;
  e.perToken = (uint64_t(1) << 40) / speed;
  e.perShare = e.perToken / ((uint64_t(1) << kRecentBits) / kSecond + 1);
  e.rate = speed + speed * ((1u << 30) - kSecond) / kSecond;
}

void unlink(Pool &pool, uint32_t slot) {
  uint32_t *link = &pool.engines[pool.endpoints[slot].engine].first;
  while (*link != slot)
    link = &pool.endpoints[*link].next;
  *link = pool.endpoints[slot].next;
}

void leavePool(Pool &pool, Endpoint &e) {
  Engine &engine = pool.engines[e.engine];
  --engine.count;
  if (load(e.state) == SEMDNS_ENDPOINT_HELD || load(e.state) == SEMDNS_ENDPOINT_PROBING)
    dropOne(engine.held);
}

} // namespace

uint32_t findEngine(const Pool &pool, uint64_t hash) {
  for (uint32_t i = 0; i < pool.engineCount; ++i)
    if (pool.engines[i].hash == hash)
      return i;
  return kNobody;
}

uint32_t findEndpoint(const Pool &pool, const char *id, size_t size) {
  const uint64_t hash = hashBytes(id, size);
  for (uint32_t i = 0; i < pool.used; ++i)
    if (inUse(pool.endpoints[i]) && pool.endpoints[i].hash == hash)
      return i;
  return kNobody;
}

uint32_t addEndpoint(Pool &pool, const char *id, size_t idSize, const char *engine,
                     size_t engineSize, const Traits &traits, bool configured) {
  const uint64_t engineHash = hashBytes(engine, engineSize);
  uint32_t number = findEngine(pool, engineHash);
  if (number == kNobody) {
    if (pool.engineCount == kMaxEngines)
      return kNobody;
    number = pool.engineCount++;
    Engine &made = pool.engines[number];
    memset(&made, 0, sizeof made);
    memcpy(made.name, engine, engineSize);
    made.hash = engineHash;
    made.first = kNobody;
  }
  uint32_t slot = findEndpoint(pool, id, idSize);
  if (slot != kNobody && pool.endpoints[slot].engine != number) {
    freeEndpoint(pool, slot); // another engine: another endpoint by the same name
    slot = kNobody;
  }
  if (slot != kNobody) {
    Endpoint &e = pool.endpoints[slot];
    if (e.draining) {
      e.draining = false;
      ++pool.engines[number].count;
      if (load(e.state) == SEMDNS_ENDPOINT_HELD || load(e.state) == SEMDNS_ENDPOINT_PROBING)
        add(pool.engines[number].held, 1u);
    }
    setTraits(e, traits);
    e.configured = configured;
    return slot;
  }
  for (slot = 0; slot < pool.used && inUse(pool.endpoints[slot]); ++slot) {
  }
  if (slot == pool.capacity)
    return kNobody;
  if (slot == pool.used) {
    pthread_mutex_init(&pool.endpoints[slot].lock, nullptr);
    ++pool.used;
  }
  Endpoint &e = pool.endpoints[slot];
  memset(e.id, 0, sizeof e.id);
  memcpy(e.id, id, idSize);
  e.hash = hashBytes(id, idSize);
  e.engine = number;
  setTraits(e, traits);
  e.configured = configured;
  e.draining = false;
  e.state = SEMDNS_ENDPOINT_UP;
  e.inFlight = e.workInFlight = e.others = e.kvUse = 0;
  e.success = kOne;
  e.window = e.workNow = e.workBefore = e.pace = 0;
  e.reportedAt = e.until = e.latency = e.seenAt = e.attempts = e.headSince = 0;
  e.lastHold = e.readmitted = 0;
  e.took = e.foreseen = 0;
  e.failures = e.samples = e.holdLevel = 0;
  ++e.generation;
  uint32_t *link = &pool.engines[number].first;
  while (*link != kNobody && *link < slot)
    link = &pool.endpoints[*link].next;
  e.next = *link;
  *link = slot;
  ++pool.engines[number].count;
  return slot;
}

void drainEndpoint(Pool &pool, uint32_t slot) {
  Endpoint &e = pool.endpoints[slot];
  if (e.draining)
    return;
  leavePool(pool, e);
  e.draining = true;
}

void freeEndpoint(Pool &pool, uint32_t slot) {
  Endpoint &e = pool.endpoints[slot];
  if (!e.draining)
    leavePool(pool, e);
  unlink(pool, slot);
  ++e.generation;
}

uint32_t stateAt(const Endpoint &e, uint64_t now) {
  if (e.draining)
    return SEMDNS_ENDPOINT_DRAINING;
  const uint32_t state = load(e.state);
  return state == SEMDNS_ENDPOINT_RAMPING && now >= load(e.until) ? uint32_t(SEMDNS_ENDPOINT_UP)
                                                                  : state;
}

bool inPanic(const Engine &engine, const Settings &settings) {
  return load(engine.held) > allowedHeld(engine, settings);
}

bool reserve(Pool &pool, uint32_t slot, const Settings &settings, uint32_t work, bool asProbe,
             uint64_t now) {
  Endpoint &e = pool.endpoints[slot];
  const uint32_t capacity = capacityAt(e, settings, now);
  uint32_t inFlight = load(e.inFlight);
  do {
    if (inFlight >= capacity)
      return false;
  } while (!__atomic_compare_exchange_n(&e.inFlight, &inFlight, inFlight + 1, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  if (asProbe) {
    pthread_mutex_lock(&e.lock);
    const bool due = load(e.state) == SEMDNS_ENDPOINT_HELD && now >= load(e.until);
    if (due)
      store(e.state, uint32_t(SEMDNS_ENDPOINT_PROBING));
    pthread_mutex_unlock(&e.lock);
    if (!due) {
      sub(e.inFlight, 1u);
      return false;
    }
    add(pool.counts.probes, uint64_t(1));
  }
  if (!inFlight)
    store(e.headSince, now);
  add(e.workInFlight, work);
  countWork(e, work, now);
  add(e.attempts, uint64_t(1));
  Engine &engine = pool.engines[e.engine];
  add(engine.active, 1u);
  const uint32_t mean = load(engine.work);
  store(engine.work, !mean          ? work
                     : work >= mean ? mean + (work - mean) / 16
                                    : mean - (mean - work) / 16);
  return true;
}

void giveBack(Pool &pool, uint32_t slot, uint32_t work, bool wasProbe, uint64_t now) {
  Endpoint &e = pool.endpoints[slot];
  sub(e.inFlight, 1u);
  sub(e.workInFlight, work);
  store(e.headSince, now);
  sub(pool.engines[e.engine].active, 1u);
  if (!wasProbe)
    return;
  pthread_mutex_lock(&e.lock);
  if (load(e.state) == SEMDNS_ENDPOINT_PROBING)
    store(e.state, uint32_t(SEMDNS_ENDPOINT_HELD));
  pthread_mutex_unlock(&e.lock);
}

void learnOutput(Engine &engine, uint32_t tokens) {
  const uint32_t value = (tokens < 1u << 23 ? tokens : 1u << 23) << 8;
  const uint32_t mean = load(engine.output);
  store(engine.output, !mean           ? value
                       : value >= mean ? mean + (value - mean) / 64
                                       : mean - (mean - value) / 64);
}

void onLoad(Pool &pool, uint32_t slot, uint64_t requests, uint32_t kvUse, uint64_t now) {
  constexpr uint64_t kSmooth = 5 * kSecond;
  Endpoint &e = pool.endpoints[slot];
  const uint64_t own = load(e.inFlight);
  const int64_t others = requests > own ? static_cast<int64_t>((requests - own) << 8) : 0;
  const uint64_t at = load(e.reportedAt), since = now > at ? now - at : 0;
  const int64_t before = load(e.others);
  const bool first = !at || since > kReportLife;
  store(e.others, static_cast<uint32_t>(first ? others
                                              : before + (others - before) * int64_t(since / 1000) /
                                                             int64_t((since + kSmooth) / 1000)));
  store(e.kvUse, kvUse);
  store(e.reportedAt, now);
  Engine &engine = pool.engines[e.engine];
  uint64_t sum = 0, count = 0;
  for (uint32_t i = engine.first; i != kNobody; i = pool.endpoints[i].next) {
    const uint64_t when = load(pool.endpoints[i].reportedAt);
    if (when && now - when <= kReportLife) {
      sum += load(pool.endpoints[i].others);
      ++count;
    }
  }
  store(engine.othersSum, sum);
  store(engine.othersMean, static_cast<uint32_t>(count ? sum / count : 0));
  store(engine.reportedAt, now);
}

uint32_t paceOf(uint64_t took, uint64_t foreseen) {
  while (took >> 47) {
    took >>= 1;
    foreseen >>= 1;
  }
  const uint64_t pace = took * kOne / (foreseen ? foreseen : 1);
  return pace >= UINT32_MAX ? UINT32_MAX : pace ? static_cast<uint32_t>(pace) : 1;
}

void onSuccess(Pool &pool, uint32_t slot, const Settings &settings, bool wasProbe, uint64_t latency,
               uint64_t foreseen, uint64_t now) {
  Endpoint &e = pool.endpoints[slot];
  pthread_mutex_lock(&e.lock);
  settle(e, now);
  e.failures = 0;
  average(e.success, kOne);
  store(e.seenAt, now);
  const uint64_t old = load(e.latency);
  if (wasProbe && load(e.state) == SEMDNS_ENDPOINT_PROBING) {
    if (tooSlow(pool, e, settings, paceOf(latency, foreseen), latency)) {
      hold(pool, e, settings,
           settings.holdSlow < settings.holdMax ? settings.holdSlow : settings.holdMax, true, now);
    } else {
      store(e.latency, latency); // what it was like before says nothing now
      e.took = latency;
      e.foreseen = foreseen;
      store(e.pace, paceOf(latency, foreseen));
      e.samples = 1;
      e.readmitted = now;
      store(e.until, now + settings.slowStart);
      store(e.state, uint32_t(SEMDNS_ENDPOINT_RAMPING));
      dropOne(pool.engines[e.engine].held);
      add(pool.counts.readmissions, uint64_t(1));
    }
    pthread_mutex_unlock(&e.lock);
    return;
  }
  store(e.latency, old ? averaged(old, latency) : latency);
  e.took = old ? averaged(e.took, latency) : latency;
  e.foreseen = old ? averaged(e.foreseen, foreseen) : foreseen;
  store(e.pace, paceOf(e.took, e.foreseen));
  if (e.samples < 1000)
    ++e.samples;
  const Engine &engine = pool.engines[e.engine];
  const uint32_t state = load(e.state);
  if ((state == SEMDNS_ENDPOINT_UP || state == SEMDNS_ENDPOINT_RAMPING) && e.samples >= 8 &&
      load(engine.held) < allowedHeld(engine, settings) &&
      tooSlow(pool, e, settings, load(e.pace), load(e.latency)))
    hold(pool, e, settings,
         settings.holdSlow < settings.holdMax ? settings.holdSlow : settings.holdMax, false, now);
  pthread_mutex_unlock(&e.lock);
}

void onFailure(Pool &pool, uint32_t slot, const Settings &settings, bool wasProbe, uint64_t now) {
  Endpoint &e = pool.endpoints[slot];
  pthread_mutex_lock(&e.lock);
  settle(e, now);
  average(e.success, 0);
  store(e.seenAt, now);
  ++e.failures;
  const uint32_t state = load(e.state);
  if (wasProbe && state == SEMDNS_ENDPOINT_PROBING)
    hold(pool, e, settings, settings.holdMax, true, now);
  else if ((state == SEMDNS_ENDPOINT_UP || state == SEMDNS_ENDPOINT_RAMPING) &&
           e.failures >= settings.consecutiveErrors)
    hold(pool, e, settings, settings.holdMax, false, now);
  pthread_mutex_unlock(&e.lock);
}

} // namespace semdns::dispatch
