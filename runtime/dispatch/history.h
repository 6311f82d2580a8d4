/// \file What a zone's queries have met at each endpoint: pace and success, decayed, in fixed
/// memory. A row a zone; zones beyond the rows are told apart no further than their endpoints.
#pragma once

#include "runtime/dispatch/endpoints.h"

#include <stddef.h>
#include <stdint.h>

namespace semdns::dispatch {

constexpr uint64_t kHistoryHalf =
    30 * kSecond; ///< what is learnt loses half of its weight in this time without news

/// Of one zone at one endpoint; every field atomic.
struct HistoryCell {
  uint32_t generation; ///< of the endpoint's slot; another one's says nothing
  uint32_t pace;       ///< Q16, as Endpoint::pace: took over foreseen
  uint32_t success;    ///< Q16
  uint32_t samples;    ///< up to 64
  uint64_t seen;
  uint64_t took, foreseen; ///< ns, decayed
};

struct History {
  uint64_t *zones;    ///< [rows] atomic: hash of the zone's name; 0: free
  uint64_t *used;     ///< [rows] atomic
  HistoryCell *cells; ///< [rows][endpoints]
  uint32_t rows, endpoints;
};

size_t historyMemory(uint32_t rows, uint32_t endpoints);
/// `memory` is 64-byte aligned and zero.
void initHistory(History &history, void *memory, uint32_t rows, uint32_t endpoints);

/// The zone's row; kNobody if it has none. With `make` it gets one: a free one, or one that nobody
/// has asked for in ten half-lives.
uint32_t rowOf(History &history, uint64_t zone, bool make, uint64_t now);
inline const HistoryCell *cellsOf(const History &history, uint32_t row) {
  return row == kNobody ? nullptr : history.cells + size_t(row) * history.endpoints;
}
/// An attempt of the zone has ended well, after `took` ns where `foreseen` were expected, or badly
/// (took 0). Sums are kept, not ratios: a small request behind a large one says little of an
/// endpoint's pace. Threads may lose each other's sample.
void learn(History &history, uint32_t row, uint64_t zone, uint32_t slot, uint32_t generation,
           uint64_t took, uint64_t foreseen, uint64_t now);

/// The endpoint's own figures, drawn towards the cell's by what that one has seen: half way at 8
/// samples without fading.
struct Learnt {
  uint32_t pace, success;
};
Learnt learntOf(const Endpoint &e, const HistoryCell &cell, uint64_t now);

} // namespace semdns::dispatch
