#include "lib/train/linear.h"

#include "lib/support/parallel.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <barrier>

namespace semdns::train {

namespace {

/// A row as plain arrays.
struct Row {
  const uint32_t *column;
  const float *value;
  size_t count;
};

Row rowOf(const SparseRows &x, size_t row) {
  return {x.column.data() + x.begin[row], x.value.data() + x.begin[row],
          x.begin[row + 1] - x.begin[row]};
}

/// out[lane] = the row's score under `w`, summed in the row's order.
SEMDNS_INLINE void scoreLanes(const Row &x, const float *w, float *out) {
  Lanes sum = {}, v;
  for (size_t j = 0; j < x.count; ++j) {
    load(v, w + size_t(x.column[j]) * kLanes);
    sum += v * x.value[j];
  }
  store(out, sum);
}

/// Scores of one block of classes: out[i * width + lane].
SEMDNS_HOST_LEVELS void scoreBlock(const Row *rows, size_t count, const float *w, float *out,
                                   size_t width) {
  for (size_t i = 0; i < count; ++i)
    scoreLanes(rows[i], w, out + i * width);
}

/// Adds pull * value to the weights of one block of classes.
SEMDNS_HOST_LEVELS void moveBlock(const Row *rows, size_t count, float *w, const float *pull,
                                  size_t width) {
  for (size_t i = 0; i < count; ++i)
    for (size_t j = 0; j < rows[i].count; ++j)
      addLanes(w + size_t(rows[i].column[j]) * kLanes, pull + i * width, rows[i].value[j]);
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

} // namespace

BlockWeights::BlockWeights(size_t featureCount, size_t classCount)
    : features(featureCount), classes(classCount), blocks((classCount + kLanes - 1) / kLanes) {
  for (std::vector<float> &block : blocks)
    block.assign(features * kLanes, 0.0f);
}

BlockWeights trainSoftmax(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                          std::span<const float> weight, size_t classes,
                          const SoftmaxOptions &options) {
  constexpr size_t kBatch = 32;
  BlockWeights out(features, classes);
  std::vector<std::vector<uint32_t>> orders = epochOrders(x, weight, options.epochs, options.seed);
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
      Row batch[kBatch];
      for (size_t i = 0; i < count; ++i)
        batch[i] = rowOf(x, order[i]);
      for (size_t b = t; b < blocks; b += threads)
        scoreBlock(batch, count, out.blocks[b].data(), &scores[b * kLanes], width);
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
        moveBlock(batch, count, out.blocks[b].data(), &pull[b * kLanes], width);
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
    std::vector<Row> batch;
    for (size_t i = from; i < to; ++i)
      batch.push_back(rowOf(x, rows[i]));
    for (size_t b = 0; b < weights.blocks.size(); ++b)
      for (size_t i = from; i < to; ++i) {
        float sum[kLanes];
        scoreBlock(&batch[i - from], 1, weights.blocks[b].data(), sum, kLanes);
        for (uint32_t l = 0; l < kLanes && b * kLanes + l < classes; ++l)
          scores[i * classes + b * kLanes + l] = sum[l];
      }
  });
  return scores;
}

} // namespace semdns::train
