/// \file The two keys of a decision. Both are 128-bit keyed hashes; neither is ever compared by
/// likeness.
///
/// The first is of (options, normalised text, context), before any stage runs. Normalised: outer
/// spaces are cut, runs of spaces are one, A-Z is a-z, for artifacts whose tokenisers do not tell
/// these apart; texts so long that only their windows are read are taken as they are.
/// The second is of all that stage 3 and the decision after it read: texts that differ only in what
/// the cascade ignores share it.
/// Either is added to the scope's own hash, or to none for decisions that scopes may share.
#pragma once

#include "runtime/cache/siphash.h"
#include "runtime/resolve/cascade.h"

namespace semdns::cache {

/// Of the hashes; secret where askers are not trusted.
struct Seed {
  uint64_t k0, k1;
};

Seed seedOf(uint64_t number);

Key textKey(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query);

Key inputKey(const Seed &seed, const resolve::Course &course, const resolve::Inputs &inputs);

struct Scope {
  Key key;      ///< to be joined
  uint64_t tag; ///< never 0: that is "shared"
};
Scope scopeOf(const Seed &seed, const char *scope, uint64_t size);

inline Key join(const Key &key, const Scope &scope) {
  return {key.low + scope.key.low, key.high ^ scope.key.high};
}

/// Of a zone's name, to find it in another artifact.
uint64_t nameKey(const Seed &seed, const char *name);

} // namespace semdns::cache
