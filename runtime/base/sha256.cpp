#include "runtime/base/sha256.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace semdns::base {
namespace {

alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

using Compress = void (*)(uint32_t state[8], const uint8_t *blocks, size_t count);

void compressPortable(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count; --count, blocks += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i)
      w[i] = static_cast<uint32_t>(blocks[4 * i]) << 24 | blocks[4 * i + 1] << 16 |
             blocks[4 * i + 2] << 8 | blocks[4 * i + 3];
    for (int i = 16; i < 64; ++i) {
      uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; ++i) {
      uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
      uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
      uint32_t t1 = v[7] + s1 + choice + kRound[i] + w[i];
      uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
      uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
      memmove(v + 1, v, 7 * sizeof v[0]);
      v[4] += t1;
      v[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; ++i)
      state[i] += v[i];
  }
}

#if defined(__x86_64__)

[[gnu::target("sha,sse4.1,ssse3")]] void compressShaNi(uint32_t state[8], const uint8_t *blocks,
                                                       size_t count) {
  // The instructions want the state as {a,b,e,f} and {c,d,g,h}, highest lane first.
  __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i *>(state));      // d c b a
  __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i *>(state + 4)); // h g f e
  low = _mm_shuffle_epi32(low, 0xb1);                                           // c d a b
  high = _mm_shuffle_epi32(high, 0x1b);                                         // e f g h
  __m128i abef = _mm_alignr_epi8(low, high, 8);
  __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
  const __m128i bigEndian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  for (; count; --count, blocks += 64) {
    const __m128i abefBefore = abef, cdghBefore = cdgh;
    __m128i w[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; ++i) {
      __m128i words;
      if (i < 4) {
        words = _mm_shuffle_epi8(
            _mm_loadu_si128(reinterpret_cast<const __m128i *>(blocks + 16 * i)), bigEndian);
      } else {
        __m128i last = w[(i + 3) & 3];
        words = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
        words = _mm_add_epi32(words, _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
        words = _mm_sha256msg2_epu32(words, last);
      }
      w[i & 3] = words;
      __m128i sum =
          _mm_add_epi32(words, _mm_load_si128(reinterpret_cast<const __m128i *>(kRound + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abefBefore);
    cdgh = _mm_add_epi32(cdgh, cdghBefore);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(state), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

bool cpuHasSha() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
    return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

#endif

// cpuid traps under a hypervisor, so it is asked once; threads that race find the same answer.
std::atomic<Compress> chosen{nullptr};

Compress choose(Sha256Path path) {
#if defined(__x86_64__)
  if (path == Sha256Path::ShaNi)
    return cpuHasSha() ? compressShaNi : nullptr;
  if (path == Sha256Path::Automatic && cpuHasSha())
    return compressShaNi;
#else
  if (path == Sha256Path::ShaNi)
    return nullptr;
#endif
  return compressPortable;
}

Compress automatic() {
  Compress f = chosen.load(std::memory_order_relaxed);
  if (!f) {
    f = choose(Sha256Path::Automatic);
    chosen.store(f, std::memory_order_relaxed);
  }
  return f;
}

constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// The last block or two: what is left over, the bit 1, zeros, the length in bits.
void finishWith(Compress compress, uint32_t state[8], const uint8_t *rest, size_t restSize,
                uint64_t total, uint8_t out[32]) {
  uint8_t tail[128] = {};
  if (restSize)
    memcpy(tail, rest, restSize);
  tail[restSize] = 0x80;
  size_t blocks = restSize < 56 ? 1 : 2;
  for (int i = 0; i < 8; ++i)
    tail[64 * blocks - 1 - i] = static_cast<uint8_t>(total * 8 >> (8 * i));
  compress(state, tail, blocks);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
}

void digest(Compress compress, const void *data, size_t size, uint8_t out[32]) {
  uint32_t state[8];
  memcpy(state, kInitial, sizeof state);
  const uint8_t *bytes = static_cast<const uint8_t *>(data);
  size_t whole = size / 64;
  if (whole)
    compress(state, bytes, whole);
  size_t rest = size % 64;
  finishWith(compress, state, rest ? bytes + 64 * whole : nullptr, rest, size, out);
}

} // namespace

void sha256(const void *data, size_t size, uint8_t out[32]) {
  digest(automatic(), data, size, out);
}

bool sha256With(Sha256Path path, const void *data, size_t size, uint8_t out[32]) {
  Compress compress = choose(path);
  if (!compress)
    return false;
  digest(compress, data, size, out);
  return true;
}

Sha256::Sha256() { memcpy(state_, kInitial, sizeof state_); }

void Sha256::update(const void *data, size_t size) {
  if (!size)
    return;
  const uint8_t *bytes = static_cast<const uint8_t *>(data);
  size_t used = total_ % 64;
  total_ += size;
  if (used) {
    size_t take = 64 - used < size ? 64 - used : size;
    memcpy(buffer_ + used, bytes, take);
    bytes += take;
    size -= take;
    if (used + take < 64)
      return;
    automatic()(state_, buffer_, 1);
  }
  if (size >= 64)
    automatic()(state_, bytes, size / 64);
  if (size % 64)
    memcpy(buffer_, bytes + size / 64 * 64, size % 64);
}

void Sha256::finish(uint8_t out[32]) {
  finishWith(automatic(), state_, buffer_, total_ % 64, total_, out);
}

} // namespace semdns::base
