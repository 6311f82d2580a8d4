/// Trace files: what is read, and where bad lines are said to be bad.
#include "lib/sim/trace.h"

#include <gtest/gtest.h>

using namespace semdns;
using namespace semdns::sim;

namespace {

constexpr const char *kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

TEST(Trace, AzureCsv) {
  Diagnostics diags;
  const auto trace = parseTrace("\xef\xbb\xbfx,ContextTokens,TIMESTAMP,GeneratedTokens\r\n"
                                "a,513,2023-11-16 23:59:59.9799600,10\r\n"
                                "\r\n"
                                "b,512,2023-11-17 00:00:01.0,0\r\n",
                                "a.csv", diags);
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_FALSE(trace->hasPrefixes);
  EXPECT_EQ(trace->requests[0].at, 0u);
  EXPECT_EQ(trace->requests[1].at, 1020040000u);
  EXPECT_EQ(trace->requests[0].blockCount, 2u);
  EXPECT_EQ(trace->requests[1].blockCount, 1u);
  EXPECT_NE(trace->blocks[0], trace->blocks[1]);
}

TEST(Trace, LeapDaysAndPlainSeconds) {
  Diagnostics diags;
  const auto leap = parseTrace(
      std::string(kHeader) + "2024-02-28 23:00:00,1,1\n2024-03-01T00:00:00,1,1\n", "a.csv", diags);
  ASSERT_TRUE(leap);
  EXPECT_EQ(leap->requests[1].at, uint64_t(25) * 3600 * 1000000000);
  const auto plain = parseTrace(std::string(kHeader) + "7.5,1,1\n9,1,1\n", "a.csv", diags);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->requests[1].at, 1500000000u);
}

TEST(Trace, MooncakeJsonLines) {
  Diagnostics diags;
  const auto trace = parseTrace(
      "{\"timestamp\": 5, \"input_length\": 600, \"output_length\": 7, \"hash_ids\": [0, 1]}\n"
      "{\"timestamp\": 8.5, \"input_length\": 600, \"output_length\": 7, \"hash_ids\": [0, 2], "
      "\"x\": 1}",
      "m.jsonl", diags);
  ASSERT_TRUE(trace);
  EXPECT_TRUE(trace->hasPrefixes);
  EXPECT_EQ(trace->requests[1].at, 3500000u);
  const auto first = trace->blocksOf(trace->requests[0]),
             second = trace->blocksOf(trace->requests[1]);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0], second[0]);
  EXPECT_NE(first[1], second[1]);
  EXPECT_NE(first[0], 0u);
}

TEST(Trace, BadLinesHaveAPlace) {
  const std::string good =
      "{\"timestamp\": 5, \"input_length\": 6, \"output_length\": 7, \"hash_ids\": [1]}\n";
  const std::string csv = kHeader;
  const std::pair<std::string, std::pair<uint32_t, uint32_t>> cases[] = {
      {"", {0, 0}},
      {"a,b,c\n1,2,3\n", {1, 1}},
      {csv + "now,2,3\n", {2, 1}},
      {csv + "2023-13-01 00:00:00,2,3\n", {2, 1}},
      {csv + "1,2\n", {2, 4}},
      {csv + "1,-2,3\n", {2, 3}},
      {csv + "1,2,99999999999999999999\n", {2, 5}},
      {csv + "2,1,1\n1,1,1\n", {3, 1}},
      {good + "nonsense\n", {2, 2}},
      {good + "[]\n", {2, 1}},
      {good + "{\"timestamp\": 5}\n", {2, 16}},
      {good + "{\"timestamp\": -5, \"input_length\": 6, \"output_length\": 7, \"hash_ids\": [1]}\n",
       {2, 2}},
      {good +
           "{\"timestamp\": 5, \"input_length\": 6.5, \"output_length\": 7, \"hash_ids\": [1]}\n",
       {2, 18}},
      {good +
           "{\"timestamp\": 5, \"input_length\": 6, \"output_length\": 7, \"hash_ids\": [1, -1]}\n",
       {2, 57}},
      {good + "{\"timestamp\": 4, \"input_length\": 6, \"output_length\": 7, \"hash_ids\": [1]}\n",
       {2, 2}},
  };
  for (const auto &[text, place] : cases) {
    Diagnostics diags;
    EXPECT_FALSE(parseTrace(text, "t", diags)) << text;
    ASSERT_GE(diags.all().size(), 1u) << text;
    const Location &where = diags.all()[0].where;
    EXPECT_EQ(where.line, place.first) << text << diags.all()[0].message;
    EXPECT_EQ(where.column, place.second) << text << diags.all()[0].message;
  }
}

TEST(Trace, ManyBadLinesEndInANote) {
  std::string text = kHeader;
  for (int i = 0; i < 100; ++i)
    text += "x,1,1\n";
  Diagnostics diags;
  EXPECT_FALSE(parseTrace(text, "t", diags));
  EXPECT_EQ(diags.errorCount(), 20u);
  EXPECT_EQ(diags.all().size(), 21u);
}

} // namespace
