#include "lib/mine/corpus.h"
#include "test/unit/mine/scratch_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

using namespace semdns;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

struct Result {
  bool good = false;
  std::vector<std::string> texts, labels;
  std::vector<uint32_t> lines;
  Diagnostics diags;

  /// "line:column: message" of all diagnostics.
  std::vector<std::string> messages() const {
    std::vector<std::string> all;
    for (const Diagnostic &d : diags.all())
      all.push_back(std::to_string(d.where.line) + ":" + std::to_string(d.where.column) + ": " +
                    d.message);
    return all;
  }
};

Result read(const std::vector<std::string> &paths) {
  Result r;
  r.good = mine::forEachDocument(paths, r.diags, [&](const mine::Document &d) {
    r.texts.emplace_back(d.text);
    r.labels.emplace_back(d.hasLabel ? d.label : "-");
    r.lines.push_back(d.line);
    return true;
  });
  return r;
}

TEST(Corpus, BlocksOfAText) {
  test::ScratchFolder f;
  const auto r = read({f.write("a.txt", "\xef\xbb\xbfone\ntwo\r\n\n \t\n\nthree\n\n{\"text\":")});
  EXPECT_TRUE(r.good);
  EXPECT_THAT(r.texts, ElementsAre("one\ntwo", "three", "{\"text\":"));
  EXPECT_THAT(r.lines, ElementsAre(1, 6, 8));
}

TEST(Corpus, RowsByNameAndByContent) {
  test::ScratchFolder f;
  const std::string rows =
      "{\"text\":\"a\\u00e9\\nb\",\"label\":\"x/y\",\"n\":1}\n\n{\"text\":\"c\"}";
  for (const char *name : {"a.jsonl", "a.txt"}) {
    const auto r = read({f.write(name, rows)});
    EXPECT_TRUE(r.good) << name;
    EXPECT_THAT(r.texts, ElementsAre("a\u00e9\nb", "c")) << name;
    EXPECT_THAT(r.labels, ElementsAre("x/y", "-")) << name;
    EXPECT_THAT(r.lines, ElementsAre(1, 3)) << name;
  }
}

TEST(Corpus, ZstdFramesOneBehindTheOther) {
  test::ScratchFolder f;
  const std::string both = test::zstd("one\n\ntw") + test::zstd("o\n");
  const auto r = read({f.write("a.txt.zst", both)});
  EXPECT_TRUE(r.good);
  EXPECT_THAT(r.texts, ElementsAre("one", "two"));
}

TEST(Corpus, TruncatedAndDamagedZstd) {
  test::ScratchFolder f;
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i * 7919 % 10007) + (i % 9 ? " " : "\n");
  const std::string whole = test::zstd(text);
  const auto cut = read({f.write("cut.zst", whole.substr(0, whole.size() - 5))});
  EXPECT_FALSE(cut.good);
  EXPECT_THAT(cut.messages().back(), HasSubstr("truncated"));
  std::string bad = whole;
  bad[4] |= 8; // the reserved bit of the frame header
  EXPECT_FALSE(read({f.write("bad.zst", bad)}).good);
  const auto plain = read({f.write("plain.zst", "just text\n")});
  EXPECT_THAT(plain.messages().back(), HasSubstr("not a zstd file"));
}

TEST(Corpus, FoldersAreReadSortedAndOnce) {
  test::ScratchFolder f;
  f.write("d/b.txt", "b");
  f.write("d/a/z.txt", "z");
  f.write("d/.hidden", "no");
  f.write("d/c.bin", std::string("x\0y", 3));
  symlink(f.path("d").c_str(), f.path("d/loop").c_str());
  symlink(f.path("d/b.txt").c_str(), f.path("d/again.txt").c_str());
  symlink("nowhere", f.path("d/dangling").c_str());
  const auto r = read({f.path("d"), f.path("d/b.txt")});
  EXPECT_TRUE(r.good);
  EXPECT_THAT(r.texts, ElementsAre("z", "b"));
  const auto messages = r.messages();
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_THAT(messages[0], HasSubstr("link that leads nowhere skipped"));
  EXPECT_THAT(messages[1], HasSubstr("link loop skipped"));
  EXPECT_THAT(messages[2], HasSubstr("1:2: binary file skipped"));
}

TEST(Corpus, ErrorsAreLocated) {
  test::ScratchFolder f;
  EXPECT_THAT(read({f.path("none")}).messages(), ElementsAre(HasSubstr("no such file")));
  EXPECT_THAT(read({f.write("empty", "")}).messages().front(), HasSubstr("no text"));
  EXPECT_THAT(read({f.write("blank", "\n \n")}).messages().front(), HasSubstr("no text"));
  std::filesystem::create_directory(f.path("hollow"));
  EXPECT_THAT(read({f.path("hollow")}).messages(), ElementsAre(HasSubstr("no file")));
  EXPECT_THAT(read({f.write("bin", std::string("ab\ncd\0", 6))}).messages(),
              ElementsAre(HasSubstr("2:3: binary data")));
  EXPECT_THAT(read({f.write("utf16", "\xff\xfe"
                                     "a")})
                  .messages(),
              ElementsAre(HasSubstr("UTF-16")));
  const auto bad = read({f.write("bad", "fine\n\nab\xc3\x28\n\nfine too\n")});
  EXPECT_FALSE(bad.good);
  EXPECT_THAT(bad.messages(), ElementsAre("3:3: invalid UTF-8: byte 0xc3"));
  EXPECT_THAT(bad.texts, ElementsAre("fine", "fine too"));
  const auto rows =
      read({f.write("r.jsonl", "{\"text\":\"a\"}\n{\"txt\":1}\n[1]\n{\"text\":3}\n{x}\n")});
  EXPECT_THAT(rows.messages(),
              ElementsAre("2:1: row has no string \"text\"", "3:1: row is not an object",
                          "4:1: row has no string \"text\"", HasSubstr("5:2: invalid JSON")));
}

TEST(Corpus, TooManyErrorsEndTheFile) {
  test::ScratchFolder f;
  std::string rows;
  for (int i = 0; i < 1000; ++i)
    rows += "{}\n";
  const auto r = read({f.write("r.jsonl", rows)});
  EXPECT_EQ(r.diags.errorCount(), 21u);
  EXPECT_THAT(r.messages().back(), HasSubstr("more than 20 errors"));
}

TEST(Corpus, OneEndlessLine) {
  test::ScratchFolder f;
  const auto r = read({f.write("long", "short\n\n" + std::string(mine::kMaxLineBytes + 1, 'x'))});
  EXPECT_FALSE(r.good);
  EXPECT_THAT(r.messages(), ElementsAre("3:1: line is longer than 16 MiB"));
}

TEST(Corpus, LongBlocksAreCutAtLineEnds) {
  test::ScratchFolder f;
  std::string block;
  while (block.size() < 3 * mine::kMaxBlockBytes)
    block += std::string(999, 'y') + "\n";
  const auto r = read({f.write("block", block)});
  EXPECT_TRUE(r.good);
  EXPECT_EQ(r.texts.size(), 4u);
  for (const auto &text : r.texts)
    EXPECT_LE(text.size(), mine::kMaxBlockBytes);
}

TEST(Corpus, StopsWhenAsked) {
  test::ScratchFolder f;
  Diagnostics diags;
  int seen = 0;
  EXPECT_TRUE(mine::forEachDocument({f.write("a", "1\n\n2\n\n3")}, diags,
                                    [&](const mine::Document &) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

} // namespace
