#include "lib/sim/trace.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace semdns::sim {
namespace {

constexpr size_t kMostErrors = 20;
constexpr uint64_t kMostTokens = 1u << 24, kMostBlocks = 1u << 15;
constexpr uint64_t kLongest = uint64_t(366) * 86400 * 1000000000; ///< ns that a trace may last

/// Thrown at a bad line; caught by the reader's loop.
struct Bad {
  size_t column; ///< from 1
  std::string message, help;
};

/// A name that is never 0; different ids, different names.
uint64_t blockName(uint64_t id) {
  uint64_t x = id + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return x ? x : 1;
}

uint64_t whole(std::string_view text, size_t column, uint64_t most, const char *what) {
  uint64_t value = 0;
  bool good = !text.empty();
  for (const char c : text) {
    good = good && c >= '0' && c <= '9' && value <= most;
    if (!good)
      break;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (!good || value > most)
    throw Bad{column, std::string(what) + " is '" + std::string(text.substr(0, 40)) + "'",
              "a whole number from 0 to " + std::to_string(most)};
  return value;
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant's days_from_civil).
int64_t daysOf(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t yearOfEra = year - era * 400;
  const int64_t dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
}

/// "2023-11-16 18:17:03.9799600", or seconds with a fraction, as ns.
uint64_t timeOf(std::string_view text, size_t column) {
  const auto bad = [&]() -> Bad {
    return {column, "'" + std::string(text.substr(0, 40)) + "' is not a time",
            "YYYY-MM-DD HH:MM:SS.fraction, or seconds"};
  };
  size_t at = 0;
  const auto digits = [&](size_t least, size_t most) {
    int64_t value = 0;
    size_t n = 0;
    for (; n < most && at < text.size() && text[at] >= '0' && text[at] <= '9'; ++n, ++at)
      value = value * 10 + (text[at] - '0');
    if (n < least)
      throw bad();
    return value;
  };
  const auto skip = [&](char c) {
    if (at >= text.size() || text[at] != c)
      throw bad();
    ++at;
  };
  int64_t seconds;
  if (text.size() > 10 && text[4] == '-') {
    const int64_t year = digits(4, 4);
    skip('-');
    const int64_t month = digits(2, 2);
    skip('-');
    const int64_t day = digits(2, 2);
    if (at < text.size() && text[at] == 'T')
      ++at;
    else
      skip(' ');
    const int64_t hour = digits(2, 2);
    skip(':');
    const int64_t minute = digits(2, 2);
    skip(':');
    const int64_t second = digits(2, 2);
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || second > 60)
      throw bad();
    seconds = daysOf(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  } else {
    seconds = digits(1, 10);
  }
  int64_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    int64_t unit = 100000000;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
      fraction += unit * (text[at] - '0');
  }
  if (at != text.size())
    throw bad();
  return static_cast<uint64_t>(seconds) * 1000000000 + static_cast<uint64_t>(fraction);
}

class Reader {
public:
  Reader(std::string_view bytes, const std::string &file, Diagnostics &diags)
      : bytes_(bytes), diags_(diags) {
    trace_.file = file;
  }

  std::optional<Trace> read() {
    const size_t first = bytes_.find_first_not_of(" \t\r\n");
    const bool json = first != std::string_view::npos && bytes_[first] == '{';
    size_t errors = 0;
    for (size_t at = 0; at < bytes_.size() && errors < kMostErrors;) {
      const size_t end = std::min(bytes_.find('\n', at), bytes_.size());
      std::string_view line = bytes_.substr(at, end - at);
      at = end + 1;
      ++line_;
      if (!line.empty() && line.back() == '\r')
        line.remove_suffix(1);
      if (line.find_first_not_of(" \t") == std::string_view::npos)
        continue;
      try {
        if (json)
          jsonLine(line);
        else if (columns_.empty())
          header(line);
        else
          csvLine(line);
      } catch (const Bad &bad) {
        diags_.error({trace_.file, line_, static_cast<uint32_t>(bad.column)}, bad.message,
                     bad.help);
        ++errors;
        if (!json && columns_.empty())
          break; // without a header no line can be read
      }
    }
    if (errors == kMostErrors)
      diags_.note({trace_.file, line_, 0}, "the lines behind this one were not read");
    if (!errors && trace_.requests.empty()) {
      diags_.error({trace_.file, 0, 0}, "no requests",
                   "a CSV file with a header, or JSON lines; see --help");
      ++errors;
    }
    if (errors)
      return std::nullopt;
    trace_.hasPrefixes = json;
    return std::move(trace_);
  }

private:
  struct Field {
    std::string_view text;
    size_t column;
  };
  static std::vector<Field> fieldsOf(std::string_view line) {
    std::vector<Field> out;
    for (size_t at = 0; at <= line.size();) {
      const size_t end = std::min(line.find(',', at), line.size());
      Field field{line.substr(at, end - at), at + 1};
      while (!field.text.empty() && (field.text.front() == ' ' || field.text.front() == '\t')) {
        field.text.remove_prefix(1);
        ++field.column;
      }
      while (!field.text.empty() && (field.text.back() == ' ' || field.text.back() == '\t'))
        field.text.remove_suffix(1);
      out.push_back(field);
      at = end + 1;
    }
    return out;
  }

  void header(std::string_view line) {
    if (line.starts_with("\xef\xbb\xbf"))
      line.remove_prefix(3);
    std::vector<std::string> names;
    for (const Field &field : fieldsOf(line))
      names.emplace_back(field.text);
    for (const char *wanted : {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}) {
      const auto found = std::find(names.begin(), names.end(), wanted);
      if (found == names.end()) {
        columns_.clear();
        throw Bad{1, std::string("the header has no column ") + wanted,
                  "TIMESTAMP,ContextTokens,GeneratedTokens; JSON lines begin with {"};
      }
      columns_.push_back(static_cast<size_t>(found - names.begin()));
    }
  }

  void csvLine(std::string_view line) {
    const std::vector<Field> fields = fieldsOf(line);
    for (const size_t column : columns_)
      if (column >= fields.size())
        throw Bad{line.size() + 1,
                  "the line ends after " + std::to_string(fields.size()) +
                      (fields.size() == 1 ? " column" : " columns"),
                  ""};
    const Field &time = fields[columns_[0]], &input = fields[columns_[1]],
                &output = fields[columns_[2]];
    const uint64_t at = timeOf(time.text, time.column);
    const uint64_t in = whole(input.text, input.column, kMostTokens, "ContextTokens");
    const uint64_t out = whole(output.text, output.column, kMostTokens, "GeneratedTokens");
    begin(at, time.column, in, out);
    for (uint64_t tokens = 0; tokens < in; tokens += kBlockTokens)
      trace_.blocks.push_back(blockName(uint64_t(1) << 63 | trace_.blocks.size()));
    end();
  }

  void jsonLine(std::string_view line) {
    nlohmann::json object;
    try {
      object = nlohmann::json::parse(line);
    } catch (const nlohmann::json::parse_error &e) {
      throw Bad{std::clamp<size_t>(e.byte, 1, line.size() + 1), "this is not JSON", ""};
    }
    if (!object.is_object())
      throw Bad{1, "the line is not an object", "{\"timestamp\": 0, \"input_length\": 6758, ...}"};
    const auto value = [&](const char *key) -> const nlohmann::json & {
      const auto found = object.find(key);
      if (found == object.end())
        throw Bad{line.size(), std::string("\"") + key + "\" is missing", ""};
      return *found;
    };
    const auto columnOf = [&](const char *key) {
      const size_t at = line.find("\"" + std::string(key) + "\"");
      return at == std::string_view::npos ? 1 : at + 1;
    };
    const auto count = [&](const nlohmann::json &v, const char *key, uint64_t most) {
      if (!v.is_number_unsigned() || v.get<uint64_t>() > most)
        throw Bad{columnOf(key),
                  std::string("\"") + key + "\" has the value " +
                      v.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 40),
                  "a whole number from 0 to " + std::to_string(most)};
      return v.get<uint64_t>();
    };
    const nlohmann::json &time = value("timestamp");
    if (!time.is_number() || !(time.get<double>() >= 0) ||
        time.get<double>() > static_cast<double>(kLongest / 1000000))
      throw Bad{columnOf("timestamp"), "\"timestamp\" is not a time", "milliseconds"};
    const uint64_t at = time.is_number_unsigned()
                            ? time.get<uint64_t>() * 1000000
                            : static_cast<uint64_t>(std::floor(time.get<double>() * 1e6));
    const uint64_t in = count(value("input_length"), "input_length", kMostTokens);
    const uint64_t out = count(value("output_length"), "output_length", kMostTokens);
    const nlohmann::json &ids = value("hash_ids");
    if (!ids.is_array() || ids.size() > kMostBlocks)
      throw Bad{columnOf("hash_ids"),
                "\"hash_ids\" is not a list of at most " + std::to_string(kMostBlocks) +
                    " block ids",
                ""};
    begin(at, columnOf("timestamp"), in, out);
    const size_t before = trace_.blocks.size();
    try {
      for (const nlohmann::json &id : ids)
        trace_.blocks.push_back(blockName(count(id, "hash_ids", uint64_t(1) << 62)));
    } catch (const Bad &) {
      trace_.blocks.resize(before);
      trace_.requests.pop_back();
      throw;
    }
    end();
  }

  void begin(uint64_t time, size_t column, uint64_t in, uint64_t out) {
    if (trace_.requests.empty())
      origin_ = last_ = time;
    if (time < last_)
      throw Bad{column, "earlier than the request before it", "sort the trace by time"};
    if (time - origin_ > kLongest)
      throw Bad{column, "more than a year after the first request", ""};
    last_ = time;
    TraceRequest request;
    request.at = time - origin_;
    request.inputTokens = static_cast<uint32_t>(in);
    request.outputTokens = static_cast<uint32_t>(out);
    request.firstBlock = trace_.blocks.size();
    trace_.requests.push_back(request);
  }
  void end() {
    TraceRequest &request = trace_.requests.back();
    request.blockCount = static_cast<uint32_t>(trace_.blocks.size() - request.firstBlock);
  }

  std::string_view bytes_;
  Diagnostics &diags_;
  Trace trace_;
  uint32_t line_ = 0;
  uint64_t origin_ = 0, last_ = 0;
  std::vector<size_t> columns_;
};

} // namespace

std::optional<Trace> parseTrace(std::string_view bytes, const std::string &fileName,
                                Diagnostics &diags) {
  return Reader(bytes, fileName, diags).read();
}

} // namespace semdns::sim
