/* Micro-kernel: token ids to the encoder's embedding, stage 3's arithmetic (docs/architecture.md,
 * "Stage 3's embedding", is the definition; lib/reference/encoder.cpp the slow twin).
 *
 * Written once over vectors of 16 lanes with the vector extensions of clang and GCC. Where a
 * machine has narrower vectors the compiler splits them. Every instruction set gives the same bits,
 * because
 *   - sums of products of bytes are integers, exact in any order;
 *   - float operations are IEEE single precision +, -, *, / and conversions, each correctly rounded
 *     and thus one result everywhere; nothing is contracted into fused operations
 *     (-ffp-contract=off), nothing comes from a maths library;
 *   - sums over lanes have one order: 16 partial sums over every 16th element, then halves onto
 *     halves. The compiler may not reorder float sums, and is not given leave to;
 *   - no result is NaN, whose bits could differ, or infinite (limits in format/encoder.h).
 * It holds for the rounding mode to nearest and with denormals kept (no FTZ, no DAZ): the runtime
 * sees to that (runtime/exec/encoder.cpp).
 *
 * Two things differ between levels, and neither can be seen in a result: how four bytes are
 * multiplied and added up (uk_dot4), and whether the inputs are stored as they are or plus 128, as
 * hardware wants that multiplies unsigned by signed bytes; the section's offsets undo it. */
#ifndef SEMDNS_KERNELS_ENCODE_H
#define SEMDNS_KERNELS_ENCODE_H

#include "semdns/format/encoder.h"

#if defined(__SSE2__) && !defined(UK_ENCODE_COMPILED)
#include <emmintrin.h>
#endif

#define UK_INLINE static inline __attribute__((always_inline))

typedef float uk_floats __attribute__((vector_size(64)));
typedef int32_t uk_ints __attribute__((vector_size(64)));
typedef int8_t uk_bytes __attribute__((vector_size(16)));
#define UK_LANES 16u

/* How a level multiplies. `bias`: 128 if uk_dot4 takes unsigned inputs, else 0. A tile of the
 * matrix product is up to `tokens` rows by 16 * `groups` columns. */
struct uk_encode_level {
  uint32_t bias, tokens, groups;
};

#ifdef UK_ENCODE_COMPILED
/* The compiler defines both for each level (lib/codegen/encode.cpp). */
typedef uk_ints uk_sums;
extern "C" const uk_encode_level uk_encode_target;
extern "C" void uk_dot4(uk_sums *sums, uint32_t four, const uint8_t *line);
UK_INLINE uk_ints uk_total(const uk_sums *sums) { return *sums; }
#else
/* Two sums a lane: products of neighbours, added in pairs, are one instruction on x86. */
typedef int8_t uk_line __attribute__((vector_size(64)));
typedef int8_t uk_four __attribute__((vector_size(4)));
typedef int16_t uk_line16 __attribute__((vector_size(128)));
typedef int16_t uk_four16 __attribute__((vector_size(8)));
typedef int16_t uk_half16 __attribute__((vector_size(16)));
typedef int32_t uk_half32 __attribute__((vector_size(16)));
typedef int32_t uk_whole32 __attribute__((vector_size(32)));
typedef struct uk_sums {
  uk_half32 part[8];
} uk_sums;
static const uk_encode_level uk_encode_target = {0, 2, 1};

/* sums[lane] += inputs . line[lane], of four signed bytes each; `four` holds the inputs. */
UK_INLINE void uk_dot4(uk_sums *sums, uint32_t four, const uint8_t *line) {
  uk_four bytes;
  __builtin_memcpy(&bytes, &four, 4);
  const uk_four16 x = __builtin_convertvector(bytes, uk_four16);
  const uk_half16 xx = __builtin_shufflevector(x, x, 0, 1, 2, 3, 0, 1, 2, 3);
  for (uint32_t i = 0; i < 8; ++i) {
    typedef int8_t eight __attribute__((vector_size(8)));
    eight w;
    __builtin_memcpy(&w, line + 8 * i, 8);
    const uk_half16 ww = __builtin_convertvector(w, uk_half16);
#ifdef __SSE2__ /* GCC does not see it by itself */
    sums->part[i] += (uk_half32)_mm_madd_epi16((__m128i)ww, (__m128i)xx);
#else
    const uk_whole32 products =
        __builtin_convertvector(ww, uk_whole32) * __builtin_convertvector(xx, uk_whole32);
    sums->part[i] += __builtin_shufflevector(products, products, 0, 2, 4, 6) +
                     __builtin_shufflevector(products, products, 1, 3, 5, 7);
#endif
  }
}

UK_INLINE uk_ints uk_total(const uk_sums *sums) {
  uk_ints total;
  for (uint32_t i = 0; i < UK_LANES; ++i)
    total[i] = sums->part[i / 2][i % 2 * 2] + sums->part[i / 2][i % 2 * 2 + 1];
  return total;
}
#endif

template <uint32_t N> struct uk_index {
  static constexpr uint32_t value = N;
};

/* f(uk_index<0>) ... f(uk_index<N - 1>): a loop whose arrays become registers. */
template <uint32_t N, typename F> UK_INLINE void uk_repeat(F f) {
  if constexpr (N > 0) {
    uk_repeat<N - 1>(f);
    f(uk_index<N - 1>());
  }
}

UK_INLINE uk_ints uk_bits(uk_floats x) { return (uk_ints)x; }
UK_INLINE uk_floats uk_abs(uk_floats x) { return (uk_floats)(uk_bits(x) & 0x7fffffff); }
UK_INLINE uk_floats uk_larger(uk_floats a, uk_floats b) { return a > b ? a : b; }
UK_INLINE const uk_floats *uk_at(const float *p) { return (const uk_floats *)p; }
UK_INLINE uk_floats *uk_at(float *p) { return (uk_floats *)p; }

/* The nearest integer, ties to even, of |x| < 2^22: the sum has no bits for the fraction. */
UK_INLINE uk_ints uk_round(uk_floats x) { return uk_bits(x + 12582912.0f) - 0x4b400000; }

UK_INLINE float uk_lane_sum(uk_floats v) {
  v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return v[0] + v[1];
}

UK_INLINE float uk_lane_max(uk_floats v) {
  v = uk_larger(
      v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = uk_larger(
      v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = uk_larger(
      v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return v[0] > v[1] ? v[0] : v[1];
}

/* 1 / sqrt(x) of a positive normal x: a guess from the bits, then Newton's iteration thrice, which
 * is as many digits as a float has. */
UK_INLINE float uk_rsqrt(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  bits = 0x5f375a86u - (bits >> 1);
  float y;
  __builtin_memcpy(&y, &bits, 4);
  const float half = 0.5f * x;
  y = y * (1.5f - (half * y) * y);
  y = y * (1.5f - (half * y) * y);
  return y * (1.5f - (half * y) * y);
}

/* e^x of x <= 0 (what is below -80 counts as -80): 2^n times a polynomial fitted to e^r on
 * |r| <= ln 2 / 2, relative error below 2^-22. */
UK_INLINE uk_floats uk_exp(uk_floats x) {
  x = x > -80.0f ? x : uk_floats{} - 80.0f;
  const uk_ints n = uk_round(x * 1.44269504f);
  const uk_floats f = __builtin_convertvector(n, uk_floats);
  const uk_floats r = (x - f * 0.693359375f) - f * -2.12194440e-4f; /* ln 2 in two parts */
  uk_floats p = r * 0.00829764456f + 0.0419154316f;
  p = p * r + 0.166675746f;
  p = p * r + 0.499988943f;
  p = p * r + 0.999999702f;
  p = p * r + 1.00000012f;
  return (uk_floats)(uk_bits(p) + (n << 23));
}

/* x * Phi(x), with Phi - 1/2 = x * polynomial(x^2) fitted on |x| <= 4.5 and constant beyond: the
 * error of the product is below 3e-6 there and 4e-6 * |x| beyond. Phi is the normal distribution,
 * or the tanh formula that some models were trained with. */
UK_INLINE uk_floats uk_gelu(uk_floats x, bool tanh) {
  uk_floats c = x > 4.5f ? uk_floats{} + 4.5f : x;
  c = c < -4.5f ? uk_floats{} - 4.5f : c;
  const uk_floats u = (c * c) * 0.0987654321f - 1.0f;
  const float normal[] = {0.15690513f,    -0.0771906972f,  0.0546883382f,  -0.040163178f,
                          0.0284159146f,  -0.0187801216f,  0.0109786345f,  -0.00563996844f,
                          0.00335735176f, -0.00213513966f, 0.000674170791f};
  const float formula[] = {0.156938478f,   -0.0772939622f,  0.054781653f,   -0.0400759913f,
                           0.0281115808f,  -0.0183644556f,  0.0105356863f,  -0.00546987401f,
                           0.00376869878f, -0.00270427647f, 0.000883406959f};
  uk_floats p = uk_floats{} + (tanh ? formula[10] : normal[10]);
  uk_repeat<10>([&](auto i) {
    constexpr uint32_t k = 9 - decltype(i)::value;
    p = p * u + (tanh ? formula[k] : normal[k]);
  });
  return x * (c * p + 0.5f);
}

UK_INLINE uk_floats uk_activate(uk_floats x, uint32_t activation) {
  if (activation == SEMDNS_ACTIVATION_RELU)
    return x > 0.0f ? x : uk_floats{};
  return uk_gelu(x, activation == SEMDNS_ACTIVATION_GELU_TANH);
}

/* How a row of bytes is to be read: byte * half / 127 + middle. */
struct uk_range {
  float middle, half;
};

/* `count` values (a multiple of 16), times `smooth`, as bytes -127..127 over the row's range: that
 * spends no byte on values beyond it, which would be half of them behind a GELU. A range below
 * 2^-59 is a point. */
UK_INLINE uk_range uk_quantise(const float *x, const float *smooth, uint32_t count, uint32_t bias,
                               int8_t *q) {
  uk_floats high = *uk_at(x) * *uk_at(smooth), low = high;
  for (uint32_t i = UK_LANES; i < count; i += UK_LANES) {
    const uk_floats v = *uk_at(x + i) * *uk_at(smooth + i);
    high = uk_larger(v, high);
    low = v < low ? v : low;
  }
  const float top = uk_lane_max(high), bottom = -uk_lane_max(-low);
  uk_range range = {(bottom + top) * 0.5f, (top - bottom) * 0.5f};
  if (range.half < 0x1p-60f)
    range.half = 0.0f;
  const float ratio = range.half == 0.0f ? 0.0f : 127.0f / range.half;
  for (uint32_t i = 0; i < count; i += UK_LANES) {
    /* Where a range is narrow, middle and half are not exact: hence the limits. */
    uk_ints n = uk_round((*uk_at(x + i) * *uk_at(smooth + i) - range.middle) * ratio);
    n = n > 127 ? uk_ints{} + 127 : n;
    n = n < -127 ? uk_ints{} - 127 : n;
    *(uk_bytes *)(q + i) = __builtin_convertvector(n ^ (int32_t)bias, uk_bytes);
  }
  return range;
}

/* `count` values as bytes, the largest magnitude as 127. Returns it; below 2^-60 all are 0, it
 * too. */
UK_INLINE float uk_quantise_evenly(const float *x, uint32_t count, int8_t *q) {
  uk_floats top = {};
  for (uint32_t i = 0; i < count; i += UK_LANES)
    top = uk_larger(uk_abs(*uk_at(x + i)), top);
  const float peak = uk_lane_max(top);
  const float ratio = peak < 0x1p-60f ? 0.0f : 127.0f / peak;
  for (uint32_t i = 0; i < count; i += UK_LANES) /* at most 127.00001: never 128 */
    *(uk_bytes *)(q + i) = __builtin_convertvector(uk_round(*uk_at(x + i) * ratio), uk_bytes);
  return peak < 0x1p-60f ? 0.0f : peak;
}

/* x = norm(x + add) * gain + bias, over `width` values; no `add`: norm(x). */
UK_INLINE void uk_norm(float *x, const float *add, const float *gain, uint32_t width,
                       float epsilon) {
  const float *bias = gain + width;
  uk_floats sum = {};
  for (uint32_t i = 0; i < width; i += UK_LANES) {
    if (add)
      *uk_at(x + i) += *uk_at(add + i);
    sum += *uk_at(x + i);
  }
  const float mean = uk_lane_sum(sum) / (float)width;
  uk_floats squares = {};
  for (uint32_t i = 0; i < width; i += UK_LANES) {
    const uk_floats d = *uk_at(x + i) - mean;
    squares += d * d;
  }
  const float scale = uk_rsqrt(uk_lane_sum(squares) / (float)width + epsilon);
  for (uint32_t i = 0; i < width; i += UK_LANES)
    *uk_at(x + i) = ((*uk_at(x + i) - mean) * scale) * *uk_at(gain + i) + *uk_at(bias + i);
}

/* T tokens by G groups of 16 outputs: totals[t][g] = inputs of t . weights of the group. */
template <uint32_t T, uint32_t G>
UK_INLINE void uk_tile(const int8_t *inputs, uint32_t in, const uint8_t *weights,
                       uk_ints (&totals)[T][G]) {
  uk_sums sums[T][G];
  uk_repeat<T>([&](auto t) {
    uk_repeat<G>([&](auto g) { sums[decltype(t)::value][decltype(g)::value] = uk_sums{}; });
  });
  for (uint32_t k = 0; k < in; k += 4)
    uk_repeat<T>([&](auto t) {
      uint32_t four;
      __builtin_memcpy(&four, inputs + (uint64_t)decltype(t)::value * in + k, 4);
      uk_repeat<G>([&](auto g) {
        uk_dot4(&sums[decltype(t)::value][decltype(g)::value], four,
                weights + (uint64_t)decltype(g)::value * 16 * in + 16 * k);
      });
    });
  uk_repeat<T>([&](auto t) {
    uk_repeat<G>([&](auto g) {
      totals[decltype(t)::value][decltype(g)::value] =
          uk_total(&sums[decltype(t)::value][decltype(g)::value]);
    });
  });
}

/* A linear map over rows of quantised inputs: where it is, and where it goes. */
struct uk_linear {
  const uint8_t *weights;
  const int32_t *offsets;
  const float *scales, *bias;
  uint32_t in, out;
  const int8_t *inputs; /* [rows][in] */
  const float *units;   /* [rows] of the inputs; and -1/128 of their middles: that is what */
  const float *shifts;  /* `offsets` are multiplied by */
  float *outputs;       /* [rows][out] */
  uint32_t activation;  /* semdns_activation, or UK_NONE */
};
#define UK_NONE 0xffffffffu

template <uint32_t T, uint32_t G>
UK_INLINE void uk_outputs(const uk_linear &l, uint32_t group, uint32_t row) {
  uk_ints totals[T][G];
  uk_tile<T, G>(l.inputs + (uint64_t)row * l.in, l.in, l.weights + (uint64_t)group * 16 * l.in,
                totals);
  uk_repeat<G>([&](auto g) {
    constexpr uint32_t kGroup = decltype(g)::value;
    const uint32_t o = (group + kGroup) * UK_LANES;
    const uk_floats scale = *uk_at(l.scales + o), bias = *uk_at(l.bias + o);
    const uk_ints offset = *(const uk_ints *)(l.offsets + o);
    const uk_floats all = __builtin_convertvector(offset, uk_floats) * scale;
    uk_repeat<T>([&](auto t) {
      constexpr uint32_t kRow = decltype(t)::value;
      uk_ints total = totals[kRow][kGroup];
      if (uk_encode_target.bias)
        total += offset;
      const uk_floats even =
          (__builtin_convertvector(total, uk_floats) * scale) * l.units[row + kRow] + bias;
      uk_floats y = even + all * l.shifts[row + kRow];
      if (l.activation != UK_NONE)
        y = uk_activate(y, l.activation);
      *uk_at(l.outputs + (uint64_t)(row + kRow) * l.out + o) = y;
    });
  });
}

/* Rows [row, row + tokens), tokens <= T, of G groups. */
template <uint32_t T, uint32_t G>
UK_INLINE void uk_block(const uk_linear &l, uint32_t group, uint32_t row, uint32_t tokens) {
  if constexpr (T > 0) {
    if (tokens == T)
      uk_outputs<T, G>(l, group, row);
    else
      uk_block<T - 1, G>(l, group, row, tokens);
  }
}

/* Weights come from memory once; the inputs, and a group's weights for the next rows, from cache.
 * Rows are cut into blocks of as equal size as can be. */
template <uint32_t T, uint32_t G> UK_INLINE void uk_multiply(const uk_linear &l, uint32_t rows) {
  const uint32_t blocks = (rows + T - 1) / T;
  uint32_t group = 0;
  for (; group + G <= l.out / UK_LANES; group += G)
    for (uint32_t b = 0, row = 0; b < blocks; ++b) {
      const uint32_t next = rows * (b + 1) / blocks;
      uk_block<T, G>(l, group, row, next - row);
      row = next;
    }
  if constexpr (G > 1)
    for (; group < l.out / UK_LANES; ++group)
      for (uint32_t b = 0, row = 0; b < blocks; ++b) {
        const uint32_t next = rows * (b + 1) / blocks;
        uk_block<T, 1>(l, group, row, next - row);
        row = next;
      }
}

/* Working memory, in bytes from the arena's start. */
struct uk_arena {
  uint64_t state;  /* float [tokens][width] */
  uint64_t wide;   /* float [tokens][max(3 * room, inner)]: query, key, value, or the inner layer */
  uint64_t result; /* float [tokens][max(room, width)] */
  uint64_t units;  /* float [2][tokens]: units and shifts */
  uint64_t keys;   /* float [head_room][padded tokens]: one head's, transposed */
  uint64_t weights; /* float [4][padded tokens]: attention of four tokens */
  uint64_t bytes;   /* int8 [tokens][max(width, room, inner)] */
  uint64_t end;
};

UK_INLINE uk_arena uk_encode_arena(const semdns_encm_header *h) {
  const uint64_t tokens = (h->max_tokens + 15) / 16 * 16, width = h->width, inner = h->inner;
  const uint64_t room = (uint64_t)h->heads * h->head_room;
  const uint64_t most = room > width ? room : width;
  uk_arena a;
  a.state = 0;
  a.wide = a.state + 4 * tokens * width;
  a.result = a.wide + 4 * tokens * (3 * room > inner ? 3 * room : inner);
  a.units = a.result + 4 * tokens * most;
  a.keys = a.units + 2 * 4 * tokens;
  a.weights = a.keys + 4 * tokens * h->head_room;
  a.bytes = a.weights + 4 * tokens * 4;
  a.end = a.bytes + tokens * (most > inner ? most : inner);
  return a;
}

/* One layer's attention: wide holds rows of query, key, value; result becomes rows of room. */
UK_INLINE void uk_attend(const semdns_encm_header *h, uint8_t *arena, uint32_t count) {
  const uk_arena at = uk_encode_arena(h);
  const uint32_t size = h->head_room, room = h->heads * size;
  const uint32_t padded = (count + 15) / 16 * 16;
  const float *wide = (const float *)(arena + at.wide);
  float *keys = (float *)(arena + at.keys), *weights = (float *)(arena + at.weights);
  float *result = (float *)(arena + at.result);
  const uk_ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (uint32_t head = 0; head < h->heads; ++head) {
    const float *query = wide + head * size, *key = query + room, *value = key + room;
    for (uint32_t d = 0; d < size; ++d) {
      for (uint32_t j = 0; j < count; ++j)
        keys[d * padded + j] = key[(uint64_t)j * 3 * room + d];
      for (uint32_t j = count; j < padded; ++j)
        keys[d * padded + j] = 0.0f;
    }
    /* Four tokens at a time, the last one again where fewer are left. */
    for (uint32_t first = 0; first < count; first += 4) {
      const float *queries[4];
      uk_repeat<4>([&](auto r) {
        const uint32_t i = first + decltype(r)::value;
        queries[decltype(r)::value] = query + (uint64_t)(i < count ? i : count - 1) * 3 * room;
      });
      uk_floats top[4];
      uk_repeat<4>([&](auto r) { top[decltype(r)::value] = uk_floats{} - 0x1p100f; });
      for (uint32_t j = 0; j < padded; j += UK_LANES) {
        uk_floats sums[4];
        uk_repeat<4>([&](auto r) { sums[decltype(r)::value] = uk_floats{}; });
        for (uint32_t d = 0; d < size; ++d) {
          const uk_floats k = *uk_at(keys + d * padded + j);
          uk_repeat<4>(
              [&](auto r) { sums[decltype(r)::value] += k * queries[decltype(r)::value][d]; });
        }
        const uk_ints there = lanes < (int32_t)(count - j);
        uk_repeat<4>([&](auto r) {
          constexpr uint32_t kRow = decltype(r)::value;
          sums[kRow] = there ? sums[kRow] : uk_floats{} - 0x1p100f;
          top[kRow] = uk_larger(sums[kRow], top[kRow]);
          *uk_at(weights + kRow * padded + j) = sums[kRow];
        });
      }
      float inverse[4];
      uk_repeat<4>([&](auto r) {
        constexpr uint32_t kRow = decltype(r)::value;
        const float most = uk_lane_max(top[kRow]);
        uk_floats sum = {};
        for (uint32_t j = 0; j < padded; j += UK_LANES) {
          uk_floats *w = uk_at(weights + kRow * padded + j);
          const uk_ints there = lanes < (int32_t)(count - j);
          *w = there ? uk_exp(*w - most) : uk_floats{};
          sum += *w;
        }
        inverse[kRow] = 1.0f / uk_lane_sum(sum);
      });
      for (uint32_t d = 0; d < size; d += UK_LANES) {
        uk_floats sums[4];
        uk_repeat<4>([&](auto r) { sums[decltype(r)::value] = uk_floats{}; });
        for (uint32_t j = 0; j < count; ++j) {
          const uk_floats v = *uk_at(value + (uint64_t)j * 3 * room + d);
          uk_repeat<4>([&](auto r) {
            sums[decltype(r)::value] += v * weights[decltype(r)::value * padded + j];
          });
        }
        uk_repeat<4>([&](auto r) {
          const uint32_t i = first + decltype(r)::value;
          *uk_at(result + (uint64_t)(i < count ? i : count - 1) * room + head * size + d) =
              sums[decltype(r)::value] * inverse[decltype(r)::value];
        });
      }
    }
  }
}

/* Quantises rows of `from` and maps them by the linear map `l` of the layer at `layer`. */
template <uint32_t T, uint32_t G>
UK_INLINE void uk_map(const semdns_encm_header *h, const uint8_t *layer,
                      const semdns_encm_linear &l, const float *from, float *to,
                      uint32_t activation, uint8_t *arena, uint32_t count) {
  const uk_arena at = uk_encode_arena(h);
  float *units = (float *)(arena + at.units), *shifts = units + (h->max_tokens + 15) / 16 * 16;
  int8_t *bytes = (int8_t *)(arena + at.bytes);
  for (uint32_t t = 0; t < count; ++t) {
    const uk_range range = uk_quantise(from + (uint64_t)t * l.in, (const float *)(layer + l.smooth),
                                       l.in, uk_encode_target.bias, bytes + (uint64_t)t * l.in);
    units[t] = range.half / 127.0f;
    shifts[t] = range.middle * -0.0078125f;
  }
  const uk_linear map = {layer + l.weights,
                         (const int32_t *)(layer + l.offsets),
                         (const float *)(layer + l.scales),
                         (const float *)(layer + l.bias),
                         l.in,
                         l.out,
                         bytes,
                         units,
                         shifts,
                         to,
                         activation};
  uk_multiply<T, G>(map, count);
}

/* The watcher of a layer that is not watched. */
struct uk_unwatched {
  void operator()(uint32_t, const float *, uint32_t) const {}
};

/* One layer. `watch` is called with the number of each linear map (0 attend, 1 output, 2 up, 3
 * down), its input rows, and how many values a row has: lib/encoder/quantise.cpp looks. */
template <uint32_t T, uint32_t G, typename Watch>
UK_INLINE void uk_layer(const semdns_encm_header *h, const uint8_t *layer, uint8_t *arena,
                        uint32_t count, Watch watch) {
  const uk_arena at = uk_encode_arena(h);
  const semdns_encm_layer l = semdns_encm_layer_of(h);
  float *state = (float *)(arena + at.state), *wide = (float *)(arena + at.wide);
  float *result = (float *)(arena + at.result);
  watch(0, state, l.attend.in);
  uk_map<T, G>(h, layer, l.attend, state, wide, UK_NONE, arena, count);
  uk_attend(h, arena, count);
  watch(1, result, l.output.in);
  uk_map<T, G>(h, layer, l.output, result, result, UK_NONE, arena, count);
  for (uint32_t t = 0; t < count; ++t)
    uk_norm(state + (uint64_t)t * h->width, result + (uint64_t)t * h->width,
            (const float *)(layer + l.attention_norm), h->width, h->epsilon);
  watch(2, state, l.up.in);
  uk_map<T, G>(h, layer, l.up, state, wide, h->activation, arena, count);
  watch(3, wide, l.down.in);
  uk_map<T, G>(h, layer, l.down, wide, result, UK_NONE, arena, count);
  for (uint32_t t = 0; t < count; ++t)
    uk_norm(state + (uint64_t)t * h->width, result + (uint64_t)t * h->width,
            (const float *)(layer + l.output_norm), h->width, h->epsilon);
}

/* The state that the first layer starts from. */
UK_INLINE void uk_look_up(const semdns_encm_header *h, const uint8_t *encm, const uint32_t *ids,
                          uint32_t count, uint8_t *arena) {
  const uint32_t width = h->width;
  float *state = (float *)(arena + uk_encode_arena(h).state);
  const int8_t *words = (const int8_t *)(encm + h->words_offset);
  const float *word_scales = (const float *)(encm + h->word_scales_offset);
  const float *positions = (const float *)(encm + h->positions_offset);
  for (uint32_t t = 0; t < count; ++t) {
    const uint64_t id = ids[t] < h->vocabulary ? ids[t] : 0;
    const int8_t *word = words + id * width;
    float *row = state + (uint64_t)t * width;
    for (uint32_t i = 0; i < width; i += UK_LANES)
      *uk_at(row + i) =
          __builtin_convertvector(*(const uk_bytes *)(word + i), uk_floats) * word_scales[id] +
          *uk_at(positions + (uint64_t)t * width + i);
    uk_norm(row, 0, (const float *)(encm + h->norm_offset), width, h->epsilon);
  }
}

/* A semdns_kernel_encode_fn (semdns/kernel.h) whose header is a copy that may be a constant. */
UK_INLINE void uk_encode_tokens(const semdns_encm_header *h, const uint8_t *encm,
                                const uint32_t *ids, uint32_t count, uint8_t *arena, int8_t *q,
                                uint32_t *peak) {
  const uk_arena at = uk_encode_arena(h);
  const uint32_t width = h->width;
  float *state = (float *)(arena + at.state);
  if (count > h->max_tokens)
    count = h->max_tokens;
  if (!count) {
    for (uint32_t i = 0; i < width; ++i)
      q[i] = 0;
    *peak = 0;
    return;
  }
  uk_look_up(h, encm, ids, count, arena);
  for (uint32_t i = 0; i < h->layer_count; ++i) {
    const uint8_t *layer = encm + h->layers_offset + i * h->layer_stride;
    if (uk_encode_target.groups > 1)
      uk_layer<8, 2>(h, layer, arena, count, uk_unwatched());
    else if (uk_encode_target.tokens >= 8)
      uk_layer<8, 1>(h, layer, arena, count, uk_unwatched());
    else if (uk_encode_target.tokens >= 4)
      uk_layer<4, 1>(h, layer, arena, count, uk_unwatched());
    else
      uk_layer<2, 1>(h, layer, arena, count, uk_unwatched());
  }

  /* Pooled into the first row, then to unit length and bytes in one step. */
  for (uint32_t i = 0; i < width; i += UK_LANES) {
    uk_floats pooled = *uk_at(state + i);
    if (h->pooling != SEMDNS_POOLING_CLS)
      for (uint32_t t = 1; t < count; ++t) {
        const uk_floats v = *uk_at(state + (uint64_t)t * width + i);
        pooled = h->pooling == SEMDNS_POOLING_MAX ? uk_larger(v, pooled) : pooled + v;
      }
    if (h->pooling == SEMDNS_POOLING_MEAN)
      pooled = pooled / (float)count;
    *uk_at(state + i) = pooled;
  }
  const float most = uk_quantise_evenly(state, width, q);
  if (most == 0.0f) {
    *peak = 0;
    return;
  }
  uk_floats squares = {};
  for (uint32_t i = 0; i < width; i += UK_LANES) {
    const uk_floats v = *uk_at(state + i) / most; /* at most 1: no square is too small */
    squares += v * v;
  }
  /* 1 / |v| is the largest component of the unit vector. */
  const float share = uk_rsqrt(uk_lane_sum(squares));
  *peak = (uint32_t)(share * 65536.0f + 0.5f);
}

#endif /* SEMDNS_KERNELS_ENCODE_H */
