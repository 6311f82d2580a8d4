/// \file SHA-256 (FIPS 180-4); uses the CPU's SHA extensions where it has them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace semdns::base {

/// Digest of `size` bytes. `data` may be null when `size` is 0. Thread-safe.
void sha256(const void *data, size_t size, uint8_t out[32]);

/// The same, piece by piece. Copyable: a copy continues from where the original stood.
class Sha256 {
public:
  Sha256();
  void update(const void *data, size_t size);
  /// Writes the digest; the object must not be used afterwards.
  void finish(uint8_t out[32]);

private:
  uint32_t state_[8];
  uint64_t total_ = 0; // bytes so far
  uint8_t buffer_[64];
};

/// Which compression function runs; tests use it to check one against the other.
enum class Sha256Path { Automatic, Portable, ShaNi };

/// One-shot digest by a given path; false if this CPU lacks it.
bool sha256With(Sha256Path path, const void *data, size_t size, uint8_t out[32]);

} // namespace semdns::base
