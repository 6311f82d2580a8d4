/// \file Texts as sparse vectors, through the very tokeniser that the runtime uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace semdns::train {

/// Which features exist; becomes part of the artifact.
struct FeatureShape {
  uint32_t wordNgramMax = 2;
  uint32_t charNgramMin = 3, charNgramMax = 3; ///< 0, 0: none
  bool punct = false;
};

/// The feature hashes of one text in the order of docs/architecture.md, "Features".
struct Tokens {
  std::vector<uint64_t> words;    ///< all word hashes, punctuation included
  std::vector<uint64_t> features; ///< with repetitions
  uint32_t chars = 0;             ///< features[0, chars): character n-grams
  uint32_t unigrams = 0;          ///< features[chars, chars + unigrams)
};

/// Runs the tokeniser kernel. Not thread-safe (it owns the kernel's working memory).
class Extractor {
public:
  /// `textSection`: the bytes of a valid TEXT section; copied.
  Extractor(const FeatureShape &shape, std::span<const uint8_t> textSection);
  void extract(std::string_view text, Tokens &out);

private:
  FeatureShape shape_;
  std::vector<uint64_t> text_; // 64-bit words, for the alignment
  std::vector<uint64_t> words_, features_;
};

/// Compressed sparse rows: one row a text, columns ascending.
struct SparseRows {
  std::vector<size_t> begin{0}; ///< [rows + 1]
  std::vector<uint32_t> column;
  std::vector<float> value;
  size_t rows() const { return begin.size() - 1; }
};

/// The features of a set of texts, numbered by falling document frequency (ties: by hash), so that
/// common rows lie together.
struct Vocabulary {
  std::vector<uint64_t> hashes;        ///< [features]
  std::vector<uint32_t> documentCount; ///< [features] texts that have it
  std::vector<uint8_t> isChars;        ///< [features] 1: character n-gram
  std::vector<uint8_t> isUnigram;      ///< [features] 1: word
  std::unordered_map<uint64_t, uint32_t> index;
  size_t texts = 0;
};

/// The features with a document frequency of at least `minTexts` among `texts`, at most `limit`.
Vocabulary buildVocabulary(std::span<const Tokens> texts, uint32_t minTexts, size_t limit);

/// Occurrence counts of one text's known features.
struct Counts {
  std::vector<std::pair<uint32_t, uint32_t>> known; ///< (feature, occurrences), ascending
  uint32_t unknownUnigrams = 0;
};
Counts countFeatures(const Tokens &tokens, const Vocabulary &vocabulary);

} // namespace semdns::train
