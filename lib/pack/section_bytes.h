/// \file What the section builders share: appending arrays at 64-byte boundaries, and the bucketed
/// hash table of KEYW and TOKV.
#pragma once

#include "kernels/hash.h"
#include "semdns/format/keywords.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace semdns::pack {

/// A section that grows array by array behind a header that is written last.
class SectionBytes {
public:
  explicit SectionBytes(size_t headerSize) : bytes_(headerSize, '\0') {}

  /// Pads to a multiple of 64 with zeros, appends, and returns the array's offset.
  template <typename T> uint64_t append(const T *values, size_t count) {
    bytes_.resize((bytes_.size() + 63) / 64 * 64, '\0');
    uint64_t offset = bytes_.size();
    appendPacked(values, count);
    return offset;
  }
  template <typename T> uint64_t append(const std::vector<T> &values) {
    return append(values.data(), values.size());
  }
  /// Appends without padding.
  template <typename T> void appendPacked(const T *values, size_t count) {
    if (count)
      bytes_.append(reinterpret_cast<const char *>(values), count * sizeof(T));
  }
  template <typename Header> std::string finish(const Header &header) {
    std::memcpy(bytes_.data(), &header, sizeof header);
    return std::move(bytes_);
  }

private:
  std::string bytes_;
};

/// Bucket counts to try for `keys` keys at `perBucket` a bucket: the first is the smallest that is
/// worth a try, then steps of a sixteenth, until something fits. 0 when growing further is
/// pointless: only keys that no count tells apart get there.
inline uint32_t firstBucketCount(uint64_t keys, uint32_t perBucket) {
  return static_cast<uint32_t>(keys / perBucket + 1);
}
inline uint32_t nextBucketCount(uint32_t count, uint64_t keys) {
  uint64_t next = uint64_t{count} + count / 16 + 1;
  return next <= 64 * keys + 1024 && next < UINT32_MAX ? static_cast<uint32_t>(next) : 0;
}

/// The table hash -> id with id i for hashes[i], i >= first. Hashes must be distinct. The count is
/// the first at which no bucket overflows and no fingerprint stands twice in one; nullopt when
/// there is none.
std::optional<std::vector<semdns_word_bucket>> buildBuckets(const std::vector<uint64_t> &hashes,
                                                            size_t first);

} // namespace semdns::pack
