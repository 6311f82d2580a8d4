#include "lib/sim/encoder.h"

#include "lib/pack/encoder_build.h"
#include "lib/pack/wordpiece_build.h"
#include "semdns/format/wordpiece.h"

#include <algorithm>

namespace semdns::sim {
namespace {

constexpr uint32_t kWidth = 16, kTokens = 24;

/// Each letter and digit is a piece.
pack::WordPieceModel letters() {
  pack::WordPieceModel m;
  m.pad = 0;
  m.unknown = 1;
  m.cls = 2;
  m.sep = 3;
  m.vocabulary = 4;
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyz0123456789"))
    for (auto *pieces : {&m.start, &m.next})
      pieces->push_back({std::string(1, c), m.vocabulary++});
  m.stage1.assign(SEMDNS_WPCE_STAGE1_SIZE, 1);
  m.stage1[0] = 0;
  for (uint32_t c = 0; c < SEMDNS_WPCE_BLOCK_SIZE; ++c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool word = upper || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    const uint32_t kind = word                     ? SEMDNS_WPCE_WORD
                          : c <= 0x20 || c == 0x7f ? SEMDNS_WPCE_SPACE
                                                   : SEMDNS_WPCE_SINGLE;
    m.blocks.push_back((upper ? c + 32 : c) | kind << 21);
  }
  m.blocks.resize(2 * SEMDNS_WPCE_BLOCK_SIZE, SEMDNS_WPCE_WORD << 21 | SEMDNS_WPCE_IDENTITY << 24);
  return m;
}

/// Maps everything to zero.
pack::EncoderLinear nothing(uint32_t in, uint32_t out) {
  return {in,
          out,
          std::vector<int8_t>(size_t{in} * out),
          std::vector<float>(out),
          std::vector<float>(out),
          std::vector<float>(in, 1)};
}

pack::EncoderModel encoder(uint32_t vocabulary, uint64_t cost) {
  pack::EncoderModel m;
  m.heads = 1;
  m.headSize = m.width = m.inner = kWidth;
  m.vocabulary = vocabulary;
  m.maxTokens = kTokens;
  m.tokenCost = static_cast<uint32_t>(std::min<uint64_t>(cost / kTokens, UINT32_MAX));
  for (uint32_t i = 0; i < vocabulary * kWidth; ++i)
    m.words.push_back(static_cast<int8_t>((i * 37 + i / kWidth) % 255) - 127);
  m.wordScales.assign(vocabulary, 0.001f);
  m.positions.assign(size_t{kTokens} * kWidth, 0);
  m.gain.assign(kWidth, 1);
  m.bias.assign(kWidth, 0);
  pack::EncoderLayer layer;
  layer.attend = nothing(kWidth, 3 * m.room());
  layer.output = nothing(m.room(), kWidth);
  layer.up = nothing(kWidth, kWidth);
  layer.down = nothing(kWidth, kWidth);
  layer.attentionGain = layer.outputGain = m.gain;
  layer.attentionBias = layer.outputBias = m.bias;
  m.layers.push_back(layer);
  return m;
}

} // namespace

bool addEncoder(pack::RoutingModel &model, uint32_t zones, uint32_t zone, uint64_t cost,
                EncoderSections &out, std::string &error) {
  pack::EmbeddingModel &e = model.embedding;
  e.dim = kWidth;
  e.hashes = {0};
  e.rows.assign(kWidth, 0);
  e.norms = {0};
  for (uint32_t z = 1; z < zones; ++z) {
    model.classZone.push_back(z);
    model.head.bias.push_back(z == zone ? 4000 : 0); // in 1/256 bit: next to certain
  }
  e.classes.assign(size_t{kWidth} * model.classZone.size(), 0);
  model.head.width = kWidth;
  model.head.classes = e.classes;
  model.head.acceptance.threshold.assign(zones, 0);
  const pack::WordPieceModel tokens = letters();
  const auto wpce = pack::buildWordPieceSection(tokens, error);
  const auto encm = pack::buildEncoderSection(encoder(tokens.vocabulary, cost), error);
  if (!wpce || !encm)
    return false;
  out = {*wpce, *encm};
  return true;
}

} // namespace semdns::sim
