#include "lib/codec/model.h"

#include "lib/codec/vocabulary.h"
#include "lib/support/parallel.h"
#include "runtime/codec/model_predict.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace semdns::codec {
namespace {

using namespace model;

// ---- frozen states
// -------------------------------------------------------------------------------

// What a node has seen in the corpus, as one byte. 0: the context is not in the tables; 1: it is,
// the node is not; then counts up to 4 in all exactly; then six sizes by 40 shares of ones.
constexpr int kExactStates = 14, kShares = 40, kSizes = 6;
constexpr uint32_t kSizeFrom[kSizes] = {5, 8, 13, 23, 49, 121};

struct StateTables {
  double odds[kShares - 3]; // between the shares 1..kShares - 2, ascending
  StateTables() {
    double o = 1.0 / 190; // the ends, 190 to 1; equal steps of the log-odds between
    const double step = 1.3383;
    for (double &x : odds) {
      x = o;
      o *= step;
    }
  }
};

uint8_t stateOf(uint32_t n0, uint32_t n1, const StateTables &tables) {
  const uint32_t n = n0 + n1;
  if (!n)
    return 1;
  if (n <= 4) {
    const uint32_t base[5] = {0, 0, 2, 5, 9};
    return uint8_t(2 + base[n] + n1);
  }
  int size = kSizes - 1;
  while (n < kSizeFrom[size])
    --size;
  int share = 0;
  if (!n0) {
    share = kShares - 1;
  } else if (n1) {
    share = 1;
    for (const double o : tables.odds)
      share += double(n1) > o * double(n0);
  }
  return uint8_t(2 + kExactStates + size * kShares + share);
}

// A probability of a 1 to begin with, for the states of corpus and document together.
double priorOf(uint8_t state, const DocumentState &d, const StateTables &tables) {
  double n0 = 0, n1 = 0;
  if (state >= 2 && state < 2 + kExactStates) {
    const int i = state - 2;
    const int n = i < 2 ? 1 : i < 5 ? 2 : i < 9 ? 3 : 4;
    n1 = i - (n == 1 ? 0 : n == 2 ? 2 : n == 3 ? 5 : 9);
    n0 = n - n1;
  } else if (state >= 2) {
    const int i = state - 2 - kExactStates, size = i / kShares, share = i % kShares;
    const double n = kSizeFrom[size] * 1.3;
    const double odds = share == 0             ? 0
                        : share == kShares - 1 ? 1e9
                                               : tables.odds[std::max(0, share - 2)] * 1.15;
    n1 = n * (odds / (1 + odds));
    n0 = n - n1;
  }
  n0 += 3.0 * d.n0;
  n1 += 3.0 * d.n1;
  return (n1 + 0.3) / (n0 + n1 + 0.6);
}

// ---- counting
// ------------------------------------------------------------------------------------

struct Document {
  uint32_t number;
  const void *symbols;
  uint32_t count;
};

struct Bucket {
  uint32_t hash, first, weight; // weight: occurrences; first: the first subtree's hash, or its own
  uint8_t states[15];
};

// A subtree that a document's symbol went through.
struct Event {
  uint32_t hash, first, document; // first: the hash of its context's first subtree where they share
                                  // a window, else its own
  uint8_t path, bits;
};

// A context of K on its own: the compiler drops the others' arithmetic.
template <class K, int kContext> struct Counter {
  using Symbol = typename K::Symbol;

  // Calls visit(event) in order. Tables much larger than the cache are asked for ahead of it: by
  // soon(event) long before, by next(event) shortly before.
  template <class Soon, class Next, class Visit>
  static void walk(const View &view, const std::vector<Document> &documents, Soon &&soon,
                   Next &&next, Visit &&visit) {
    constexpr uint32_t kRing = 32;
    Event ring[kRing];
    uint32_t count = 0;
    for (const Document &document : documents) {
      const auto *symbols = static_cast<const Symbol *>(document.symbols);
      History<K> history(view);
      for (uint32_t i = 0; i < document.count; ++i) {
        uint32_t contexts[K::kContexts];
        history.contexts(symbols, contexts);
        uint32_t code = symbols[i], length = 8;
        if constexpr (K::kKind == SEMDNS_MODEL_TOKENS) {
          length = view.tokenLengths[code];
          code = view.tokenCodes[code];
        }
        for (uint32_t depth = 0; depth < length; depth += 4) {
          const uint32_t prefix = 1u << depth | (depth ? code >> (length - depth) : 0u);
          const uint32_t bits = std::min(4u, length - depth);
          const uint32_t path = code >> (length - depth - bits) & ((1u << bits) - 1);
          const uint32_t hash = bucketHash(contexts[kContext], prefix);
          const bool near = depth && !(K::kSpread >> kContext & 1);
          const uint32_t first = near ? bucketHash(contexts[kContext], 1) : hash;
          if (count >= kRing)
            visit(ring[count % kRing]);
          ring[count % kRing] = {hash, first, document.number, uint8_t(path), uint8_t(bits)};
          soon(ring[count % kRing]);
          if (count >= kRing / 2)
            next(ring[(count - kRing / 2) % kRing]);
          ++count;
        }
        history.push(symbols, symbols[i]);
      }
    }
    for (uint32_t i = count > kRing ? count - kRing : 0; i != count; ++i)
      visit(ring[i % kRing]);
  }

  static std::vector<Bucket> count(const View &view, const std::vector<Document> &documents,
                                   uint32_t minDocuments, const StateTables &tables) {
    uint64_t symbols = 0;
    for (const Document &d : documents)
      symbols += d.count;
    // First which contexts enough documents have: a cell holds the last document and how many.
    uint32_t cellBits = 16;
    while (cellBits < 27 && (uint64_t{1} << cellBits) < symbols * 4)
      ++cellBits;
    std::vector<uint32_t> cells(size_t{1} << cellBits);
    auto cellOf = [&](const Event &e) -> uint32_t & {
      return cells[e.hash * 0x9e3779b1u >> (32 - cellBits)];
    };
    uint64_t kept = 0;
    walk(
        view, documents, [&](const Event &e) { __builtin_prefetch(&cellOf(e), 1); },
        [](const Event &) {},
        [&](const Event &e) {
          uint32_t &cell = cellOf(e);
          const uint32_t n = cell & 255;
          if (n >= minDocuments || (n && cell >> 8 == (e.document & 0xffffff)))
            return;
          cell = e.document << 8 | (n + 1);
          kept += n + 1 == minDocuments;
        });
    // Then what follows these.
    struct Slot {
      uint32_t hash, first, weight;
      uint8_t n[15][2];
    };
    uint32_t slotBits = 10;
    while ((uint64_t{1} << slotBits) < kept * 3 / 2 + 1)
      ++slotBits;
    std::vector<Slot> slots(size_t{1} << slotBits, Slot{});
    const uint32_t mask = (1u << slotBits) - 1;
    auto slotOf = [&](const Event &e) {
      return uint32_t(uint64_t{e.hash * 0xc2b2ae35u} >> (32 - slotBits));
    };
    uint64_t used = 0;
    walk(
        view, documents, [&](const Event &e) { __builtin_prefetch(&cellOf(e)); },
        [&](const Event &e) {
          if ((cellOf(e) & 255) >= minDocuments)
            __builtin_prefetch(&slots[slotOf(e)], 1);
        },
        [&](const Event &e) {
          if ((cellOf(e) & 255) < minDocuments)
            return;
          uint32_t i = slotOf(e);
          while (slots[i].weight && slots[i].hash != e.hash)
            i = (i + 1) & mask;
          Slot &slot = slots[i];
          if (!slot.weight) {
            // Rare: contexts that share a cell outnumber what was planned for.
            if (used >= (uint64_t{mask} + 1) * 15 / 16)
              return;
            ++used;
            slot.hash = e.hash;
            slot.first = e.first;
          }
          slot.weight += slot.weight != ~0u;
          uint32_t node = 1;
          for (uint32_t b = e.bits; b-- > 0;) {
            const uint32_t bit = e.path >> b & 1;
            uint8_t *n = slot.n[node - 1];
            if (n[bit] == 255) {
              n[0] = uint8_t(n[0] >> 1);
              n[1] = uint8_t(n[1] >> 1);
            }
            ++n[bit];
            node = node << 1 | bit;
          }
        });
    cells = {};
    std::vector<Bucket> out;
    out.reserve(used);
    for (const Slot &slot : slots)
      if (slot.weight > 1) {
        Bucket b{slot.hash, slot.first, slot.weight, {}};
        for (int k = 0; k < 15; ++k)
          b.states[k] = stateOf(slot.n[k][0], slot.n[k][1], tables);
        out.push_back(b);
      }
    return out;
  }
};

template <class K, size_t... kContext>
std::vector<Bucket> countContext(std::index_sequence<kContext...>, size_t context, const View &view,
                                 const std::vector<Document> &documents, uint32_t minDocuments,
                                 const StateTables &tables) {
  std::vector<Bucket> out;
  (void)((context == kContext &&
          (out = Counter<K, int(kContext)>::count(view, documents, minDocuments, tables), true)) ||
         ...);
  return out;
}

// The lines of the frozen table: the buckets that occur most often, at most `maxLines` lines.
template <class K>
std::vector<uint8_t> buildLines(const View &view, const std::vector<Document> &documents,
                                const ModelOptions &options, uint64_t maxLines,
                                const StateTables &tables) {
  std::vector<std::vector<Bucket>> counted(K::kContexts);
  parallelFor(size_t{K::kContexts}, threadsFor(options.threads), [&](size_t c) {
    counted[c] = countContext<K>(std::make_index_sequence<K::kContexts>{}, c, view, documents,
                                 std::max(1u, options.minDocuments), tables);
  });
  std::vector<Bucket> all;
  for (auto &buckets : counted) {
    all.insert(all.end(), buckets.begin(), buckets.end());
    buckets = {};
  }
  uint64_t lines =
      std::clamp<uint64_t>(all.size() * 10 / 27, kWindow, maxLines) / kWindow * kWindow;
  // Each line keeps the four that occur most often; of those with the same check byte, one.
  auto lineOf = [&](const Bucket &b) {
    return b.first == b.hash ? bucketLine(b.hash, uint32_t(lines))
                             : laterLine(b.first, b.hash, uint32_t(lines));
  };
  std::vector<uint32_t> start(lines + 1, 0);
  for (const Bucket &b : all)
    ++start[lineOf(b) + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<uint32_t> order(all.size());
  {
    std::vector<uint32_t> next(start.begin(), start.end() - 1);
    for (size_t i = 0; i < all.size(); ++i)
      order[next[lineOf(all[i])]++] = uint32_t(i);
  }
  std::vector<uint8_t> out(lines * 64, 0);
  for (uint64_t l = 0; l < lines; ++l) {
    std::sort(order.begin() + start[l], order.begin() + start[l + 1], [&](uint32_t a, uint32_t b) {
      return all[a].weight != all[b].weight ? all[a].weight > all[b].weight : a < b;
    });
    uint8_t *line = out.data() + 64 * l;
    int used = 0;
    for (uint32_t i = start[l]; i < start[l + 1] && used < 4; ++i) {
      const Bucket &b = all[order[i]];
      const uint8_t check = bucketCheck(b.hash);
      bool taken = false;
      for (int k = 0; k < used; ++k)
        taken |= line[16 * k] == check;
      if (taken)
        continue;
      line[16 * used] = check;
      memcpy(line + 16 * used + 1, b.states, 15);
      ++used;
    }
  }
  return out;
}

// What follows three and two symbols most often, as findSuccessor() finds it.
template <class K>
std::vector<uint32_t> buildSuccessors(const View &view, const std::vector<Document> &documents,
                                      const ModelOptions &options, uint64_t maxLines) {
  struct Best {
    uint32_t hash, entry, weight;
  };
  std::vector<Best> found[kGuessSources];
  parallelFor(kGuessSources - 1, threadsFor(options.threads), [&](size_t k) {
    const int source = int(k) + 1;
    struct Seen {
      uint32_t hash;
      uint16_t symbol, document; // the document's low bits: enough to tell two apart, mostly
      bool operator<(const Seen &o) const {
        return hash != o.hash       ? hash < o.hash
               : symbol != o.symbol ? symbol < o.symbol
                                    : document < o.document;
      }
    };
    std::vector<Seen> all;
    for (const Document &d : documents) {
      const auto *symbols = static_cast<const typename K::Symbol *>(d.symbols);
      History<K> history(view);
      for (uint32_t i = 0; i < d.count; ++i) {
        if (i >= 4 - uint32_t(source))
          all.push_back({history.successorHash(source), symbols[i], uint16_t(d.number)});
        history.push(symbols, symbols[i]);
      }
    }
    std::sort(all.begin(), all.end());
    for (size_t i = 0, end; i < all.size(); i = end) {
      uint32_t most = 0, symbol = 0, documentsOfMost = 0;
      for (end = i; end < all.size() && all[end].hash == all[i].hash;) {
        size_t next = end;
        uint32_t distinct = 0;
        for (; next < all.size() && all[next].hash == all[i].hash &&
               all[next].symbol == all[end].symbol;
             ++next)
          distinct += next == end || all[next].document != all[next - 1].document;
        if (next - end > most) {
          most = uint32_t(next - end);
          symbol = all[end].symbol;
          documentsOfMost = distinct;
        }
        end = next;
      }
      const uint32_t n = uint32_t(end - i);
      if (documentsOfMost < std::max(1u, options.minDocuments) || uint64_t{most} * 8 < n)
        continue;
      // 1..15: five shares of the most frequent by three sizes.
      const uint32_t tenths = uint32_t(uint64_t{most} * 10 / n);
      const uint32_t share = tenths < 3   ? 0u
                             : tenths < 5 ? 1u
                             : tenths < 7 ? 2u
                             : tenths < 9 ? 3u
                                          : 4u;
      const uint32_t size = n < 4 ? 0u : n < 12 ? 1u : 2u;
      found[k + 1].push_back(
          {all[i].hash, (all[i].hash & 0xfff) << 20 | (1 + share * 3 + size) << 16 | symbol, n});
    }
  });
  std::vector<Best> all = std::move(found[1]);
  all.insert(all.end(), found[2].begin(), found[2].end());
  const uint64_t lines = std::clamp<uint64_t>(all.size() / 12, 1, maxLines);
  std::sort(all.begin(), all.end(), [&](const Best &a, const Best &b) {
    const uint32_t x = bucketLine(a.hash, uint32_t(lines)), y = bucketLine(b.hash, uint32_t(lines));
    return x != y ? x < y : a.weight != b.weight ? a.weight > b.weight : a.entry < b.entry;
  });
  std::vector<uint32_t> out(lines * 16, 0);
  for (size_t i = 0, end; i < all.size(); i = end) {
    const uint32_t line = bucketLine(all[i].hash, uint32_t(lines));
    for (end = i; end < all.size() && bucketLine(all[end].hash, uint32_t(lines)) == line; ++end)
      if (end - i < 16)
        out[size_t{line} * 16 + (end - i)] = all[end].entry;
  }
  return out;
}

// ---- fitting
// -------------------------------------------------------------------------------------

// Log-odds of each probability.
std::vector<int16_t> stretchTable() {
  std::vector<int16_t> t(65536);
  int x = -kMaxLogit;
  for (uint32_t p = 0; p < 65536; ++p) {
    while (x < kMaxLogit && squash(x) < p)
      ++x;
    t[p] = int16_t(x);
  }
  return t;
}

struct Adaptive {
  uint32_t p = 1u << 31; // 32 bits of probability
  uint32_t n = 0;

  void update(uint32_t bit, uint32_t limit) {
    const int64_t target = bit ? 0xffffffff : 0;
    p = uint32_t(int64_t{p} + (target - int64_t{p}) / int64_t(n + 2));
    n += n < limit;
  }
};

// Writes codes to nowhere.
struct NoCoder {
  static constexpr bool kDecode = false;
  uint32_t code(uint32_t bit, uint32_t) { return bit; }
};

// Fits what is frozen beside the counts, while documents that are not in the counts are coded.
template <class K> struct Teacher {
  static constexpr bool kOn = true;
  std::vector<int16_t> jointLogits, matchLogits, guessLogits;
  std::vector<int32_t> weights, last, guessWeights;
  std::vector<uint16_t> refinement;
  std::vector<Adaptive> joints, matched, guesses;
  std::vector<int16_t> stretch = stretchTable();
  bool fitRefinement = false;
  uint32_t pull = 256; // share of a document's change to the weights that is kept, 1/256
  double bits = 0;

  explicit Teacher(const StateTables &tables) {
    joints.resize(size_t{K::kContexts} * 256 * kDocumentStates);
    jointLogits.resize(joints.size());
    for (int s = 0; s < 256; ++s)
      for (int d = 0; d < kDocumentStates; ++d) {
        const double p = priorOf(uint8_t(s), kDocumentState[d], tables);
        for (int c = 0; c < K::kContexts; ++c) {
          const size_t j = (size_t(c) * 256 + size_t(s)) * kDocumentStates + size_t(d);
          joints[j].p = uint32_t(p * 4294967295.0);
          joints[j].n = 6;
          jointLogits[j] = stretch[joints[j].p >> 16];
        }
        if (s == 0 && d == 0)
          for (int c = 0; c < K::kContexts; ++c)
            jointLogits[size_t(c) * 256 * kDocumentStates] = 0;
      }
    matched.resize(2 * kMatchLengths * kMatchBits);
    matchLogits.resize(matched.size());
    for (size_t m = 0; m < matched.size(); ++m) {
      const size_t length = m / kMatchBits % kMatchLengths;
      matched[m].p = ~0u - ~0u / uint32_t(length + 4);
      matched[m].n = 4;
      matchLogits[m] = stretch[matched[m].p >> 16];
    }
    if (K::kGuesses) {
      guesses.resize(kGuessTables);
      guessLogits.resize(kGuessTables);
      for (size_t g = 0; g < guesses.size(); ++g) {
        guesses[g].p = ~0u / 2;
        guesses[g].n = 2;
        guessLogits[g] = stretch[guesses[g].p >> 16];
      }
      guessWeights.assign(kGuessSets * kGuessInputs, kWeightOne / 3);
    }
    weights.assign(size_t{K::kAllSets} * K::kInputs, 0);
    for (int s = 0; s < K::kAllSets; ++s)
      for (int i = 0; i < K::kContexts + 2; ++i)
        weights[size_t(s) * K::kInputs + size_t(i)] = kWeightOne / 5;
    last.assign(kLastSets * kLastInputs, 0);
    for (int s = 0; s < kLastSets; ++s)
      for (int i = 0; i < K::kMixers; ++i)
        last[size_t(s) * kLastInputs + size_t(i)] = kWeightOne / K::kMixers;
    refinement.resize(size_t{2} * K::kRows * kRefineSteps);
    for (size_t r = 0; r < refinement.size(); ++r) {
      const int logit = int(r % kRefineSteps) * 256 - kMaxLogit - 1;
      refinement[r] = uint16_t(squash(clampLogit(logit)));
    }
  }

  void joint(uint32_t j, uint32_t bit) {
    joints[j].update(bit, 1000);
    jointLogits[j] = stretch[joints[j].p >> 16];
  }
  void match(uint32_t m, bool right) {
    matched[m].update(right, 2000);
    matchLogits[m] = stretch[matched[m].p >> 16];
  }
  void guess(uint32_t g, bool right) {
    guesses[g].update(right, 1000);
    guessLogits[g] = stretch[guesses[g].p >> 16];
  }
  void refine(uint32_t at, uint32_t fraction, uint32_t bit) {
    if (!fitRefinement)
      return;
    for (uint32_t k = 0; k < 2; ++k) {
      const int share = int(k ? fraction : 256 - fraction);
      int p = refinement[at + k];
      p += ((bit ? 65535 : 0) - p) * share / (256 * 48);
      refinement[at + k] = uint16_t(p);
    }
  }
  void cost(uint32_t, uint32_t) {}
  void finish(const int32_t *w, const int32_t *l, const int32_t *g) {
    for (size_t i = 0; i < guessWeights.size(); ++i)
      guessWeights[i] += int32_t(int64_t{g[i] - guessWeights[i]} * pull / 256);
    for (size_t i = 0; i < weights.size(); ++i)
      weights[i] += int32_t(int64_t{w[i] - weights[i]} * pull / 256);
    for (size_t i = 0; i < last.size(); ++i)
      last[i] += int32_t(int64_t{l[i] - last[i]} * pull / 256);
  }

  void show(View &view) const {
    view.joint = jointLogits.data();
    view.matched = matchLogits.data();
    view.guess = guessLogits.data();
    view.guessWeights = guessWeights.data();
    view.weights = weights.data();
    view.last = last.data();
    view.refine = refinement.data();
  }
};

#if defined(__x86_64__) && defined(__GNUC__)
#define SEMDNS_MODEL_WIDE __attribute__((target("avx2,bmi,bmi2")))
bool runsWide() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"); }
#else
#define SEMDNS_MODEL_WIDE
bool runsWide() { return false; }
#endif

// The same arithmetic, hence the same results, by two levels of the instruction set.
template <class K>
SEMDNS_MODEL_INLINE void teach(const View &view, const std::string &text, void *scratch,
                               Teacher<K> &teacher) {
  NoCoder coder;
  codeDocument<K>(view, coder, reinterpret_cast<const uint8_t *>(text.data()),
                  static_cast<uint8_t *>(nullptr), text.size(), scratch, teacher);
}
template <class K>
void teachPlain(const View &view, const std::string &text, void *scratch, Teacher<K> &teacher) {
  teach<K>(view, text, scratch, teacher);
}
template <class K>
SEMDNS_MODEL_WIDE void teachWide(const View &view, const std::string &text, void *scratch,
                                 Teacher<K> &teacher) {
  teach<K>(view, text, scratch, teacher);
}

template <class K>
void fit(View view, const std::vector<std::string> &contexts, Teacher<K> &teacher, uint32_t rate) {
  size_t longest = 0;
  for (const std::string &c : contexts)
    longest = std::max(longest, c.size());
  std::vector<uint8_t> memory(Workspace<K>::bytes(longest) + 64);
  void *scratch = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  teacher.show(view);
  const bool wide = runsWide();
  struct Epoch {
    uint32_t rate, pull;
    bool refine;
  };
  for (const Epoch &e : {Epoch{4 * rate, 256, false}, Epoch{rate, 48, true}}) {
    view.rate = e.rate;
    teacher.pull = e.pull;
    teacher.fitRefinement = e.refine;
    for (const std::string &c : contexts)
      wide ? teachWide(view, c, scratch, teacher) : teachPlain(view, c, scratch, teacher);
  }
}

uint64_t textHash(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : text)
    h = (h ^ uint8_t(c)) * UINT64_C(0x100000001b3);
  return (h ^ h >> 31) * UINT64_C(0x9e3779b97f4a7c15) >> 8;
}

// ---- all together
// --------------------------------------------------------------------------------

template <class K>
std::vector<uint8_t> build(std::span<const std::string_view> documents,
                           const ModelOptions &options) {
  using Symbol = typename K::Symbol;
  constexpr bool kTokens = K::kKind == SEMDNS_MODEL_TOKENS;
  const StateTables tables;
  View view{};
  view.kind = K::kKind;

  // Symbols.
  Vocabulary vocabulary;
  std::vector<std::vector<uint16_t>> tokenised;
  std::vector<Document> all;
  auto showVocabulary = [&] {
    view.tokenOffsets = vocabulary.offsets.data();
    view.tokenCodes = vocabulary.codes.data();
    view.tokenChildren = vocabulary.children.data();
    view.tokenParents = vocabulary.parents.data();
    view.tokenFirsts = vocabulary.firsts.data();
    view.tokenLengths = vocabulary.lengths.data();
    view.tokenBytes = vocabulary.bytes.data();
    view.tokenCount = vocabulary.size();
  };
  if constexpr (kTokens) {
    const std::vector<std::string> tokens =
        chooseTokens(documents, std::clamp(options.maxTokens, 512u, SEMDNS_MODEL_MAX_TOKENS),
                     options.minDocuments);
    vocabulary = tabulate(tokens);
    showVocabulary();
    tokenised.resize(documents.size());
    parallelFor(documents.size(), threadsFor(options.threads), [&](size_t d) {
      const auto *text = reinterpret_cast<const uint8_t *>(documents[d].data());
      const size_t n = documents[d].size();
      for (size_t at = 0; at < n;) {
        const uint32_t token = longestToken(view, text + at, n - at);
        tokenised[d].push_back(uint16_t(token));
        at += tokens[token].size();
      }
    });
    std::vector<uint64_t> counts(tokens.size(), 0);
    for (const auto &d : tokenised)
      for (const uint16_t t : d)
        ++counts[t];
    assignCodes(vocabulary, tokens, counts);
    showVocabulary();
  }
  for (size_t d = 0; d < documents.size(); ++d)
    if constexpr (kTokens)
      all.push_back({uint32_t(d), tokenised[d].data(), uint32_t(tokenised[d].size())});
    else
      all.push_back({uint32_t(d), documents[d].data(), uint32_t(documents[d].size())});

  // What the weights are fitted on: contexts of documents that the counts do not have meanwhile.
  std::vector<size_t> own;
  for (size_t d = options.parentDocuments; d < documents.size(); ++d)
    own.push_back(d);
  std::vector<uint64_t> hashes(documents.size());
  for (const size_t d : own)
    hashes[d] = textHash(documents[d]);
  std::sort(own.begin(), own.end(), [&](size_t a, size_t b) {
    return hashes[a] != hashes[b] ? hashes[a] < hashes[b] : a < b;
  });
  uint64_t ownBytes = 0;
  for (const size_t d : own)
    ownBytes += documents[d].size();
  std::vector<char> held(documents.size(), 0);
  std::vector<std::string> contexts;
  {
    const uint64_t wanted = std::min<uint64_t>(ownBytes / 8, 1600u << 10);
    std::string joined;
    for (const size_t d : own) {
      if (contexts.size() * uint64_t{4096} >= wanted)
        break;
      held[d] = 1;
      // No document, however long, gives more than a few contexts.
      joined += documents[d].substr(0, 20000);
      joined += '\n';
      for (; joined.size() >= 4096; joined.erase(0, 4096))
        contexts.push_back(joined.substr(0, 4096));
    }
    if (contexts.size() < 2)
      return {};
    std::sort(contexts.begin(), contexts.end(), [](const std::string &a, const std::string &b) {
      const uint64_t x = textHash(a), y = textHash(b);
      return x != y ? x < y : a < b;
    });
  }
  std::vector<Document> counted;
  for (const Document &d : all)
    if (!held[d.number])
      counted.push_back(d);

  // Sizes: the text takes at most two fifths.
  semdns_model_header header{};
  header.version = SEMDNS_MODEL_VERSION;
  header.kind = K::kKind;
  header.token_count = kTokens ? vocabulary.size() : 0;
  header.token_size = uint32_t(vocabulary.bytes.size());
  header.rate = kTokens ? 48 : 32;
  const uint64_t maxBytes = std::max<uint64_t>(options.maxBytes, 4u << 20);
  std::vector<Symbol> text;
  std::vector<uint32_t> index;
  auto setText = [&](const std::vector<Document> &from) {
    text.clear();
    index.clear();
    if (!options.keepText || K::kGuesses)
      return;
    for (const Document &d : from) {
      if ((text.size() + d.count) * sizeof(Symbol) > maxBytes / 5 ||
          text.size() + d.count > SEMDNS_MODEL_MAX_TEXT)
        break;
      const auto *s = static_cast<const Symbol *>(d.symbols);
      text.insert(text.end(), s, s + d.count);
    }
    uint32_t bits = 8;
    while (bits < SEMDNS_MODEL_MAX_INDEX_BITS && (uint64_t{1} << bits) < text.size() &&
           (uint64_t{8} << bits) <= maxBytes / 5)
      ++bits;
    index.assign(size_t{1} << bits, ~0u);
    for (size_t i = K::kLibraryMatch; i < text.size(); ++i)
      index[hashBack(text.data() + i, K::kLibraryMatch) >> (32 - bits)] = uint32_t(i);
    view.indexBits = bits;
    view.index = index.data();
    view.textCount = uint32_t(text.size());
    view.textBytes = reinterpret_cast<const uint8_t *>(text.data());
    view.textTokens = reinterpret_cast<const uint16_t *>(text.data());
  };
  std::vector<uint32_t> successors;
  auto setSuccessors = [&](const std::vector<Document> &from) {
    if constexpr (K::kGuesses) {
      successors = buildSuccessors<K>(view, from, options, maxBytes / 8 / 64);
      view.successors = successors.data();
      view.successorLines = uint32_t(successors.size() / 16);
    }
  };
  auto maxLines = [&] {
    header.successor_lines = view.successorLines;
    header.text_count = uint32_t(text.size());
    header.index_bits = text.empty() ? 0 : view.indexBits;
    header.line_count = 0;
    const uint64_t other = layoutOf<K>(header).size + 64;
    return std::clamp<uint64_t>((maxBytes - std::min(maxBytes, other)) / 64, kWindow,
                                SEMDNS_MODEL_MAX_LINES);
  };

  Teacher<K> teacher(tables);
  setText(counted);
  setSuccessors(counted);
  std::vector<uint8_t> lines = buildLines<K>(view, counted, options, maxLines(), tables);
  view.lines = lines.data();
  view.lineCount = uint32_t(lines.size() / 64);
  fit<K>(view, contexts, teacher, header.rate);

  setText(all);
  setSuccessors(all);
  lines = buildLines<K>(view, all, options, maxLines(), tables);
  header.successor_lines = view.successorLines;
  header.text_count = uint32_t(text.size());
  header.index_bits = text.empty() ? 0 : view.indexBits;
  header.line_count = uint32_t(lines.size() / 64);
  const Layout l = layoutOf<K>(header);
  std::vector<uint8_t> out(l.size, 0);
  auto put = [&](uint64_t at, const auto &values) {
    if (!values.empty())
      memcpy(out.data() + at, values.data(), values.size() * sizeof values[0]);
  };
  memcpy(out.data(), &header, sizeof header);
  put(l.joint, teacher.jointLogits);
  put(l.matched, teacher.matchLogits);
  put(l.guess, teacher.guessLogits);
  put(l.guessWeights, teacher.guessWeights);
  put(l.weights, teacher.weights);
  put(l.last, teacher.last);
  put(l.refine, teacher.refinement);
  if constexpr (kTokens) {
    put(l.tokenOffsets, vocabulary.offsets);
    put(l.tokenCodes, vocabulary.codes);
    put(l.tokenChildren, vocabulary.children);
    put(l.tokenParents, vocabulary.parents);
    put(l.tokenFirsts, vocabulary.firsts);
    put(l.tokenLengths, vocabulary.lengths);
    put(l.tokenBytes, vocabulary.bytes);
  }
  put(l.lines, lines);
  put(l.successors, successors);
  put(l.text, text);
  put(l.index, index);
  return out;
}

} // namespace

std::vector<uint8_t> buildModel(std::span<const std::string_view> documents,
                                const ModelOptions &options) {
  return options.kind == SEMDNS_MODEL_TOKENS ? build<Tokens>(documents, options)
                                             : build<Bytes>(documents, options);
}

} // namespace semdns::codec
