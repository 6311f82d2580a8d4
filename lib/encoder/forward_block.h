/// \file The transformer block as inference (forward.cpp) and training (finetune.cpp, backward.cpp)
/// share it. Internal to lib/encoder.
///
/// Sequences lie one after the other without padding: a matrix has one row a token. Attention looks
/// within a sequence; everything else is row by row.
#pragma once

#include "lib/encoder/model.h"

#include <memory>
#include <new>
#include <span>
#include <utility>

namespace semdns::encoder {

/// Floats on a cache line's boundary, zero at first.
class Buffer {
public:
  Buffer() = default;
  explicit Buffer(size_t floats);
  float *data() { return data_.get(); }
  const float *data() const { return data_.get(); }
  size_t size() const { return size_; }

private:
  struct Free {
    void operator()(float *p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<float[], Free> data_;
  size_t size_ = 0;
};

/// A layer with its three projections as one product.
struct Block {
  Linear qkv; ///< [3 * width][width]: query, key, value
  Linear output;
  Norm attentionNorm;
  Linear up, down;
  Norm outputNorm;
};
Block blockOf(const Layer &layer);
Layer layerOf(const Block &block);

/// Sequences of token ids, end to end.
struct Batch {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> positions; ///< of the ids in their sequences
  std::vector<uint32_t> start{0};  ///< [sequences + 1] into ids
  size_t tokens() const { return ids.size(); }
  size_t sequences() const { return start.size() - 1; }
  /// Empty sequences are not allowed in a batch. `at`: positions that are not 0, 1, ...
  void add(std::span<const uint32_t> sequence, std::span<const uint32_t> at = {});
};

/// Dropout by counter: whether an element is kept is a hash of (key, site, row, column), so that it
/// does not depend on which thread computes it, and backward asks again instead of storing masks.
struct Dropout {
  float rate = 0;   ///< in [0, 1)
  uint64_t key = 0; ///< of the run and the step
  size_t row = 0;   ///< of the batch's first token within the step
  /// Multiplies `count` (a multiple of kLanes is touched) elements of a row by 0 or 1 / (1 - rate).
  void apply(float *values, size_t count, uint32_t site, size_t rowInBatch) const;
};
/// Sites of a layer, and that of the embeddings.
enum : uint32_t { kDropAttention, kDropOutput, kDropDown, kDropSites, kDropEmbedding = 1u << 30 };

/// What a layer leaves behind: the backward pass reads it. Rows are tokens; `hat` is a norm's input
/// less its mean, times `scale` = 1 / deviation.
struct Tape {
  float *qkv = nullptr; ///< [tokens][3 * width]
  float *probabilities =
      nullptr;              ///< per sequence [heads][L][padded(L)], before dropout; may be null
  float *context = nullptr; ///< [tokens][width]
  float *middleHat = nullptr, *middleScale = nullptr, *middle = nullptr; ///< after attentionNorm
  float *up = nullptr;                                                   ///< [tokens][inner]
  float *active = nullptr; ///< [tokens][inner]; `up` itself where nothing needs that any more
  float *hat = nullptr, *scale = nullptr; ///< of outputNorm
};

/// Floats that Tape::probabilities needs.
size_t probabilityFloats(const Batch &batch, uint32_t heads);

/// x = norm(word + position + type). [tokens][width]; `hat`, `scale` as in Tape, may be null.
void embedTokens(const Shape &shape, const Weights &weights, const Batch &batch, float *x,
                 float *hat, float *scale, const Dropout *dropout);

/// y[tokens][width] = layer(x). `slice` rows go into a product at a time (0: all). Rows are rounded
/// up to a multiple of it, and the buffers hold as many; what the added ones hold is of no
/// consequence.
void forwardBlock(const Shape &shape, const Block &block, uint32_t layer, const Batch &batch,
                  const float *x, float *y, Tape &tape, size_t slice, const Dropout *dropout);

/// Pools each sequence: out[sequences][width], not normalised.
void pool(const Shape &shape, const Batch &batch, const float *x, float *out);
/// Divides v[width] by its Euclidean length (at least 1e-12), which it returns.
float normalise(float *v, size_t width);

/// c[rows][cols] = a * b, where a(r, k) = a[r * rowStride + k * innerStride] and b, c have rows of
/// cols = a multiple of kLanes floats. For the small matrices of attention.
void smallProduct(size_t rows, size_t inner, size_t cols, const float *a, size_t rowStride,
                  size_t innerStride, const float *b, float *c);

/// One head of a sequence out of `qkv`-shaped rows: rows of padded(size) floats, zero-filled.
void copyHead(const float *from, size_t stride, size_t rows, size_t size, float *to);
/// The same, transposed: [size][padded(rows)].
void copyHeadTransposed(const float *from, size_t stride, size_t rows, size_t size, float *to);

} // namespace semdns::encoder
