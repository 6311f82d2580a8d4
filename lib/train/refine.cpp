#include "lib/train/refine.h"

#include "lib/train/lanes.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace semdns::train {

namespace {

constexpr double kStartSpread = 1; // root mean square of the scores at the start
constexpr float kBalance = 3;      // size of the class vectors, that of the rows in return
constexpr float kStill = 1e-5f;    // classes whose probability is off by less do not move
constexpr size_t kSpreadSample = 512;
constexpr size_t kClassesAStep = 1024;

float dot(const float *a, const float *b, size_t dim) {
  Lanes sum = {}, x, y;
  for (size_t d = 0; d < dim; d += kLanes) {
    load(x, a + d);
    load(y, b + d);
    sum += x * y;
  }
  return sumLanes(sum);
}

/// y += factor * x
void add(float *y, const float *x, float factor, size_t dim) {
  for (size_t d = 0; d < dim; d += kLanes)
    addLanes(y + d, x + d, factor);
}

/// Sets the scores' spread over a sample of the texts.
void scaleScores(Factors &f, const SparseRows &x) {
  size_t count = std::min(x.rows(), kSpreadSample);
  std::vector<float> pooled(f.dim);
  double square = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t row = i * x.rows() / count;
    std::fill(pooled.begin(), pooled.end(), 0.0f);
    for (size_t j = x.begin[row]; j < x.begin[row + 1]; ++j)
      add(pooled.data(), &f.rows[size_t(x.column[j]) * f.dim], x.value[j], f.dim);
    for (size_t k = 0; k < f.classes; ++k) {
      double z = double(dot(&f.vectors[k * f.dim], pooled.data(), f.dim));
      square += z * z;
    }
  }
  if (!(square > 0))
    return;
  float scale = float(kStartSpread / std::sqrt(square / double(count * f.classes)));
  for (float &v : f.rows)
    v *= scale / kBalance;
  for (float &v : f.vectors)
    v *= kBalance;
}

} // namespace

void refine(Factors &f, const SparseRows &x, std::span<const uint32_t> label,
            std::span<const float> weight, const RefineOptions &options) {
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < x.rows(); ++i)
    if (weight[i] > 0 && x.begin[i + 1] > x.begin[i])
      live.push_back(i);
  scaleScores(f, x);
  size_t dim = f.dim, classes = f.classes;
  size_t steps = live.size() * options.epochs, step = 0;
  std::vector<float> pooled(dim), pull(dim), value;
  std::vector<uint32_t> looked(std::min(classes, kClassesAStep)); // classes of the step at hand
  std::iota(looked.begin(), looked.end(), 0u);
  std::vector<float> scores(looked.size());
  Random random(options.seed * 1000 + 700);
  uint64_t dropBelow = uint64_t(options.dropped * 0x1p32);
  float keptScale = float(1 / (1 - options.dropped));
  for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
    for (uint32_t position : permutation(live.size(), options.seed * 1000 + 600 + epoch)) {
      uint32_t i = live[position];
      float rate = float(options.rate) * float(steps - step++) / float(steps) * weight[i];
      size_t begin = x.begin[i], count = x.begin[i + 1] - begin;
      value.resize(count);
      for (size_t j = 0; j < count; ++j)
        value[j] = random.next() >> 32 < dropBelow ? 0 : x.value[begin + j] * keptScale;

      std::fill(pooled.begin(), pooled.end(), 0.0f);
      for (size_t j = 0; j < count; ++j)
        if (value[j] != 0)
          add(pooled.data(), &f.rows[size_t(x.column[begin + j]) * dim], value[j], dim);
      if (classes > kClassesAStep) {
        looked[0] = label[i];
        for (size_t c = 1; c < kClassesAStep; ++c) {
          uint32_t other = uint32_t(random.below(classes - 1));
          looked[c] = other + (other >= label[i]);
        }
      }
      float top = -1e30f;
      for (size_t c = 0; c < looked.size(); ++c)
        top = std::max(top, scores[c] = dot(&f.vectors[looked[c] * dim], pooled.data(), dim));
      float total = 0;
      for (float &z : scores) {
        z = expOf(z - top);
        total += z;
      }
      std::fill(pull.begin(), pull.end(), 0.0f);
      for (size_t c = 0; c < looked.size(); ++c) {
        float error = scores[c] / total - (looked[c] == label[i] ? 1.0f : 0.0f);
        if (error > -kStill && error < kStill)
          continue;
        float *vector = &f.vectors[looked[c] * dim];
        add(pull.data(), vector, error, dim);
        add(vector, pooled.data(), -error * rate * float(options.vectorRate), dim);
      }
      for (size_t j = 0; j < count; ++j)
        if (value[j] != 0)
          add(&f.rows[size_t(x.column[begin + j]) * dim], pull.data(), -rate * value[j], dim);
    }
  }
}

} // namespace semdns::train
