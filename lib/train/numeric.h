/// \file Arithmetic that is the same on every host: random numbers, logarithms, small dense
/// algebra.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace semdns::train {

/// splitmix64: small, fast, and the same everywhere (std:: distributions are not).
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [0, bound), bound >= 1.
  uint64_t below(uint64_t bound);
  /// Roughly normal, mean 0, variance 1 (sum of twelve uniforms).
  double normal();

private:
  uint64_t state_;
};

/// A seeded permutation of 0..count-1.
std::vector<uint32_t> permutation(size_t count, uint64_t seed);

/// Natural logarithm of x >= 1 from integer arithmetic, absolute error below 2^-14.
double logOf(uint64_t x);
/// Base-2 logarithm of x > 0 (any finite double), the same on every host; error below 1e-9.
double log2Of(double x);

/// Dense row-major matrix.
struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<double> data;
  Matrix() = default;
  Matrix(size_t r, size_t c) : rows(r), cols(c), data(r * c) {}
  double *row(size_t r) { return data.data() + r * cols; }
  const double *row(size_t r) const { return data.data() + r * cols; }
};

/// The `count` dominant eigenvectors of the symmetric, positive semidefinite `s`, as the columns of
/// a matrix [s.rows][count], by falling eigenvalue; orthonormal. Jacobi's method up to 192 rows,
/// else subspace iteration (seeded start).
Matrix dominantEigenvectors(const Matrix &s, size_t count, unsigned threads);

/// A random orthogonal matrix [size][size].
Matrix randomRotation(size_t size, uint64_t seed);

} // namespace semdns::train
