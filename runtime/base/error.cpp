#include "runtime/base/error.h"

#include <cstdarg>
#include <cstdio>

namespace semdns::base {

void tagText(uint32_t tag, char out[5]) {
  for (int i = 0; i < 4; ++i) {
    uint8_t c = static_cast<uint8_t>(tag >> (8 * i));
    out[i] = c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  }
  out[4] = 0;
}

bool fail(Error &error, int code, uint32_t tag, uint64_t offset, const char *format, ...) {
  error.code = code;
  error.section[0] = 0;
  if (tag)
    tagText(tag, error.section);
  error.offset = offset;
  va_list args;
  va_start(args, format);
  vsnprintf(error.message, sizeof error.message, format, args);
  va_end(args);
  return false;
}

} // namespace semdns::base
