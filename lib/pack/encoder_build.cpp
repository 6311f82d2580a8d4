#include "lib/pack/encoder_build.h"

#include "lib/pack/section_bytes.h"

#include <algorithm>
#include <cmath>

namespace semdns::pack {
namespace {

bool fits(const EncoderLinear &l, uint32_t in, uint32_t out) {
  return l.in == in && l.out == out && l.weights.size() == size_t{in} * out &&
         l.scales.size() == out && l.bias.size() == out && l.smooth.size() == in;
}

bool hasMinimum(const std::vector<int8_t> &values) {
  return std::find(values.begin(), values.end(), INT8_MIN) != values.end();
}

bool within(const std::vector<float> &values, float most) {
  return std::all_of(values.begin(), values.end(), [=](float x) {
    const float size = std::fabs(x); // NaN fails the comparison
    return x == 0 || (size >= 0x1p-126f && size <= most);
  });
}
bool areScales(const std::vector<float> &values) {
  return std::all_of(values.begin(), values.end(), [](float x) {
    return x == 0 || (x >= SEMDNS_ENCODER_MIN_SCALE && x <= SEMDNS_ENCODER_MAX_SCALE);
  });
}
bool areFactors(const std::vector<float> &values) {
  return std::all_of(values.begin(), values.end(), [](float x) {
    return x >= SEMDNS_ENCODER_MIN_SCALE && x <= SEMDNS_ENCODER_MAX_SMOOTH;
  });
}
bool areNorms(std::initializer_list<const std::vector<float> *> all) {
  return std::all_of(all.begin(), all.end(), [](const std::vector<float> *values) {
    return within(*values, SEMDNS_ENCODER_MAX_NORM);
  });
}

void append(SectionBytes &bytes, const EncoderLinear &l) {
  std::vector<int8_t> packed(l.weights.size());
  std::vector<int32_t> offsets(l.out);
  for (uint32_t o = 0; o < l.out; ++o) {
    const int8_t *row = l.weights.data() + size_t{o} * l.in;
    int32_t sum = 0;
    for (uint32_t i = 0; i < l.in; ++i) {
      size_t line = size_t{o / 16} * (l.in / 4) + i / 4;
      packed[line * 64 + o % 16 * 4 + i % 4] = row[i];
      sum += row[i];
    }
    offsets[o] = -128 * sum;
  }
  bytes.append(packed);
  bytes.append(offsets);
  bytes.append(l.scales);
  bytes.append(l.bias);
  bytes.append(l.smooth);
}

} // namespace

std::optional<std::string> buildEncoderSection(const EncoderModel &m, std::string &error) {
  const auto bad = [&](const char *what) {
    error = std::string("encoder: ") + what;
    return std::nullopt;
  };
  const uint32_t width = m.width, inner = m.inner, room = m.room();
  if (m.layers.empty() || m.layers.size() > SEMDNS_ENCODER_MAX_LAYERS)
    return bad("1 to 48 layers are possible");
  if (m.heads < 1 || m.heads > SEMDNS_ENCODER_MAX_HEADS || m.headSize < 1 ||
      uint64_t{m.heads} * m.headSize != width || room > SEMDNS_ENCODER_MAX_WIDTH)
    return bad("heads do not fit the width, or are too many, or too wide when padded");
  if (width % 16 || width > SEMDNS_ENCODER_MAX_WIDTH || inner < 16 || inner % 16 ||
      inner > SEMDNS_ENCODER_MAX_INNER)
    return bad("width and inner width must be multiples of 16 up to 2048 and 16384");
  if (m.vocabulary < 1 || m.vocabulary > SEMDNS_ENCODER_MAX_VOCABULARY ||
      m.maxTokens < SEMDNS_ENCODER_MIN_TOKENS || m.maxTokens > SEMDNS_ENCODER_MAX_TOKENS)
    return bad("1 to 2^20 words and windows of 8 to 128 tokens are possible");
  if (m.words.size() != size_t{m.vocabulary} * width || m.wordScales.size() != m.vocabulary ||
      m.positions.size() != size_t{m.maxTokens} * width || m.gain.size() != width ||
      m.bias.size() != width)
    return bad("the embeddings' arrays do not fit the shape");
  if (hasMinimum(m.words))
    return bad("a word has the value -128");
  if (!areScales(m.wordScales) || !areNorms({&m.positions, &m.gain, &m.bias}))
    return bad("a word, position or norm is not finite or too large: words to 31.75, others to 64");
  if (!(m.epsilon >= SEMDNS_ENCODER_MIN_EPSILON && m.epsilon <= SEMDNS_ENCODER_MAX_EPSILON))
    return bad("the norms' epsilon must be from 2^-48 to 1");
  for (const EncoderLayer &l : m.layers) {
    if (!fits(l.attend, width, 3 * room) || !fits(l.output, room, width) ||
        !fits(l.up, width, inner) || !fits(l.down, inner, width) ||
        l.attentionGain.size() != width || l.attentionBias.size() != width ||
        l.outputGain.size() != width || l.outputBias.size() != width)
      return bad("a layer's arrays do not fit the shape");
    if (!areNorms({&l.attentionGain, &l.attentionBias, &l.outputGain, &l.outputBias}))
      return bad("a layer's norm is not finite or too large: to 64");
    for (const EncoderLinear *linear : {&l.attend, &l.output, &l.up, &l.down}) {
      if (hasMinimum(linear->weights))
        return bad("a weight has the value -128");
      if (!areScales(linear->scales) || !areFactors(linear->smooth) ||
          !within(linear->bias, SEMDNS_ENCODER_MAX_BIAS))
        return bad(
            "a weight or bias is not finite or too large: weights to 31.75, biases to 65536");
    }
  }
  semdns_encm_header header = {};
  header.layer_count = static_cast<uint32_t>(m.layers.size());
  header.heads = m.heads;
  header.head_size = m.headSize;
  header.head_room = m.headRoom();
  header.width = width;
  header.inner = inner;
  header.vocabulary = m.vocabulary;
  header.max_tokens = m.maxTokens;
  header.pooling = m.pooling;
  header.activation = m.activation;
  header.epsilon = m.epsilon;
  header.token_cost = m.tokenCost;
  header.layer_stride = semdns_encm_layer_of(&header).end;
  SectionBytes bytes(sizeof header);
  header.words_offset = bytes.append(m.words);
  header.word_scales_offset = bytes.append(m.wordScales);
  header.positions_offset = bytes.append(m.positions);
  header.norm_offset = bytes.append(m.gain);
  bytes.append(m.bias);
  for (const EncoderLayer &l : m.layers) {
    const uint64_t begin = bytes.append(l.attentionGain.data(), 0);
    if (&l == m.layers.data())
      header.layers_offset = begin;
    append(bytes, l.attend);
    append(bytes, l.output);
    bytes.append(l.attentionGain);
    bytes.append(l.attentionBias);
    append(bytes, l.up);
    append(bytes, l.down);
    bytes.append(l.outputGain);
    bytes.append(l.outputBias);
  }
  return bytes.finish(header);
}

} // namespace semdns::pack
