/// \file What ICU knows about Unicode, frozen into the TEXT section (semdns/format/text.h), and the
/// rule N that the section freezes.
#pragma once

#include "semdns/format/text.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::text {

/// Bytes of a TEXT section, made from the ICU that this program is linked with. The same ICU gives
/// the same bytes. About 300 kB; takes a tenth of a second. Thread-safe. Aborts when ICU's own data
/// are missing.
std::string buildTextSection();

/// The class of a final code point (one that N has already mapped), from its general category and
/// scripts. Never SEMDNS_CHAR_DROP except for combining marks and format characters.
semdns_char_class classOf(uint32_t codePoint);

/// N by ICU, for a whole string: NFKC_Casefold, canonical decomposition, removal of every code
/// point whose class is SEMDNS_CHAR_DROP. Result in code points. Two things hold for every text: it
/// equals the concatenation of N of each code point, but for the mutual order of neighbouring marks
/// with canonical combining classes 7, 8 and 9, which ICU sorts and TEXT does not; and it is the
/// same for canonically equivalent texts. Ill-formed UTF-8 is read as U+FFFD per maximal subpart.
std::vector<uint32_t> normalise(std::string_view utf8);
std::vector<uint32_t> normalise(uint32_t codePoint);

} // namespace semdns::text
