/// \file The guarantee, tried out: many calibration samples are drawn from labelled rows, and it is
/// counted how often the thresholds that they give misroute more than alpha of all the rows.
#pragma once

#include "lib/calibrate/calibrate.h"

#include <cstdint>
#include <span>

namespace semdns::calibrate {

struct DrawOptions {
  double alpha = 0.05, delta = 0.05;
  uint32_t draws = 1000;
  uint32_t rows = 0; ///< of a draw, with replacement; 0: as many as there are
  uint64_t seed = 1;
};

struct DrawRule {
  uint32_t broken = 0; ///< draws whose thresholds misroute more than alpha of the population
  double coverage = 0; ///< mean over draws: share answered at the true depth or deeper
  double risk = 0;     ///< mean over draws: share misrouted
  double answered = 0; ///< mean over draws: share answered below the root
  double oos = 0;      ///< mean over draws: share of out-of-scope rows answered below the root
  double encoder = 0;  ///< mean over draws: share of all rows decided by stage 3
};

/// What one operating point does with the population; shares as above.
struct PointReport {
  uint32_t threshold = 0; ///< kClimb: always climb
  double risk = 0, coverage = 0, right = 0, answered = 0, oos = 0;
  double encoder = 0; ///< of all rows: decided by stage 3
};

struct DrawReport {
  std::vector<PointReport> points; ///< "always climb", then the sequence
  uint32_t draws = 0, inScope = 0, outOfScope = 0;
  uint32_t nonePassed = 0; ///< draws in which everything climbs
  DrawRule tested;         ///< the fixed sequence test
  DrawRule naive;          ///< the loosest point whose empirical risk is at most alpha
  double oracle = 0;       ///< coverage of the loosest point whose population risk is at most alpha
  double fullRisk = 0; ///< population risk of the loosest point: at or below alpha, alpha binds not
};

/// Draws from `population` (rows of zone 0 are out of scope). `cascade`: all stages, else stages 1
/// and 2 alone. Deterministic.
DrawReport tryGuarantee(const Tree &tree, std::span<const Sample> population,
                        const Sequence &sequence, const Rules &base, bool cascade,
                        const DrawOptions &options);

} // namespace semdns::calibrate
