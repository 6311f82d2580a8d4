#include "lib/encoder/quantise.h"

#include "kernels/encode.h"
#include "lib/encoder/tokeniser.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

namespace semdns::encoder {
namespace {

constexpr uint32_t kMaps = 4; // linear maps of a layer, numbered as uk_layer does
constexpr uint32_t kSequences = 32, kPieces = 14;

/// Denormals, which the format excludes, become 0.
float normal(float x) { return std::fabs(x) < 0x1p-126f ? 0.0f : x; }

std::vector<float> normals(const std::vector<float> &from) {
  std::vector<float> to(from.size());
  std::transform(from.begin(), from.end(), to.begin(), normal);
  return to;
}

/// A row in int8 and its scale; a row that is as good as zero becomes that.
float quantiseRow(const float *row, size_t count, int8_t *to) {
  float top = 0;
  bool finite = true;
  for (size_t i = 0; i < count; ++i) {
    top = std::max(top, std::fabs(row[i]));
    finite = finite && std::isfinite(row[i]);
  }
  if (!finite) { // packing refuses this scale
    std::fill(to, to + count, int8_t{0});
    return std::numeric_limits<float>::infinity();
  }
  float scale = top / 127.0f;
  if (!(scale >= SEMDNS_ENCODER_MIN_SCALE)) {
    std::fill(to, to + count, int8_t{0});
    return 0;
  }
  for (size_t i = 0; i < count; ++i)
    to[i] = static_cast<int8_t>(std::nearbyint(row[i] / scale));
  return scale;
}

/// Where output `o` of a map comes from among its model's rows, -1: padding.
using RowOf = int64_t (*)(uint32_t o, uint32_t size, uint32_t room);
int64_t plain(uint32_t o, uint32_t, uint32_t) { return o; }
/// Channels of a head's padded room.
int64_t ofHead(uint32_t o, uint32_t size, uint32_t room) {
  return o % room < size ? int64_t{o / room} * size + o % room : -1;
}

/// Appends `from`'s outputs to `to`, times `factor`. Inputs are padded like heads, or not.
void append(pack::EncoderLinear &to, const Linear &from, uint32_t outputs, RowOf rowOf,
            RowOf columnOf, uint32_t columns, uint32_t size, uint32_t room, float factor) {
  std::vector<float> row(to.in);
  for (uint32_t o = 0; o < outputs; ++o) {
    const int64_t source = rowOf(o, size, room);
    std::fill(row.begin(), row.end(), 0.0f);
    if (source >= 0)
      for (uint32_t i = 0; i < to.in; ++i)
        if (int64_t column = columnOf(i, size, room); column >= 0)
          row[i] =
              from.weight[static_cast<size_t>(source) * columns + static_cast<size_t>(column)] *
              factor / to.smooth[i];
    to.weights.resize(to.weights.size() + to.in);
    to.scales.push_back(
        quantiseRow(row.data(), to.in, to.weights.data() + to.weights.size() - to.in));
    to.bias.push_back(source < 0 ? 0.0f : normal(from.bias[static_cast<size_t>(source)] * factor));
  }
  to.out += outputs;
}

/// smooth[layer][map][input]
using Smooth = std::vector<std::array<std::vector<float>, kMaps>>;

pack::EncoderModel convert(const Model &model, uint32_t layers, const Smooth &smooth) {
  const Shape &shape = model.shape;
  const Weights &weights = model.weights;
  pack::EncoderModel m;
  m.heads = shape.heads;
  m.headSize = shape.width / shape.heads;
  m.width = shape.width;
  m.inner = shape.inner;
  m.vocabulary = shape.vocabulary;
  m.maxTokens = windowTokens(shape);
  m.pooling = shape.pooling == Pooling::Mean  ? SEMDNS_POOLING_MEAN
              : shape.pooling == Pooling::Cls ? SEMDNS_POOLING_CLS
                                              : SEMDNS_POOLING_MAX;
  m.activation = shape.activation == Activation::Gelu       ? SEMDNS_ACTIVATION_GELU
                 : shape.activation == Activation::GeluTanh ? SEMDNS_ACTIVATION_GELU_TANH
                                                            : SEMDNS_ACTIVATION_RELU;
  m.epsilon = std::max(shape.layerNormEpsilon, SEMDNS_ENCODER_MIN_EPSILON);
  m.words.resize(size_t{m.vocabulary} * m.width);
  for (size_t w = 0; w < m.vocabulary; ++w)
    m.wordScales.push_back(
        quantiseRow(weights.words.data() + w * m.width, m.width, m.words.data() + w * m.width));
  for (size_t i = 0; i < size_t{m.maxTokens} * m.width; ++i)
    m.positions.push_back(normal(weights.positions[i] + weights.types[i % m.width]));
  m.gain = normals(weights.embeddingNorm.gain);
  m.bias = normals(weights.embeddingNorm.bias);
  const uint32_t size = m.headSize, headRoom = m.headRoom(), room = m.room();
  const float share = 1.0f / std::sqrt(static_cast<float>(size));
  for (uint32_t i = 0; i < layers; ++i) {
    const Layer &from = weights.layers[i];
    pack::EncoderLayer to;
    const std::array<pack::EncoderLinear *, kMaps> maps = {&to.attend, &to.output, &to.up,
                                                           &to.down};
    const std::array<uint32_t, kMaps> inputs = {m.width, room, m.width, m.inner};
    for (uint32_t k = 0; k < kMaps; ++k) {
      maps[k]->in = inputs[k];
      maps[k]->smooth = smooth.empty() ? std::vector<float>(inputs[k], 1.0f) : smooth[i][k];
    }
    append(to.attend, from.query, room, ofHead, plain, m.width, size, headRoom, share);
    append(to.attend, from.key, room, ofHead, plain, m.width, size, headRoom, 1);
    append(to.attend, from.value, room, ofHead, plain, m.width, size, headRoom, 1);
    append(to.output, from.output, m.width, plain, ofHead, m.width, size, headRoom, 1);
    append(to.up, from.up, m.inner, plain, plain, m.width, 0, 0, 1);
    append(to.down, from.down, m.width, plain, plain, m.inner, 0, 0, 1);
    to.attentionGain = normals(from.attentionNorm.gain);
    to.attentionBias = normals(from.attentionNorm.bias);
    to.outputGain = normals(from.outputNorm.gain);
    to.outputBias = normals(from.outputNorm.bias);
    m.layers.push_back(std::move(to));
  }
  return m;
}

struct FreeAligned {
  void operator()(uint8_t *p) const { ::operator delete(p, std::align_val_t{64}); }
};
using Aligned = std::unique_ptr<uint8_t, FreeAligned>;
Aligned aligned(size_t size) {
  return Aligned(static_cast<uint8_t *>(::operator new(size, std::align_val_t{64})));
}

/// The largest magnitude of every input channel over random token sequences.
Smooth largestInputs(const Model &model, const pack::EncoderModel &packed) {
  Smooth largest(packed.layers.size());
  for (size_t i = 0; i < largest.size(); ++i) {
    const pack::EncoderLayer &l = packed.layers[i];
    const uint32_t inputs[kMaps] = {l.attend.in, l.output.in, l.up.in, l.down.in};
    for (uint32_t k = 0; k < kMaps; ++k)
      largest[i][k].assign(inputs[k], 0.0f);
  }
  std::string error;
  const auto bytes = pack::buildEncoderSection(packed, error);
  if (!bytes)
    return largest; // packing will say why
  const Aligned section = aligned(bytes->size());
  std::memcpy(section.get(), bytes->data(), bytes->size());
  const auto *header = reinterpret_cast<const semdns_encm_header *>(section.get());
  const Aligned arena = aligned(uk_encode_arena(header).end);

  std::vector<uint32_t> pieces; // those that texts are made of: no [UNK], no [unused17]
  for (uint32_t id = 0; id < model.tokeniser.pieces.size() && id < packed.vocabulary; ++id)
    if (const std::string &p = model.tokeniser.pieces[id]; p.size() < 2 || p.front() != '[')
      pieces.push_back(id);
  if (pieces.empty())
    pieces.push_back(0);
  uint64_t state = 1;
  const auto next = [&state] { // splitmix64
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  };
  const uint32_t count = std::min(kPieces + 2, packed.maxTokens);
  for (uint32_t s = 0; s < kSequences; ++s) {
    uint32_t ids[kPieces + 2];
    for (uint32_t &id : ids)
      id = pieces[next() % pieces.size()];
    ids[0] = model.tokeniser.cls;
    ids[count - 1] = model.tokeniser.sep;
    uk_look_up(header, section.get(), ids, count, arena.get());
    for (size_t i = 0; i < largest.size(); ++i)
      uk_layer<2, 1>(header, section.get() + header->layers_offset + i * header->layer_stride,
                     arena.get(), count, [&](uint32_t map, const float *rows, uint32_t inputs) {
                       float *most = largest[i][map].data();
                       for (uint32_t t = 0; t < count; ++t)
                         for (uint32_t d = 0; d < inputs; ++d)
                           most[d] = std::max(most[d], std::fabs(rows[size_t{t} * inputs + d]));
                     });
  }
  return largest;
}

/// largest[d] becomes the factor of input d.
void balance(std::vector<float> &largest, const pack::EncoderLinear &map) {
  std::vector<float> weight(map.in);
  for (uint32_t o = 0; o < map.out; ++o)
    for (uint32_t d = 0; d < map.in; ++d)
      weight[d] =
          std::max(weight[d], std::fabs(static_cast<float>(map.weights[size_t{o} * map.in + d]) *
                                        map.scales[o]));
  // Relative to the middle one, so that scales stay as they are on the whole.
  std::vector<float> factors(map.in, 1.0f), known;
  for (uint32_t d = 0; d < map.in; ++d)
    if (largest[d] > 0x1p-20f && weight[d] > 0x1p-20f)
      known.push_back(factors[d] = std::sqrt(weight[d] / largest[d]));
  if (!known.empty()) {
    std::nth_element(known.begin(), known.begin() + known.size() / 2, known.end());
    const float middle = known[known.size() / 2];
    for (uint32_t d = 0; d < map.in; ++d)
      factors[d] = largest[d] > 0x1p-20f && weight[d] > 0x1p-20f
                       ? std::clamp(factors[d] / middle, 1 / SEMDNS_ENCODER_MAX_SMOOTH,
                                    SEMDNS_ENCODER_MAX_SMOOTH)
                       : 1.0f;
  }
  largest = std::move(factors);
}

} // namespace

pack::EncoderModel quantise(const Model &model, uint32_t layers) {
  pack::EncoderModel plainly = convert(model, layers, {});
  Smooth smooth = largestInputs(model, plainly);
  for (size_t i = 0; i < smooth.size(); ++i) {
    const pack::EncoderLayer &l = plainly.layers[i];
    const pack::EncoderLinear *maps[kMaps] = {&l.attend, &l.output, &l.up, &l.down};
    for (uint32_t k = 0; k < kMaps; ++k)
      balance(smooth[i][k], *maps[k]);
  }
  return convert(model, layers, smooth);
}

} // namespace semdns::encoder
