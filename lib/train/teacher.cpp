#include "lib/train/teacher.h"

#include "lib/support/parallel.h"
#include "lib/train/lanes.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <barrier>
#include <cmath>

namespace semdns::train {

namespace {

constexpr size_t kBatch = 64;
constexpr float kMomentum = 0.9f, kSecond = 0.999f, kEpsilon = 1e-8f;
constexpr float kStartSize = 8; // of a class vector whose texts all have one embedding

/// Sixteen classes: weights [width + 1][kLanes], the bias last, and Adam's two moments.
struct Block {
  std::vector<float> weight, first, second, gradient;
  explicit Block(size_t inputs)
      : weight(inputs * kLanes), first(inputs * kLanes), second(inputs * kLanes),
        gradient(inputs * kLanes) {}
};

/// out[row][lane] for `count` rows of `e`, picked by `rows`.
SEMDNS_HOST_LEVELS void scoreBlock(const float *e, size_t width, const uint32_t *rows, size_t count,
                                   const float *weight, float *out, size_t stride) {
  for (size_t i = 0; i < count; ++i) {
    const float *x = e + size_t(rows[i]) * width;
    Lanes even, odd = {}, v;
    load(even, weight + width * kLanes);
    for (size_t w = 0; w < width; w += 2) {
      load(v, weight + w * kLanes);
      even += v * x[w];
      load(v, weight + (w + 1) * kLanes);
      odd += v * x[w + 1];
    }
    even += odd;
    store(out + i * stride, even);
  }
}

SEMDNS_HOST_LEVELS void gradientBlock(const float *e, size_t width, const uint32_t *rows,
                                      size_t count, const float *error, size_t stride,
                                      float *gradient) {
  for (size_t w = 0; w < (width + 1) * kLanes; ++w)
    gradient[w] = 0;
  for (size_t i = 0; i < count; ++i) {
    const float *x = e + size_t(rows[i]) * width;
    for (size_t w = 0; w < width; ++w)
      addLanes(gradient + w * kLanes, error + i * stride, x[w]);
    addLanes(gradient + width * kLanes, error + i * stride, 1);
  }
}

SEMDNS_HOST_LEVELS void adam(float *weight, float *first, float *second, const float *gradient,
                             size_t count, float rate, float correction, float decay) {
  for (size_t i = 0; i < count; i += kLanes) {
    Lanes g, m, v, w;
    load(g, gradient + i);
    load(m, first + i);
    load(v, second + i);
    load(w, weight + i);
    m = m * kMomentum + g * (1 - kMomentum);
    v = v * kSecond + g * g * (1 - kSecond);
    w -= w * decay;
    w -= m * rate / (__builtin_elementwise_sqrt(v * correction) + kEpsilon);
    store(first + i, m);
    store(second + i, v);
    store(weight + i, w);
  }
}

/// Probabilities less the label, times weight; lanes beyond the classes get 0.
SEMDNS_HOST_LEVELS void errorOf(float *z, size_t classes, size_t stride, uint32_t label,
                                float weight) {
  float top = z[0], total = 0;
  for (size_t k = 1; k < classes; ++k)
    top = z[k] > top ? z[k] : top;
  for (size_t k = 0; k < classes; ++k) {
    z[k] = expOf(z[k] - top);
    total += z[k];
  }
  for (size_t k = 0; k < stride; ++k)
    z[k] = k < classes ? z[k] * (weight / total) : 0;
  z[label] -= weight;
}

} // namespace

DenseHead trainDense(std::span<const float> e, size_t width, std::span<const uint32_t> label,
                     std::span<const float> weight, size_t classes, const DenseOptions &options,
                     const DenseHead *start) {
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < label.size(); ++i)
    if (weight[i] > 0)
      live.push_back(i);
  size_t inputs = width + 1, blocks = (classes + kLanes - 1) / kLanes, stride = blocks * kLanes;
  std::vector<Block> model(blocks, Block(inputs));
  auto at = [&](size_t k, size_t w) -> float & {
    return model[k / kLanes].weight[w * kLanes + k % kLanes];
  };
  if (start) {
    for (size_t k = 0; k < classes; ++k) {
      for (size_t w = 0; w < width; ++w)
        at(k, w) = start->vectors[k * width + w];
      at(k, width) = start->bias[k];
    }
  } else {
    std::vector<double> total(classes), mean(classes * width), all(width);
    for (uint32_t i : live) {
      total[label[i]] += double(weight[i]);
      for (size_t w = 0; w < width; ++w)
        mean[label[i] * width + w] += double(weight[i]) * double(e[size_t(i) * width + w]);
    }
    for (size_t k = 0; k < classes; ++k)
      for (size_t w = 0; w < width; ++w) {
        if (total[k] > 0)
          mean[k * width + w] /= total[k];
        all[w] += mean[k * width + w] / double(classes);
      }
    for (size_t k = 0; k < classes; ++k)
      for (size_t w = 0; w < width && total[k] > 0; ++w)
        at(k, w) = kStartSize * float(mean[k * width + w] - all[w]);
  }

  size_t batches = (live.size() + kBatch - 1) / kBatch, steps = batches * options.epochs;
  std::vector<std::vector<uint32_t>> orders;
  for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
    orders.push_back(permutation(live.size(), options.seed * 1000 + 900 + epoch));
    for (uint32_t &i : orders.back())
      i = live[i];
  }
  std::vector<float> error(kBatch * stride);
  unsigned threads = unsigned(std::clamp<size_t>(options.threads, 1, std::max<size_t>(blocks, 1)));
  std::barrier barrier(threads);
  parallelFor(threads, threads, [&](size_t t) {
    double firstPower = 1, secondPower = 1;
    for (size_t step = 0; step < steps; ++step) {
      const uint32_t *rows = orders[step / batches].data() + step % batches * kBatch;
      size_t count = std::min(kBatch, live.size() - step % batches * kBatch);
      for (size_t b = t; b < blocks; b += threads)
        scoreBlock(e.data(), width, rows, count, model[b].weight.data(), &error[b * kLanes],
                   stride);
      barrier.arrive_and_wait();
      for (size_t i = t; i < count; i += threads)
        errorOf(&error[i * stride], classes, stride, label[rows[i]],
                weight[rows[i]] / float(kBatch));
      barrier.arrive_and_wait();
      firstPower *= double(kMomentum);
      secondPower *= double(kSecond);
      double rate = options.rate * double(steps - step) / double(steps);
      for (size_t b = t; b < blocks; b += threads) {
        gradientBlock(e.data(), width, rows, count, &error[b * kLanes], stride,
                      model[b].gradient.data());
        Block &m = model[b];
        adam(m.weight.data(), m.first.data(), m.second.data(), m.gradient.data(), inputs * kLanes,
             float(rate / (1 - firstPower)), float(1 / (1 - secondPower)),
             float(rate * options.decay));
      }
      // `error` is written again only after everybody has read it.
      barrier.arrive_and_wait();
    }
  });
  DenseHead head;
  head.width = width;
  head.classes = classes;
  for (size_t k = 0; k < classes; ++k) {
    for (size_t w = 0; w < width; ++w)
      head.vectors.push_back(at(k, w));
    head.bias.push_back(at(k, width));
  }
  return head;
}

std::vector<float> scoreDense(const DenseHead &head, std::span<const float> e, unsigned threads) {
  size_t classes = head.classes, width = head.width, rows = e.size() / width;
  size_t blocks = (classes + kLanes - 1) / kLanes;
  std::vector<std::vector<float>> weight(blocks, std::vector<float>((width + 1) * kLanes));
  for (size_t k = 0; k < classes; ++k) {
    for (size_t w = 0; w < width; ++w)
      weight[k / kLanes][w * kLanes + k % kLanes] = head.vectors[k * width + w];
    weight[k / kLanes][width * kLanes + k % kLanes] = head.bias[k];
  }
  std::vector<float> out(rows * classes);
  constexpr size_t kChunk = 64;
  parallelFor((rows + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
    uint32_t own[kChunk];
    float scores[kChunk * kLanes];
    size_t from = chunk * kChunk, count = std::min(kChunk, rows - from);
    for (size_t i = 0; i < count; ++i)
      own[i] = uint32_t(from + i);
    for (size_t b = 0; b < blocks; ++b) {
      scoreBlock(e.data(), width, own, count, weight[b].data(), scores, kLanes);
      for (size_t i = 0; i < count; ++i)
        for (size_t l = 0; l < kLanes && b * kLanes + l < classes; ++l)
          out[(from + i) * classes + b * kLanes + l] = scores[i * kLanes + l];
    }
  });
  return out;
}

Blend chooseBlend(std::span<const float> lexical, std::span<const float> dense,
                  std::span<const uint32_t> label, size_t classes, unsigned threads) {
  constexpr int kSteps = 13;
  constexpr double kGrid[kSteps] = {0, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11};
  std::vector<double> loss(kSteps * kSteps);
  parallelFor(loss.size(), threads, [&](size_t cell) {
    float a = float(kGrid[cell / kSteps]), b = float(kGrid[cell % kSteps]);
    std::vector<float> z(classes);
    for (size_t i = 0; i < label.size(); ++i) {
      float top = -1e30f;
      for (size_t k = 0; k < classes; ++k)
        top = std::max(top, z[k] = a * lexical[i * classes + k] + b * dense[i * classes + k]);
      double total = 0;
      for (size_t k = 0; k < classes; ++k)
        total += double(expOf(z[k] - top));
      loss[cell] += log2Of(total) - log2Of(double(expOf(z[label[i]] - top)) + 1e-9);
    }
  });
  size_t best = size_t(std::min_element(loss.begin(), loss.end()) - loss.begin());
  return {kGrid[best / kSteps], kGrid[best % kSteps]};
}

void softmaxRows(std::vector<float> &scores, size_t classes, unsigned threads) {
  constexpr size_t kChunk = 256;
  size_t rows = scores.size() / classes;
  parallelFor((rows + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
    for (size_t i = chunk * kChunk; i < std::min(rows, (chunk + 1) * kChunk); ++i) {
      float *z = &scores[i * classes];
      float top = *std::max_element(z, z + classes), total = 0;
      for (size_t k = 0; k < classes; ++k)
        total += z[k] = expOf(z[k] - top);
      for (size_t k = 0; k < classes; ++k)
        z[k] /= total;
    }
  });
}

} // namespace semdns::train
