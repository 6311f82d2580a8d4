#include "lib/encoder/normaliser.h"

#include "semdns/format/wordpiece.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace semdns::encoder {
namespace {

// `tokenizers` takes its Unicode data from several libraries of different age. What a code point
// was in an earlier version follows from its age and the few that have changed since.

bool assignedBy(uint32_t c, uint8_t major, uint8_t minor) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] && (age[0] < major || (age[0] == major && age[1] <= minor));
}

/// General category in Unicode 8.
uint32_t categoryMask(uint32_t c) {
  switch (c) {
  case 0x166d:  // Canadian syllabics chi sign
  case 0x111c9: // Sharada sandhi mark
    return U_GC_PO_MASK;
  case 0x1734: // Hanunoo pamudpod
    return U_GC_MN_MASK;
  case 0x1885: // Mongolian baludas
  case 0x1886:
    return U_GC_LO_MASK;
  case 0xa9bd: // Javanese consonant sign keret
    return U_GC_MC_MASK;
  default:
    return assignedBy(c, 8, 0) ? U_GET_GC_MASK(static_cast<UChar32>(c)) : 0;
  }
}

bool isWhitespace(uint32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE);
}

/// Neither tab nor line ends: those are white space to BERT.
bool isControl(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r')
    return false;
  return categoryMask(c) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK);
}

bool isPunctuation(uint32_t c) {
  if (c < 0x80)
    return c > 0x20 && c < 0x7f && !u_isalnum(static_cast<UChar32>(c));
  return categoryMask(c) & U_GC_P_MASK;
}

/// The blocks of Han that BERT's reference code names; extension E begins 0x100 too late there.
bool isChinese(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

const icu::Normalizer2 &nfd() {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2 *result = icu::Normalizer2::getNFDInstance(status);
  if (U_FAILURE(status) || !result) {
    std::fprintf(stderr, "semdns: ICU has no normalisation data: %s\n", u_errorName(status));
    std::abort();
  }
  return *result;
}

/// Full canonical decomposition by Unicode 9.
std::vector<uint32_t> decomposed(uint32_t c) {
  icu::UnicodeString result;
  if (!assignedBy(c, 9, 0) || !nfd().getDecomposition(static_cast<UChar32>(c), result))
    return {c};
  std::vector<uint32_t> codes;
  for (int32_t i = 0; i < result.length(); i = result.moveIndex32(i, 1))
    codes.push_back(static_cast<uint32_t>(result.char32At(i)));
  return codes;
}

uint32_t combiningClass(uint32_t c) {
  return assignedBy(c, 9, 0) ? u_getCombiningClass(static_cast<UChar32>(c)) : 0;
}

/// Unconditional lower case by Unicode 17: one code point, or two.
void appendLower(uint32_t c, std::vector<uint32_t> &out) {
  // Pairs of Unicode 16 and 17, which ICU 72 does not know.
  struct Range {
    uint32_t first, last, lower;
  };
  static constexpr Range later[] = {
      {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x264},  {0xa7cc, 0xa7cc, 0xa7cd},
      {0xa7ce, 0xa7ce, 0xa7cf},    {0xa7d2, 0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d4, 0xa7d5},
      {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x19b},  {0x10d50, 0x10d65, 0x10d70},
      {0x16ea0, 0x16eb8, 0x16ebb},
  };
  for (const Range &range : later)
    if (c >= range.first && c <= range.last) {
      out.push_back(range.lower + (c - range.first));
      return;
    }
  if (c == 0x130) { // capital I with dot above: the one that grows
    out.push_back('i');
    out.push_back(0x307);
    return;
  }
  out.push_back(assignedBy(c, 15, 0) ? static_cast<uint32_t>(u_tolower(static_cast<UChar32>(c)))
                                     : c);
}

uint32_t entryOf(uint32_t value, uint32_t kind, uint32_t length = 0) {
  return value | kind << 21 | length << 24;
}

} // namespace

std::vector<uint32_t> normalisedEntries(const TokeniserSpec &spec, uint32_t c) {
  if (c >= 0xd800 && c < 0xe000)
    return {}; // never decoded
  if (spec.cleanText && (c == 0 || c == 0xfffd || isControl(c)))
    return {};
  if (spec.cleanText && isWhitespace(c))
    return {entryOf(' ', SEMDNS_WPCE_SPACE)};
  const bool single = spec.splitChinese && isChinese(c);
  if (!single && c >= 0x30000 && u_charType(static_cast<UChar32>(c)) == U_UNASSIGNED)
    return {entryOf(c, SEMDNS_WPCE_WORD)}; // most of all code points: saves most of the time
  std::vector<uint32_t> entries;
  for (uint32_t code : spec.stripAccents ? decomposed(c) : std::vector<uint32_t>{c}) {
    const uint32_t combining = spec.stripAccents ? combiningClass(code) : 0;
    if (spec.stripAccents && categoryMask(code) & U_GC_MN_MASK) {
      if (!combining)
        entries.push_back(entryOf(0, SEMDNS_WPCE_BARRIER));
      continue;
    }
    std::vector<uint32_t> lower;
    if (spec.lowercase)
      appendLower(code, lower);
    else
      lower = {code};
    for (uint32_t l : lower) {
      if (isWhitespace(l))
        entries.push_back(entryOf(' ', SEMDNS_WPCE_SPACE));
      else if (single || isPunctuation(l))
        entries.push_back(entryOf(l, SEMDNS_WPCE_SINGLE));
      else if (combining)
        entries.push_back(entryOf(l, SEMDNS_WPCE_MARK, combining));
      else
        entries.push_back(entryOf(l, SEMDNS_WPCE_WORD));
    }
  }
  // Marks are not sorted across other letters anyway: barriers beside them say nothing new.
  auto saysNothing = [&](size_t i) {
    auto stops = [&](size_t j) {
      uint32_t kind = SEMDNS_WPCE_CLASS(entries[j]);
      return kind != SEMDNS_WPCE_MARK && kind != SEMDNS_WPCE_DROP;
    };
    return SEMDNS_WPCE_CLASS(entries[i]) == SEMDNS_WPCE_BARRIER &&
           ((i && stops(i - 1)) || (i + 1 < entries.size() && stops(i + 1)));
  };
  for (size_t i = 0; i < entries.size();)
    if (saysNothing(i))
      entries.erase(entries.begin() + static_cast<ptrdiff_t>(i));
    else
      ++i;
  return entries;
}

NormaliserTable buildNormaliserTable(const TokeniserSpec &spec) {
  using Block = std::array<uint32_t, SEMDNS_WPCE_BLOCK_SIZE>;
  NormaliserTable table;
  std::map<Block, uint16_t> blockNumbers;
  std::map<std::vector<uint32_t>, uint32_t> poolOffsets;
  Block block;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    const std::vector<uint32_t> finals = normalisedEntries(spec, c);
    uint32_t entry;
    if (finals.empty()) {
      entry = entryOf(0, SEMDNS_WPCE_DROP);
    } else if (finals.size() > 1) {
      auto [found, isNew] = poolOffsets.emplace(finals, static_cast<uint32_t>(table.pool.size()));
      if (isNew)
        table.pool.insert(table.pool.end(), finals.begin(), finals.end());
      entry = entryOf(found->second, SEMDNS_WPCE_WORD, static_cast<uint32_t>(finals.size()));
    } else if (SEMDNS_WPCE_VALUE(finals[0]) == c &&
               SEMDNS_WPCE_CLASS(finals[0]) != SEMDNS_WPCE_MARK) {
      entry = entryOf(0, SEMDNS_WPCE_CLASS(finals[0]), SEMDNS_WPCE_IDENTITY);
    } else {
      entry = finals[0];
    }
    block[c % SEMDNS_WPCE_BLOCK_SIZE] = entry;
    if (c % SEMDNS_WPCE_BLOCK_SIZE == SEMDNS_WPCE_BLOCK_SIZE - 1) {
      auto [found, isNew] = blockNumbers.emplace(
          block, static_cast<uint16_t>(table.blocks.size() / SEMDNS_WPCE_BLOCK_SIZE));
      if (isNew)
        table.blocks.insert(table.blocks.end(), block.begin(), block.end());
      table.stage1.push_back(found->second);
    }
  }
  return table;
}

} // namespace semdns::encoder
