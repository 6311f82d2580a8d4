/// \file What stands between a query and the cascade: look up, run stages 1 and 2, look up what
/// stage 3 would be asked, ask it once for all who wait.
#pragma once

#include "runtime/cache/flights.h"
#include "runtime/cache/keys.h"

namespace semdns::cache {

/// All atomic: read by every query while configurations change.
struct Limits {
  uint32_t quota;    ///< percent of the entries that a scope may have
  uint32_t negative; ///< seconds that "no zone below fits" is kept at most
  uint64_t stale;    ///< ns that an expired decision may be served, if need be
};

/// Atomic.
struct alignas(64) Counters {
  uint64_t owner; ///< the scratch that alone writes them, 0: any may
  uint64_t hits, inputHits, misses, stale, encoded, joined, offered, refreshed;
};
constexpr uint32_t kCounters = 32;

struct Classifier {
  Store store;
  Flights flights;
  Seed seed;
  Limits limits;
  Counters *counters; ///< [kCounters]
};

/// Bytes besides the store's, a multiple of 64.
uint64_t classifierSize();
/// `memory` holds classifierSize() zeroed bytes, then storeSize(budget).
void initClassifier(Classifier &classifier, uint64_t seed, uint64_t budget, void *memory);
void deinitClassifier(Classifier &classifier);
Counters sumOf(const Classifier &classifier);

enum class Mode : uint8_t {
  Alone,   ///< answer at once, whoever computes the same
  Ticket,  ///< may wait for whoever computes the same; computes if nobody does
  Later,   ///< computes nothing in stage 3: that is asked for by complete()
  Refresh, ///< as Alone, looking nothing up
};

/// What came of it.
struct Outcome {
  bool waits;    ///< no answer yet: a member of `flight`
  bool promised; ///< and the one that shall compute
  bool refresh;  ///< the entry is in the last tenth of its time, and the caller shall renew it
  uint32_t flight;
};

/// semdns_resolve through the cache. `query.now` is the clock of TTLs, too. `epoch`: the policy's.
semdns_status classify(Classifier &classifier, semdns_resolver *resolver, semdns_scratch *scratch,
                       const semdns_query &query, uint64_t epoch, Mode mode, semdns_answer &answer,
                       Outcome &outcome);

/// For who has promised to compute for `flight`: does so, and is no member of it any more, unless
/// outcome.waits: somebody else is at it.
semdns_status complete(Classifier &classifier, semdns_resolver *resolver, semdns_scratch *scratch,
                       const semdns_query &query, uint64_t epoch, uint32_t flight,
                       semdns_answer &answer, Outcome &outcome);

/// The answer that has landed.
void answerOf(const Flight &landed, uint64_t now, semdns_answer &answer);

/// What to drop: each that is not null or marked must hold.
struct Flush {
  const semdns_artifact *artifact; ///< whose zone numbers these are
  uint32_t zone;                   ///< with what lies below; UINT32_MAX: any. Entries of other
                                   ///< artifacts go whatever their zone
  uint64_t scope;                  ///< tag; 0: any, shared ones included
  bool bySerial;
  uint64_t serial;
};
uint64_t flush(Classifier &classifier, const Flush &what);

} // namespace semdns::cache
