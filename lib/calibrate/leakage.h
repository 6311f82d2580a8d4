/// \file Calibration rows that are near copies of training rows: they look easier than new texts
/// are, so that a promise that rests on them promises too much.
#pragma once

#include "lib/support/diagnostics.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace semdns::calibrate {

struct Leakage {
  uint32_t same = 0; ///< rows with the words of a training row (case and punctuation aside)
  uint32_t near = 0; ///< other rows whose character 6-grams overlap one's by 0.7 (Jaccard) or more
  /// Some of them: (row, training row), indices into the two lists; at most 5, identical ones
  /// first.
  std::vector<std::pair<uint32_t, uint32_t>> examples;
};

/// Compares each of `rows` with all of `training`. Near copies are looked for by MinHash (64 values
/// in bands of 4: finds 0.7 with probability 0.99, 0.8 with 0.9998) and confirmed exactly.
/// Deterministic for any number of threads.
Leakage findLeakage(std::span<const std::string_view> rows,
                    std::span<const std::string_view> training, unsigned threads);

/// The warning about it, located at `source`; nothing when there is none.
void warnAboutLeakage(const Leakage &leakage, std::span<const std::string_view> rows,
                      std::span<const std::string_view> training, const Location &source,
                      Diagnostics &diags);

} // namespace semdns::calibrate
