/// \file Trains an encoder and a softmax head on labelled sequences.
#pragma once

#include "lib/encoder/model.h"

#include <optional>
#include <span>

namespace semdns {
class Progress;
}

namespace semdns::encoder {

struct FinetuneOptions {
  uint32_t epochs = 8;    ///< 1 or more
  uint32_t batch = 32;    ///< rows of a step
  float rate = 1e-4f;     ///< of the encoder, at its highest
  float headRate = 1e-3f; ///< of the head's bias and, times `scale`, its class vectors
  float warmup = 0.1f; ///< share of all steps in which the rate rises; then it falls linearly to 0
  float weightDecay = 0.01f; ///< not of biases, norms and the head
  float layerDecay = 1;      ///< the rate of a layer is this times that of the one above it
  float dropout = 0.1f;      ///< in [0, 1)
  float tokenDrop = 0; ///< share of tokens between the first and the last that a step leaves out
  float smoothing = 0; ///< of the labels, in [0, 1)
  /// Weight of the divergence between a row's two passes; 0: one pass, which takes half the time.
  float consistency = 1;
  float scale = 20;    ///< of the embedding before the head's softmax
  bool cosine = false; ///< class vectors of unit length, no bias
  float clip = 1;      ///< largest length of a step's gradient; 0: any
  uint64_t seed = 1;
  unsigned threads = 1; ///< changes the time, never the result
};

/// The defaults, but with less work where the rows are long or many: one pass of a row beyond
/// 300,000 tokens, and 5 epochs beyond 500,000 (where that was as good).
FinetuneOptions optionsFor(std::span<const std::vector<uint32_t>> sequences);

/// A tuned encoder and its head: class k has the score scale * (e . classes[k]) + bias[k] for the
/// unit-length embedding e.
struct Finetuned {
  Model model;                ///< digest: digestOf(model)
  std::vector<float> classes; ///< [classCount][width]; of unit length for a cosine head
  std::vector<float> bias;    ///< [classCount]
  float scale = 1;
  std::vector<double> losses; ///< mean over the rows, of each epoch (with dropout)
};

/// Trains a copy of `model` on `sequences` (token ids with [CLS] and [SEP]) and `labels` (below
/// classCount), one of each a row. Ids are read as embed() reads them; empty sequences are left
/// out. Classes without rows are allowed. nullopt when there is nothing to learn: no rows, fewer
/// than two classes, or options out of their range. `progress`, if any, counts rows: epochs *
/// sequences in all.
///
/// The same bytes for the same model, rows, options (but threads) and arithmetic(): dropout is
/// drawn by counter, every sum has its order. Memory: about five times the encoder's weights.
///
/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019) with a linear
/// warm-up; rows of the word embeddings that a step does not use are brought up to date when they
/// are used next. The head starts from the classes' mean embeddings.
std::optional<Finetuned> finetune(const Model &model,
                                  std::span<const std::vector<uint32_t>> sequences,
                                  std::span<const uint32_t> labels, uint32_t classCount,
                                  const FinetuneOptions &options, Progress *progress = nullptr);

/// Keeps a result: the model at `path` (store.h), the head at `path` + ".head"; `losses` are not
/// kept. Atomic, replaces what is there. False and `error` on failure.
bool saveFinetuned(const Finetuned &result, const std::string &path, std::string &error);

/// Reads what saveFinetuned wrote: sizes and digests are checked, and that model and head belong
/// together. On failure nullopt, and `error` says what is wrong.
std::optional<Finetuned> loadFinetuned(const std::string &path, std::string &error);

/// The options as META states them, without `threads`.
std::string describe(const FinetuneOptions &options);

/// What finetune()'s result depends on, as 64 hex digits: the model's digest, rows, options,
/// arithmetic() and the version of the method. Known before the work is done, so that a cache can
/// be asked for the result.
std::string finetuneKey(const Model &model, std::span<const std::vector<uint32_t>> sequences,
                        std::span<const uint32_t> labels, uint32_t classCount,
                        const FinetuneOptions &options);

} // namespace semdns::encoder
