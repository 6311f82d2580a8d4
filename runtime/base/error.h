/// \file The one error type below the C ABI: what went wrong, where, found and expected.
#pragma once

#include <cstdint>

namespace semdns::base {

/// Values of Error::code; the same numbers as `enum semdns_status` (asserted in error.cpp).
enum ErrorCode : int {
  kOk = 0,
  kInvalidArgument = 1, ///< the caller's mistake: null pointer, wrong alignment, unknown mode
  kOutOfMemory = 2,
  kIo = 3,      ///< open, read or map failed; the message has errno's text
  kDamaged = 4, ///< the bytes break a rule of the format
  kVersion = 5, ///< another major version of the container or of a critical section
  kKind = 6,    ///< a well-formed file of another kind
  kFeature = 7, ///< needs a feature or a critical section that this build does not know
  kDenied = 8,  ///< the system refuses executable memory
};

/// Plain data, valid after `Error e{}`; no allocation. `offset` counts from the start of the file.
struct Error {
  int code = kOk;
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
