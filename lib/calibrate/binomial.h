/// \file Exact binomial tails and the intervals that rest on them: what a promise is tested with.
///
/// Only additions, multiplications, divisions and one square root, in a fixed order: the same on
/// every host, because what is chosen here ends up in artifacts. All functions are pure.
#pragma once

#include <cstdint>
#include <utility>

namespace semdns::calibrate {

/// P(Bin(n, p) <= k), relative error below 1e-9 for n up to 10^6. 1 for k >= n or p <= 0, 0 for
/// p >= 1 and k < n.
double binomialTail(uint64_t n, double p, uint64_t k);

/// P(Bin(n, p) >= k).
double binomialUpperTail(uint64_t n, double p, uint64_t k);

/// The largest k with P(Bin(n, p) <= k) <= delta, or -1 when not even k = 0 has it: so many errors
/// may n calibration rows show.
int64_t allowedErrors(uint64_t n, double alpha, double delta);

/// The fewest rows for which errors at the rate `rate` (0 <= rate < alpha; rounded up to whole
/// errors) still prove a risk of at most alpha: the least n with
/// P(Bin(n, alpha) <= ceil(rate * n)) <= delta. 0 when rate >= alpha or more than 2^26 rows.
uint64_t rowsNeeded(double rate, double alpha, double delta);

/// Clopper-Pearson interval of hits / total at `confidence` (two-sided); (0, 1) for total 0.
std::pair<double, double> clopperPearson(uint64_t hits, uint64_t total, double confidence = 0.95);

/// Wilson score interval of 95 %; (0, 1) for total 0.
std::pair<double, double> wilson(uint64_t hits, uint64_t total);

/// Whether new labelled data contradict a promise: `errors` of `n` rows with a promised risk of at
/// most alpha.
struct GuaranteeCheck {
  double rate = 0;   ///< errors / n; 0 for n = 0
  double pValue = 1; ///< P(Bin(n, alpha) >= errors): how likely so many are when the promise holds
  bool violated = false; ///< pValue < delta: more errors than chance explains
};
GuaranteeCheck checkGuarantee(uint64_t n, uint64_t errors, double alpha, double delta = 0.05);

} // namespace semdns::calibrate
