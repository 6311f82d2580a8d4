#include "lib/mine/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace semdns;
using testing::ElementsAre;

namespace {

/// The slots of a text, as "name:text".
std::vector<std::string> slots(std::string_view text) {
  std::vector<mine::Slot> found;
  mine::findSlots(text, found);
  std::vector<std::string> all;
  size_t before = 0;
  for (const mine::Slot &slot : found) {
    EXPECT_LE(before, slot.begin);
    EXPECT_LT(slot.begin, slot.end);
    EXPECT_LE(slot.end, text.size());
    before = slot.end;
    const std::string_view name = mine::slotName(slot.type);
    all.push_back(std::string(name.substr(1, name.size() - 2)) + ":" +
                  std::string(text.substr(slot.begin, slot.end - slot.begin)));
  }
  return all;
}

TEST(Slots, OfEachType) {
  EXPECT_THAT(slots("12 of 1,250.5 were 40% or 3rd."),
              ElementsAre("number:12", "number:1,250.5", "number:40%", "number:3rd"));
  EXPECT_THAT(slots("On March 3, 2024, 3 Mar 2024, 2024-03-03, 3/3/24 and May 2020; she may go"),
              ElementsAre("date:March 3, 2024", "date:3 Mar 2024", "date:2024-03-03", "date:3/3/24",
                          "date:May 2020"));
  EXPECT_THAT(
      slots("$1,200, EUR 5 million, \u20ac30 and 20 dollars"),
      ElementsAre("amount:$1,200", "amount:EUR 5 million", "amount:\u20ac30", "amount:20 dollars"));
  EXPECT_THAT(slots("See 410 U.S. 113, 15 U.S.C. \u00a7 78, 123 F. Supp. 2d 456 and [12, 14]."),
              ElementsAre("citation:410 U.S. 113", "citation:15 U.S.C. \u00a7 78",
                          "citation:123 F. Supp. 2d 456", "citation:[12, 14]"));
  EXPECT_THAT(slots("Section 5.2(a), \u00a7 12, Article IV and Table 3 of a section"),
              ElementsAre("section:Section 5.2(a)", "section:\u00a7 12", "section:Article IV",
                          "section:Table 3"));
  EXPECT_THAT(slots("RFC2119, COX-2 and 10-K"),
              ElementsAre("identifier:RFC2119", "identifier:COX-2", "identifier:10-K"));
  EXPECT_THAT(slots("50 mg or 0.5 ml/kg, 20mmol"),
              ElementsAre("dose:50 mg", "dose:0.5 ml/kg", "dose:20mmol"));
  EXPECT_THAT(slots("at https://example.org/a?b=1. Or (www.example.org)."),
              ElementsAre("url:https://example.org/a?b=1", "url:www.example.org"));
}

/// Slots begin and end where words do.
TEST(Slots, RespectWords) {
  EXPECT_THAT(slots("na\u00efve12 \u00e97 marching sectional x"), ElementsAre());
  EXPECT_THAT(slots("12\u00e9"), ElementsAre());
  EXPECT_THAT(slots(""), ElementsAre());
}

TEST(Slots, AnyBytesOfText) {
  const std::vector<std::string> pieces = {
      "1", "2024", "-", ".", ",",        "$",  "U.S.",   "May", " ", "\n", "\u00a7", "\u20ac",
      "(", ")",    "[", "]", "https://", "mg", "\u00e9", "A",   "/", "%",  "Section"};
  uint64_t state = 3;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      text += pieces[(state >> 33) % pieces.size()];
    }
    slots(text); // checks order and bounds
  }
}

} // namespace
