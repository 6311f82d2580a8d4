/// \file SipHash with 128 bits of output (Aumasson, Bernstein: SipHash, a fast short-input PRF,
/// 2012) over 64-bit words: with a secret key nobody can make two inputs collide. The cache uses
/// 1-3, as hash tables do whose outputs nobody sees; its authors' vectors are of 2-4.
#pragma once

#include <stdint.h>

namespace semdns::cache {

struct Key {
  uint64_t low, high;
};

inline bool operator==(const Key &a, const Key &b) { return a.low == b.low && a.high == b.high; }

template <int Rounds, int LastRounds> class Sip {
public:
  Sip(uint64_t k0, uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575u), v1_(k1 ^ 0x646f72616e646f6du ^ 0xee),
        v2_(k0 ^ 0x6c7967656e657261u), v3_(k1 ^ 0x7465646279746573u) {}

  void word(uint64_t m) {
    v3_ ^= m;
    for (int i = 0; i < Rounds; ++i)
      round();
    v0_ ^= m;
  }

  /// `last`: by its authors the bytes behind the last whole word, and the size modulo 256 on top;
  /// here whatever tells inputs of different sizes apart.
  Key finish(uint64_t last) {
    word(last);
    Key key;
    v2_ ^= 0xee;
    for (int i = 0; i < LastRounds; ++i)
      round();
    key.low = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    for (int i = 0; i < LastRounds; ++i)
      round();
    key.high = v0_ ^ v1_ ^ v2_ ^ v3_;
    return key;
  }

private:
  static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }
  void round() {
    v0_ += v1_;
    v1_ = rotate(v1_, 13) ^ v0_;
    v0_ = rotate(v0_, 32);
    v2_ += v3_;
    v3_ = rotate(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = rotate(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = rotate(v1_, 17) ^ v2_;
    v2_ = rotate(v2_, 32);
  }
  uint64_t v0_, v1_, v2_, v3_;
};

using SipHash = Sip<1, 3>;

} // namespace semdns::cache
