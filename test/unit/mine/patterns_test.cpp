#include "lib/patterns/patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

using namespace semdns;
using testing::HasSubstr;

namespace {

patterns::PatternLibrary sample() {
  patterns::PatternLibrary l;
  l.meta = {{"name", "legal"}, {"tool.version", "0.1.0"}};
  l.serial = 7;
  l.documentCount = 100;
  l.wordCount = 5000;
  l.byteCount = 30000;
  l.distinctWords = 900;
  l.backgroundDocuments = 50;
  l.contrast = SEMDNS_CONTRAST_LOG_ODDS;
  l.patterns = {
      {SEMDNS_PATTERN_PHRASE, 3, 9, 8, 0, 400000, "habeas corpus writ"},
      {SEMDNS_PATTERN_NGRAM, 1, 40, 30, 10, 655360, "court"},
      {SEMDNS_PATTERN_KEYWORD, 1, 40, 30, 1, 200000, "court"},
      {SEMDNS_PATTERN_KEYWORD, 2, 12, 9, 0, -5, "caf\u00e9 r\u00e9sum\u00e9"},
  };
  l.patterns.push_back({SEMDNS_PATTERN_DOCUMENT, 2, 5, 5, 0, 1, "drug name\nside effects"});
  l.patterns.push_back({SEMDNS_PATTERN_TEMPLATE, 3, 5, 5, 0, 1, "dated <date> between"});
  l.patterns.push_back({SEMDNS_PATTERN_CLUSTER, 3, 5, 5, 0, 1, "may june july"});
  l.codecs[SEMDNS_TAG_DICT] = std::string("\x37\xa4\x30\xec", 4) + std::string(200, 'd');
  return l;
}

TEST(Patterns, RoundTrip) {
  std::string error;
  const std::string bytes = patterns::buildPlib(sample(), error);
  ASSERT_FALSE(bytes.empty()) << error;
  EXPECT_EQ(bytes, patterns::buildPlib(sample(), error));
  patterns::ReadError why;
  const auto back = patterns::parsePlib(bytes, why);
  ASSERT_TRUE(back) << why.message;
  EXPECT_EQ(back->meta, sample().meta);
  EXPECT_EQ(back->serial, 7u);
  EXPECT_EQ(back->codecs, sample().codecs);
  EXPECT_EQ(back->documentCount, 100u);
  EXPECT_EQ(back->backgroundDocuments, 50u);
  ASSERT_EQ(back->patterns.size(), 7u);
  const auto [begin, end] = back->ofKind(SEMDNS_PATTERN_KEYWORD);
  ASSERT_EQ(end - begin, 2);
  EXPECT_EQ(begin[0].text, "caf\u00e9 r\u00e9sum\u00e9");
  EXPECT_EQ(begin[0].score, -5);
  EXPECT_EQ(begin[1].background, 1u);
  EXPECT_EQ(back->patterns.back().words, 2u);
  const auto none = back->ofKind(SEMDNS_PATTERN_STATISTIC);
  EXPECT_EQ(none.first, none.second);
  EXPECT_EQ(patterns::buildPlib(*back, error), bytes);
}

TEST(Patterns, EmptyLibraryRoundTrips) {
  patterns::PatternLibrary l;
  l.documentCount = 1;
  std::string error;
  EXPECT_TRUE(patterns::parsePats(patterns::buildPats(l), l, error)) << error;
}

TEST(Patterns, RefusesWhatIsNotAPatternLibrary) {
  patterns::ReadError why;
  EXPECT_FALSE(patterns::parsePlib("hello", why));
  EXPECT_THAT(why.message, HasSubstr("not a semdns file"));
  std::string error;
  std::string bytes = patterns::buildPlib(sample(), error);
  bytes.back() = char(bytes.back() ^ 1);
  EXPECT_FALSE(patterns::parsePlib(bytes, why));
  EXPECT_FALSE(why.incompatible);
  EXPECT_FALSE(patterns::readPlib("/nonexistent.plib", why));
}

/// Every damage to the section is refused with a reason, whatever the container's digests say.
TEST(Patterns, RefusesDamagedSections) {
  const std::string good = patterns::buildPats(sample());
  patterns::PatternLibrary l;
  std::string error;
  ASSERT_TRUE(patterns::parsePats(good, l, error)) << error;
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(patterns::parsePats(std::string_view(good).substr(0, size), l, error)) << size;
  EXPECT_FALSE(patterns::parsePats(good + '\0', l, error));

  const auto with = [&](size_t record, size_t field, uint32_t value) {
    std::string bytes = good;
    const size_t at = record == SIZE_MAX ? field : 64 + record * 32 + field;
    std::memcpy(bytes.data() + at, &value, 4);
    error.clear();
    const bool accepted = patterns::parsePats(bytes, l, error);
    return accepted ? std::string("accepted") : error;
  };
  EXPECT_THAT(with(SIZE_MAX, 0, 0xffffffff), HasSubstr("the limit is"));
  EXPECT_THAT(with(SIZE_MAX, 4, 0xffffffff), HasSubstr("the limit is"));
  EXPECT_THAT(with(SIZE_MAX, 0, 5), HasSubstr("its counts give"));
  EXPECT_THAT(with(SIZE_MAX, 8, 0), HasSubstr("no documents"));
  EXPECT_THAT(with(SIZE_MAX, 48, 2), HasSubstr("contrast"));
  EXPECT_THAT(with(SIZE_MAX, 60, 1), HasSubstr("reserved"));
  EXPECT_THAT(with(0, 0, 6), HasSubstr("unknown kind"));
  EXPECT_THAT(with(0, 4, 2), HasSubstr("words as stated"));
  EXPECT_THAT(with(0, 8, 0), HasSubstr("document frequency"));
  EXPECT_THAT(with(0, 12, 41), HasSubstr("document frequency"));
  EXPECT_THAT(with(2, 16, 51), HasSubstr("more documents than there are"));
  EXPECT_THAT(with(1, 24, 0), HasSubstr("expected at"));
  EXPECT_THAT(with(3, 28, 0x7fffffff), HasSubstr("expected at"));
  EXPECT_THAT(with(0, 0, 3), HasSubstr("not sorted"));

  std::string text = good;
  text[good.size() - 1] = char(0xff);
  EXPECT_FALSE(patterns::parsePats(text, l, error));
  EXPECT_THAT(error, HasSubstr("UTF-8"));
}

} // namespace
