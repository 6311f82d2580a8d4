#include "lib/eval/leakage.h"

#include "lib/support/progress.h"
#include "lib/text/freeze.h"

#include <algorithm>
#include <unordered_map>

namespace semdns::eval {
namespace {

constexpr size_t kGram = 6, kBands = 32, kBandRows = 4, kHashes = kBands * kBandRows;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t hashBytes(std::string_view bytes) {
  uint64_t h = 0xcbf29ce484222325;
  for (char c : bytes)
    h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return mix(h);
}

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

/// The hashes of the grams of `n` code points, sorted, each once.
std::vector<uint64_t> grams(std::string_view text, size_t n) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); ++i)
    if (!continues(text[i]))
      starts.push_back(i);
  starts.push_back(text.size());
  std::vector<uint64_t> out;
  if (starts.size() <= n)
    out.push_back(hashBytes(text));
  for (size_t i = 0; i + n < starts.size(); ++i)
    out.push_back(hashBytes(text.substr(starts[i], starts[i + n] - starts[i])));
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

const std::array<uint64_t, kHashes> kMultipliers = [] {
  std::array<uint64_t, kHashes> odd;
  for (size_t h = 0; h < kHashes; ++h)
    odd[h] = mix(h + 1) | 1;
  return odd;
}();

/// One key a band: equal keys make a candidate pair.
std::array<uint64_t, kBands> bandsOf(const std::vector<uint64_t> &set) {
  std::array<uint32_t, kHashes> least;
  least.fill(UINT32_MAX);
  for (uint64_t gram : set)
    for (size_t h = 0; h < kHashes; ++h) // multiply-shift hashing
      least[h] = std::min(least[h], uint32_t((gram * kMultipliers[h]) >> 32));
  std::array<uint64_t, kBands> bands;
  for (size_t b = 0; b < kBands; ++b) {
    uint64_t key = b + 1;
    for (size_t r = 0; r < kBandRows; ++r)
      key = mix(key * 0x9e3779b97f4a7c15 + least[b * kBandRows + r]);
    bands[b] = key;
  }
  return bands;
}

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

} // namespace

std::string normalisedText(std::string_view text) {
  std::string out;
  bool space = false;
  for (uint32_t c : text::normalise(text)) {
    const semdns_char_class kind = text::classOf(c);
    if (kind == SEMDNS_CHAR_SPACE || kind == SEMDNS_CHAR_PUNCT) {
      space = true;
      continue;
    }
    if (space && !out.empty())
      out += ' ';
    space = false;
    appendUtf8(out, c);
  }
  return out.empty() ? std::string(text) : out; // nothing but punctuation: only itself is the same
}

double similarity(std::string_view a, std::string_view b) {
  return jaccard(grams(a, kGram), grams(b, kGram));
}

Leakage findLeaks(const Rows &rows, const Rows &training) {
  Leakage out;
  out.rows = rows.rows.size();
  out.trainingRows = training.rows.size();
  std::vector<std::string> texts(rows.rows.size());
  std::vector<std::vector<uint64_t>> sets(rows.rows.size());
  std::unordered_map<std::string_view, std::vector<uint32_t>> byText;
  std::unordered_map<uint64_t, std::vector<uint32_t>> byBand;
  for (uint32_t i = 0; i < texts.size(); ++i) {
    texts[i] = normalisedText(rows.rows[i].text);
    byText[texts[i]].push_back(i);
    sets[i] = grams(texts[i], kGram);
    for (uint64_t key : bandsOf(sets[i]))
      byBand[key].push_back(i);
  }
  std::vector<Leak> best(rows.rows.size());
  std::vector<uint32_t> tried(rows.rows.size(), UINT32_MAX);
  Progress progress("leakage", training.rows.size(), "rows");
  const auto offer = [&](uint32_t row, uint32_t from, double value, bool exact) {
    Leak &leak = best[row];
    if (leak.exact || (!exact && value <= leak.similarity))
      return;
    leak = {row, from, value, exact, rows.rows[row].label == training.rows[from].label};
  };
  for (uint32_t t = 0; t < training.rows.size(); ++t) {
    if ((t & 255) == 255)
      progress.update(t);
    const std::string text = normalisedText(training.rows[t].text);
    if (auto same = byText.find(text); same != byText.end())
      for (uint32_t row : same->second)
        offer(row, t, 1.0, true);
    const std::vector<uint64_t> set = grams(text, kGram);
    for (uint64_t key : bandsOf(set))
      if (auto near = byBand.find(key); near != byBand.end())
        for (uint32_t row : near->second) {
          if (tried[row] == t || best[row].exact)
            continue;
          tried[row] = t;
          if (const double value = jaccard(sets[row], set); value >= kNearDuplicate)
            offer(row, t, value, false);
        }
  }
  for (const Leak &leak : best)
    if (leak.similarity > 0) {
      ++(leak.exact ? out.exact : out.near);
      out.otherLabel += !leak.sameLabel;
      out.leaks.push_back(leak);
    }
  return out;
}

std::vector<uint32_t> groupTexts(const std::vector<std::string_view> &texts, double least) {
  // Words and their beginnings: short texts share few 6-grams even when they say the same.
  std::vector<std::vector<uint64_t>> sets;
  for (std::string_view text : texts) {
    const std::string normal = normalisedText(text);
    std::vector<uint64_t> set = grams(" " + normal + " ", 4);
    for (size_t begin = 0; begin < normal.size();) {
      const size_t end = std::min(normal.find(' ', begin), normal.size());
      set.push_back(hashBytes(normal.substr(begin, end - begin)) ^ 1);
      begin = end + 1;
    }
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    sets.push_back(std::move(set));
  }
  std::vector<uint32_t> leader(texts.size());
  std::vector<uint32_t> leaders;
  for (uint32_t i = 0; i < texts.size(); ++i) {
    leader[i] = i;
    double bestValue = least;
    for (uint32_t other : leaders)
      if (const double value = jaccard(sets[i], sets[other]); value >= bestValue) {
        if (leader[i] != i && value == bestValue)
          continue;
        bestValue = value;
        leader[i] = other;
      }
    if (leader[i] == i)
      leaders.push_back(i);
  }
  return leader;
}

} // namespace semdns::eval
