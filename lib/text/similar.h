/// \file Texts that say nearly the same: equal but for case, punctuation and spaces, or of nearly
/// the same character 6-grams. Training data that resemble what is measured on flatter the
/// measurement.
///
/// Candidates come from MinHash bands (Broder 1997; 32 bands of 4: a pair at 0.7 is missed once in
/// 6,000, at 0.8 once in 10^7); each is then verified exactly. Pure, thread-safe, and the same on
/// every host for any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::text {

/// Jaccard similarity of the 6-gram sets from which on two texts count as nearly the same.
constexpr double kNearDuplicate = 0.7;

/// What counts as the same text: NFKC case folding; everything but letters, marks and digits is one
/// space. A text of nothing else is itself.
std::string comparable(std::string_view text);

/// Hashes of the grams of `n` code points (of a shorter text: of itself), sorted, each once.
std::vector<uint64_t> gramsOf(std::string_view text, size_t n);
uint64_t hashOf(std::string_view bytes);
/// Share of the elements of two sorted sets that both have, of all that either has.
double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b);
/// Jaccard similarity of the 6-grams of two comparable() texts.
double similarity(std::string_view a, std::string_view b);

struct Twin {
  uint32_t known = UINT32_MAX; ///< the nearest known text, the first of equals; UINT32_MAX: none
  double similarity = 0;       ///< 1 for equal comparable() texts
  bool exact = false;
};

/// For each of `rows` the known text that it resembles by kNearDuplicate or more. Shows progress on
/// a terminal.
std::vector<Twin> findTwins(std::span<const std::string_view> rows,
                            std::span<const std::string_view> known, unsigned threads);

/// Jaccard similarity of the sets of documents from which on one of the two is enough.
constexpr double kNearDocument = 0.5;

/// For `count` documents: which of them stand for which, as in a corpus where one of several near
/// duplicates is enough. Result[i] is i where the document is kept, else the kept one that it
/// resembles by kNearDocument or more. Kept is who comes first in `order` (a permutation: let it
/// depend on the documents alone). `setOf` gives a document's set, hashes sorted and each once,
/// word 8-grams for instance; it is called from several threads. The bands miss a pair at 0.5 once
/// in 8, at 0.6 once in 80, at 0.7 once in 6,000.
std::vector<uint32_t>
nearDuplicates(size_t count, std::span<const uint32_t> order,
               const std::function<void(size_t, std::vector<uint64_t> &)> &setOf, unsigned threads);

} // namespace semdns::text
