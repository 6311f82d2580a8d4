// The frozen table against ICU: every code point, and whole strings.
#include "lib/text/freeze.h"
#include "lib/text/words.h"

#include "kernels/tokenise.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace semdns::text {
namespace {

const std::string &section() {
  static const std::string bytes = buildTextSection();
  return bytes;
}

const semdns_text_header &header() {
  return *reinterpret_cast<const semdns_text_header *>(section().data());
}

/// The final entries that the table gives for one code point.
std::vector<uint32_t> lookUp(uint32_t codePoint) {
  const char *base = section().data();
  const auto *stage1 = reinterpret_cast<const uint16_t *>(base + header().stage1_offset);
  const auto *blocks = reinterpret_cast<const uint32_t *>(base + header().blocks_offset);
  const auto *pool = reinterpret_cast<const uint32_t *>(base + header().pool_offset);
  uint32_t entry = blocks[stage1[codePoint >> 7] * SEMDNS_TEXT_BLOCK_SIZE + (codePoint & 127)];
  if (SEMDNS_TEXT_LENGTH(entry) == SEMDNS_TEXT_IDENTITY)
    return {SEMDNS_TEXT_CLASS(entry) << 21 | codePoint};
  if (uint32_t length = SEMDNS_TEXT_LENGTH(entry))
    return {pool + SEMDNS_TEXT_VALUE(entry), pool + SEMDNS_TEXT_VALUE(entry) + length};
  if (SEMDNS_TEXT_CLASS(entry) == SEMDNS_CHAR_DROP)
    return {};
  return {entry};
}

std::vector<uint32_t> values(const std::vector<uint32_t> &entries) {
  std::vector<uint32_t> result;
  for (uint32_t entry : entries)
    result.push_back(SEMDNS_TEXT_VALUE(entry));
  return result;
}

std::string utf8(const std::vector<uint32_t> &codePoints) {
  icu::UnicodeString text;
  for (uint32_t c : codePoints)
    text.append(static_cast<UChar32>(c));
  std::string result;
  text.toUTF8String(result);
  return result;
}

TEST(TextSection, LayoutIsAsTheFormatSays) {
  const semdns_text_header &h = header();
  auto align = [](uint64_t x) { return (x + 63) / 64 * 64; };
  EXPECT_EQ(h.stage1_offset, 64u);
  EXPECT_EQ(h.blocks_offset, align(64 + 2 * SEMDNS_TEXT_STAGE1_SIZE));
  EXPECT_EQ(h.pool_offset, align(h.blocks_offset + uint64_t{h.block_count} * 512));
  EXPECT_EQ(section().size(), h.pool_offset + uint64_t{h.pool_count} * 4);
  EXPECT_EQ(h.reserved, 0u);
  EXPECT_LE(h.block_count, SEMDNS_TEXT_MAX_BLOCKS);
  EXPECT_LE(h.pool_count, SEMDNS_TEXT_MAX_POOL);
  EXPECT_LT(section().size(), 400000u); // every artifact carries it
}

TEST(TextSection, SameBytesTwice) { EXPECT_EQ(buildTextSection(), section()); }

TEST(TextSection, EveryCodePointAgreesWithIcu) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    std::vector<uint32_t> entries = lookUp(c);
    ASSERT_EQ(values(entries), normalise(c)) << "U+" << std::hex << c;
    for (uint32_t entry : entries) {
      uint32_t value = SEMDNS_TEXT_VALUE(entry);
      ASSERT_EQ(SEMDNS_TEXT_CLASS(entry), static_cast<uint32_t>(classOf(value)));
      ASSERT_EQ(SEMDNS_TEXT_LENGTH(entry), 0u);
      ASSERT_NE(SEMDNS_TEXT_CLASS(entry), static_cast<uint32_t>(SEMDNS_CHAR_DROP));
      // Final: N leaves it as it is.
      ASSERT_EQ(values(lookUp(value)), std::vector<uint32_t>{value}) << "U+" << std::hex << c;
    }
  }
}

TEST(TextSection, ClassesAreTheOnesThatTheFormatNames) {
  auto kind = [](uint32_t c) { return SEMDNS_TEXT_CLASS(lookUp(c).at(0)); };
  for (uint32_t c = 0; c < 0x80; ++c) {
    uint32_t expected = c <= 0x20 || c == 0x7f               ? SEMDNS_CHAR_SPACE
                        : u_isalnum(static_cast<UChar32>(c)) ? SEMDNS_CHAR_WORD
                                                             : SEMDNS_CHAR_PUNCT;
    EXPECT_EQ(kind(c), expected) << c;
  }
  EXPECT_EQ(kind(0x4e2d), static_cast<uint32_t>(SEMDNS_CHAR_IDEO));
  EXPECT_EQ(kind(0x3042), static_cast<uint32_t>(SEMDNS_CHAR_IDEO));
  EXPECT_EQ(kind(0x30fc), static_cast<uint32_t>(SEMDNS_CHAR_IDEO)); // prolonged sound mark
  EXPECT_EQ(kind(0xac00), static_cast<uint32_t>(SEMDNS_CHAR_WORD)); // Hangul, as Jamo
  EXPECT_EQ(kind(0xfffd), static_cast<uint32_t>(SEMDNS_CHAR_PUNCT));
  EXPECT_EQ(kind(0xe000), static_cast<uint32_t>(SEMDNS_CHAR_SPACE)); // private use
  EXPECT_EQ(values(lookUp('Q')), std::vector<uint32_t>{'q'});
  EXPECT_EQ(values(lookUp(0xdf)), (std::vector<uint32_t>{'s', 's'}));
  EXPECT_EQ(values(lookUp(0xe9)), std::vector<uint32_t>{'e'});
  EXPECT_TRUE(lookUp(0xad).empty());   // soft hyphen
  EXPECT_TRUE(lookUp(0x301).empty());  // acute accent
  EXPECT_TRUE(lookUp(0x200d).empty()); // zero width joiner
}

/// Sorts runs of marks with classes 7, 8 and 9 by class, as ICU has done and the table has not.
void sortMarks(std::vector<uint32_t> &text) {
  auto classOfMark = [](uint32_t c) {
    uint8_t combining = u_getCombiningClass(static_cast<UChar32>(c));
    return combining >= 7 && combining <= 9 ? combining : 0;
  };
  for (size_t i = 1; i < text.size(); ++i)
    for (size_t j = i;
         j > 0 && classOfMark(text[j]) != 0 && classOfMark(text[j - 1]) > classOfMark(text[j]); --j)
      std::swap(text[j - 1], text[j]);
}

TEST(TextSection, WholeStringsAgreeWithIcu) {
  // Code points that something happens to (not inert) are drawn as often as all others, since a
  // uniform draw would be unassigned planes.
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2 *nfkc = icu::Normalizer2::getNFKCCasefoldInstance(status);
  const icu::Normalizer2 *nfc = icu::Normalizer2::getNFCInstance(status);
  const icu::Normalizer2 *nfd = icu::Normalizer2::getNFDInstance(status);
  ASSERT_TRUE(U_SUCCESS(status));
  std::vector<uint32_t> active, marks;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000)
      continue;
    if (!nfkc->isInert(static_cast<UChar32>(c)))
      active.push_back(c);
    if (u_getCombiningClass(static_cast<UChar32>(c)))
      marks.push_back(c);
  }
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 200000; ++round) {
    std::vector<uint32_t> text(1 + random() % 12);
    for (uint32_t &c : text) {
      switch (random() % 5) {
      case 0:
        c = static_cast<uint32_t>(random() % 0x3000);
        break;
      case 1:
        c = marks[random() % marks.size()];
        break;
      case 2:
        c = static_cast<uint32_t>(random() % 0x110000);
        break;
      default:
        c = active[random() % active.size()];
      }
      if (c >= 0xd800 && c < 0xe000)
        c = 'A';
    }
    std::vector<uint32_t> mapped;
    for (uint32_t c : text)
      for (uint32_t entry : lookUp(c))
        mapped.push_back(SEMDNS_TEXT_VALUE(entry));
    std::vector<uint32_t> expected = normalise(utf8(text));
    sortMarks(mapped);
    sortMarks(expected);
    ASSERT_EQ(mapped, expected) << "round " << round << ": " << utf8(text);

    // Canonically equivalent texts have the same words, spelling included; see freeze.h for the one
    // exception, the iota subscript among Indic marks.
    icu::UnicodeString source = icu::UnicodeString::fromUTF8(utf8(text));
    if (nfd->normalize(source, status).indexOf(static_cast<UChar32>(0x345)) >= 0)
      continue;
    std::vector<std::vector<uint32_t>> forms;
    for (const icu::Normalizer2 *form : {nfc, nfd}) {
      std::string bytes;
      form->normalize(source, status).toUTF8String(bytes);
      std::vector<uint32_t> letters;
      for (const Word &word : splitWords(section(), bytes))
        for (uint32_t c : normalise(word.text))
          letters.push_back(c);
      sortMarks(letters);
      forms.push_back(letters);
    }
    ASSERT_EQ(forms[0], forms[1]) << "round " << round;
  }
}

std::vector<std::string> spelled(std::string_view text) {
  std::vector<std::string> result;
  for (const Word &word : splitWords(section(), text))
    result.push_back(word.text);
  return result;
}

TEST(SplitWords, Examples) {
  using V = std::vector<std::string>;
  EXPECT_EQ(spelled(""), V{});
  EXPECT_EQ(spelled("Is a verbal NDA enforceable in Texas?"),
            (V{"is", "a", "verbal", "nda", "enforceable", "in", "texas", "?"}));
  EXPECT_EQ(spelled("Caf\u00e9 cafe\u0301 CAFE"), (V{"cafe", "cafe", "cafe"}));
  EXPECT_EQ(spelled("\u6f22\u5b57abc"), (V{"\u6f22", "\u5b57", "abc"}));
  EXPECT_EQ(spelled("don't"), (V{"don", "'", "t"}));
  EXPECT_EQ(spelled("co\u00adop"), V{"coop"});
  EXPECT_EQ(spelled(std::string_view("a\0b", 3)), (V{"a", "b"}));
  EXPECT_EQ(spelled("\xff\xc3"), (V{"\ufffd", "\ufffd"}));
}

TEST(SplitWords, PlacesAndHashes) {
  std::string_view text = "  Na\u00efve, yes";
  std::vector<Word> words = splitWords(section(), text);
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(text.substr(words[0].begin, words[0].end - words[0].begin), "Na\u00efve");
  EXPECT_EQ(text.substr(words[1].begin, words[1].end - words[1].begin), ",");
  EXPECT_TRUE(words[1].punct);
  std::vector<uint64_t> hashes(SEMDNS_MAX_WORDS), features(SEMDNS_MAX_FEATURES);
  uk_counts counts;
  uk_tokenise(reinterpret_cast<const uint8_t *>(section().data()),
              reinterpret_cast<const uint8_t *>(text.data()), text.size(), 1, 0, 0, 0,
              hashes.data(), features.data(), &counts);
  ASSERT_EQ(counts.words, 3u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(words[i].hash, hashes[i]);
}

} // namespace
} // namespace semdns::text
