#include "lib/train/embedding.h"
#include "lib/train/linear.h"
#include "lib/train/numeric.h"
#include "lib/train/refine.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

using namespace semdns::train;

namespace {

TEST(Numeric, Logarithms) {
  for (double x : {1e-9, 0.3, 1.0, 1.5, 2.0, 3.0, 1000.0, 1e12})
    EXPECT_NEAR(log2Of(x), std::log2(x), 1e-8) << x;
  EXPECT_EQ(log2Of(8), 3);
  EXPECT_NEAR(logOf(15000), std::log(15000.0), 1e-8);
}

TEST(Numeric, PermutationHasEveryNumberOnce) {
  std::vector<uint32_t> p = permutation(1000, 3);
  EXPECT_NE(p, permutation(1000, 4));
  EXPECT_EQ(p, permutation(1000, 3));
  std::sort(p.begin(), p.end());
  for (uint32_t i = 0; i < 1000; ++i)
    EXPECT_EQ(p[i], i);
}

TEST(Numeric, RotationIsOrthogonal) {
  Matrix m = randomRotation(48, 1);
  for (size_t i = 0; i < 48; ++i)
    for (size_t j = 0; j < 48; ++j) {
      double dot = 0;
      for (size_t k = 0; k < 48; ++k)
        dot += m.row(i)[k] * m.row(j)[k];
      EXPECT_NEAR(dot, i == j ? 1 : 0, 1e-12);
    }
}

/// A matrix with eigenvalues size, size - 1, ... 1 (rapidly falling above 192 rows, where the
/// iteration is used) in a random basis.
Matrix withSpectrum(size_t size, const Matrix &basis, bool steep) {
  Matrix s(size, size);
  double value = double(size);
  for (size_t r = 0; r < size; ++r, value = steep ? value * 0.7 : value - 1)
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j)
        s.row(i)[j] += value * basis.row(r)[i] * basis.row(r)[j];
  return s;
}

TEST(Numeric, DominantEigenvectors) {
  for (size_t size : {20u, 220u}) {
    Matrix basis = randomRotation(size, 5);
    Matrix v = dominantEigenvectors(withSpectrum(size, basis, size > 192), 8, 2);
    ASSERT_EQ(v.rows, size);
    ASSERT_EQ(v.cols, 8u);
    for (size_t c = 0; c < 8; ++c) {
      double dot = 0;
      for (size_t i = 0; i < size; ++i)
        dot += v.row(i)[c] * basis.row(c)[i];
      EXPECT_NEAR(std::fabs(dot), 1, 1e-6) << size << " " << c;
    }
  }
}

TEST(Numeric, Exp2TableIsRounded) {
  const std::vector<uint32_t> &table = exp2Table();
  ASSERT_EQ(table.size(), 256u);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(table[size_t(i)], uint32_t(std::lround(65536 * std::exp2(-i / 256.0)))) << i;
}

/// Texts of class k have feature k, and one of two common features.
SparseRows toyRows(uint32_t classes, uint32_t each, std::vector<uint32_t> &label) {
  SparseRows x;
  for (uint32_t i = 0; i < classes * each; ++i) {
    label.push_back(i % classes);
    x.column.push_back(i % classes);
    x.column.push_back(classes + i % 2);
    x.value.push_back(0.8f);
    x.value.push_back(0.6f);
    x.begin.push_back(x.column.size());
  }
  return x;
}

void expectAllRight(const SparseRows &x, const std::vector<uint32_t> &label,
                    const BlockWeights &weights) {
  std::vector<uint32_t> rows(x.rows());
  for (uint32_t i = 0; i < rows.size(); ++i)
    rows[i] = i;
  std::vector<float> scores = scoreRows(x, rows, weights, 2);
  for (size_t i = 0; i < rows.size(); ++i) {
    auto begin = scores.begin() + ptrdiff_t(i * weights.classes);
    EXPECT_EQ(std::max_element(begin, begin + ptrdiff_t(weights.classes)) - begin, label[i]);
  }
}

TEST(Linear, SeparatesAndDoesNotDependOnThreads) {
  for (uint32_t classes : {1u, 2u, 17u, 40u}) {
    std::vector<uint32_t> label;
    SparseRows x = toyRows(classes, 6, label);
    std::vector<float> weight(x.rows(), 1.0f);
    SoftmaxOptions options;
    BlockWeights a = trainSoftmax(x, classes + 2, label, weight, classes, options);
    expectAllRight(x, label, a);
    options.threads = 3;
    EXPECT_EQ(a.blocks, trainSoftmax(x, classes + 2, label, weight, classes, options).blocks);
  }
}

TEST(Refine, LearnsWhatTheStartDoesNotKnow) {
  std::vector<uint32_t> label;
  SparseRows x = toyRows(20, 30, label);
  std::vector<float> weight(x.rows(), 1.0f);
  Factors f;
  f.features = 22;
  f.classes = 20;
  f.dim = 32;
  Random random(2);
  for (size_t i = 0; i < 22 * 32; ++i)
    f.rows.push_back(float(random.normal()));
  for (size_t i = 0; i < 20 * 32; ++i)
    f.vectors.push_back(float(random.normal()));
  RefineOptions options;
  options.epochs = 60;
  refine(f, x, {label, {}, {}}, weight, options);
  for (size_t i = 0; i < 20; ++i) {
    double best = -1e9;
    size_t said = 0;
    for (size_t k = 0; k < 20; ++k) {
      double z = 0;
      for (size_t j = x.begin[i]; j < x.begin[i + 1]; ++j)
        for (size_t d = 0; d < 32; ++d)
          z += double(x.value[j]) * f.rows[x.column[j] * 32 + d] * f.vectors[k * 32 + d];
      if (z > best) {
        best = z;
        said = k;
      }
    }
    EXPECT_EQ(said, label[i]);
  }
}

TEST(Linear, RowsOfWeightZeroDoNotCount) {
  std::vector<uint32_t> label;
  SparseRows x = toyRows(3, 4, label);
  std::vector<float> weight(x.rows(), 1.0f);
  for (size_t i = 0; i < label.size(); ++i)
    if (label[i] == 2)
      weight[i] = 0;
  BlockWeights w = trainSoftmax(x, 5, label, weight, 3, {});
  EXPECT_EQ(w.at(2, 0), 0);
  EXPECT_GT(w.at(0, 0), 0);
}

TEST(Linear, FactorsKeepTheScoresUpToAConstantPerText) {
  std::vector<uint32_t> label;
  SparseRows x = toyRows(20, 5, label);
  std::vector<float> weight(x.rows(), 1.0f);
  BlockWeights w = trainSoftmax(x, 22, label, weight, 20, {});
  Factors f = factorise(w, x, 32, 2);
  for (size_t feature = 0; feature < 22; ++feature) {
    double shift = 0;
    for (size_t k = 0; k < 20; ++k) {
      double product = 0;
      for (size_t d = 0; d < 32; ++d)
        product += double(f.rows[feature * 32 + d]) * f.vectors[k * 32 + d];
      double difference = w.at(feature, k) - product;
      if (k == 0)
        shift = difference;
      EXPECT_NEAR(difference, shift, 1e-4);
    }
  }
}

} // namespace
