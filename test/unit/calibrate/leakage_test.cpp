#include "lib/calibrate/leakage.h"

#include <gtest/gtest.h>

namespace semdns::calibrate {
namespace {

TEST(Leakage, FindsCopiesAndNearCopies) {
  std::vector<std::string> training, rows;
  for (int i = 0; i < 200; ++i)
    training.push_back("please tell me about matter number " + std::to_string(i * 7919) +
                       " of department " + std::to_string(i * 104729 % 997));
  rows = {
      "Please tell me about matter number 0, of department 0!", // the words of the first
      "please tell me about matter number 791900 of department " +
          std::to_string(100 * 104729 % 997) + " now", // nearly row 100
      "an altogether different request for help with my bicycle",
      "",
  };
  const std::vector<std::string_view> known(training.begin(), training.end()),
      asked(rows.begin(), rows.end());
  const Leakage one = findLeakage(asked, known, 1), four = findLeakage(asked, known, 4);
  EXPECT_EQ(one.same, 1u);
  EXPECT_EQ(one.near, 1u);
  EXPECT_EQ(one.examples, four.examples);
  ASSERT_EQ(one.examples.size(), 2u);
  EXPECT_EQ(one.examples[0], (std::pair<uint32_t, uint32_t>(0, 0)));
  EXPECT_EQ(one.examples[1], (std::pair<uint32_t, uint32_t>(1, 100)));

  Diagnostics diags;
  warnAboutLeakage(one, asked, known, {"rows.jsonl", 0, 0}, diags);
  ASSERT_EQ(diags.all().size(), 1u);
  EXPECT_EQ(diags.all()[0].severity, Severity::Warning);
  EXPECT_NE(diags.all()[0].message.find("of 4 calibration rows 1 have"), std::string::npos)
      << diags.all()[0].message;
  Diagnostics none;
  warnAboutLeakage({}, asked, known, {}, none);
  EXPECT_TRUE(none.all().empty());
}

} // namespace
} // namespace semdns::calibrate
