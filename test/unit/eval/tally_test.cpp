#include "lib/eval/report.h"

#include <gtest/gtest.h>

namespace semdns::eval {
namespace {

// 0 /, 1 Code, 2 Code/C_x, 3 legal, 4 legal/contracts, 5 legal/contracts/nda
const std::vector<ZoneInfo> kZones = {
    {UINT32_MAX, ".", "/"},
    {0, "code.", "Code"},
    {1, "c-x.code.", "Code/C_x"},
    {0, "legal.", "legal"},
    {3, "contracts.legal.", "legal/contracts"},
    {4, "nda.contracts.legal.", "legal/contracts/nda"},
};

TEST(Labels, Find) {
  const Labels labels(kZones, "Out Of");
  auto check = [&](const char *label, uint32_t zone, uint32_t depth, bool known) {
    const Truth truth = labels.find(label);
    EXPECT_EQ(truth.zone, zone) << label;
    EXPECT_EQ(truth.depth, depth) << label;
    EXPECT_EQ(truth.known, known) << label;
  };
  check("/", 0, 0, true);
  check(".", 0, 0, true);
  check("Out Of", 0, 0, true);
  check("out_of", 0, 0, true);
  check("Code/C_x", 2, 2, true);
  check("code/c x", 2, 2, true);
  check("contracts.legal.", 4, 2, true);
  check("legal/contract", 3, 2, false);
  check("nowhere/at/all", 0, 3, false);
  check("", 0, 1, false);
  check("a//b", 0, 1, false);
}

TEST(Tree, Ancestors) {
  const Tree tree(kZones);
  EXPECT_EQ(tree.depth(0), 0u);
  EXPECT_EQ(tree.depth(5), 3u);
  EXPECT_EQ(tree.ancestorAt(5, 1), 3u);
  EXPECT_EQ(tree.ancestorAt(3, 2), UINT32_MAX);
  EXPECT_TRUE(tree.within(5, 3));
  EXPECT_TRUE(tree.within(5, 0));
  EXPECT_TRUE(tree.within(4, 4));
  EXPECT_FALSE(tree.within(3, 5));
  EXPECT_FALSE(tree.within(2, 3));
}

TEST(Rate, Wilson) {
  Rate rate{81, 263}; // a textbook pair
  EXPECT_NEAR(rate.interval().first, 0.2553, 1e-4);
  EXPECT_NEAR(rate.interval().second, 0.3662, 1e-4);
  EXPECT_EQ((Rate{0, 10}.interval().first), 0.0);
  EXPECT_NEAR((Rate{0, 10}.interval().second), 0.2775, 1e-4);
  EXPECT_EQ((Rate{10, 10}.interval().second), 1.0);
  EXPECT_FALSE((Rate{}.value()));
}

TEST(Tally, Counts) {
  Tally tally(kZones);
  const Labels labels(kZones, "oos");
  auto add = [&](const char *label, uint32_t zone, uint32_t best, uint32_t stage = 2) {
    tally.add(label, labels.find(label), {zone, best, stage, 0});
  };
  add("legal/contracts", 4, 4);    // right
  add("legal/contracts", 3, 4, 1); // climbed: no misroute, not covered
  add("legal/contracts", 5, 5);    // below the true zone: a misroute, and covered
  add("legal/contracts", 2, 2);    // a misroute
  add("legal/contracts", 1, 2);    // a misroute that climbed: not covered
  add("oos", 0, 2);                // right
  add("oos", 1, 1);                // wrong
  add("legal/other", 3, 4);        // unknown, in a known zone: wrong, no misroute
  add("other", 0, 3);              // unknown; the root is no misroute
  add("other", 3, 3);              // unknown; a misroute
  EXPECT_EQ(tally.rows, 10u);
  EXPECT_EQ(tally.inScope, 8u);
  EXPECT_EQ(tally.outOfScope, 2u);
  EXPECT_EQ(tally.unknown, 3u);
  EXPECT_EQ(tally.best.hits, 2u);
  EXPECT_EQ(tally.best.total, 8u);
  EXPECT_EQ(tally.path.hits, 2u);
  EXPECT_EQ(tally.path.total, 10u);
  EXPECT_EQ(tally.pathInScope.hits, 1u);
  EXPECT_EQ(tally.misroute.hits, 4u);
  EXPECT_EQ(tally.covered.hits, 4u); // rows 1, 3, 4 and the last
  EXPECT_EQ(tally.correctWhenCovered.hits, 1u);
  EXPECT_EQ(tally.oosRecall.hits, 1u);
  ASSERT_EQ(tally.depths.size(), 2u);
  EXPECT_EQ(tally.depths[0].best.hits, 4u); // rows 1, 2, 3 and legal/other
  EXPECT_EQ(tally.depths[0].best.total, 8u);
  EXPECT_EQ(tally.depths[1].best.hits, 3u);
  EXPECT_EQ(tally.depths[1].best.total, 6u);
  EXPECT_EQ(tally.depths[0].answer.hits, 4u);
  EXPECT_EQ(tally.depths[1].answer.hits, 2u);
  EXPECT_EQ(tally.stages[1].share.hits, 1u);
  EXPECT_EQ(tally.stages[2].share.hits, 9u);
  EXPECT_EQ(tally.zones[4].misroute.hits, 3u);
  const auto confusions = tally.confusions();
  ASSERT_FALSE(confusions.empty());
  EXPECT_EQ(confusions[0].truth, "legal/contracts");
  EXPECT_EQ(confusions[0].answer, "Code/C_x");
  EXPECT_EQ(confusions[0].count, 2u);
  EXPECT_EQ(tally.rejected.hits, 1u); // "other", answered by the root
  EXPECT_EQ(tally.rejected.total, 8u);
}

} // namespace
} // namespace semdns::eval
