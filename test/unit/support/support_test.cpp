// Files, diagnostics and JSON lines: what every tool leans on.
#include "lib/support/command_line.h"
#include "lib/support/diagnostics.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

using namespace semdns;

namespace {

class FilesTest : public testing::Test {
protected:
  void SetUp() override {
    folder =
        std::filesystem::temp_directory_path() / ("semdns-support-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string path(const char *name) const { return (folder / name).string(); }
  size_t fileCount() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }
  std::filesystem::path folder;
};

TEST_F(FilesTest, WritesAndReadsBack) {
  std::string error;
  std::string bytes("a\0b\n", 4);
  ASSERT_TRUE(writeFileAtomically(path("x"), bytes, false, error)) << error;
  EXPECT_EQ(readFile(path("x"), error), bytes);
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(FilesTest, KeepsAnExistingFileUnlessForced) {
  std::string error;
  ASSERT_TRUE(writeFileAtomically(path("x"), "old", false, error));
  EXPECT_FALSE(writeFileAtomically(path("x"), "new", false, error));
  EXPECT_NE(error.find("-f"), std::string::npos);
  EXPECT_EQ(readFile(path("x"), error), "old");
  EXPECT_TRUE(writeFileAtomically(path("x"), "new", true, error));
  EXPECT_EQ(readFile(path("x"), error), "new");
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(FilesTest, FailedWriteLeavesNothingBehind) {
  std::string error;
  EXPECT_FALSE(writeFileAtomically(path("no/such/x"), "data", true, error));
  EXPECT_NE(error.find("no folder"), std::string::npos) << error;
  EXPECT_FALSE(writeFileAtomically(folder.string(), "data", true, error));
  EXPECT_EQ(fileCount(), 0u);
}

TEST_F(FilesTest, DevicesAreWrittenToNotReplaced) {
  std::string error;
  EXPECT_TRUE(writeFileAtomically("/dev/null", "data", false, error)) << error;
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  if (!std::filesystem::is_character_file("/dev/full"))
    GTEST_SKIP() << "no /dev/full here";
  // Answers ENOSPC to every write, as a full disk does.
  EXPECT_FALSE(writeFileAtomically("/dev/full", "data", true, error));
  EXPECT_NE(error.find("No space left"), std::string::npos) << error;
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_FALSE(firstInvalidUtf8("plain, \xc3\xa9, \xf0\x9f\x98\x80"));
  EXPECT_EQ(firstInvalidUtf8("ab\xff"), 2u);
  EXPECT_EQ(firstInvalidUtf8("a\xc0\x80"), 1u);        // overlong
  EXPECT_EQ(firstInvalidUtf8("\xed\xa0\x80"), 0u);     // surrogate
  EXPECT_EQ(firstInvalidUtf8("\xf4\x90\x80\x80"), 0u); // beyond U+10FFFF
  EXPECT_EQ(firstInvalidUtf8("x\xe2\x82"), 1u);        // cut short
}

TEST(Nearest, SuggestsLikelyTyposOnly) {
  std::vector<std::string> names = {"legal.", "medical.", "contracts.legal."};
  EXPECT_EQ(nearest("leagl.", names), "legal.");
  EXPECT_EQ(nearest("contract.legal.", names), "contracts.legal.");
  EXPECT_EQ(nearest("finance.", names), "");
  EXPECT_EQ(didYouMean("medcal.", names), "did you mean 'medical.'?");
}

TEST(JsonLines, ReadsRowsAndLocatesEveryBadOne) {
  Diagnostics diags;
  auto rows = parseJsonLines("{\"text\":\"a\",\"label\":\"x/y\",\"other\":1}\n"
                             "\n"
                             "nonsense\n"
                             "{\"label\":\"x\"}\n"
                             "{\"text\":\"b\\u0000c\"}\n"
                             "{\"text\":\"\xff\"}\n"
                             "[1]\n"
                             "{\"text\":\"c\",\"label\":3}",
                             "f.jsonl", false, diags);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].label, "x/y");
  EXPECT_EQ(rows[1].text, std::string("b\0c", 3));
  EXPECT_EQ(rows[1].line, 5u);
  ASSERT_EQ(diags.errorCount(), 5u);
  EXPECT_EQ(diags.all()[0].where.line, 3u);
  EXPECT_EQ(diags.all()[2].where.line, 6u);
  EXPECT_EQ(diags.all()[2].where.column, 10u); // byte of the line
}

TEST(JsonLines, KeepsDirtyTextWhereAskedTo) {
  Diagnostics diags;
  auto rows = parseJsonLines("{\"text\":\"a\xff\xc3 b\"}\n{\"text\":\"x\\ud800y \\\\ud800\"}\n"
                             "{\"text\":\"\\ud83d\\ude00\"}\n",
                             "f", false, diags, BadText::Keep);
  EXPECT_FALSE(diags.hasErrors());
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].text, "a\xff\xc3 b");
  EXPECT_EQ(rows[1].text, "x\xffy \\ud800");
  EXPECT_EQ(rows[2].text, "\xf0\x9f\x98\x80");
}

TEST(JsonLines, NumbersOutOfRangeAreErrorsNotAborts) {
  Diagnostics diags;
  EXPECT_TRUE(parseJsonLines("{\"text\":\"a\",\"score\":1e999}", "f", false, diags).empty());
  EXPECT_EQ(diags.errorCount(), 1u);
}

TEST(CommandLine, UnsignedNumbers) {
  EXPECT_EQ(checkUnsigned("0"), "");
  EXPECT_EQ(checkUnsigned("18446744073709551615"), "");
  for (const char *bad : {"", "-1", "18446744073709551616", "1e3", " 1", "x"})
    EXPECT_NE(checkUnsigned(bad), "") << bad;
  EXPECT_TRUE(isEmptyOption("--name="));
  EXPECT_FALSE(isEmptyOption("--name=x="));
  EXPECT_FALSE(isEmptyOption("name="));
}

TEST(JsonLines, SplitsAtLineFeedOnly) {
  Diagnostics diags;
  auto rows = parseJsonLines("{\"text\":\"a\xe2\x80\xa8"
                             "b\"}\r\n",
                             "f", false, diags);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].text, "a\xe2\x80\xa8"
                          "b");
}

TEST(JsonLines, RefusesMissingEmptyAndBinaryFiles) {
  Diagnostics diags;
  EXPECT_TRUE(readJsonLines("/no/such/file.jsonl", true, diags).empty());
  EXPECT_EQ(diags.errorCount(), 1u);
  EXPECT_TRUE(readJsonLines("/dev/null", true, diags).empty());
  EXPECT_EQ(diags.errorCount(), 2u);
}

TEST(DiagnosticsTest, WarningsBecomeErrorsOnRequest) {
  Diagnostics diags;
  diags.warning({"f", 1, 2}, "odd");
  EXPECT_FALSE(diags.hasErrors());
  diags.setWarningsAreErrors(true);
  EXPECT_TRUE(diags.hasErrors());
}

} // namespace
