/// \file Evaluation rows that training has seen, or nearly (lib/text/similar.h): figures on them
/// flatter.
#pragma once

#include "lib/eval/evaluate.h"
#include "lib/text/similar.h"

#include <string_view>
#include <vector>

namespace semdns::eval {

struct Leak {
  uint32_t row = 0;       ///< of the evaluated rows
  text::Twin twin;        ///< among the training rows
  bool sameLabel = false; ///< the two rows' labels are equal, byte for byte
};

struct Leakage {
  uint64_t rows = 0, trainingRows = 0;
  uint64_t exact = 0, near = 0, otherLabel = 0;
  std::vector<Leak> leaks; ///< by row
};

Leakage findLeaks(const Rows &rows, const Rows &training, unsigned threads);

/// Groups of texts that resemble each other: each text joins the first earlier leader with at least
/// `least` of similarity of words and character 4-grams, else leads a group. Returns each text's
/// leader.
std::vector<uint32_t> groupTexts(const std::vector<std::string_view> &texts, double least);

} // namespace semdns::eval
