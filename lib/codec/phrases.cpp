#include "lib/codec/phrases.h"

#include "runtime/codec/turbo.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>

namespace semdns::codec {
namespace {

constexpr uint32_t kNone = UINT32_MAX, kCopy = kNone - 1;
constexpr uint32_t kMinCount = 4;             ///< occurrences of a pair that is joined
constexpr uint32_t kMaxCandidates = 1u << 19; ///< before pruning
constexpr size_t kPiece = 4096, kLongPiece = 32768;
constexpr uint32_t kClasses = 256; ///< the copies' included
constexpr uint32_t kRounds = 4;    ///< of exchanging
constexpr uint32_t kMaxInClass = 8192;

// ---- Candidates
// ----------------------------------------------------------------------------------

/// Counts of 64-bit keys; open addressing.
class Counter {
public:
  explicit Counter(size_t expected) {
    size_t size = 1 << 12;
    while (size < expected * 2)
      size *= 2;
    keys_.assign(size, kEmpty);
    counts_.assign(size, 0);
  }
  uint32_t &operator[](uint64_t key) {
    size_t at = place(key);
    if (keys_[at] == kEmpty) {
      if (++used_ * 3 > keys_.size() * 2) {
        grow();
        at = place(key);
      }
      keys_[at] = key;
    }
    return counts_[at];
  }
  uint32_t find(uint64_t key) const {
    const size_t at = place(key);
    return keys_[at] == key ? counts_[at] : 0;
  }
  template <typename Visit> void forEach(Visit visit) const {
    for (size_t i = 0; i < keys_.size(); ++i)
      if (keys_[i] != kEmpty)
        visit(keys_[i], counts_[i]);
  }

private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  size_t place(uint64_t key) const {
    const size_t mask = keys_.size() - 1;
    uint64_t h = (key ^ key >> 29) * 0x9e3779b97f4a7c15u;
    size_t at = size_t(h ^ h >> 32) & mask;
    while (keys_[at] != kEmpty && keys_[at] != key)
      at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<uint64_t> keys(keys_.size() * 2, kEmpty);
    std::vector<uint32_t> counts(keys.size(), 0);
    keys.swap(keys_);
    counts.swap(counts_);
    for (size_t i = 0; i < keys.size(); ++i)
      if (keys[i] != kEmpty) {
        const size_t at = place(keys[i]);
        keys_[at] = keys[i];
        counts_[at] = counts[i];
      }
  }
  std::vector<uint64_t> keys_;
  std::vector<uint32_t> counts_;
  size_t used_ = 0;
};

struct Phrase {
  std::string text;
  uint64_t count = 0;  ///< uses in the parse
  uint32_t owners = 0; ///< whose documents use it
  uint32_t last = 0;   ///< owner + 1 that used it last
};

/// Joins neighbours, the most frequent pairs first; `phrases` begins with the 256 bytes.
std::vector<Phrase> joinPairs(std::span<const std::string_view> documents) {
  std::vector<Phrase> phrases(256);
  std::unordered_map<std::string, uint32_t> known;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    phrases[byte].text.assign(1, char(byte));
    known.emplace(phrases[byte].text, byte);
  }
  std::vector<uint32_t> stream;
  for (const std::string_view document : documents) {
    for (const char c : document)
      stream.push_back(uint8_t(c));
    stream.push_back(kNone);
  }
  uint64_t threshold = 0;
  while (phrases.size() < kMaxCandidates) {
    Counter pairs(threshold ? 1 << 18 : 1 << 16);
    for (size_t i = 0; i + 1 < stream.size(); ++i)
      if (stream[i] != kNone && stream[i + 1] != kNone)
        ++pairs[uint64_t(stream[i]) << 32 | stream[i + 1]];
    struct Pair {
      uint64_t key;
      uint32_t count;
    };
    std::vector<Pair> found;
    uint32_t most = 0;
    pairs.forEach([&](uint64_t, uint32_t count) { most = std::max(most, count); });
    threshold = threshold ? std::min<uint64_t>(threshold * 5 / 8, most) : most / 3;
    threshold = std::max<uint64_t>(threshold, kMinCount);
    pairs.forEach([&](uint64_t key, uint32_t count) {
      if (count >= threshold &&
          phrases[key >> 32].text.size() + phrases[uint32_t(key)].text.size() <=
              SEMDNS_PHRS_MAX_PHRASE)
        found.push_back({key, count});
    });
    if (found.empty() && threshold == kMinCount)
      break;
    std::sort(found.begin(), found.end(), [](const Pair &a, const Pair &b) {
      return a.count != b.count ? a.count > b.count : a.key < b.key;
    });
    found.resize(std::min<size_t>(found.size(), kMaxCandidates - phrases.size()));
    Counter joined(found.size()); // pair -> phrase
    for (const Pair &pair : found) {
      std::string text = phrases[pair.key >> 32].text + phrases[uint32_t(pair.key)].text;
      const auto [it, fresh] = known.emplace(std::move(text), uint32_t(phrases.size()));
      if (fresh)
        phrases.push_back({it->first});
      joined[pair.key] = it->second;
    }
    size_t to = 0;
    for (size_t i = 0; i < stream.size();) {
      uint32_t phrase = 0;
      if (i + 1 < stream.size() && stream[i] != kNone && stream[i + 1] != kNone)
        phrase = joined.find(uint64_t(stream[i]) << 32 | stream[i + 1]);
      if (phrase) {
        stream[to++] = phrase;
        i += 2;
      } else {
        stream[to++] = stream[i++];
      }
    }
    stream.resize(to);
    if (threshold == kMinCount && found.size() < 1000)
      break;
  }
  for (const uint32_t phrase : stream)
    if (phrase != kNone)
      ++phrases[phrase].count;
  return phrases;
}

// ---- Parsing
// -------------------------------------------------------------------------------------

struct IndexDelete {
  void operator()(TurboIndex *index) const {
    freeIndex(*index);
    delete index;
  }
};
using Index = std::unique_ptr<TurboIndex, IndexDelete>;

/// Counts of copies' codes, and how many there are.
struct Copies {
  uint64_t count = 0;
  uint64_t lengths[SEMDNS_PHRS_LENGTHS] = {}, distances[SEMDNS_PHRS_DISTANCES] = {};
};

uint32_t costOf(uint64_t count, uint64_t total) {
  // Shares down to 2^-24, in 24 bits.
  const uint64_t share = std::max<uint64_t>((count << 24) / std::max<uint64_t>(total, 1), 1);
  return bitCost(uint32_t(std::min<uint64_t>(share, 1u << 24)), 24);
}

void copyCosts(const Copies &copies, TurboIndex &index) {
  uint64_t lengths = 0, distances = 0;
  for (const uint64_t n : copies.lengths)
    lengths += n + 1;
  for (const uint64_t n : copies.distances)
    distances += n + 1;
  for (uint32_t i = 0; i < SEMDNS_PHRS_LENGTHS; ++i)
    index.lengthCost[i] =
        costOf(copies.lengths[i] + 1, lengths) + (i < 16 ? 0 : ((i - 16) / 2 + 3) * kBit);
  for (uint32_t i = 0; i < SEMDNS_PHRS_DISTANCES; ++i)
    index.distanceCost[i] =
        costOf(copies.distances[i] + 1, distances) + (i < 4 ? 0 : ((i - 4) / 2 + 1) * kBit);
}

/// An index over `phrases` by their counts; `classOf` and `classCost` may be empty: one class,
/// whose cost is nothing, and copies'.
Index makeIndex(const std::vector<Phrase> &phrases, const std::vector<uint16_t> &classOf,
                const std::vector<uint64_t> &classTotal, const std::vector<uint16_t> &classCost,
                uint32_t classes, const Copies &copies) {
  Index index(new TurboIndex);
  index->classes = classes;
  index->classCost =
      static_cast<uint16_t *>(malloc(size_t(classes + 1) * classes * sizeof(uint16_t)));
  uint64_t total = copies.count;
  for (const Phrase &p : phrases)
    total += p.count;
  if (classCost.empty()) {
    for (uint32_t row = 0; row <= classes; ++row)
      for (uint32_t c = 0; c < classes; ++c)
        index->classCost[row * classes + c] =
            c + 1 == classes ? uint16_t(costOf(copies.count + 1, total)) : uint16_t(0);
  } else {
    std::copy(classCost.begin(), classCost.end(), index->classCost);
  }
  copyCosts(copies, *index);
  std::vector<uint32_t> order(phrases.size());
  for (uint32_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return phrases[a].text < phrases[b].text; });
  std::vector<TurboPhrase> sorted;
  sorted.reserve(order.size());
  for (const uint32_t i : order) {
    const uint16_t c = classOf.empty() ? uint16_t(0) : classOf[i];
    const uint64_t whole = classOf.empty() ? total : classTotal[c];
    sorted.push_back({reinterpret_cast<const uint8_t *>(phrases[i].text.data()),
                      uint32_t(phrases[i].text.size()), i,
                      uint16_t(std::min<uint32_t>(costOf(phrases[i].count, whole), 65535)), c});
  }
  if (!buildTrie(sorted.data(), uint32_t(sorted.size()), *index))
    return nullptr;
  return index;
}

struct Corpus {
  std::span<const std::string_view> documents;
  std::span<const uint32_t> owners;
};

/// Calls visit(owner, tokens of one piece in order). Pieces are what copies may reach back in.
template <typename Visit>
void parsePieces(const Corpus &corpus, const TurboIndex &index, Visit visit) {
  const auto documents = corpus.documents;
  std::vector<uint8_t> scratch(turboParseScratch() + 64);
  std::vector<TurboStep> tokens;
  uint32_t piece = 0;
  for (uint32_t d = 0; d < documents.size(); ++d) {
    const auto *text = reinterpret_cast<const uint8_t *>(documents[d].data());
    for (size_t from = 0, size; from < documents[d].size(); from += size) {
      size = std::min(documents[d].size() - from, ++piece % 8 ? kPiece : kLongPiece);
      const TurboStep *steps = turboParse(index, text + from, size, scratch.data());
      tokens.clear();
      for (size_t at = size; at; at -= steps[at].length)
        tokens.push_back(steps[at]);
      std::reverse(tokens.begin(), tokens.end());
      visit(corpus.owners[d], tokens);
    }
  }
}

/// Parses, and counts what is used. Returns the tokens: phrases, kCopy, and kNone where a piece
/// begins.
std::vector<uint32_t> recount(const Corpus &corpus, const TurboIndex &index,
                              std::vector<Phrase> &phrases, Copies &copies) {
  for (Phrase &p : phrases)
    p.count = p.owners = p.last = 0;
  copies = {};
  std::vector<uint32_t> stream;
  parsePieces(corpus, index, [&](uint32_t owner, const std::vector<TurboStep> &tokens) {
    stream.push_back(kNone);
    for (const TurboStep &token : tokens) {
      stream.push_back(token.distance ? kCopy : token.phrase);
      if (token.distance) {
        ++copies.count;
        ++copies.lengths[lengthCode(token.length).code];
        ++copies.distances[distanceCode(token.distance).code];
        continue;
      }
      Phrase &p = phrases[token.phrase];
      ++p.count;
      if (p.last != owner + 1) {
        p.last = owner + 1;
        ++p.owners;
      }
    }
  });
  return stream;
}

/// What a phrase's text costs without it.
uint32_t costWithout(const TurboIndex &index, const std::string &text) {
  uint32_t best[SEMDNS_PHRS_MAX_PHRASE + 1];
  const auto size = uint32_t(text.size());
  std::fill(best, best + size + 1, UINT32_MAX);
  best[0] = 0;
  for (uint32_t i = 0; i < size; ++i) {
    uint32_t link = index.units[0].link;
    for (uint32_t depth = 0; i + depth < size;) {
      const uint32_t label = uint8_t(text[i + depth]), node = (link >> kTrieBase) ^ label;
      link = index.units[node].link;
      if ((link & (kTrieUsed | 255)) != (label | kTrieUsed))
        break;
      ++depth;
      if (link & kTrieEnd && depth < size)
        best[i + depth] = std::min(best[i + depth], best[i] + index.units[node].cost);
      if (!(link >> kTrieBase))
        break;
    }
  }
  return best[size];
}

/// Bytes that a phrase takes in the section.
uint64_t sectionBytes(const Phrase &p) { return p.text.size() + 6; }

/// Keeps the single bytes and the phrases that save the most for their size, within `budget` bytes.
void prune(std::vector<Phrase> &phrases, const TurboIndex &index, uint64_t budget,
           uint32_t minDocuments) {
  uint64_t total = 0;
  for (const Phrase &p : phrases)
    total += p.count;
  struct Ranked {
    uint64_t worth;
    uint32_t phrase;
  };
  std::vector<Ranked> ranked;
  for (uint32_t i = 256; i < phrases.size(); ++i) {
    const Phrase &p = phrases[i];
    if (p.owners < minDocuments || p.count < 2)
      continue;
    const uint32_t with = costOf(p.count, total), without = costWithout(index, p.text);
    if (without > with)
      ranked.push_back({(p.count - 1) * (without - with) * 16 / sectionBytes(p), i});
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked &a, const Ranked &b) {
    return a.worth != b.worth ? a.worth > b.worth : a.phrase < b.phrase;
  });
  std::vector<Phrase> kept(phrases.begin(), phrases.begin() + 256);
  uint64_t bytes = 0;
  for (const Phrase &p : kept)
    bytes += sectionBytes(p);
  for (const Ranked &r : ranked) {
    bytes += sectionBytes(phrases[r.phrase]);
    if (bytes > budget)
      break;
    kept.push_back(std::move(phrases[r.phrase]));
  }
  phrases = std::move(kept);
}

// ---- Classes
// -------------------------------------------------------------------------------------

/// n * log2(n) in 1/2^16.
class NLogN {
public:
  NLogN() : table_(1 << 16) {
    for (uint32_t n = 1; n < table_.size(); ++n)
      table_[n] = n * log2(n);
  }
  int64_t operator()(int64_t n) const {
    if (n < int64_t(table_.size()))
      return table_[size_t(n)];
    return n * log2(uint64_t(n));
  }

private:
  static int64_t log2(uint64_t n) {
    const int octave = 63 - __builtin_clzll(n);
    uint64_t mantissa = octave > 31 ? n >> (octave - 31) : n << (31 - octave);
    int64_t result = octave;
    for (int i = 0; i < 16; ++i) {
      mantissa = mantissa * mantissa >> 31;
      const int64_t carry = int64_t(mantissa >> 32);
      mantissa >>= carry;
      result = result << 1 | carry;
    }
    return result;
  }
  std::vector<int64_t> table_;
};

/// Classes by exchange: each phrase in turn moves to the class under which the bigram model of
/// classes likes the stream best. Copies and beginnings are contexts that stay what they are.
class Exchange {
public:
  /// `stream`: phrases, kNone where a piece begins, kCopy for a copy.
  Exchange(const std::vector<uint32_t> &stream, std::vector<Phrase> &phrases, uint32_t classes)
      : classes_(classes), rows_(classes + 1), classOf_(phrases.size()), members_(classes),
        bigrams_(size_t(rows_) * rows_), left_(rows_), right_(rows_) {
    std::vector<uint32_t> order(phrases.size());
    for (uint32_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return phrases[a].count != phrases[b].count ? phrases[a].count > phrases[b].count : a < b;
    });
    order_ = order;
    const uint32_t movable = classes - 1;
    for (uint32_t i = 0; i < order.size(); ++i) {
      classOf_[order[i]] = uint16_t(i < movable ? i : startClass(phrases[order[i]].text, movable));
      ++members_[classOf_[order[i]]];
    }
    gather(stream);
  }

  void run(const std::function<void(uint32_t)> &progress) {
    for (uint32_t round = 0; round < kRounds; ++round) {
      uint64_t moved = 0;
      for (const uint32_t phrase : order_)
        moved += improve(phrase);
      if (progress)
        progress(round);
      if (moved * 200 < order_.size())
        break;
    }
  }
  const std::vector<uint16_t> &classOf() const { return classOf_; }

private:
  /// Phrases that begin and end alike start together.
  static uint32_t startClass(const std::string &text, uint32_t classes) {
    const auto kind = [](char c) -> uint32_t {
      if (c >= 'a' && c <= 'z')
        return 1;
      if (c >= 'A' && c <= 'Z')
        return 2;
      if (c >= '0' && c <= '9')
        return 3;
      if (c == ' ')
        return 4;
      if (c == '\n')
        return 5;
      return c == '.' || c == ',' || c == ';' ? 6 : 7;
    };
    const auto last = uint32_t(uint8_t(text.back()));
    return (kind(text.front()) * 31 + last * 7) % classes;
  }

  uint32_t unitOf(uint32_t token) const {
    return token == kNone ? classes_ : token == kCopy ? classes_ - 1 : classOf_[token];
  }

  /// Neighbours of each phrase, and the bigrams of classes.
  void gather(const std::vector<uint32_t> &stream) {
    const size_t n = classOf_.size();
    std::vector<uint32_t> after(n + 1), before(n + 1);
    for (size_t i = 0; i + 1 < stream.size(); ++i) {
      if (stream[i + 1] == kNone)
        continue;
      const uint32_t a = stream[i], b = stream[i + 1];
      ++bigrams_[size_t(unitOf(a)) * rows_ + unitOf(b)];
      if (a < n)
        ++after[a + 1];
      if (b < n)
        ++before[b + 1];
    }
    for (size_t i = 0; i < n; ++i) {
      after[i + 1] += after[i];
      before[i + 1] += before[i];
    }
    afterAt_ = after;
    beforeAt_ = before;
    after_.resize(after[n]);
    before_.resize(before[n]);
    for (size_t i = 0; i + 1 < stream.size(); ++i) {
      if (stream[i + 1] == kNone)
        continue;
      const uint32_t a = stream[i], b = stream[i + 1];
      if (a < n)
        after_[after[a]++] = b;
      if (b < n)
        before_[before[b]++] = a;
    }
    for (uint32_t a = 0; a < rows_; ++a)
      for (uint32_t b = 0; b < rows_; ++b) {
        left_[a] += bigrams_[size_t(a) * rows_ + b];
        right_[b] += bigrams_[size_t(a) * rows_ + b];
      }
  }

  struct Neighbour {
    uint32_t unit;
    int64_t count;
  };
  void collect(const std::vector<uint32_t> &tokens, uint32_t from, uint32_t to, uint32_t self,
               std::vector<int64_t> &counts, std::vector<Neighbour> &out, int64_t &selfCount) {
    out.clear();
    for (uint32_t i = from; i < to; ++i) {
      if (tokens[i] == self) {
        ++selfCount;
        continue;
      }
      const uint32_t unit = unitOf(tokens[i]);
      if (!counts[unit]++)
        out.push_back({unit, 0});
    }
    for (Neighbour &n : out) {
      n.count = counts[n.unit];
      counts[n.unit] = 0;
    }
  }

  /// Adds (sign 1) or takes (sign -1) the phrase's bigrams to or from class c.
  void apply(uint32_t c, int64_t sign) {
    for (const Neighbour &n : following_)
      bigrams_[size_t(c) * rows_ + n.unit] += sign * n.count;
    for (const Neighbour &n : preceding_)
      bigrams_[size_t(n.unit) * rows_ + c] += sign * n.count;
    bigrams_[size_t(c) * rows_ + c] += sign * self_;
    left_[c] += sign * leftCount_;
    right_[c] += sign * rightCount_;
  }

  bool improve(uint32_t phrase) {
    if (scratch_.empty())
      scratch_.resize(rows_);
    const uint32_t own = classOf_[phrase];
    int64_t twice = 0;
    self_ = 0;
    collect(after_, afterAt_[phrase], afterAt_[phrase + 1], phrase, scratch_, following_, self_);
    collect(before_, beforeAt_[phrase], beforeAt_[phrase + 1], phrase, scratch_, preceding_, twice);
    leftCount_ = int64_t(afterAt_[phrase + 1]) - afterAt_[phrase];
    rightCount_ = int64_t(beforeAt_[phrase + 1]) - beforeAt_[phrase];
    if (!leftCount_ && !rightCount_)
      return false;
    apply(own, -1);
    int64_t best = INT64_MIN;
    uint32_t bestClass = own;
    for (uint32_t c = 0; c + 1 < classes_; ++c) {
      if (members_[c] >= kMaxInClass && c != own)
        continue;
      int64_t gain = 0;
      const int64_t *row = &bigrams_[size_t(c) * rows_];
      for (const Neighbour &n : following_)
        gain += f_(row[n.unit] + n.count) - f_(row[n.unit]);
      for (const Neighbour &n : preceding_) {
        const int64_t had = bigrams_[size_t(n.unit) * rows_ + c];
        gain += f_(had + n.count) - f_(had);
      }
      if (self_)
        gain += f_(row[c] + self_) - f_(row[c]);
      gain -= f_(left_[c] + leftCount_) - f_(left_[c]);
      gain -= f_(right_[c] + rightCount_) - f_(right_[c]);
      if (gain > best || (gain == best && c == own)) {
        best = gain;
        bestClass = c;
      }
    }
    apply(bestClass, 1);
    if (bestClass == own)
      return false;
    // No class may die out.
    if (members_[own] == 1) {
      apply(bestClass, -1);
      apply(own, 1);
      return false;
    }
    --members_[own];
    ++members_[bestClass];
    classOf_[phrase] = uint16_t(bestClass);
    return true;
  }

  uint32_t classes_, rows_;
  std::vector<uint16_t> classOf_;
  std::vector<uint32_t> members_, order_;
  std::vector<int64_t> bigrams_; ///< [rows_][rows_]; row classes_: the beginning
  std::vector<int64_t> left_, right_;
  std::vector<uint32_t> afterAt_, beforeAt_, after_, before_;
  std::vector<int64_t> scratch_;
  std::vector<Neighbour> following_, preceding_;
  int64_t self_ = 0, leftCount_ = 0, rightCount_ = 0;
  NLogN f_;
};

// ---- Frequencies
// ---------------------------------------------------------------------------------

/// Cumulative frequencies of sum 2^bits, each at least 1, in proportion to `weights`.
void quantise(const std::vector<uint64_t> &weights, uint32_t bits, uint16_t *starts) {
  uint64_t total = 0;
  for (const uint64_t w : weights)
    total += w;
  const uint64_t room = (uint64_t(1) << bits) - weights.size();
  // One each, then by share of what remains: the running sum decides, so that nothing is lost.
  uint64_t sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    starts[i] =
        uint16_t(i + (total ? uint64_t(static_cast<unsigned __int128>(sum) * room / total) : 0));
    sum += weights[i];
  }
}

/// What a phrase used c times by d owners is expected to be used in a text of none of them: as
/// often as the owners but one, and a little for what never was seen. In 1/16.
uint64_t expected(const Phrase &p) {
  const uint64_t d = std::max(p.owners, 1u);
  return p.count * 16 * (d - 1) / d + 4;
}

struct Model {
  std::vector<uint16_t> classStart, lengthStart, distanceStart, classCost;
  std::vector<uint64_t> classTotal;
};

/// Frequencies of classes by the class before.
void countClasses(const std::vector<uint32_t> &stream, const std::vector<uint16_t> &classOf,
                  uint32_t classes, Model &model) {
  std::vector<uint64_t> counts(size_t(classes + 1) * classes), all(classes);
  const auto unit = [&](uint32_t token) -> uint32_t {
    return token == kNone ? classes : token == kCopy ? classes - 1 : classOf[token];
  };
  for (size_t i = 0; i + 1 < stream.size(); ++i)
    if (stream[i + 1] != kNone) {
      ++counts[size_t(unit(stream[i])) * classes + unit(stream[i + 1])];
      ++all[unit(stream[i + 1])];
    }
  uint64_t total = 0;
  for (uint64_t &n : all)
    total += ++n;
  model.classStart.resize(counts.size());
  model.classCost.resize(counts.size());
  std::vector<uint64_t> weights(classes);
  for (uint32_t row = 0; row <= classes; ++row) {
    // A few observations of what follows in general smooth those of this class.
    for (uint32_t c = 0; c < classes; ++c)
      weights[c] = counts[size_t(row) * classes + c] * 4096 + all[c] * 16 * 4096 / total;
    uint16_t *starts = &model.classStart[size_t(row) * classes];
    quantise(weights, SEMDNS_PHRS_CLASS_BITS, starts);
    for (uint32_t c = 0; c < classes; ++c) {
      const uint32_t next = c + 1 < classes ? starts[c + 1] : 1u << SEMDNS_PHRS_CLASS_BITS;
      model.classCost[size_t(row) * classes + c] =
          uint16_t(bitCost(next - starts[c], SEMDNS_PHRS_CLASS_BITS));
    }
  }
}

void countCopies(const Copies &copies, Model &model) {
  std::vector<uint64_t> weights;
  for (const uint64_t n : copies.lengths)
    weights.push_back(n * 8 + 1);
  model.lengthStart.resize(weights.size());
  quantise(weights, SEMDNS_PHRS_COPY_BITS, model.lengthStart.data());
  weights.clear();
  for (const uint64_t n : copies.distances)
    weights.push_back(n * 8 + 1);
  model.distanceStart.resize(weights.size());
  quantise(weights, SEMDNS_PHRS_COPY_BITS, model.distanceStart.data());
}

// ---- The section
// ---------------------------------------------------------------------------------

class SectionBytes {
public:
  template <typename T> void array(const std::vector<T> &values) {
    bytes_.resize((bytes_.size() + 63) & ~size_t(63));
    const auto *from = reinterpret_cast<const uint8_t *>(values.data());
    bytes_.insert(bytes_.end(), from, from + values.size() * sizeof(T));
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

private:
  std::vector<uint8_t> bytes_;
};

std::vector<uint8_t> pack(const std::vector<Phrase> &phrases, const std::vector<uint16_t> &classOf,
                          uint32_t classes, const Model &model) {
  std::vector<uint32_t> order(phrases.size());
  for (uint32_t i = 0; i < order.size(); ++i)
    order[i] = i;
  // The most frequent of a class first: they share cache lines.
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (classOf[a] != classOf[b])
      return classOf[a] < classOf[b];
    if (phrases[a].count != phrases[b].count)
      return phrases[a].count > phrases[b].count;
    return phrases[a].text < phrases[b].text;
  });
  std::vector<uint32_t> classFirst(classes), textOffset;
  std::vector<uint16_t> phraseStart(phrases.size()), coarse;
  std::vector<uint8_t> text;
  for (uint32_t c = 0, at = 0; c < classes; ++c) {
    classFirst[c] = at;
    std::vector<uint64_t> weights;
    for (; at < order.size() && classOf[order[at]] == c; ++at) {
      const Phrase &p = phrases[order[at]];
      weights.push_back(expected(p));
      textOffset.push_back(uint32_t(text.size()));
      text.insert(text.end(), p.text.begin(), p.text.end());
    }
    quantise(weights, SEMDNS_PHRS_PHRASE_BITS, phraseStart.data() + classFirst[c]);
  }
  semdns_phrs_header header{};
  header.phrase_count = uint32_t(phrases.size());
  header.classes = classes;
  header.text_bytes = uint32_t(text.size());
  textOffset.push_back(header.text_bytes);
  text.resize(text.size() + SEMDNS_PHRS_SLACK);
  for (uint32_t row = 0; row <= classes; ++row)
    for (uint32_t i = 0; i < 16; ++i)
      coarse.push_back(model.classStart[size_t(row) * classes + i * (classes / 16)]);
  SectionBytes section;
  section.array(std::vector<semdns_phrs_header>{header});
  section.array(model.classStart);
  section.array(coarse);
  section.array(classFirst);
  section.array(phraseStart);
  section.array(textOffset);
  section.array(model.lengthStart);
  section.array(model.distanceStart);
  section.array(text);
  return section.take();
}

} // namespace

std::vector<uint8_t> buildPhrases(std::span<const std::string_view> documents,
                                  std::span<const uint32_t> owners, const PhraseOptions &options,
                                  std::string &why) {
  const auto tell = [&](uint32_t part) {
    if (options.progress)
      options.progress(part);
  };
  uint64_t bytes = 0;
  for (const std::string_view document : documents)
    bytes += document.size();
  if (documents.size() < options.minDocuments || bytes < 4096) {
    why = std::to_string(documents.size()) + " documents of " + std::to_string(bytes) +
          " bytes are too few to learn phrases from";
    return {};
  }
  // Small corpora cannot fill many classes.
  uint32_t classes = kClasses;
  while (classes > 16 && bytes / classes < 4096)
    classes /= 2;
  const uint64_t fixed =
      sizeof(semdns_phrs_header) + uint64_t(classes + 1) * (classes + 16) * 2 + classes * 4 + 1024;
  if (options.maxBytes < fixed + 256 * 8) {
    why = "the tables take at least " + std::to_string(fixed + 256 * 8) + " bytes";
    return {};
  }
  const uint64_t budget = options.maxBytes - fixed;

  const Corpus corpus{documents, owners};
  std::vector<Phrase> phrases = joinPairs(documents);
  tell(300);
  Copies copies;
  copies.count = bytes / 200; // a first guess, which the parse corrects
  for (uint32_t round = 0; round < 3; ++round) {
    for (Phrase &p : phrases)
      p.count += 1;
    Index index = makeIndex(phrases, {}, {}, {}, 16, copies);
    if (!index) {
      why = "no memory for a trie";
      return {};
    }
    recount(corpus, *index, phrases, copies);
    prune(phrases, *index,
          round == 0   ? budget * 2
          : round == 1 ? budget * 5 / 4
                       : budget,
          options.minDocuments);
    tell(400 + 100 * round);
  }
  for (Phrase &p : phrases)
    p.count += 1;
  Index index = makeIndex(phrases, {}, {}, {}, 16, copies);
  std::vector<uint32_t> stream = recount(corpus, *index, phrases, copies);
  Exchange exchange(stream, phrases, classes);
  exchange.run([&](uint32_t round) { tell(700 + 50 * round); });
  const std::vector<uint16_t> &classOf = exchange.classOf();
  Model model;
  for (uint32_t round = 0;; ++round) {
    countClasses(stream, classOf, classes, model);
    model.classTotal.assign(classes, 0);
    if (round == 1)
      break;
    // With the classes' costs other ways are cheapest.
    for (uint32_t i = 0; i < phrases.size(); ++i) {
      phrases[i].count = expected(phrases[i]);
      model.classTotal[classOf[i]] += phrases[i].count;
    }
    index = makeIndex(phrases, classOf, model.classTotal, model.classCost, classes, copies);
    stream = recount(corpus, *index, phrases, copies);
    tell(950);
  }
  countCopies(copies, model);
  return pack(phrases, classOf, classes, model);
}

} // namespace semdns::codec
