#include "lib/train/numeric.h"

#include "lib/support/parallel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace semdns::train {

uint64_t Random::next() {
  uint64_t z = state_ += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

uint64_t Random::below(uint64_t bound) {
  return uint64_t((static_cast<unsigned __int128>(next()) * bound) >> 64);
}

double Random::normal() {
  double sum = -6;
  for (int i = 0; i < 12; ++i)
    sum += double(next() >> 11) * 0x1p-53;
  return sum;
}

std::vector<uint32_t> permutation(size_t count, uint64_t seed) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed);
  for (size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

double log2Of(double x) {
  // Exponent by bits, then 30 fraction bits by repeated squaring: only multiplications, which are
  // correctly rounded everywhere.
  uint64_t bits = std::bit_cast<uint64_t>(x);
  int exponent = int(bits >> 52 & 0x7ff) - 1023;
  if (exponent == -1023) // subnormal or zero: far below anything that occurs
    return -1023;
  double m = std::bit_cast<double>((bits & UINT64_C(0xfffffffffffff)) | UINT64_C(1023) << 52);
  double fraction = 0, step = 0.5;
  for (int i = 0; i < 30; ++i, step *= 0.5) {
    m *= m;
    if (m >= 2) {
      m *= 0.5;
      fraction += step;
    }
  }
  return exponent + fraction;
}

double logOf(uint64_t x) { return log2Of(double(x)) * 0.69314718055994531; }

namespace {

/// Cyclic Jacobi: diagonalises `a` (destroyed), eigenvectors in the columns of the result.
Matrix jacobi(Matrix &a, std::vector<double> &values) {
  size_t n = a.rows;
  Matrix v(n, n); // rows are eigenvectors here: contiguous updates
  for (size_t i = 0; i < n; ++i)
    v.row(i)[i] = 1;
  double total = 0;
  for (double x : a.data)
    total += x * x;
  for (int sweep = 0; sweep < 30; ++sweep) {
    double off = 0;
    for (size_t p = 0; p < n; ++p)
      for (size_t q = p + 1; q < n; ++q)
        off += a.row(p)[q] * a.row(p)[q];
    if (off <= 1e-20 * total)
      break;
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        double apq = a.row(p)[q];
        if (apq * apq <= 1e-26 * total / double(n * n))
          continue;
        double theta = (a.row(q)[q] - a.row(p)[p]) / (2 * apq);
        double t = (theta >= 0 ? 1.0 : -1.0) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        double c = 1 / std::sqrt(t * t + 1), s = t * c;
        double *rp = a.row(p), *rq = a.row(q);
        for (size_t k = 0; k < n; ++k) {
          double x = rp[k], y = rq[k];
          rp[k] = c * x - s * y;
          rq[k] = s * x + c * y;
        }
        for (size_t k = 0; k < n; ++k) {
          double x = a.row(k)[p], y = a.row(k)[q];
          a.row(k)[p] = c * x - s * y;
          a.row(k)[q] = s * x + c * y;
        }
        double *vp = v.row(p), *vq = v.row(q);
        for (size_t k = 0; k < n; ++k) {
          double x = vp[k], y = vq[k];
          vp[k] = c * x - s * y;
          vq[k] = s * x + c * y;
        }
      }
    }
  }
  values.resize(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = a.row(i)[i];
  return v;
}

/// Gram-Schmidt, twice, on the rows. A row that vanishes becomes zero.
void orthonormaliseRows(Matrix &m) {
  for (size_t i = 0; i < m.rows; ++i) {
    double *x = m.row(i);
    for (int round = 0; round < 2; ++round) {
      for (size_t j = 0; j < i; ++j) {
        const double *y = m.row(j);
        double dot = 0;
        for (size_t k = 0; k < m.cols; ++k)
          dot += x[k] * y[k];
        for (size_t k = 0; k < m.cols; ++k)
          x[k] -= dot * y[k];
      }
      double norm = 0;
      for (size_t k = 0; k < m.cols; ++k)
        norm += x[k] * x[k];
      norm = std::sqrt(norm);
      double inverse = norm > 1e-300 ? 1 / norm : 0;
      for (size_t k = 0; k < m.cols; ++k)
        x[k] *= inverse;
    }
  }
}

/// Eigenvectors in rows, sorted by falling eigenvalue (ties: the first), the largest component of
/// each positive, so that the sign is defined.
Matrix sortedColumns(const Matrix &vectors, const std::vector<double> &values, size_t count) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  Matrix out(vectors.cols, count);
  for (size_t c = 0; c < count; ++c) {
    const double *v = vectors.row(order[c]);
    double largest = 0;
    for (size_t k = 0; k < vectors.cols; ++k)
      if (std::fabs(v[k]) > std::fabs(largest))
        largest = v[k];
    for (size_t k = 0; k < vectors.cols; ++k)
      out.row(k)[c] = largest < 0 ? -v[k] : v[k];
  }
  return out;
}

} // namespace

Matrix dominantEigenvectors(const Matrix &s, size_t count, unsigned threads) {
  size_t n = s.rows;
  count = std::min(count, n);
  std::vector<double> values;
  if (n <= 192) {
    Matrix a = s;
    Matrix v = jacobi(a, values);
    return sortedColumns(v, values, count);
  }
  size_t width = std::min(n, count + 16);
  Matrix q(width, n); // rows span the subspace
  Random random(7);
  for (double &x : q.data)
    x = random.normal();
  orthonormaliseRows(q);
  Matrix next(width, n);
  auto multiply = [&] {
    parallelFor(width, threads, [&](size_t i) {
      const double *x = q.row(i);
      double *y = next.row(i);
      std::fill(y, y + n, 0.0);
      for (size_t k = 0; k < n; ++k) { // s is symmetric: row k is column k
        const double *sk = s.row(k);
        for (size_t j = 0; j < n; ++j)
          y[j] += x[k] * sk[j];
      }
    });
  };
  for (int iteration = 0; iteration < 8; ++iteration) {
    multiply();
    std::swap(q, next);
    orthonormaliseRows(q);
  }
  multiply();
  Matrix small(width, width); // Rayleigh-Ritz
  for (size_t i = 0; i < width; ++i)
    for (size_t j = i; j < width; ++j) {
      double dot = 0;
      for (size_t k = 0; k < n; ++k)
        dot += q.row(i)[k] * next.row(j)[k];
      small.row(i)[j] = small.row(j)[i] = dot;
    }
  Matrix v = jacobi(small, values);
  Matrix full(width, n);
  for (size_t i = 0; i < width; ++i)
    for (size_t j = 0; j < width; ++j)
      for (size_t k = 0; k < n; ++k)
        full.row(i)[k] += v.row(i)[j] * q.row(j)[k];
  return sortedColumns(full, values, count);
}

Matrix randomRotation(size_t size, uint64_t seed) {
  Matrix m(size, size);
  Random random(seed);
  for (double &x : m.data)
    x = random.normal();
  orthonormaliseRows(m);
  return m;
}

} // namespace semdns::train
