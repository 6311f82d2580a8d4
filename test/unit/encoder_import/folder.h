/// \file A tiny sentence encoder written to disk, which tests then damage.
#pragma once

#include "lib/encoder/model.h"
#include "lib/support/diagnostics.h"

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace semdns::test {

/// A folder in the making: 2 layers, 2 heads, width 16, inner width 32, 12 pieces, 8 positions.
/// Change the members, then write().
struct EncoderFolder {
  struct Tensor {
    std::string type = "F32";
    std::vector<uint64_t> shape;
    std::vector<float> values; ///< finite and exact in every type
  };

  nlohmann::json config, tokenizer, modules, pooling, sentence;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> files; ///< more files, or other contents; "\x01": left out
  std::string prefix;                       ///< of every tensor's name

  EncoderFolder();
  ~EncoderFolder();
  EncoderFolder(const EncoderFolder &) = delete;
  EncoderFolder &operator=(const EncoderFolder &) = delete;

  /// The safetensors file of `tensors`.
  std::string weights() const;
  /// Writes all files; returns the folder.
  std::string write() const;
  /// write() and importEncoder().
  std::optional<encoder::Model> import(Diagnostics &diags) const;
  /// Messages of the errors of an import that must fail, "FILE: message" each, joined by newlines.
  std::string errors() const;

  const std::string &path() const { return path_; }

private:
  std::string path_;
};

} // namespace semdns::test
