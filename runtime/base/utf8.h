/// \file Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
#pragma once

#include <cstddef>
#include <cstdint>

namespace semdns::base {

/// Offset of the first byte that does not belong to a well-formed sequence, or `size`.
size_t firstInvalidUtf8(const void *bytes, size_t size);

} // namespace semdns::base
