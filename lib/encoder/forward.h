/// \file Sentence embeddings by the float encoder, on the CPU.
#pragma once

#include "lib/encoder/gemm.h"
#include "lib/encoder/model.h"

#include <span>

namespace semdns {
class Progress;
}

namespace semdns::encoder {

/// The embedding of each sequence of token ids ([CLS] and [SEP] included): pooled as the model's
/// shape says and scaled to Euclidean length 1. Returns [sequences][width], row by row.
///
/// A row depends on its sequence and on arithmetic() alone: not on its neighbours, their order or
/// `threads`. An empty sequence gives a row of zeros; tokens beyond shape.positions are not read;
/// an id that is not in the vocabulary reads as the unknown piece. `progress`, if any, counts
/// sequences. Safe to call from several threads at once (without a shared progress).
///
/// Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
/// Understanding", 2019; pooling as in Reimers and Gurevych, "Sentence-BERT", 2019.
std::vector<float> embed(const Model &model, std::span<const std::vector<uint32_t>> sequences,
                         unsigned threads, Progress *progress = nullptr);

} // namespace semdns::encoder
