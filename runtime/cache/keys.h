/// \file The two keys of a decision. Both are 128-bit keyed hashes; neither is ever compared by
/// likeness.
///
/// The first is of (options, normalised text, context, scope), before any stage runs. Normalised:
/// outer spaces are cut, runs of spaces are one, A-Z is a-z, for artifacts whose tokenisers do not
/// tell these apart; texts so long that only their windows are read are taken as they are.
/// The second is of (all that stage 3 and the decision after it read, scope): texts that differ
/// only in what the cascade ignores share it. Decisions that scopes may share stand under a key of
/// its own without the scope.
#pragma once

#include "runtime/cache/siphash.h"
#include "runtime/resolve/cascade.h"

namespace semdns::cache {

/// Of the hashes; secret where askers are not trusted.
struct Seed {
  uint64_t k0, k1;
};

Seed seedOf(uint64_t number);

/// Of one query in its scope, and for all scopes.
struct Keys {
  Key own, shared; ///< shared: {0, 0} where the artifact has nothing that scopes may share
};

void textKeys(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query,
              Keys &out);
void inputKeys(const Seed &seed, const semdns_artifact &artifact, const semdns_query &query,
               const resolve::Course &course, const resolve::Inputs &inputs, Keys &out);

/// What entries say of their scope; never 0: that is "shared".
uint64_t scopeTag(const Seed &seed, const char *scope, uint64_t size);

/// Of a zone's name, to find it in another artifact.
uint64_t nameKey(const Seed &seed, const char *name);

} // namespace semdns::cache
