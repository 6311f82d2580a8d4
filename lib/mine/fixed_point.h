/// \file Logarithms in integers: what reaches a pattern library must not depend on a libm.
#pragma once

#include <bit>
#include <cstdint>

namespace semdns::mine {

/// log2(x) in Q24 (24 fraction bits), rounded down; x >= 1. By repeated squaring of the mantissa:
/// each squaring shifts one bit of the logarithm out.
inline int64_t log2Q24(uint64_t x) {
  const int shift = std::countl_zero(x);
  uint64_t mantissa = x << shift; // Q63, in [1, 2)
  int64_t result = 63 - shift;
  for (int bit = 0; bit < 24; ++bit) {
    const auto square = static_cast<unsigned __int128>(mantissa) * mantissa; // Q126, in [1, 4)
    const bool carry = square >> 127;
    mantissa = uint64_t(square >> (carry ? 64 : 63));
    result = result << 1 | int64_t(carry);
  }
  return result;
}

/// Q24 to Q16, rounded down.
inline int32_t q16(int64_t q24) { return int32_t(q24 >> 8); }

} // namespace semdns::mine
