/// \file The statistics behind every "beyond chance" that evaluation says, beside the binomial
/// tails of lib/calibrate/binomial.h. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace semdns::eval {

/// splitmix64: the same resamples on every host.
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  uint64_t below(uint64_t bound) { return next() % bound; } ///< bound >= 1, far below 2^64

private:
  uint64_t state_;
};

/// Exact two-sided McNemar test: of the rows on which two systems differ, `b` favour one and `c`
/// the other; the chance of a split at least as uneven when neither is better (1 when b + c = 0).
double mcNemar(uint64_t b, uint64_t c);

/// P(X >= x) for a chi-squared X with `df` >= 1 degrees of freedom.
double chiSquareAtLeast(double x, uint32_t df);

/// Homogeneity of two lists of counts over the same categories: Pearson's chi-squared test.
/// Categories empty on both sides do not count. 1 when nothing can be told.
double homogeneity(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b);

/// Two-sample Kolmogorov-Smirnov on histograms over the same bins: the largest gap between the two
/// cumulative shares, and its asymptotic p-value (binning makes it err on the cautious side).
std::pair<double, double> kolmogorovSmirnov(const std::vector<uint64_t> &a,
                                            const std::vector<uint64_t> &b);

/// Population stability index over the same bins: sum of (p - q) ln(p / q), half a row added to
/// each bin. By custom below 0.1 is stable, above 0.25 a large shift.
double stabilityIndex(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b);

/// 95 % percentile bootstrap interval of `statistic` over `rows` rows: `resamples` seeded draws
/// with replacement. `statistic` gets row numbers in [0, rows).
std::pair<double, double>
bootstrap(uint32_t rows, uint32_t resamples, uint64_t seed,
          const std::function<double(const std::vector<uint32_t> &)> &statistic);

} // namespace semdns::eval
