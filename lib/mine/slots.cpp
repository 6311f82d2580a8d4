#include "lib/mine/slots.h"

#include "lib/text/freeze.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace semdns::mine {

namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool letter(char c) { return upper(c) || (c >= 'a' && c <= 'z'); }
char lower(char c) { return upper(c) ? char(c + 32) : c; }

/// Matches parts of a text; each function returns the end of what it matched from `at`, or 0.
class Matcher {
public:
  explicit Matcher(std::string_view text) : text_(text) {}

  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  /// Is the code point before (or from) `i` part of a word?
  bool wordBefore(size_t i) const {
    if (i == 0)
      return false;
    if (static_cast<unsigned char>(text_[i - 1]) < 0x80)
      return letter(text_[i - 1]) || digit(text_[i - 1]);
    size_t from = i - 1;
    while (from > 0 && (static_cast<unsigned char>(text_[from]) & 0xc0) == 0x80)
      --from;
    return wordAt(from);
  }
  bool wordAt(size_t i) const {
    if (i >= text_.size())
      return false;
    const auto lead = static_cast<unsigned char>(text_[i]);
    if (lead < 0x80)
      return letter(text_[i]) || digit(text_[i]);
    const size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const auto finals = text::normalise(text_.substr(i, size));
    return !finals.empty() && text::classOf(finals[0]) == SEMDNS_CHAR_WORD;
  }

  /// 12 | 1,250.5 | .5 is none
  size_t number(size_t i) const {
    if (!digit(at(i)))
      return 0;
    while (digit(at(i)) || ((at(i) == ',' || at(i) == '.') && digit(at(i + 1))))
      ++i;
    return i;
  }
  size_t digits(size_t i, size_t least, size_t most) const {
    size_t end = i;
    while (digit(at(end)))
      ++end;
    return end - i >= least && end - i <= most ? end : 0;
  }
  size_t space(size_t i) const {
    size_t end = i;
    while (at(end) == ' ')
      ++end;
    // At most one line end: text is wrapped.
    if (at(end) == '\n')
      for (++end; at(end) == ' ';)
        ++end;
    return end;
  }
  template <size_t N> size_t oneOf(size_t i, const std::array<std::string_view, N> &words) const {
    size_t best = 0;
    for (const std::string_view word : words) {
      size_t k = 0;
      while (k < word.size() && lower(at(i + k)) == word[k])
        ++k;
      if (k == word.size() && !wordAt(i + k))
        best = std::max(best, i + k);
    }
    return best;
  }

  size_t url(size_t i) const {
    size_t from = 0;
    for (const std::string_view start : {"http://", "https://", "www."})
      if (text_.substr(i, start.size()) == start)
        from = i + start.size();
    if (!from)
      return 0;
    size_t end = from;
    while (end < text_.size() && static_cast<unsigned char>(text_[end]) > ' ' &&
           !std::strchr("<>\"'`|\\^{}", text_[end]))
      ++end;
    while (end > from && std::strchr(".,;:!?)]", text_[end - 1]))
      --end;
    return end > from ? end : 0;
  }

  size_t amount(size_t i) const {
    size_t from = i;
    for (const std::string_view sign : {"US$", "$", "\u20ac", "\u00a3", "\u00a5"})
      if (text_.substr(i, sign.size()) == sign) {
        from = i + sign.size();
        break;
      }
    if (from == i)
      if (const size_t code = oneOf(i, kCurrencyCodes))
        from = code;
    if (from != i) {
      const size_t end = number(space(from));
      return end ? magnitude(end) : 0;
    }
    const size_t end = number(i);
    if (!end)
      return 0;
    const size_t scaled = magnitude(end);
    return oneOf(space(scaled), kCurrencyNames);
  }
  size_t magnitude(size_t end) const {
    const size_t more = oneOf(space(end), kMagnitudes);
    return more ? more : end;
  }

  size_t date(size_t i) const {
    if (digit(at(i))) {
      // 2024-03-03
      if (const size_t y = digits(i, 4, 4); y && at(y) == '-')
        if (const size_t m = digits(y + 1, 2, 2); m && at(m) == '-')
          if (const size_t d = digits(m + 1, 2, 2))
            return d;
      // 3/3/24, 3.3.2024
      if (const size_t a = digits(i, 1, 2); a && (at(a) == '/' || at(a) == '.'))
        if (const size_t b = digits(a + 1, 1, 2); b && at(b) == at(a)) {
          if (const size_t y = digits(b + 1, 4, 4))
            return y;
          if (const size_t y = digits(b + 1, 2, 2); y && at(a) == '/')
            return y;
        }
      // 3 March 2024, 3rd day of March is none
      size_t d = digits(i, 1, 2);
      if (!d)
        return 0;
      const size_t m = oneOf(space(ordinal(d)), kMonths);
      if (!m)
        return 0;
      const size_t y = digits(space(at(m) == ',' || at(m) == '.' ? m + 1 : m), 4, 4);
      return y ? y : m;
    }
    const size_t m = oneOf(i, kMonths);
    if (!m || !upper(at(i)))
      return 0;
    const size_t after = space(at(m) == '.' ? m + 1 : m);
    if (const size_t y = digits(after, 4, 4))
      return y;
    const size_t d = digits(after, 1, 2);
    if (!d)
      return 0;
    const size_t dayEnd = ordinal(d);
    const size_t y = digits(space(at(dayEnd) == ',' ? dayEnd + 1 : dayEnd), 4, 4);
    return y ? y : dayEnd;
  }
  size_t ordinal(size_t end) const {
    const size_t more = oneOf(end, kOrdinals);
    return more ? more : end;
  }

  /// 410 U.S. 113 | 15 U.S.C. § 78 | [12, 14]
  size_t citation(size_t i) const {
    if (at(i) == '[') {
      size_t end = i + 1;
      while (digit(at(end)) || at(end) == ',' || at(end) == '-' || at(end) == ' ')
        ++end;
      return digit(at(i + 1)) && at(end) == ']' && end - i <= 24 ? end + 1 : 0;
    }
    size_t end = digits(i, 1, 4);
    if (!end || at(end) != ' ')
      return 0;
    bool dotted = false;
    size_t from = space(end);
    for (int tokens = 0; tokens < 4; ++tokens) {
      const bool first = tokens == 0;
      if (!(upper(at(from)) || (!first && digit(at(from)))))
        break;
      size_t token = from;
      bool dot = false, letters = false;
      while (letter(at(token)) || digit(at(token)) || at(token) == '.') {
        dot |= at(token) == '.';
        letters |= letter(at(token));
        ++token;
      }
      if (!letters || (first && !dot) || token - from > 8)
        break;
      dotted |= dot;
      end = token;
      from = space(token);
    }
    if (!dotted)
      return 0;
    while (text_.substr(from, 2) == "\u00a7")
      from = space(from + 2);
    const size_t page = digits(from, 1, 5);
    return page ? reference(page) : 0;
  }
  /// What may follow a number: .2(a)(iv)
  size_t reference(size_t end) const {
    while (true) {
      if (at(end) == '.' && digit(at(end + 1))) {
        ++end;
        while (digit(at(end)))
          ++end;
      } else if (at(end) == '-' && digit(at(end + 1))) {
        ++end;
        while (digit(at(end)))
          ++end;
      } else if (at(end) == '(') {
        size_t close = end + 1;
        while (close - end <= 5 && (letter(at(close)) || digit(at(close))))
          ++close;
        if (at(close) != ')' || close == end + 1)
          return end;
        end = close + 1;
      } else {
        return end;
      }
    }
  }

  size_t section(size_t i) const {
    size_t from = i;
    bool sign = false;
    while (text_.substr(from, 2) == "\u00a7") {
      from += 2;
      sign = true;
    }
    if (!sign) {
      from = oneOf(i, kParts);
      if (!from)
        return 0;
      if (at(from) == '.')
        ++from;
    }
    const size_t begin = space(from);
    if (begin == from && !sign)
      return 0;
    size_t end = begin;
    if (digit(at(begin))) {
      while (digit(at(end)))
        ++end;
      if (upper(at(end)) && !wordAt(end + 1))
        ++end;
      return reference(end);
    }
    if (at(begin) == '(') {
      const size_t close = reference(begin);
      return close > begin ? close : 0;
    }
    // Roman numbers and single capitals.
    while (upper(at(end)) && end - begin < 7)
      ++end;
    const bool roman =
        text_.substr(begin, end - begin).find_first_not_of("IVXLC") == std::string_view::npos;
    return end > begin && !wordAt(end) && (roman || end == begin + 1) ? reference(end) : 0;
  }

  size_t dose(size_t i) const {
    const size_t end = number(i);
    if (!end)
      return 0;
    size_t unit = oneOf(space(at(end) == '-' ? end + 1 : end), kUnits);
    if (!unit)
      return 0;
    while (at(unit) == '/') {
      const size_t per = oneOf(unit + 1, kUnits);
      if (!per)
        break;
      unit = per;
    }
    return unit;
  }

  size_t identifier(size_t i) const {
    size_t end = i;
    bool digits = false, letters = false;
    while (letter(at(end)) || digit(at(end)) ||
           ((at(end) == '-' || at(end) == '_') && end > i &&
            (letter(at(end + 1)) || digit(at(end + 1))))) {
      digits |= digit(at(end));
      letters |= letter(at(end));
      ++end;
    }
    // 3rd is a number.
    return digits && letters && end - i >= 3 && plainNumber(i) != end ? end : 0;
  }

  size_t plainNumber(size_t i) const {
    const size_t end = number(i);
    if (!end)
      return 0;
    if (const size_t th = oneOf(end, kOrdinals))
      return th;
    return at(end) == '%' ? end + 1 : at(end) == ' ' && at(end + 1) == '%' ? end + 2 : end;
  }

private:
  static constexpr std::array<std::string_view, 5> kCurrencyCodes = {"usd", "eur", "gbp", "chf",
                                                                     "jpy"};
  static constexpr std::array<std::string_view, 7> kCurrencyNames = {
      "dollars", "dollar", "euros", "euro", "cents", "usd", "eur"};
  static constexpr std::array<std::string_view, 5> kMagnitudes = {"hundred", "thousand", "million",
                                                                  "billion", "trillion"};
  static constexpr std::array<std::string_view, 24> kMonths = {
      "january",   "february", "march",    "april",    "may",  "june", "july", "august",
      "september", "october",  "november", "december", "jan",  "feb",  "mar",  "apr",
      "jun",       "jul",      "aug",      "sep",      "sept", "oct",  "nov",  "dec"};
  static constexpr std::array<std::string_view, 4> kOrdinals = {"st", "nd", "rd", "th"};
  static constexpr std::array<std::string_view, 23> kParts = {
      "section",   "sections",   "sec",    "article", "articles", "art",
      "paragraph", "paragraphs", "clause", "exhibit", "schedule", "appendix",
      "annex",     "chapter",    "title",  "part",    "table",    "figure",
      "fig",       "equation",   "rule",   "rules",   "item"};
  static constexpr std::array<std::string_view, 26> kUnits = {
      "mg", "mcg",   "\u00b5g", "\u03bcg", "g",   "kg",   "ml",    "l",      "dl",
      "iu", "units", "unit",    "mmol",    "mol", "mmhg", "meq",   "cm",     "mm",
      "nm", "day",   "days",    "hours",   "h",   "min",  "weeks", "tablets"};

  std::string_view text_;
};

} // namespace

std::string_view slotName(SlotType type) {
  static constexpr std::string_view names[kSlotTypes] = {"<number>",   "<date>",    "<amount>",
                                                         "<citation>", "<section>", "<identifier>",
                                                         "<dose>",     "<url>"};
  return names[size_t(type)];
}

void findSlots(std::string_view text, std::vector<Slot> &out) {
  out.clear();
  const Matcher m(text);
  using Match = size_t (Matcher::*)(size_t) const;
  static constexpr std::pair<Match, SlotType> kinds[] = {
      {&Matcher::url, SlotType::Url},
      {&Matcher::amount, SlotType::Amount},
      {&Matcher::date, SlotType::Date},
      {&Matcher::citation, SlotType::Citation},
      {&Matcher::section, SlotType::Section},
      {&Matcher::dose, SlotType::Dose},
      {&Matcher::identifier, SlotType::Identifier},
      {&Matcher::plainNumber, SlotType::Number},
  };
  bool inWord = false; // a slot begins where a word does
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool wordByte = letter(text[i]) || digit(text[i]);
    // Letters begin few slots: those of months, parts, currencies, addresses, and identifiers.
    const bool mayBegin =
        wordByte ? !inWord && (c < 0x80) : c == '$' || c == '[' || c == 0xc2 || c == 0xe2;
    size_t end = 0;
    SlotType type = SlotType::Number;
    if (mayBegin && !(wordByte && m.wordBefore(i)))
      for (const auto &[match, kind] : kinds) {
        const size_t found = (m.*match)(i);
        // Where a word goes on behind it, it is none: 12abc is no number.
        if (found && !m.wordAt(found)) {
          end = found;
          type = kind;
          break;
        }
      }
    if (end) {
      out.push_back({i, end, type});
      i = end;
      inWord = false;
      continue;
    }
    inWord = wordByte;
    ++i;
  }
}

} // namespace semdns::mine
