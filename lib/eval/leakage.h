/// \file Evaluation rows that training has seen, or nearly: figures on them flatter.
///
/// A row leaks when its normalised text (NFKC case folding; everything but letters, marks and
/// digits is one space) is a training row's, or when the sets of their character 6-grams have a
/// Jaccard similarity of at least kNearDuplicate. Candidates come from MinHash bands (Broder 1997;
/// 32 bands of 4: a pair at 0.7 is missed once in 6,000, at 0.8 once in 10^7), each is then
/// verified exactly.
#pragma once

#include "lib/eval/evaluate.h"

#include <string>
#include <string_view>
#include <vector>

namespace semdns::eval {

constexpr double kNearDuplicate = 0.7;

struct Leak {
  uint32_t row = 0;      ///< of the evaluated rows
  uint32_t training = 0; ///< the nearest training row (the first of equals)
  double similarity = 0; ///< 1 for equal normalised texts
  bool exact = false;
  bool sameLabel = false; ///< the two rows' labels are equal, byte for byte
};

struct Leakage {
  uint64_t rows = 0, trainingRows = 0;
  uint64_t exact = 0, near = 0, otherLabel = 0;
  std::vector<Leak> leaks; ///< by row
};

/// What counts as the same text.
std::string normalisedText(std::string_view text);
/// Jaccard similarity of the character 6-grams of two normalised texts (shorter ones: the text
/// itself is the one gram).
double similarity(std::string_view a, std::string_view b);

Leakage findLeaks(const Rows &rows, const Rows &training);

/// Groups of texts that resemble each other: each text joins the first earlier leader with at least
/// `least` of similarity of words and character 4-grams, else leads a group. Returns each text's
/// leader.
std::vector<uint32_t> groupTexts(const std::vector<std::string_view> &texts, double least);

} // namespace semdns::eval
