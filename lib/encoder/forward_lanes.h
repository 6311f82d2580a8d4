/// \file Sixteen floats at once for what lies between the encoder's matrix products. Every
/// operation is elementwise IEEE arithmetic without contraction, so that each clone of a function
/// (below) computes the same bits. Lanes are handed over by reference: by value, hosts with and
/// without 64-byte registers would disagree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// One body, compiled for three instruction sets; the loader picks.
#if defined(__x86_64__) && defined(__ELF__)
#define SEMDNS_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define SEMDNS_CLONES
#endif
#define SEMDNS_INLINE [[gnu::always_inline]] inline

namespace semdns::encoder {

inline constexpr size_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t IntLanes __attribute__((vector_size(64)));
typedef uint32_t WordLanes __attribute__((vector_size(64)));

/// The least multiple of kLanes that is at least n.
inline constexpr size_t padded(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

SEMDNS_INLINE void load(Lanes &v, const float *p) { std::memcpy(&v, p, sizeof v); }
SEMDNS_INLINE void store(float *p, const Lanes &v) { std::memcpy(p, &v, sizeof v); }

/// All lanes together, halves first: an order that no compiler may change.
SEMDNS_INLINE float sumLanes(const Lanes &v) {
  float s[kLanes];
  store(s, v);
  for (size_t half = kLanes / 2; half; half /= 2)
    for (size_t l = 0; l < half; ++l)
      s[l] += s[l + half];
  return s[0];
}

SEMDNS_INLINE float maxLanes(const Lanes &v) {
  float s[kLanes];
  store(s, v);
  float best = s[0];
  for (size_t l = 1; l < kLanes; ++l)
    best = s[l] > best ? s[l] : best;
  return best;
}

/// e^x, relative error below 3e-7; x is clamped to [-87, 88].
SEMDNS_INLINE void expLanes(Lanes &y, const Lanes &x) {
  Lanes lowest = Lanes{} - 87.0f, highest = Lanes{} + 88.0f;
  Lanes v = x > lowest ? x : lowest;
  v = v < highest ? v : highest;
  const float rounder = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
  Lanes shifted = v * 1.44269504f + rounder;
  Lanes whole = shifted - rounder;
  Lanes f = v - whole * 0.693145752f - whole * 1.42860677e-6f; // ln 2 in two parts
  Lanes p = f * (1.0f / 5040) + 1.0f / 720;
  p = p * f + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  IntLanes bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4b400000 + 127) << 23;
  Lanes power;
  std::memcpy(&power, &bits, sizeof power);
  y = p * power;
}

/// The normal distribution: cdf = P(X <= x), absolute error below 2e-7 (Abramowitz and Stegun,
/// "Handbook of Mathematical Functions", 7.1.26), and its density.
SEMDNS_INLINE void normalLanes(Lanes &cdf, Lanes &density, const Lanes &x) {
  Lanes e;
  expLanes(e, x * x * -0.5f);
  Lanes magnitude = x < 0.0f ? -x : x;
  Lanes t = 1.0f / (magnitude * 0.231641888f + 1.0f); // 0.3275911 / sqrt(2)
  Lanes p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  Lanes tail = p * t * e * 0.5f;
  cdf = x < 0.0f ? tail : 1.0f - tail;
  density = e * 0.398942280f;
}

} // namespace semdns::encoder
