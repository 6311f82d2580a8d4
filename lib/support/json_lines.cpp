#include "lib/support/json_lines.h"

#include "lib/support/files.h"

#include <nlohmann/json.hpp>

namespace semdns {

namespace {

constexpr size_t kMaxReported = 20;

} // namespace

std::vector<LabelledText> parseJsonLines(std::string_view bytes, const std::string &fileName,
                                         bool requireLabel, Diagnostics &diags) {
  std::vector<LabelledText> rows;
  size_t bad = 0;
  uint32_t line = 0;
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
    if (auto at = firstInvalidUtf8(text)) {
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
                                        Diagnostics &diags) {
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
  auto rows = parseJsonLines(*bytes, path, requireLabel, diags);
  if (rows.empty() && diags.errorCount() == before)
    diags.error({path, 0, 0}, "empty file: no rows",
                "each line must be an object like {\"text\": \"...\", \"label\": \"a/b\"}");
  return rows;
}

} // namespace semdns
