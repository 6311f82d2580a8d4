/// \file Mining: documents in, a pattern library out.
///
/// The result is a function of the set of documents: their order, their split into files and the
/// host change nothing. How: document numbers and word numbers are names only, every ranking ends
/// with the texts, logarithms are integer, the dictionary's samples are chosen by digest.
#pragma once

#include "lib/patterns/patterns.h"
#include "lib/support/diagnostics.h"
#include "semdns/codec.h"

#include <optional>
#include <string>
#include <vector>

namespace semdns::mine {

struct Options {
  std::string domain = {};              ///< becomes META "name"
  std::vector<std::string> inputs = {}; ///< paths as forEachDocument takes them
  /// What to tell the domain from; files of `inputs` do not count.
  std::vector<std::string> backgrounds = {};
  uint32_t maxPatterns = 8192;      ///< of each kind
  uint32_t minSupport = 5;          ///< occurrences; at least 1
  uint64_t dictionarySize = 112640; ///< bytes at most; less for little text; 0: no dictionary
  /// Codecs to make tables for: a mask of 1 << semdns_codec_mode.
  uint32_t codecs = 1u << SEMDNS_CODEC_ZSTD;
  uint64_t serial = 1;
};

/// What a kind's patterns amount to.
struct KindSummary {
  uint64_t patterns = 0;
  uint64_t coveredWords = 0;         ///< words of the corpus within an occurrence of one of them
  std::vector<std::string> examples; ///< the best, best first, at most 8
};

struct Summary {
  KindSummary ngrams, keywords, phrases;
  uint64_t backgroundBytes = 0;
  std::string noDictionary; ///< why there is none, if there is none
};

/// Mines. On error returns nullopt with the reasons in `diags`. Shows progress on a terminal.
/// Memory: about 30 bytes a word of the corpus beside the vocabulary.
std::optional<patterns::PatternLibrary> mine(const Options &options, Diagnostics &diags,
                                             Summary &summary);

} // namespace semdns::mine
