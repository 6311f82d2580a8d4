/* Hashes of words and features: part of the artifact format, since tables are built from them.
 * Plain C++ without dependencies: compiled into the runtime, the trainer and kernel bitcode. */
#ifndef SEMDNS_KERNELS_HASH_H
#define SEMDNS_KERNELS_HASH_H

#include <stdint.h>

/* Words are hashed code point by code point while they are read. */
#define SEMDNS_HASH_SEED UINT64_C(0x243f6a8885a308d3)
#define SEMDNS_HASH_MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t semdns_hash_step(uint64_t h, uint32_t codePoint) {
  h = (h << 5 | h >> 59) ^ codePoint;
  return h * SEMDNS_HASH_MULTIPLIER;
}

/* Finaliser (Stafford's variant 13 of the 64-bit mixer in splitmix64): every input bit reaches
 * every output bit, so that any slice of the result can choose a bucket. */
static inline uint64_t semdns_hash_mix(uint64_t h) {
  h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
  return h ^ h >> 31;
}

/* A word: bit 0 says punctuation. `h` is SEMDNS_HASH_SEED stepped over the word's code points. */
static inline uint64_t semdns_word_hash(uint64_t h, int isPunct) {
  return (semdns_hash_mix(h) & ~UINT64_C(1)) | (isPunct ? 1u : 0u);
}

/* Families keep features of different kinds apart. */
enum semdns_feature_family {
  SEMDNS_FEATURE_WORD = 1,    /* one word: the word hash mixed with the family */
  SEMDNS_FEATURE_BIGRAM = 2,  /* two words */
  SEMDNS_FEATURE_TRIGRAM = 3, /* three words */
  SEMDNS_FEATURE_CHARS = 16,  /* + n: n characters of a word with its boundaries */
};

static inline uint64_t semdns_feature_word(uint64_t w) {
  return semdns_hash_mix(w + SEMDNS_FEATURE_WORD * SEMDNS_HASH_MULTIPLIER);
}
static inline uint64_t semdns_feature_bigram(uint64_t a, uint64_t b) {
  return semdns_hash_mix((a << 23 | a >> 41) + b + SEMDNS_FEATURE_BIGRAM * SEMDNS_HASH_MULTIPLIER);
}
static inline uint64_t semdns_feature_trigram(uint64_t a, uint64_t b, uint64_t c) {
  return semdns_hash_mix((a << 23 | a >> 41) + (b << 47 | b >> 17) + c +
                         SEMDNS_FEATURE_TRIGRAM * SEMDNS_HASH_MULTIPLIER);
}
/* Character n-gram of n symbols (2..6), where a symbol is a normalised code point or one of the
 * boundary marks below. A code point has 21 bits: three of them are one number, and n-grams of up
 * to three symbols never collide. */
#define SEMDNS_MARK_BEGIN 0x02u
#define SEMDNS_MARK_END 0x03u
static inline uint64_t semdns_feature_chars(const uint32_t *symbol, uint32_t n) {
  uint64_t low = 0, high = 0;
  for (uint32_t i = 0; i < 3 && i < n; ++i)
    low |= (uint64_t)symbol[i] << (21 * i);
  for (uint32_t i = 3; i < n; ++i)
    high |= (uint64_t)symbol[i] << (21 * (i - 3));
  return semdns_hash_mix(low + high * SEMDNS_HASH_MULTIPLIER +
                         (SEMDNS_FEATURE_CHARS + n) * SEMDNS_HASH_MULTIPLIER);
}

/* Hash tables: the high half chooses the bucket (multiply-shift, any count), the low half is the
 * fingerprint, never 0. */
static inline uint32_t semdns_bucket(uint64_t hash, uint32_t bucketCount) {
  return (uint32_t)(((hash >> 32) * bucketCount) >> 32);
}
static inline uint32_t semdns_fingerprint(uint64_t hash) {
  uint32_t f = (uint32_t)hash;
  return f ? f : 1u;
}

#endif /* SEMDNS_KERNELS_HASH_H */
