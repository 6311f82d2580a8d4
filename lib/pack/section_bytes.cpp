#include "lib/pack/section_bytes.h"

namespace semdns::pack {
namespace {

bool fill(std::vector<semdns_word_bucket> &buckets, const std::vector<uint64_t> &hashes,
          size_t first) {
  auto count = static_cast<uint32_t>(buckets.size());
  for (size_t i = first; i < hashes.size(); ++i) {
    semdns_word_bucket &bucket = buckets[semdns_bucket(hashes[i], count)];
    uint32_t fingerprint = semdns_fingerprint(hashes[i]);
    uint32_t slot = 0;
    while (slot < 8 && bucket.fingerprint[slot] && bucket.fingerprint[slot] != fingerprint)
      ++slot;
    if (slot == 8 || bucket.fingerprint[slot])
      return false;
    bucket.fingerprint[slot] = fingerprint;
    bucket.id[slot] = static_cast<uint32_t>(i);
  }
  return true;
}

} // namespace

std::optional<std::vector<semdns_word_bucket>> buildBuckets(const std::vector<uint64_t> &hashes,
                                                            size_t first) {
  uint64_t keys = hashes.size() - first;
  for (uint32_t count = firstBucketCount(keys, 4); count; count = nextBucketCount(count, keys)) {
    std::vector<semdns_word_bucket> buckets(count);
    if (fill(buckets, hashes, first))
      return buckets;
  }
  return std::nullopt;
}

} // namespace semdns::pack
