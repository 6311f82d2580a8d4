#include "lib/spec/names.h"

#include "lib/support/files.h"
#include "semdns/format/zones.h"

#include <algorithm>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

namespace semdns::spec {
namespace {

constexpr size_t kMaxLevelBytes = 63;
constexpr size_t kMaxNameBytes = 255; // wire form: a length byte before each level, a final zero

bool isPlain(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c >= 0x80;
}

bool isControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

/// Shared by names and labels: lengths and depth of mapped levels.
bool checkSizes(const Levels &levels, std::string_view what, NameError &error) {
  size_t wire = 1;
  for (const std::string &level : levels) {
    if (level.size() > kMaxLevelBytes) {
      error = {std::string(what) + " has a level of " + std::to_string(level.size()) + " bytes: '" +
                   level + "'",
               "a level has at most 63 bytes, as DNS labels do"};
      return false;
    }
    wire += 1 + level.size();
  }
  if (levels.size() > SEMDNS_MAX_DEPTH) {
    error = {std::string(what) + " is " + std::to_string(levels.size()) + " levels deep",
             "at most " + std::to_string(SEMDNS_MAX_DEPTH) + " levels fit below the root"};
    return false;
  }
  if (wire > kMaxNameBytes) {
    error = {std::string(what) + " is " + std::to_string(wire) + " bytes long",
             "a name has at most 255 bytes, a length byte for each level and the root included"};
    return false;
  }
  return true;
}

std::string suggestName(std::string_view text) {
  // What the author most likely meant: the same levels, mapped as label files are, with final dot.
  std::string out;
  std::string level;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '.') {
      level += text[i];
      continue;
    }
    std::string mapped = mapLevel(level);
    std::string kept;
    for (unsigned char c : mapped)
      if (isPlain(c))
        kept += static_cast<char>(c);
    while (!kept.empty() && kept.front() == '-')
      kept.erase(kept.begin());
    while (!kept.empty() && kept.back() == '-')
      kept.pop_back();
    if (!kept.empty())
      out += kept + ".";
    level.clear();
  }
  return out.empty() ? std::string() : "did you mean '" + out + "'?";
}

} // namespace

std::optional<Levels> parseName(std::string_view text, NameError &error) {
  const std::string shown = "zone name '" + std::string(text) + "'";
  if (firstInvalidUtf8(text)) {
    error = {"zone name is not valid UTF-8", "write zone names in UTF-8"};
    return std::nullopt;
  }
  if (text.empty()) {
    error = {"zone name is empty", "write a DNS name with final dot, such as \"contracts.legal.\""};
    return std::nullopt;
  }
  if (text == ".")
    return Levels{};
  Levels leafFirst;
  std::string level;
  bool closed = false;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    closed = false;
    if (c == '.') {
      if (level.empty()) {
        error = {shown + " has an empty level", suggestName(text)};
        return std::nullopt;
      }
      leafFirst.push_back(std::move(level));
      level.clear();
      closed = true;
      ++i;
      continue;
    }
    if (c == '\\') {
      auto digit = [&](size_t at) {
        return at < text.size() && text[at] >= '0' && text[at] <= '9' ? text[at] - '0' : -1;
      };
      if (digit(i + 1) >= 0) {
        const int value = digit(i + 2) < 0 || digit(i + 3) < 0
                              ? 256
                              : digit(i + 1) * 100 + digit(i + 2) * 10 + digit(i + 3);
        if (value > 255 || isControl(static_cast<unsigned char>(value))) {
          error = {shown + " has a bad escape",
                   "\\ is followed by three digits from 032 to 255, or by the character itself"};
          return std::nullopt;
        }
        level += static_cast<char>(value);
        i += 4;
      } else if (i + 1 < text.size() && !isControl(static_cast<unsigned char>(text[i + 1]))) {
        level += text[i + 1];
        i += 2;
      } else {
        error = {shown + " has a bad escape",
                 "\\ is followed by three digits from 032 to 255, or by the character itself"};
        return std::nullopt;
      }
      continue;
    }
    if (!isPlain(c)) {
      error = {shown + " holds " +
                   (isControl(c) ? std::string("a control character")
                                 : "'" + std::string(1, text[i]) + "'"),
               "a level has a-z, 0-9 and '-'; " + suggestName(text)};
      return std::nullopt;
    }
    const bool atStart = level.empty();
    const bool atEnd = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '-' && (atStart || atEnd)) {
      error = {shown + " has a '-' at the end of a level", suggestName(text)};
      return std::nullopt;
    }
    level += text[i++];
  }
  if (!closed) {
    error = {shown + " has no final dot", suggestName(text)};
    return std::nullopt;
  }
  Levels levels(leafFirst.rbegin(), leafFirst.rend());
  for (const std::string &each : levels) {
    if (firstInvalidUtf8(each)) {
      error = {shown + " holds escapes that are not valid UTF-8", ""};
      return std::nullopt;
    }
    if (each.find('/') != std::string::npos) {
      error = {shown + " holds '/'", "'/' joins the levels of a label and is in no level"};
      return std::nullopt;
    }
    if (mapLevel(each) != each) {
      error = {shown + " holds capitals, spaces or '_'",
               "levels are lower case with '-' between words; " + suggestName(text)};
      return std::nullopt;
    }
  }
  if (!checkSizes(levels, shown, error))
    return std::nullopt;
  return levels;
}

std::string formatLevel(std::string_view level) {
  std::string out;
  for (size_t i = 0; i < level.size(); ++i) {
    const auto c = static_cast<unsigned char>(level[i]);
    const bool atEnd = i == 0 || i + 1 == level.size();
    if (isPlain(c) && !(c == '-' && atEnd)) {
      out += static_cast<char>(c);
    } else if (c == '.' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else {
      out += '\\';
      out += static_cast<char>('0' + c / 100);
      out += static_cast<char>('0' + c / 10 % 10);
      out += static_cast<char>('0' + c % 10);
    }
  }
  return out;
}

std::string formatName(const Levels &levels) {
  if (levels.empty())
    return ".";
  std::string out;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level)
    out += formatLevel(*level) + ".";
  return out;
}

std::string mapLevel(std::string_view original) {
  std::string out;
  const bool ascii = std::all_of(original.begin(), original.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) {
    out.assign(original);
    for (char &c : out)
      if (c >= 'A' && c <= 'Z')
        c = static_cast<char>(c - 'A' + 'a');
  } else {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2 *nfc = icu::Normalizer2::getNFCInstance(status);
    icu::UnicodeString text = icu::UnicodeString::fromUTF8(
        icu::StringPiece(original.data(), static_cast<int32_t>(original.size())));
    text.toLower(icu::Locale::getRoot());
    icu::UnicodeString composed;
    if (nfc)
      nfc->normalize(text, composed, status);
    (U_SUCCESS(status) && nfc ? composed : text).toUTF8String(out);
  }
  for (char &c : out)
    if (c == ' ' || c == '_')
      c = '-';
  return out;
}

Levels mapLevels(const Levels &original) {
  Levels mapped;
  mapped.reserve(original.size());
  for (const std::string &level : original)
    mapped.push_back(mapLevel(level));
  return mapped;
}

std::optional<Levels> splitLabel(std::string_view label, NameError &error) {
  if (label == "/")
    return Levels{};
  const std::string shown = "label '" + std::string(label) + "'";
  if (label.empty()) {
    error = {"label is empty", "write a path such as \"legal/contracts\", or \"/\" for the root"};
    return std::nullopt;
  }
  Levels levels;
  for (size_t begin = 0;;) {
    const size_t end = std::min(label.find('/', begin), label.size());
    levels.emplace_back(label.substr(begin, end - begin));
    if (end == label.size())
      break;
    begin = end + 1;
  }
  for (const std::string &level : levels) {
    if (level.empty()) {
      error = {shown + " has an empty level",
               "write root-to-leaf names with one '/' between, such as \"legal/contracts\""};
      return std::nullopt;
    }
    if (std::any_of(level.begin(), level.end(),
                    [](char c) { return isControl(static_cast<unsigned char>(c)); })) {
      error = {"label holds a control character", "remove tabs and line ends from labels"};
      return std::nullopt;
    }
  }
  if (!checkSizes(mapLevels(levels), shown, error))
    return std::nullopt;
  return levels;
}

std::string joinPath(const Levels &levels) {
  if (levels.empty())
    return "/";
  std::string out;
  for (const std::string &level : levels) {
    if (!out.empty())
      out += '/';
    out += level;
  }
  return out;
}

} // namespace semdns::spec
