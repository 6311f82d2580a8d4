#include "lib/eval/leakage.h"
#include "lib/eval/multi.h"
#include "lib/eval/plot.h"
#include "lib/eval/stats.h"

#include <gtest/gtest.h>

namespace semdns::eval {
namespace {

TEST(Stats, McNemar) {
  EXPECT_EQ(mcNemar(0, 0), 1.0);
  EXPECT_NEAR(mcNemar(0, 5), 2.0 / 32, 1e-12);
  EXPECT_EQ(mcNemar(7, 7), 1.0);
  EXPECT_NEAR(mcNemar(1, 9), 2 * 11.0 / 1024, 1e-12);
  EXPECT_EQ(mcNemar(9, 1), mcNemar(1, 9));
}

TEST(Stats, ChiSquare) { // table values
  EXPECT_NEAR(chiSquareAtLeast(3.841, 1), 0.05, 1e-4);
  EXPECT_NEAR(chiSquareAtLeast(18.307, 10), 0.05, 1e-4);
  EXPECT_NEAR(chiSquareAtLeast(1.386, 2), 0.5, 1e-3);
  EXPECT_EQ(chiSquareAtLeast(0, 3), 1.0);
  EXPECT_EQ(homogeneity({5, 0}, {9, 0}), 1.0);
  EXPECT_LT(homogeneity({90, 10}, {10, 90}), 1e-9);
}

TEST(Stats, KolmogorovSmirnovAndStability) {
  EXPECT_EQ(kolmogorovSmirnov({10, 20}, {10, 20}).second, 1.0);
  const auto [gap, p] = kolmogorovSmirnov({100, 0}, {0, 100});
  EXPECT_EQ(gap, 1.0);
  EXPECT_LT(p, 1e-9);
  EXPECT_EQ(stabilityIndex({10, 20}, {10, 20}), 0.0);
  EXPECT_GT(stabilityIndex({100, 10}, {10, 100}), 0.25);
}

TEST(Stats, BootstrapIsSeeded) {
  const auto mean = [](const std::vector<uint32_t> &draw) {
    double sum = 0;
    for (uint32_t i : draw)
      sum += i < 50;
    return sum / double(draw.size());
  };
  const auto once = bootstrap(100, 500, 7, mean);
  EXPECT_EQ(once, bootstrap(100, 500, 7, mean));
  EXPECT_NEAR(once.first, 0.40, 0.03);
  EXPECT_NEAR(once.second, 0.60, 0.03);
}

TEST(Leakage, Texts) {
  EXPECT_EQ(text::comparable("  What's\tTHE  time?? "), "what s the time");
  EXPECT_EQ(text::comparable("?!"), "?!");
  EXPECT_EQ(text::comparable("\xef\xbc\xa1"), "a"); // a full-width A
  EXPECT_EQ(text::similarity("abc", "abc"), 1.0);
  EXPECT_EQ(text::similarity("abcdef", "ghijkl"), 0.0);
}

TEST(Leakage, FindsCopiesAndNearCopies) {
  Rows rows, training;
  rows.files = {"test"}, training.files = {"train"};
  rows.rows = {{"Where is my parcel?", "a", 1},
               {"please tell me how long an express delivery to norway takes", "a", 2},
               {"an entirely different sentence about pianos", "b", 3}};
  training.rows = {{"something else", "a", 1},
                   {"where is MY parcel", "b", 2},
                   {"please tell me how long an express delivery to norway will take", "a", 3},
                   {"please tell me how long an express delivery to norway take", "a", 4}};
  rows.fileOf.assign(3, 0), training.fileOf.assign(4, 0);
  const Leakage found = findLeaks(rows, training, 2);
  ASSERT_EQ(found.leaks.size(), 2u);
  EXPECT_EQ(found.exact, 1u);
  EXPECT_EQ(found.near, 1u);
  EXPECT_EQ(found.otherLabel, 1u);
  EXPECT_TRUE(found.leaks[0].twin.exact);
  EXPECT_EQ(found.leaks[0].twin.known, 1u);
  EXPECT_EQ(found.leaks[1].twin.known, 3u); // the nearer of the two
  EXPECT_GT(found.leaks[1].twin.similarity, 0.9);
}

TEST(Leakage, Groups) {
  const std::vector<uint32_t> leader = groupTexts(
      {"refund my order", "please refund my order", "the app crashes", "app crashes again"}, 0.25);
  EXPECT_EQ(leader, (std::vector<uint32_t>{0, 0, 2, 2}));
}

TEST(Multi, Sentences) {
  using List = std::vector<std::string_view>;
  EXPECT_EQ(sentences("one. two? three"), (List{"one.", "two?", "three"}));
  EXPECT_EQ(sentences("version 1.2 is out"), (List{"version 1.2 is out"}));
  EXPECT_EQ(sentences("a\n\nb; c"), (List{"a\n", "b;", "c"}));
  EXPECT_EQ(sentences(""), List{});
}

TEST(Plot, EscapesAndRounds) {
  EXPECT_EQ(escaped("<a href='x'>&\x02"), "&lt;a href=&#39;x&#39;&gt;&amp;&#xfffd;");
  EXPECT_EQ(escaped("\xc3\xa9\xc3\xa9", 3), "\xc3\xa9&hellip;"); // cut at a character
  EXPECT_EQ(roundUp(0.031), 0.05);
  EXPECT_EQ(roundUp(0.2), 0.2);
  EXPECT_EQ(roundUp(0), 1);
}

} // namespace
} // namespace semdns::eval
