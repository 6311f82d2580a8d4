/// \file Names for the compiler's atomics, and the two hashes that dispatching uses. No C++
/// library.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace semdns::dispatch {

template <typename T> T load(const T &from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }
template <typename T> void store(T &to, T value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }
template <typename T> T add(T &to, T value) {
  return __atomic_fetch_add(&to, value, __ATOMIC_RELAXED);
}
template <typename T> T sub(T &to, T value) {
  return __atomic_fetch_sub(&to, value, __ATOMIC_RELAXED);
}
/// Takes one off a counter that may already be at zero.
inline void dropOne(uint32_t &counter) {
  uint32_t value = load(counter);
  while (value && !__atomic_compare_exchange_n(&counter, &value, value - 1, true, __ATOMIC_RELAXED,
                                               __ATOMIC_RELAXED)) {
  }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// FNV-1a, mixed. Never 0. Not for keys that an enemy chooses.
inline uint64_t hashBytes(const char *bytes, size_t size) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; ++i)
    hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001b3u;
  hash = mix(hash);
  return hash ? hash : 1;
}

} // namespace semdns::dispatch
