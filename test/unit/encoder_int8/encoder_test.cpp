// Stage 3's encoder in int8: the portable kernel, and where there is a compiler every compiled one,
// against the slow reference, bit for bit; what the validator refuses; the caller's float mode.
#include "lib/pack/encoder_build.h"
#include "lib/pack/wordpiece_build.h"
#include "lib/reference/encoder.h"
#include "runtime/exec/encoder.h"
#include "semdns/format/wordpiece.h"
#include "test/unit/encoder_int8/aligned.h"
#include "test/unit/encoder_int8/sample.h"
#ifdef WITH_KERNELS
#include "test/unit/encoder_int8/kernels.h"
#endif

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cmath>
#include <limits>
#include <random>

using namespace semdns;
using testing::HasSubstr;

namespace {

struct Packed {
  explicit Packed(const pack::EncoderModel &model) : section(bytes(model)) {
    base::Error error;
    EXPECT_TRUE(artifact::Encoder::parse({section.data(), section.size()}, encoder, error))
        << error.message;
  }
  static std::string bytes(const pack::EncoderModel &model) {
    std::string error;
    auto built = pack::buildEncoderSection(model, error);
    EXPECT_TRUE(built) << error;
    return built ? *built : std::string(64, '\0');
  }
  test::Aligned section;
  artifact::Encoder encoder;
};

reference::Embedding run(semdns_kernel_encode_fn encode, const Packed &packed,
                         const std::vector<uint32_t> &ids) {
  // What is left in the arena must not matter.
  test::Aligned arena(exec::encoderArenaSize(packed.encoder));
  std::memset(arena.data(), static_cast<int>(ids.size() * 37 + 0xff), arena.size());
  reference::Embedding e;
  e.q.assign(packed.encoder.header->width, -128);
  e.peak = 0xffffffff;
  encode(packed.encoder.data, ids.data(), static_cast<uint32_t>(ids.size()), arena.data(),
         e.q.data(), &e.peak);
  return e;
}

std::vector<uint32_t> randomIds(std::mt19937 &random, size_t count, uint32_t vocabulary) {
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < count; ++i)
    ids.push_back(static_cast<uint32_t>(random()) % vocabulary);
  return ids;
}

/// Runs of ids that meet every block size, both ends, and what no tokeniser would give.
std::vector<std::vector<uint32_t>> sequences(uint32_t vocabulary, uint32_t maxTokens) {
  std::mt19937 random(5);
  std::vector<std::vector<uint32_t>> all = {{}};
  for (size_t n : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 33})
    all.push_back(randomIds(random, n, vocabulary));
  all.push_back(randomIds(random, maxTokens, vocabulary));
  all.push_back(randomIds(random, maxTokens + 5, vocabulary)); // the last ones are not read
  all.push_back({0xffffffffu, vocabulary, vocabulary - 1, 0, 0x80000000u});
  all.push_back(std::vector<uint32_t>(40, vocabulary / 2)); // all the same
  return all;
}

void compare(const std::string &name, semdns_kernel_encode_fn encode, const Packed &packed,
             const std::vector<uint32_t> &ids, const reference::Embedding &expected) {
  reference::Embedding e = run(encode, packed, ids);
  ASSERT_EQ(e.peak, expected.peak) << name << ", " << ids.size() << " tokens";
  ASSERT_EQ(e.q, expected.q) << name << ", " << ids.size() << " tokens";
}

std::vector<test::EncoderShape> shapes() {
  test::EncoderShape two, odd, wide, tanh;
  odd.heads = 4; // heads of 24, padded to 32
  odd.headSize = 24;
  odd.inner = 80;
  odd.pooling = SEMDNS_POOLING_MAX;
  odd.maxTokens = 40;
  odd.activation = SEMDNS_ACTIVATION_RELU;
  wide.layers = 1;
  wide.heads = 1;
  wide.headSize = 48;
  wide.inner = 16;
  wide.pooling = SEMDNS_POOLING_CLS;
  wide.spread = 30;
  tanh.activation = SEMDNS_ACTIVATION_GELU_TANH;
  tanh.heads = 3;
  tanh.inner = 208;
  tanh.spread = 4;
  return {two, odd, wide, tanh};
}

TEST(EncoderInt8, PortableIsTheReference) {
  uint64_t seed = 1;
  for (const test::EncoderShape &shape : shapes())
    for (int i = 0; i < 3; ++i) {
      Packed packed(test::randomEncoder(shape, seed++));
      for (const auto &ids : sequences(shape.vocabulary, shape.maxTokens))
        compare("portable", exec::encodePortable, packed, ids,
                reference::encode(packed.section.view(), ids));
    }
}

#ifdef WITH_KERNELS
TEST(EncoderInt8, EveryLevelIsTheReference) {
  uint64_t seed = 100;
  const std::vector<test::EncoderShape> all = shapes();
  for (const test::EncoderShape &shape : {all[1], all[3]}) { // compiling takes seconds
    Packed first(test::randomEncoder(shape, seed));
    auto kernels = test::compileEncodeKernels(*first.encoder.header);
    ASSERT_FALSE(kernels.empty());
    for (int i = 0; i < 3; ++i) {
      Packed packed(test::randomEncoder(shape, seed++));
      for (const auto &ids : sequences(shape.vocabulary, shape.maxTokens)) {
        const auto expected = reference::encode(packed.section.view(), ids);
        for (const auto &kernel : kernels)
          compare(kernel.name, kernel.encode, packed, ids, expected);
      }
    }
  }
}

TEST(EncoderInt8, EveryLevelAtFullSize) {
  test::EncoderShape shape = test::miniShape();
  shape.vocabulary = 300;
  Packed packed(test::randomEncoder(shape, 9));
  auto kernels = test::compileEncodeKernels(*packed.encoder.header);
  std::mt19937 random(3);
  for (size_t n : {1, 10, 128}) {
    const auto ids = randomIds(random, n, shape.vocabulary);
    const auto expected = run(exec::encodePortable, packed, ids);
    for (const auto &kernel : kernels)
      compare(kernel.name, kernel.encode, packed, ids, expected);
  }
}
#endif

// All numbers at their limits, so that sums are as large as they can be: reference::encode ends the
// program where one is not finite.
TEST(EncoderInt8, LimitsKeepFinite) {
  for (const semdns_activation activation : {SEMDNS_ACTIVATION_GELU, SEMDNS_ACTIVATION_RELU}) {
    test::EncoderShape shape;
    shape.heads = 1;
    shape.headSize = 2048;
    shape.inner = 16384;
    shape.layers = 1;
    shape.maxTokens = 8;
    shape.vocabulary = 3;
    shape.activation = activation;
    pack::EncoderModel m = test::randomEncoder(shape, 1);
    const auto fill = [](auto &values, auto value) {
      std::fill(values.begin(), values.end(), value);
    };
    fill(m.words, int8_t{127});
    fill(m.wordScales, SEMDNS_ENCODER_MAX_SCALE);
    m.words[5] = -127;
    fill(m.gain, SEMDNS_ENCODER_MAX_NORM);
    fill(m.bias, SEMDNS_ENCODER_MAX_NORM);
    for (pack::EncoderLinear *l :
         {&m.layers[0].attend, &m.layers[0].output, &m.layers[0].up, &m.layers[0].down}) {
      fill(l->weights, int8_t{127});
      fill(l->scales, SEMDNS_ENCODER_MAX_SCALE);
      fill(l->bias, SEMDNS_ENCODER_MAX_BIAS);
      fill(l->smooth, SEMDNS_ENCODER_MAX_SMOOTH);
    }
    for (size_t i = 0; i < m.layers[0].down.weights.size() / 2; ++i)
      m.layers[0].down.weights[i] = -127;
    Packed packed(m);
    const std::vector<uint32_t> ids = {0, 1, 2};
    compare("portable", exec::encodePortable, packed, ids,
            reference::encode(packed.section.view(), ids));
  }
}

TEST(EncoderInt8, SmallestNumbers) {
  test::EncoderShape shape;
  pack::EncoderModel m = test::randomEncoder(shape, 2);
  for (float &x : m.positions)
    x = 0;
  for (float &x : m.wordScales)
    x = SEMDNS_ENCODER_MIN_SCALE;
  for (float &x : m.gain)
    x = 0x1p-126f;
  for (float &x : m.bias)
    x = 0;
  for (pack::EncoderLayer &l : m.layers)
    for (float &x : l.outputGain)
      x = -0x1p-126f;
  for (pack::EncoderLayer &l : m.layers)
    for (float &x : l.outputBias)
      x = 0;
  Packed packed(m);
  for (const auto &ids : sequences(shape.vocabulary, shape.maxTokens)) {
    const auto expected = reference::encode(packed.section.view(), ids);
    EXPECT_EQ(expected.peak, 0u); // nothing but zeros
    compare("portable", exec::encodePortable, packed, ids, expected);
  }
}

/// A tokeniser of the words a, b and c.
std::string wordPiece(uint32_t vocabulary) {
  pack::WordPieceModel m;
  m.start = {{"a", 4}, {"b", 5}, {"c", 6}};
  m.vocabulary = vocabulary;
  m.unknown = 1;
  m.cls = 2;
  m.sep = 3;
  m.stage1.assign(SEMDNS_WPCE_STAGE1_SIZE, 0);
  m.blocks.assign(SEMDNS_WPCE_BLOCK_SIZE,
                  SEMDNS_WPCE_IDENTITY << 24 | uint32_t{SEMDNS_WPCE_WORD} << 21);
  m.blocks[' '] = uint32_t{SEMDNS_WPCE_SPACE} << 21;
  std::string error;
  auto built = pack::buildWordPieceSection(m, error);
  EXPECT_TRUE(built) << error;
  return built ? *built : std::string();
}

struct Asked {
  bool answered = false;
  exec::Encoded encoded;
  std::vector<int8_t> q;
};

Asked ask(const Packed &packed, const test::Aligned &wpce, std::string_view text,
          std::string_view context = {}) {
  semdns_kernel_query query = {};
  query.text = reinterpret_cast<const uint8_t *>(text.data());
  query.text_size = text.size();
  query.context = reinterpret_cast<const uint8_t *>(context.data());
  query.context_size = context.size();
  test::Aligned arena(exec::encoderArenaSize(packed.encoder));
  Asked asked;
  asked.q.assign(packed.encoder.header->width, -128);
  asked.answered = exec::encodeQuery(packed.encoder, wpce.data(), exec::encodePortable, query,
                                     arena.data(), asked.q.data(), asked.encoded);
  return asked;
}

TEST(EncoderInt8, QueriesAreWindows) {
  Packed packed(test::randomEncoder({}, 3));
  test::Aligned wpce(wordPiece(50));
  const Asked plain = ask(packed, wpce, "a b");
  ASSERT_TRUE(plain.answered);
  EXPECT_EQ(plain.encoded.tokens, 4u);
  EXPECT_EQ(plain.q, reference::encode(packed.section.view(), std::vector<uint32_t>{2, 4, 5, 3}).q);
  const Asked within = ask(packed, wpce, "a b", "c c");
  EXPECT_EQ(within.encoded.tokens, 7u);
  EXPECT_EQ(within.q,
            reference::encode(packed.section.view(), std::vector<uint32_t>{2, 6, 6, 3, 4, 5, 3}).q);
  const Asked longer = ask(
      packed, wpce, std::string(2000, 'a') + std::string(500, ' ') + [] {
        std::string words;
        for (int i = 0; i < 400; ++i)
          words += "b ";
        return words;
      }());
  EXPECT_EQ(longer.encoded.tokens, 128u);
  EXPECT_EQ(longer.encoded.flags, SEMDNS_KERNEL_TRUNCATED);
  for (std::string_view empty : {"", " ", "     "})
    for (std::string_view context : {"", "a b c"}) {
      const Asked asked = ask(packed, wpce, empty, context);
      EXPECT_FALSE(asked.answered);
      EXPECT_EQ(asked.encoded.peak, 0u);
      EXPECT_EQ(asked.q, std::vector<int8_t>(asked.q.size()));
    }
  EXPECT_EQ(ask(packed, wpce, "\xff").encoded.flags, SEMDNS_KERNEL_REPAIRED);
}

#ifdef __x86_64__
TEST(EncoderInt8, CallersFloatModeDoesNotMatter) {
  Packed packed(test::randomEncoder({}, 3));
  test::Aligned wpce(wordPiece(50));
  const Asked expected = ask(packed, wpce, "a b c a b c b b");
  const unsigned before = __builtin_ia32_stmxcsr();
  // Flush to zero and denormals are zero; round up; round to zero; all exceptions trap.
  for (unsigned mode : {0x9fc0u, 0x5f80u, 0x7f80u, 0x0000u}) {
    __builtin_ia32_ldmxcsr(mode);
    const Asked asked = ask(packed, wpce, "a b c a b c b b");
    const unsigned after = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before);
    EXPECT_EQ(after, mode);
    EXPECT_EQ(asked.encoded.peak, expected.encoded.peak);
    EXPECT_EQ(asked.q, expected.q);
  }
}
#endif

TEST(EncoderInt8, PackingIsDeterministicAndChecks) {
  pack::EncoderModel m = test::randomEncoder({}, 4);
  EXPECT_EQ(Packed::bytes(m), Packed::bytes(test::randomEncoder({}, 4)));
  std::string error;
  pack::EncoderModel broken = m;
  broken.words[3] = -128;
  EXPECT_FALSE(pack::buildEncoderSection(broken, error));
  EXPECT_THAT(error, HasSubstr("-128"));
  broken = m;
  broken.layers[1].up.scales.pop_back();
  EXPECT_FALSE(pack::buildEncoderSection(broken, error));
  broken = m;
  broken.layers.clear();
  EXPECT_FALSE(pack::buildEncoderSection(broken, error));
  broken = m;
  broken.maxTokens = 129;
  EXPECT_FALSE(pack::buildEncoderSection(broken, error));
  for (float x : {std::numeric_limits<float>::quiet_NaN(), 0x1p-130f, 1e10f, -1e10f}) {
    broken = m;
    broken.gain[3] = x;
    EXPECT_FALSE(pack::buildEncoderSection(broken, error));
    broken = m;
    broken.layers[1].down.scales[2] = x;
    EXPECT_FALSE(pack::buildEncoderSection(broken, error));
    EXPECT_THAT(error, HasSubstr("weight"));
    broken = m;
    broken.layers[0].up.smooth[2] = x;
    EXPECT_FALSE(pack::buildEncoderSection(broken, error));
  }
  broken = m;
  broken.headSize = 17;
  EXPECT_FALSE(pack::buildEncoderSection(broken, error));
}

/// What the validator says of a section changed by `change`; empty: nothing.
template <typename Change> std::string refusal(const std::string &good, Change &&change) {
  test::Aligned section(good);
  change(section.data());
  artifact::Encoder encoder;
  base::Error error;
  if (artifact::Encoder::parse({section.data(), section.size()}, encoder, error)) {
    EXPECT_EQ(error.code, SEMDNS_OK);
    return "";
  }
  EXPECT_STREQ(error.section, "ENCM");
  return error.message;
}

TEST(EncoderInt8, ValidatorRefuses) {
  const std::string good = Packed::bytes(test::randomEncoder({}, 5));
  semdns_encm_header h;
  std::memcpy(&h, good.data(), sizeof h);
  const semdns_encm_layer layer = semdns_encm_layer_of(&h);
  const auto put = [&](uint64_t offset, auto value) {
    return refusal(good, [&](uint8_t *at) { std::memcpy(at + offset, &value, sizeof value); });
  };
  EXPECT_EQ(refusal(good, [](uint8_t *) {}), "");
  for (uint64_t field = 0; field < sizeof h; field += 4)
    if (field != offsetof(semdns_encm_header, pooling) &&
        field != offsetof(semdns_encm_header, activation) &&
        field != offsetof(semdns_encm_header, token_cost)) {
      EXPECT_NE(put(field, uint32_t{1} << 31), "") << field;
      EXPECT_NE(put(field, uint32_t{0xffffffff}), "") << field;
    }
  EXPECT_THAT(put(offsetof(semdns_encm_header, pooling), 3u), HasSubstr("pooling"));
  EXPECT_THAT(put(offsetof(semdns_encm_header, activation), 3u), HasSubstr("activation"));
  EXPECT_EQ(put(offsetof(semdns_encm_header, token_cost), 12345u), "");
  EXPECT_THAT(put(offsetof(semdns_encm_header, width), 31u), HasSubstr("multiples of 16"));
  EXPECT_THAT(put(offsetof(semdns_encm_header, reserved), 1u), HasSubstr("reserved"));

  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const uint64_t second = h.layers_offset + h.layer_stride;
  for (float x : {kNan, -kNan, kInfinity, -kInfinity, 0x1p-140f, -0x1p-127f, 1e6f, -1e6f}) {
    EXPECT_NE(put(offsetof(semdns_encm_header, epsilon), x), "") << x;
    EXPECT_THAT(put(h.word_scales_offset + 8, x), HasSubstr("word_scales[2]")) << x;
    EXPECT_THAT(put(h.positions_offset, x), HasSubstr("positions")) << x;
    EXPECT_THAT(put(h.norm_offset + 4, x), HasSubstr("norm[1]")) << x;
    EXPECT_THAT(put(second + layer.attend.scales, x), HasSubstr("query, key, value")) << x;
    EXPECT_THAT(put(second + layer.output.bias, x), HasSubstr("output")) << x;
    EXPECT_THAT(put(second + layer.up.smooth, x), HasSubstr("up")) << x;
    EXPECT_THAT(put(second + layer.output_norm + 8, x), HasSubstr("output's norm")) << x;
  }
  EXPECT_EQ(put(h.word_scales_offset + 8, 0.0f), "");
  EXPECT_NE(put(h.word_scales_offset + 8, -0.01f), "");
  EXPECT_NE(put(second + layer.up.smooth, 0.0f), "");
  EXPECT_EQ(put(second + layer.down.bias, -0.0f), "");
  EXPECT_THAT(put(h.words_offset + 7, int8_t{-128}), HasSubstr("-128"));
  EXPECT_THAT(put(second + layer.down.weights + 9, int8_t{-128}), HasSubstr("-128"));
  EXPECT_THAT(put(second + layer.down.offsets + 4, 1), HasSubstr("offset of output 1"));
  EXPECT_THAT(put(second + layer.down.weights, int8_t(good[second + layer.down.weights] ^ 1)),
              HasSubstr("offset of output 0"));
  for (size_t size : {size_t{0}, size_t{100}, sizeof h, good.size() - 64, good.size() - 1}) {
    test::Aligned section(std::string_view(good).substr(0, size));
    artifact::Encoder encoder;
    base::Error error;
    EXPECT_FALSE(artifact::Encoder::parse({section.data(), section.size()}, encoder, error))
        << size;
  }
}

} // namespace
