// Frames, blocks, the tables of turbo: what is written is read back, what is damaged is refused.
#include "runtime/codec/frame.h"
#include "runtime/codec/turbo.h"
#include "test/unit/codec/sample.h"
#include "tools/codec_handles.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

namespace semdns {
namespace {

using codec::BlockHeader;
using codec::FrameHeader;

/// Bytes at a 64-byte boundary, with nothing behind them.
struct Aligned {
  explicit Aligned(const std::vector<uint8_t> &from)
      : bytes(static_cast<uint8_t *>(std::aligned_alloc(64, (from.size() + 63) / 64 * 64)),
              &std::free),
        size(from.size()) {
    std::copy(from.begin(), from.end(), bytes.get());
  }
  std::unique_ptr<uint8_t, decltype(&std::free)> bytes;
  size_t size;
};

std::vector<std::string> texts() {
  std::string binary;
  for (int i = 0; i < 1000; ++i)
    binary += char(i * i >> 3);
  return {"",
          "x",
          test::sampleText(7, 4096),
          test::sampleText(8, 65536),
          binary,
          "\xff\xc0\x80",
          std::string(9000, 'a'),
          test::sampleText(9, 200000)};
}

class CodecTest : public testing::Test {
protected:
  void SetUp() override {
    file = test::codecArtifact();
    artifact = Artifact::openMemory(file.data(), file.size(), OpenOptions{}, error);
    ASSERT_TRUE(artifact) << error.message();
    semdns_codec_options all{};
    all.size = sizeof all;
    all.zone = SEMDNS_CODEC_EVERY_ZONE;
    codec = tools::Codec::create(artifact, all, error);
    ASSERT_TRUE(codec) << error.message();
  }
  std::string compress(const std::string &text, uint32_t mode, uint32_t zone = test::kCodecZone) {
    semdns_compress_options how{};
    how.size = sizeof how;
    how.zone = zone;
    how.mode = mode;
    std::string frame(semdns_codec_bound(text.size()), 0);
    size_t size = 0;
    status = semdns_compress(codec.raw.get(), codec.scratch.get(), &how, text.data(), text.size(),
                             frame.data(), frame.size(), &size, error.raw());
    frame.resize(size);
    return frame;
  }
  std::string expand(const std::string &frame, size_t limit) {
    std::string text(limit, 0);
    size_t size = 0;
    status = semdns_decompress(codec.raw.get(), codec.scratch.get(), frame.data(), frame.size(),
                               text.data(), text.size(), &size, error.raw());
    text.resize(size);
    return text;
  }

  std::string file;
  Error error;
  Artifact artifact;
  tools::Codec codec;
  semdns_status status = SEMDNS_OK;
};

TEST_F(CodecTest, EveryModeGivesTheBytesBack) {
  for (const uint32_t mode :
       {SEMDNS_CODEC_RAW, SEMDNS_CODEC_ZSTD, SEMDNS_CODEC_TURBO, SEMDNS_CODEC_AUTO})
    for (const std::string &text : texts()) {
      const std::string frame = compress(text, mode);
      ASSERT_EQ(status, SEMDNS_OK) << error.message();
      EXPECT_LE(frame.size(), text.size() + 1);
      EXPECT_EQ(expand(frame, text.size()), text);
      EXPECT_EQ(status, SEMDNS_OK) << error.message();
    }
}

TEST_F(CodecTest, ZonesBelowCompressWithTheirAncestorsTables) {
  semdns_codec_tables tables{};
  tables.size = sizeof tables;
  EXPECT_EQ(semdns_codec_get_tables(codec.raw.get(), 3, SEMDNS_CODEC_TURBO, &tables), SEMDNS_OK);
  EXPECT_EQ(tables.zone, test::kCodecZone);
  EXPECT_EQ(semdns_codec_get_tables(codec.raw.get(), 1, SEMDNS_CODEC_TURBO, &tables),
            SEMDNS_ERROR_TABLES);
  compress("text", SEMDNS_CODEC_TURBO, 1);
  EXPECT_EQ(status, SEMDNS_ERROR_TABLES);
}

TEST_F(CodecTest, ALimitRefusesABomb) {
  const std::string frame = compress(std::string(200000, 'a'), SEMDNS_CODEC_TURBO);
  EXPECT_LT(frame.size(), 500u);
  EXPECT_EQ(expand(frame, 199999), "");
  EXPECT_EQ(status, SEMDNS_ERROR_CAPACITY);
}

TEST_F(CodecTest, NoDamagedFrameIsTakenForWhole) {
  const std::string text = test::sampleText(7, 2000);
  for (const uint32_t mode : {SEMDNS_CODEC_ZSTD, SEMDNS_CODEC_TURBO}) {
    const std::string frame = compress(text, mode);
    for (size_t size = 1; size < frame.size(); ++size) {
      expand(frame.substr(0, size), 1 << 16);
      EXPECT_NE(status, SEMDNS_OK) << size;
    }
    for (size_t at = 0; at < frame.size(); ++at)
      for (const int bit : {0, 3, 7}) {
        std::string bad = frame;
        bad[at] = char(bad[at] ^ 1 << bit);
        expand(bad, 1 << 16); // an error or bytes: the frame has no checksum
      }
  }
}

TEST_F(CodecTest, RangesTakeTheirBlocksOnly) {
  const std::string text = test::sampleText(9, 200000);
  const std::string frame = compress(text, SEMDNS_CODEC_TURBO);
  for (const auto &[begin, end] : {std::pair<uint64_t, uint64_t>{0, 1},
                                   {65530, 65540},
                                   {70000, 199999},
                                   {5, 5},
                                   {199999, UINT64_MAX}}) {
    std::string out(text.size(), 0);
    size_t size = 0;
    ASSERT_EQ(semdns_decompress_range(codec.raw.get(), codec.scratch.get(), frame.data(),
                                      frame.size(), begin, end, out.data(), out.size(), &size,
                                      error.raw()),
              SEMDNS_OK)
        << error.message();
    const uint64_t stop = std::min<uint64_t>(end, text.size());
    EXPECT_EQ(out.substr(0, size), text.substr(begin, stop - begin));
  }
}

TEST(FrameHeaders, AreReadAsTheyWereWritten) {
  for (const uint32_t zone : {0u, 1u, 127u, 128u, 70000u, UINT32_MAX})
    for (const uint32_t length : {1u, 4096u, 65536u}) {
      FrameHeader header, back;
      header.mode = codec::Mode::Turbo;
      header.zone = zone;
      header.tables = 0x12345678;
      header.length = length;
      uint8_t bytes[SEMDNS_CODEC_MAX_HEADER];
      const size_t size = codec::writeFrameHeader(header, bytes);
      ASSERT_EQ(codec::readFrameHeader(bytes, size, back), nullptr);
      EXPECT_EQ(back.zone, zone);
      EXPECT_EQ(back.length, length);
      EXPECT_EQ(back.tables, header.tables);
      EXPECT_EQ(back.size, size);
      for (size_t cut = 0; cut < size; ++cut)
        EXPECT_NE(codec::readFrameHeader(bytes, cut, back), nullptr);
    }
}

TEST(Turbo, CodesCoverEveryLengthAndDistance) {
  uint32_t before = 0;
  for (uint32_t length = SEMDNS_PHRS_MIN_COPY; length <= 65535; ++length) {
    const codec::TurboCode code = codec::lengthCode(length);
    EXPECT_LT(code.code, SEMDNS_PHRS_LENGTHS);
    EXPECT_GE(code.code, before);
    EXPECT_LT(code.extra, 1u << code.bits);
    before = code.code;
  }
  for (uint32_t distance = 1; distance <= 65535; ++distance)
    EXPECT_LT(codec::distanceCode(distance).code, SEMDNS_PHRS_DISTANCES);
}

TEST(Turbo, TheSameDocumentsGiveTheSameBytes) {
  const auto once = test::samplePhrases();
  EXPECT_FALSE(once.empty());
  EXPECT_EQ(once, test::samplePhrases());
}

TEST(Turbo, DamagedTablesAreRefusedOrHarmless) {
  const auto good = test::samplePhrases();
  codec::PhraseTables tables;
  uint64_t at;
  EXPECT_EQ(codec::attachPhrases(Aligned(good).bytes.get(), good.size(), tables, at), nullptr);
  const std::string text = test::sampleText(3, 1000);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < 4000; ++i) {
    auto bad = good;
    const size_t where = i * size_t{2654435761u} % bad.size();
    bad[where] = uint8_t(bad[where] ^ (1 << (i % 8)));
    const Aligned section(bad);
    if (codec::attachPhrases(section.bytes.get(), section.size, tables, at)) {
      EXPECT_LE(at, section.size);
      ++refused;
      continue;
    }
    // What is left decodes anything without reading outside (the sanitizers watch).
    std::vector<uint8_t> out(500);
    codec::turboDecode(tables, reinterpret_cast<const uint8_t *>(text.data()), text.size(),
                       out.data(), out.size(), nullptr);
  }
  EXPECT_GT(refused, 0u);
}

TEST(Turbo, WhatOneOwnerAloneSaysIsNotStored) {
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < 12; ++i)
    texts.push_back(test::sampleText(i, 3000));
  for (int i = 0; i < 50; ++i)
    texts[5] += "Quillfeather ";
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  std::vector<uint32_t> owners;
  for (uint32_t i = 0; i < documents.size(); ++i)
    owners.push_back(i);
  std::string why;
  const auto bytes = codec::buildPhrases(documents, owners, {}, why);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()).find("Quill"), std::string::npos);
}

} // namespace
} // namespace semdns
