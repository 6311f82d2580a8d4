/// \file Sixteen floats at once, elementwise: a host with narrower vectors computes the same
/// values.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace semdns::train {

inline constexpr uint32_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(64)));

/// Neither needs alignment. (Lanes are handed over by reference: by value, hosts with and without
/// 64-byte registers would disagree.)
inline void load(Lanes &v, const float *p) { std::memcpy(&v, p, sizeof v); }
inline void store(float *p, const Lanes &v) { std::memcpy(p, &v, sizeof v); }

/// y[0..16) += x[0..16) * factor
inline void addLanes(float *y, const float *x, float factor) {
  Lanes a, b;
  load(a, y);
  load(b, x);
  a += b * factor;
  store(y, a);
}

/// The sum of all lanes, in an order of its own that no compiler may change.
inline float sumLanes(const Lanes &v) {
  float s[kLanes];
  store(s, v);
  for (uint32_t half = kLanes / 2; half; half /= 2)
    for (uint32_t l = 0; l < half; ++l)
      s[l] += s[l + half];
  return s[0];
}

/// e^x for x <= 0, relative error about 1e-6; not libm's, which differs from host to host.
inline float expOf(float x) {
  float t = std::max(x, -80.0f) * 1.44269504f;
  int32_t whole = int32_t(t); // towards zero: t - whole in (-1, 0]
  float f = (t - float(whole)) * 0.693147181f;
  float p =
      1 + f * (1 + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f / 720)))));
  return p * std::bit_cast<float>((whole + 127) << 23);
}

} // namespace semdns::train
