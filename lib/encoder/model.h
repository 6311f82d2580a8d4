/// \file A sentence encoder of the BERT family as imported: shape, float weights, tokeniser.
/// Nothing here is specific to one model: everything comes from the folder's files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::encoder {

enum class Pooling : uint8_t { Mean, Cls, Max };
enum class Activation : uint8_t { Gelu /* erf */, GeluTanh, Relu };

/// Limits that import enforces before it allocates.
inline constexpr uint32_t kMaxLayers = 48, kMaxWidth = 2048, kMaxInner = 16384, kMaxHeads = 64,
                          kMaxVocabulary = 1u << 20, kMaxPositions = 8192;

struct Shape {
  uint32_t layers = 0, heads = 0; ///< width is a multiple of heads
  uint32_t width = 0;             ///< of an embedding; a multiple of 16
  uint32_t inner = 0;             ///< of the feed-forward layer; a multiple of 16
  uint32_t vocabulary = 0, positions = 0, types = 0;
  float layerNormEpsilon = 1e-12f;
  Pooling pooling = Pooling::Mean;
  bool normalise = true; ///< what the folder's modules say; routing always normalises
  Activation activation = Activation::Gelu;
  uint32_t maxTokens = 0; ///< of a window, [CLS] and [SEP] included; at most `positions`
};

/// y = weight * x + bias; weight is row-major [out][in].
struct Linear {
  std::vector<float> weight, bias;
};
struct Norm {
  std::vector<float> gain, bias; ///< [width]
};

/// Post-norm transformer block: x = norm(x + attention(x)); x = norm(x + down(act(up(x)))).
struct Layer {
  Linear query, key, value, output; ///< [width][width]
  Norm attentionNorm;
  Linear up;   ///< [inner][width]
  Linear down; ///< [width][inner]
  Norm outputNorm;
};

struct Weights {
  std::vector<float> words;     ///< [vocabulary][width]
  std::vector<float> positions; ///< [positions][width]
  std::vector<float> types;     ///< [types][width]; type 0 is used
  Norm embeddingNorm;
  std::vector<Layer> layers;
};

/// WordPiece with BERT's normaliser and pre-tokeniser, as tokenizer.json states them.
struct TokeniserSpec {
  std::vector<std::string> pieces; ///< [vocabulary] by id
  std::string continuation = "##";
  uint32_t unknown = 0, cls = 0, sep = 0, pad = 0; ///< ids
  uint32_t maxWordChars = 100;                     ///< longer words are [UNK]
  bool cleanText = true, lowercase = true, stripAccents = true, splitChinese = true;
};

struct Model {
  Shape shape;
  Weights weights;
  TokeniserSpec tokeniser;
  std::string digest;  ///< 64 hex digits over shape, weights and tokeniser: the model's identity
  std::string licence; ///< as the folder states it, for META; may be empty
};

/// `model` with its first `layers` blocks only, 1..shape.layers (`--encoder-layers=N`); the digest
/// says so. (import.cpp)
Model truncated(const Model &model, uint32_t layers);

} // namespace semdns::encoder
