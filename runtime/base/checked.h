/// \file Arithmetic on numbers that came out of a file: each function says whether it overflowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace semdns::base {

/// out = a + b; false (out unspecified) on overflow.
[[nodiscard]] inline bool checkedAdd(uint64_t a, uint64_t b, uint64_t &out) {
  return !__builtin_add_overflow(a, b, &out);
}

/// out = a * b; false (out unspecified) on overflow.
[[nodiscard]] inline bool checkedMul(uint64_t a, uint64_t b, uint64_t &out) {
  return !__builtin_mul_overflow(a, b, &out);
}

/// out = a rounded up to a multiple of `alignment` (a power of two); false on overflow.
[[nodiscard]] inline bool checkedAlign(uint64_t a, uint64_t alignment, uint64_t &out) {
  if (!checkedAdd(a, alignment - 1, out))
    return false;
  out &= ~(alignment - 1);
  return true;
}

/// True if [offset, offset + size) lies within [0, limit).
[[nodiscard]] inline bool inBounds(uint64_t offset, uint64_t size, uint64_t limit) {
  return offset <= limit && size <= limit - offset;
}

/// Reads a T at any alignment.
template <typename T> inline T load(const void *at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}

/// Index of the first byte in [0, size) that is not zero, or `size`.
inline uint64_t firstNonZero(const uint8_t *bytes, uint64_t size) {
  uint64_t i = 0;
  for (; i + 8 <= size && load<uint64_t>(bytes + i) == 0; i += 8)
    ;
  while (i < size && bytes[i] == 0)
    ++i;
  return i;
}

} // namespace semdns::base
