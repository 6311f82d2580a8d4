// uk_tokenise with the frozen table against the reference with ICU.
#include "kernels/tokenise.h"

#include "lib/reference/tokens.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>

namespace semdns {
namespace {

using reference::TokenOptions;

const std::string &section() {
  static const std::string bytes = text::buildTextSection();
  return bytes;
}

const TokenOptions kOptions[] = {{1, 0, 0, false}, {2, 3, 5, false}, {3, 2, 6, true},
                                 {3, 0, 0, true},  {2, 4, 4, false}, {1, 6, 6, true}};

class Comparison {
public:
  /// The first difference between kernel and reference, or empty.
  std::string differ(std::string_view text, const TokenOptions &o) {
    reference::Tokens expected = reference::tokenise(text, o);
    // The kernel must neither read what it has not written nor care about alignment.
    std::fill(words_.begin(), words_.end(), 0x5555555555555555u);
    std::fill(features_.begin(), features_.end(), 0xaaaaaaaaaaaaaaaau);
    std::string copy(shift_, 'x');
    copy += text;
    uk_counts counts;
    uk_tokenise(reinterpret_cast<const uint8_t *>(section().data()),
                reinterpret_cast<const uint8_t *>(copy.data()) + shift_, text.size(),
                o.wordNgramMax, o.charNgramMin, o.charNgramMax, o.punct, words_.data(),
                features_.data(), &counts);
    shift_ = (shift_ + 1) % 8;
    if (counts.words != expected.words.size() || counts.chars != expected.chars ||
        counts.unigrams != expected.unigrams || counts.features != expected.features.size())
      return "counts " + std::to_string(counts.words) + " " + std::to_string(counts.chars) + " " +
             std::to_string(counts.unigrams) + " " + std::to_string(counts.features) +
             ", expected " + std::to_string(expected.words.size()) + " " +
             std::to_string(expected.chars) + " " + std::to_string(expected.unigrams) + " " +
             std::to_string(expected.features.size());
    if (!std::equal(expected.words.begin(), expected.words.end(), words_.begin()))
      return "words differ";
    if (!std::equal(expected.features.begin(), expected.features.end(), features_.begin()))
      return "features differ";
    uint32_t flags = (expected.truncated ? SEMDNS_KERNEL_TRUNCATED : 0) |
                     (expected.repaired ? SEMDNS_KERNEL_REPAIRED : 0);
    if (counts.flags != flags)
      return "flags " + std::to_string(counts.flags) + ", expected " + std::to_string(flags);
    return {};
  }

private:
  std::vector<uint64_t> words_ = std::vector<uint64_t>(SEMDNS_MAX_WORDS);
  std::vector<uint64_t> features_ = std::vector<uint64_t>(SEMDNS_MAX_FEATURES);
  size_t shift_ = 0;
};

std::string hex(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 200)) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x ", static_cast<uint8_t>(c));
    result += digits;
  }
  return result;
}

void expectEqual(std::string_view text) {
  static Comparison comparison;
  for (const TokenOptions &o : kOptions)
    ASSERT_EQ(comparison.differ(text, o), "")
        << o.wordNgramMax << " " << o.charNgramMin << ".." << o.charNgramMax << " punct " << o.punct
        << ", " << text.size() << " bytes: " << hex(text);
}

std::string repeat(std::string_view piece, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i)
    result += piece;
  return result;
}

TEST(Tokenise, SmallTexts) {
  uk_counts counts;
  std::vector<uint64_t> words(SEMDNS_MAX_WORDS), features(SEMDNS_MAX_FEATURES);
  uk_tokenise(reinterpret_cast<const uint8_t *>(section().data()), nullptr, 0, 3, 2, 6, 1,
              words.data(), features.data(), &counts);
  EXPECT_EQ(counts.words + counts.chars + counts.unigrams + counts.features + counts.flags, 0u);
  for (std::string_view text :
       {std::string_view(""), std::string_view("a"), std::string_view(" a "),
        std::string_view("Is a verbal NDA enforceable in Texas?"), std::string_view("\0\0a\0b", 5),
        std::string_view("..."), std::string_view("a.b!c"),
        std::string_view("caf\u00e9 \u1e9e\u0130"),
        std::string_view("\u6f22\u5b57kana\u30ab\u30a4\u30cb"),
        std::string_view("\ufdfa \ufdfa\ufdfa"), std::string_view("co\u00adop\u200dx"),
        std::string_view("\xff\xfe\xc0\x80\xed\xa0\x80")})
    expectEqual(text);
}

TEST(Tokenise, LongWordsSlideThroughTheSymbolBuffer) {
  for (size_t length = 55; length < 75; ++length)
    expectEqual(repeat("a", length / 2) + repeat("b", length - length / 2) + " c");
  expectEqual(repeat("abcdefghij", 700));
  expectEqual(repeat("\u00e4\u00f6x", 1500));
}

TEST(Tokenise, Limits) {
  expectEqual(repeat("a ", 4096));         // exactly as many words as fit
  expectEqual(repeat("!", 8192));          // more
  expectEqual(repeat("!", 4096) + "\xff"); // none left, repaired all the same
  expectEqual(repeat("! ", 4096) + "abc"); // beyond by one word
  expectEqual(repeat("\ufdfa", 2700));     // 18 letters a code point
  expectEqual(repeat("a", 8192));
  expectEqual(repeat("ab ", 2730));
  expectEqual(repeat("abc!", 2048));
  expectEqual(repeat("\u6f22", 2730));
}

TEST(Tokenise, WindowsOfLongTexts) {
  std::mt19937_64 random(7);
  std::vector<std::string> pieces{
      "a", " ", "\u00e9", "\u6f22", "\U0001f600", "\xe2\x82", "\xf0\x9f\x98", "\x80", "\xff"};
  for (int round = 0; round < 150; ++round) {
    std::string text = repeat("word ", 1200); // up to 144 bytes before the head's end
    while (text.size() < 6144 + 2048 + 1 + random() % 300)
      text += pieces[random() % pieces.size()];
    expectEqual(text);
    text += repeat("x", 2048 - 3 + random() % 6); // the tail starts within the pieces
    expectEqual(text);
  }
  for (size_t size = 8190; size < 8196; ++size)
    expectEqual(repeat("a", size));
  expectEqual(repeat("All work and no play. ", 48000)); // 1 MB
}

TEST(Tokenise, RandomUnicode) {
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    size_t length = random() % (round % 100 == 0 ? 3000 : 60);
    for (size_t i = 0; i < length; ++i) {
      uint32_t c = 0;
      switch (random() % 6) {
      case 0:
      case 1:
        c = ' ' + static_cast<uint32_t>(random() % 95);
        break;
      case 2:
        c = static_cast<uint32_t>(random() % 0x800);
        break;
      case 3:
        c = static_cast<uint32_t>(random() % 0x10000);
        break;
      case 4:
        c = static_cast<uint32_t>(random() % 0x20000);
        break;
      default:
        text += ' ';
        continue;
      }
      if (c < 0x80) {
        text += static_cast<char>(c);
      } else if (c < 0x800) {
        text += static_cast<char>(0xc0 | c >> 6);
        text += static_cast<char>(0x80 | (c & 63));
      } else if (c < 0x10000) { // surrogates too: ill-formed
        text += static_cast<char>(0xe0 | c >> 12);
        text += static_cast<char>(0x80 | (c >> 6 & 63));
        text += static_cast<char>(0x80 | (c & 63));
      } else {
        text += static_cast<char>(0xf0 | c >> 18);
        text += static_cast<char>(0x80 | (c >> 12 & 63));
        text += static_cast<char>(0x80 | (c >> 6 & 63));
        text += static_cast<char>(0x80 | (c & 63));
      }
    }
    expectEqual(text);
    if (HasFatalFailure())
      return;
  }
}

TEST(Tokenise, HostileBytes) {
  std::mt19937_64 random(99);
  // Lead and continuation bytes at the borders of what is well-formed.
  const uint8_t borders[] = {0x00, 0x20, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                             0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                             0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xfc, 0xff};
  for (int round = 0; round < 6000; ++round) {
    std::string text(random() % (round % 200 == 0 ? 12000 : 40), '\0');
    for (char &c : text)
      c = static_cast<char>(round % 2 ? random() & 0xff : borders[random() % sizeof borders]);
    expectEqual(text);
    if (HasFatalFailure())
      return;
  }
}

TEST(Tokenise, EveryTextOfTheRoutingSets) {
  const char *data = std::getenv("SEMDNS_DATA");
  std::filesystem::path folder = std::filesystem::path(data ? data : "") / "routing";
  if (!data || !std::filesystem::is_directory(folder))
    GTEST_SKIP() << "no routing sets: set SEMDNS_DATA to the folder that holds routing/";
  std::vector<std::string> files;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".jsonl")
      files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  Comparison comparison;
  size_t count = 0;
  for (const std::string &file : files) {
    Diagnostics diags;
    for (const LabelledText &row : readJsonLines(file, false, diags)) {
      ASSERT_EQ(comparison.differ(row.text, kOptions[1]), "") << file << ":" << row.line;
      ++count;
    }
    ASSERT_FALSE(diags.hasErrors()) << file;
  }
  EXPECT_GT(count, 0u);
  std::printf("  %zu texts of %zu files\n", count, files.size());
}

} // namespace
} // namespace semdns
