/// \file TOKV: features and their vectors.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/features.h"

namespace semdns::artifact {

/// View of a validated TOKV section; pointers into its bytes.
struct Features {
  const semdns_tokv_header *header = nullptr;
  const semdns_word_bucket *buckets = nullptr; ///< [bucket_count]
  const int8_t *rows = nullptr;                ///< [row_count][dim], -127..127
  const uint16_t *norms = nullptr;             ///< [row_count]

  /// Validates `span` by the rules of format/features.h.
  static bool parse(Span span, Features &out, base::Error &error, bool trustValues = false);
};

/// Index of the first -128 in [0, size), or `size`: the value that would break the accumulators'
/// bounds (docs/architecture.md, "Arithmetic").
uint64_t firstMinimum(const int8_t *values, uint64_t size);

} // namespace semdns::artifact
