#include "lib/encoder/safetensors.h"

#include "runtime/base/checked.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

namespace semdns::encoder {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000; // the format's own limit

/// Bits of one element by type name; 0 for names that are not the format's.
uint32_t elementBytes(const std::string &type) {
  static const std::map<std::string, uint32_t> sizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
      {"F32", 4},  {"F64", 8}, {"I64", 8}, {"U64", 8}};
  auto found = sizes.find(type);
  return found == sizes.end() ? 0 : found->second;
}

float fromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent)
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float value = static_cast<float>(fraction) * 0x1p-24f; // subnormal
  return sign ? -value : value;
}

} // namespace

bool isNestedTooDeeply(std::string_view json) {
  constexpr int kMaxDepth = 100;
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (inString && c == '\\')
      ++i;
    else if (c == '"')
      inString = !inString;
    else if (!inString && (c == '[' || c == '{') && ++depth > kMaxDepth)
      return true;
    else if (!inString && (c == ']' || c == '}'))
      --depth;
  }
  return false;
}

std::optional<TensorTable> parseSafetensors(std::string_view bytes, std::string &error) {
  if (bytes.size() < 8) {
    error = "file of " + std::to_string(bytes.size()) +
            " bytes; a safetensors file begins with an 8-byte header size";
    return std::nullopt;
  }
  const auto headerSize = base::load<uint64_t>(bytes.data());
  if (headerSize > kMaxHeader || headerSize > bytes.size() - 8) {
    error = "header of " + std::to_string(headerSize) + " bytes; the file has " +
            std::to_string(bytes.size()) + ": it is cut off, or not a safetensors file";
    return std::nullopt;
  }
  const std::string_view text = bytes.substr(8, headerSize), data = bytes.substr(8 + headerSize);
  const auto header =
      isNestedTooDeeply(text) ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
  if (!header.is_object()) {
    error = "the header is not a JSON object: the file is damaged, or not a safetensors file";
    return std::nullopt;
  }
  TensorTable table;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto &[name, value] : header.items()) {
    if (name == "__metadata__")
      continue;
    const std::string who = "tensor '" + name + "'";
    if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() ||
        !value.contains("shape") || !value["shape"].is_array() || !value.contains("data_offsets") ||
        !value["data_offsets"].is_array() || value["data_offsets"].size() != 2) {
      error = who + " lacks dtype, shape or a pair of data_offsets";
      return std::nullopt;
    }
    TensorEntry entry;
    entry.typeName = value["dtype"].get<std::string>();
    entry.type = entry.typeName == "F32"    ? DType::F32
                 : entry.typeName == "F16"  ? DType::F16
                 : entry.typeName == "BF16" ? DType::BF16
                                            : DType::Other;
    uint64_t size = elementBytes(entry.typeName);
    if (!size) {
      error = who + " is of the unknown type '" + entry.typeName + "'";
      return std::nullopt;
    }
    for (const auto &extent : value["shape"]) {
      if (!extent.is_number_unsigned() || !base::checkedMul(size, extent.get<uint64_t>(), size)) {
        error = who + " has an impossible shape " + value["shape"].dump();
        return std::nullopt;
      }
      entry.shape.push_back(extent.get<uint64_t>());
    }
    const auto &first = value["data_offsets"][0], &last = value["data_offsets"][1];
    if (!first.is_number_unsigned() || !last.is_number_unsigned()) {
      error =
          who + " has data_offsets " + value["data_offsets"].dump() + "; two numbers are expected";
      return std::nullopt;
    }
    const uint64_t begin = first.get<uint64_t>(), end = last.get<uint64_t>();
    if (begin > end || end > data.size()) {
      error = who + " lies at bytes " + std::to_string(begin) + " to " + std::to_string(end) +
              " of the data, which have " + std::to_string(data.size()) +
              ": the file is cut off or damaged";
      return std::nullopt;
    }
    if (end - begin != size) {
      error = who + " of type " + entry.typeName + " and shape " + value["shape"].dump() +
              " takes " + std::to_string(size) + " bytes; its data_offsets span " +
              std::to_string(end - begin);
      return std::nullopt;
    }
    entry.bytes = data.substr(begin, size);
    ranges.emplace_back(begin, end);
    table.emplace(name, std::move(entry));
  }
  // Also what finds a name that stands twice: the JSON reader keeps one of them.
  std::sort(ranges.begin(), ranges.end());
  uint64_t at = 0;
  for (auto [begin, end] : ranges) {
    if (begin != at) {
      error = "the data have a gap or an overlap at byte " + std::to_string(std::min(at, begin)) +
              ": tensors must follow each other";
      return std::nullopt;
    }
    at = end;
  }
  if (at != data.size()) {
    error = "the tensors end at byte " + std::to_string(at) + " of the data, which have " +
            std::to_string(data.size());
    return std::nullopt;
  }
  return table;
}

bool readFloats(const TensorEntry &entry, std::vector<float> &values, uint64_t &bad) {
  const char *from = entry.bytes.data();
  const size_t element = entry.type == DType::F32 ? 4 : 2;
  values.resize(entry.bytes.size() / element);
  for (size_t i = 0; i < values.size(); ++i) {
    float value;
    if (entry.type == DType::F32)
      value = base::load<float>(from + 4 * i);
    else if (entry.type == DType::F16)
      value = fromHalf(base::load<uint16_t>(from + 2 * i));
    else
      value = std::bit_cast<float>(static_cast<uint32_t>(base::load<uint16_t>(from + 2 * i)) << 16);
    if (!std::isfinite(value)) {
      bad = i;
      return false;
    }
    values[i] = value;
  }
  return true;
}

} // namespace semdns::encoder
