#include "runtime/dispatch/history.h"

#include "runtime/dispatch/atomics.h"

namespace semdns::dispatch {
namespace {

constexpr uint32_t kProbes = 8, kMostSamples = 64;
constexpr uint64_t kForgotten = 10 * kHistoryHalf;

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t(63); }

template <typename T> T averaged(T old, T value) {
  return value >= old ? old + (value - old) / 8 : old - (old - value + 7) / 8;
}

/// samples / (samples + 8) in Q8.
constexpr auto kWeights = [] {
  struct {
    uint8_t of[kMostSamples + 1];
  } out = {};
  for (uint32_t n = 0; n <= kMostSamples; ++n)
    out.of[n] = static_cast<uint8_t>(n * 256 / (n + 8));
  return out;
}();

uint32_t between(uint32_t a, uint32_t b, uint32_t weight) {
  return static_cast<uint32_t>(int64_t(a) + (((int64_t(b) - int64_t(a)) * int64_t(weight)) >> 8));
}

} // namespace

size_t historyMemory(uint32_t rows, uint32_t endpoints) {
  return 2 * align64(rows * sizeof(uint64_t)) +
         align64(size_t(rows) * endpoints * sizeof(HistoryCell));
}

void initHistory(History &history, void *memory, uint32_t rows, uint32_t endpoints) {
  auto *bytes = static_cast<uint8_t *>(memory);
  const size_t numbers = align64(rows * sizeof(uint64_t));
  history.zones = reinterpret_cast<uint64_t *>(bytes);
  history.used = reinterpret_cast<uint64_t *>(bytes + numbers);
  history.cells = reinterpret_cast<HistoryCell *>(bytes + 2 * numbers);
  history.rows = rows;
  history.endpoints = endpoints;
}

uint32_t rowOf(History &history, uint64_t zone, bool make, uint64_t now) {
  uint32_t oldest = kNobody;
  uint64_t oldestUse = UINT64_MAX;
  const uint64_t start = mix(zone);
  for (uint32_t i = 0; i < kProbes && i < history.rows; ++i) {
    const auto row = static_cast<uint32_t>((start + i) % history.rows);
    const uint64_t there = load(history.zones[row]), use = load(history.used[row]);
    if (there == zone) {
      if (use < now && now - use > kSecond) // not a write for each query
        store(history.used[row], now);
      return row;
    }
    if (!there || use < oldestUse) {
      oldest = row;
      oldestUse = there ? use : 0;
      if (!there)
        break;
    }
  }
  if (!make || oldest == kNobody || (oldestUse && now - oldestUse < kForgotten) || now < oldestUse)
    return kNobody;
  uint64_t before = load(history.zones[oldest]);
  if (before == zone)
    return oldest;
  if ((before && load(history.used[oldest]) != oldestUse) ||
      !__atomic_compare_exchange_n(&history.zones[oldest], &before, zone, false, __ATOMIC_RELAXED,
                                   __ATOMIC_RELAXED))
    return kNobody; // somebody was faster; there is a next time
  store(history.used[oldest], now);
  for (uint32_t e = 0; e < history.endpoints; ++e)
    store(history.cells[size_t(oldest) * history.endpoints + e].samples, 0u);
  return oldest;
}

void learn(History &history, uint32_t row, uint64_t zone, uint32_t slot, uint32_t generation,
           uint64_t took, uint64_t foreseen, uint64_t now) {
  if (row == kNobody || load(history.zones[row]) != zone)
    return; // another zone's by now
  HistoryCell &cell = history.cells[size_t(row) * history.endpoints + slot];
  const bool known = load(cell.samples) && load(cell.generation) == generation;
  const uint32_t success = took ? kOne : 0;
  store(cell.success, averaged(known ? load(cell.success) : kOne, success));
  if (took) {
    const bool before = known && load(cell.pace);
    store(cell.took, before ? averaged(load(cell.took), took) : took);
    store(cell.foreseen, before ? averaged(load(cell.foreseen), foreseen) : foreseen);
    store(cell.pace, paceOf(load(cell.took), load(cell.foreseen)));
  } else if (!known) {
    store(cell.pace, 0u);
  }
  // What has faded counts for as little from here on.
  const uint64_t since =
      known && now > load(cell.seen) ? (now - load(cell.seen)) / kHistoryHalf : 0;
  const uint32_t samples = !known ? 0 : since < 32 ? load(cell.samples) >> since : 0;
  store(cell.generation, generation);
  store(cell.seen, now);
  store(cell.samples, samples < kMostSamples ? samples + 1 : kMostSamples);
}

Learnt learntOf(const Endpoint &e, const HistoryCell &cell, uint64_t now) {
  Learnt out = {load(e.pace), load(e.success)};
  const uint32_t samples = load(cell.samples);
  if (!samples || load(cell.generation) != e.generation)
    return out;
  const uint64_t seen = load(cell.seen);
  uint32_t weight = kWeights.of[samples <= kMostSamples ? samples : kMostSamples];
  if (now > seen && now - seen >= kHistoryHalf) {
    const uint64_t halvings = (now - seen) / kHistoryHalf;
    weight = halvings < 8 ? weight >> halvings : 0;
  }
  const uint32_t pace = load(cell.pace);
  if (pace)
    out.pace = out.pace ? between(out.pace, pace, weight) : pace;
  out.success = between(out.success, load(cell.success), weight);
  return out;
}

} // namespace semdns::dispatch
