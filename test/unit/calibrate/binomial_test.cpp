#include "lib/calibrate/binomial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

namespace semdns::calibrate {
namespace {

/// The same by the definition, for small n.
double tailByDefinition(unsigned n, double p, unsigned k) {
  double sum = 0;
  for (unsigned i = 0; i <= k; ++i)
    sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) +
                    i * std::log(p) + (n - i) * std::log1p(-p));
  return sum;
}

TEST(Binomial, AgreesWithTheDefinition) {
  for (unsigned n : {1u, 7u, 50u, 400u})
    for (double p : {0.001, 0.02, 0.1, 0.5, 0.97})
      for (unsigned k = 0; k < n; k += 1 + n / 17) {
        const double expected = tailByDefinition(n, p, k);
        EXPECT_NEAR(binomialTail(n, p, k), expected, 1e-9 + 1e-9 * expected) << n << " " << p << k;
        EXPECT_NEAR(binomialUpperTail(n, p, k + 1), 1 - expected, 1e-9);
      }
}

TEST(Binomial, StaysStableForAMillionRows) {
  const unsigned n = 1000000;
  for (unsigned k : {20000u, 19860u, 19720u, 19440u}) // the mean, one, two, four deviations below
    EXPECT_NEAR(binomialTail(n, 0.02, k) / tailByDefinition(n, 0.02, k), 1, 1e-6) << k;
  EXPECT_EQ(binomialTail(1000000, 0.5, 0), 0); // 2^-1000000
  EXPECT_NEAR(binomialTail(1000, 0.01, 0), std::pow(0.99, 1000), 1e-12);
}

TEST(Binomial, Ends) {
  EXPECT_EQ(binomialTail(0, 0.5, 0), 1);
  EXPECT_EQ(binomialTail(10, 0.5, 10), 1);
  EXPECT_EQ(binomialTail(10, 0, 3), 1);
  EXPECT_EQ(binomialTail(10, 1, 9), 0);
  EXPECT_EQ(binomialUpperTail(10, 0.5, 0), 1);
  EXPECT_EQ(binomialUpperTail(10, 0.5, 11), 0);
  EXPECT_EQ(binomialUpperTail(10, 1, 10), 1);
}

/// Sample sizes that are well known: n with (1 - alpha)^n <= delta.
TEST(Binomial, RowsNeeded) {
  EXPECT_EQ(rowsNeeded(0, 0.10, 0.05), 29u);
  EXPECT_EQ(rowsNeeded(0, 0.05, 0.05), 59u);
  EXPECT_EQ(rowsNeeded(0, 0.02, 0.05), 149u);
  EXPECT_EQ(rowsNeeded(0, 0.01, 0.05), 299u);
  EXPECT_EQ(rowsNeeded(0, 0.05, 0.01), 90u);
  EXPECT_EQ(rowsNeeded(0.05, 0.05, 0.05), 0u);
  const uint64_t half = rowsNeeded(0.05, 0.10, 0.05);
  EXPECT_GE(half, 85u);
  EXPECT_LE(half, 130u);
}

TEST(Binomial, AllowedErrors) {
  EXPECT_EQ(allowedErrors(28, 0.1, 0.05), -1);
  EXPECT_EQ(allowedErrors(29, 0.1, 0.05), 0);
  const int64_t k = allowedErrors(3000, 0.02, 0.05);
  EXPECT_LE(binomialTail(3000, 0.02, uint64_t(k)), 0.05);
  EXPECT_GT(binomialTail(3000, 0.02, uint64_t(k) + 1), 0.05);
  EXPECT_EQ(allowedErrors(0, 0.5, 0.05), -1);
}

TEST(Binomial, Intervals) {
  auto [low, high] = clopperPearson(0, 10);
  EXPECT_EQ(low, 0);
  EXPECT_NEAR(high, 0.3084971, 1e-6); // 1 - 0.025^(1/10)
  std::tie(low, high) = clopperPearson(10, 10);
  EXPECT_NEAR(low, 1 - 0.3084971, 1e-6);
  EXPECT_EQ(high, 1);
  std::tie(low, high) = clopperPearson(5, 50);
  EXPECT_NEAR(low, 0.0332751, 1e-6);
  EXPECT_NEAR(high, 0.2181353, 1e-6);
  std::tie(low, high) = wilson(5, 50);
  EXPECT_NEAR(low, 0.0434754, 1e-6);
  EXPECT_NEAR(high, 0.2136023, 1e-6);
}

TEST(Binomial, CheckGuarantee) {
  EXPECT_FALSE(checkGuarantee(0, 0, 0.05).violated);
  EXPECT_FALSE(checkGuarantee(1000, 50, 0.05).violated); // as promised
  EXPECT_FALSE(checkGuarantee(1000, 60, 0.05).violated); // bad luck
  const GuaranteeCheck bad = checkGuarantee(1000, 70, 0.05);
  EXPECT_TRUE(bad.violated);
  EXPECT_LT(bad.pValue, 0.01);
  EXPECT_NEAR(bad.rate, 0.07, 1e-12);
}

} // namespace
} // namespace semdns::calibrate
