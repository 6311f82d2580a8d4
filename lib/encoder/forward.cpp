#include "lib/encoder/forward.h"

#include "lib/encoder/forward_block.h"
#include "lib/encoder/forward_lanes.h"
#include "lib/support/progress.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace semdns::encoder {

namespace {

/// Rows of a product when embedding. Always as many: which of its kernels oneDNN picks, and so the
/// order of its sums, depends on the shape.
constexpr size_t kSlice = 256;
/// Tokens that go through the layers together.
constexpr size_t kChunk = 2 * kSlice;

template <size_t Rows, size_t Columns>
SEMDNS_INLINE void tile(size_t inner, size_t cols, const float *a, size_t rowStride,
                        size_t innerStride, const float *b, float *c) {
  Lanes sum[Rows][Columns] = {};
  for (size_t k = 0; k < inner; ++k) {
    Lanes v[Columns];
    for (size_t j = 0; j < Columns; ++j)
      load(v[j], b + k * cols + j * kLanes);
    for (size_t r = 0; r < Rows; ++r) {
      float factor = a[r * rowStride + k * innerStride];
      for (size_t j = 0; j < Columns; ++j)
        sum[r][j] += v[j] * factor;
    }
  }
  for (size_t r = 0; r < Rows; ++r)
    for (size_t j = 0; j < Columns; ++j)
      store(c + r * cols + j * kLanes, sum[r][j]);
}

template <size_t Rows>
SEMDNS_INLINE void tileRow(size_t inner, size_t cols, const float *a, size_t rowStride,
                           size_t innerStride, const float *b, float *c) {
  size_t j = 0;
  for (; j + 2 * kLanes <= cols; j += 2 * kLanes)
    tile<Rows, 2>(inner, cols, a, rowStride, innerStride, b + j, c + j);
  if (j < cols)
    tile<Rows, 1>(inner, cols, a, rowStride, innerStride, b + j, c + j);
}

SEMDNS_CLONES void productClones(size_t rows, size_t inner, size_t cols, const float *a,
                                 size_t rowStride, size_t innerStride, const float *b, float *c) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4)
    tileRow<4>(inner, cols, a + r * rowStride, rowStride, innerStride, b, c + r * cols);
  for (; r < rows; ++r)
    tileRow<1>(inner, cols, a + r * rowStride, rowStride, innerStride, b, c + r * cols);
}

/// y = norm(drop(z + bias) + residual), row by row; hat and scale may be null.
SEMDNS_CLONES void residualNorm(size_t rows, size_t width, const float *z, const float *bias,
                                const float *residual, const Norm &norm, float epsilon, float *y,
                                float *hat, float *scale, const Dropout *dropout, uint32_t site) {
  for (size_t r = 0; r < rows; ++r) {
    float *row = y + r * width;
    Lanes sum{}, v, w;
    for (size_t d = 0; d < width; d += kLanes) {
      load(v, z + r * width + d);
      load(w, bias + d);
      v += w;
      store(row + d, v);
    }
    if (dropout)
      dropout->apply(row, width, site, r);
    for (size_t d = 0; d < width; d += kLanes) {
      load(v, row + d);
      load(w, residual + r * width + d);
      v += w;
      store(row + d, v);
      sum += v;
    }
    float mean = sumLanes(sum) / float(width);
    Lanes squares{};
    for (size_t d = 0; d < width; d += kLanes) {
      load(v, row + d);
      v -= mean;
      store(row + d, v);
      squares += v * v;
    }
    float factor = 1.0f / std::sqrt(sumLanes(squares) / float(width) + epsilon);
    if (scale)
      scale[r] = factor;
    for (size_t d = 0; d < width; d += kLanes) {
      load(v, row + d);
      v *= factor;
      if (hat)
        store(hat + r * width + d, v);
      load(w, norm.gain.data() + d);
      v *= w;
      load(w, norm.bias.data() + d);
      v += w;
      store(row + d, v);
    }
  }
}

SEMDNS_CLONES void addBias(size_t rows, size_t width, const float *bias, float *x) {
  Lanes v, w;
  for (size_t r = 0; r < rows; ++r)
    for (size_t d = 0; d < width; d += kLanes) {
      load(v, x + r * width + d);
      load(w, bias + d);
      v += w;
      store(x + r * width + d, v);
    }
}

/// up += bias; active = activation(up). The two may be one buffer: then only `active` is left.
SEMDNS_CLONES void biasActivate(Activation activation, size_t rows, size_t inner, const float *bias,
                                float *up, float *active) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t d = 0; d < inner; d += kLanes) {
      Lanes v, w;
      load(v, up + r * inner + d);
      load(w, bias + d);
      v += w;
      if (active != up)
        store(up + r * inner + d, v);
      if (activation == Activation::Gelu) {
        Lanes cdf, density;
        normalLanes(cdf, density, v);
        v *= cdf;
      } else if (activation == Activation::GeluTanh) {
        // 0.5 (1 + tanh u) = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
        Lanes e;
        expLanes(e, (v * v * 0.044715f + 1.0f) * v * -1.59576912f);
        v = v / (e + 1.0f);
      } else {
        v = v > 0.0f ? v : Lanes{};
      }
      store(active + r * inner + d, v);
    }
}

/// scores[L][padded(L)] -> probabilities, in place; the padding becomes 0.
SEMDNS_CLONES void softmaxRows(size_t length, float scale, float *scores) {
  size_t cols = padded(length);
  Lanes valid; // 1 for the columns of the last sixteen that exist
  float mask[kLanes];
  for (size_t l = 0; l < kLanes; ++l)
    mask[l] = cols - kLanes + l < length ? 1.0f : 0.0f;
  load(valid, mask);
  for (size_t r = 0; r < length; ++r) {
    float *row = scores + r * cols;
    Lanes v, top{};
    for (size_t j = 0; j < cols; j += kLanes) {
      load(v, row + j);
      v *= scale;
      if (j + kLanes == cols)
        v = valid > 0.0f ? v : Lanes{} - 1e30f;
      store(row + j, v);
      top = j == 0 || v > top ? v : top;
    }
    float peak = maxLanes(top);
    Lanes sum{};
    for (size_t j = 0; j < cols; j += kLanes) {
      load(v, row + j);
      expLanes(v, v - peak);
      if (j + kLanes == cols)
        v *= valid;
      store(row + j, v);
      sum += v;
    }
    float factor = 1.0f / sumLanes(sum);
    for (size_t j = 0; j < cols; j += kLanes) {
      load(v, row + j);
      v *= factor;
      store(row + j, v);
    }
  }
}

/// context = softmax(q k^T / sqrt(size)) v of each head of each sequence.
void attend(const Shape &shape, const Batch &batch, const Dropout *dropout, uint32_t site,
            Tape &tape) {
  size_t width = shape.width, heads = shape.heads, size = width / heads;
  size_t longest = 0;
  for (size_t s = 0; s < batch.sequences(); ++s)
    longest = std::max<size_t>(longest, batch.start[s + 1] - batch.start[s]);
  Buffer keys(size * padded(longest)), values(longest * padded(size)),
      result(longest * padded(size)), scratch(longest * padded(longest));
  float scale = 1.0f / std::sqrt(float(size));
  float *kept = tape.probabilities;
  for (size_t s = 0; s < batch.sequences(); ++s) {
    size_t first = batch.start[s], length = batch.start[s + 1] - first, cols = padded(length);
    for (size_t h = 0; h < heads; ++h) {
      const float *query = tape.qkv + first * 3 * width + h * size;
      copyHeadTransposed(query + width, 3 * width, length, size, keys.data());
      copyHead(query + 2 * width, 3 * width, length, size, values.data());
      smallProduct(length, size, cols, query, 3 * width, 1, keys.data(), scratch.data());
      softmaxRows(length, scale, scratch.data());
      if (kept) {
        std::copy_n(scratch.data(), length * cols, kept);
        kept += length * cols;
      }
      if (dropout)
        for (size_t r = 0; r < length; ++r)
          dropout->apply(scratch.data() + r * cols, cols, site, (first + r) * heads + h);
      smallProduct(length, length, padded(size), scratch.data(), cols, 1, values.data(),
                   result.data());
      for (size_t r = 0; r < length; ++r)
        std::copy_n(result.data() + r * padded(size), size,
                    tape.context + (first + r) * width + h * size);
    }
  }
}

void slicedMultiply(size_t rows, size_t slice, size_t out, size_t in, const float *x,
                    const float *weight, float *y) {
  if (!slice)
    return multiply(rows, out, in, x, weight, y);
  for (size_t r = 0; r < rows; r += slice)
    multiply(slice, out, in, x + r * in, weight, y + r * out);
}

} // namespace

Buffer::Buffer(size_t floats)
    : data_(new (std::align_val_t(64)) float[std::max<size_t>(floats, 1)]()), size_(floats) {}

Block blockOf(const Layer &layer) {
  Block block{{}, layer.output, layer.attentionNorm, layer.up, layer.down, layer.outputNorm};
  for (const Linear *part : {&layer.query, &layer.key, &layer.value}) {
    block.qkv.weight.insert(block.qkv.weight.end(), part->weight.begin(), part->weight.end());
    block.qkv.bias.insert(block.qkv.bias.end(), part->bias.begin(), part->bias.end());
  }
  return block;
}

Layer layerOf(const Block &block) {
  Layer layer;
  layer.output = block.output;
  layer.attentionNorm = block.attentionNorm;
  layer.up = block.up;
  layer.down = block.down;
  layer.outputNorm = block.outputNorm;
  Linear *parts[] = {&layer.query, &layer.key, &layer.value};
  size_t weights = block.qkv.weight.size() / 3, biases = block.qkv.bias.size() / 3;
  for (size_t p = 0; p < 3; ++p) {
    auto weight = block.qkv.weight.begin() + ptrdiff_t(p * weights);
    auto bias = block.qkv.bias.begin() + ptrdiff_t(p * biases);
    parts[p]->weight.assign(weight, weight + ptrdiff_t(weights));
    parts[p]->bias.assign(bias, bias + ptrdiff_t(biases));
  }
  return layer;
}

void Batch::add(std::span<const uint32_t> sequence, std::span<const uint32_t> at) {
  ids.insert(ids.end(), sequence.begin(), sequence.end());
  for (uint32_t t = 0; t < sequence.size(); ++t)
    positions.push_back(at.empty() ? t : at[t]);
  start.push_back(uint32_t(ids.size()));
}

SEMDNS_CLONES static void dropLanes(float *values, size_t count, uint32_t seed, uint32_t threshold,
                                    float factor) {
  WordLanes column;
  for (uint32_t l = 0; l < kLanes; ++l)
    column[l] = l;
  for (size_t d = 0; d < count; d += kLanes) {
    // Two rounds of multiply and shift: each bit of the result depends on each bit of the input.
    WordLanes h = (column + uint32_t(d)) * 0x9e3779b1u ^ seed;
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    h ^= h >> 16;
    Lanes v;
    load(v, values + d);
    v = h >= threshold ? v * factor : Lanes{};
    store(values + d, v);
  }
}

void Dropout::apply(float *values, size_t count, uint32_t site, size_t rowInBatch) const {
  uint64_t h = key + (uint64_t(site) + 1) * 0x9e3779b97f4a7c15ull;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull + row + rowInBatch;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  h ^= h >> 31;
  dropLanes(values, count, uint32_t(h), uint32_t(double(rate) * 4294967296.0),
            1.0f / (1.0f - rate));
}

size_t probabilityFloats(const Batch &batch, uint32_t heads) {
  size_t floats = 0;
  for (size_t s = 0; s < batch.sequences(); ++s) {
    size_t length = batch.start[s + 1] - batch.start[s];
    floats += heads * length * padded(length);
  }
  return floats;
}

void embedTokens(const Shape &shape, const Weights &weights, const Batch &batch, float *x,
                 float *hat, float *scale, const Dropout *dropout) {
  size_t width = shape.width;
  std::vector<float> zero(width);
  for (size_t t = 0; t < batch.tokens(); ++t) {
    const float *word = weights.words.data() + batch.ids[t] * width;
    const float *position = weights.positions.data() + batch.positions[t] * width;
    for (size_t d = 0; d < width; ++d)
      x[t * width + d] = word[d] + position[d] + (weights.types.empty() ? 0 : weights.types[d]);
    float *row = x + t * width;
    residualNorm(1, width, row, zero.data(), zero.data(), weights.embeddingNorm,
                 shape.layerNormEpsilon, row, hat ? hat + t * width : nullptr,
                 scale ? scale + t : nullptr, nullptr, 0);
    if (dropout)
      dropout->apply(row, width, kDropEmbedding, t);
  }
}

void forwardBlock(const Shape &shape, const Block &block, uint32_t layer, const Batch &batch,
                  const float *x, float *y, Tape &tape, size_t slice, const Dropout *dropout) {
  size_t width = shape.width, inner = shape.inner, rows = batch.tokens();
  slicedMultiply(rows, slice, 3 * width, width, x, block.qkv.weight.data(), tape.qkv);
  addBias(rows, 3 * width, block.qkv.bias.data(), tape.qkv);
  uint32_t site = layer * kDropSites;
  attend(shape, batch, dropout, site + kDropAttention, tape);
  slicedMultiply(rows, slice, width, width, tape.context, block.output.weight.data(), y);
  residualNorm(rows, width, y, block.output.bias.data(), x, block.attentionNorm,
               shape.layerNormEpsilon, tape.middle, tape.middleHat, tape.middleScale, dropout,
               site + kDropOutput);
  slicedMultiply(rows, slice, inner, width, tape.middle, block.up.weight.data(), tape.up);
  biasActivate(shape.activation, rows, inner, block.up.bias.data(), tape.up, tape.active);
  slicedMultiply(rows, slice, width, inner, tape.active, block.down.weight.data(), y);
  residualNorm(rows, width, y, block.down.bias.data(), tape.middle, block.outputNorm,
               shape.layerNormEpsilon, y, tape.hat, tape.scale, dropout, site + kDropDown);
}

void pool(const Shape &shape, const Batch &batch, const float *x, float *out) {
  size_t width = shape.width;
  for (size_t s = 0; s < batch.sequences(); ++s) {
    size_t first = batch.start[s], length = batch.start[s + 1] - first;
    float *row = out + s * width;
    std::copy_n(x + first * width, width, row);
    if (shape.pooling == Pooling::Cls)
      continue;
    for (size_t t = first + 1; t < first + length; ++t)
      for (size_t d = 0; d < width; ++d)
        row[d] = shape.pooling == Pooling::Mean ? row[d] + x[t * width + d]
                                                : std::max(row[d], x[t * width + d]);
    if (shape.pooling == Pooling::Mean)
      for (size_t d = 0; d < width; ++d)
        row[d] /= float(length);
  }
}

float normalise(float *v, size_t width) {
  double squares = 0;
  for (size_t d = 0; d < width; ++d)
    squares += double(v[d]) * v[d];
  float length = std::max(float(std::sqrt(squares)), 1e-12f);
  for (size_t d = 0; d < width; ++d)
    v[d] /= length;
  return length;
}

void smallProduct(size_t rows, size_t inner, size_t cols, const float *a, size_t rowStride,
                  size_t innerStride, const float *b, float *c) {
  productClones(rows, inner, cols, a, rowStride, innerStride, b, c);
}

void copyHead(const float *from, size_t stride, size_t rows, size_t size, float *to) {
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(from + r * stride, size, to + r * padded(size));
    std::fill(to + r * padded(size) + size, to + (r + 1) * padded(size), 0.0f);
  }
}

void copyHeadTransposed(const float *from, size_t stride, size_t rows, size_t size, float *to) {
  size_t cols = padded(rows);
  for (size_t d = 0; d < size; ++d) {
    for (size_t r = 0; r < rows; ++r)
      to[d * cols + r] = from[r * stride + d];
    std::fill(to + d * cols + rows, to + (d + 1) * cols, 0.0f);
  }
}

std::vector<float> embed(const Model &model, std::span<const std::vector<uint32_t>> sequences,
                         unsigned threads, Progress *progress) {
  const Shape &shape = model.shape;
  size_t width = shape.width;
  std::vector<float> result(sequences.size() * width);

  std::vector<Block> blocks;
  for (const Layer &layer : model.weights.layers)
    blocks.push_back(blockOf(layer));

  // Which sequences share a chunk does not matter to any of them.
  struct Chunk {
    Batch batch;
    std::vector<size_t> rows; ///< of the result
  };
  std::vector<Chunk> chunks;
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < sequences.size(); ++i) {
    ids.assign(sequences[i].begin(),
               sequences[i].begin() +
                   ptrdiff_t(std::min<size_t>(sequences[i].size(), shape.positions)));
    if (ids.empty())
      continue;
    for (uint32_t &id : ids)
      id = id < shape.vocabulary ? id : model.tokeniser.unknown;
    if (chunks.empty() || chunks.back().batch.tokens() + ids.size() > kChunk)
      chunks.emplace_back();
    chunks.back().batch.add(ids);
    chunks.back().rows.push_back(i);
  }

  std::atomic<size_t> done{0};
  parallelFor(chunks.size(), threads, [&](size_t c, size_t worker) {
    Chunk &chunk = chunks[c];
    const Batch &batch = chunk.batch;
    size_t rows = (batch.tokens() + kSlice - 1) / kSlice * kSlice;
    Buffer x(rows * width), y(rows * width), qkv(rows * 3 * width), context(rows * width),
        middle(rows * width), up(rows * shape.inner), pooled(batch.sequences() * width);
    Tape tape;
    tape.qkv = qkv.data();
    tape.context = context.data();
    tape.middle = middle.data();
    tape.up = tape.active = up.data();
    embedTokens(shape, model.weights, batch, x.data(), nullptr, nullptr, nullptr);
    for (size_t l = 0; l < blocks.size(); ++l) {
      forwardBlock(shape, blocks[l], uint32_t(l), batch, x.data(), y.data(), tape, kSlice, nullptr);
      std::swap(x, y);
    }
    pool(shape, batch, x.data(), pooled.data());
    for (size_t s = 0; s < batch.sequences(); ++s) {
      normalise(pooled.data() + s * width, width);
      std::copy_n(pooled.data() + s * width, width, result.data() + chunk.rows[s] * width);
    }
    size_t now = done += batch.sequences();
    if (progress && worker == 0)
      progress->update(now);
  });
  if (progress)
    progress->update(sequences.size());
  return result;
}

} // namespace semdns::encoder
