#include "test/unit/runtime/with_encoder.h"

#include "lib/pack/encoder_build.h"
#include "lib/pack/wordpiece_build.h"
#include "semdns/format/wordpiece.h"
#include "test/unit/encoder_int8/sample.h"

#include <cstdio>
#include <cstdlib>

namespace semdns::test {
namespace {

std::string need(std::optional<std::string> bytes, const std::string &error) {
  if (bytes)
    return *bytes;
  std::fprintf(stderr, "with_encoder: %s\n", error.c_str());
  std::abort();
}

pack::WordPieceModel letters() {
  pack::WordPieceModel m;
  m.pad = 0;
  m.unknown = 1;
  m.cls = 2;
  m.sep = 3;
  m.vocabulary = 4;
  for (char c : std::string("abcdefghijklmnopqrstuvwxyz0123456789"))
    for (auto *pieces : {&m.start, &m.next})
      pieces->push_back({std::string(1, c), m.vocabulary++});
  m.stage1.assign(SEMDNS_WPCE_STAGE1_SIZE, 1);
  m.stage1[0] = 0;
  for (uint32_t i = 0; i < 2 * SEMDNS_WPCE_BLOCK_SIZE; ++i) {
    uint32_t kind = SEMDNS_WPCE_SINGLE, value = i;
    if (i >= 0x80) { // words that the vocabulary cannot spell
      m.blocks.push_back(SEMDNS_WPCE_WORD << 21 | SEMDNS_WPCE_IDENTITY << 24);
      continue;
    }
    if (i <= 0x20 || i == 0x7f)
      kind = SEMDNS_WPCE_SPACE;
    else if ((i >= '0' && i <= '9') || (i >= 'a' && i <= 'z'))
      kind = SEMDNS_WPCE_WORD;
    else if (i >= 'A' && i <= 'Z')
      kind = SEMDNS_WPCE_WORD, value = i + 32;
    m.blocks.push_back(value | kind << 21);
  }
  return m;
}

} // namespace

TestModel makeEncoderModel(ModelOptions options, uint32_t tokenCost) {
  if (!options.encoderWidth)
    options.encoderWidth = 32;
  TestModel model = makeModel(options);
  std::string error;
  const pack::WordPieceModel tokens = letters();
  EncoderShape shape;
  shape.layers = 1;
  shape.heads = options.encoderWidth / 16;
  shape.vocabulary = tokens.vocabulary;
  shape.maxTokens = 24;
  pack::EncoderModel encoder = randomEncoder(shape, options.seed);
  encoder.tokenCost = tokenCost;
  model.wpce = need(pack::buildWordPieceSection(tokens, error), error);
  model.encm = need(pack::buildEncoderSection(encoder, error), error);
  return model;
}

} // namespace semdns::test
