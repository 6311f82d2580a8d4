#include "lib/calibrate/binomial.h"

#include <algorithm>
#include <cmath>

namespace semdns::calibrate {

namespace {

/// Terms below this share of a sum no longer change it.
constexpr double kNegligible = 1e-18;

/// The distribution's terms relative to the one at its mode, which is 1: nothing underflows where
/// it matters, and the normaliser needs no factorials.
class Terms {
public:
  Terms(uint64_t n, double p) : n_(n), odds_(p / (1 - p)) {
    mode_ = std::min(n, uint64_t(double(n + 1) * p));
  }
  uint64_t mode() const { return mode_; }
  /// term(i + 1) / term(i), i < n.
  double up(uint64_t i) const { return double(n_ - i) / double(i + 1) * odds_; }
  /// term(i - 1) / term(i), i > 0.
  double down(uint64_t i) const { return double(i) / (double(n_ - i + 1) * odds_); }

  /// Sum of the terms 0..k, given term(k), for k at or below the mode: they fall with the distance.
  double sumDown(uint64_t k, double term) const {
    double sum = term;
    for (uint64_t i = k; i > 0 && term > kNegligible * sum; --i)
      sum += term *= down(i);
    return sum;
  }
  /// Sum of the terms k..n, for k at or above the mode.
  double sumUp(uint64_t k, double term) const {
    double sum = term;
    for (uint64_t i = k; i < n_ && term > kNegligible * sum; ++i)
      sum += term *= up(i);
    return sum;
  }
  /// term(k), walking from the mode.
  double at(uint64_t k) const {
    double term = 1;
    for (uint64_t i = mode_; i > k; --i)
      term *= down(i);
    for (uint64_t i = mode_; i < k; ++i)
      term *= up(i);
    return term;
  }
  double total() const { return sumDown(mode_, 1) + sumUp(mode_, 1) - 1; }

private:
  uint64_t n_, mode_;
  double odds_;
};

} // namespace

double binomialTail(uint64_t n, double p, uint64_t k) {
  if (k >= n || p <= 0)
    return 1;
  if (p >= 1)
    return 0;
  const Terms terms(n, p);
  const double total = terms.total();
  if (k <= terms.mode())
    return std::min(1.0, terms.sumDown(k, terms.at(k)) / total);
  return 1 - std::min(1.0, terms.sumUp(k + 1, terms.at(k + 1)) / total);
}

double binomialUpperTail(uint64_t n, double p, uint64_t k) {
  if (k == 0)
    return 1;
  if (k > n || p <= 0)
    return 0;
  if (p >= 1)
    return 1;
  const Terms terms(n, p);
  const double total = terms.total();
  if (k > terms.mode())
    return std::min(1.0, terms.sumUp(k, terms.at(k)) / total);
  return 1 - std::min(1.0, terms.sumDown(k - 1, terms.at(k - 1)) / total);
}

int64_t allowedErrors(uint64_t n, double alpha, double delta) {
  if (n == 0 || binomialTail(n, alpha, 0) > delta)
    return -1;
  uint64_t low = 0, high = n; // tail(low) <= delta < tail(high) = 1
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (binomialTail(n, alpha, middle) <= delta ? low : high) = middle;
  }
  return int64_t(low);
}

uint64_t rowsNeeded(double rate, double alpha, double delta) {
  constexpr uint64_t kMost = uint64_t{1} << 26;
  if (!(rate < alpha) || !(alpha > 0) || !(delta > 0))
    return 0;
  auto enough = [&](uint64_t n) {
    return binomialTail(n, alpha, uint64_t(std::ceil(rate * double(n)))) <= delta;
  };
  uint64_t high = 1;
  while (!enough(high))
    if ((high *= 2) > kMost)
      return 0;
  // Rounding to whole errors makes `enough` a saw, so this is the first crossing up to a few rows.
  uint64_t low = high / 2;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

std::pair<double, double> clopperPearson(uint64_t hits, uint64_t total, double confidence) {
  if (total == 0)
    return {0, 1};
  const double tail = (1 - confidence) / 2;
  double low = 0, high = 1;
  if (hits > 0) { // the p at which so many hits or more have probability `tail`
    double a = 0, b = double(hits) / double(total);
    for (int i = 0; i < 50; ++i) {
      const double p = (a + b) / 2;
      (binomialUpperTail(total, p, hits) < tail ? a : b) = p;
    }
    low = (a + b) / 2;
  }
  if (hits < total) {
    double a = double(hits) / double(total), b = 1;
    for (int i = 0; i < 50; ++i) {
      const double p = (a + b) / 2;
      (binomialTail(total, p, hits) < tail ? b : a) = p;
    }
    high = (a + b) / 2;
  }
  return {low, high};
}

std::pair<double, double> wilson(uint64_t hits, uint64_t total) {
  if (total == 0)
    return {0, 1};
  const double z = 1.959963984540054, n = double(total), p = double(hits) / n;
  const double scale = 1 / (1 + z * z / n), centre = (p + z * z / (2 * n)) * scale;
  const double half = z * scale * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

GuaranteeCheck checkGuarantee(uint64_t n, uint64_t errors, double alpha, double delta) {
  GuaranteeCheck check;
  if (n == 0)
    return check;
  check.rate = double(errors) / double(n);
  check.pValue = binomialUpperTail(n, alpha, errors);
  check.violated = check.pValue < delta;
  return check;
}

} // namespace semdns::calibrate
