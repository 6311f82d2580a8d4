/// \file The encoder once more, in double precision and as plainly as can be: what the tests of
/// lib/encoder's arithmetic compare with.
#pragma once

#include "lib/encoder/model.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace semdns::encoder::reference {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;

inline Vector affine(const Linear &linear, const Vector &x) {
  Vector y(linear.bias.begin(), linear.bias.end());
  for (size_t o = 0; o < y.size(); ++o)
    for (size_t i = 0; i < x.size(); ++i)
      y[o] += double(linear.weight[o * x.size() + i]) * x[i];
  return y;
}

inline Vector layerNorm(const Norm &norm, const Vector &x, double epsilon) {
  double mean = 0, variance = 0;
  for (double v : x)
    mean += v / double(x.size());
  for (double v : x)
    variance += (v - mean) * (v - mean) / double(x.size());
  Vector y(x.size());
  for (size_t d = 0; d < x.size(); ++d)
    y[d] = (x[d] - mean) / std::sqrt(variance + epsilon) * norm.gain[d] + norm.bias[d];
  return y;
}

inline double activate(Activation activation, double x) {
  switch (activation) {
  case Activation::Gelu:
    return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
  case Activation::GeluTanh:
    return x * 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  default:
    return std::max(x, 0.0);
  }
}

inline Vector plus(const Vector &a, const Vector &b) {
  Vector c = a;
  for (size_t i = 0; i < c.size(); ++i)
    c[i] += b[i];
  return c;
}

/// Pooled and scaled to length 1.
inline Vector embed(const Model &model, const std::vector<uint32_t> &ids) {
  const Shape &shape = model.shape;
  const Weights &weights = model.weights;
  size_t width = shape.width, size = width / shape.heads, length = ids.size();
  Rows x(length, Vector(width));
  for (size_t t = 0; t < length; ++t) {
    for (size_t d = 0; d < width; ++d)
      x[t][d] = double(weights.words[ids[t] * width + d]) + weights.positions[t * width + d] +
                weights.types[d];
    x[t] = layerNorm(weights.embeddingNorm, x[t], shape.layerNormEpsilon);
  }
  for (const Layer &layer : weights.layers) {
    Rows q, k, v, context(length, Vector(width));
    for (const Vector &row : x) {
      q.push_back(affine(layer.query, row));
      k.push_back(affine(layer.key, row));
      v.push_back(affine(layer.value, row));
    }
    for (size_t h = 0; h < width; h += size)
      for (size_t i = 0; i < length; ++i) {
        Vector p(length);
        double total = 0;
        for (size_t j = 0; j < length; ++j) {
          for (size_t d = h; d < h + size; ++d)
            p[j] += q[i][d] * k[j][d];
        }
        double top = *std::max_element(p.begin(), p.end());
        for (double &score : p)
          total += score = std::exp((score - top) / std::sqrt(double(size)));
        for (size_t j = 0; j < length; ++j)
          for (size_t d = h; d < h + size; ++d)
            context[i][d] += p[j] / total * v[j][d];
      }
    for (size_t t = 0; t < length; ++t) {
      Vector middle = layerNorm(layer.attentionNorm, plus(x[t], affine(layer.output, context[t])),
                                shape.layerNormEpsilon);
      Vector up = affine(layer.up, middle);
      for (double &u : up)
        u = activate(shape.activation, u);
      x[t] =
          layerNorm(layer.outputNorm, plus(middle, affine(layer.down, up)), shape.layerNormEpsilon);
    }
  }
  Vector pooled = x[0];
  for (size_t t = 1; t < length && shape.pooling != Pooling::Cls; ++t)
    for (size_t d = 0; d < width; ++d)
      pooled[d] =
          shape.pooling == Pooling::Mean ? pooled[d] + x[t][d] : std::max(pooled[d], x[t][d]);
  double squares = 0;
  for (double v : pooled)
    squares += v * v;
  for (double &v : pooled)
    v /= std::sqrt(squares); // the mean's 1 / length cancels out
  return pooled;
}

/// A random model. `spread` is the standard deviation of its weights.
inline Model randomModel(uint32_t layers, uint32_t width, uint32_t heads, uint32_t inner,
                         uint32_t vocabulary, uint32_t positions, uint32_t seed,
                         double spread = 0.2) {
  std::mt19937 bits(seed);
  std::normal_distribution<double> normal;
  Model model;
  Shape &shape = model.shape;
  shape.layers = layers;
  shape.heads = heads;
  shape.width = width;
  shape.inner = inner;
  shape.vocabulary = vocabulary;
  shape.positions = shape.maxTokens = positions;
  shape.types = 2;
  auto fill = [&](std::vector<float> &values, size_t count, double centre) {
    values.resize(count);
    for (float &v : values)
      v = float(centre + spread * normal(bits));
  };
  auto linear = [&](Linear &l, size_t out, size_t in) {
    fill(l.weight, out * in, 0);
    fill(l.bias, out, 0);
  };
  auto norm = [&](Norm &n) {
    fill(n.gain, width, 1);
    fill(n.bias, width, 0);
  };
  Weights &w = model.weights;
  fill(w.words, size_t(vocabulary) * width, 0);
  fill(w.positions, size_t(positions) * width, 0);
  fill(w.types, 2 * size_t(width), 0);
  norm(w.embeddingNorm);
  w.layers.resize(layers);
  for (Layer &layer : w.layers) {
    for (Linear *l : {&layer.query, &layer.key, &layer.value, &layer.output})
      linear(*l, width, width);
    norm(layer.attentionNorm);
    linear(layer.up, inner, width);
    linear(layer.down, width, inner);
    norm(layer.outputNorm);
  }
  model.digest = "random";
  return model;
}

/// Sequences of 1..longest random ids.
inline std::vector<std::vector<uint32_t>> randomSequences(const Model &model, size_t count,
                                                          uint32_t longest, uint32_t seed) {
  std::mt19937 bits(seed);
  std::vector<std::vector<uint32_t>> sequences(count);
  for (auto &sequence : sequences) {
    sequence.resize(1 + bits() % longest);
    for (uint32_t &id : sequence)
      id = uint32_t(bits() % model.shape.vocabulary);
  }
  return sequences;
}

} // namespace semdns::encoder::reference
