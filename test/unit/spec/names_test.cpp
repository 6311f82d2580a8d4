#include "lib/spec/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace semdns::spec {
namespace {

using testing::HasSubstr;

NameError nameError(std::string_view text) {
  NameError error;
  EXPECT_FALSE(parseName(text, error)) << text;
  EXPECT_FALSE(error.message.empty());
  return error;
}

TEST(Names, RoundTrip) {
  for (const char *name : {".", "legal.", "contracts.legal.", "a-b.c0.", "comp\\.sys.", "\\045a.",
                           "what\\063.", "caf\xC3\xA9.x."}) {
    NameError error;
    auto levels = parseName(name, error);
    ASSERT_TRUE(levels) << name << ": " << error.message;
    EXPECT_EQ(formatName(*levels), name);
  }
  NameError error;
  EXPECT_EQ(*parseName("contracts.legal.", error), (Levels{"legal", "contracts"}));
}

TEST(Names, EveryMappedLevelHasAName) {
  // Whatever a label file may hold gives a name that parses back to itself.
  for (unsigned c = 0x20; c < 0x7f; ++c) {
    if (c == '/')
      continue;
    for (const std::string &text :
         {std::string(1, char(c)), std::string("a") + char(c) + "b", char(c) + std::string("z")}) {
      const std::string level = mapLevel(text);
      EXPECT_EQ(mapLevel(level), level);
      NameError error;
      auto levels = parseName(formatName({level}), error);
      ASSERT_TRUE(levels) << text << ": " << error.message;
      EXPECT_EQ(*levels, Levels{level});
    }
  }
}

TEST(Names, Rejects) {
  EXPECT_THAT(nameError("").message, HasSubstr("empty"));
  EXPECT_THAT(nameError("contracts.legal").message, HasSubstr("no final dot"));
  EXPECT_THAT(nameError("contracts.legal").help, HasSubstr("'contracts.legal.'"));
  EXPECT_THAT(nameError("a..b.").message, HasSubstr("empty level"));
  EXPECT_THAT(nameError("..").message, HasSubstr("empty level"));
  EXPECT_THAT(nameError("Small Talk.").help, HasSubstr("'small-talk.'"));
  EXPECT_THAT(nameError("small_talk.").help, HasSubstr("'small-talk.'"));
  EXPECT_THAT(nameError("-a.").message, HasSubstr("'-'"));
  EXPECT_THAT(nameError("a-.").message, HasSubstr("'-'"));
  EXPECT_THAT(nameError("a\\").message, HasSubstr("escape"));
  EXPECT_THAT(nameError("a\\25.").message, HasSubstr("escape"));
  EXPECT_THAT(nameError("a\\999.").message, HasSubstr("escape"));
  EXPECT_THAT(nameError("a\\255.").message, HasSubstr("UTF-8"));
  EXPECT_THAT(nameError("a\\047b.").message, HasSubstr("'/'"));
  EXPECT_THAT(nameError(std::string(64, 'a') + ".").message, HasSubstr("64 bytes"));
  NameError error;
  EXPECT_TRUE(parseName(std::string(63, 'a') + ".", error));
  std::string deep;
  for (int i = 0; i < 16; ++i)
    deep += "a.";
  EXPECT_TRUE(parseName(deep, error));
  EXPECT_THAT(nameError(deep + "a.").message, HasSubstr("17 levels"));
  std::string longest; // 3 * 64 + 62 + 1 = 255 bytes in wire form
  for (int i = 0; i < 3; ++i)
    longest += std::string(63, 'a') + ".";
  EXPECT_TRUE(parseName(std::string(61, 'b') + "." + longest, error)) << error.message;
  EXPECT_THAT(nameError(std::string(62, 'b') + "." + longest).message, HasSubstr("256 bytes"));
}

TEST(Names, Labels) {
  NameError error;
  EXPECT_EQ(mapLevels(*splitLabel("Small_Talk/Thank You", error)),
            (Levels{"small-talk", "thank-you"}));
  EXPECT_EQ(*splitLabel("/", error), Levels{});
  EXPECT_EQ(mapLevel("\xC3\x89T\xC3\x89"), "\xC3\xA9t\xC3\xA9"); // ÉTÉ
  EXPECT_EQ(mapLevel("E\xCC\x81"), "\xC3\xA9");                  // decomposed É
  EXPECT_FALSE(splitLabel("", error));
  EXPECT_FALSE(splitLabel("a//b", error));
  EXPECT_FALSE(splitLabel("/a", error));
  EXPECT_FALSE(splitLabel("a/", error));
  EXPECT_FALSE(splitLabel("a\tb", error));
  EXPECT_FALSE(splitLabel(std::string(64, 'x'), error));
  EXPECT_EQ(joinPath({}), "/");
  EXPECT_EQ(joinPath({"a", "b"}), "a/b");
}

} // namespace
} // namespace semdns::spec
