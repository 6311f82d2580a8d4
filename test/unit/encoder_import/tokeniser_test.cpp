// WordPiece: the ids of PyPI's `tokenizers` (golden.json, see test/e2e/wordpiece_test.py), windows,
// time on hostile text, and the section's validator.
#include "kernels/wordpiece.h"
#include "lib/encoder/normaliser.h"
#include "lib/encoder/tokeniser.h"
#include "lib/support/files.h"
#include "runtime/artifact/wordpiece.h"
#include "runtime/base/sha256.h"
#include "test/unit/encoder_import/probe.h"
#include "test/unit/kernels/aligned.h"

#include <chrono>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

namespace semdns {
namespace {

using encoder::Tokeniser;
using encoder::TokeniserSpec;
using nlohmann::json;

constexpr uint32_t kUncased = SEMDNS_WPCE_FLAGS_KNOWN;

const json &golden() {
  static const json value = [] {
    std::string error;
    const char *source = std::getenv("SEMDNS_SOURCE_DIR");
    std::optional<std::string> bytes = readFile(
        std::string(source ? source : ".") + "/test/unit/encoder_import/golden.json", error);
    return bytes ? json::parse(*bytes) : json::object();
  }();
  return value;
}

std::string unhex(const std::string &hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

std::string utf8(uint32_t code) {
  uint8_t bytes[4];
  return std::string(reinterpret_cast<char *>(bytes), uk_encode(code, bytes));
}

/// SHA-256 of ids, a row at a time.
class RowDigest {
public:
  void add(const std::vector<uint32_t> &ids) {
    constexpr uint32_t end = 0xffffffff;
    hash_.update(ids.data(), ids.size() * 4);
    hash_.update(&end, 4);
  }
  std::string hex() {
    uint8_t digest[32];
    hash_.finish(digest);
    std::string out;
    for (uint8_t byte : digest) {
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
    return out;
  }

private:
  base::Sha256 hash_;
};

TokeniserSpec probe(uint32_t flags) {
  return test::probeSpec(flags, golden().at("words").get<std::vector<std::string>>());
}

TEST(WordPiece, IdsOfHostileTextAreThoseOfTokenizers) {
  const auto texts = golden().at("texts").get<std::vector<std::string>>();
  const Tokeniser tokeniser(probe(kUncased));
  for (size_t i = 0; i < texts.size(); ++i)
    ASSERT_EQ(tokeniser.encode(unhex(texts[i])), golden()["ids"][i].get<std::vector<uint32_t>>())
        << unhex(texts[i]);
  for (const json &other : golden().at("texts of other flags")) {
    const Tokeniser more(probe(other["flags"].get<uint32_t>()));
    RowDigest digest;
    for (const std::string &text : texts)
      digest.add(more.encode(unhex(text)));
    EXPECT_EQ(digest.hex(), other["sha256"].get<std::string>()) << other["flags"];
  }
}

TEST(WordPiece, IdsOfEveryCodePointAreThoseOfTokenizers) {
  std::map<uint32_t, std::optional<Tokeniser>> tokenisers;
  for (const json &sweep : golden().at("sweeps")) {
    const auto flags = sweep["flags"].get<uint32_t>();
    if (!tokenisers[flags])
      tokenisers[flags].emplace(probe(flags));
    const auto context = sweep["context"].get<std::string>();
    RowDigest digest;
    std::string text;
    for (uint32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xd800 && c < 0xe000)
        continue;
      text.clear();
      const std::string code = utf8(c);
      for (size_t i = 0; i < context.size(); ++i) {
        if (context[i] != '{') {
          text += context[i];
          continue;
        }
        text += code;
        i = context.find('}', i);
      }
      digest.add(tokenisers[flags]->encode(text));
    }
    EXPECT_EQ(digest.hex(), sweep["sha256"].get<std::string>()) << sweep;
  }
}

/// A vocabulary in which letters and pairs of them have readable ids.
TokeniserSpec letters() {
  TokeniserSpec spec;
  spec.pieces = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  for (char c = 'a'; c <= 'z'; ++c)
    spec.pieces.push_back(std::string(1, c));
  spec.pieces.push_back("##b");
  spec.pad = 0;
  spec.unknown = 1;
  spec.cls = 2;
  spec.sep = 3;
  return spec;
}

std::string words(size_t count, size_t first = 0) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += static_cast<char>('a' + (first + i) % 26);
    text += ' ';
  }
  return text;
}

std::vector<uint32_t> idsOf(size_t count, size_t first = 0) {
  std::vector<uint32_t> ids(count);
  for (size_t i = 0; i < count; ++i)
    ids[i] = static_cast<uint32_t>(4 + (first + i) % 26);
  return ids;
}

/// The contract of uk_window, written the slow way.
std::vector<uint32_t> expectedWindow(std::vector<uint32_t> query, std::vector<uint32_t> context,
                                     size_t most) {
  const size_t room = most - 2;
  if (query.size() > room) {
    const size_t tail = room / 4;
    query.erase(query.begin() + static_cast<ptrdiff_t>(room - tail),
                query.end() - static_cast<ptrdiff_t>(tail));
  }
  const size_t left = room - query.size() > 1 ? room - query.size() - 1 : 0;
  if (context.size() > left)
    context.erase(context.begin(), context.end() - static_cast<ptrdiff_t>(left));
  std::vector<uint32_t> ids = {2};
  if (!context.empty()) {
    ids.insert(ids.end(), context.begin(), context.end());
    ids.push_back(3);
  }
  ids.insert(ids.end(), query.begin(), query.end());
  ids.push_back(3);
  return ids;
}

TEST(WordPiece, WindowsOfEverySize) {
  const Tokeniser tokeniser(letters());
  for (uint32_t most : {8u, 9u, 11u, 16u, 128u})
    for (size_t query = 0; query < 3 * most; query += most > 100 ? 7 : 1)
      for (size_t context : {size_t{0}, size_t{1}, size_t{2}, size_t{5}, size_t{most}, size_t{400}})
        ASSERT_EQ(tokeniser.window(words(query), words(context, 11), most),
                  expectedWindow(idsOf(query), idsOf(context, 11), most))
            << most << " " << query << " " << context;
  EXPECT_EQ(tokeniser.window("", "", 128), (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(tokeniser.window("a", " \t ", 128), (std::vector<uint32_t>{2, 4, 3}));
  EXPECT_EQ(tokeniser.window("[SEP] a", "", 128).back(), 3u);
}

TEST(WordPiece, LongTextsAreReadAtBothEnds) {
  const Tokeniser tokeniser(letters());
  const std::string head = words(SEMDNS_HEAD_BYTES / 2), tail = words(SEMDNS_TAIL_BYTES / 2, 5);
  const std::string text = head + std::string(100000, 'z') + " " + tail;
  const std::vector<uint32_t> ids = tokeniser.window(text, "", 128);
  ASSERT_EQ(ids.size(), 128u);
  const auto all = idsOf(95), last = idsOf(31, 5 + SEMDNS_TAIL_BYTES / 2 - 31);
  EXPECT_TRUE(std::equal(all.begin(), all.end(), ids.begin() + 1));
  EXPECT_TRUE(std::equal(last.begin(), last.end(), ids.begin() + 96));

  std::vector<uint32_t> out(128);
  uint32_t flags;
  auto run = [&](std::string_view t, std::string_view c) {
    uk_window(reinterpret_cast<const uint8_t *>(tokeniser.section().data()),
              reinterpret_cast<const uint8_t *>(c.data()), c.size(),
              reinterpret_cast<const uint8_t *>(t.data()), t.size(), 128, out.data(), &flags);
    return flags;
  };
  EXPECT_EQ(run("a b", ""), 0u);
  EXPECT_EQ(run("a b", words(5000)), 0u);
  EXPECT_EQ(run(words(127), ""), SEMDNS_KERNEL_TRUNCATED);
  EXPECT_EQ(run(text, ""), SEMDNS_KERNEL_TRUNCATED);
  EXPECT_EQ(run("a\xff", ""), SEMDNS_KERNEL_REPAIRED);
  EXPECT_EQ(run("a", "\xff"), SEMDNS_KERNEL_REPAIRED);
}

TEST(WordPiece, HostileTextTakesLinearTime) {
  const Tokeniser tokeniser(letters());
  const std::string marks = utf8(0x1d16d) + utf8(0x302e); // sorted the long way round
  for (const std::string &unit :
       {std::string("a"), std::string("ab"), std::string("b"), marks, utf8(0xd55c), utf8(0x301),
        std::string("\xff"), std::string("a ")}) {
    std::string text;
    while (text.size() < 1'000'000)
      text += unit;
    const auto start = std::chrono::steady_clock::now();
    const std::vector<uint32_t> ids = tokeniser.encode(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), 2.0) << unit; // measured: a hundredth of it
    if (unit == "a" || unit == "b")
      EXPECT_EQ(ids, std::vector<uint32_t>{1}); // one word of a megabyte
  }
}

TEST(WordPiece, LongestMatchAndUnknownWords) {
  TokeniserSpec spec = letters();
  spec.pieces.insert(spec.pieces.end(), {"abc", "##bc", "##bcd", "ab"});
  const uint32_t b = 30, abc = 31, bc = 32, bcd = 33, ab = 34;
  const Tokeniser tokeniser(spec);
  EXPECT_EQ(tokeniser.encode("abc abcb ab abb abbcd"),
            (std::vector<uint32_t>{abc, abc, b, ab, ab, b, ab, bcd}));
  EXPECT_EQ(tokeniser.encode("abbc"), (std::vector<uint32_t>{ab, bc}));
  EXPECT_EQ(tokeniser.encode("abcc"), std::vector<uint32_t>{1}); // greedy: no way back
  spec.maxWordChars = 3;
  EXPECT_EQ(Tokeniser(spec).encode("abb abbb"), (std::vector<uint32_t>{ab, b, 1}));
}

TEST(WordPiece, SpecialTokensAreNotSpelled) {
  TokeniserSpec spec = letters();
  spec.pieces[0] = "pad"; // special tokens without brackets
  spec.pieces[3] = "sep";
  EXPECT_EQ(Tokeniser(spec).encode("pad a sep"), (std::vector<uint32_t>{1, 4, 1}));
}

TEST(WordPieceSection, SameBytesTwice) {
  std::string error;
  EXPECT_EQ(encoder::buildWordPieceSection(letters(), error),
            encoder::buildWordPieceSection(letters(), error));
}

TEST(WordPieceSection, BadModelsAreRefused) {
  auto with = [](auto change) {
    pack::WordPieceModel model = encoder::wordPieceModel(letters());
    change(model);
    std::string error;
    EXPECT_FALSE(pack::buildWordPieceSection(model, error));
    return error;
  };
  EXPECT_THAT(with([](auto &m) { m.start.push_back({"a", 5}); }),
              testing::HasSubstr("'a' stands twice"));
  EXPECT_THAT(with([](auto &m) { m.next.push_back({"", 5}); }),
              testing::HasSubstr("a piece is empty"));
  EXPECT_THAT(with([](auto &m) { m.next.push_back({"x", 31}); }),
              testing::HasSubstr("outside the vocabulary"));
  EXPECT_THAT(with([](auto &m) { m.cls = 31; }), testing::HasSubstr("a special token"));
  EXPECT_THAT(with([](auto &m) { m.maxWordChars = 257; }), testing::HasSubstr("256 characters"));
  EXPECT_THAT(with([](auto &m) { m.stage1.pop_back(); }), testing::HasSubstr("impossible size"));
}

class Validator : public testing::Test {
protected:
  Validator() {
    std::string error;
    good = *encoder::buildWordPieceSection(letters(), error);
  }
  static std::string check(const std::string &bytes) {
    test::Aligned aligned(bytes);
    artifact::WordPiece view;
    base::Error error;
    if (artifact::WordPiece::parse(aligned.span(), view, error))
      return "";
    EXPECT_STREQ(error.section, "WPCE");
    EXPECT_NE(error.code, SEMDNS_OK);
    return error.message;
  }
  template <typename T> std::string with(size_t at, T value) {
    std::string bad = good;
    memcpy(bad.data() + at, &value, sizeof value);
    return check(bad);
  }
  const semdns_wpce_header &header() const {
    return *reinterpret_cast<const semdns_wpce_header *>(good.data());
  }
  std::string good;
};

TEST_F(Validator, BrokenRulesAreNamed) {
  const semdns_wpce_header h = header();
  EXPECT_EQ(check(good), "");
  EXPECT_NE(check(good.substr(0, 100)), "");
  EXPECT_NE(check(good.substr(0, good.size() - 4)), "");
  EXPECT_NE(check(good + std::string(64, '\0')), "");
  const struct {
    size_t at;
    uint32_t value;
    const char *expected;
  } cases[] = {
      {offsetof(semdns_wpce_header, vocabulary), 0, "vocabulary is 0"},
      {offsetof(semdns_wpce_header, vocabulary), SEMDNS_WPCE_MAX_VOCABULARY + 1, "vocabulary is"},
      {offsetof(semdns_wpce_header, vocabulary), 20, "ends the piece"},
      {offsetof(semdns_wpce_header, unknown), 31, "unknown is 31"},
      {offsetof(semdns_wpce_header, cls), 31, "cls is 31"},
      {offsetof(semdns_wpce_header, sep), 31, "sep is 31"},
      {offsetof(semdns_wpce_header, pad), 31, "pad is 31"},
      {offsetof(semdns_wpce_header, max_word_chars), 257, "max_word_chars is 257"},
      {offsetof(semdns_wpce_header, flags), 16, "flags is 16"},
      {offsetof(semdns_wpce_header, start_state), h.unit_count, "start_state"},
      {offsetof(semdns_wpce_header, next_state), h.unit_count, "next_state"},
      {offsetof(semdns_wpce_header, unit_count), 255, "unit_count is 255"},
      {offsetof(semdns_wpce_header, unit_count), h.unit_count + 64, "ids at offset"},
      {offsetof(semdns_wpce_header, reserved), 1, "reserved"},
      {h.stage1_offset, 0xffff, "stage1[0] is block 65535"},
      {h.blocks_offset, 0x110000 | SEMDNS_WPCE_WORD << 21, "block entry 0"},
      {h.blocks_offset, 0xd800 | SEMDNS_WPCE_WORD << 21, "block entry 0"},
      {h.blocks_offset, 'a' | 6u << 21, "block entry 0"},
      {h.blocks_offset, 'a' | SEMDNS_WPCE_MARK << 21, "block entry 0"},
      {h.blocks_offset, h.pool_count | SEMDNS_WPCE_WORD << 21 | 1u << 24, "block entry 0"},
      {h.pool_offset, 'a' | SEMDNS_WPCE_WORD << 21 | 1u << 24, "pool entry 0"},
      {h.units_offset, h.unit_count - 255, "unit 0 has base"},
      {h.units_offset + 4, h.unit_count, "unit 0 has base"},
      {h.ids_offset, 31, "unit 0 ends the piece 31"},
  };
  for (const auto &c : cases)
    EXPECT_THAT(with(c.at, c.value), testing::HasSubstr(c.expected)) << c.expected;
}

// Whatever the validator lets through, the kernel reads safely (the sanitizer presets watch).
TEST_F(Validator, WhatPassesIsSafeToRead) {
  std::mt19937_64 random(7);
  std::string text;
  for (uint32_t i = 0; i < 300; ++i)
    text += utf8(static_cast<uint32_t>(random() % 3 ? random() % 0x80 : random() % 0xd000));
  const semdns_wpce_header h = header();
  uint32_t accepted = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes = good;
    auto put = [&](uint64_t at, uint64_t value) {
      const auto word = static_cast<uint32_t>(value);
      memcpy(bytes.data() + at, &word, 4);
    };
    for (int change = 0; change < 40; ++change) {
      const uint64_t unit = random() % h.unit_count;
      put(h.units_offset + 8 * unit, random() % (h.unit_count - 255));
      put(h.units_offset + 8 * (random() % h.unit_count) + 4, random() % h.unit_count);
      put(h.ids_offset + 4 * unit, random() % 3 ? random() % h.vocabulary : SEMDNS_WPCE_NONE);
      put(h.blocks_offset + 4 * (random() % 128), random() % 0xd800 | random() % 5 << 21);
    }
    bytes[static_cast<size_t>(random() % sizeof h)] ^= static_cast<char>(random() % 8 == 0);
    test::Aligned aligned(bytes);
    artifact::WordPiece view;
    base::Error error;
    if (!artifact::WordPiece::parse(aligned.span(), view, error))
      continue;
    ++accepted;
    uint32_t ids[128], flags;
    const uint32_t count =
        uk_window(aligned.data(), nullptr, 0, reinterpret_cast<const uint8_t *>(text.data()),
                  text.size(), 128, ids, &flags);
    ASSERT_LE(count, 128u);
    for (uint32_t i = 0; i < count; ++i)
      ASSERT_LT(ids[i], h.vocabulary);
  }
  EXPECT_GT(accepted, 200u);
}

} // namespace
} // namespace semdns
