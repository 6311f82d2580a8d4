/// \file A trace led through the real dispatcher on a virtual clock, to simulated endpoints.
#pragma once

#include "lib/sim/fleet.h"
#include "lib/sim/trace.h"

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace semdns::sim {

/// The ways to select of docs/dispatch.md, in the configuration's words.
constexpr std::array<const char *, 5> kPolicies = {"score", "least-loaded", "p2c", "round-robin",
                                                   "hash"};

struct ReplayOptions {
  std::string policy = "score";
  std::string weights;      ///< of the score, as in a configuration; empty: the default
  uint32_t endpoints = 16;  ///< 1 to 1024
  uint32_t blocks = 6000;   ///< KV cache of each, 1 to 2^20
  uint32_t places = 64;     ///< requests at once, queue included
  uint64_t patience = 0;    ///< ms; 0: the dispatcher's default
  uint32_t speed = 0;       ///< tokens/s that the dispatcher is told; 0: its default
  bool outputKnown = false; ///< the dispatcher is told how long each answer will be
  uint64_t seed = 1;
  uint64_t window = 600000000000; ///< ns over which balance is measured
  ServiceModel service;
};

/// Figures of the requests of one part of the trace.
struct ReplayPart {
  uint64_t requests = 0, shed = 0, blocks = 0, hits = 0;
  uint64_t infiniteHits = 0; ///< of one cache for all that never forgets
  uint64_t waitP50 = 0, waitP90 = 0, waitP99 = 0, waitMax = 0; ///< ns in an endpoint's queue
  uint64_t busy = 0;                                           ///< ns of service, all endpoints
  double hitShare() const { return blocks ? double(hits) / double(blocks) : 0; }
  /// Hits over those of the infinite cache; 0 where that has none.
  double ofInfinite() const { return infiniteHits ? double(hits) / double(infiniteHits) : 0; }
};

/// Service time that falls into one window.
struct ReplayWindow {
  uint64_t start = 0; ///< ns from the trace's start
  uint64_t sum = 0, most = 0;
  /// Most over mean; 1 is perfect balance.
  double imbalance(uint32_t endpoints) const {
    return sum ? double(most) * endpoints / double(sum) : 1;
  }
};

struct ReplayResult {
  ReplayOptions options;
  ReplayPart whole, firstHalf, secondHalf; ///< halves by number of requests
  /// Windows of which at least half lies before the trace's last request.
  std::vector<ReplayWindow> windows;
  double worstImbalance() const; ///< 1 without windows
};

/// Hits of an infinite cache for each request: independent of policy and capacity.
std::vector<uint32_t> infiniteHits(const Trace &trace);

/// The same inputs give the same result. `progress` (may be empty) hears how many requests have
/// arrived. Empty with `error` when the dispatcher refuses the configuration.
std::optional<ReplayResult> replay(const Trace &trace, const std::vector<uint32_t> &infinite,
                                   const ReplayOptions &options, std::string &error,
                                   const std::function<void(uint64_t)> &progress = {});

} // namespace semdns::sim
