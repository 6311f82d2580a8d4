#include "lib/train/refine.h"

#include "lib/support/parallel.h"
#include "lib/train/lanes.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <barrier>
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
constexpr size_t kBatch = 32;

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

/// One text of a batch.
struct Step {
  float rate = 0;
  std::vector<uint32_t> column; ///< the features that this step keeps
  std::vector<float> value;
  std::vector<float> pooled, pull; ///< [dim]
  std::vector<float> error;        ///< [looked classes]
  std::vector<uint32_t> looked;    ///< classes, when not all
};

/// A text as the functions below see it: they work on plain arrays.
struct View {
  const uint32_t *column;
  const float *value;
  size_t features;
  float *pooled, *pull, *error;
  const uint32_t *looked; ///< null: all classes
  size_t classes;
};

View viewOf(Step &s) {
  return {s.column.data(),
          s.value.data(),
          s.column.size(),
          s.pooled.data(),
          s.pull.data(),
          s.error.data(),
          s.looked.empty() ? nullptr : s.looked.data(),
          s.error.size()};
}

/// Pools the text, scores the classes, and says how the pool should move (pull) and by how much
/// each class is off (error). `soft` may be null.
SEMDNS_HOST_LEVELS void look(const float *rows, const float *vectors, size_t dim, const View &v,
                             uint32_t label, const float *soft) {
  for (size_t d = 0; d < dim; ++d)
    v.pooled[d] = v.pull[d] = 0;
  for (size_t j = 0; j < v.features; ++j)
    add(v.pooled, rows + size_t(v.column[j]) * dim, v.value[j], dim);
  float top = -1e30f, total = 0;
  for (size_t c = 0; c < v.classes; ++c) {
    float z = dot(vectors + (v.looked ? v.looked[c] : c) * dim, v.pooled, dim);
    v.error[c] = z;
    top = z > top ? z : top;
  }
  for (size_t c = 0; c < v.classes; ++c) {
    v.error[c] = expOf(v.error[c] - top);
    total += v.error[c];
  }
  for (size_t c = 0; c < v.classes; ++c) {
    size_t k = v.looked ? v.looked[c] : c;
    float error = v.error[c] / total - (soft ? soft[k] : k == label ? 1.0f : 0.0f);
    v.error[c] = error > -kStill && error < kStill ? 0 : error;
    if (v.error[c] != 0)
      add(v.pull, vectors + k * dim, error, dim);
  }
}

/// Moves the rows of the features that are `share` modulo `shares`.
SEMDNS_HOST_LEVELS void moveRows(float *rows, size_t dim, const View &v, float rate, uint32_t share,
                                 uint32_t shares) {
  for (size_t j = 0; j < v.features; ++j)
    if (v.column[j] % shares == share)
      add(rows + size_t(v.column[j]) * dim, v.pull, -rate * v.value[j], dim);
}

/// Moves the class vectors from..to.
SEMDNS_HOST_LEVELS void moveClasses(float *vectors, size_t dim, const View &v, float rate,
                                    size_t from, size_t to) {
  size_t begin = v.looked ? 0 : from, end = v.looked ? v.classes : to;
  for (size_t c = begin; c < end; ++c) {
    size_t k = v.looked ? v.looked[c] : c;
    if (k >= from && k < to && v.error[c] != 0)
      add(vectors + k * dim, v.pooled, -v.error[c] * rate, dim);
  }
}

} // namespace

void refine(Factors &f, const SparseRows &x, const Targets &targets, std::span<const float> weight,
            const RefineOptions &options) {
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < x.rows(); ++i)
    if (weight[i] > 0 && x.begin[i + 1] > x.begin[i])
      live.push_back(i);
  if (options.rescale)
    scaleScores(f, x);
  size_t classes = f.classes, looked = std::min(classes, kClassesAStep);
  size_t batches = (live.size() + kBatch - 1) / kBatch;
  double steps = double(live.size()) * options.epochs;
  uint64_t dropBelow = uint64_t(options.dropped * 0x1p32);
  float keptScale = float(1 / (1 - options.dropped));
  std::vector<Step> batch(kBatch);
  for (Step &s : batch) {
    s.pooled.resize(f.dim);
    s.pull.resize(f.dim);
    s.error.resize(looked);
    if (looked < classes)
      s.looked.resize(looked);
  }
  std::vector<std::vector<uint32_t>> orders;
  for (uint32_t epoch = 0; epoch < options.epochs; ++epoch)
    orders.push_back(permutation(live.size(), options.seed * 1000 + 600 + epoch));

  uint32_t threads = std::clamp(options.threads, 1u, 16u);
  std::barrier barrier(threads);
  parallelFor(threads, threads, [&](size_t t) {
    for (size_t epoch = 0; epoch < options.epochs; ++epoch)
      for (size_t b = 0; b < batches; ++b) {
        size_t first = b * kBatch, count = std::min(kBatch, live.size() - first);
        for (size_t n = t; n < count; n += threads) {
          Step &s = batch[n];
          size_t step = epoch * live.size() + first + n;
          uint32_t i = live[orders[epoch][first + n]];
          s.rate = float(options.rate * (1 - double(step) / steps)) * weight[i];
          Random random(options.seed * UINT64_C(0x9e3779b97f4a7c15) + step);
          s.column.clear();
          s.value.clear();
          for (size_t j = x.begin[i]; j < x.begin[i + 1]; ++j)
            if (random.next() >> 32 >= dropBelow) {
              s.column.push_back(x.column[j]);
              s.value.push_back(x.value[j] * keptScale);
            }
          const float *soft = nullptr;
          if (!targets.softRow.empty() && targets.softRow[i] != Targets::kHard)
            soft = &targets.soft[size_t(targets.softRow[i]) * classes];
          if (looked < classes) {
            s.looked[0] = targets.label[i];
            for (size_t c = 1; c < looked; ++c) {
              uint32_t other = uint32_t(random.below(classes - 1));
              s.looked[c] = other + (other >= targets.label[i]);
            }
          }
          look(f.rows.data(), f.vectors.data(), f.dim, viewOf(s), targets.label[i], soft);
        }
        barrier.arrive_and_wait();
        for (size_t n = 0; n < count; ++n) {
          View v = viewOf(batch[n]);
          float rate = batch[n].rate;
          moveRows(f.rows.data(), f.dim, v, rate, uint32_t(t), threads);
          moveClasses(f.vectors.data(), f.dim, v, rate * float(options.vectorRate),
                      classes * t / threads, classes * (t + 1) / threads);
        }
        barrier.arrive_and_wait();
      }
  });
}

} // namespace semdns::train
