#include "runtime/base/utf8.h"

namespace semdns::base {

size_t firstInvalidUtf8(const void *bytes, size_t size) {
  const uint8_t *p = static_cast<const uint8_t *>(bytes);
  size_t i = 0;
  while (i < size) {
    uint8_t lead = p[i];
    if (lead < 0x80) {
      ++i;
      continue;
    }
    // The second byte's range is what excludes overlong forms, surrogates and > U+10FFFF.
    uint8_t low = 0x80, high = 0xbf;
    size_t more;
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      if (lead == 0xe0)
        low = 0xa0;
      else if (lead == 0xed)
        high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      if (lead == 0xf0)
        low = 0x90;
      else if (lead == 0xf4)
        high = 0x8f;
    } else {
      return i;
    }
    if (size - i <= more || p[i + 1] < low || p[i + 1] > high)
      return i;
    for (size_t k = 2; k <= more; ++k)
      if ((p[i + k] & 0xc0) != 0x80)
        return i;
    i += more + 1;
  }
  return size;
}

} // namespace semdns::base
