/// \file The safetensors format: JSON header, then raw little-endian tensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::encoder {

enum class DType : uint8_t { F32, F16, BF16, Other };

/// A tensor's place in the file.
struct TensorEntry {
  DType type = DType::Other;
  std::string typeName;
  std::vector<uint64_t> shape;
  std::string_view bytes; ///< into the file's bytes
};

/// Whether a JSON text nests deeper than anything that an encoder's folder holds: copying and
/// printing such a value would exhaust the stack.
bool isNestedTooDeeply(std::string_view json);

using TensorTable = std::map<std::string, TensorEntry>;

/// Validates a whole file: header size and JSON, types, shapes, offsets; tensors fill the data
/// without gaps or overlaps, and their sizes are those of type and shape. On failure nullopt, and
/// `error` says what is wrong and with which tensor. Any bytes are safe. `bytes` must outlive the
/// result.
std::optional<TensorTable> parseSafetensors(std::string_view bytes, std::string &error);

/// The values as float32: exact for all three types. False at the first value that is not finite,
/// with its index in `bad`. The type must not be Other.
bool readFloats(const TensorEntry &entry, std::vector<float> &values, uint64_t &bad);

} // namespace semdns::encoder
