/// \file Which endpoint of an engine: hard limits first, then one score (docs/dispatch.md, "The
/// score") or one of the plain alternatives.
#pragma once

#include "runtime/dispatch/history.h"

namespace semdns::dispatch {

enum class Method : uint8_t { Score, LeastLoaded, TwoChoices, RoundRobin, Hash };

constexpr uint32_t kTerms = 5; ///< utilisation, complexity, affinity, geography, history
constexpr uint32_t kDefaultWeights[kTerms] = {4, 1, 4, 1, 2};

/// What selection must know of a query.
struct Request {
  uint64_t key;    ///< of session, else of the text
  uint64_t random; ///< fresh bits of this choice
  uint64_t now;
  uint64_t session; ///< 0: none
  uint32_t tokens, outputTokens;
  uint32_t region;         ///< number, kMaxRegions: not stated
  uint32_t allowedRegions; ///< bit per number
  uint32_t blockCount;
  const HistoryCell *history; ///< [slots] the zone's; null: none
  const uint16_t *held;       ///< [slots] leading blocks that each endpoint holds; null: no blocks
  const uint32_t *tried;      ///< [triedCount] slots
  uint32_t triedCount;
  bool probesAllowed;
  bool explores;    ///< may go where the score would not
  bool heldAllowed; ///< panic: health is ignored
};

struct Rules {
  Method method = Method::Score;
  bool cheapest = false; ///< engines by cost instead of in the spec's order
  uint32_t weights[kTerms] = {4, 1, 4, 1, 2};
};

struct Terms {
  uint32_t term[kTerms]; ///< Q16, 0 is best
  uint64_t score;
};

/// Distance in ms.
using Distances = uint16_t[kMaxRegions][kMaxRegions];

/// Hard limits, in the order of semdns_exclusion. `probe`: it stands, as the single probe that is
/// due.
uint32_t excluded(const Endpoint &e, uint32_t slot, const Settings &settings,
                  const Request &request, bool &probe);
/// Work of the request at the endpoint in tokens: those of the prompt that it has no blocks of, and
/// five for each expected one of the output.
uint32_t workOf(uint32_t slot, const Request &request);
/// ns that an attempt of this work should take without a queue, corrected by the tokens that it has
/// produced (0: not known) in place of the expected ones. At least 1.
uint64_t foreseen(const Endpoint &e, uint32_t work, uint32_t expected, uint32_t produced);
Terms termsOf(const Pool &pool, uint32_t slot, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request);

struct Choice {
  uint32_t slot = kNobody;
  bool probe = false, explored = false;
  uint32_t exclusions = 0; ///< bit per semdns_exclusion that was met
  uint64_t earliest = 0;   ///< when the first held endpoint may be probed; 0: none is held
};

/// A due probe comes first; the rest stand by the rules. Reserves nothing.
Choice choose(Pool &pool, uint32_t engine, const Settings &settings, const Rules &rules,
              const Distances &distances, const Request &request);

} // namespace semdns::dispatch
