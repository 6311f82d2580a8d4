#include "lib/reference/encoder.h"

#include "semdns/format/encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace semdns::reference {
namespace {

using Row = std::vector<float>;
using Rows = std::vector<Row>;

float finite(float x) {
  if (!std::isfinite(x)) {
    std::fprintf(stderr, "reference: stage 3 met a number that is not finite\n");
    std::abort();
  }
  return x;
}

/// Sixteen partial sums, then halves onto halves.
float sum16(const Row &v) {
  float s[16] = {};
  for (size_t i = 0; i < v.size(); ++i)
    s[i % 16] += v[i];
  for (size_t half : {8, 4, 2, 1})
    for (size_t i = 0; i < half; ++i)
      s[i] += s[i + half];
  return finite(s[0]);
}

/// The nearest integer, ties to even, without asking the C library.
int32_t roundEven(float x) {
  const float down = std::floor(x), rest = x - down;
  int32_t n = static_cast<int32_t>(down);
  if (rest > 0.5f || (rest == 0.5f && n % 2 != 0))
    ++n;
  return n;
}

float inverseRoot(float x) {
  float y = std::bit_cast<float>(0x5f375a86u - (std::bit_cast<uint32_t>(x) >> 1));
  for (int i = 0; i < 3; ++i) {
    const float half = 0.5f * x, a = half * y, b = a * y;
    y = y * (1.5f - b);
  }
  return finite(y);
}

float horner(float x, std::initializer_list<float> falling) {
  float p = *falling.begin();
  for (const float *c = falling.begin() + 1; c != falling.end(); ++c) {
    const float product = p * x;
    p = product + *c;
  }
  return p;
}

float exponential(float x) {
  if (!(x > -80.0f))
    x = -80.0f;
  const int32_t n = roundEven(x * 1.44269504f);
  const float high = static_cast<float>(n) * 0.693359375f;
  const float low = static_cast<float>(n) * -2.12194440e-4f;
  const float r = (x - high) - low;
  const float p = horner(
      r, {0.00829764456f, 0.0419154316f, 0.166675746f, 0.499988943f, 0.999999702f, 1.00000012f});
  return std::bit_cast<float>(std::bit_cast<int32_t>(p) + n * (1 << 23));
}

float activate(float x, uint32_t activation) {
  if (activation == SEMDNS_ACTIVATION_RELU)
    return x > 0.0f ? x : 0.0f;
  const float c = std::clamp(x, -4.5f, 4.5f);
  const float square = c * c, scaled = square * 0.0987654321f, u = scaled - 1.0f;
  const float p = activation == SEMDNS_ACTIVATION_GELU
                      ? horner(u, {0.000674170791f, -0.00213513966f, 0.00335735176f,
                                   -0.00563996844f, 0.0109786345f, -0.0187801216f, 0.0284159146f,
                                   -0.040163178f, 0.0546883382f, -0.0771906972f, 0.15690513f})
                      : horner(u, {0.000883406959f, -0.00270427647f, 0.00376869878f,
                                   -0.00546987401f, 0.0105356863f, -0.0183644556f, 0.0281115808f,
                                   -0.0400759913f, 0.054781653f, -0.0772939622f, 0.156938478f});
  const float odd = c * p, share = odd + 0.5f;
  return finite(x * share);
}

/// Bytes of a row, and the magnitude that became 127 (0: all are 0).
std::vector<int8_t> quantise(const Row &row, float &top) {
  top = 0;
  for (float x : row)
    top = std::max(top, std::fabs(finite(x)));
  if (top < 0x1p-60f)
    top = 0;
  const float ratio = top == 0 ? 0 : 127.0f / top;
  std::vector<int8_t> q;
  for (float x : row)
    q.push_back(static_cast<int8_t>(roundEven(x * ratio)));
  return q;
}

/// How bytes are to be read: byte * half / 127 + middle.
struct Range {
  float middle = 0, half = 0;
};

/// Bytes of a row over its range.
std::vector<int8_t> quantiseRange(const Row &row, Range &range) {
  const auto [low, high] = std::minmax_element(row.begin(), row.end());
  range.middle = (finite(*low) + finite(*high)) * 0.5f;
  range.half = (*high - *low) * 0.5f;
  if (range.half < 0x1p-60f)
    range.half = 0;
  const float ratio = range.half == 0 ? 0 : 127.0f / range.half;
  std::vector<int8_t> q;
  for (float x : row)
    q.push_back(static_cast<int8_t>(std::clamp(roundEven((x - range.middle) * ratio), -127, 127)));
  return q;
}

class Encoder {
public:
  explicit Encoder(std::string_view encm) : encm_(encm) {
    std::memcpy(&h_, encm.data(), sizeof h_);
    room_ = h_.heads * h_.head_room;
  }

  Embedding run(std::span<const uint32_t> ids) {
    Embedding e;
    e.q.assign(h_.width, 0);
    ids = ids.first(std::min<size_t>(ids.size(), h_.max_tokens));
    if (ids.empty())
      return e;
    Rows state;
    for (size_t t = 0; t < ids.size(); ++t) {
      const size_t id = ids[t] < h_.vocabulary ? ids[t] : 0;
      Row row(h_.width);
      for (size_t d = 0; d < h_.width; ++d) {
        const float word = static_cast<float>(at<int8_t>(h_.words_offset, id * h_.width + d)) *
                           at<float>(h_.word_scales_offset, id);
        row[d] = word + at<float>(h_.positions_offset, t * h_.width + d);
      }
      state.push_back(norm(row, h_.norm_offset));
    }
    uint64_t at = h_.layers_offset;
    for (uint32_t i = 0; i < h_.layer_count; ++i) {
      const Rows attended = linear(attend(linear(state, at, 3 * room_)), at, h_.width);
      for (size_t t = 0; t < state.size(); ++t)
        state[t] = norm(sum(state[t], attended[t]), at);
      at += 8 * uint64_t{h_.width};
      Rows inner = linear(state, at, h_.inner);
      for (Row &row : inner)
        for (float &x : row)
          x = activate(x, h_.activation);
      const Rows outer = linear(inner, at, h_.width);
      for (size_t t = 0; t < state.size(); ++t)
        state[t] = norm(sum(state[t], outer[t]), at);
      at += 8 * uint64_t{h_.width};
    }
    Row pooled = state[0];
    for (size_t d = 0; d < h_.width; ++d) {
      for (size_t t = 1; t < state.size(); ++t)
        if (h_.pooling == SEMDNS_POOLING_MEAN)
          pooled[d] += state[t][d];
        else if (h_.pooling == SEMDNS_POOLING_MAX)
          pooled[d] = std::max(pooled[d], state[t][d]);
      if (h_.pooling == SEMDNS_POOLING_MEAN)
        pooled[d] /= static_cast<float>(state.size());
    }
    float top;
    e.q = quantise(pooled, top);
    if (top == 0)
      return e;
    for (float &x : pooled) {
      x /= top;
      x *= x;
    }
    const float scaled = inverseRoot(sum16(pooled)) * 65536.0f;
    e.peak = static_cast<uint32_t>(scaled + 0.5f);
    return e;
  }

private:
  template <typename T> T at(uint64_t offset, uint64_t index) const {
    T value;
    std::memcpy(&value, encm_.data() + offset + index * sizeof(T), sizeof value);
    return value;
  }

  static Row sum(const Row &a, const Row &b) {
    Row c;
    for (size_t i = 0; i < a.size(); ++i)
      c.push_back(a[i] + b[i]);
    return c;
  }

  /// Gain and bias lie at `offset`.
  Row norm(Row row, uint64_t offset) const {
    const float width = static_cast<float>(h_.width);
    const float mean = sum16(row) / width;
    Row squares;
    for (float x : row)
      squares.push_back((x - mean) * (x - mean));
    const float variance = sum16(squares) / width;
    const float scale = inverseRoot(variance + h_.epsilon);
    for (size_t d = 0; d < row.size(); ++d) {
      const float unit = (row[d] - mean) * scale, gained = unit * at<float>(offset, d);
      row[d] = gained + at<float>(offset, row.size() + d);
    }
    return row;
  }

  /// The linear map at `offset`, which is moved behind it.
  Rows linear(const Rows &inputs, uint64_t &offset, uint32_t out) const {
    const auto in = static_cast<uint32_t>(inputs[0].size());
    const uint64_t weights = offset, offsets = weights + uint64_t{in} * out,
                   scales = offsets + 4ull * out, bias = scales + 4ull * out,
                   smooth = bias + 4ull * out;
    offset = smooth + 4ull * in;
    Rows outputs;
    for (Row row : inputs) {
      for (uint32_t i = 0; i < in; ++i)
        row[i] *= at<float>(smooth, i);
      Range range;
      const std::vector<int8_t> q = quantiseRange(row, range);
      const float unit = range.half / 127.0f, shift = range.middle * -0.0078125f;
      Row y(out);
      for (uint32_t o = 0; o < out; ++o) {
        int64_t total = 0;
        for (uint32_t i = 0; i < in; ++i) {
          const uint64_t line = uint64_t{o / 16} * (in / 4) + i / 4;
          total += int64_t{q[i]} * at<int8_t>(weights, line * 64 + o % 16 * 4 + i % 4);
        }
        const float scaled = static_cast<float>(total) * at<float>(scales, o);
        const float product = scaled * unit, even = product + at<float>(bias, o);
        const float all = static_cast<float>(at<int32_t>(offsets, o)) * at<float>(scales, o);
        const float middle = all * shift;
        y[o] = finite(even + middle);
      }
      outputs.push_back(y);
    }
    return outputs;
  }

  /// Rows of query, key, value to what each token attends to.
  Rows attend(const Rows &wide) const {
    const size_t count = wide.size(), size = h_.head_room;
    Rows result(count, Row(room_));
    for (size_t head = 0; head < h_.heads; ++head)
      for (size_t i = 0; i < count; ++i) {
        Row score(count), weight;
        for (size_t j = 0; j < count; ++j)
          for (size_t d = 0; d < size; ++d) {
            const float product = wide[j][room_ + head * size + d] * wide[i][head * size + d];
            score[j] = finite(score[j] + product);
          }
        const float most = *std::max_element(score.begin(), score.end());
        for (float s : score)
          weight.push_back(exponential(s - most));
        const float inverse = 1.0f / sum16(weight);
        for (size_t d = 0; d < size; ++d) {
          float sum = 0;
          for (size_t j = 0; j < count; ++j) {
            const float product = wide[j][2 * room_ + head * size + d] * weight[j];
            sum += product;
          }
          result[i][head * size + d] = finite(sum * inverse);
        }
      }
    return result;
  }

  std::string_view encm_;
  semdns_encm_header h_;
  uint32_t room_;
};

} // namespace

Embedding encode(std::string_view encm, std::span<const uint32_t> ids) {
  return Encoder(encm).run(ids);
}

} // namespace semdns::reference
