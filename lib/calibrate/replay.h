/// \file From what the stages measured (semdns_measure) to the answer that semdns_resolve gives
/// under any guards and thresholds: calibration and evaluation run the artifact once and try
/// thousands.
#pragma once

#include "lib/pack/model.h"
#include "semdns/semdns.h"

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::calibrate {

/// The tree as answers see it. Zones are in preorder, 0 is the root.
struct Tree {
  std::vector<uint32_t> parent;     ///< [zones]; parent[0] is not looked at
  std::vector<uint32_t> depth;      ///< [zones], 0 for the root
  std::vector<uint32_t> subtreeEnd; ///< [zones], one past the last zone of the subtree
  std::vector<std::string> name;    ///< [zones] DNS names, for messages

  uint32_t size() const { return uint32_t(parent.size()); }
  /// `zone` is `ancestor` or lies below it.
  bool within(uint32_t zone, uint32_t ancestor) const {
    return zone >= ancestor && zone < subtreeEnd[ancestor];
  }
  /// The answer is neither the true zone nor an ancestor of it.
  bool misroutes(uint32_t answer, uint32_t truth) const { return !within(truth, answer); }
};

/// The tree of an open artifact.
Tree treeOf(const semdns_artifact *artifact);

/// What acceptance looks up: guards and thresholds of CLSF and HEAD.
struct Rules {
  pack::Guard guard;
  pack::Acceptance embedding; ///< stage 2 where it has the last word
  pack::Acceptance encoder;   ///< stage 3; no thresholds: the artifact has none
};

struct Decision {
  uint32_t zone = 0;                  ///< the answer after climbing
  uint32_t stage = SEMDNS_STAGE_NONE; ///< that decided
  uint32_t best = 0;                  ///< the deciding stage's best guess; 0 when stage is NONE
};

/// The answer of semdns_resolve (without a deadline) for a query with this evidence, under `rules`,
/// with the stages of `stages` (a mask; 0 = all). The evidence must have been measured with those
/// stages at least. Pure; thread-safe.
Decision replay(const semdns_evidence &evidence, const Rules &rules, uint32_t stages = 0);

} // namespace semdns::calibrate
