/// \file Trains the frozen models of the codecs `fast` and `max` (sections TOKM and BYTM,
/// format/model.h) from a domain's documents.
#pragma once

#include "semdns/format/model.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace semdns::codec {

struct ModelOptions {
  uint32_t kind = SEMDNS_MODEL_TOKENS; ///< semdns_model_kind
  /// Largest section, bytes. At least 4 MB; a small corpus takes less.
  uint64_t maxBytes = 64u << 20;
  /// What fewer documents have is not stored: neither a token nor a context's statistics. 2 or more
  /// also is what compresses best: a context that only one document knows seldom comes again.
  uint32_t minDocuments = 2;
  /// Bytes only: keeps the documents' text itself, for matches of any length. Off where the library
  /// must not hold what a single document says. (For tokens it was worth 0.4 % and is never kept.)
  bool keepText = true;
  /// The first documents are the parent zones': they add to the statistics, while the weights are
  /// fitted on the others.
  size_t parentDocuments = 0;
  uint32_t maxTokens = 16384; ///< 512..SEMDNS_MODEL_MAX_TOKENS
  unsigned threads = 1;       ///< 0: all cores. The bytes do not depend on it.
};

/// The section's bytes, or nothing when there is too little text to fit a model to (less than
/// 64 KB in two or more documents of the zone itself). Deterministic; order of the documents
/// matters.
std::vector<uint8_t> buildModel(std::span<const std::string_view> documents,
                                const ModelOptions &options);

} // namespace semdns::codec
