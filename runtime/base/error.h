/// \file The one error type below the C ABI: what went wrong, where, found and expected.
#pragma once

#include "semdns/semdns.h"

#include <cstdint>

namespace semdns::base {

/// Plain data, valid after `Error e{}`; no allocation. `offset` counts from the start of the file.
struct Error {
  int code = SEMDNS_OK; ///< semdns_status
  char section[5] = {}; ///< tag of the section concerned, or empty
  uint64_t offset = 0;
  char message[256] = {}; ///< one line, lower case, no final dot; always NUL-terminated
};

/// Fills `error` and returns false, so that checks read `return fail(...)`. `tag` 0: no section.
[[gnu::format(printf, 5, 6)]] bool fail(Error &error, int code, uint32_t tag, uint64_t offset,
                                        const char *format, ...);

/// Tag as text; bytes that are not printable ASCII become '?'. `out` takes 5 bytes.
void tagText(uint32_t tag, char out[5]);

} // namespace semdns::base
