#include "lib/train/embedding.h"

#include "lib/support/parallel.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace semdns::train {

namespace {

// Chosen by measurement on clinc150, banking77 and hwu64 (docs/architecture.md, "Training").
constexpr double kIdfPower = 0.4;
constexpr double kWordFactor = 2; // words and word pairs, against 1 for characters
constexpr size_t kFactorSample = 8192;

double power(double x, double exponent) {
  // x^exponent through base-2 logarithms; 2^f by its series on [0, 1).
  double t = log2Of(x) * exponent, whole = std::floor(t), f = (t - whole) * 0.69314718055994531;
  double term = 1, sum = 1;
  for (int i = 1; i < 16; ++i) {
    term = term * f / i;
    sum += term;
  }
  for (; whole >= 1; whole -= 1)
    sum *= 2;
  for (; whole <= -1; whole += 1)
    sum *= 0.5;
  return sum;
}

uint32_t normOf(size_t texts, uint32_t documentCount, bool isChars) {
  double idf = 1 + logOf(1 + texts) - logOf(1 + documentCount);
  double weight = power(idf, kIdfPower) * (isChars ? 1 : kWordFactor);
  return uint32_t(std::clamp(weight * kNormOne + 0.5, 1.0, 65535.0));
}

int8_t toInt8(double x) { return int8_t(std::clamp(std::floor(x + 0.5), -127.0, 127.0)); }

} // namespace

FeatureWeights weighFeatures(const Vocabulary &vocabulary) {
  FeatureWeights w;
  w.norm.resize(vocabulary.hashes.size());
  for (size_t f = 0; f < w.norm.size(); ++f)
    w.norm[f] = normOf(vocabulary.texts, vocabulary.documentCount[f], vocabulary.isChars[f]);
  w.unknownNorm = normOf(vocabulary.texts, 0, false);
  return w;
}

SparseRows vectorise(std::span<const Counts> texts, const FeatureWeights &weights) {
  SparseRows x;
  for (const Counts &text : texts) {
    double square = double(text.unknownUnigrams) * weights.unknownNorm * weights.unknownNorm;
    for (auto [f, count] : text.known)
      square += double(count) * weights.norm[f] * weights.norm[f];
    double inverse = square > 0 ? 1 / std::sqrt(square) : 0;
    for (auto [f, count] : text.known) {
      x.column.push_back(f);
      x.value.push_back(float(count * (weights.norm[f] * inverse)));
    }
    x.begin.push_back(x.column.size());
  }
  return x;
}

Factors factorise(const BlockWeights &weights, const SparseRows &x, size_t dim, unsigned threads) {
  size_t classes = weights.classes, features = weights.features;
  std::vector<uint32_t> sample(std::min(x.rows(), kFactorSample));
  for (size_t i = 0; i < sample.size(); ++i)
    sample[i] = uint32_t(i * x.rows() / sample.size());
  std::vector<float> scores = scoreRows(x, sample, weights, threads);
  // What is added to all classes alike changes no answer: leave it out of the factorisation.
  for (size_t i = 0; i < sample.size(); ++i) {
    float *z = &scores[i * classes];
    double mean = 0;
    for (size_t k = 0; k < classes; ++k)
      mean += z[k];
    mean /= double(classes);
    for (size_t k = 0; k < classes; ++k)
      z[k] -= float(mean);
  }
  Matrix covariance(classes, classes);
  parallelFor(classes, threads, [&](size_t k) {
    double *out = covariance.row(k);
    for (size_t i = 0; i < sample.size(); ++i) {
      const float *z = &scores[i * classes];
      double zk = z[k];
      for (size_t j = 0; j < classes; ++j)
        out[j] += zk * z[j];
    }
  });
  size_t rank = std::min(dim, classes);
  Matrix vectors = dominantEigenvectors(covariance, rank, threads);
  // The rotation spreads the variance evenly over the dimensions: int8 is used best so.
  Matrix rotation = randomRotation(dim, 11);

  Factors out;
  out.features = features;
  out.classes = classes;
  out.dim = dim;
  out.vectors.resize(classes * dim);
  for (size_t k = 0; k < classes; ++k)
    for (size_t d = 0; d < dim; ++d) {
      double sum = 0;
      for (size_t r = 0; r < rank; ++r)
        sum += vectors.row(k)[r] * rotation.row(r)[d];
      out.vectors[k * dim + d] = float(sum);
    }
  // rows = centred weights * vectors; the centring is moved to the vectors, where it is cheap.
  std::vector<float> centred = out.vectors;
  for (size_t d = 0; d < dim; ++d) {
    double mean = 0;
    for (size_t k = 0; k < classes; ++k)
      mean += out.vectors[k * dim + d];
    mean /= double(classes);
    for (size_t k = 0; k < classes; ++k)
      centred[k * dim + d] -= float(mean);
  }
  out.rows.resize(features * dim);
  constexpr size_t kChunk = 512;
  parallelFor((features + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
    for (size_t f = chunk * kChunk; f < std::min(features, (chunk + 1) * kChunk); ++f) {
      float *row = &out.rows[f * dim];
      for (size_t b = 0; b < weights.blocks.size(); ++b)
        for (size_t k = b * kLanes; k < std::min(classes, (b + 1) * kLanes); ++k) {
          float w = weights.blocks[b][f * kLanes + k % kLanes];
          if (w == 0)
            continue;
          const float *v = &centred[k * dim];
          for (size_t d = 0; d < dim; ++d)
            row[d] += w * v[d];
        }
    }
  });
  return out;
}

Factors projectCentroids(const SparseRows &x, size_t features, std::span<const uint32_t> label,
                         std::span<const float> weight, size_t classes, size_t dim) {
  Factors out;
  out.features = features;
  out.classes = classes;
  out.dim = dim;
  out.rows.resize(features * dim);
  Random random(13);
  float length = 1 / float(std::sqrt(double(dim)));
  for (size_t i = 0; i < classes * dim; ++i)
    out.vectors.push_back(float(random.normal()) * length);
  std::vector<float> perClass(classes), mean(dim);
  for (size_t i = 0; i < x.rows(); ++i)
    perClass[label[i]] += weight[i];
  for (size_t k = 0; k < classes; ++k)
    for (size_t d = 0; d < dim; ++d)
      mean[d] += out.vectors[k * dim + d] / float(classes);
  for (size_t i = 0; i < x.rows(); ++i) {
    if (!(weight[i] > 0))
      continue;
    const float *v = &out.vectors[label[i] * dim];
    float share = weight[i] / perClass[label[i]];
    for (size_t j = x.begin[i]; j < x.begin[i + 1]; ++j) {
      float *row = &out.rows[x.column[j] * dim];
      for (size_t d = 0; d < dim; ++d)
        row[d] += (v[d] - mean[d]) * (share * x.value[j]);
    }
  }
  return out;
}

Quantised quantise(const Factors &factors, const Vocabulary &vocabulary,
                   const FeatureWeights &weights, const FeatureShape &shape, size_t maxRows,
                   std::span<const double> prior) {
  size_t dim = factors.dim, features = factors.features;
  // A row as it is stored includes the feature's weight: occurrences only add up.
  std::vector<double> energy(features);
  for (size_t f = 0; f < features; ++f) {
    double square = 0;
    for (size_t d = 0; d < dim; ++d)
      square += double(factors.rows[f * dim + d]) * factors.rows[f * dim + d];
    energy[f] = square * weights.norm[f] * weights.norm[f] * vocabulary.documentCount[f];
  }
  std::vector<uint32_t> kept;
  for (uint32_t f = 0; f < features; ++f)
    if (energy[f] > 0)
      kept.push_back(f);
  size_t limit = maxRows - 1;
  if (kept.size() > limit) {
    std::sort(kept.begin(), kept.end(), [&](uint32_t a, uint32_t b) {
      return energy[a] != energy[b] ? energy[a] > energy[b] : a < b;
    });
    kept.resize(limit);
    std::sort(kept.begin(), kept.end());
  }

  // The step of the rows: the one that loses least, clipping included, over the training texts.
  double largest = 0;
  for (uint32_t f : kept)
    for (size_t d = 0; d < dim; ++d)
      largest = std::max(largest, std::fabs(double(factors.rows[f * dim + d])) * weights.norm[f]);
  double bestClip = largest, bestLoss = -1;
  double clip = largest;
  for (int trial = 0; trial < 24 && largest > 0; ++trial, clip *= 0.85) {
    double loss = 0, scale = 127 / clip;
    for (uint32_t f : kept) {
      double own = 0;
      for (size_t d = 0; d < dim; ++d) {
        double v = double(factors.rows[f * dim + d]) * weights.norm[f];
        double error = v - toInt8(v * scale) / scale;
        own += error * error;
      }
      loss += own * vocabulary.documentCount[f];
    }
    if (bestLoss < 0 || loss < bestLoss) {
      bestLoss = loss;
      bestClip = clip;
    }
  }
  double rowScale = bestClip > 0 ? 127 / bestClip : 1;
  double top = 0;
  for (float v : factors.vectors)
    top = std::max(top, std::fabs(double(v)));
  double classScale = top > 0 ? 127 / top : 1;

  Quantised out;
  pack::EmbeddingModel &m = out.model;
  m.dim = uint32_t(dim);
  m.punct = shape.punct;
  m.wordNgramMax = shape.wordNgramMax;
  m.charNgramMin = shape.charNgramMin;
  m.charNgramMax = shape.charNgramMax;
  m.unknownNorm = weights.unknownNorm;
  out.rowOf.resize(features);
  for (size_t f = 0; f < features; ++f)
    out.rowOf[f] = vocabulary.isUnigram[f] ? kPrunedWord : kPruned;
  m.hashes.push_back(0);
  m.norms.push_back(0);
  // The bias only decides for texts without any known feature: one step towards the commonest.
  std::vector<double> bias(dim);
  double biasTop = 0;
  for (size_t d = 0; d < dim; ++d) {
    for (size_t k = 0; k < factors.classes; ++k)
      bias[d] += prior[k] * factors.vectors[k * dim + d];
    biasTop = std::max(biasTop, std::fabs(bias[d]));
  }
  for (size_t d = 0; d < dim; ++d)
    m.rows.push_back(biasTop > 0 ? toInt8(bias[d] / biasTop * 2) : int8_t(0));
  for (uint32_t f : kept) {
    size_t start = m.rows.size();
    bool any = false;
    for (size_t d = 0; d < dim; ++d) {
      int8_t v = toInt8(double(factors.rows[f * dim + d]) * weights.norm[f] * rowScale);
      any |= v != 0;
      m.rows.push_back(v);
    }
    // A word that says nothing still is a known word; n-grams that round to nothing go.
    if (!any && !vocabulary.isUnigram[f]) {
      m.rows.resize(start);
      continue;
    }
    out.rowOf[f] = uint32_t(m.hashes.size());
    m.hashes.push_back(vocabulary.hashes[f]);
    m.norms.push_back(uint16_t(weights.norm[f]));
  }
  m.classes.resize(factors.classes * dim);
  for (size_t i = 0; i < m.classes.size(); ++i)
    m.classes[i] = toInt8(factors.vectors[i] * classScale);
  // s * m / 127 = (row sums) . (class) in steps; n is in the same units as the weights in the rows.
  out.scale = 1 / (127 * rowScale * classScale);
  return out;
}

Pooled scoreInteger(const pack::EmbeddingModel &model, const std::vector<uint32_t> &rowOf,
                    const Counts &text) {
  size_t dim = model.dim, classes = dim ? model.classes.size() / dim : 0;
  Pooled out;
  std::vector<int32_t> pool(model.rows.begin(), model.rows.begin() + ptrdiff_t(dim));
  uint64_t square = uint64_t(text.unknownUnigrams) * model.unknownNorm * model.unknownNorm;
  for (auto [f, count] : text.known) {
    uint32_t row = rowOf[f];
    if (row == kPrunedWord)
      square += uint64_t(count) * model.unknownNorm * model.unknownNorm;
    if (row == kPruned || row == kPrunedWord)
      continue;
    const int8_t *v = &model.rows[size_t(row) * dim];
    for (size_t d = 0; d < dim; ++d)
      pool[d] += int32_t(count) * v[d];
    square += uint64_t(count) * model.norms[row] * model.norms[row];
    out.rows += count;
  }
  uint64_t root = uint64_t(std::sqrt(double(square)));
  while (root * root > square)
    --root;
  while ((root + 1) * (root + 1) <= square)
    ++root;
  out.norm = uint32_t(std::max<uint64_t>(root, 1));
  for (int32_t p : pool)
    out.peak = std::max(out.peak, uint32_t(p < 0 ? -p : p));
  std::vector<int32_t> q(dim);
  if (out.peak) {
    int64_t r = (int64_t(127) << 24) / out.peak;
    for (size_t d = 0; d < dim; ++d)
      q[d] = int32_t((pool[d] * r + (1 << 23)) >> 24);
  }
  out.scores.resize(classes);
  for (size_t k = 0; k < classes; ++k) {
    const int8_t *c = &model.classes[k * dim];
    int32_t sum = 0;
    for (size_t d = 0; d < dim; ++d)
      sum += q[d] * c[d];
    out.scores[k] = sum;
  }
  return out;
}

const std::vector<uint32_t> &exp2Table() {
  static const std::vector<uint32_t> table = [] {
    std::vector<uint32_t> t(256);
    for (int i = 0; i < 256; ++i)
      t[size_t(i)] = uint32_t(65536 * power(2, -i / 256.0) + 0.5);
    return t;
  }();
  return table;
}

uint64_t softWeights(const Pooled &pooled, uint32_t gain, std::vector<uint32_t> &weights) {
  const std::vector<uint32_t> &table = exp2Table();
  uint64_t g = std::min<uint64_t>(uint64_t(gain) * pooled.peak / pooled.norm, (1u << 24) - 1);
  int64_t limit = int64_t(0x7fffffff) / int64_t(std::max<uint64_t>(g, 1));
  int32_t top = *std::max_element(pooled.scores.begin(), pooled.scores.end());
  uint64_t total = 0;
  weights.resize(pooled.scores.size());
  for (size_t k = 0; k < weights.size(); ++k) {
    uint64_t x = uint64_t(std::min<int64_t>(int64_t(top) - pooled.scores[k], limit)) * g >> 16;
    weights[k] = x >> 8 > 16 ? 0 : table[x & 255] >> (x >> 8);
    total += weights[k];
  }
  return total;
}

} // namespace semdns::train
