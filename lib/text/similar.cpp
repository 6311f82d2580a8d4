#include "lib/text/similar.h"

#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "lib/text/freeze.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace semdns::text {
namespace {

constexpr size_t kGram = 6, kBands = 32, kBandRows = 4, kHashes = kBands * kBandRows;
constexpr size_t kBlock = 4096; ///< known texts that are prepared at a time

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  } else {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3f));
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  }
}

/// One key a band: equal keys make a candidate pair.
std::array<uint64_t, kBands> bandsOf(const std::vector<uint64_t> &set) {
  static constexpr std::array<uint64_t, kHashes> multipliers = [] {
    std::array<uint64_t, kHashes> odd{};
    for (size_t h = 0; h < kHashes; ++h) {
      uint64_t z = h + 1;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      odd[h] = (z ^ (z >> 31)) | 1;
    }
    return odd;
  }();
  std::array<uint32_t, kHashes> least;
  least.fill(UINT32_MAX);
  for (uint64_t gram : set)
    for (size_t h = 0; h < kHashes; ++h) // multiply-shift hashing
      least[h] = std::min(least[h], uint32_t((gram * multipliers[h]) >> 32));
  std::array<uint64_t, kBands> bands;
  for (size_t b = 0; b < kBands; ++b) {
    uint64_t key = b + 1;
    for (size_t r = 0; r < kBandRows; ++r)
      key = mix(key * 0x9e3779b97f4a7c15 + least[b * kBandRows + r]);
    bands[b] = key;
  }
  return bands;
}

struct Prepared {
  std::string words;
  std::vector<uint64_t> grams;
  std::array<uint64_t, kBands> bands;
};

Prepared prepare(std::string_view raw) {
  Prepared out;
  out.words = comparable(raw);
  out.grams = gramsOf(out.words, kGram);
  out.bands = bandsOf(out.grams);
  return out;
}

} // namespace

std::string comparable(std::string_view text) {
  std::string out;
  bool space = false;
  for (uint32_t c : normalise(text)) {
    const semdns_char_class kind = classOf(c);
    if (kind == SEMDNS_CHAR_SPACE || kind == SEMDNS_CHAR_PUNCT) {
      space = true;
      continue;
    }
    if (space && !out.empty())
      out += ' ';
    space = false;
    appendUtf8(out, c);
  }
  return out.empty() ? std::string(text) : out;
}

uint64_t hashOf(std::string_view bytes) {
  uint64_t h = 0xcbf29ce484222325;
  for (char c : bytes)
    h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return mix(h);
}

std::vector<uint64_t> gramsOf(std::string_view text, size_t n) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); ++i)
    if (!continues(text[i]))
      starts.push_back(i);
  starts.push_back(text.size());
  std::vector<uint64_t> out;
  if (starts.size() <= n)
    out.push_back(hashOf(text));
  for (size_t i = 0; i + n < starts.size(); ++i)
    out.push_back(hashOf(text.substr(starts[i], starts[i + n] - starts[i])));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();)
    if (a[i] == b[j])
      ++common, ++i, ++j;
    else
      ++(a[i] < b[j] ? i : j);
  return double(common) / double(a.size() + b.size() - common);
}

double similarity(std::string_view a, std::string_view b) {
  return jaccard(gramsOf(a, kGram), gramsOf(b, kGram));
}

std::vector<Twin> findTwins(std::span<const std::string_view> rows,
                            std::span<const std::string_view> known, unsigned threads) {
  std::vector<Prepared> asked(rows.size());
  parallelFor(rows.size(), threads, [&](size_t i) { asked[i] = prepare(rows[i]); });
  std::unordered_map<std::string_view, std::vector<uint32_t>> byWords;
  std::unordered_map<uint64_t, std::vector<uint32_t>> byBand;
  for (uint32_t i = 0; i < asked.size(); ++i) {
    byWords[asked[i].words].push_back(i);
    for (uint64_t key : asked[i].bands)
      byBand[key].push_back(i);
  }
  // The hashing is the work, so it alone is spread; known texts are then offered in their order.
  std::vector<Twin> twins(rows.size());
  std::vector<uint32_t> tried(rows.size(), UINT32_MAX); // by which known text a row was looked at
  std::vector<Prepared> block;
  Progress progress("near duplicates", known.size(), "texts");
  for (size_t begin = 0; begin < known.size(); begin += kBlock) {
    progress.update(begin);
    block.assign(std::min(kBlock, known.size() - begin), {});
    parallelFor(block.size(), threads, [&](size_t i) { block[i] = prepare(known[begin + i]); });
    for (size_t i = 0; i < block.size(); ++i) {
      const uint32_t t = uint32_t(begin + i);
      if (auto same = byWords.find(block[i].words); same != byWords.end())
        for (uint32_t row : same->second)
          if (!twins[row].exact)
            twins[row] = {t, 1.0, true};
      for (uint64_t key : block[i].bands)
        if (auto near = byBand.find(key); near != byBand.end())
          for (uint32_t row : near->second) {
            if (tried[row] == t || twins[row].exact)
              continue;
            tried[row] = t;
            const double value = jaccard(asked[row].grams, block[i].grams);
            if (value >= kNearDuplicate && value > twins[row].similarity)
              twins[row] = {t, value, false};
          }
    }
  }
  return twins;
}

std::vector<uint32_t>
nearDuplicates(size_t count, std::span<const uint32_t> order,
               const std::function<void(size_t, std::vector<uint64_t> &)> &setOf,
               unsigned threads) {
  // Where text repeats itself without end, the first so many candidates decide.
  constexpr size_t kMaxCandidates = 64;
  std::vector<std::array<uint64_t, kBands>> bands(count);
  constexpr size_t kChunk = 64;
  Progress progress("near duplicates", count, "documents");
  parallelFor((count + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
    std::vector<uint64_t> set;
    for (size_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
      setOf(i, set);
      bands[i] = bandsOf(set);
    }
  });
  // Keys that only one document has lead nowhere; they are 0 from here on.
  std::vector<uint64_t> keys(count);
  for (size_t b = 0; b < kBands; ++b) {
    for (size_t i = 0; i < count; ++i)
      keys[i] = bands[i][b];
    std::sort(keys.begin(), keys.end());
    for (size_t i = 0; i < count; ++i) {
      const auto range = std::equal_range(keys.begin(), keys.end(), bands[i][b]);
      if (range.second - range.first < 2)
        bands[i][b] = 0;
    }
  }
  std::vector<uint32_t> result(count);
  std::unordered_map<uint64_t, std::vector<uint32_t>> keptByBand;
  std::vector<uint64_t> mine, other;
  std::vector<uint32_t> tried(count, UINT32_MAX);
  size_t done = 0;
  for (const uint32_t document : order) {
    progress.update(done++);
    result[document] = document;
    size_t candidates = 0;
    mine.clear();
    for (const uint64_t key : bands[document]) {
      if (key == 0)
        continue;
      const auto near = keptByBand.find(key);
      if (near == keptByBand.end())
        continue;
      for (const uint32_t candidate : near->second) {
        if (tried[candidate] == document)
          continue;
        tried[candidate] = document;
        if (++candidates > kMaxCandidates)
          break;
        if (mine.empty())
          setOf(document, mine);
        setOf(candidate, other);
        if (jaccard(mine, other) >= kNearDocument) {
          result[document] = candidate;
          break;
        }
      }
      if (result[document] != document || candidates > kMaxCandidates)
        break;
    }
    if (result[document] == document)
      for (const uint64_t key : bands[document])
        if (key != 0)
          keptByBand[key].push_back(document);
  }
  return result;
}

} // namespace semdns::text
