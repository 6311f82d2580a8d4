/// \file Typed slots: the parts of a text that change from document to document while what stands
/// around them stays.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace semdns::mine {

enum class SlotType : uint8_t {
  Number,     ///< 12, 1,250.5, 40 %, 3rd
  Date,       ///< March 3, 2024; 3 Mar 2024; 2024-03-03; 3/3/24
  Amount,     ///< $1,200; EUR 5 million; 20 dollars
  Citation,   ///< 410 U.S. 113; 15 U.S.C. § 78; [12, 14]
  Section,    ///< Section 5.2(a); § 12; Article IV; Table 3
  Identifier, ///< RFC2119, COX-2, 10-K: letters and digits in one token
  Dose,       ///< 50 mg, 0.5 ml/kg, 20 mmol
  Url,        ///< https://example.org/a, www.example.org
};
inline constexpr size_t kSlotTypes = 8;

struct Slot {
  size_t begin = 0, end = 0; ///< bytes of the text
  SlotType type = SlotType::Number;
};

/// How a slot stands in the text of a template: "<date>".
std::string_view slotName(SlotType type);

/// Replaces `out` by the slots of `text` (well-formed UTF-8), from left to right, without overlap.
/// A slot begins and ends where a word does (words by ICU's classes, lib/text/freeze.h).
/// Thread-safe.
void findSlots(std::string_view text, std::vector<Slot> &out);

} // namespace semdns::mine
