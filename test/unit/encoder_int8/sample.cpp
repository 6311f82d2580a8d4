#include "test/unit/encoder_int8/sample.h"

#include <cmath>

namespace semdns::test {
namespace {

class Source {
public:
  explicit Source(uint64_t seed) : state_(seed) {}
  /// splitmix64's step.
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  /// In [-1, 1), a multiple of 2^-20.
  float signedUnit() { return static_cast<float>(next() >> 43) * 0x1p-20f - 1.0f; }
  std::vector<int8_t> bytes(size_t count) {
    std::vector<int8_t> all(count);
    for (int8_t &b : all)
      b = static_cast<int8_t>(static_cast<int64_t>(next() % 255) - 127);
    return all;
  }
  /// middle + spread * [-1, 1), cut to what the format takes.
  std::vector<float> floats(size_t count, float middle, float spread, float least, float most) {
    std::vector<float> all(count);
    for (float &x : all)
      x = std::fmin(std::fmax(middle + spread * signedUnit(), least), most);
    return all;
  }

private:
  uint64_t state_;
};

pack::EncoderLinear linear(Source &source, uint32_t in, uint32_t out, float spread) {
  pack::EncoderLinear l;
  l.in = in;
  l.out = out;
  l.weights = source.bytes(size_t{in} * out);
  // Outputs of about unit size from inputs of unit size.
  const float scale = spread * 0.02f / std::sqrt(static_cast<float>(in));
  l.scales =
      source.floats(out, scale, 0.5f * scale, SEMDNS_ENCODER_MIN_SCALE, SEMDNS_ENCODER_MAX_SCALE);
  if (source.next() % 4 == 0)
    l.scales[source.next() % out] = 0;
  l.bias = source.floats(out, 0, 0.3f * spread, -SEMDNS_ENCODER_MAX_BIAS, SEMDNS_ENCODER_MAX_BIAS);
  l.smooth = source.floats(in, 1, 0.7f, SEMDNS_ENCODER_MIN_SCALE, SEMDNS_ENCODER_MAX_SMOOTH);
  return l;
}

} // namespace

pack::EncoderModel randomEncoder(const EncoderShape &shape, uint64_t seed) {
  Source source(seed);
  pack::EncoderModel m;
  m.heads = shape.heads;
  m.headSize = shape.headSize;
  m.width = shape.heads * shape.headSize;
  m.inner = shape.inner;
  m.vocabulary = shape.vocabulary;
  m.maxTokens = shape.maxTokens;
  m.pooling = shape.pooling;
  m.activation = shape.activation;
  m.words = source.bytes(size_t{m.vocabulary} * m.width);
  m.wordScales = source.floats(m.vocabulary, 0.001f, 0.0009f, SEMDNS_ENCODER_MIN_SCALE,
                               SEMDNS_ENCODER_MAX_SCALE);
  const float most = SEMDNS_ENCODER_MAX_NORM;
  m.positions = source.floats(size_t{m.maxTokens} * m.width, 0, 0.05f, -most, most);
  const auto gain = [&] { return source.floats(m.width, 1, 0.9f * shape.spread, -most, most); };
  const auto bias = [&] { return source.floats(m.width, 0, 0.2f * shape.spread, -most, most); };
  m.gain = gain();
  m.bias = bias();
  for (uint32_t i = 0; i < shape.layers; ++i) {
    pack::EncoderLayer l;
    l.attend = linear(source, m.width, 3 * m.room(), shape.spread);
    l.output = linear(source, m.room(), m.width, shape.spread);
    l.up = linear(source, m.width, m.inner, shape.spread);
    l.down = linear(source, m.inner, m.width, shape.spread);
    l.attentionGain = gain();
    l.attentionBias = bias();
    l.outputGain = gain();
    l.outputBias = bias();
    m.layers.push_back(std::move(l));
  }
  return m;
}

} // namespace semdns::test
