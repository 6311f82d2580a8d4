#include "lib/train/beam.h"

#include "lib/support/parallel.h"
#include "lib/train/lanes.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <barrier>
#include <cmath>

namespace semdns::train {

namespace {

constexpr size_t kBatch = 64;
constexpr float kStill = 1e-5f;
constexpr float kTiny = 1e-6f; ///< of the adaptive steps' denominators

/// The choices on the way to each class: (node, entry), root first.
class Ways {
public:
  explicit Ways(const pack::BeamModel &beam) : begin_{0} {
    nodeOf_.resize(beam.entries());
    for (uint32_t n = 0; n < beam.nodes.size(); ++n)
      for (uint32_t e = 0; e < beam.nodes[n].entry_count; ++e)
        nodeOf_[beam.nodes[n].entry_begin + e] = n;
    for (uint32_t entry : beam.classEntry) {
      const size_t first = steps_.size();
      for (uint32_t e = entry; e != SEMDNS_NONE; e = beam.nodes[nodeOf_[e]].parent_entry)
        steps_.push_back(e);
      std::reverse(steps_.begin() + ptrdiff_t(first), steps_.end());
      begin_.push_back(steps_.size());
    }
  }
  std::span<const uint32_t> entries(uint32_t k) const {
    return std::span(steps_).subspan(begin_[k], begin_[k + 1] - begin_[k]);
  }
  uint32_t nodeOf(uint32_t entry) const { return nodeOf_[entry]; }

private:
  std::vector<uint32_t> nodeOf_, steps_;
  std::vector<size_t> begin_;
};

/// One text of a batch: what it sees and what it wants to change.
struct Step {
  float rate = 0;
  std::vector<uint32_t> column; ///< features that this step keeps
  std::vector<float> value;
  std::vector<float> pooled, pull;   ///< [dim]
  std::vector<uint32_t> from, count; ///< [choices] first entry, entries
  std::vector<float> error;          ///< of all choices' entries, one after the other
};

SEMDNS_HOST_LEVELS void poolText(const float *rows, size_t dim, const uint32_t *column,
                                 const float *value, size_t features, float *pooled) {
  for (size_t d = 0; d < dim; ++d)
    pooled[d] = 0;
  for (size_t j = 0; j < features; ++j)
    add(pooled, rows + size_t(column[j]) * dim, value[j], dim);
}

/// The error of each entry of a node, added into `pull`.
SEMDNS_HOST_LEVELS void choose(const float *vectors, const float *bias, size_t dim, size_t count,
                               size_t right, const float *pooled, float *pull, float *error) {
  float top = -1e30f, total = 0;
  for (size_t c = 0; c < count; ++c) {
    float z = dot(vectors + c * dim, pooled, dim) + bias[c];
    error[c] = z;
    top = z > top ? z : top;
  }
  for (size_t c = 0; c < count; ++c) {
    error[c] = expOf(error[c] - top);
    total += error[c];
  }
  for (size_t c = 0; c < count; ++c) {
    float e = error[c] / total - (c == right ? 1.0f : 0.0f);
    error[c] = e > -kStill && e < kStill ? 0 : e;
    if (error[c] != 0)
      add(pull, vectors + c * dim, error[c], dim);
  }
}

/// y -= rate * g / root of the mean square of all g so far; one mean for the vector.
SEMDNS_HOST_LEVELS void adapt(float *y, float *square, const float *x, float factor, float length,
                              float rate, size_t dim) {
  *square += factor * factor * length;
  add(y, x, -rate * factor / (__builtin_sqrtf(*square) + kTiny), dim);
}

SEMDNS_HOST_LEVELS float lengthOf(const float *x, size_t dim) {
  return dot(x, x, dim) / float(dim);
}

SEMDNS_HOST_LEVELS void logits(const float *vectors, const float *bias, size_t dim, size_t count,
                               const float *pooled, float *out) {
  for (size_t c = 0; c < count; ++c)
    out[c] = dot(vectors + c * dim, pooled, dim) + bias[c];
}

} // namespace

BeamFactors startBeam(const pack::BeamModel &beam, size_t features, std::span<const uint32_t> label,
                      std::span<const float> weight, size_t dim, uint64_t seed) {
  BeamFactors out;
  Factors &f = out.factors;
  f.features = features;
  f.classes = beam.entries();
  f.dim = dim;
  f.rows.resize(features * dim);
  f.vectors.resize(f.classes * dim);
  Random random(seed * 1000 + 77);
  const float length = 1 / float(std::sqrt(double(dim)));
  for (const semdns_beam_node &node : beam.nodes)
    for (size_t i = 0; i < node.entry_count * dim; ++i)
      f.vectors[node.entry_begin * dim + i] = float(random.normal()) * length;
  Ways ways(beam);
  std::vector<double> mass(f.classes);
  for (size_t i = 0; i < label.size(); ++i)
    if (weight[i] > 0)
      for (uint32_t e : ways.entries(label[i]))
        mass[e] += double(weight[i]);
  out.bias.resize(f.classes);
  for (const semdns_beam_node &node : beam.nodes) {
    double total = 0;
    for (uint32_t e = 0; e < node.entry_count; ++e)
      total += mass[node.entry_begin + e] + 0.5;
    for (uint32_t e = 0; e < node.entry_count; ++e)
      out.bias[node.entry_begin + e] =
          float(0.69314718055994531 *
                log2Of((mass[node.entry_begin + e] + 0.5) / total * node.entry_count));
  }
  return out;
}

void trainBeam(BeamFactors &model, const pack::BeamModel &beam, const SparseRows &x,
               std::span<const uint32_t> label, std::span<const float> weight,
               const BeamOptions &options) {
  Factors &f = model.factors;
  const size_t dim = f.dim;
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < x.rows(); ++i)
    if (weight[i] > 0 && x.begin[i + 1] > x.begin[i])
      live.push_back(i);
  const Ways ways(beam);
  const size_t batches = (live.size() + kBatch - 1) / kBatch;
  const double steps = double(live.size()) * options.epochs;
  const uint64_t dropBelow = uint64_t(options.dropped * 0x1p32);
  const float keptScale = float(1 / (1 - options.dropped));
  std::vector<float> rowSquare(f.features), vectorSquare(f.classes), biasSquare(f.classes);
  std::vector<Step> batch(kBatch);
  for (Step &s : batch) {
    s.pooled.resize(dim);
    s.pull.resize(dim);
  }
  std::vector<uint32_t> order;
  const uint32_t threads = std::clamp(options.threads, 1u, 16u);
  std::barrier barrier(threads);
  parallelFor(threads, threads, [&](size_t t) {
    for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
      if (t == 0)
        order = permutation(live.size(), options.seed * 1000 + 900 + epoch);
      barrier.arrive_and_wait();
      for (size_t b = 0; b < batches; ++b) {
        const size_t first = b * kBatch, count = std::min(kBatch, live.size() - first);
        for (size_t n = t; n < count; n += threads) {
          Step &s = batch[n];
          const size_t step = epoch * live.size() + first + n;
          const uint32_t i = live[order[first + n]];
          s.rate = float(options.rate * (1 - double(step) / steps)) * weight[i];
          Random random(options.seed * UINT64_C(0x9e3779b97f4a7c15) + step);
          s.column.clear();
          s.value.clear();
          for (size_t j = x.begin[i]; j < x.begin[i + 1]; ++j)
            if (random.next() >> 32 >= dropBelow) {
              s.column.push_back(x.column[j]);
              s.value.push_back(x.value[j] * keptScale);
            }
          poolText(f.rows.data(), dim, s.column.data(), s.value.data(), s.column.size(),
                   s.pooled.data());
          std::fill(s.pull.begin(), s.pull.end(), 0.0f);
          s.from.clear();
          s.count.clear();
          s.error.clear();
          for (uint32_t e : ways.entries(label[i])) {
            const semdns_beam_node &node = beam.nodes[ways.nodeOf(e)];
            s.from.push_back(node.entry_begin);
            s.count.push_back(node.entry_count);
            const size_t at = s.error.size();
            s.error.resize(at + node.entry_count);
            choose(&f.vectors[node.entry_begin * dim], &model.bias[node.entry_begin], dim,
                   node.entry_count, e - node.entry_begin, s.pooled.data(), s.pull.data(),
                   &s.error[at]);
          }
        }
        barrier.arrive_and_wait();
        // Each thread moves what is its own, by all texts in their order.
        for (size_t n = 0; n < count; ++n) {
          const Step &s = batch[n];
          const float pullLength = lengthOf(s.pull.data(), dim),
                      poolLength = lengthOf(s.pooled.data(), dim);
          for (size_t j = 0; j < s.column.size(); ++j) {
            const uint32_t c = s.column[j];
            if (c % threads == t)
              adapt(&f.rows[c * dim], &rowSquare[c], s.pull.data(), s.value[j], pullLength, s.rate,
                    dim);
          }
          size_t at = 0;
          for (size_t choice = 0; choice < s.from.size(); ++choice)
            for (uint32_t c = 0; c < s.count[choice]; ++c, ++at) {
              const uint32_t e = s.from[choice] + c;
              if (e % threads != t || s.error[at] == 0)
                continue;
              adapt(&f.vectors[e * dim], &vectorSquare[e], s.pooled.data(), s.error[at], poolLength,
                    s.rate, dim);
              biasSquare[e] += s.error[at] * s.error[at];
              model.bias[e] -= s.rate * 0.1f * s.error[at] / (__builtin_sqrtf(biasSquare[e]) + 1);
            }
        }
        barrier.arrive_and_wait();
      }
    }
  });
}

std::vector<double> beamLoss(const BeamFactors &model, const pack::BeamModel &beam,
                             const SparseRows &x, std::span<const uint32_t> rows,
                             std::span<const uint32_t> label, std::span<const double> sharpness,
                             unsigned threads) {
  const Factors &f = model.factors;
  const Ways ways(beam);
  std::vector<double> loss(rows.size() * sharpness.size());
  parallelFor(rows.size(), threads, [&](size_t n) {
    const uint32_t i = rows[n];
    std::vector<float> pooled(f.dim), z;
    poolText(f.rows.data(), f.dim, &x.column[x.begin[i]], &x.value[x.begin[i]],
             x.begin[i + 1] - x.begin[i], pooled.data());
    for (uint32_t e : ways.entries(label[i])) {
      const semdns_beam_node &node = beam.nodes[ways.nodeOf(e)];
      z.resize(node.entry_count);
      logits(&f.vectors[node.entry_begin * f.dim], &model.bias[node.entry_begin], f.dim,
             node.entry_count, pooled.data(), z.data());
      const float top = *std::max_element(z.begin(), z.end());
      for (size_t s = 0; s < sharpness.size(); ++s) {
        double total = 0;
        for (float v : z)
          total += double(expOf((v - top) * float(sharpness[s])));
        loss[n * sharpness.size() + s] += log2Of(total) * 0.69314718055994531 -
                                          double(z[e - node.entry_begin] - top) * sharpness[s];
      }
    }
  });
  std::vector<double> mean(sharpness.size());
  for (size_t n = 0; n < rows.size(); ++n)
    for (size_t s = 0; s < sharpness.size(); ++s)
      mean[s] += loss[n * sharpness.size() + s] / double(rows.size());
  return mean;
}

} // namespace semdns::train
