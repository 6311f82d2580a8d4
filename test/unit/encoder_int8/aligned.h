/// \file Sections and arenas at the alignment that kernels want.
#pragma once

#include "runtime/exec/encoder.h"

#include <cstring>
#include <memory>
#include <new>
#include <string_view>

namespace semdns::test {

/// `size` bytes at a multiple of 64.
class Aligned {
public:
  explicit Aligned(size_t size)
      : data_(static_cast<uint8_t *>(::operator new(size + 1, std::align_val_t{64}))), size_(size) {
  }
  explicit Aligned(std::string_view bytes) : Aligned(bytes.size()) {
    std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  uint8_t *data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::string_view view() const { return {reinterpret_cast<const char *>(data()), size_}; }

private:
  struct Free {
    void operator()(uint8_t *p) const { ::operator delete(p, std::align_val_t{64}); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t size_;
};

} // namespace semdns::test
