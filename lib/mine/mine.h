/// \file Mining: documents in, a pattern library out.
///
/// The result is a function of the set of documents: their order, their split into files or shards,
/// the threads and the host change nothing. How: document numbers and word numbers are names only,
/// every ranking ends with the texts, logarithms are integer, what needs an order takes that of the
/// documents' digests.
#pragma once

#include "lib/mine/documents.h"
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
  uint32_t kAnonymity = 3; ///< owners whose documents must have what is stored; at least 1
  OwnerRule owners = OwnerRule::Row;
  bool keepDuplicates = false;            ///< else near duplicates count once
  std::vector<std::string> excluded = {}; ///< words, or runs of words, that are cut out of the text
  uint32_t shard = 0, shards = 0; ///< shards > 0: a partial library of one shard (shard < shards)
  /// Libraries instead of inputs: partial ones, or finished ones with statistics.
  std::vector<std::string> merge = {};
  std::string base = {};       ///< library that the inputs are added to
  std::string parent = {};     ///< library whose patterns need not be stored again
  bool statistics = true;      ///< keep counts, so that the library can be a base
  uint64_t maxSize = 0;        ///< bytes of the file; 0: no limit
  unsigned jobs = 0;           ///< threads; 0: one a core
  std::string workFolder = {}; ///< where a killed run can go on; empty: nowhere
  bool keepTexts = false;      ///< Summary.texts is wanted
};

/// What a kind's patterns amount to.
struct KindSummary {
  uint64_t patterns = 0;
  uint64_t bytes = 0;                ///< that they cost in the library
  uint64_t coveredWords = 0;         ///< words of the corpus within an occurrence of one of them
  std::vector<std::string> examples; ///< the best, best first, at most 8
  /// Bytes that zstd -9 makes of `heldOut` bytes of text that the kind was not chosen by, in
  /// contexts of 4 KB, alone and with the kind's texts as a prefix. 0: not measured.
  uint64_t heldOut = 0, plain = 0, with = 0;
  bool dropped = false; ///< it saves less than it costs, on as much text as the corpus has
  /// Of held-out documents with one of the patterns, the share that is the domain's, domain and
  /// background weighed alike; Q16, -1: not measured.
  int32_t precision = -1;
};

struct Summary {
  KindSummary ngrams, keywords, phrases, templates, clusters, documents, dictionary;
  uint64_t backgroundBytes = 0;
  std::string noDictionary;                         ///< why there is none, if there is none
  uint64_t exactDuplicates = 0, nearDuplicates = 0; ///< documents left out
  bool partial = false;                             ///< the library is a partial one, to be merged
  bool resumed = false;                             ///< went on from a checkpoint
  uint64_t inherited = 0;           ///< patterns that the parent has, and that are not stored again
  uint64_t corpusWords = 0;         ///< words that coverage is a share of; 0: no text was at hand
  std::vector<std::string> trimmed; ///< what --max-size left out
  /// With Options.keepTexts: the documents that counted, by digest, for who makes more of them, and
  /// the number of the owner of each (the same number: the same owner).
  std::vector<std::string> texts;
  std::vector<uint32_t> textOwners;
};

/// Mines. On error returns nullopt with the reasons in `diags`. Shows progress on a terminal.
/// Memory: what the tables of frequent n-grams need; text and words lie in temporary files.
std::optional<patterns::PatternLibrary> mine(const Options &options, Diagnostics &diags,
                                             Summary &summary);

} // namespace semdns::mine
