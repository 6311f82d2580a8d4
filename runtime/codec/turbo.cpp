#include "runtime/codec/turbo.h"

#include "runtime/base/checked.h"

#include <stdlib.h>
#include <string.h>

namespace semdns::codec {
namespace {

using base::load;

constexpr uint32_t kClassBits = SEMDNS_PHRS_CLASS_BITS, kPhraseBits = SEMDNS_PHRS_PHRASE_BITS,
                   kCopyBits = SEMDNS_PHRS_COPY_BITS;
constexpr uint32_t kMinCopy = SEMDNS_PHRS_MIN_COPY;
/// The coder's state lies in [kLow, 2^32); 16 bits at a time leave and enter it.
constexpr uint32_t kLow = 1u << 16;

uint32_t floorLog2(uint32_t x) { return 31 - static_cast<uint32_t>(__builtin_clz(x)); }

/// Values below `direct` (a power of two) have codes of their own; above, two codes an octave.
TurboCode bucket(uint32_t value, uint32_t direct) {
  if (value < direct)
    return {value, 0, 0};
  const uint32_t octave = floorLog2(value), first = floorLog2(direct);
  const uint32_t bits = octave - 1;
  return {direct + (octave - first) * 2 + (value >> bits & 1), bits, value & ((1u << bits) - 1)};
}
/// The smallest value of a code, and its bits.
uint32_t bucketBase(uint32_t code, uint32_t direct, uint32_t &bits) {
  bits = 0;
  if (code < direct)
    return code;
  const uint32_t octave = floorLog2(direct) + (code - direct) / 2;
  bits = octave - 1;
  return (2 + ((code - direct) & 1)) << bits;
}
constexpr uint32_t kDirectLengths = 16, kDirectDistances = 4;

// ---- Decoding ----------------------------------------------------------------------------------

/// The last of `count` ascending values that is <= slot.
inline uint32_t searchLast(const uint16_t *starts, uint32_t count, uint32_t slot) {
  uint32_t low = 0;
  for (uint32_t step = count; step > 1;) {
    const uint32_t half = step / 2;
    low += starts[low + half] <= slot ? half : 0;
    step -= half;
  }
  return low;
}

/// How many of 16 values are <= slot.
inline uint32_t count16(const uint16_t *values, uint32_t slot) {
  uint32_t n = 0;
  for (int i = 0; i < 16; ++i)
    n += values[i] <= slot;
  return n;
}

struct Decoder {
  const uint8_t *in, *end;
  uint32_t state;

  /// Consumes a symbol of [start, start + size) that `slot`, the state's low bits, lies in.
  bool take(uint32_t slot, uint32_t start, uint32_t size, uint32_t bits) {
    state = size * (state >> bits) + slot - start;
    if (state < kLow) {
      if (end - in < 2)
        return false;
      state = state << 16 | load<uint16_t>(in);
      in += 2;
    }
    return true;
  }
  bool code(const uint16_t *starts, uint32_t count, uint32_t &code) {
    const uint32_t slot = state & ((1u << kCopyBits) - 1);
    code = searchLast(starts, count, slot);
    const uint32_t next = code + 1 < count ? starts[code + 1] : 1u << kCopyBits;
    return take(slot, starts[code], next - starts[code], kCopyBits);
  }
  bool bits(uint32_t count, uint32_t &value) {
    value = 0;
    if (!count)
      return true;
    const uint32_t slot = state & 0xffff;
    value = slot >> (16 - count);
    return take(slot, value << (16 - count), 1u << (16 - count), 16);
  }
};

// ---- Encoding ----------------------------------------------------------------------------------

/// Symbols go in last first; bytes are laid down from the end.
struct Encoder {
  uint8_t *begin, *at;
  uint32_t state = kLow;
  bool full = false;

  void put(uint32_t start, uint32_t size, uint32_t bits) {
    if (state >= uint64_t{size} << (32 - bits)) {
      if (at - begin < 2) {
        full = true;
        return;
      }
      at -= 2;
      const auto low = static_cast<uint16_t>(state);
      memcpy(at, &low, 2);
      state >>= 16;
    }
    state = (state / size << bits) + state % size + start;
  }
  void code(const uint16_t *starts, uint32_t count, uint32_t code) {
    const uint32_t next = code + 1 < count ? starts[code + 1] : 1u << kCopyBits;
    put(starts[code], next - starts[code], kCopyBits);
  }
  void bits(uint32_t count, uint32_t value) {
    if (count)
      put(value << (16 - count), 1u << (16 - count), 16);
  }
};

/// Children lie at base ^ label: within one block of 256.
constexpr uint32_t kMaxUnits = 1u << 22;

constexpr uint32_t kHashBits = 14, kChain = 4;
constexpr uint32_t kNice = 64; ///< a copy this long ends the search

constexpr uint32_t kSettled = 10; ///< bytes before a long copy's end from which others are sought
constexpr uint32_t kShort = 32;   ///< lengths whose cost is looked up

/// Equal bytes at a and b, of which kMinCopy are known to be; at most `limit`.
uint32_t commonLength(const uint8_t *a, const uint8_t *b, uint32_t limit) {
  uint32_t length = kMinCopy;
  for (; length + 8 <= limit; length += 8)
    if (const uint64_t different = load<uint64_t>(a + length) ^ load<uint64_t>(b + length))
      return length + (static_cast<uint32_t>(__builtin_ctzll(different)) >> 3);
  while (length < limit && a[length] == b[length])
    ++length;
  return length;
}

uint32_t hash4(uint32_t bytes, uint32_t bits) { return bytes * 0x9e3779b1u >> (32 - bits); }

/// The phrases that begin at each of a few positions. Their ways through the trie are independent,
/// so they are walked in step: one waits for memory while the others go on.
constexpr uint32_t kLanes = 4;
struct Matches {
  struct Lane {
    uint32_t count;
    uint32_t nodes[SEMDNS_PHRS_MAX_PHRASE];
    uint8_t lengths[SEMDNS_PHRS_MAX_PHRASE];
  };
  Lane lanes[kLanes];

  void find(const TurboUnit *units, const uint8_t *in, size_t rest) {
    const size_t longest = SEMDNS_PHRS_MAX_PHRASE;
    uint32_t links[kLanes], open = 0;
    size_t limits[kLanes];
    for (uint32_t l = 0; l < kLanes; ++l) {
      lanes[l].count = 0;
      links[l] = units[0].link;
      limits[l] = rest <= l ? 0 : rest - l < longest ? rest - l : longest;
      open |= (limits[l] ? 1u : 0u) << l;
    }
    for (size_t depth = 0; open; ++depth)
      for (uint32_t left = open; left; left &= left - 1) {
        const auto l = static_cast<uint32_t>(__builtin_ctz(left));
        const uint32_t label = in[l + depth];
        const uint32_t node = (links[l] >> kTrieBase) ^ label;
        const uint32_t link = units[node].link;
        if ((link & (kTrieUsed | 255)) != (label | kTrieUsed)) {
          open &= ~(1u << l);
          continue;
        }
        links[l] = link;
        Lane &lane = lanes[l];
        // Written always, kept if a phrase ends here.
        lane.nodes[lane.count] = node;
        lane.lengths[lane.count] = static_cast<uint8_t>(depth + 1);
        lane.count += link >> 9 & 1;
        if (!(link >> kTrieBase) || depth + 1 == limits[l])
          open &= ~(1u << l);
      }
  }
};

struct ParseScratch {
  TurboStep steps[kMaxBlock + 1];
  uint32_t previous[kMaxBlock]; ///< position + 1 with the same hash
  uint32_t heads[1u << kHashBits];
};

} // namespace

TurboCode lengthCode(uint32_t length) { return bucket(length - kMinCopy, kDirectLengths); }
TurboCode distanceCode(uint32_t distance) { return bucket(distance - 1, kDirectDistances); }

uint32_t bitCost(uint32_t part, uint32_t bits) {
  // log2 in 1/256: the mantissa is squared eight times.
  const uint32_t octave = floorLog2(part);
  uint64_t mantissa = uint64_t{part} << (31 - octave); // [2^31, 2^32)
  uint32_t fraction = 0;
  for (int i = 0; i < 8; ++i) {
    mantissa = mantissa * mantissa >> 31;
    fraction <<= 1;
    if (mantissa >> 32) {
      fraction |= 1;
      mantissa >>= 1;
    }
  }
  return bits * kBit - (octave * kBit + fraction);
}

// ---- The trie ----------------------------------------------------------------------------------

namespace {

/// Lays a double array out, node by node; grows as it needs to.
class TrieBuilder {
public:
  TrieBuilder(const TurboPhrase *sorted, TurboIndex &out) : sorted_(sorted), out_(out) {}

  bool build(uint32_t count) {
    if (!grow())
      return false;
    out_.units[0].link = kTrieUsed;
    free_[0].isBase = true; // no base: no children
    return place(0, 0, count, 0);
  }

private:
  bool grow() {
    const uint32_t old = out_.unitCount, size = old ? old * 2 : 1u << 12;
    if (size > kMaxUnits)
      return false;
    auto *units = static_cast<TurboUnit *>(realloc(out_.units, size * sizeof(TurboUnit)));
    if (units)
      out_.units = units;
    auto *phrases = static_cast<uint32_t *>(realloc(out_.phraseOf, size * sizeof(uint32_t)));
    if (phrases)
      out_.phraseOf = phrases;
    auto *free = static_cast<Unit *>(realloc(free_, size * sizeof(Unit)));
    if (free)
      free_ = free;
    if (!units || !phrases || !free)
      return false;
    memset(units + old, 0, (size - old) * sizeof(TurboUnit));
    memset(phrases + old, 0, (size - old) * sizeof(uint32_t));
    // Unit 0 is the root, and the list's head and tail.
    if (!old)
      free_[0] = {};
    for (uint32_t i = old ? old : 1; i < size; ++i) {
      const uint32_t tail = free_[0].before;
      free_[i] = {0, tail, false};
      free_[tail].next = i;
      free_[0].before = i;
    }
    out_.unitCount = size;
    return true;
  }

  void use(uint32_t unit) {
    free_[free_[unit].before].next = free_[unit].next;
    free_[free_[unit].next].before = free_[unit].before;
  }

  /// The children of `node`, which stands for what phrases [from, to) share: `depth` bytes.
  bool place(uint32_t node, uint32_t from, uint32_t to, uint32_t depth) {
    if (from < to && sorted_[from].size == depth) {
      TurboUnit &unit = out_.units[node];
      unit = {unit.link | kTrieEnd, sorted_[from].cost, sorted_[from].classOf};
      out_.phraseOf[node] = sorted_[from].phrase;
      ++from;
    }
    if (from == to)
      return true;
    uint8_t labels[256];
    uint32_t count = 0;
    for (uint32_t i = from; i < to; ++i)
      if (i == from || sorted_[i].text[depth] != sorted_[i - 1].text[depth])
        labels[count++] = sorted_[i].text[depth];
    uint32_t base;
    if (!findBase(labels, count, base))
      return false;
    free_[base].isBase = true;
    out_.units[node].link |= base << kTrieBase;
    for (uint32_t i = 0; i < count; ++i) {
      out_.units[base ^ labels[i]].link = labels[i] | kTrieUsed;
      use(base ^ labels[i]);
    }
    for (uint32_t i = 0, begin = from; i < count; ++i) {
      uint32_t end = begin + 1;
      while (end < to && sorted_[end].text[depth] == labels[i])
        ++end;
      if (!place(base ^ labels[i], begin, end, depth + 1))
        return false;
      begin = end;
    }
    return true;
  }

  bool fits(uint32_t base, const uint8_t *labels, uint32_t count) const {
    if (free_[base].isBase)
      return false;
    for (uint32_t i = 0; i < count; ++i)
      if (out_.units[base ^ labels[i]].link)
        return false;
    return true;
  }

  bool findBase(const uint8_t *labels, uint32_t count, uint32_t &base) {
    uint32_t at = free_[0].next;
    for (uint32_t tries = 0; at && tries < kTries; at = free_[at].next, ++tries)
      if (base = at ^ labels[0], fits(base, labels, count))
        return true;
    // Further on, never back: what is left behind is for nodes with fewer children.
    for (;;) {
      while (far_ < out_.unitCount && out_.units[far_].link)
        ++far_;
      for (at = far_; at && at < out_.unitCount; far_ = at, at = free_[at].next)
        if (base = at ^ labels[0], fits(base, labels, count))
          return true;
      far_ = out_.unitCount;
      if (!grow())
        return false;
    }
  }

public:
  ~TrieBuilder() { free(free_); }
  TrieBuilder(const TrieBuilder &) = delete;
  TrieBuilder &operator=(const TrieBuilder &) = delete;

private:
  static constexpr uint32_t kTries = 32;
  const TurboPhrase *sorted_;
  TurboIndex &out_;
  struct Unit {
    uint32_t next, before; ///< of the list of free units
    bool isBase;           ///< some node's children lie around it
  };
  Unit *free_ = nullptr;
  uint32_t far_ = 1;
};

} // namespace

bool buildTrie(const TurboPhrase *sorted, uint32_t count, TurboIndex &out) {
  return TrieBuilder(sorted, out).build(count);
}

void freeIndex(TurboIndex &index) {
  free(index.units);
  free(index.phraseOf);
  free(index.classCost);
  index = {};
}

namespace {

int comparePhrases(const void *a, const void *b) {
  const auto *x = static_cast<const TurboPhrase *>(a);
  const auto *y = static_cast<const TurboPhrase *>(b);
  const int c = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
  return c ? c : x->size < y->size ? -1 : x->size > y->size;
}

bool fillIndex(const PhraseTables &t, TurboIndex &index) {
  const uint32_t classes = t.classes, copies = classes - 1;
  index.classes = classes;
  index.classCost =
      static_cast<uint16_t *>(malloc(size_t{classes + 1} * classes * sizeof(uint16_t)));
  auto *phrases = static_cast<TurboPhrase *>(malloc(t.phrases * sizeof(TurboPhrase)));
  bool good = index.classCost && phrases;
  for (uint32_t row = 0; good && row <= classes; ++row)
    for (uint32_t c = 0; c < classes; ++c) {
      const uint16_t *starts = t.classStart + size_t{row} * classes;
      const uint32_t next = c + 1 < classes ? starts[c + 1] : 1u << kClassBits;
      index.classCost[size_t{row} * classes + c] =
          static_cast<uint16_t>(bitCost(next - starts[c], kClassBits));
    }
  for (uint32_t c = 0; good && c < copies; ++c)
    for (uint32_t p = t.classFirst[c]; p < t.classFirst[c + 1]; ++p) {
      const uint32_t next = p + 1 < t.classFirst[c + 1] ? t.phraseStart[p + 1] : 1u << kPhraseBits;
      const auto cost = static_cast<uint16_t>(bitCost(next - t.phraseStart[p], kPhraseBits));
      phrases[p] = {t.text + t.textOffset[p], t.textOffset[p + 1] - t.textOffset[p], p, cost,
                    static_cast<uint16_t>(c)};
    }
  const auto copyCost = [](const uint16_t *starts, uint32_t count, uint32_t direct, uint32_t *out) {
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t bits;
      bucketBase(i, direct, bits);
      const uint32_t next = i + 1 < count ? starts[i + 1] : 1u << kCopyBits;
      out[i] = bitCost(next - starts[i], kCopyBits) + bits * kBit;
    }
  };
  if (good) {
    copyCost(t.lengthStart, SEMDNS_PHRS_LENGTHS, kDirectLengths, index.lengthCost);
    copyCost(t.distanceStart, SEMDNS_PHRS_DISTANCES, kDirectDistances, index.distanceCost);
    qsort(phrases, t.phrases, sizeof *phrases, comparePhrases);
    for (uint32_t p = 1; good && p < t.phrases; ++p)
      good = comparePhrases(&phrases[p - 1], &phrases[p]) != 0;
    good = good && buildTrie(phrases, t.phrases, index);
  }
  free(phrases);
  for (uint32_t byte = 0; good && byte < 256; ++byte) {
    const uint32_t unit = (index.units[0].link >> kTrieBase) ^ byte;
    good = unit < index.unitCount &&
           (index.units[unit].link & (kTrieEnd | kTrieUsed | 255)) == (kTrieEnd | kTrieUsed | byte);
  }
  return good;
}

} // namespace

TurboIndex *openTurboIndex(const PhraseTables &tables) {
  auto *index = static_cast<TurboIndex *>(calloc(1, sizeof(TurboIndex)));
  if (index && !fillIndex(tables, *index)) {
    closeTurboIndex(index);
    return nullptr;
  }
  return index;
}

void closeTurboIndex(const TurboIndex *index) {
  if (!index)
    return;
  free(index->units);
  free(index->phraseOf);
  free(index->classCost);
  free(const_cast<TurboIndex *>(index));
}

size_t turboParseScratch() { return sizeof(ParseScratch); }

const TurboStep *turboParse(const TurboIndex &index, const uint8_t *in, size_t n, void *scratch) {
  auto &work = *static_cast<ParseScratch *>(scratch);
  TurboStep *steps = work.steps;
  const uint32_t classes = index.classes, copies = classes - 1;
  for (size_t i = 1; i <= n; ++i)
    steps[i].cost = UINT32_MAX;
  steps[0] = {0, 0, 0, 0, static_cast<uint16_t>(classes)};
  uint32_t hashBits = 8;
  while (hashBits < kHashBits && (1u << hashBits) < n)
    ++hashBits;
  memset(work.heads, 0, sizeof(uint32_t) << hashBits);

  uint32_t shortCost[kShort] = {};
  for (uint32_t l = kMinCopy; l < kShort; ++l)
    shortCost[l] = index.lengthCost[lengthCode(l).code];
  uint32_t settled = 0;
  Matches matches;
  for (uint32_t i = 0; i < n; ++i) {
    if (i % kLanes == 0)
      matches.find(index.units, in + i, n - i);
    const uint16_t *classCost = index.classCost + size_t{steps[i].classOf} * classes;
    const uint32_t here = steps[i].cost;
    const uint32_t rest = static_cast<uint32_t>(n) - i;
    const Matches::Lane &lane = matches.lanes[i % kLanes];
    for (uint32_t m = 0; m < lane.count; ++m) {
      const uint32_t node = lane.nodes[m], length = lane.lengths[m];
      const TurboUnit &unit = index.units[node];
      const uint32_t cost = here + unit.cost + classCost[unit.classOf];
      TurboStep &to = steps[i + length];
      if (cost < to.cost)
        to = {cost, node, static_cast<uint16_t>(length), 0, unit.classOf};
    }

    if (rest < kMinCopy)
      continue;
    const uint32_t bytes = load<uint32_t>(in + i);
    uint32_t &head = work.heads[hash4(bytes, hashBits)];
    uint32_t from = head, longest = kMinCopy - 1;
    work.previous[i] = from;
    head = i + 1;
    if (i < settled)
      continue;
    const uint32_t limit = rest < 65535 ? rest : 65535;
    for (uint32_t tries = 0; from && tries < kChain; ++tries, from = work.previous[from - 1]) {
      const uint8_t *a = in + from - 1, *b = in + i;
      if (load<uint32_t>(a) != bytes || (longest < rest && a[longest] != b[longest]))
        continue;
      const uint32_t length = commonLength(a, b, limit);
      if (length <= longest)
        continue;
      const uint32_t distance = i + 1 - from;
      const uint32_t fixed =
          here + classCost[copies] + index.distanceCost[distanceCode(distance).code];
      // Nearer copies are cheaper: this one adds the lengths that those before do not reach.
      uint32_t l = length - longest > kNice ? length - kNice : longest + 1;
      for (; l <= length; ++l) {
        const uint32_t cost =
            fixed + (l < kShort ? shortCost[l] : index.lengthCost[lengthCode(l).code]);
        TurboStep &to = steps[i + l];
        if (cost < to.cost)
          to = {cost, 0, static_cast<uint16_t>(l), static_cast<uint16_t>(distance),
                static_cast<uint16_t>(copies)};
      }
      longest = length;
      if (longest >= kNice)
        break;
    }
    // Within a long copy others are not worth the search.
    if (longest > 2 * kSettled)
      settled = i + longest - kSettled;
  }
  // Along the way taken, nodes become phrases.
  for (size_t at = n; at; at -= steps[at].length)
    if (!steps[at].distance)
      steps[at].phrase = index.phraseOf[steps[at].phrase];
  return steps;
}

// ---- The coder ---------------------------------------------------------------------------------

const char *attachPhrases(const uint8_t *bytes, size_t size, PhraseTables &out, uint64_t &at) {
  out = {};
  at = 0;
  if (reinterpret_cast<uintptr_t>(bytes) % 64)
    return "the section is not 64-byte aligned";
  if (size < sizeof(semdns_phrs_header))
    return "the section ends within its header";
  const auto header = load<semdns_phrs_header>(bytes);
  const uint32_t classes = header.classes, phrases = header.phrase_count;
  if (phrases < 256 || phrases > SEMDNS_PHRS_MAX_PHRASES || classes < 16 ||
      classes > SEMDNS_PHRS_MAX_CLASSES || classes % 16 ||
      header.text_bytes > phrases * SEMDNS_PHRS_MAX_PHRASE)
    return "a count beyond its limits";
  for (const uint32_t reserved : header.reserved)
    if (reserved)
      return "a reserved field is not zero";
  // Counts are within limits that keep all of this below 2^32.
  uint64_t end = sizeof header;
  bool clean = true;
  const auto take = [&](uint64_t count, uint64_t element) -> const uint8_t * {
    const uint64_t begin = (end + 63) & ~uint64_t(63);
    const uint64_t stop = begin + count * element;
    if (!clean || stop > size) {
      clean = false;
      return nullptr;
    }
    if (base::firstNonZero(bytes + end, begin - end) < begin - end) {
      at = end;
      clean = false;
      return nullptr;
    }
    end = stop;
    return bytes + begin;
  };
  const auto u16 = [&](uint64_t count) {
    return reinterpret_cast<const uint16_t *>(take(count, 2));
  };
  const auto u32 = [&](uint64_t count) {
    return reinterpret_cast<const uint32_t *>(take(count, 4));
  };
  out.phrases = phrases;
  out.classes = classes;
  out.classStart = u16(uint64_t{classes + 1} * classes);
  out.classCoarse = u16(uint64_t{classes + 1} * 16);
  out.classFirst = u32(classes);
  out.phraseStart = u16(phrases);
  out.textOffset = u32(uint64_t{phrases} + 1);
  out.lengthStart = u16(SEMDNS_PHRS_LENGTHS);
  out.distanceStart = u16(SEMDNS_PHRS_DISTANCES);
  out.text = take(uint64_t{header.text_bytes} + SEMDNS_PHRS_SLACK, 1);
  if (!clean || end != size)
    return "its arrays do not fill the section";
  const auto where = [&](const void *entry) {
    at = static_cast<uint64_t>(static_cast<const uint8_t *>(entry) - bytes);
  };
  const auto ascends = [&](const uint16_t *starts, uint32_t count, uint32_t sum) {
    for (uint32_t i = 0; i < count; ++i)
      if (starts[i] >= sum || (i ? starts[i] <= starts[i - 1] : starts[i] != 0)) {
        where(starts + i);
        return false;
      }
    return true;
  };
  for (uint32_t row = 0; row <= classes; ++row) {
    const uint16_t *starts = out.classStart + size_t{row} * classes;
    if (!ascends(starts, classes, 1u << kClassBits))
      return "frequencies of classes that do not ascend";
    for (uint32_t i = 0; i < 16; ++i)
      if (out.classCoarse[size_t{row} * 16 + i] != starts[i * (classes / 16)]) {
        where(out.classCoarse + size_t{row} * 16 + i);
        return "a coarse frequency that is not the fine one";
      }
  }
  for (uint32_t c = 0; c < classes; ++c) {
    const uint32_t first = out.classFirst[c];
    where(out.classFirst + c);
    if (c == 0 ? first != 0 : first <= out.classFirst[c - 1])
      return "classes that do not follow each other";
    if (c + 1 == classes ? first != phrases : first >= phrases)
      return "classes that do not hold all phrases";
  }
  for (uint32_t c = 0; c + 1 < classes; ++c)
    if (!ascends(out.phraseStart + out.classFirst[c], out.classFirst[c + 1] - out.classFirst[c],
                 1u << kPhraseBits))
      return "frequencies of phrases that do not ascend";
  if (!ascends(out.lengthStart, SEMDNS_PHRS_LENGTHS, 1u << kCopyBits) ||
      !ascends(out.distanceStart, SEMDNS_PHRS_DISTANCES, 1u << kCopyBits))
    return "frequencies of copies that do not ascend";
  for (uint32_t p = 0; p <= phrases; ++p) {
    where(out.textOffset + p);
    const uint32_t offset = out.textOffset[p];
    if (p == 0 ? offset != 0
               : offset <= out.textOffset[p - 1] ||
                     offset - out.textOffset[p - 1] > SEMDNS_PHRS_MAX_PHRASE)
      return "a phrase of an impossible length";
  }
  if (out.textOffset[phrases] != header.text_bytes)
    return "text that belongs to no phrase";
  where(out.text + header.text_bytes);
  if (base::firstNonZero(out.text + header.text_bytes, SEMDNS_PHRS_SLACK) < SEMDNS_PHRS_SLACK)
    return "bytes behind the last phrase";
  at = 0;
  return nullptr;
}

size_t turboScratch(const PhraseTables &tables) { return tables.index ? turboParseScratch() : 0; }

size_t turboEncode(const PhraseTables &t, const uint8_t *in, size_t n, uint8_t *out,
                   size_t capacity, void *scratch) {
  if (!n || n > kMaxBlock || capacity < 5)
    return 0;
  const TurboStep *steps = turboParse(*t.index, in, n, scratch);
  const uint32_t classes = t.classes, copies = classes - 1;
  // Even sizes only at the back: the state's four bytes come first.
  Encoder coder{out + 4, out + capacity};
  for (size_t at = n; at && !coder.full;) {
    const TurboStep &token = steps[at];
    at -= token.length;
    if (token.distance) {
      const TurboCode distance = distanceCode(token.distance), length = lengthCode(token.length);
      coder.bits(distance.bits, distance.extra);
      coder.code(t.distanceStart, SEMDNS_PHRS_DISTANCES, distance.code);
      coder.bits(length.bits, length.extra);
      coder.code(t.lengthStart, SEMDNS_PHRS_LENGTHS, length.code);
    } else {
      const uint32_t first = t.classFirst[token.classOf], end = t.classFirst[token.classOf + 1];
      if (end - first > 1) {
        const uint32_t start = t.phraseStart[token.phrase];
        const uint32_t next =
            token.phrase + 1 < end ? t.phraseStart[token.phrase + 1] : 1u << kPhraseBits;
        coder.put(start, next - start, kPhraseBits);
      }
    }
    const uint32_t c = token.distance ? copies : token.classOf;
    const uint16_t *starts = t.classStart + size_t{steps[at].classOf} * classes;
    const uint32_t next = c + 1 < classes ? starts[c + 1] : 1u << kClassBits;
    coder.put(starts[c], next - starts[c], kClassBits);
  }
  if (coder.full)
    return 0;
  const auto size = static_cast<size_t>(out + capacity - coder.at);
  memmove(out + 4, coder.at, size);
  memcpy(out, &coder.state, 4);
  return 4 + size;
}

bool turboDecode(const PhraseTables &t, const uint8_t *in, size_t size, uint8_t *out, size_t n,
                 void *) {
  if (size < 4)
    return false;
  const uint32_t classes = t.classes, copies = classes - 1, group = classes / 16;
  Decoder coder{in + 4, in + size, load<uint32_t>(in)};
  if (coder.state < kLow)
    return false;
  uint32_t before = classes; // the row of the beginning
  for (size_t at = 0; at < n;) {
    const uint16_t *starts = t.classStart + size_t{before} * classes;
    const uint32_t slot = coder.state & ((1u << kClassBits) - 1);
    const uint32_t coarse = count16(t.classCoarse + size_t{before} * 16, slot) - 1;
    uint32_t c = coarse * group;
    if (group == 16)
      c += count16(starts + c, slot) - 1;
    else
      c += searchLast(starts + c, group, slot);
    const uint32_t next = c + 1 < classes ? starts[c + 1] : 1u << kClassBits;
    if (!coder.take(slot, starts[c], next - starts[c], kClassBits))
      return false;
    before = c;
    if (c != copies) {
      const uint32_t first = t.classFirst[c], count = t.classFirst[c + 1] - first;
      uint32_t phrase = first;
      if (count > 1) {
        const uint32_t place = coder.state & ((1u << kPhraseBits) - 1);
        const uint16_t *places = t.phraseStart + first;
        const uint32_t i = searchLast(places, count, place);
        const uint32_t stop = i + 1 < count ? places[i + 1] : 1u << kPhraseBits;
        if (!coder.take(place, places[i], stop - places[i], kPhraseBits))
          return false;
        phrase += i;
      }
      const uint32_t offset = t.textOffset[phrase], length = t.textOffset[phrase + 1] - offset;
      if (length > n - at)
        return false;
      // The text has slack behind it; the output only where bytes are still to come.
      if (n - at >= 16) {
        memcpy(out + at, t.text + offset, 16);
        if (length > 16)
          memcpy(out + at + 16, t.text + offset + 16, length - 16);
      } else {
        memcpy(out + at, t.text + offset, length);
      }
      at += length;
      continue;
    }
    uint32_t code, bits, extra, distanceBits, distanceExtra;
    if (!coder.code(t.lengthStart, SEMDNS_PHRS_LENGTHS, code))
      return false;
    const uint64_t lengthBase = uint64_t{kMinCopy} + bucketBase(code, kDirectLengths, bits);
    if (bits > 15 || !coder.bits(bits, extra) ||
        !coder.code(t.distanceStart, SEMDNS_PHRS_DISTANCES, code))
      return false;
    const uint64_t distanceBase = uint64_t{1} + bucketBase(code, kDirectDistances, distanceBits);
    if (distanceBits > 15 || !coder.bits(distanceBits, distanceExtra))
      return false;
    const uint64_t length = lengthBase + extra, distance = distanceBase + distanceExtra;
    if (length > n - at || distance > at)
      return false;
    for (const uint8_t *from = out + at - distance; from != out + at - distance + length; ++from)
      out[at + static_cast<size_t>(from - (out + at - distance))] = *from;
    at += length;
  }
  return coder.state == kLow && coder.in == coder.end;
}

} // namespace semdns::codec
