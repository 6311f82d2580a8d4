/// \file From documents to the tables of the codec mode `turbo` (format/phrases.h).
///
/// Pairs of neighbours are joined, many at a time (after Re-Pair, Larsson and Moffat 1999), into
/// candidates; those that shorten the cheapest parse the most for their size stay (the pruning of
/// Kudo's unigram tokeniser, 2018); the rest is frequencies, in classes found by exchange (Kneser
/// and Ney 1993). The result is a function of the documents and their order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::codec {

struct PhraseOptions {
  uint64_t maxBytes = uint64_t(2) << 20; ///< of the section
  uint32_t minDocuments = 3;             ///< owners whose documents use a phrase
  /// Told what is being done, in parts of 1000.
  std::function<void(uint32_t)> progress = {};
};

/// The section's bytes; empty if the documents are too few for any phrase, with the reason in
/// `why`. Not thread-safe in `options.progress` only. Memory: about 40 bytes a byte of text.
/// `owners` has a number for each document; documents of the same owner follow each other.
std::vector<uint8_t> buildPhrases(std::span<const std::string_view> documents,
                                  std::span<const uint32_t> owners, const PhraseOptions &options,
                                  std::string &why);

} // namespace semdns::codec
