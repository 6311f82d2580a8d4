/// \file Calibration rows that are near copies of training rows: they look easier than new texts
/// are, so that a promise that rests on them promises too much.
#pragma once

#include "lib/support/diagnostics.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace semdns::calibrate {

struct Leakage {
  uint32_t same = 0; ///< rows with the words of a training row (case and punctuation aside)
  uint32_t near = 0; ///< other rows that resemble one (lib/text/similar.h)
  /// Some of them: (row, training row), indices into the two lists; at most 5, identical ones
  /// first.
  std::vector<std::pair<uint32_t, uint32_t>> examples;
};

/// Compares each of `rows` with all of `training`. Deterministic for any number of threads.
Leakage findLeakage(std::span<const std::string_view> rows,
                    std::span<const std::string_view> training, unsigned threads);

/// The warning about it, located at `source`; nothing when there is none.
void warnAboutLeakage(const Leakage &leakage, std::span<const std::string_view> rows,
                      std::span<const std::string_view> training, const Location &source,
                      Diagnostics &diags);

} // namespace semdns::calibrate
