#include "lib/mine/mine.h"

#include "lib/mine/clusters.h"
#include "lib/mine/dictionary.h"
#include "lib/mine/fixed_point.h"
#include "lib/mine/grams.h"
#include "lib/patterns/partial.h"
#include "lib/patterns/statistics.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "lib/text/similar.h"
#include "runtime/base/sha256.h"
#include "semdns/semdns.h"

#include <unicode/uversion.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <thread>

namespace semdns::mine {
namespace {

constexpr uint32_t kMinDocuments = 3; ///< below that a term says nothing about the domain
constexpr uint32_t kKeywordWords = 3;
constexpr uint32_t kPhraseWords = 6;
constexpr int64_t kMinCohesion = int64_t(4) << 24; ///< bits, Q24
constexpr int32_t kMinLogOdds = 1 << 16;           ///< bits, Q16
constexpr int32_t kMinResidual = 1 << 15;          ///< bits, Q16
constexpr uint64_t kPriorShare = 64; ///< the prior weighs this part of the smaller corpus
constexpr size_t kTelling = 4;       ///< bytes; shorter words are prepositions and the like
constexpr size_t kShingleWords = 8;  ///< of near duplicates
constexpr uint64_t kChunkDocuments = 256;
constexpr size_t kLeastHeldOut = size_t(64) << 10; ///< bytes of held-out text to measure on
constexpr size_t kMostHeldOut = size_t(1) << 20;
constexpr size_t kPrefixBytes = 112640; ///< of a kind's texts, to measure what they save

/// A pattern that may be kept.
struct Candidate {
  uint32_t level = 0; ///< words
  uint32_t index = 0; ///< in that level
  int32_t score = 0;  ///< Q16
  int64_t rank = 0;   ///< larger is better
  std::string text;
  std::vector<uint32_t> words = {}; ///< of a cluster
};

class Miner {
public:
  Miner(const Options &options, Diagnostics &diags, Summary &summary)
      : options_(options), diags_(diags), summary_(summary), threads_(threadsFor(options.jobs)) {}

  std::optional<patterns::PatternLibrary> run() {
    if (!readParent() || !readBase())
      return std::nullopt;
    struct Trainer {
      std::thread thread;
      ~Trainer() {
        if (thread.joinable())
          thread.join();
      }
    } trainer;
    bool finished = false; // --merge of libraries whose text is gone
    if (!options_.merge.empty() && !mergesFinished(finished))
      return std::nullopt;
    if (finished) {
      if (!mergeFinished())
        return std::nullopt;
      describe();
    } else {
      if (options_.merge.empty() ? !readCorpora() : !readPartials())
        return std::nullopt;
      describe();
      if (summary_.partial)
        return partial();
      if (!selectDocuments() || !cutExcluded())
        return std::nullopt;
      holdOut();
      // zstd trains on one thread: beside the rest, so that this does not wait for it. A base's
      // tables stay.
      if (!base_ || base_->library.codecs.empty()) {
        if (threads_ > 1 && excluded_.empty()) // else it looks words up, which addBase() adds to
          trainer.thread = std::thread([this] { dictionary(); });
        else
          dictionary();
      }
      if (!count() || !addBase() || !countBackground())
        return std::nullopt;
    }
    library_.contrast =
        library_.backgroundDocuments ? SEMDNS_CONTRAST_LOG_ODDS : SEMDNS_CONTRAST_RESIDUAL_IDF;
    std::vector<Candidate> found[3];
    parallelFor(3, threads_, [&](size_t kind) {
      found[kind] = kind == 0   ? phraseCandidates()
                    : kind == 1 ? ngramCandidates()
                                : keywordCandidates();
    });
    const auto ngrams = bestOf(std::move(found[1]), SEMDNS_PATTERN_NGRAM);
    const auto keywords = bestOf(std::move(found[2]), SEMDNS_PATTERN_KEYWORD);
    const auto phrases = bestOf(std::move(found[0]), SEMDNS_PATTERN_PHRASE);
    std::vector<Candidate> templates, documents;
    if (!places_.empty() && (!countTemplates(templates) || !countSkeletons(documents)))
      return std::nullopt;
    const auto clusters = bestOf(clusterCandidates(), SEMDNS_PATTERN_CLUSTER);
    keep(ngrams, SEMDNS_PATTERN_NGRAM, grams_, summary_.ngrams);
    keep(keywords, SEMDNS_PATTERN_KEYWORD, grams_, summary_.keywords);
    keep(phrases, SEMDNS_PATTERN_PHRASE, grams_, summary_.phrases);
    keep(templates, SEMDNS_PATTERN_TEMPLATE, slottedGrams_, summary_.templates);
    keep(documents, SEMDNS_PATTERN_DOCUMENT, lineGrams_, summary_.documents);
    keep(clusters, SEMDNS_PATTERN_CLUSTER, grams_, summary_.clusters);
    takeOver();
    if (!places_.empty()) {
      const Spool<uint32_t> &words = documents_->stream();
      cover(ngrams, grams_, words, places_, summary_.ngrams);
      cover(keywords, grams_, words, places_, summary_.keywords);
      cover(phrases, grams_, words, places_, summary_.phrases);
      cover(templates, slottedGrams_, documents_->slotted(), slottedPlaces_, summary_.templates);
      cover(documents, lineGrams_, lineStream_, linePlaces_, summary_.documents);
      // A cluster covers what its words do.
      std::vector<Candidate> words1;
      for (const Candidate &c : clusters)
        for (const uint32_t word : c.words)
          words1.push_back({.level = 1, .index = word, .text = {}, .words = {}});
      cover(words1, grams_, words, places_, summary_.clusters);
      measure(ngrams, grams_, words, places_, SEMDNS_PATTERN_NGRAM, summary_.ngrams);
      measure(keywords, grams_, words, places_, SEMDNS_PATTERN_KEYWORD, summary_.keywords);
      measure(phrases, grams_, words, places_, SEMDNS_PATTERN_PHRASE, summary_.phrases);
      measure(templates, slottedGrams_, documents_->slotted(), slottedPlaces_,
              SEMDNS_PATTERN_TEMPLATE, summary_.templates);
      measure(documents, lineGrams_, lineStream_, linePlaces_, SEMDNS_PATTERN_DOCUMENT,
              summary_.documents);
      precision(keywords, summary_.keywords);
      precision(phrases, summary_.phrases);
    }
    std::sort(library_.patterns.begin(), library_.patterns.end(),
              [](const patterns::Pattern &a, const patterns::Pattern &b) {
                return a.kind != b.kind ? a.kind < b.kind : a.text < b.text;
              });
    if (trainer.thread.joinable())
      trainer.thread.join();
    if (!trained_.empty())
      library_.codecs[SEMDNS_TAG_DICT] = std::move(trained_);
    tellKinds();
    handOutTexts();
    if (options_.statistics)
      library_.statistics = patterns::buildStatistics(statistics());
    if (!fit())
      return std::nullopt;
    return std::move(library_);
  }

private:
  bool wants(semdns_codec_mode mode) const { return options_.codecs >> mode & 1; }
  bool fail(std::string error, std::string help = {}) {
    diags_.error({}, std::move(error), std::move(help));
    return false;
  }

  bool open(Documents::Options options) {
    Documents::Options background = options;
    background.owners = OwnerRule::Row;
    background.wordsOnly = true;
    documents_.emplace(std::move(options), vocabulary_);
    background_.emplace(std::move(background), vocabulary_);
    return true;
  }

  static uint64_t sizeOf(const std::vector<CorpusFile> &files) {
    uint64_t total = 0;
    for (const auto &file : files)
      total += file.size;
    return total;
  }

  /// What a checkpoint was made from: files as they were, and options that matter to reading.
  std::string identity(const std::vector<CorpusFile> &files) const {
    std::string all = std::to_string(options_.shard) + "/" + std::to_string(options_.shards) + " " +
                      std::to_string(int(options_.owners)) + "\n";
    for (const std::string &term : options_.excluded)
      all += term + "\n"; // they are cut out of the working files
    for (const CorpusFile &file : files) {
      std::error_code ec;
      const auto time = std::filesystem::last_write_time(file.path, ec).time_since_epoch().count();
      all += file.path + " " + std::to_string(file.size) + " " + std::to_string(time) + "\n";
    }
    return all;
  }

  bool readCorpora() {
    const size_t errorsBefore = diags_.errorCount();
    summary_.partial = options_.shards != 0;
    domain_ = options_.domain;
    std::string error;
    if (!options_.workFolder.empty()) {
      std::error_code ec;
      std::filesystem::create_directories(options_.workFolder, ec);
      if (ec)
        return fail("cannot make the folder '" + options_.workFolder + "': " + ec.message());
    }
    open({options_.owners, options_.shard, std::max(1u, options_.shards), threads_, false,
          options_.workFolder});
    const auto files = listCorpusFiles(options_.inputs, diags_);
    if (diags_.errorCount() != errorsBefore)
      return false;
    if (!documents_->open("corpus", identity(files), error))
      return fail(error, "remove the folder, or give another with --work");
    summary_.resumed = documents_->resumed();
    if (!documents_->read(files, "reading", diags_))
      return false;
    if (options_.backgrounds.empty())
      return true;
    std::set<std::string> own;
    std::error_code ec;
    for (const auto &file : files)
      own.insert(std::filesystem::canonical(file.path, ec).string());
    auto others = listCorpusFiles(options_.backgrounds, diags_);
    if (diags_.errorCount() != errorsBefore)
      return false;
    std::erase_if(others, [&](const CorpusFile &file) {
      return file.path != "-" && own.contains(std::filesystem::canonical(file.path, ec).string());
    });
    if (others.empty()) {
      diags_.error({options_.backgrounds.front(), 0, 0},
                   "the background has no file that is not an input too",
                   "give text of other domains with --background");
      return false;
    }
    if (!background_->open("background", identity(others), error))
      return fail(error, "remove the folder, or give another with --work");
    return background_->read(others, "background", diags_);
  }

  /// --merge: the documents of partial libraries, and the options that these were made with.
  bool readPartials() {
    open({OwnerRule::Row, 0, 1, threads_, false, {}});
    std::string error;
    if (!documents_->open("", "", error) || !background_->open("", "", error))
      return fail(error);
    std::vector<bool> covered;
    std::map<std::string, std::string> first;
    uint64_t serial = 0;
    for (const std::string &path : options_.merge) {
      patterns::ReadError why;
      const auto library = patterns::readPlib(path, why);
      if (!library) {
        diags_.error({path, 0, 0}, why.message);
        return false;
      }
      if (library->partial.empty()) {
        diags_.error({path, 0, 0}, "is not a partial library",
                     "--merge takes what --shard=i/n has written");
        return false;
      }
      if (&path == &options_.merge.front()) {
        first = library->meta;
        serial = library->serial;
      } else if (first != library->meta || serial != library->serial) {
        diags_.error({path, 0, 0},
                     "was made with other options than '" + options_.merge.front() + "'",
                     "the shards of one library differ in --shard alone");
        return false;
      }
      patterns::PartialCover cover;
      const bool good = patterns::parsePartial(
          library->partial, cover,
          [&](bool isBackground, std::string_view owner, std::string_view text) {
            return (isBackground ? background_ : documents_)->add(text, owner, error);
          },
          why.message);
      if (!good || !error.empty()) {
        diags_.error({path, 0, 0}, good ? error : why.message);
        return false;
      }
      covered.resize(std::max<size_t>(covered.size(), cover.shards));
      for (const uint32_t shard : cover.covered) {
        if (covered[shard]) {
          diags_.error({path, 0, 0},
                       "shard " + std::to_string(shard) + " is in another of these libraries too");
          return false;
        }
        covered[shard] = true;
      }
    }
    if (!documents_->finish(error) || !background_->finish(error))
      return fail(error);
    summary_.partial = std::find(covered.begin(), covered.end(), false) != covered.end();
    for (uint32_t i = 0; i < covered.size(); ++i)
      if (covered[i])
        covered_.push_back(i);
    shards_ = uint32_t(covered.size());
    return takeOptions(first, serial);
  }

  /// The options in a partial library's META.
  bool takeOptions(const std::map<std::string, std::string> &meta, uint64_t serial) {
    const auto text = [&](const char *key) {
      const auto at = meta.find(key);
      return at == meta.end() ? std::string() : at->second;
    };
    const auto number = [&](const char *key, uint64_t least, uint64_t most) {
      return std::clamp<uint64_t>(std::strtoull(text(key).c_str(), nullptr, 10), least, most);
    };
    domain_ = text("name");
    options_.serial = serial;
    options_.maxPatterns = uint32_t(number("mine.max_patterns", 1, 1 << 22));
    options_.minSupport = uint32_t(number("mine.min_support", 1, 1 << 30));
    options_.kAnonymity = uint32_t(number("mine.k_anonymity", 1, 1 << 30));
    options_.dictionarySize = number("mine.dict_size", 0, 1 << 24);
    options_.maxSize = number("mine.max_size", 0, UINT64_MAX);
    options_.statistics = text("mine.statistics") != "left out";
    options_.codecs = uint32_t(number("mine.codecs", 0, UINT32_MAX));
    options_.keepDuplicates = text("mine.near_duplicates") == "kept";
    options_.excluded.clear();
    const std::string excluded = text("partial.exclude");
    for (size_t at = 0; at < excluded.size();) {
      const size_t end = std::min(excluded.find('\n', at), excluded.size());
      options_.excluded.push_back(excluded.substr(at, end - at));
      at = end + 1;
    }
    return true;
  }

  patterns::PatternLibrary partial() {
    if (options_.merge.empty()) {
      covered_ = {options_.shard};
      shards_ = options_.shards;
    }
    auto &meta = library_.meta;
    meta["partial"] = "yes";
    std::string excluded;
    for (const std::string &term : options_.excluded)
      excluded += (excluded.empty() ? "" : "\n") + term;
    if (!excluded.empty())
      meta["partial.exclude"] = excluded;
    patterns::PartialBuilder builder;
    const auto addAll = [&](const Documents &from, bool background) {
      for (const uint32_t d : byDigest(from))
        if (background || !sameAsBefore(from, d))
          builder.add(background, from.ownerName(from.entry(d).owner), from.text(d));
    };
    addAll(*documents_, false);
    addAll(*background_, true);
    library_.partial = builder.finish(shards_, covered_);
    library_.documentCount = 1; // an empty PATS; what there is, the merge will count
    return std::move(library_);
  }

  /// All documents in the order of their digests, and of their owners' names among equal ones.
  std::vector<uint32_t> byDigest(const Documents &from) const {
    std::vector<uint32_t> order(from.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const int c =
          std::memcmp(from.entry(a).digest, from.entry(b).digest, sizeof from.entry(a).digest);
      return c != 0 ? c < 0
                    : from.ownerName(from.entry(a).owner) < from.ownerName(from.entry(b).owner);
    });
    previous_.assign(from.size(), UINT32_MAX);
    for (size_t i = 1; i < order.size(); ++i)
      previous_[order[i]] = order[i - 1];
    return order;
  }
  /// After byDigest: has the document before this one the same text?
  bool sameAsBefore(const Documents &from, uint32_t d) const {
    return previous_[d] != UINT32_MAX &&
           std::memcmp(from.entry(d).digest, from.entry(previous_[d]).digest,
                       sizeof from.entry(d).digest) == 0;
  }

  /// Of `documents` those of which one stands for all that nearly say the same, in their order.
  std::vector<uint32_t> withoutNearDuplicates(const Documents &all,
                                              const std::vector<uint32_t> &documents) const {
    std::vector<uint64_t> hashes(vocabulary_.size());
    for (uint32_t word = 1; word < vocabulary_.size(); ++word)
      hashes[word] = text::hashOf(vocabulary_.spelling(word));
    // The longest stays, of equally long ones that with the smallest digest.
    std::vector<uint32_t> order(documents.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const DocumentEntry &x = all.entry(documents[a]), &y = all.entry(documents[b]);
      if (x.words != y.words)
        return x.words > y.words;
      const int digests = std::memcmp(x.digest, y.digest, sizeof x.digest);
      return digests ? digests < 0 : a < b;
    });
    const auto original = text::nearDuplicates(
        documents.size(), order,
        [&](size_t i, std::vector<uint64_t> &set) {
          shingles(all.tokens(documents[i]), hashes, set);
          if (set.empty()) { // without words nothing resembles it
            uint64_t own;
            std::memcpy(&own, all.entry(documents[i]).digest, sizeof own);
            set.push_back(own);
          }
        },
        threads_);
    std::vector<uint32_t> kept;
    for (uint32_t i = 0; i < documents.size(); ++i)
      if (original[i] == i)
        kept.push_back(documents[i]);
    return kept;
  }

  /// Drops duplicates: of equal and, unless they are to be kept, of nearly equal texts one counts.
  bool selectDocuments() {
    const Documents &all = *documents_;
    std::vector<uint32_t> distinct; // by digest
    for (const uint32_t d : byDigest(all))
      if (sameAsBefore(all, d))
        ++summary_.exactDuplicates;
      else
        distinct.push_back(d);
    kept_ = options_.keepDuplicates ? distinct : withoutNearDuplicates(all, distinct);
    summary_.nearDuplicates = distinct.size() - kept_.size();
    // Owners: those of a name are one, whoever has none is one of his own.
    std::map<std::string_view, uint32_t> named;
    for (const uint32_t d : kept_)
      if (all.entry(d).owner)
        named.emplace(all.ownerName(all.entry(d).owner), uint32_t(named.size()));
    uint64_t digestSum[4] = {};
    auto single = uint32_t(named.size());
    for (const uint32_t d : kept_) {
      const DocumentEntry &e = all.entry(d);
      const uint32_t owner = e.owner ? named.at(all.ownerName(e.owner)) : single++;
      places_.push_back({e.tokens, e.tokens + e.tokenCount, owner});
      owners_.push_back(owner);
      library_.wordCount += e.words;
      library_.byteCount += e.textSize;
      for (int lane = 0; lane < 2; ++lane) {
        uint64_t part;
        std::memcpy(&part, e.digest + 8 * lane, 8);
        digestSum[lane] += part;
      }
    }
    sortPlaces(places_);
    library_.documentCount = kept_.size();
    summary_.corpusWords = library_.wordCount;
    // Of the sum of the documents' digests: the same for any order of them.
    library_.meta["input.corpus.documents.sha256"] =
        sha256Hex({reinterpret_cast<const char *>(digestSum), sizeof digestSum});
    return true;
  }

  static void sortPlaces(std::vector<Place> &places) {
    std::sort(places.begin(), places.end(), [](const Place &a, const Place &b) {
      return a.owner != b.owner ? a.owner < b.owner : a.begin < b.begin;
    });
  }

  /// Hashes of the runs of kShingleWords words, of shorter texts of all; sorted, each once.
  static void shingles(std::span<const uint32_t> tokens, const std::vector<uint64_t> &hashes,
                       std::vector<uint64_t> &set) {
    set.clear();
    uint64_t window[kShingleWords];
    size_t words = 0;
    const auto put = [&](size_t from, size_t count) {
      uint64_t h = count;
      for (size_t i = 0; i < count; ++i)
        h = (h ^ window[(from + i) % kShingleWords]) * 0x9e3779b97f4a7c15u + (h >> 31);
      set.push_back(h ^ h >> 32);
    };
    for (const uint32_t token : tokens) {
      if (token == WordSplitter::kGap)
        continue;
      window[words++ % kShingleWords] = hashes[token];
      if (words >= kShingleWords)
        put(words, kShingleWords);
    }
    if (words && words < kShingleWords)
      put(0, words);
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
  }

  /// --exclude: the words become gaps before anything is counted.
  bool cutExcluded() {
    WordSplitter splitter;
    std::vector<std::vector<uint32_t>> runs;
    for (const std::string &term : options_.excluded) {
      std::vector<uint32_t> words;
      splitter.split(term, vocabulary_, words);
      std::erase(words, uint32_t(WordSplitter::kGap));
      if (words.empty())
        return fail("--exclude: '" + term + "' has no word");
      runs.push_back(std::move(words));
    }
    excluded_ = std::move(runs);
    if (!excluded_.empty())
      documents_->cut(excluded_);
    return true;
  }

  Grams::Limits limits() const {
    Grams::Limits limits;
    limits.maxTokens = kPhraseWords;
    limits.minCount = options_.minSupport;
    limits.minOwners = options_.kAnonymity;
    limits.threads = threads_;
    return limits;
  }

  bool count() {
    Progress progress("counting", documents_->stream().size() * kPhraseWords, "words");
    std::string error;
    if (!grams_.count(
            documents_->stream(), places_, vocabulary_.size(), limits(),
            [&](uint64_t done) { progress.update(done); }, error))
      return fail(error);
    for (uint32_t word = 1; word < grams_.size(1); ++word) {
      library_.distinctWords += grams_.gram(1, word).documents != 0;
      mass_ += grams_.gram(1, word).documents;
    }
    return true;
  }

  /// A finished library with its statistics.
  struct Finished {
    std::string path;
    patterns::PatternLibrary library;
    patterns::Statistics statistics;
  };

  bool readFinished(const std::string &path, bool needsStatistics, Finished &out) {
    patterns::ReadError why;
    auto library = patterns::readPlib(path, why);
    if (!library) {
      diags_.error({path, 0, 0}, why.message);
      return false;
    }
    out.path = path;
    out.library = std::move(*library);
    if (!out.library.partial.empty()) {
      diags_.error({path, 0, 0}, "is a partial library",
                   "make a library of it first: --merge with its other shards");
      return false;
    }
    if (out.library.statistics.empty() && needsStatistics) {
      diags_.error({path, 0, 0}, "has no statistics, so nothing can be added to it",
                   "mine it without --no-statistics, and with a larger --max-size");
      return false;
    }
    if (!out.library.statistics.empty() &&
        !patterns::parseStatistics(out.library.statistics, out.statistics, why.message)) {
      diags_.error({path, 0, 0}, why.message);
      return false;
    }
    return true;
  }

  bool readParent() {
    if (options_.parent.empty())
      return true;
    parent_.emplace();
    if (!readFinished(options_.parent, false, *parent_))
      return false;
    std::string error, ignored;
    library_.meta["parent"] = parent_->library.meta["name"];
    const auto bytes = readFile(options_.parent, error);
    library_.meta["parent.sha256"] = bytes ? sha256Hex(*bytes) : std::string();
    for (const auto &p : parent_->library.patterns)
      parentPatterns_.emplace(std::make_pair(p.kind, std::string_view(p.text)), &p);
    return true;
  }

  bool readBase() {
    if (options_.base.empty())
      return true;
    base_.emplace();
    Finished &base = *base_;
    if (!readFinished(options_.base, true, base))
      return false;
    if (base.library.meta.contains("parent") && options_.parent.empty()) {
      diags_.error({options_.base, 0, 0},
                   "was mined with --parent, a library called '" + base.library.meta["parent"] +
                       "'",
                   "give the parent again");
      return false;
    }
    if (options_.domain.empty())
      options_.domain = base.library.meta["name"];
    if (options_.serial == 1)
      options_.serial = base.library.serial + 1;
    return true;
  }

  /// Are the libraries to merge finished ones? A mixture is an error.
  bool mergesFinished(bool &finished) {
    size_t partials = 0;
    for (const std::string &path : options_.merge) {
      patterns::ReadError why;
      const auto library = patterns::readPlib(path, why);
      if (!library) {
        diags_.error({path, 0, 0}, why.message);
        return false;
      }
      partials += !library->partial.empty();
      if (partials != 0 && library->partial.empty()) {
        diags_.error({path, 0, 0}, "is not a partial library, as others here are",
                     "merge partial libraries with each other, and finished ones");
        return false;
      }
    }
    if (partials != 0 && partials != options_.merge.size()) {
      diags_.error({options_.merge.front(), 0, 0}, "is not a partial library, as others here are",
                   "merge partial libraries with each other, and finished ones");
      return false;
    }
    finished = partials == 0;
    return true;
  }

  /// Puts the n-grams of a library's statistics into a table that is prepared for its words, and
  /// calls visit(gram in the table, its counts there).
  template <typename Visit>
  void putIn(const patterns::Statistics &from, Grams &table, Visit visit) {
    std::vector<uint32_t> words, before, here;
    for (const std::string &word : from.words)
      words.push_back(vocabulary_.find(word));
    for (uint32_t n = 1; n <= std::min<size_t>(from.grams.size(), kPhraseWords); ++n) {
      here.clear();
      for (const auto &g : from.grams[n - 1]) {
        const uint32_t index =
            n == 1 ? words[g.word] : table.insert(n, before[g.prefix], words[g.word]);
        here.push_back(index);
        visit(table.gram(n, index), g);
      }
      before = here;
    }
  }

  static void addTo(uint32_t &sum, uint32_t part) {
    sum = sum > UINT32_MAX - part ? UINT32_MAX : sum + part;
  }

  /// Documents in and beyond `library_`, and the digests of what they were.
  void addCounts(const patterns::PatternLibrary &from) {
    library_.documentCount += from.documentCount;
    library_.wordCount += from.wordCount;
    library_.byteCount += from.byteCount;
    // How many are new is not known: at least as many as the richest part has.
    library_.distinctWords = std::max(library_.distinctWords, from.distinctWords);
    const auto at = from.meta.find("input.corpus.documents.sha256");
    if (at == from.meta.end())
      return;
    std::set<std::string> digests;
    const std::string all = library_.meta["input.corpus.documents.sha256"] + "," + at->second;
    for (size_t i = 0; i < all.size();) {
      const size_t end = std::min(all.find(',', i), all.size());
      if (end > i)
        digests.insert(all.substr(i, end - i));
      i = end + 1;
    }
    std::string joined;
    for (const auto &digest : digests)
      joined += (joined.empty() ? "" : ",") + digest;
    library_.meta["input.corpus.documents.sha256"] = joined.substr(0, 65000);
  }

  void rememberOthers(const patterns::PatternLibrary &from) {
    for (const auto &p : from.patterns)
      if (p.kind == SEMDNS_PATTERN_TEMPLATE || p.kind == SEMDNS_PATTERN_DOCUMENT)
        inherited_.push_back(p);
  }

  /// --merge of finished libraries: the counts that they kept add up. Exact for what each of them
  /// kept; what one of them did not keep had fewer than --k-anonymity owners or --min-support
  /// occurrences there.
  bool mergeFinished() {
    std::vector<Finished> all(options_.merge.size());
    for (size_t i = 0; i < all.size(); ++i)
      if (!readFinished(options_.merge[i], true, all[i]))
        return false;
    const auto text = [](const Finished &from, const char *key) {
      const auto at = from.library.meta.find(key);
      return at == from.library.meta.end() ? std::string() : at->second;
    };
    uint64_t serial = 0;
    for (const Finished &one : all) {
      for (const char *key : {"name", "mine.max_patterns", "mine.min_support", "mine.k_anonymity",
                              "mine.codecs", "mine.dict_size", "input.background.documents.sha256"})
        if (text(one, key) != text(all[0], key) &&
            !(std::string_view(key) == "name" && !options_.domain.empty())) {
          diags_.error({one.path, 0, 0},
                       std::string("differs from '") + all[0].path + "' in " + key,
                       std::string_view(key) == "name"
                           ? "say with --domain what the merged library is called"
                           : "merge libraries that were mined with the same options");
          return false;
        }
      serial = std::max(serial, one.library.serial);
    }
    const std::string name = options_.domain;
    takeOptions(all[0].library.meta, serial);
    if (!name.empty())
      domain_ = name;
    for (const Finished &one : all)
      for (const std::string &word : one.statistics.words)
        vocabulary_.intern(word);
    grams_.prepare(limits(), vocabulary_.size());
    std::string bestOfCodecs;
    for (const Finished &one : all) {
      addCounts(one.library);
      rememberOthers(one.library);
      mass_ += one.statistics.mass;
      backgroundMass_ = std::max(backgroundMass_, one.statistics.backgroundMass);
      library_.backgroundDocuments =
          std::max(library_.backgroundDocuments, one.library.backgroundDocuments);
      putIn(one.statistics, grams_, [](Gram &sum, const patterns::Statistics::Gram &part) {
        addTo(sum.count, part.count);
        addTo(sum.documents, part.documents);
        addTo(sum.owners, part.owners);
        sum.background = std::max(sum.background, part.background);
      });
      // Codec tables cannot be added up: those of the largest corpus stay, which is the same in any
      // grouping.
      char bytes[32];
      std::snprintf(bytes, sizeof bytes, "%020llu",
                    static_cast<unsigned long long>(codecBytes(one.library)));
      std::string key = bytes;
      for (const auto &[tag, table] : one.library.codecs)
        key += sha256Hex(table);
      if (!one.library.codecs.empty() && key > bestOfCodecs) {
        bestOfCodecs = key;
        library_.codecs = one.library.codecs;
        library_.meta["mine.codec_bytes"] = std::to_string(codecBytes(one.library));
      }
    }
    if (library_.backgroundDocuments)
      library_.meta["input.background.documents.sha256"] =
          text(all[0], "input.background.documents.sha256");
    library_.distinctWords = std::max<uint64_t>(library_.distinctWords, vocabulary_.size() - 1);
    return true;
  }

  /// Bytes of the corpus that a library's codec tables were made from.
  static uint64_t codecBytes(const patterns::PatternLibrary &from) {
    const auto at = from.meta.find("mine.codec_bytes");
    return at == from.meta.end() ? from.byteCount : std::strtoull(at->second.c_str(), nullptr, 10);
  }

  /// --base: counts of the new text in the table of both, then those of the base on top.
  bool addBase() {
    if (!base_)
      return true;
    Finished &base = *base_;
    for (const std::string &word : base.statistics.words)
      vocabulary_.intern(word);
    Grams fresh = std::move(grams_);
    Grams::Limits all = limits();
    all.minCount = all.minOwners = 0; // whatever is in the table is looked up
    grams_ = {};
    grams_.prepare(all, vocabulary_.size());
    for (uint32_t n = 2; n <= kPhraseWords; ++n)
      fresh.forEach(n, n, [&](uint32_t, uint32_t i, const Gram &) {
        const auto tokens = fresh.tokensOf(n, i);
        uint32_t index = tokens[0];
        for (uint32_t k = 2; k <= n; ++k)
          index = grams_.insert(k, index, tokens[k - 1]);
      });
    putIn(base.statistics, grams_, [](Gram &, const patterns::Statistics::Gram &) {});
    grams_.recount(documents_->stream(), places_);
    inBase_.assign(kPhraseWords + 1, {});
    for (uint32_t n = 1; n <= kPhraseWords; ++n)
      inBase_[n].assign(grams_.size(n), false);
    mass_ = base.statistics.mass + mass_;
    putIn(base.statistics, grams_, [](Gram &sum, const patterns::Statistics::Gram &part) {
      addTo(sum.count, part.count);
      addTo(sum.documents, part.documents);
      addTo(sum.owners, part.owners);
      sum.background = part.background;
    });
    forEachInBase(base.statistics);
    grams_.setLimits(limits());
    summary_.corpusWords = library_.wordCount;
    addCounts(base.library);
    rememberOthers(base.library);
    if (options_.backgrounds.empty()) {
      library_.backgroundDocuments = base.library.backgroundDocuments;
      backgroundMass_ = base.statistics.backgroundMass;
      if (library_.backgroundDocuments) {
        library_.meta["input.background.documents.sha256"] =
            base.library.meta["input.background.documents.sha256"];
        diags_.note({options_.base, 0, 0},
                    "its background is not at hand: n-grams that are new here become no keywords");
        backgroundKnown_ = false;
      }
    }
    if (!base.library.codecs.empty()) { // frames that were made with them stay readable
      library_.codecs = base.library.codecs;
      library_.meta["mine.codec_bytes"] = std::to_string(codecBytes(base.library));
    }
    return true;
  }

  void forEachInBase(const patterns::Statistics &from) {
    std::vector<uint32_t> before, here;
    for (uint32_t n = 1; n <= std::min<size_t>(from.grams.size(), kPhraseWords); ++n) {
      here.clear();
      for (const auto &g : from.grams[n - 1]) {
        const uint32_t word = vocabulary_.find(from.words[g.word]);
        here.push_back(n == 1 ? word : grams_.insert(n, before[g.prefix], word));
        inBase_[n][here.back()] = g.count != 0;
      }
      before = here;
    }
  }

  /// Does the parent say as much of this pattern: has it there, and not half as often?
  bool parentHas(semdns_pattern_kind kind, const Candidate &c) const {
    const auto at = parentPatterns_.find({kind, std::string_view(c.text)});
    const Grams &grams = kind == SEMDNS_PATTERN_TEMPLATE   ? slottedGrams_
                         : kind == SEMDNS_PATTERN_DOCUMENT ? lineGrams_
                                                           : grams_;
    return at != parentPatterns_.end() &&
           (!c.words.empty() ||
            asFrequent(at->second->documents, grams.gram(c.level, c.index).documents));
  }
  bool asFrequent(uint64_t parentDocuments, uint64_t documents) const {
    return documents * parent_->library.documentCount <
           2 * parentDocuments * library_.documentCount;
  }

  /// Counts of what is frequent, sorted; without what the parent's statistics say as well.
  patterns::Statistics statistics() {
    patterns::Statistics out;
    out.mass = mass_;
    out.backgroundMass = backgroundMass_;
    std::optional<Grams> parent;
    if (parent_ && !parent_->statistics.words.empty()) {
      for (const std::string &word : parent_->statistics.words)
        vocabulary_.intern(word);
      Grams::Limits all = limits();
      all.minCount = all.minOwners = 0;
      parent.emplace();
      parent->prepare(all, vocabulary_.size());
      putIn(parent_->statistics, *parent, [](Gram &to, const patterns::Statistics::Gram &g) {
        to.count = g.count;
        to.documents = g.documents;
      });
    }
    // From long to short: what longer ones begin with must be there.
    std::vector<std::vector<char>> use(kPhraseWords + 1); // 1: as a prefix or word, 2: with counts
    for (uint32_t n = 1; n <= kPhraseWords; ++n)
      use[n].assign(grams_.size(n), 0);
    for (uint32_t n = kPhraseWords; n >= 1; --n)
      for (uint32_t i = 1; i < grams_.size(n); ++i) {
        const Gram &g = grams_.gram(n, i);
        if (grams_.frequent(g) && !(parent && saysParent(*parent, n, i)))
          use[n][i] = 2;
        if (use[n][i] && n > 1) {
          char &prefix = use[n - 1][g.key >> 32];
          prefix = std::max<char>(prefix, 1);
          char &word = use[1][uint32_t(g.key)];
          word = std::max<char>(word, 1);
        }
      }
    std::vector<uint32_t> words;
    for (uint32_t word = 1; word < grams_.size(1); ++word)
      if (use[1][word])
        words.push_back(word);
    std::sort(words.begin(), words.end(), [&](uint32_t a, uint32_t b) {
      return vocabulary_.spelling(a) < vocabulary_.spelling(b);
    });
    std::vector<uint32_t> wordRank(grams_.size(1)), rank, next;
    for (const uint32_t word : words) {
      wordRank[word] = uint32_t(out.words.size());
      out.words.emplace_back(vocabulary_.spelling(word));
    }
    rank = wordRank;
    out.grams.resize(kPhraseWords);
    for (uint32_t n = 1; n <= kPhraseWords; ++n) {
      std::vector<std::pair<patterns::Statistics::Gram, uint32_t>> level;
      for (uint32_t i = 1; i < grams_.size(n); ++i) {
        if (!use[n][i])
          continue;
        const Gram &g = grams_.gram(n, i);
        patterns::Statistics::Gram stored;
        stored.prefix = n == 1 ? 0 : rank[g.key >> 32];
        stored.word = wordRank[n == 1 ? i : uint32_t(g.key)];
        if (use[n][i] == 2) {
          stored.count = g.count;
          stored.documents = g.documents;
          stored.owners = g.owners;
          stored.background = g.background;
        }
        level.emplace_back(stored, i);
      }
      std::sort(level.begin(), level.end(), [](const auto &a, const auto &b) {
        return std::make_pair(a.first.prefix, a.first.word) <
               std::make_pair(b.first.prefix, b.first.word);
      });
      next.assign(grams_.size(n), 0);
      for (size_t i = 0; i < level.size(); ++i) {
        next[level[i].second] = uint32_t(i);
        out.grams[n - 1].push_back(level[i].first);
      }
      rank = next;
    }
    return out;
  }

  bool saysParent(const Grams &parent, uint32_t n, uint32_t i) const {
    const auto tokens = grams_.tokensOf(n, i);
    uint32_t index = 0;
    for (uint32_t k = 1; k <= n; ++k) {
      index = parent.extend(k, index, tokens[k - 1]);
      if (!index)
        return false;
    }
    return asFrequent(parent.gram(n, index).documents, grams_.gram(n, i).documents);
  }

  /// --max-size: first the statistics go, then the patterns that rank last in their kinds, then the
  /// codecs' tables.
  bool fit() {
    if (options_.maxSize == 0)
      return true;
    std::string error;
    const auto size = [&] { return patterns::buildPlib(library_, error).size(); };
    if (size() <= options_.maxSize)
      return true;
    if (!library_.statistics.empty()) {
      library_.statistics.clear();
      summary_.trimmed.push_back("the statistics: nothing can be added to this library");
      if (size() <= options_.maxSize)
        return true;
    }
    uint64_t others = size();
    for (const auto &p : library_.patterns)
      others -= sizeof(semdns_pattern) + p.text.size();
    if (others > options_.maxSize && !library_.codecs.empty()) {
      for (const auto &[tag, table] : library_.codecs)
        others -= std::min<uint64_t>(others, table.size());
      library_.codecs.clear();
      summary_.trimmed.push_back("the codecs' tables");
    }
    // The same number of each kind, as many as there is room for.
    uint64_t room = options_.maxSize > others + 128 ? options_.maxSize - others - 128 : 0;
    std::map<semdns_pattern_kind, std::vector<const patterns::Pattern *>> kinds;
    for (const auto &p : library_.patterns)
      kinds[p.kind].push_back(&p);
    for (auto &[kind, list] : kinds)
      std::sort(list.begin(), list.end(), [](const auto *a, const auto *b) {
        return a->score != b->score ? a->score > b->score : a->text < b->text;
      });
    std::set<std::pair<semdns_pattern_kind, std::string>> kept;
    bool full = false;
    for (size_t i = 0; !full; ++i) {
      bool any = false;
      for (const auto &[kind, list] : kinds) {
        if (i >= list.size() || full)
          continue;
        const uint64_t bytes = sizeof(semdns_pattern) + list[i]->text.size();
        full = bytes > room;
        if (full)
          break;
        any = true;
        room -= bytes;
        kept.emplace(kind, list[i]->text);
      }
      full = full || !any;
    }
    const size_t before = library_.patterns.size();
    std::erase_if(library_.patterns,
                  [&](const patterns::Pattern &p) { return !kept.contains({p.kind, p.text}); });
    if (before != library_.patterns.size())
      summary_.trimmed.push_back(std::to_string(before - library_.patterns.size()) + " of " +
                                 std::to_string(before) + " patterns");
    if (size() > options_.maxSize)
      return fail("--max-size=" + std::to_string(options_.maxSize) +
                      ": what a library must have is larger",
                  "at least " + std::to_string(size()) + " bytes");
    return true;
  }

  /// Background documents that have each n-gram.
  bool countBackground() {
    const Documents &all = *background_;
    if (all.size() == 0)
      return true; // none, or the base's
    for (uint32_t n = 1; n <= kPhraseWords; ++n)
      for (uint32_t i = 0; i < grams_.size(n); ++i)
        grams_.gram(n, i).background = 0;
    uint64_t digestSum[2] = {};
    for (uint32_t d = 0; d < all.size(); ++d)
      for (int lane = 0; lane < 2; ++lane) {
        uint64_t part;
        std::memcpy(&part, all.entry(d).digest + 8 * lane, 8);
        digestSum[lane] += part;
      }
    library_.meta["input.background.documents.sha256"] =
        sha256Hex({reinterpret_cast<const char *>(digestSum), sizeof digestSum});
    // What counts once here must not count often there: else whatever is said often looks foreign.
    std::vector<uint32_t> kept(all.size());
    std::iota(kept.begin(), kept.end(), 0u);
    if (!options_.keepDuplicates)
      kept = withoutNearDuplicates(all, kept);
    library_.backgroundDocuments = uint32_t(kept.size());
    for (uint32_t d = 0; d < all.size(); ++d)
      summary_.backgroundBytes += all.entry(d).textSize;
    // Each thread has the n-grams that begin with words of its own.
    std::vector<uint64_t> mass(threads_);
    parallelFor(threads_, threads_, [&](size_t part) {
      std::vector<uint32_t> lastSeen(vocabulary_.size());
      for (const uint32_t d : kept) {
        const auto words = all.tokens(d);
        for (size_t i = 0; i < words.size(); ++i) {
          if (words[i] == WordSplitter::kGap || words[i] % threads_ != part)
            continue;
          if (lastSeen[words[i]] != d + 1) {
            lastSeen[words[i]] = d + 1;
            ++mass[part];
          }
          uint32_t index = 0;
          for (uint32_t n = 1; n <= kPhraseWords && i + n <= words.size(); ++n) {
            const uint32_t word = words[i + n - 1];
            index = word ? grams_.extend(n, index, word) : 0;
            if (!index)
              break;
            Gram &g = grams_.gram(n, index);
            // The document numbers of the corpus are no longer needed.
            if (g.background == 0 || g.last != d + 1) {
              g.last = d + 1;
              ++g.background;
            }
          }
        }
      }
    });
    for (const uint64_t part : mass)
      backgroundMass_ += part;
    return true;
  }

  /// A zstd dictionary of text that several owners share.
  void dictionary() {
    if (!wants(SEMDNS_CODEC_ZSTD))
      return;
    std::vector<std::string_view> texts;
    std::vector<uint32_t> owners;
    const uint64_t budget = dictionaryText(options_.dictionarySize);
    uint64_t held = 0;
    // kept_ is sorted by digest: which documents serve is a matter of chance, the same in any
    // order.
    for (size_t i = 0; i < kept_.size() && held < budget; ++i) {
      if (!heldText_.empty() && isHeld_[i])
        continue; // what it saves is measured on these
      texts.push_back(documents_->text(kept_[i]).substr(0, kMaxSampleBytes));
      owners.push_back(owners_[i]);
      held += texts.back().size();
    }
    std::vector<std::string> cut; // without what is excluded
    if (!excluded_.empty()) {
      for (const std::string_view text : texts)
        cut.push_back(withoutExcluded(text));
      texts.assign(cut.begin(), cut.end());
    }
    const auto samples = commonRuns(texts, owners, options_.kAnonymity, threads_);
    if (std::string trained =
            trainDictionary(samples, options_.dictionarySize, summary_.noDictionary);
        !trained.empty()) {
      KindSummary &summary = summary_.dictionary;
      summary.bytes = trained.size();
      if (!heldText_.empty()) {
        summary.heldOut = heldText_.size() / 4096 * 4096;
        summary.plain = plainBytes_;
        summary.with = compressed(trained);
      }
      trained_ = std::move(trained);
    }
  }

  std::string withoutExcluded(std::string_view text) const {
    // Clause by clause: one with an excluded run goes, which is more than need be and simple.
    WordSplitter splitter;
    Vocabulary words;
    std::vector<std::vector<uint32_t>> runs;
    for (const auto &run : excluded_) {
      runs.emplace_back();
      for (const uint32_t word : run)
        runs.back().push_back(words.intern(vocabulary_.spelling(word)));
    }
    std::string out, line;
    std::vector<uint32_t> tokens;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find_first_of("\n.,;", at), text.size() - 1) + 1;
      line = text.substr(at, end - at);
      at = end;
      splitter.split(line, words, tokens);
      std::erase(tokens, uint32_t(WordSplitter::kGap));
      const bool hit = std::any_of(runs.begin(), runs.end(), [&](const auto &run) {
        return std::search(tokens.begin(), tokens.end(), run.begin(), run.end()) != tokens.end();
      });
      if (!hit)
        out += line;
    }
    return out;
  }

  void handOutTexts() {
    if (!options_.keepTexts)
      return;
    for (const uint32_t d : kept_)
      summary_.texts.push_back(excluded_.empty() ? std::string(documents_->text(d))
                                                 : withoutExcluded(documents_->text(d)));
    summary_.textOwners = owners_;
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
    const Gram &g = grams_.gram(1, word);
    return library_.backgroundDocuments ? uint64_t(g.background) * 50 > library_.backgroundDocuments
                                        : uint64_t(g.documents) * 20 > library_.documentCount;
  }

  std::vector<Candidate> ngramCandidates() const {
    std::vector<Candidate> found;
    grams_.forEach(1, 3, [&](uint32_t n, uint32_t i, const Gram &g) {
      std::string text = textOf(grams_.tokensOf(n, i));
      const uint64_t covered = uint64_t(g.count) * text.size();
      found.push_back({n, i, q16(log2Q24(covered)), int64_t(covered), std::move(text)});
    });
    return found;
  }

  /// See SEMDNS_CONTRAST_LOG_ODDS. Q16 bits.
  int32_t logOdds(const Gram &g) const {
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
  int32_t residualIdf(const Gram &g) const {
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
      scores[n].assign(grams_.size(n), INT32_MIN);
    std::vector<Candidate> found;
    grams_.forEach(1, kKeywordWords, [&](uint32_t n, uint32_t i, const Gram &g) {
      const int32_t score = contrast ? logOdds(g) : residualIdf(g);
      scores[n][i] = score;
      if (contrast && !backgroundKnown_ && !inBase_[n][i])
        return;
      if (g.documents < kMinDocuments || score < (contrast ? kMinLogOdds : kMinResidual))
        return;
      const auto words = grams_.tokensOf(n, i);
      if (!speaks(words.front()) || !speaks(words.back()) || isCommon(words.front()) ||
          isCommon(words.back()))
        return;
      // A run says something of its own only if it says more than each part does.
      if (n > 1) {
        const auto prefix = uint32_t(g.key >> 32);
        if (scores[n - 1][prefix] >= score || scores[n - 1][grams_.suffixOf(words)] >= score)
          return;
      }
      found.push_back({n, i, score, score, textOf(words)});
    });
    return found;
  }

  /// The largest count of a longer run around each run of `grams`.
  static std::vector<std::vector<uint32_t>> countsAround(const Grams &grams) {
    std::vector<std::vector<uint32_t>> around(grams.maxTokens() + 1);
    for (uint32_t n = 1; n <= grams.maxTokens(); ++n)
      around[n].assign(grams.size(n), 0);
    grams.forEach(2, grams.maxTokens(), [&](uint32_t n, uint32_t i, const Gram &g) {
      const auto prefix = uint32_t(g.key >> 32);
      const uint32_t suffix = grams.suffixOf(grams.tokensOf(n, i));
      around[n - 1][prefix] = std::max(around[n - 1][prefix], g.count);
      around[n - 1][suffix] = std::max(around[n - 1][suffix], g.count);
    });
    return around;
  }
  /// A run that nearly always stands in a longer one is a part of that one.
  static void dropParts(std::vector<Candidate> &found, const Grams &grams) {
    const auto around = countsAround(grams);
    std::erase_if(found, [&](const Candidate &c) {
      return uint64_t(around[c.level][c.index]) * 5 >=
             uint64_t(grams.gram(c.level, c.index).count) * 4;
    });
  }

  std::vector<Candidate> phraseCandidates() const {
    std::vector<Candidate> found;
    const int64_t total = log2Q24(std::max<uint64_t>(1, library_.wordCount));
    grams_.forEach(2, kPhraseWords, [&](uint32_t n, uint32_t i, const Gram &g) {
      const auto words = grams_.tokensOf(n, i);
      const auto prefix = uint32_t(g.key >> 32);
      const uint32_t suffix = grams_.suffixOf(words);
      if (g.documents < kMinDocuments || !speaks(words.front()) || !speaks(words.back()))
        return;
      const auto countOf = [&](uint32_t level_, uint32_t index) {
        return log2Q24(grams_.gram(level_, index).count);
      };
      const int64_t joint = log2Q24(g.count) + total;
      const int64_t cohesion = std::min(joint - countOf(n - 1, prefix) - countOf(1, words.back()),
                                        joint - countOf(1, words.front()) - countOf(n - 1, suffix));
      if (cohesion < kMinCohesion)
        return;
      found.push_back({n, i, q16(cohesion), int64_t(g.count) * ((cohesion - kMinCohesion) >> 8),
                       textOf(words)});
    });
    dropParts(found, grams_);
    return found;
  }

  bool isSlot(uint32_t token) const { return vocabulary_.spelling(token).front() == '<'; }

  /// Frequent runs with slots in them.
  bool countTemplates(std::vector<Candidate> &templates) {
    for (size_t i = 0; i < kept_.size(); ++i) {
      const DocumentEntry &e = documents_->entry(kept_[i]);
      slottedPlaces_.push_back({e.slotted, e.slotted + e.slottedCount, owners_[i]});
    }
    sortPlaces(slottedPlaces_);
    Grams::Limits some = limits();
    some.maxTokens = SEMDNS_PATS_MAX_WORDS;
    std::string error;
    if (!slottedGrams_.count(
            documents_->slotted(), slottedPlaces_, vocabulary_.size(), some, [](uint64_t) {},
            error))
      return fail(error);
    slottedGrams_.forEach(3, some.maxTokens, [&](uint32_t n, uint32_t i, const Gram &g) {
      const auto tokens = slottedGrams_.tokensOf(n, i);
      uint32_t slots = 0, speaking = 0, bytes = 0;
      for (const uint32_t token : tokens) {
        if (isSlot(token)) {
          ++slots;
          continue;
        }
        speaking += speaks(token) && vocabulary_.spelling(token).size() >= kTelling;
        bytes += uint32_t(vocabulary_.spelling(token).size()) + 1;
      }
      const auto edge = [&](uint32_t token) { return isSlot(token) || speaks(token); };
      if (slots == 0 || speaking == 0 || !edge(tokens.front()) || !edge(tokens.back()))
        return;
      std::string text = textOf(tokens);
      if (text.size() > SEMDNS_PATS_MAX_TEXT)
        return;
      const uint64_t covered = uint64_t(g.count) * bytes;
      templates.push_back({n, i, q16(log2Q24(covered)), int64_t(covered), std::move(text)});
    });
    dropParts(templates, slottedGrams_);
    templates = bestOf(std::move(templates), SEMDNS_PATTERN_TEMPLATE);
    return true;
  }

  /// Lines that follow each other in many documents.
  bool countSkeletons(std::vector<Candidate> &skeletons) {
    std::vector<Place> places;
    for (size_t i = 0; i < kept_.size(); ++i) {
      const DocumentEntry &e = documents_->entry(kept_[i]);
      places.push_back({e.lines, e.lines + e.lineCount, owners_[i]});
    }
    sortPlaces(places);
    Grams::Limits some = limits();
    some.maxTokens = 1;
    Grams single;
    std::string error;
    if (!single.count(
            documents_->lines(), places, vocabulary_.size(), some, [](uint64_t) {}, error) ||
        !lineStream_.open({}, "", 0, error))
      return fail(error);
    for (const Place &place : places) {
      const uint64_t begin = lineStream_.size();
      uint32_t before = 0;
      for (uint64_t i = place.begin; i < place.end; ++i) {
        const uint32_t line = documents_->lines()[i];
        if (line == 0 || line == before || !single.frequent(single.gram(1, line)))
          continue;
        if (!lineStream_.append(line, error))
          return fail(error);
        before = line;
      }
      linePlaces_.push_back({begin, lineStream_.size(), place.owner});
    }
    some.maxTokens = SEMDNS_PATS_MAX_WORDS;
    if (!lineGrams_.count(
            lineStream_, linePlaces_, vocabulary_.size(), some, [](uint64_t) {}, error))
      return fail(error);
    lineGrams_.forEach(2, some.maxTokens, [&](uint32_t n, uint32_t i, const Gram &g) {
      const auto tokens = lineGrams_.tokensOf(n, i);
      std::string text;
      for (const uint32_t line : tokens)
        text += vocabulary_.spelling(line);
      text.erase(0, 1); // of the line ends that each spelling begins with
      const std::set<uint32_t> distinct(tokens.begin(), tokens.end());
      if (distinct.size() < n || text.size() > SEMDNS_PATS_MAX_TEXT)
        return;
      skeletons.push_back({n, i, q16(log2Q24(g.documents)),
                           int64_t(g.documents) * int64_t(text.size()), std::move(text)});
    });
    dropParts(skeletons, lineGrams_);
    skeletons = bestOf(std::move(skeletons), SEMDNS_PATTERN_DOCUMENT);
    return true;
  }

  std::vector<Candidate> clusterCandidates() const {
    constexpr size_t kMaxWords = 4096;
    std::vector<uint32_t> words;
    grams_.forEach(1, 1, [&](uint32_t, uint32_t i, const Gram &g) {
      if (g.documents >= kMinDocuments && uint64_t(g.documents) * 2 <= library_.documentCount &&
          speaks(i) && vocabulary_.spelling(i).size() >= kTelling)
        words.push_back(i);
    });
    std::sort(words.begin(), words.end(), [&](uint32_t a, uint32_t b) {
      const Gram &x = grams_.gram(1, a), &y = grams_.gram(1, b);
      return x.documents != y.documents ? x.documents > y.documents
                                        : vocabulary_.spelling(a) < vocabulary_.spelling(b);
    });
    if (words.size() > kMaxWords)
      words.resize(kMaxWords);
    std::vector<uint64_t> hashes(grams_.size(1));
    for (uint32_t word = 1; word < hashes.size(); ++word)
      if (grams_.frequent(grams_.gram(1, word)))
        hashes[word] = text::hashOf(vocabulary_.spelling(word));
    std::vector<Candidate> found;
    for (Cluster &cluster : clusterWords(grams_, words, library_.wordCount, hashes, threads_)) {
      Candidate c;
      c.level = uint32_t(cluster.words.size());
      c.score = cluster.likeness;
      c.text = textOf(cluster.words);
      c.rank = grams_.gram(1, cluster.words.front()).documents;
      c.words = std::move(cluster.words);
      if (c.text.size() <= SEMDNS_PATS_MAX_TEXT)
        found.push_back(std::move(c));
    }
    return found;
  }

  /// A tenth of the documents, by digest, to measure on.
  void holdOut() {
    uint64_t all = 0;
    for (size_t i = 0; i < kept_.size(); ++i) {
      const bool held = documents_->entry(kept_[i]).digest[15] % 10 == 0;
      isHeld_.push_back(held);
      if (held)
        all += documents_->entry(kept_[i]).textSize;
    }
    if (all < kLeastHeldOut)
      return;
    for (size_t i = 0; i < kept_.size() && heldText_.size() < kMostHeldOut; ++i)
      if (isHeld_[i])
        heldText_ += std::string(documents_->text(kept_[i])) + "\n";
    plainBytes_ = compressed({});
  }

  /// Bytes of the held-out text in contexts of 4 KB, each compressed alone.
  uint64_t compressed(std::string_view dictionary) const {
    constexpr size_t kContext = 4096;
    constexpr int kLevel = 9;
    ZSTD_CDict *prepared = ZSTD_createCDict(dictionary.data(), dictionary.size(), kLevel);
    std::vector<uint64_t> sizes(heldText_.size() / kContext);
    parallelFor(threads_, threads_, [&](size_t part) {
      ZSTD_CCtx *context = ZSTD_createCCtx();
      std::string out(ZSTD_compressBound(kContext), '\0');
      for (size_t i = part; i < sizes.size(); i += threads_)
        sizes[i] = ZSTD_compress_usingCDict(context, out.data(), out.size(),
                                            heldText_.data() + i * kContext, kContext, prepared);
      ZSTD_freeCCtx(context);
    });
    ZSTD_freeCDict(prepared);
    return std::accumulate(sizes.begin(), sizes.end(), uint64_t(0));
  }

  /// Counts of n-grams in held-out documents alone, in a table like `grams`' own: of
  /// [length][index] documents and occurrences.
  struct Held {
    std::vector<std::vector<std::pair<uint32_t, uint32_t>>> of;
  };
  Held countHeld(const Grams &grams, const Spool<uint32_t> &stream,
                 const std::vector<Place> &places) const {
    Held held;
    held.of.resize(grams.maxTokens() + 1);
    std::vector<std::vector<uint32_t>> last(grams.maxTokens() + 1);
    for (uint32_t n = 1; n <= grams.maxTokens(); ++n) {
      held.of[n].assign(grams.size(n), {});
      last[n].assign(grams.size(n), UINT32_MAX);
    }
    std::set<uint32_t> owners;
    for (size_t i = 0; i < kept_.size(); ++i)
      if (isHeld_[i])
        owners.insert(owners_[i]);
    for (uint32_t d = 0; d < places.size(); ++d) {
      // Named owners are held out as a whole, or where one of their documents is.
      if (!owners.contains(places[d].owner))
        continue;
      for (uint64_t i = places[d].begin; i < places[d].end; ++i) {
        uint32_t index = 0;
        for (uint32_t n = 1; n <= grams.maxTokens() && i + n <= places[d].end; ++n) {
          const uint32_t token = stream[i + n - 1];
          index = token ? grams.extend(n, index, token) : 0;
          if (!index)
            break;
          ++held.of[n][index].second;
          if (last[n][index] != d) {
            last[n][index] = d;
            ++held.of[n][index].first;
          }
        }
      }
    }
    return held;
  }

  /// What a kind saves on held-out text: only patterns that the other text alone would have given.
  void measure(const std::vector<Candidate> &candidates, const Grams &grams,
               const Spool<uint32_t> &stream, const std::vector<Place> &places,
               semdns_pattern_kind kind, KindSummary &summary) {
    if (heldText_.empty() || candidates.empty())
      return;
    const Held held = countHeld(grams, stream, places);
    std::string prefix; // the best last, where zstd finds it cheapest
    for (const Candidate &c : candidates) {
      const Gram &g = grams.gram(c.level, c.index);
      const auto &[documents, count] = held.of[c.level][c.index];
      if (g.count - count < options_.minSupport || g.documents - documents < options_.kAnonymity)
        continue;
      std::string text = c.text;
      for (size_t at = 0; (at = text.find('<')) != text.npos;)
        text.erase(at, text.find('>', at) - at + 1);
      if (prefix.size() + text.size() > kPrefixBytes)
        break;
      prefix = text + ' ' + prefix;
    }
    summary.heldOut = heldText_.size() / 4096 * 4096;
    summary.plain = plainBytes_;
    summary.with = compressed(prefix);
    const uint64_t saved = summary.plain > summary.with ? summary.plain - summary.with : 0;
    const bool pays = static_cast<unsigned __int128>(saved) * library_.byteCount >
                      static_cast<unsigned __int128>(summary.bytes) * summary.heldOut;
    // Keywords, phrases and clusters are there to tell domains apart.
    const bool forBytes = kind == SEMDNS_PATTERN_NGRAM || kind == SEMDNS_PATTERN_TEMPLATE ||
                          kind == SEMDNS_PATTERN_DOCUMENT;
    if (forBytes && !pays) {
      summary.dropped = true;
      std::erase_if(library_.patterns, [&](const patterns::Pattern &p) { return p.kind == kind; });
    }
  }

  /// Of held-out documents that have a pattern, how many are the domain's.
  void precision(const std::vector<Candidate> &candidates, KindSummary &summary) {
    const Documents &others = *background_;
    uint64_t heldHere = 0, heldThere = 0;
    for (const bool held : isHeld_)
      heldHere += held;
    for (uint32_t d = 0; d < others.size(); ++d)
      heldThere += others.entry(d).digest[15] % 10 == 0;
    if (heldHere < 20 || heldThere < 20 || candidates.empty())
      return;
    std::vector<std::vector<char>> chosen(grams_.maxTokens() + 1);
    for (uint32_t n = 1; n <= grams_.maxTokens(); ++n)
      chosen[n].assign(grams_.size(n), 0);
    for (const Candidate &c : candidates)
      chosen[c.level][c.index] = 1;
    const auto hits = [&](std::span<const uint32_t> words) {
      std::set<std::pair<uint32_t, uint32_t>> seen;
      for (size_t i = 0; i < words.size(); ++i) {
        uint32_t index = 0;
        for (uint32_t n = 1; n <= grams_.maxTokens() && i + n <= words.size(); ++n) {
          index = words[i + n - 1] ? grams_.extend(n, index, words[i + n - 1]) : 0;
          if (!index)
            break;
          if (chosen[n][index])
            seen.emplace(n, index);
        }
      }
      return uint64_t(seen.size());
    };
    uint64_t here = 0, there = 0;
    for (size_t i = 0; i < kept_.size(); ++i)
      if (isHeld_[i])
        here += hits(documents_->tokens(kept_[i]));
    for (uint32_t d = 0; d < others.size(); ++d)
      if (others.entry(d).digest[15] % 10 == 0)
        there += hits(others.tokens(d));
    if (here + there == 0)
      return;
    const auto a = static_cast<unsigned __int128>(here) * heldThere;
    const auto b = static_cast<unsigned __int128>(there) * heldHere;
    summary.precision = int32_t((a << 16) / (a + b));
  }

  /// Templates and skeletons of libraries that are merged or added to: their counts add up.
  void takeOver() {
    std::map<std::pair<semdns_pattern_kind, std::string>, patterns::Pattern> sums;
    const auto add = [&](const patterns::Pattern &p) {
      const auto [at, fresh] = sums.emplace(std::make_pair(p.kind, p.text), p);
      if (!fresh) {
        addTo(at->second.count, p.count);
        addTo(at->second.documents, p.documents);
        at->second.score = 0;
      }
    };
    for (const auto &p : inherited_)
      add(p);
    if (sums.empty())
      return;
    for (const auto &p : library_.patterns)
      if (p.kind == SEMDNS_PATTERN_TEMPLATE || p.kind == SEMDNS_PATTERN_DOCUMENT)
        add(p);
    std::erase_if(library_.patterns, [](const patterns::Pattern &p) {
      return p.kind == SEMDNS_PATTERN_TEMPLATE || p.kind == SEMDNS_PATTERN_DOCUMENT;
    });
    summary_.templates = summary_.documents = {};
    for (auto &[key, p] : sums) {
      // The score follows from the counts.
      uint64_t bytes = p.text.size() + 1;
      for (size_t at = 0; (at = p.text.find('<', at)) != p.text.npos; ++at)
        bytes -= p.text.find('>', at) - at + 2;
      p.score = q16(log2Q24(p.kind == SEMDNS_PATTERN_TEMPLATE ? p.count * bytes : p.documents));
      KindSummary &summary =
          p.kind == SEMDNS_PATTERN_TEMPLATE ? summary_.templates : summary_.documents;
      ++summary.patterns;
      summary.bytes += sizeof(semdns_pattern) + p.text.size();
      if (summary.examples.size() < 8)
        summary.examples.push_back(p.text);
      library_.patterns.push_back(std::move(p));
    }
  }

  /// What each kind costs and gives, for inspect-artifact.
  void tellKinds() {
    const std::pair<const char *, KindSummary *> kinds[] = {
        {"ngram", &summary_.ngrams},         {"keyword", &summary_.keywords},
        {"phrase", &summary_.phrases},       {"template", &summary_.templates},
        {"cluster", &summary_.clusters},     {"document", &summary_.documents},
        {"dictionary", &summary_.dictionary}};
    for (const auto &[name, kind] : kinds) {
      const std::string key = std::string("kind.") + name + ".";
      auto &meta = library_.meta;
      if (summary_.corpusWords && kind->patterns && std::string_view(name) != "dictionary")
        meta[key + "covered"] =
            std::to_string(kind->coveredWords) + "/" + std::to_string(summary_.corpusWords);
      if (kind->heldOut)
        meta[key + "held_out"] = std::to_string(kind->with) + "/" + std::to_string(kind->plain) +
                                 "/" + std::to_string(kind->heldOut);
      if (kind->precision >= 0)
        meta[key + "precision"] = std::to_string(kind->precision);
      if (kind->dropped)
        meta[key + "dropped"] = std::to_string(kind->bytes) + " bytes, more than it saves";
    }
  }

  std::vector<Candidate> bestOf(std::vector<Candidate> candidates, semdns_pattern_kind kind) {
    if (parent_)
      summary_.inherited +=
          std::erase_if(candidates, [&](const Candidate &c) { return parentHas(kind, c); });
    std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) {
      return a.rank != b.rank ? a.rank > b.rank : a.text < b.text;
    });
    if (candidates.size() > options_.maxPatterns)
      candidates.resize(options_.maxPatterns);
    return candidates;
  }

  void keep(const std::vector<Candidate> &candidates, semdns_pattern_kind kind, const Grams &grams,
            KindSummary &summary) {
    summary.patterns = candidates.size();
    for (const Candidate &c : candidates) {
      // A cluster is as frequent as its words together, and stands for its representative.
      Gram g = c.words.empty() ? grams.gram(c.level, c.index) : grams.gram(1, c.words.front());
      for (size_t i = 1; i < c.words.size(); ++i)
        addTo(g.count, grams.gram(1, c.words[i]).count);
      summary.bytes += sizeof(semdns_pattern) + c.text.size();
      library_.patterns.push_back(
          {kind, c.level, g.count, g.documents, g.background, c.score, c.text});
      if (summary.examples.size() < 8)
        summary.examples.push_back(c.text);
    }
  }

  void cover(const std::vector<Candidate> &candidates, const Grams &grams,
             const Spool<uint32_t> &stream, const std::vector<Place> &places,
             KindSummary &summary) const {
    const bool lines = &grams == &lineGrams_;
    std::vector<std::vector<bool>> chosen(grams.maxTokens() + 1);
    for (uint32_t n = 1; n <= grams.maxTokens(); ++n)
      chosen[n].assign(grams.size(n), false);
    uint32_t longest = 0;
    for (const Candidate &c : candidates) {
      chosen[c.level][c.index] = true;
      longest = std::max(longest, c.level);
    }
    const size_t chunks = (places.size() + kChunkDocuments - 1) / kChunkDocuments;
    std::vector<uint64_t> covered(chunks);
    parallelFor(chunks, threads_, [&](size_t chunk) {
      const size_t end = std::min<size_t>(places.size(), (chunk + 1) * kChunkDocuments);
      for (size_t d = chunk * kChunkDocuments; d < end; ++d) {
        uint64_t until = 0;
        for (uint64_t i = places[d].begin; i < places[d].end; ++i) {
          uint32_t index = 0;
          for (uint32_t n = 1; n <= longest && i + n <= places[d].end; ++n) {
            const uint32_t token = stream[i + n - 1];
            index = token ? grams.extend(n, index, token) : 0;
            if (!index)
              break;
            if (chosen[n][index])
              until = std::max(until, i + n);
          }
          if (i >= until || stream[i] == WordSplitter::kGap)
            continue;
          const std::string_view spelling = vocabulary_.spelling(stream[i]);
          covered[chunk] +=
              lines ? 1 + uint64_t(std::count(spelling.begin(), spelling.end(), ' ')) : 1;
        }
      }
    });
    for (const uint64_t part : covered)
      summary.coveredWords += part;
  }

  void describe() {
    auto &meta = library_.meta;
    library_.serial = options_.serial;
    meta["name"] = domain_;
    meta["tool.version"] = std::to_string(SEMDNS_VERSION_MAJOR) + "." +
                           std::to_string(SEMDNS_VERSION_MINOR) + "." +
                           std::to_string(SEMDNS_VERSION_PATCH);
    meta["tool.icu"] = U_ICU_VERSION;
    meta["tool.zstd"] = ZSTD_versionString();
    meta["mine.min_support"] = std::to_string(options_.minSupport);
    meta["mine.max_patterns"] = std::to_string(options_.maxPatterns);
    meta["mine.dict_size"] = std::to_string(options_.dictionarySize);
    meta["mine.max_size"] = std::to_string(options_.maxSize);
    meta["mine.statistics"] = options_.statistics ? "kept" : "left out";
    meta["mine.codecs"] = std::to_string(options_.codecs);
    meta["mine.k_anonymity"] = std::to_string(options_.kAnonymity);
    meta["mine.near_duplicates"] = options_.keepDuplicates ? "kept" : "dropped";
  }

  Options options_;
  Diagnostics &diags_;
  Summary &summary_;
  const unsigned threads_;
  std::string domain_;
  patterns::PatternLibrary library_;
  Vocabulary vocabulary_;
  std::optional<Documents> documents_, background_;
  std::vector<uint32_t> covered_;          ///< shards, of partial libraries
  uint32_t shards_ = 0;                    ///< of how many
  mutable std::vector<uint32_t> previous_; ///< by byDigest
  std::vector<uint32_t> kept_;             ///< documents that count, by digest
  std::vector<uint32_t> owners_;           ///< of each of these
  std::vector<Place> places_;              ///< their tokens, sorted by owner
  std::vector<std::vector<uint32_t>> excluded_;
  Grams grams_, slottedGrams_, lineGrams_;
  std::vector<Place> slottedPlaces_, linePlaces_;
  Spool<uint32_t> lineStream_;               ///< frequent lines alone
  std::vector<bool> isHeld_;                 ///< of each of kept_
  std::string heldText_;                     ///< what is measured on; empty: too little
  uint64_t plainBytes_ = 0;                  ///< of it, compressed without help
  std::string trained_;                      ///< the dictionary, until the library takes it
  std::vector<patterns::Pattern> inherited_; ///< templates and skeletons of merged libraries
  std::optional<Finished> parent_, base_;
  std::map<std::pair<semdns_pattern_kind, std::string_view>, const patterns::Pattern *>
      parentPatterns_;
  std::vector<std::vector<bool>> inBase_; ///< [words][index] with --base: whether it counted there
  bool backgroundKnown_ = true;           ///< of n-grams that the base does not have
  uint64_t mass_ = 0;                     ///< sum of the document frequencies of all words
  uint64_t backgroundMass_ = 0;           ///< the same of the background
};

} // namespace

std::optional<patterns::PatternLibrary> mine(const Options &options, Diagnostics &diags,
                                             Summary &summary) {
  return Miner(options, diags, summary).run();
}

} // namespace semdns::mine
