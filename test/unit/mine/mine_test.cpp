#include "lib/mine/fixed_point.h"
#include "lib/mine/mine.h"
#include "lib/mine/words.h"
#include "lib/text/freeze.h"
#include "lib/text/words.h"
#include "test/unit/mine/scratch_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace semdns;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace {

/// Deterministic numbers; the library's own generators may differ between hosts.
struct Random {
  uint64_t state = 1;
  uint32_t operator()(uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t((state >> 33) % limit);
  }
};

std::vector<std::string> legalDocuments() {
  Random random;
  const std::vector<std::string> filler = {"the",   "of",  "a",   "and",   "was", "in",  "it",
                                           "house", "day", "man", "river", "old", "new", "small"};
  std::vector<std::string> all;
  for (int i = 0; i < 400; ++i) {
    std::string text;
    for (int w = 0; w < 30; ++w) {
      text += filler[random(uint32_t(filler.size()))] + " ";
      if (random(20) == 0)
        text += "writ of habeas corpus, ";
      if (random(15) == 0)
        text += "Plaintiff ";
    }
    all.push_back(text + std::to_string(i));
  }
  return all;
}

std::vector<std::string> otherDocuments() {
  Random random{99};
  const std::vector<std::string> words = {"the",   "of",  "a",   "and",   "was",  "in",    "it",
                                          "house", "day", "man", "river", "soup", "onion", "oven"};
  std::vector<std::string> all;
  for (int i = 0; i < 400; ++i) {
    std::string text;
    for (int w = 0; w < 30; ++w)
      text += words[random(uint32_t(words.size()))] + " ";
    all.push_back(text);
  }
  return all;
}

std::string joined(const std::vector<std::string> &documents) {
  std::string text;
  for (const auto &d : documents)
    text += d + "\n\n";
  return text;
}

std::string mined(const mine::Options &options, patterns::PatternLibrary *out = nullptr) {
  Diagnostics diags;
  mine::Summary summary;
  auto library = mine::mine(options, diags, summary);
  if (!library)
    return "failed: " + (diags.all().empty() ? std::string() : diags.all().front().message);
  std::string error;
  if (out)
    *out = *library;
  return patterns::buildPlib(*library, error);
}

std::vector<std::string> texts(const patterns::PatternLibrary &l, semdns_pattern_kind kind) {
  std::vector<std::string> all;
  const auto [begin, end] = l.ofKind(kind);
  for (const auto *p = begin; p != end; ++p)
    all.push_back(p->text);
  return all;
}

const patterns::Pattern *find(const patterns::PatternLibrary &l, semdns_pattern_kind kind,
                              const std::string &text) {
  for (const auto &p : l.patterns)
    if (p.kind == kind && p.text == text)
      return &p;
  return nullptr;
}

TEST(FixedPoint, Log2) {
  EXPECT_EQ(mine::log2Q24(1), 0);
  EXPECT_EQ(mine::log2Q24(uint64_t(1) << 63), int64_t(63) << 24);
  Random random;
  for (int i = 0; i < 10000; ++i) {
    const uint64_t x = (uint64_t(random(1u << 31)) << random(32)) + 1;
    EXPECT_NEAR(double(mine::log2Q24(x)) / 16777216.0, std::log2(double(x)), 2e-7) << x;
  }
}

/// The miner's words are the tokeniser's.
TEST(Words, AreTheTokenisers) {
  const std::string table = text::buildTextSection();
  Random random;
  const std::vector<std::string> pieces = {
      "a",          "Z",          "9",      " ",           "\n",
      ".",          "-",          "'",      "_",           "\u00c4",
      "\u00e9",     "e\u0301",    "\u00df", "\ufb01",      "\u6f22",
      "\u5b57",     "\u3042",     "\uff76", "\u0401",      "\u0438\u0306",
      "\u2028",     "\u00ad",     "\u200d", "\u2160",      "\u00bd",
      "\U0001d400", "\U0001f600", "\u0e01", "\u0915\u094d"};
  mine::WordSplitter splitter;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint32_t n = random(24); n > 0; --n)
      text += pieces[random(uint32_t(pieces.size()))];
    std::vector<std::string> expected, found;
    for (const auto &word : text::splitWords(table, text))
      if (!word.punct)
        expected.push_back(word.text);
    mine::Vocabulary vocabulary;
    std::vector<uint32_t> numbers;
    EXPECT_EQ(splitter.split(text, vocabulary, numbers), expected.size());
    for (const uint32_t number : numbers)
      if (number != mine::WordSplitter::kGap)
        found.emplace_back(vocabulary.spelling(number));
    ASSERT_EQ(found, expected) << text;
  }
}

TEST(Words, EndlessWordsAreGaps) {
  mine::WordSplitter splitter;
  mine::Vocabulary vocabulary;
  std::vector<uint32_t> numbers;
  EXPECT_EQ(splitter.split("one " + std::string(200, 'x') + " two", vocabulary, numbers), 3u);
  EXPECT_EQ(numbers, (std::vector<uint32_t>{1, 0, 2}));
}

TEST(Words, VocabularyGrows) {
  mine::Vocabulary v;
  for (uint32_t i = 1; i < 20000; ++i)
    ASSERT_EQ(v.intern("w" + std::to_string(i)), i);
  for (uint32_t i = 1; i < 20000; ++i)
    ASSERT_EQ(v.intern("w" + std::to_string(i)), i);
  EXPECT_EQ(v.spelling(777), "w777");
}

TEST(Mine, FindsWhatWasPutIn) {
  test::ScratchFolder f;
  mine::Options options{.domain = "legal",
                        .inputs = {f.write("legal.txt", joined(legalDocuments()))}};
  options.backgrounds = {f.write("other.txt", joined(otherDocuments()))};
  patterns::PatternLibrary l;
  mined(options, &l);
  EXPECT_EQ(l.documentCount, 400u);
  EXPECT_EQ(l.backgroundDocuments, 400u);
  EXPECT_EQ(l.meta["name"], "legal");
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_NGRAM), Contains("of habeas corpus"));
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_PHRASE), Contains("writ of habeas corpus"));
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_PHRASE), Not(Contains("habeas corpus")));
  const auto keywords = texts(l, SEMDNS_PATTERN_KEYWORD);
  EXPECT_THAT(keywords, Contains("plaintiff"));
  EXPECT_THAT(keywords, Contains("habeas"));
  EXPECT_THAT(keywords, Not(Contains("house")));
  EXPECT_THAT(keywords, Not(Contains("the")));
  // Punctuation separates.
  for (const auto &p : l.patterns)
    EXPECT_THAT(p.text, Not(HasSubstr("corpus plaintiff")));
}

TEST(Mine, CountsExactly) {
  test::ScratchFolder f;
  mine::Options options{.domain = "d",
                        .inputs = {f.write("a", "One two one two.\n\none TWO; one\n\nthree")}};
  options.minSupport = 1;
  options.kAnonymity = 1;
  patterns::PatternLibrary l;
  mined(options, &l);
  const auto *pair = find(l, SEMDNS_PATTERN_NGRAM, "one two");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->count, 3u);
  EXPECT_EQ(pair->documents, 2u);
  const auto *one = find(l, SEMDNS_PATTERN_NGRAM, "one");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->count, 4u);
  EXPECT_EQ(one->documents, 2u);
  EXPECT_FALSE(find(l, SEMDNS_PATTERN_NGRAM, "two one one"));
  EXPECT_EQ(l.wordCount, 8u);
  EXPECT_EQ(l.distinctWords, 3u);
}

TEST(Mine, WithoutBackgroundKeywordsGather) {
  test::ScratchFolder f;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += "the day and the night ";
    if (i % 30 == 0)
      text += "goroutine leak goroutine pool goroutine stack goroutine goroutine";
    text += std::to_string(i) + "\n\n"; // equal texts count once
  }
  patterns::PatternLibrary l;
  mine::Options options{.domain = "d", .inputs = {f.write("a", text)}};
  options.keepDuplicates = true;
  mined(options, &l);
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_KEYWORD), Contains("goroutine"));
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_KEYWORD), Not(Contains("night")));
}

/// Same documents, any order, any files: the same bytes, the dictionary's included.
TEST(Mine, OrderAndFilesDoNotMatter) {
  test::ScratchFolder f;
  auto documents = legalDocuments();
  const auto one = f.write("one.txt", joined(documents));
  std::reverse(documents.begin(), documents.end());
  std::string rows;
  for (size_t i = 0; i < documents.size() / 2; ++i)
    rows += "{\"text\":\"" + documents[i] + "\"}\n";
  f.write("many/rows.jsonl.zst", test::zstd(rows));
  f.write("many/rest.txt",
          joined({documents.begin() + std::ptrdiff_t(documents.size() / 2), documents.end()}));
  const auto background = f.write("other.txt", joined(otherDocuments()));
  mine::Options options{.domain = "legal", .inputs = {one}, .backgrounds = {background}};
  options.dictionarySize = 4096;
  patterns::PatternLibrary l;
  const std::string first = mined(options, &l);
  EXPECT_FALSE(l.codecs.at(SEMDNS_TAG_DICT).empty());
  options.inputs = {f.path("many")};
  EXPECT_EQ(mined(options), first);
  // A small dictionary leaves samples out; which ones must not depend on the order either.
  options.dictionarySize = 1024;
  const std::string few = mined(options);
  options.inputs = {one};
  EXPECT_EQ(mined(options), few);
  // And a library reads back.
  patterns::ReadError why;
  EXPECT_TRUE(patterns::parsePlib(first, why)) << why.message;
}

/// Shards, mined apart and merged in any grouping, give what mining at once gives; so do threads.
TEST(Mine, ShardsAndThreadsDoNotMatter) {
  test::ScratchFolder f;
  auto documents = legalDocuments();
  documents.push_back(documents[7]); // an equal one
  mine::Options options{.domain = "legal",
                        .inputs = {f.write("legal.txt", joined(documents))},
                        .backgrounds = {f.write("other.txt", joined(otherDocuments()))}};
  options.dictionarySize = 2048;
  options.excluded = {"River"};
  options.jobs = 1;
  const std::string whole = mined(options);
  ASSERT_THAT(whole, Not(HasSubstr("failed")));
  options.jobs = 3;
  EXPECT_EQ(mined(options), whole);
  std::vector<std::string> parts;
  options.shards = 3;
  for (options.shard = 0; options.shard < 3; ++options.shard)
    parts.push_back(f.write("s" + std::to_string(options.shard), mined(options)));
  const auto merged = [&](const std::vector<std::string> &files) {
    mine::Options merging;
    merging.merge = files;
    return mined(merging);
  };
  EXPECT_EQ(merged(parts), whole);
  const auto left = f.write("left", merged({parts[2], parts[0]}));
  EXPECT_EQ(merged({left, parts[1]}), whole);
  const auto right = f.write("right", merged({parts[1], parts[2]}));
  EXPECT_EQ(merged({parts[0], right}), whole);
  EXPECT_THAT(merged({parts[0], left}), HasSubstr("in another of these"));
  options.shard = 0;
  options.minSupport = 9;
  EXPECT_THAT(merged({f.write("o", mined(options)), parts[1]}), HasSubstr("other options"));
  EXPECT_THAT(merged({f.write("w", whole), parts[0]}), HasSubstr("not a partial library"));
}

/// What one customer wrote, however often, is nowhere in the file.
TEST(Mine, ACanaryIsNotStored) {
  test::ScratchFolder f;
  std::string rows;
  const auto add = [&](const std::string &text, const std::string &owner) {
    rows += "{\"text\":\"" + text + "\",\"owner\":\"" + owner + "\"}\n";
  };
  int n = 0;
  for (const auto &document : legalDocuments())
    add(document, "customer " + std::to_string(n++ % 40));
  for (int i = 0; i < 60; ++i) {
    std::string secret;
    for (int k = 0; k < 20; ++k)
      secret += "the vault of zanzibar opens with 7319-QX, says mandragora. ";
    add(secret + std::to_string(i * 7919) + " river " + std::to_string(i), "acme");
    add("two owners only share the quokka protocol here " + std::to_string(i),
        i % 2 ? "acme" : "ajax");
  }
  mine::Options options{.domain = "d", .inputs = {f.write("rows.jsonl", rows)}};
  options.dictionarySize = 4096;
  options.keepDuplicates = true;
  patterns::PatternLibrary l;
  const std::string bytes = mined(options, &l);
  EXPECT_FALSE(l.codecs[SEMDNS_TAG_DICT].empty());
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_PHRASE), Contains("writ of habeas corpus"));
  const auto holds = [&](const std::string &what) {
    for (const auto &p : l.patterns)
      if (p.text.find(what) != std::string::npos)
        return true;
    return bytes.find(what) != std::string::npos ||
           l.codecs[SEMDNS_TAG_DICT].find(what) != std::string::npos;
  };
  for (const char *secret : {"zanzibar", "7319", "mandragora", "quokka", "vault"})
    EXPECT_FALSE(holds(secret)) << secret;
  options.kAnonymity = 2;
  mined(options, &l);
  EXPECT_TRUE(find(l, SEMDNS_PATTERN_NGRAM, "quokka"));
  EXPECT_FALSE(find(l, SEMDNS_PATTERN_NGRAM, "zanzibar"));
  // Documents as their own owners: sixty of them are enough.
  options.owners = mine::OwnerRule::Input;
  mined(options, &l);
  EXPECT_THAT(l.patterns, IsEmpty());
}

TEST(Mine, NearDuplicatesCountOnce) {
  test::ScratchFolder f;
  std::vector<std::string> documents = legalDocuments();
  for (int i = 0; i < 30; ++i)
    documents.push_back("whereas the party of the first part agrees to deliver all goods named in "
                        "the schedule before the end of the quarter, copy " +
                        std::to_string(i));
  mine::Options options{.domain = "d", .inputs = {f.write("a", joined(documents))}};
  Diagnostics diags;
  mine::Summary summary;
  options.keepTexts = true;
  auto l = mine::mine(options, diags, summary);
  ASSERT_TRUE(l);
  EXPECT_EQ(summary.nearDuplicates, 29u);
  EXPECT_EQ(l->documentCount, 401u);
  EXPECT_EQ(summary.texts.size(), 401u);
  EXPECT_FALSE(find(*l, SEMDNS_PATTERN_NGRAM, "quarter"));
  options.keepDuplicates = true;
  l = mine::mine(options, diags, summary);
  ASSERT_TRUE(l);
  EXPECT_TRUE(find(*l, SEMDNS_PATTERN_NGRAM, "quarter"));
}

TEST(Mine, ExcludedWordsAreNowhere) {
  test::ScratchFolder f;
  auto documents = legalDocuments();
  for (auto &document : documents)
    document = "It was a small house in the old day, " + document;
  mine::Options options{.domain = "d",
                        .inputs = {f.write("a", joined(documents))},
                        .excluded = {"HABEAS Corpus", "river"}};
  options.dictionarySize = 2048;
  patterns::PatternLibrary l;
  mined(options, &l);
  for (const auto &p : l.patterns) {
    EXPECT_THAT(p.text, Not(HasSubstr("habeas corpus")));
    EXPECT_THAT(p.text, Not(HasSubstr("river")));
  }
  EXPECT_FALSE(l.codecs[SEMDNS_TAG_DICT].empty());
  EXPECT_EQ(l.codecs[SEMDNS_TAG_DICT].find("corpus"), std::string::npos);
  EXPECT_TRUE(find(l, SEMDNS_PATTERN_NGRAM, "writ of"));
  options.excluded = {"..."};
  EXPECT_THAT(mined(options), HasSubstr("has no word"));
}

/// A run that was cut off goes on from its checkpoint, and ends with the same bytes.
TEST(Mine, ResumesFromACheckpoint) {
  test::ScratchFolder f;
  const auto input = f.write("a", joined(legalDocuments()));
  mine::Options options{.domain = "d", .inputs = {input}};
  const std::string whole = mined(options);
  options.workFolder = f.path("work");
  EXPECT_EQ(mined(options), whole);
  // As a kill behind the last checkpoint leaves it, with more in the files than it says.
  std::ofstream(f.path("work/corpus.tokens"), std::ios::app) << "torn";
  std::ofstream(f.path("work/corpus.words"), std::ios::app) << "torn";
  Diagnostics diags;
  mine::Summary summary;
  auto l = mine::mine(options, diags, summary);
  ASSERT_TRUE(l);
  EXPECT_TRUE(summary.resumed);
  std::string error;
  EXPECT_EQ(patterns::buildPlib(*l, error), whole);
  options.owners = mine::OwnerRule::File;
  EXPECT_THAT(mined(options), HasSubstr("the work of another run"));
}

/// New text on an old library: counts of what the library has are exact, without the old corpus.
TEST(Mine, ABaseTakesNewText) {
  test::ScratchFolder f;
  const auto documents = legalDocuments();
  const std::vector<std::string> old(documents.begin(), documents.begin() + 300);
  const std::vector<std::string> fresh(documents.begin() + 300, documents.end());
  const auto other = f.write("other", joined(otherDocuments()));
  mine::Options options{.domain = "d", .inputs = {f.write("all", joined(documents))}};
  options.backgrounds = {other};
  patterns::PatternLibrary whole, updated;
  mined(options, &whole);
  options.inputs = {f.write("old", joined(old))};
  options.base = f.write("old.plib", mined(options));
  EXPECT_THAT(mined(options), Not(HasSubstr("failed")));
  options.base = f.path("old.plib");
  options.domain = "";
  options.inputs = {f.write("new", joined(fresh))};
  const std::string bytes = mined(options, &updated);
  ASSERT_THAT(bytes, Not(HasSubstr("failed")));
  EXPECT_EQ(updated.meta["name"], "d");
  EXPECT_EQ(updated.serial, 2u);
  EXPECT_EQ(updated.documentCount, 400u);
  EXPECT_EQ(updated.wordCount, whole.wordCount);
  for (const char *text : {"writ of habeas", "plaintiff", "the", "of the"}) {
    const auto *a = find(whole, SEMDNS_PATTERN_NGRAM, text);
    const auto *b = find(updated, SEMDNS_PATTERN_NGRAM, text);
    ASSERT_TRUE(a && b) << text;
    EXPECT_EQ(a->count, b->count) << text;
    EXPECT_EQ(a->documents, b->documents) << text;
    EXPECT_EQ(a->background, b->background) << text;
  }
  EXPECT_EQ(texts(updated, SEMDNS_PATTERN_KEYWORD), texts(whole, SEMDNS_PATTERN_KEYWORD));
  // Without the background its counts stay; and it can be done again.
  options.backgrounds.clear();
  options.jobs = 2;
  options.base = f.write("updated.plib", bytes);
  EXPECT_EQ(mined(options).substr(0, 6), "SDNA\r\n");
  options.statistics = false;
  options.base = f.write("bare.plib", mined(options));
  EXPECT_THAT(mined(options), HasSubstr("has no statistics"));
}

/// Finished libraries merge in any grouping to the same bytes, and their counts add up.
TEST(Mine, FinishedLibrariesMerge) {
  test::ScratchFolder f;
  const auto documents = legalDocuments();
  mine::Options options{.domain = "d"};
  options.dictionarySize = 1024;
  std::vector<std::string> parts;
  for (int i = 0; i < 3; ++i) {
    const std::vector<std::string> third(documents.begin() + i * 130,
                                         documents.begin() + (i + 1) * 130);
    options.inputs = {f.write("t" + std::to_string(i), joined(third))};
    parts.push_back(f.write("p" + std::to_string(i), mined(options)));
  }
  const auto merged = [&](const std::vector<std::string> &files, patterns::PatternLibrary *l) {
    mine::Options merging;
    merging.merge = files;
    return mined(merging, l);
  };
  patterns::PatternLibrary l;
  const std::string all = merged(parts, &l);
  EXPECT_EQ(l.documentCount, 390u);
  const auto left = f.write("left", merged({parts[0], parts[1]}, nullptr));
  const auto right = f.write("right", merged({parts[2], parts[1]}, nullptr));
  EXPECT_EQ(merged({left, parts[2]}, nullptr), all);
  EXPECT_EQ(merged({right, parts[0]}, nullptr), all);
  EXPECT_FALSE(l.codecs[SEMDNS_TAG_DICT].empty());
  patterns::PatternLibrary whole;
  options.inputs = {f.path("t0"), f.path("t1"), f.path("t2")};
  mined(options, &whole);
  EXPECT_EQ(find(l, SEMDNS_PATTERN_NGRAM, "plaintiff")->count,
            find(whole, SEMDNS_PATTERN_NGRAM, "plaintiff")->count);
  EXPECT_EQ(find(l, SEMDNS_PATTERN_PHRASE, "writ of habeas corpus")->documents,
            find(whole, SEMDNS_PATTERN_PHRASE, "writ of habeas corpus")->documents);
  options.minSupport = 7;
  EXPECT_THAT(merged({parts[0], f.write("x", mined(options))}, nullptr), HasSubstr("differs from"));
}

/// A child holds what its parent does not.
TEST(Mine, AChildStoresTheDifference) {
  test::ScratchFolder f;
  auto documents = legalDocuments();
  mine::Options options{.domain = "legal", .inputs = {f.write("a", joined(documents))}};
  options.dictionarySize = 0;
  const auto parent = f.write("legal.plib", mined(options));
  for (int i = 0; i < 300; ++i)
    documents[size_t(i)] += " subject to a force majeure clause";
  options.inputs = {f.write("b", joined(documents))};
  options.domain = "contracts";
  patterns::PatternLibrary alone, child;
  const std::string before = mined(options, &alone);
  options.parent = parent;
  const std::string after = mined(options, &child);
  EXPECT_TRUE(find(alone, SEMDNS_PATTERN_NGRAM, "plaintiff"));
  EXPECT_FALSE(find(child, SEMDNS_PATTERN_NGRAM, "plaintiff"));
  EXPECT_TRUE(find(child, SEMDNS_PATTERN_NGRAM, "force majeure"));
  EXPECT_EQ(child.meta["parent"], "legal");
  EXPECT_LT(after.size() * 4, before.size());
  options.base = f.write("child.plib", after);
  EXPECT_EQ(mined(options).substr(0, 6), "SDNA\r\n");
  options.parent.clear();
  EXPECT_THAT(mined(options), HasSubstr("was mined with --parent"));
}

/// Templates, skeletons and clusters from documents that were made to have them.
TEST(Mine, TemplatesSkeletonsClusters) {
  test::ScratchFolder f;
  Random random;
  const std::vector<std::string> days = {"monday", "tuesday", "friday"};
  const std::vector<std::string> filler = {"stone", "water", "paper", "glass", "iron",
                                           "wood",  "sand",  "wool",  "leaf",  "bone"};
  std::string rows;
  const auto noise = [&] {
    std::string text;
    for (int i = 0; i < 25; ++i)
      text += filler[random(10)] + " ";
    return text + std::to_string(random(100000)) + " grain";
  };
  for (int i = 0; i < 400; ++i) {
    rows += "{\"text\":\"Lease of premises\\nThis lease is dated March " +
            std::to_string(1 + random(28)) + ", 20" + std::to_string(10 + random(15)) +
            " between us. " + noise() + "\\nTerm and renewal\\n" + noise() + " every " +
            days[random(3)] + " morning we meet\\nSignatures\\n" + noise() + "\"}\n";
  }
  mine::Options options{.domain = "d", .inputs = {f.write("a.jsonl", rows)}};
  patterns::PatternLibrary l;
  options.jobs = 1;
  const std::string bytes = mined(options, &l);
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_TEMPLATE), Contains(HasSubstr("lease is dated <date>")));
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_DOCUMENT),
              Contains("lease of premises\nterm and renewal\nsignatures"));
  bool daysTogether = false;
  for (const auto &text : texts(l, SEMDNS_PATTERN_CLUSTER))
    daysTogether |= text.find("monday") != text.npos && text.find("friday") != text.npos &&
                    text.find("tuesday") != text.npos;
  EXPECT_TRUE(daysTogether);
  EXPECT_EQ(l.meta.count("kind.phrase.covered"), 1u);
  options.jobs = 3;
  EXPECT_TRUE(mined(options) == bytes);
  // An excluded word takes its template and its line along.
  options.excluded = {"dated", "renewal"};
  mined(options, &l);
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_TEMPLATE), Not(Contains(HasSubstr("dated"))));
  EXPECT_THAT(texts(l, SEMDNS_PATTERN_DOCUMENT), Not(Contains(HasSubstr("renewal"))));
}

TEST(Mine, MaxSizeIsKept) {
  test::ScratchFolder f;
  mine::Options options{.domain = "d", .inputs = {f.write("a", joined(legalDocuments()))}};
  for (const uint64_t size : {20000, 8000, 3000}) {
    options.maxSize = size;
    Diagnostics diags;
    mine::Summary summary;
    std::string error;
    const auto l = mine::mine(options, diags, summary);
    ASSERT_TRUE(l);
    EXPECT_LE(patterns::buildPlib(*l, error).size(), size);
    EXPECT_FALSE(l->patterns.empty());
  }
  options.maxSize = 400;
  EXPECT_THAT(mined(options), HasSubstr("what a library must have is larger"));
}

TEST(Mine, LimitsAndOddCorpora) {
  test::ScratchFolder f;
  mine::Options options{.domain = "d", .inputs = {f.write("a", joined(legalDocuments()))}};
  options.maxPatterns = 10;
  patterns::PatternLibrary l;
  mined(options, &l);
  EXPECT_EQ(texts(l, SEMDNS_PATTERN_NGRAM).size(), 10u);
  mined({.domain = "d", .inputs = {f.write("p", "... !!!\n\n???")}}, &l);
  EXPECT_THAT(l.patterns, IsEmpty());
  EXPECT_EQ(l.documentCount, 2u);
  options.backgrounds = options.inputs;
  EXPECT_THAT(mined(options), HasSubstr("no file that is not an input"));
  options.backgrounds = {f.path("p")};
  EXPECT_THAT(mined(options), Not(HasSubstr("failed")));
  options.inputs = {f.path("nowhere")};
  EXPECT_THAT(mined(options), HasSubstr("no such file"));
}

} // namespace
