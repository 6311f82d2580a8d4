#include "lib/mine/mine.h"

#include "lib/mine/corpus.h"
#include "lib/mine/dictionary.h"
#include "lib/mine/fixed_point.h"
#include "lib/mine/words.h"
#include "lib/support/progress.h"
#include "runtime/base/sha256.h"
#include "semdns/semdns.h"

#include <unicode/uversion.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

namespace semdns::mine {
namespace {

constexpr uint32_t kMinDocuments = 3; ///< below that a pattern may be one author's quirk
constexpr uint32_t kKeywordWords = 3;
constexpr uint32_t kPhraseWords = 6;
constexpr int64_t kMinCohesion = int64_t(4) << 24; ///< bits, Q24
constexpr int32_t kMinLogOdds = 1 << 16;           ///< bits, Q16
constexpr int32_t kMinResidual = 1 << 15;          ///< bits, Q16
constexpr uint64_t kPriorShare = 64; ///< the prior weighs this part of the smaller corpus

/// Counts of n-grams of one length. Length 1: the index is the word's number. Longer ones are known
/// by (index of the first n-1 words, last word).
struct Level {
  struct Gram {
    uint64_t key = 0;
    uint32_t count = 0;
    uint32_t documents = 0;
    uint32_t background = 0;
    uint32_t last = 0; ///< document that it was seen in last, + 1
  };
  std::vector<Gram> grams{1}; ///< [0] is nobody
  std::vector<uint32_t> slots = std::vector<uint32_t>(1 << 12);

  static uint64_t keyOf(uint32_t prefix, uint32_t word) { return uint64_t(prefix) << 32 | word; }
  static size_t hashOf(uint64_t key) {
    key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
    return size_t(key ^ key >> 29);
  }
  uint32_t find(uint64_t key) const {
    const size_t mask = slots.size() - 1;
    for (size_t s = hashOf(key) & mask; slots[s]; s = (s + 1) & mask)
      if (grams[slots[s]].key == key)
        return slots[s];
    return 0;
  }
  uint32_t insert(uint64_t key) {
    const size_t mask = slots.size() - 1;
    size_t s = hashOf(key) & mask;
    for (; slots[s]; s = (s + 1) & mask)
      if (grams[slots[s]].key == key)
        return slots[s];
    const auto index = uint32_t(grams.size());
    slots[s] = index;
    grams.push_back({.key = key});
    if (grams.size() * 2 > slots.size())
      rehash(slots.size() * 2);
    return index;
  }
  /// Drops what is rarer than `support`; indices change.
  void prune(uint32_t support) {
    std::erase_if(grams, [&](const Gram &g) { return g.key && g.count < support; });
    size_t size = 1 << 12;
    while (size < grams.size() * 2)
      size *= 2;
    rehash(size);
  }
  void rehash(size_t size) {
    slots.assign(size, 0);
    for (uint32_t i = 1; i < grams.size(); ++i) {
      size_t s = hashOf(grams[i].key) & (size - 1);
      while (slots[s])
        s = (s + 1) & (size - 1);
      slots[s] = i;
    }
  }
};

void see(Level::Gram &gram, uint32_t document) {
  if (gram.count != UINT32_MAX)
    ++gram.count;
  if (gram.last != document) {
    gram.last = document;
    ++gram.documents;
  }
}

/// A pattern that may be kept.
struct Candidate {
  uint32_t level = 0; ///< words
  uint32_t index = 0; ///< in that level
  int32_t score = 0;  ///< Q16
  int64_t rank = 0;   ///< larger is better
  std::string text;
};

class Miner {
public:
  Miner(const Options &options, Diagnostics &diags, Summary &summary)
      : options_(options), diags_(diags), summary_(summary),
        sampler_(wants(SEMDNS_CODEC_ZSTD) ? options.dictionarySize : 0) {}

  std::optional<patterns::PatternLibrary> run() {
    if (!readInputs() || !readBackgrounds())
      return std::nullopt;
    library_.contrast =
        library_.backgroundDocuments ? SEMDNS_CONTRAST_LOG_ODDS : SEMDNS_CONTRAST_RESIDUAL_IDF;
    const auto ngrams = bestOf(ngramCandidates());
    const auto keywords = bestOf(keywordCandidates());
    const auto phrases = bestOf(phraseCandidates());
    keep(ngrams, SEMDNS_PATTERN_NGRAM, summary_.ngrams);
    keep(keywords, SEMDNS_PATTERN_KEYWORD, summary_.keywords);
    keep(phrases, SEMDNS_PATTERN_PHRASE, summary_.phrases);
    cover(ngrams, summary_.ngrams);
    cover(keywords, summary_.keywords);
    cover(phrases, summary_.phrases);
    std::sort(library_.patterns.begin(), library_.patterns.end(),
              [](const patterns::Pattern &a, const patterns::Pattern &b) {
                return a.kind != b.kind ? a.kind < b.kind : a.text < b.text;
              });
    if (std::string dictionary = sampler_.train(summary_.noDictionary); !dictionary.empty())
      library_.codecs[SEMDNS_TAG_DICT] = std::move(dictionary);
    describe();
    return std::move(library_);
  }

private:
  bool wants(semdns_codec_mode mode) const { return options_.codecs >> mode & 1; }
  Level &level(uint32_t words) { return levels_[words - 1]; }
  const Level &level(uint32_t words) const { return levels_[words - 1]; }
  const Level::Gram &gram(const Candidate &c) const { return level(c.level).grams[c.index]; }

  /// Level 1 is indexed by word number, without a table; rare words are left out.
  uint32_t frequentWord(uint32_t word) const {
    return word < level(1).grams.size() && level(1).grams[word].count >= options_.minSupport ? word
                                                                                             : 0;
  }
  /// The n-gram that continues n-gram `prefix` of n-1 words with `word`, or 0.
  uint32_t extend(uint32_t words, uint32_t prefix, uint32_t word) const {
    return words == 1 ? frequentWord(word) : level(words).find(Level::keyOf(prefix, word));
  }

  bool readInputs() {
    const size_t errorsBefore = diags_.errorCount();
    files_ = listCorpusFiles(options_.inputs, diags_);
    if (diags_.errorCount() != errorsBefore)
      return false;
    uint64_t total = 0;
    for (const auto &file : files_)
      total += file.size;
    Progress progress("reading", total, "B");
    uint64_t digestSum[4] = {};
    std::vector<uint32_t> words;
    auto &unigrams = level(1).grams;
    const bool good = forEachDocument(
        files_, diags_,
        [&](const Document &document) {
          uint8_t digest[32];
          base::sha256(document.text.data(), document.text.size(), digest);
          sampler_.add(document.text, digest);
          for (int lane = 0; lane < 4; ++lane) {
            uint64_t part;
            std::memcpy(&part, digest + 8 * lane, 8);
            digestSum[lane] += part;
          }
          library_.wordCount += splitter_.split(document.text, vocabulary_, words);
          library_.byteCount += document.text.size();
          const auto number = uint32_t(++library_.documentCount);
          unigrams.resize(vocabulary_.size());
          for (const uint32_t word : words)
            if (word != WordSplitter::kGap)
              see(unigrams[word], number);
          stream_.insert(stream_.end(), words.begin(), words.end());
          stream_.push_back(WordSplitter::kGap);
          documentEnd_.push_back(stream_.size());
          if (library_.documentCount == UINT32_MAX || stream_.size() >= UINT32_MAX) {
            diags_.error({std::string(document.file), document.line, 0},
                         "the corpus has more than 2^32 words", "mine a sample of it");
            return false;
          }
          return true;
        },
        [&](uint64_t done) { progress.update(done); });
    if (!good || diags_.errorCount() != errorsBefore)
      return false;
    corpusDigest_.assign(reinterpret_cast<const char *>(digestSum), sizeof digestSum);
    library_.distinctWords = vocabulary_.size() - 1;
    for (const auto &g : unigrams)
      mass_ += g.documents;
    progress.finish();
    count();
    return true;
  }

  /// Counts n-grams of 2..kPhraseWords words. An n-gram can be frequent only if both (n-1)-grams in
  /// it are: so each length builds on the one before, and rare text never enters a table.
  void count() {
    std::vector<uint32_t> at(stream_.size()); // index of the (n-1)-gram that starts here
    for (size_t i = 0; i < stream_.size(); ++i)
      at[i] = frequentWord(stream_[i]);
    Progress progress("counting", uint64_t(stream_.size()) * (kPhraseWords - 1), "words");
    for (uint32_t n = 2; n <= kPhraseWords; ++n) {
      Level &here = level(n);
      uint32_t document = 1;
      for (size_t i = 0; i + n <= stream_.size(); ++i) {
        while (i >= documentEnd_[document - 1])
          ++document;
        // at[i + 1] covers words i+1 .. i+n-1 without a gap, so a document's end lies beyond.
        if (at[i] && at[i + 1] && stream_[i + n - 1])
          see(here.grams[here.insert(Level::keyOf(at[i], stream_[i + n - 1]))], document);
        if ((i & 0xffff) == 0)
          progress.update(uint64_t(stream_.size()) * (n - 2) + i);
      }
      here.prune(options_.minSupport);
      for (size_t i = 0; i < stream_.size(); ++i) {
        const bool possible = at[i] && i + n <= stream_.size() && at[i + 1] && stream_[i + n - 1];
        at[i] = possible ? here.find(Level::keyOf(at[i], stream_[i + n - 1])) : 0;
      }
    }
  }

  bool readBackgrounds() {
    if (options_.backgrounds.empty())
      return true;
    const size_t errorsBefore = diags_.errorCount();
    std::set<std::string> own;
    std::error_code ec;
    for (const auto &file : files_)
      own.insert(std::filesystem::canonical(file.path, ec).string());
    auto files = listCorpusFiles(options_.backgrounds, diags_);
    if (diags_.errorCount() != errorsBefore)
      return false;
    std::erase_if(files, [&](const CorpusFile &file) {
      return file.path != "-" && own.contains(std::filesystem::canonical(file.path, ec).string());
    });
    if (files.empty()) {
      diags_.error({options_.backgrounds.front(), 0, 0},
                   "the background has no file that is not an input too",
                   "give text of other domains with --background");
      return false;
    }
    uint64_t total = 0;
    for (const auto &file : files)
      total += file.size;
    Progress progress("background", total, "B");
    std::vector<uint32_t> words, lastSeen;
    uint32_t number = 0;
    const bool good = forEachDocument(
        files, diags_,
        [&](const Document &document) {
          ++number;
          summary_.backgroundBytes += document.text.size();
          splitter_.split(document.text, vocabulary_, words);
          lastSeen.resize(vocabulary_.size());
          for (size_t i = 0; i < words.size(); ++i) {
            if (words[i] == WordSplitter::kGap)
              continue;
            if (lastSeen[words[i]] != number) {
              lastSeen[words[i]] = number;
              ++backgroundMass_;
            }
            uint32_t index = 0;
            for (uint32_t n = 1; n <= kKeywordWords && i + n <= words.size(); ++n) {
              const uint32_t word = words[i + n - 1];
              index = word ? extend(n, index, word) : 0;
              if (!index)
                break;
              Level::Gram &g = level(n).grams[index];
              // The document numbers of the corpus are no longer needed.
              if (g.background == 0 || g.last != number) {
                g.last = number;
                ++g.background;
              }
            }
          }
          return number != UINT32_MAX;
        },
        [&](uint64_t done) { progress.update(done); });
    library_.backgroundDocuments = number;
    return good && diags_.errorCount() == errorsBefore;
  }

  std::vector<uint32_t> wordsOf(uint32_t words, uint32_t index) const {
    std::vector<uint32_t> result(words);
    for (uint32_t n = words; n > 1; --n) {
      const uint64_t key = level(n).grams[index].key;
      result[n - 1] = uint32_t(key);
      index = uint32_t(key >> 32);
    }
    result[0] = index;
    return result;
  }

  std::string textOf(const std::vector<uint32_t> &words) const {
    std::string text;
    for (const uint32_t word : words) {
      if (!text.empty())
        text += ' ';
      text += vocabulary_.spelling(word);
    }
    return text;
  }

  /// Worth being a keyword or the edge of one: a letter in it, and not a letter alone.
  bool speaks(uint32_t word) const {
    const std::string_view s = vocabulary_.spelling(word);
    if (s.size() < 2)
      return false;
    return std::any_of(s.begin(), s.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
    });
  }

  /// Articles, prepositions and the like. A term such as "genus of the" says no more than "genus",
  /// and stage 1's automaton grows with terms that begin where others end.
  bool isCommon(uint32_t word) const {
    const Level::Gram &g = level(1).grams[word];
    return library_.backgroundDocuments ? uint64_t(g.background) * 50 > library_.backgroundDocuments
                                        : uint64_t(g.documents) * 20 > library_.documentCount;
  }

  template <typename Visit> void forEachGram(uint32_t from, uint32_t to, Visit visit) const {
    for (uint32_t n = from; n <= to; ++n)
      for (uint32_t i = 1; i < level(n).grams.size(); ++i)
        if (level(n).grams[i].count >= options_.minSupport)
          visit(n, i, level(n).grams[i]);
  }

  std::vector<Candidate> ngramCandidates() const {
    std::vector<Candidate> found;
    forEachGram(1, 3, [&](uint32_t n, uint32_t i, const Level::Gram &g) {
      std::string text = textOf(wordsOf(n, i));
      const uint64_t covered = uint64_t(g.count) * text.size();
      found.push_back({n, i, q16(log2Q24(covered)), int64_t(covered), std::move(text)});
    });
    return found;
  }

  /// See SEMDNS_CONTRAST_LOG_ODDS. Q16 bits.
  int32_t logOdds(const Level::Gram &g) const {
    // Everything in Q16: the prior spreads its weight over words as both corpora together do, and
    // half a document more, so that no count is nought.
    const uint64_t weight = std::min(mass_, backgroundMass_) / kPriorShare + 1;
    const uint64_t all = mass_ + backgroundMass_;
    const auto prior = uint64_t(
        (static_cast<unsigned __int128>(weight) * (uint64_t(g.documents) + g.background) << 16) /
        all);
    const uint64_t here = (uint64_t(g.documents) << 16) + prior + (1 << 15);
    const uint64_t there = (uint64_t(g.background) << 16) + prior + (1 << 15);
    const uint64_t restHere = ((mass_ + weight) << 16) - here + (1 << 16);
    const uint64_t restThere = ((backgroundMass_ + weight) << 16) - there + (1 << 16);
    const int64_t odds = log2Q24(here) - log2Q24(restHere) - log2Q24(there) + log2Q24(restThere);
    // IEEE division and square root are exact to the last bit everywhere; log2(e) * 1.645 = 2.3732.
    const double error = 2.3732 * std::sqrt(65536.0 / double(here) + 65536.0 / double(there));
    return q16(odds) - int32_t(error * 65536.0);
  }

  /// See SEMDNS_CONTRAST_RESIDUAL_IDF. Q16 bits.
  int32_t residualIdf(const Level::Gram &g) const {
    // The share of documents that chance would give a word of this count is 1 - exp(-rate). With
    // q(x) = 1 - exp(-x): a short series for small x, then q(2x) = q(x) (2 - q(x)).
    double x = double(g.count) / double(library_.documentCount);
    int doublings = 0;
    for (; x > 0.125; x *= 0.5)
      ++doublings;
    double q = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))));
    for (; doublings > 0; --doublings)
      q = q * (2 - q);
    const auto expected = std::max<uint64_t>(1, uint64_t(q * 281474976710656.0)); // Q48
    const int64_t observed = log2Q24(library_.documentCount) - log2Q24(g.documents);
    return q16(observed + log2Q24(expected) - (int64_t(48) << 24));
  }

  std::vector<Candidate> keywordCandidates() const {
    const bool contrast = library_.backgroundDocuments != 0;
    std::vector<std::vector<int32_t>> scores(kKeywordWords + 1);
    for (uint32_t n = 1; n <= kKeywordWords; ++n)
      scores[n].assign(level(n).grams.size(), INT32_MIN);
    std::vector<Candidate> found;
    forEachGram(1, kKeywordWords, [&](uint32_t n, uint32_t i, const Level::Gram &g) {
      const int32_t score = contrast ? logOdds(g) : residualIdf(g);
      scores[n][i] = score;
      if (g.documents < kMinDocuments || score < (contrast ? kMinLogOdds : kMinResidual))
        return;
      const auto words = wordsOf(n, i);
      if (!speaks(words.front()) || !speaks(words.back()) || isCommon(words.front()) ||
          isCommon(words.back()))
        return;
      // A run says something of its own only if it says more than each part does.
      if (n > 1) {
        const auto prefix = uint32_t(g.key >> 32);
        if (scores[n - 1][prefix] >= score || scores[n - 1][suffixOf(words)] >= score)
          return;
      }
      found.push_back({n, i, score, score, textOf(words)});
    });
    return found;
  }

  /// Index of the n-gram without its first word, in its level; frequent, because the whole is.
  uint32_t suffixOf(const std::vector<uint32_t> &words) const {
    uint32_t index = 0;
    for (uint32_t n = 1; n < words.size(); ++n)
      index = extend(n, index, words[n]);
    return index;
  }

  std::vector<Candidate> phraseCandidates() const {
    // The largest count of a longer run around each run.
    std::vector<std::vector<uint32_t>> around(kPhraseWords + 1);
    for (uint32_t n = 1; n <= kPhraseWords; ++n)
      around[n].assign(level(n).grams.size(), 0);
    std::vector<Candidate> found;
    const int64_t total = log2Q24(std::max<uint64_t>(1, library_.wordCount));
    forEachGram(2, kPhraseWords, [&](uint32_t n, uint32_t i, const Level::Gram &g) {
      const auto words = wordsOf(n, i);
      const auto prefix = uint32_t(g.key >> 32);
      const uint32_t suffix = suffixOf(words);
      around[n - 1][prefix] = std::max(around[n - 1][prefix], g.count);
      around[n - 1][suffix] = std::max(around[n - 1][suffix], g.count);
      if (g.documents < kMinDocuments || !speaks(words.front()) || !speaks(words.back()))
        return;
      const auto countOf = [&](uint32_t level_, uint32_t index) {
        return log2Q24(level(level_).grams[index].count);
      };
      const int64_t joint = log2Q24(g.count) + total;
      const int64_t cohesion = std::min(joint - countOf(n - 1, prefix) - countOf(1, words.back()),
                                        joint - countOf(1, words.front()) - countOf(n - 1, suffix));
      if (cohesion < kMinCohesion)
        return;
      found.push_back({n, i, q16(cohesion), int64_t(g.count) * ((cohesion - kMinCohesion) >> 8),
                       textOf(words)});
    });
    // A run that nearly always stands in a longer one is a part of that one.
    std::erase_if(found, [&](const Candidate &c) {
      return uint64_t(around[c.level][c.index]) * 5 >= uint64_t(gram(c).count) * 4;
    });
    return found;
  }

  std::vector<Candidate> bestOf(std::vector<Candidate> candidates) const {
    std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) {
      return a.rank != b.rank ? a.rank > b.rank : a.text < b.text;
    });
    if (candidates.size() > options_.maxPatterns)
      candidates.resize(options_.maxPatterns);
    return candidates;
  }

  void keep(const std::vector<Candidate> &candidates, semdns_pattern_kind kind,
            KindSummary &summary) {
    summary.patterns = candidates.size();
    for (const Candidate &c : candidates) {
      const Level::Gram &g = gram(c);
      library_.patterns.push_back(
          {kind, c.level, g.count, g.documents, g.background, c.score, c.text});
      if (summary.examples.size() < 8)
        summary.examples.push_back(c.text);
    }
  }

  void cover(const std::vector<Candidate> &candidates, KindSummary &summary) const {
    std::vector<std::vector<bool>> chosen(kPhraseWords + 1);
    for (uint32_t n = 1; n <= kPhraseWords; ++n)
      chosen[n].assign(level(n).grams.size(), false);
    uint32_t longest = 0;
    for (const Candidate &c : candidates) {
      chosen[c.level][c.index] = true;
      longest = std::max(longest, c.level);
    }
    size_t until = 0;
    for (size_t i = 0; i < stream_.size(); ++i) {
      uint32_t index = 0;
      for (uint32_t n = 1; n <= longest && i + n <= stream_.size(); ++n) {
        const uint32_t word = stream_[i + n - 1];
        index = word ? extend(n, index, word) : 0;
        if (!index)
          break;
        if (chosen[n][index])
          until = std::max(until, i + n);
      }
      summary.coveredWords += i < until;
    }
  }

  void describe() {
    auto &meta = library_.meta;
    library_.serial = options_.serial;
    meta["name"] = options_.domain;
    meta["tool.version"] = std::to_string(SEMDNS_VERSION_MAJOR) + "." +
                           std::to_string(SEMDNS_VERSION_MINOR) + "." +
                           std::to_string(SEMDNS_VERSION_PATCH);
    meta["tool.icu"] = U_ICU_VERSION;
    meta["tool.zstd"] = ZSTD_versionString();
    meta["mine.min_support"] = std::to_string(options_.minSupport);
    meta["mine.max_patterns"] = std::to_string(options_.maxPatterns);
    meta["mine.dict_size"] = std::to_string(options_.dictionarySize);
    // Of the sum of the documents' digests: the same for any order of them.
    uint8_t digest[32];
    base::sha256(corpusDigest_.data(), corpusDigest_.size(), digest);
    std::string hex;
    for (const uint8_t b : digest) {
      hex += "0123456789abcdef"[b >> 4];
      hex += "0123456789abcdef"[b & 15];
    }
    meta["input.corpus.documents.sha256"] = hex;
  }

  const Options &options_;
  Diagnostics &diags_;
  Summary &summary_;
  patterns::PatternLibrary library_;
  WordSplitter splitter_;
  Vocabulary vocabulary_;
  DictionarySampler sampler_;
  std::vector<CorpusFile> files_;
  std::vector<uint32_t> stream_; ///< word numbers, kGap at punctuation and behind each document
  std::vector<uint64_t> documentEnd_;
  Level levels_[kPhraseWords];
  uint64_t mass_ = 0;           ///< sum of the document frequencies of all words
  uint64_t backgroundMass_ = 0; ///< the same of the background
  std::string corpusDigest_;
};

} // namespace

std::optional<patterns::PatternLibrary> mine(const Options &options, Diagnostics &diags,
                                             Summary &summary) {
  return Miner(options, diags, summary).run();
}

} // namespace semdns::mine
