/// \file Sixteen floats at once, elementwise: a host with narrower vectors computes the same
/// values, and a function marked SEMDNS_HOST_LEVELS is compiled for several widths of them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace semdns::train {

/// For hot functions over Lanes: the loader takes the version for the host at hand. They work on
/// plain arrays and call only what is SEMDNS_INLINE (clang 22 loses inline functions of the library
/// that only such a function calls). Sums keep their order and -ffp-contract=off holds, so that all
/// versions compute the same.
#if defined(__x86_64__) && defined(__clang__) && !__has_feature(thread_sanitizer) &&               \
    !__has_feature(memory_sanitizer)
#define SEMDNS_HOST_LEVELS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SEMDNS_HOST_LEVELS
#endif
#define SEMDNS_INLINE inline __attribute__((always_inline))

inline constexpr uint32_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(64)));

/// Neither needs alignment. (Lanes are handed over by reference: by value, hosts with and without
/// 64-byte registers would disagree.)
SEMDNS_INLINE void load(Lanes &v, const float *p) { std::memcpy(&v, p, sizeof v); }
SEMDNS_INLINE void store(float *p, const Lanes &v) { std::memcpy(p, &v, sizeof v); }

/// y[0..16) += x[0..16) * factor
SEMDNS_INLINE void addLanes(float *y, const float *x, float factor) {
  Lanes a, b;
  load(a, y);
  load(b, x);
  a += b * factor;
  store(y, a);
}

/// The sum of all lanes, in an order of its own that no compiler may change.
SEMDNS_INLINE float sumLanes(const Lanes &v) {
  float s[kLanes];
  store(s, v);
  for (uint32_t half = kLanes / 2; half; half /= 2)
    for (uint32_t l = 0; l < half; ++l)
      s[l] += s[l + half];
  return s[0];
}

/// a . b; dim is a multiple of 16.
SEMDNS_INLINE float dot(const float *a, const float *b, size_t dim) {
  Lanes sum = {}, x, y;
  for (size_t d = 0; d < dim; d += kLanes) {
    load(x, a + d);
    load(y, b + d);
    sum += x * y;
  }
  return sumLanes(sum);
}

/// y += factor * x; dim is a multiple of 16.
SEMDNS_INLINE void add(float *y, const float *x, float factor, size_t dim) {
  for (size_t d = 0; d < dim; d += kLanes)
    addLanes(y + d, x + d, factor);
}

/// e^x for x <= 0, relative error about 1e-6; not libm's, which differs from host to host.
SEMDNS_INLINE float expOf(float x) {
  float t = std::max(x, -80.0f) * 1.44269504f;
  int32_t whole = int32_t(t); // towards zero: t - whole in (-1, 0]
  float f = (t - float(whole)) * 0.693147181f;
  float p =
      1 + f * (1 + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f / 720)))));
  return p * std::bit_cast<float>((whole + 127) << 23);
}

} // namespace semdns::train
