/// \file Section bytes at an address that the readers accept.
#pragma once

#include "runtime/artifact/contents.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace semdns::test {

/// A copy of `bytes` at a multiple of 64.
class Aligned {
public:
  explicit Aligned(std::string_view bytes)
      : data_(static_cast<uint8_t *>(std::aligned_alloc(64, (bytes.size() + 64) / 64 * 64))),
        size_(bytes.size()) {
    std::memcpy(data_.get(), bytes.data(), size_);
  }
  const uint8_t *data() const { return data_.get(); }
  artifact::Span span() const { return {data_.get(), size_}; }
  std::string_view view() const { return {reinterpret_cast<const char *>(data_.get()), size_}; }

private:
  struct Free {
    void operator()(uint8_t *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t size_;
};

} // namespace semdns::test
