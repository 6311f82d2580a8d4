// The coders `fast` and `max`: exact in both directions for any bytes, the same bytes on every
// level and for any number of threads; better than nothing; no trust in what comes from outside.
#include "lib/codec/model.h"
#include "runtime/codec/model.h"
#include "test/unit/codec_model/synthetic.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace semdns::codec {
namespace {

struct Free {
  void operator()(void *p) const { free(p); }
};
using Aligned = std::unique_ptr<uint8_t, Free>;
Aligned aligned(size_t size) {
  const size_t rounded = (size + 63) & ~size_t{63};
  Aligned p(static_cast<uint8_t *>(aligned_alloc(64, rounded)));
  memset(p.get(), 0, rounded);
  return p;
}

std::vector<uint8_t> build(uint32_t kind, unsigned threads = 1, bool text = true) {
  const std::vector<std::string> documents = syntheticDocuments(30, 100, 1);
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  ModelOptions options;
  options.kind = kind;
  options.maxBytes = 4 << 20;
  options.threads = threads;
  options.keepText = text;
  options.maxTokens = 2048;
  return buildModel(views, options);
}

class Model : public testing::TestWithParam<uint32_t> {
protected:
  void SetUp() override {
    static const std::vector<uint8_t> built[2] = {build(SEMDNS_MODEL_BYTES),
                                                  build(SEMDNS_MODEL_TOKENS)};
    section_ = built[GetParam() == SEMDNS_MODEL_TOKENS];
    ASSERT_FALSE(section_.empty());
    bytes_ = aligned(section_.size());
    memcpy(bytes_.get(), section_.data(), section_.size());
    uint64_t at = 0;
    const char *wrong = attachModel(bytes_.get(), section_.size(), tables_, at);
    ASSERT_EQ(wrong, nullptr) << wrong << " at " << at;
    scratch_ = aligned(modelScratch(tables_, mode()));
  }
  Mode mode() const { return GetParam() == SEMDNS_MODEL_TOKENS ? Mode::Fast : Mode::Max; }

  std::vector<uint8_t> encode(std::string_view text, size_t capacity = 1 << 20) {
    std::vector<uint8_t> out(capacity);
    out.resize(modelEncode(tables_, mode(), reinterpret_cast<const uint8_t *>(text.data()),
                           text.size(), out.data(), capacity, scratch_.get()));
    return out;
  }
  bool decode(const std::vector<uint8_t> &coded, std::string &text) {
    // Exactly as large as may be read and written, for the sanitizers.
    Aligned in(static_cast<uint8_t *>(malloc(coded.size() + 1)));
    memcpy(in.get() + 1, coded.data(), coded.size());
    return modelDecode(tables_, mode(), in.get() + 1, coded.size(),
                       reinterpret_cast<uint8_t *>(text.data()), text.size(), scratch_.get());
  }
  void roundTrip(const std::string &text) {
    const std::vector<uint8_t> coded = encode(text);
    ASSERT_FALSE(coded.empty());
    std::string back(text.size(), '?');
    ASSERT_TRUE(decode(coded, back));
    ASSERT_TRUE(back == text) << text.size() << " bytes differ";
  }

  std::vector<uint8_t> section_;
  Aligned bytes_, scratch_;
  ModelTables tables_{};
};

TEST_P(Model, ExactForAnyBytes) {
  roundTrip("");
  for (int b = 0; b < 256; ++b)
    roundTrip(std::string(1, char(b)));
  roundTrip(std::string(5000, '\0'));
  roundTrip(std::string(5000, '\xff'));
  uint32_t state = 7;
  for (const size_t size : {2u, 3u, 17u, 1000u, 4096u, 65536u}) {
    std::string noise(size, 0);
    for (char &c : noise)
      c = char((state = state * 1664525 + 1013904223) >> 24);
    roundTrip(noise);
  }
  for (const std::string &text : syntheticDocuments(3, 60, 5))
    for (const size_t size : {1u, 100u, 1024u, 4096u})
      roundTrip(text.substr(0, size));
  std::string mixed = syntheticDocuments(1, 30, 6)[0];
  mixed.insert(100, "\xc3\x28 \xe2\x82 broken UTF-8 \xf0\x9f\x98\x80");
  for (size_t i = 0; i < mixed.size(); i += 97)
    mixed[i] = char(i);
  roundTrip(mixed);
}

TEST_P(Model, LearnsTheDomain) {
  const std::string text = syntheticDocuments(1, 100, 11)[0].substr(0, 4096);
  // About 2.4 bits a word of five bytes are left to say; beyond 5 no one gets by chance.
  EXPECT_GT(text.size(), 5 * encode(text).size());
}

TEST_P(Model, SameBytesOnEveryLevel) {
  const std::string text = syntheticDocuments(1, 100, 12)[0];
  const std::vector<uint8_t> wide = encode(text);
  tables_.wide = false;
  EXPECT_EQ(encode(text), wide);
  std::string back(text.size(), 0);
  EXPECT_TRUE(decode(wide, back));
  EXPECT_EQ(back, text);
}

TEST_P(Model, ScratchKeepsNothing) {
  const std::string a = syntheticDocuments(1, 50, 13)[0], b = syntheticDocuments(1, 50, 14)[0];
  const std::vector<uint8_t> first = encode(a);
  encode(b);
  memset(scratch_.get(), 0xa5, modelScratch(tables_, mode()));
  EXPECT_EQ(encode(a), first);
  EXPECT_LE(modelScratch(tables_, mode()), mode() == Mode::Fast ? 4u << 20 : 32u << 20);
}

TEST_P(Model, SaysWhenItDoesNotFit) {
  const std::string text = syntheticDocuments(1, 50, 15)[0];
  const size_t size = encode(text).size();
  EXPECT_EQ(encode(text, size).size(), size);
  EXPECT_EQ(encode(text, size - 1).size(), 0u);
  EXPECT_EQ(encode(text, 0).size(), 0u);
  EXPECT_EQ(encode(std::string(kMaxBlock + 1, 'a')).size(), 0u);
}

TEST_P(Model, SurvivesWrongPayloads) {
  const std::string text = syntheticDocuments(1, 50, 16)[0];
  const std::vector<uint8_t> coded = encode(text);
  std::string back(text.size(), 0);
  std::vector<uint8_t> longer = coded;
  longer.resize(coded.size() + 8, 1);
  EXPECT_FALSE(decode(longer, back)); // something behind the end
  EXPECT_FALSE(modelDecode(tables_, mode(), coded.data(), coded.size(), nullptr, kMaxBlock + 1,
                           scratch_.get()));
  uint32_t state = 3;
  for (int round = 0; round < 200; ++round) {
    std::vector<uint8_t> bad = coded;
    for (int k = 0; k < 3; ++k) {
      state = state * 1664525 + 1013904223;
      bad[(state >> 8) % bad.size()] ^= uint8_t(1u << (state >> 29));
    }
    bad.resize(bad.size() - (state >> 4) % 9);
    std::string other(1 + (state >> 3) % text.size(), 0);
    decode(bad, other); // either way; the sanitizers watch
  }
}

TEST_P(Model, ThreadsDoNotMatter) { EXPECT_TRUE(build(GetParam(), 2) == section_); }

TEST_P(Model, WithoutText) {
  const std::vector<uint8_t> plain = build(GetParam(), 1, false);
  ASSERT_FALSE(plain.empty());
  semdns_model_header h;
  memcpy(&h, plain.data(), sizeof h);
  EXPECT_EQ(h.text_count, 0u);
}

TEST_P(Model, AttachRefuses) {
  ModelTables t;
  uint64_t at = 0;
  EXPECT_NE(attachModel(bytes_.get(), 63, t, at), nullptr);
  EXPECT_NE(attachModel(bytes_.get(), section_.size() - 1, t, at), nullptr);
  const auto with = [&](size_t offset, uint32_t value) {
    uint32_t before;
    memcpy(&before, bytes_.get() + offset, 4);
    memcpy(bytes_.get() + offset, &value, 4);
    const char *wrong = attachModel(bytes_.get(), section_.size(), t, at);
    memcpy(bytes_.get() + offset, &before, 4);
    return wrong != nullptr;
  };
  EXPECT_TRUE(with(offsetof(semdns_model_header, version), 2));
  EXPECT_TRUE(with(offsetof(semdns_model_header, kind), 3));
  EXPECT_TRUE(with(offsetof(semdns_model_header, line_count), 0));
  EXPECT_TRUE(with(offsetof(semdns_model_header, line_count), ~0u));
  EXPECT_TRUE(with(offsetof(semdns_model_header, text_count), ~0u));
  EXPECT_TRUE(with(offsetof(semdns_model_header, index_bits), 40));
  EXPECT_TRUE(with(offsetof(semdns_model_header, token_count), 17));
  EXPECT_TRUE(with(offsetof(semdns_model_header, rate), 0));
  EXPECT_TRUE(with(offsetof(semdns_model_header, reserved), 1));
  EXPECT_TRUE(with(64, 0x7fff7fff)); // log-odds
  if (GetParam() == SEMDNS_MODEL_TOKENS) {
    semdns_model_header h;
    memcpy(&h, section_.data(), sizeof h);
    const model::Layout l = model::layoutOf<model::Tokens>(h);
    for (const uint64_t area : {l.tokenOffsets, l.tokenCodes, l.tokenChildren})
      EXPECT_TRUE(with(area, ~0u)) << area;
    EXPECT_TRUE(with(l.tokenFirsts + 2 * 0x4140, ~0u));
    EXPECT_TRUE(with(l.tokenLengths, ~0u));
    EXPECT_TRUE(with(l.successors, ~0u));
    EXPECT_EQ(at, l.successors);
    EXPECT_TRUE(with(offsetof(semdns_model_header, successor_lines), 0));
  }
}

TEST_P(Model, TooLittleText) {
  const std::vector<std::string_view> none;
  ModelOptions options;
  options.kind = GetParam();
  EXPECT_TRUE(buildModel(none, options).empty());
  const std::vector<std::string_view> two = {"a b c", "a b c d"};
  EXPECT_TRUE(buildModel(two, options).empty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, Model, testing::Values(SEMDNS_MODEL_BYTES, SEMDNS_MODEL_TOKENS));

} // namespace
} // namespace semdns::codec
