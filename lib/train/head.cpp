#include "lib/train/head.h"

#include <algorithm>
#include <cmath>

namespace semdns::train {

namespace {

constexpr double kBits = 256 * 1.4426950408889634; // of a natural logit, in 1/256 bit
constexpr int64_t kLogitMost = int64_t(1) << 29;
constexpr uint32_t kGainMost = (1u << 24) - 1;

uint64_t sharpness(const Pooled &pooled, uint32_t gain) {
  return std::min<uint64_t>(uint64_t(gain) * pooled.peak / pooled.norm, kGainMost);
}

int64_t limitOf(uint64_t g) { return int64_t(0x7fffffff) / int64_t(std::max<uint64_t>(g, 1)); }

} // namespace

std::vector<int32_t> relativeLogits(const Pooled &pooled, uint32_t gain) {
  uint64_t g = sharpness(pooled, gain);
  int64_t limit = limitOf(g);
  int32_t top = *std::max_element(pooled.scores.begin(), pooled.scores.end());
  std::vector<int32_t> out;
  for (int32_t s : pooled.scores) {
    int64_t x = int64_t(uint64_t(std::min<int64_t>(int64_t(top) - s, limit)) * g >> 16);
    out.push_back(int32_t(-std::min<int64_t>(x, 1 << 20)));
  }
  return out;
}

int32_t oddsOf(const Pooled &pooled, uint32_t gain, bool rootClass) {
  if (!rootClass || pooled.scores.size() < 2)
    return INT32_MAX;
  uint64_t g = sharpness(pooled, gain);
  int64_t limit = limitOf(g);
  int64_t d =
      int64_t(*std::max_element(pooled.scores.begin() + 1, pooled.scores.end())) - pooled.scores[0];
  int64_t size = int64_t(uint64_t(std::min(d < 0 ? -d : d, limit)) * g >> 16);
  return int32_t(d < 0 ? -size : size);
}

CodedEmbedding codeEmbedding(std::span<const float> e) {
  float peak = 0;
  for (float v : e)
    peak = std::max(peak, std::fabs(v));
  CodedEmbedding out;
  out.q.resize(e.size());
  out.peak = uint32_t(std::rint(peak * 65536));
  for (size_t d = 0; d < e.size() && peak > 0; ++d)
    out.q[d] = int8_t(std::clamp(std::rint(e[d] * 127 / peak), -127.0f, 127.0f));
  return out;
}

pack::EncoderHead quantiseHead(const DenseHead &head, double dense, double mix) {
  pack::EncoderHead out;
  out.width = uint32_t(head.width);
  float top = 0;
  for (float v : head.vectors)
    top = std::max(top, std::fabs(v));
  double scale = top > 0 ? 127 / double(top) : 1;
  for (float v : head.vectors)
    out.classes.push_back(int8_t(std::clamp(std::floor(double(v) * scale + 0.5), -127.0, 127.0)));
  for (float v : head.bias)
    out.bias.push_back(int32_t(std::clamp(std::floor(double(v) * dense * kBits + 0.5), -1e8, 1e8)));
  // s = sum q * c = (e . C) * 127 / peak * scale, and x = s * (gain * peak * 65536 >> 16) >> 16.
  double gain = 65536 * kBits * dense / (127 * scale);
  out.gain = uint32_t(std::clamp(gain + 0.5, 1.0, double(kGainMost)));
  out.mix = uint32_t(std::clamp(mix * 65536 + 0.5, 0.0, 16.0 * 65536));
  return out;
}

std::vector<int32_t> headLogits(const pack::EncoderHead &head, const CodedEmbedding &embedding,
                                std::span<const int32_t> relative) {
  uint64_t ge = std::min<uint64_t>(uint64_t(head.gain) * embedding.peak >> 16, kGainMost);
  std::vector<int32_t> out(head.bias.size());
  for (size_t k = 0; k < out.size(); ++k) {
    const int8_t *c = &head.classes[k * head.width];
    int32_t s = 0;
    for (size_t d = 0; d < head.width; ++d)
      s += int32_t(embedding.q[d]) * c[d];
    int64_t x = (int64_t(s) * int64_t(ge) >> 16) +
                (int64_t(relative[k]) * int64_t(head.mix) >> 16) + head.bias[k];
    out[k] = int32_t(std::clamp(x, -kLogitMost, kLogitMost));
  }
  return out;
}

uint64_t logitWeights(std::span<const int32_t> logits, std::vector<uint32_t> &weights) {
  const std::vector<uint32_t> &table = exp2Table();
  int64_t top = *std::max_element(logits.begin(), logits.end());
  uint64_t total = 0;
  weights.resize(logits.size());
  for (size_t k = 0; k < weights.size(); ++k) {
    int64_t y = std::min<int64_t>(top - logits[k], kLogitMost);
    weights[k] = y >> 8 > 16 ? 0 : table[size_t(y & 255)] >> (y >> 8);
    total += weights[k];
  }
  return total;
}

} // namespace semdns::train
