/// \file Walks the arrays of a section in order: each at its offset, no gaps, zero padding.
#pragma once

#include "runtime/base/checked.h"
#include "runtime/base/error.h"
#include "semdns/format/artifact.h"

#include <cinttypes>

namespace semdns::artifact {

/// Internal to the section validators. Offsets in errors count from the start of the section.
class Arrays {
public:
  /// `end` is where the section's header ends.
  Arrays(uint32_t tag, const uint8_t *data, uint64_t size, uint64_t end, base::Error &error)
      : tag_(tag), data_(data), size_(size), end_(end), error_(error) {}

  /// The next array: `count` elements of `element` bytes that must begin at `offset`, which must be
  /// the end of the array before, rounded up to 64.
  bool take(const char *name, uint64_t offset, uint64_t count, uint64_t element) {
    uint64_t begin, bytes;
    if (!base::checkedAlign(end_, SEMDNS_SECTION_ALIGN, begin) || offset != begin)
      return base::fail(error_, SEMDNS_ERROR_SECTION, tag_, 0,
                        "%s at offset %" PRIu64 "; expected %" PRIu64, name, offset, begin);
    if (!base::checkedMul(count, element, bytes) || !base::inBounds(begin, bytes, size_))
      return base::fail(error_, SEMDNS_ERROR_SECTION, tag_, offset,
                        "%s: %" PRIu64 " elements of %" PRIu64 " bytes at %" PRIu64
                        " reach beyond the section's %" PRIu64 " bytes",
                        name, count, element, offset, size_);
    if (!padding(begin))
      return false;
    end_ = begin + bytes;
    return true;
  }

  /// The section ends here, or at the next multiple of 64.
  bool finish() {
    uint64_t rounded;
    if (size_ != end_ &&
        (!base::checkedAlign(end_, SEMDNS_SECTION_ALIGN, rounded) || size_ != rounded))
      return base::fail(error_, SEMDNS_ERROR_SECTION, tag_, end_,
                        "section of %" PRIu64 " bytes; its arrays end at %" PRIu64, size_, end_);
    return padding(size_);
  }

private:
  bool padding(uint64_t to) {
    uint64_t at = base::firstNonZero(data_ + end_, to - end_);
    if (at < to - end_)
      return base::fail(error_, SEMDNS_ERROR_SECTION, tag_, end_ + at,
                        "padding byte is 0x%02x; it must be zero", data_[end_ + at]);
    return true;
  }

  uint32_t tag_;
  const uint8_t *data_;
  uint64_t size_, end_;
  base::Error &error_;
};

/// Checks common to all sections: bytes present, at least `headerSize`, 64-byte aligned so that the
/// structures in format/*.h can be laid over them.
inline bool checkSpan(uint32_t tag, const uint8_t *data, uint64_t size, uint64_t headerSize,
                      base::Error &error) {
  if (reinterpret_cast<uintptr_t>(data) % SEMDNS_SECTION_ALIGN)
    return base::fail(error, SEMDNS_ERROR_ARGUMENT, tag, 0,
                      "section at an address that is not a multiple of %u: the file must lie in "
                      "64-byte aligned memory",
                      SEMDNS_SECTION_ALIGN);
  if (size < headerSize)
    return base::fail(error, SEMDNS_ERROR_SECTION, tag, 0,
                      "section of %" PRIu64 " bytes; its header alone has %" PRIu64, size,
                      headerSize);
  return true;
}

} // namespace semdns::artifact
