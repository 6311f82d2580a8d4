#include "lib/eval/stats.h"

#include "lib/calibrate/binomial.h"

#include <algorithm>
#include <cmath>

namespace semdns::eval {
namespace {

double logGamma(double x) { // std::lgamma writes a global
  int sign;
  return ::lgamma_r(x, &sign);
}

uint64_t total(const std::vector<uint64_t> &counts) {
  uint64_t sum = 0;
  for (uint64_t count : counts)
    sum += count;
  return sum;
}

} // namespace

uint64_t Random::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double mcNemar(uint64_t b, uint64_t c) {
  return std::min(1.0, 2 * calibrate::binomialTail(b + c, 0.5, std::min(b, c)));
}

double chiSquareAtLeast(double x, uint32_t df) {
  // The regularised upper incomplete gamma function Q(df/2, x/2): series below df + 1, Lentz's
  // continued fraction above.
  const double a = df / 2.0, y = x / 2.0;
  if (y <= 0)
    return 1.0;
  const double front = std::exp(a * std::log(y) - y - logGamma(a));
  if (y < a + 1) {
    double term = 1 / a, sum = term;
    for (int i = 1; i < 1000 && term > sum * 1e-15; ++i)
      sum += term *= y / (a + i);
    return std::clamp(1 - front * sum, 0.0, 1.0);
  }
  double b = y + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int i = 1; i < 1000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    h *= d * c;
    if (std::fabs(d * c - 1) < 1e-15)
      break;
  }
  return std::clamp(front * h, 0.0, 1.0);
}

double homogeneity(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
  const double na = double(total(a)), nb = double(total(b));
  if (na == 0 || nb == 0)
    return 1.0;
  double statistic = 0;
  uint32_t used = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double both = double(a[i] + b[i]);
    if (both == 0)
      continue;
    ++used;
    const double wantA = both * na / (na + nb), wantB = both * nb / (na + nb);
    statistic += (double(a[i]) - wantA) * (double(a[i]) - wantA) / wantA +
                 (double(b[i]) - wantB) * (double(b[i]) - wantB) / wantB;
  }
  return used < 2 ? 1.0 : chiSquareAtLeast(statistic, used - 1);
}

std::pair<double, double> kolmogorovSmirnov(const std::vector<uint64_t> &a,
                                            const std::vector<uint64_t> &b) {
  const double na = double(total(a)), nb = double(total(b));
  if (na == 0 || nb == 0)
    return {0.0, 1.0};
  double gap = 0, sumA = 0, sumB = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sumA += double(a[i]) / na;
    sumB += double(b[i]) / nb;
    gap = std::max(gap, std::fabs(sumA - sumB));
  }
  // Kolmogorov's distribution with Stephens's correction for finite samples.
  const double n = std::sqrt(na * nb / (na + nb)), x = (n + 0.12 + 0.11 / n) * gap;
  if (x < 0.3)
    return {gap, 1.0}; // the series does not converge there; the value is 1 to five places
  double p = 0;
  for (int k = 1; k <= 100; ++k)
    p += (k % 2 ? 2 : -2) * std::exp(-2.0 * k * k * x * x);
  return {gap, std::clamp(p, 0.0, 1.0)};
}

double stabilityIndex(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
  const double na = double(total(a)) + 0.5 * double(a.size()),
               nb = double(total(b)) + 0.5 * double(b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double p = (double(a[i]) + 0.5) / na, q = (double(b[i]) + 0.5) / nb;
    sum += (p - q) * std::log(p / q);
  }
  return sum;
}

std::pair<double, double>
bootstrap(uint32_t rows, uint32_t resamples, uint64_t seed,
          const std::function<double(const std::vector<uint32_t> &)> &statistic) {
  if (!rows || !resamples)
    return {0.0, 1.0};
  Random random(seed);
  std::vector<double> values(resamples);
  std::vector<uint32_t> draw(rows);
  for (double &value : values) {
    for (uint32_t &row : draw)
      row = uint32_t(random.below(rows));
    value = statistic(draw);
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) { return values[size_t(std::lround(q * (resamples - 1.0)))]; };
  return {at(0.025), at(0.975)};
}

} // namespace semdns::eval
