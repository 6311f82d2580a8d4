/// \file The slow oracle of stage 3's embedding: docs/architecture.md, "Stage 3's embedding", one
/// number at a time. Every kernel, compiled or portable, must give its bits.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace semdns::reference {

struct Embedding {
  std::vector<int8_t> q; ///< [width]
  uint32_t peak = 0;     ///< Q16
};

/// The embedding of `ids` by the validated ENCM section `encm` (at least 8-byte aligned). Floats
/// must round to nearest and denormals be kept, as in every program that has not asked for
/// something else. Integer sums have 64 bits; a float that is not finite aborts the process with a
/// message. Thread-safe, slow.
Embedding encode(std::string_view encm, std::span<const uint32_t> ids);

} // namespace semdns::reference
