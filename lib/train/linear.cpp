#include "lib/train/linear.h"

#include "lib/train/numeric.h"
#include "lib/train/parallel.h"

#include <algorithm>
#include <barrier>
#include <bit>
#include <cstring>
#include <memory>

namespace semdns::train {

namespace {

/// Sixteen classes at once. Elementwise: a host with narrower vectors computes the same values.
typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t LaneMask __attribute__((vector_size(64)));

inline Lanes load(const float *p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float *p, const Lanes &v) { std::memcpy(p, &v, sizeof v); }

inline bool anyNonZero(const Lanes &v) {
  LaneMask m = v != Lanes{};
  int32_t any = 0;
  for (uint32_t l = 0; l < kLanes; ++l)
    any |= m[l];
  return any != 0;
}

/// The lanes of `w` that the row selects, summed in the row's order.
inline Lanes dotRow(const SparseRows &x, size_t row, const float *w) {
  Lanes sum = {};
  for (size_t j = x.begin[row]; j < x.begin[row + 1]; ++j)
    sum += load(w + size_t(x.column[j]) * kLanes) * x.value[j];
  return sum;
}

inline void addRow(const SparseRows &x, size_t row, const Lanes &step, float *w) {
  for (size_t j = x.begin[row]; j < x.begin[row + 1]; ++j) {
    float *p = w + size_t(x.column[j]) * kLanes;
    store(p, load(p) + step * x.value[j]);
  }
}

/// The rows that count at all, in a seeded order of its own for each epoch.
std::vector<std::vector<uint32_t>> epochOrders(const SparseRows &x, std::span<const float> weight,
                                               uint32_t epochs, uint64_t seed) {
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < x.rows(); ++i)
    if (weight[i] > 0 && x.begin[i + 1] > x.begin[i])
      live.push_back(i);
  std::vector<std::vector<uint32_t>> orders(epochs);
  for (uint32_t e = 0; e < epochs; ++e) {
    orders[e] = permutation(live.size(), seed * 1000 + e);
    for (uint32_t &i : orders[e])
      i = live[i];
  }
  return orders;
}

std::vector<float> squaredLengths(const SparseRows &x) {
  std::vector<float> square(x.rows());
  for (size_t i = 0; i < x.rows(); ++i)
    for (size_t j = x.begin[i]; j < x.begin[i + 1]; ++j)
      square[i] += x.value[j] * x.value[j];
  return square;
}

/// e^x for x <= 0, relative error about 1e-6; not libm's, which differs from host to host.
inline float expOf(float x) {
  float t = std::max(x, -80.0f) * 1.44269504f;
  int32_t whole = int32_t(t); // towards zero: t - whole in (-1, 0]
  float f = (t - float(whole)) * 0.693147181f;
  float p =
      1 + f * (1 + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f / 720)))));
  return p * std::bit_cast<float>((whole + 127) << 23);
}

} // namespace

BlockWeights::BlockWeights(size_t featureCount, size_t classCount)
    : features(featureCount), classes(classCount), blocks((classCount + kLanes - 1) / kLanes) {
  for (std::vector<float> &block : blocks)
    block.assign(features * kLanes, 0.0f);
}

BlockWeights trainSvm(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                      std::span<const float> weight, size_t classes, const SvmOptions &options) {
  BlockWeights out(features, classes);
  size_t rows = x.rows();
  std::vector<std::vector<uint32_t>> orders = epochOrders(x, weight, options.epochs, options.seed);
  std::vector<float> square = squaredLengths(x);

  parallelFor(out.blocks.size(), options.threads, [&](size_t b) {
    float *w = out.blocks[b].data();
    std::vector<float> alpha(rows * kLanes);
    Lanes live = {}; // 1 in the lanes that hold a class
    for (uint32_t l = 0; l < kLanes && b * kLanes + l < classes; ++l)
      live[l] = 1;
    for (const std::vector<uint32_t> &order : orders) {
      float largest = 0;
      for (uint32_t i : order) {
        Lanes y = Lanes{} - 1; // +1 in the lane of the row's own class
        if (label[i] / kLanes == b)
          y[label[i] % kLanes] = 1;
        float diagonal = 1 / (2 * float(options.cost) * weight[i]);
        Lanes a = load(&alpha[size_t(i) * kLanes]);
        Lanes gradient = y * dotRow(x, i, w) - 1 + diagonal * a;
        Lanes updated = a - gradient / (square[i] + diagonal);
        updated = updated > 0 ? updated : Lanes{};
        Lanes delta = (updated - a) * live;
        if (!anyNonZero(delta))
          continue;
        for (uint32_t l = 0; l < kLanes; ++l) // the projected gradient, as far as it went
          largest = std::max(largest, (delta[l] < 0 ? -delta[l] : delta[l]) * square[i]);
        store(&alpha[size_t(i) * kLanes], a + delta);
        addRow(x, i, delta * y, w);
      }
      if (largest < float(options.tolerance))
        break;
    }
  });
  return out;
}

BlockWeights trainSoftmax(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                          std::span<const float> weight, size_t classes,
                          const SoftmaxOptions &options) {
  constexpr size_t kBatch = 32;
  BlockWeights out(features, classes);
  std::vector<std::vector<uint32_t>> orders =
      epochOrders(x, weight, options.epochs, options.seed + 1);
  size_t rows = orders.empty() ? 0 : orders[0].size();
  size_t blocks = out.blocks.size(), width = blocks * kLanes;
  size_t batches = (rows + kBatch - 1) / kBatch, steps = batches * options.epochs;
  std::vector<float> scores(kBatch * width), pull(kBatch * width);

  unsigned threads = unsigned(std::clamp<size_t>(options.threads, 1, std::max<size_t>(blocks, 1)));
  std::barrier barrier(threads);
  parallelFor(threads, threads, [&](size_t t) {
    for (size_t step = 0; step < steps; ++step) {
      const uint32_t *order = orders[step / batches].data() + step % batches * kBatch;
      size_t count = std::min(kBatch, rows - step % batches * kBatch);
      float rate = float(options.rate) * float(steps - step) / float(steps);
      for (size_t b = t; b < blocks; b += threads)
        for (size_t i = 0; i < count; ++i)
          store(&scores[i * width + b * kLanes], dotRow(x, order[i], out.blocks[b].data()));
      barrier.arrive_and_wait();
      for (size_t i = t; i < count; i += threads) {
        const float *z = &scores[i * width];
        float *g = &pull[i * width];
        float top = *std::max_element(z, z + classes), total = 0;
        for (size_t k = 0; k < classes; ++k) {
          g[k] = expOf(z[k] - top);
          total += g[k];
        }
        float scale = -rate * weight[order[i]];
        for (size_t k = 0; k < classes; ++k)
          g[k] *= scale / total;
        g[label[order[i]]] -= scale;
      }
      // Nobody writes `pull` again before everybody has read it: the next batch's first barrier
      // lies between. `scores` is free already.
      barrier.arrive_and_wait();
      for (size_t b = t; b < blocks; b += threads)
        for (size_t i = 0; i < count; ++i)
          addRow(x, order[i], load(&pull[i * width + b * kLanes]), out.blocks[b].data());
    }
  });
  return out;
}

std::vector<float> scoreRows(const SparseRows &x, std::span<const uint32_t> rows,
                             const BlockWeights &weights, unsigned threads) {
  size_t classes = weights.classes;
  std::vector<float> scores(rows.size() * classes);
  constexpr size_t kChunk = 256;
  parallelFor((rows.size() + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
    size_t from = chunk * kChunk, to = std::min(rows.size(), from + kChunk);
    for (size_t b = 0; b < weights.blocks.size(); ++b)
      for (size_t i = from; i < to; ++i) {
        Lanes sum = dotRow(x, rows[i], weights.blocks[b].data());
        for (uint32_t l = 0; l < kLanes && b * kLanes + l < classes; ++l)
          scores[i * classes + b * kLanes + l] = sum[l];
      }
  });
  return scores;
}

} // namespace semdns::train
