/// \file Stage 1: telling words and phrases, and when they may answer.
#pragma once

#include "lib/pack/model.h"
#include "lib/train/train.h"

#include <cstdint>
#include <span>
#include <vector>

namespace semdns::train {

/// A text as stage 1 sees it.
struct KeywordText {
  std::span<const uint64_t> words; ///< all word hashes
  uint32_t zone = 0;
};

/// Word sequences without punctuation that point to one zone in the texts: at least three texts of
/// the zone have them and hardly any of other zones. The weight grows with the log-odds. The root
/// gets no terms; its texts count as evidence against others' terms. `source(i)` is the bytes of
/// text i, for the terms' spelling. At most `limit` terms, those of most texts.
std::vector<pack::Term> mineTerms(std::span<const KeywordText> texts,
                                  std::span<const Example *const> sources,
                                  std::span<const uint8_t> textSection, size_t limit);

/// The terms of the data's own keywords. Keywords without a word, or with more words than a term
/// may have, are left out with a warning.
std::vector<pack::Term> termsOf(std::span<const Keyword> keywords,
                                std::span<const uint8_t> textSection, Diagnostics &diags);

/// What stage 1 says to a text, by docs/architecture.md.
struct Verdict {
  uint32_t zone = 0;
  uint64_t votes = 0;  ///< V
  uint64_t allied = 0; ///< A
  uint64_t total = 0;  ///< T
  bool accepted(uint64_t acceptVotes, uint64_t acceptPurity) const {
    return total > 0 && votes >= acceptVotes && allied * 65536 >= total * acceptPurity;
  }
};

/// Matches texts against a list of terms. Thread-safe once built.
class TermMatcher {
public:
  TermMatcher(std::span<const pack::Term> terms, std::span<const Zone> zones);
  Verdict match(std::span<const uint64_t> words) const;

private:
  std::span<const pack::Term> terms_;
  std::span<const Zone> zones_;
  std::vector<std::pair<uint64_t, uint32_t>> index_; ///< (hash of the words, term), sorted
  std::vector<uint32_t> lengths_;                    ///< word counts that occur
};

/// A held-out text: what stage 1 said, what is true, whether stage 2 alone would be right.
struct Trial {
  Verdict verdict;
  uint32_t zone = 0;
  bool embeddingRight = false;
};

/// Sets acceptVotes, acceptPurity and confidence so that stage 1 answers as many of the trials as
/// it can while it errs on them no more often than stage 2 does, and its precision is at least 0.98
/// by Wilson's lower bound (z = 1.96); SEMDNS_NEVER when nothing qualifies. Returns (answered,
/// wrong).
std::pair<uint32_t, uint32_t> chooseAcceptance(std::span<const Trial> trials,
                                               pack::KeywordModel &model);

/// Weight of a keyword that the spec's author wrote: as much as the strongest mined term.
inline constexpr uint32_t kWrittenWeight = 1000;

} // namespace semdns::train
