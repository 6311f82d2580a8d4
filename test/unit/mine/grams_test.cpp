#include "lib/mine/grams.h"
#include "lib/patterns/partial.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

using namespace semdns;

namespace {

/// Whatever the threads and passes, the counts are those of the definition.
TEST(Grams, CountLikeTheDefinition) {
  mine::Spool<uint32_t> stream;
  std::string error;
  ASSERT_TRUE(stream.open({}, "", 0, error)) << error;
  std::vector<mine::Place> places;
  uint64_t state = 5;
  for (uint32_t d = 0; d < 300; ++d) {
    const uint64_t begin = stream.size();
    for (int i = 0; i < 40; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      ASSERT_TRUE(stream.append(uint32_t(state >> 40) % 9, error)) << error;
    }
    places.push_back({begin, stream.size(), d / 3});
  }
  struct Expected {
    uint32_t count = 0;
    std::set<uint32_t> documents, owners;
  };
  std::map<std::vector<uint32_t>, Expected> expected;
  for (uint32_t d = 0; d < places.size(); ++d)
    for (uint64_t i = places[d].begin; i < places[d].end; ++i)
      for (uint64_t n = 1; n <= 4 && i + n <= places[d].end; ++n) {
        const std::vector<uint32_t> gram(stream.data() + i, stream.data() + i + n);
        if (std::find(gram.begin(), gram.end(), 0u) != gram.end())
          break;
        Expected &e = expected[gram];
        ++e.count;
        e.documents.insert(d);
        e.owners.insert(places[d].owner);
      }
  for (const auto &[threads, bytes] : {std::pair{1u, uint64_t(1) << 30}, {3u, uint64_t(20000)}}) {
    mine::Grams grams;
    ASSERT_TRUE(grams.count(stream, places, 9, {4, 5, 4, threads, bytes}, [](uint64_t) {}, error));
    size_t found = 0;
    grams.forEach(1, 4, [&](uint32_t n, uint32_t i, const mine::Gram &g) {
      const Expected &e = expected[grams.tokensOf(n, i)];
      ASSERT_EQ(g.count, e.count);
      ASSERT_EQ(g.documents, e.documents.size());
      ASSERT_EQ(g.owners, e.owners.size());
      ++found;
    });
    size_t frequent = 0;
    for (const auto &[gram, e] : expected)
      frequent += e.count >= 5 && e.owners.size() >= 4;
    EXPECT_EQ(found, frequent);
  }
}

TEST(Partial, RoundTripAndDamage) {
  patterns::PartialBuilder builder;
  builder.add(false, "acme", "one");
  builder.add(true, "", "two");
  const std::string good = builder.finish(3, {0, 2});
  patterns::PartialCover cover;
  std::string error, seen;
  const auto visit = [&](bool background, std::string_view owner, std::string_view text) {
    seen += std::string(owner) + (background ? "-" : "+") + std::string(text) + ";";
    return true;
  };
  ASSERT_TRUE(patterns::parsePartial(good, cover, visit, error)) << error;
  EXPECT_EQ(seen, "acme+one;-two;");
  EXPECT_EQ(cover.shards, 3u);
  EXPECT_EQ(cover.covered, (std::vector<uint32_t>{0, 2}));
  for (size_t size = 0; size < good.size(); ++size) {
    error.clear();
    EXPECT_FALSE(patterns::parsePartial(good.substr(0, size), cover, visit, error)) << size;
    EXPECT_NE(error, "");
  }
  EXPECT_FALSE(patterns::parsePartial(good + "x", cover, visit, error));
  for (const size_t at : {0, 4, 12, 16, 20, 24, 28}) {
    std::string bad = good;
    bad[at + 3] = '\x7f';
    EXPECT_FALSE(patterns::parsePartial(bad, cover, visit, error)) << at;
  }
}

} // namespace
