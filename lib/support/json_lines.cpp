#include "lib/support/json_lines.h"

#include "lib/support/files.h"

#include <cstring>
#include <nlohmann/json.hpp>

namespace semdns {

namespace {

constexpr size_t kMaxReported = 20;

/// Ill-formed bytes travel through the JSON parser, which takes UTF-8 only, as these private code
/// points: U+10FE00 + byte, in UTF-8 f4 8f b8..bb 80..bf.
void appendSmuggled(std::string &to, uint8_t byte) {
  to += "\xf4\x8f";
  to += static_cast<char>(0xb8 | byte >> 6);
  to += static_cast<char>(0x80 | (byte & 0x3f));
}

/// The line with every ill-formed byte smuggled, and every `\\uD800`..`\\uDFFF` escape that has no
/// partner replaced by a smuggled 0xff.
std::string smuggle(std::string_view line) {
  std::string out;
  auto unit = [&](size_t at) -> int { // value of a \\uXXXX escape at `at`, or -1
    if (at + 6 > line.size() || line[at] != '\\' || line[at + 1] != 'u')
      return -1;
    int value = 0;
    for (size_t k = at + 2; k < at + 6; ++k) {
      const char *digits = "0123456789abcdef";
      const char *found = strchr(digits, tolower(static_cast<unsigned char>(line[k])));
      if (!found || !*found)
        return -1;
      value = value * 16 + static_cast<int>(found - digits);
    }
    return value;
  };
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '\\') {
      int first = unit(i), second = unit(i + 6);
      if (first >= 0xd800 && first < 0xe000) {
        bool pair = first < 0xdc00 && second >= 0xdc00 && second < 0xe000;
        if (pair)
          out += line.substr(i, 12);
        else
          appendSmuggled(out, 0xff);
        i += pair ? 12 : 6;
      } else {
        out += line.substr(i, 2); // an escaped backslash must not start another escape
        i += 2;
      }
      continue;
    }
    size_t bad = firstInvalidUtf8(line.substr(i, 4)) == 0 ? 1 : 0;
    if (bad) {
      appendSmuggled(out, static_cast<uint8_t>(line[i]));
      ++i;
    } else {
      uint8_t lead = static_cast<uint8_t>(line[i]);
      size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      out += line.substr(i, length);
      i += length;
    }
  }
  return out;
}

std::string unsmuggle(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "\xf4\x8f") == 0 && i + 3 < text.size() &&
        (static_cast<uint8_t>(text[i + 2]) & 0xfc) == 0xb8) {
      out += static_cast<char>((text[i + 2] & 3) << 6 | (text[i + 3] & 0x3f));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

} // namespace

std::vector<LabelledText> parseJsonLines(std::string_view bytes, const std::string &fileName,
                                         bool requireLabel, Diagnostics &diags, BadText badText,
                                         uint32_t firstLine) {
  std::vector<LabelledText> rows;
  size_t bad = 0;
  uint32_t line = firstLine - 1;
  auto report = [&](uint32_t column, const std::string &message, const std::string &help) {
    if (bad++ < kMaxReported)
      diags.error({fileName, line, column}, message, help);
  };
  for (size_t begin = 0; begin < bytes.size();) {
    size_t end = bytes.find('\n', begin);
    if (end == std::string_view::npos)
      end = bytes.size();
    std::string_view text = bytes.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (text.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    std::string smuggled;
    if (badText == BadText::Keep) {
      // Clean lines, that is nearly all, go in as they are.
      bool suspect = text.find("\\ud") != text.npos || text.find("\\uD") != text.npos;
      if (suspect || firstInvalidUtf8(text)) {
        smuggled = smuggle(text);
        text = smuggled;
      }
    } else if (auto at = firstInvalidUtf8(text)) {
      char byte[8];
      snprintf(byte, sizeof byte, "0x%02x", static_cast<uint8_t>(text[*at]));
      report(static_cast<uint32_t>(*at + 1),
             std::string("not UTF-8: byte ") + byte + " at byte " + std::to_string(*at + 1) +
                 " of the line",
             "convert the file, e.g. iconv -f latin1 -t utf-8");
      continue;
    }
    nlohmann::json object;
    try {
      object = nlohmann::json::parse(text);
    } catch (const nlohmann::json::parse_error &e) {
      report(static_cast<uint32_t>(e.byte), "not a JSON object",
             "each line must be an object like {\"text\": \"...\", \"label\": \"a/b\"}");
      continue;
    } catch (const nlohmann::json::exception &) { // a number beyond any double's range
      report(1, "a number is out of range", "write it as a string, or leave it out");
      continue;
    }
    if (!object.is_object()) {
      report(1, "not a JSON object",
             "each line must be an object like {\"text\": \"...\", \"label\": \"a/b\"}");
      continue;
    }
    auto found = object.find("text");
    if (found == object.end() || !found->is_string()) {
      report(1, "row without a string \"text\"", "add \"text\": \"...\" to the object");
      continue;
    }
    LabelledText row;
    row.line = line;
    row.text = found->get<std::string>();
    if (!smuggled.empty())
      row.text = unsmuggle(row.text);
    found = object.find("label");
    if (found != object.end() && !found->is_null()) {
      if (!found->is_string()) {
        report(1, "\"label\" is not a string", "write the zone's path, e.g. \"legal/contracts\"");
        continue;
      }
      row.label = found->get<std::string>();
    } else if (requireLabel) {
      report(1, "row without a \"label\"", "add \"label\": \"legal/contracts\" to the object");
      continue;
    }
    rows.push_back(std::move(row));
  }
  if (bad > kMaxReported)
    diags.error({fileName, 0, 0},
                std::to_string(bad - kMaxReported) + " more bad rows in this file");
  return rows;
}

std::vector<LabelledText> readJsonLines(const std::string &path, bool requireLabel,
                                        Diagnostics &diags, BadText badText) {
  std::string error;
  auto bytes = readFile(path, error);
  if (!bytes) {
    diags.error({path, 0, 0}, error);
    return {};
  }
  if (bytes->find('\0') != std::string::npos) {
    diags.error({path, 0, 0}, "binary file (it holds NUL bytes), expected JSON lines");
    return {};
  }
  size_t before = diags.errorCount();
  auto rows = parseJsonLines(*bytes, path, requireLabel, diags, badText);
  if (rows.empty() && diags.errorCount() == before)
    diags.error({path, 0, 0}, "empty file: no rows",
                "each line must be an object like {\"text\": \"...\", \"label\": \"a/b\"}");
  return rows;
}

} // namespace semdns
