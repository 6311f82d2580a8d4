#include "lib/calibrate/leakage.h"

#include "lib/support/parallel.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace semdns::calibrate {

namespace {

constexpr size_t kHashes = 64, kBand = 4, kBands = kHashes / kBand;
constexpr double kNear = 0.7;
constexpr size_t kGram = 6;
constexpr size_t kLongest = 4096; ///< bytes of a text that are looked at

uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/// Words in lower case (ASCII; other bytes as they are), one space between them.
std::string normalise(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kLongest)) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      static_cast<unsigned char>(c) >= 0x80;
    if (word)
      out += c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

/// Hashes of the character 6-grams (of a shorter text: of itself), sorted and distinct.
std::vector<uint64_t> gramsOf(const std::string &text) {
  std::vector<uint64_t> grams;
  for (size_t i = 0; i == 0 || i + kGram <= text.size(); ++i) {
    uint64_t hash = 0;
    for (size_t k = i; k < std::min(i + kGram, text.size()); ++k)
      hash = hash << 8 | static_cast<unsigned char>(text[k]);
    grams.push_back(mix(hash + 1));
  }
  std::sort(grams.begin(), grams.end());
  grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
  return grams;
}

std::array<uint64_t, kHashes> sketchOf(const std::vector<uint64_t> &grams) {
  std::array<uint64_t, kHashes> sketch;
  sketch.fill(UINT64_MAX);
  for (uint64_t gram : grams)
    for (size_t h = 0; h < kHashes; ++h)
      sketch[h] = std::min(sketch[h], mix(gram ^ (h + 1) * UINT64_C(0x9e3779b97f4a7c15)));
  return sketch;
}

double jaccard(const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    common += a[i] == b[j];
    const bool first = a[i] <= b[j], second = b[j] <= a[i];
    i += first;
    j += second;
  }
  return double(common) / double(a.size() + b.size() - common);
}

struct Text {
  std::string words;
  std::vector<uint64_t> grams;
  std::array<uint64_t, kBands> bands; ///< a hash of each band's values
};

Text prepare(std::string_view raw) {
  Text text;
  text.words = normalise(raw);
  text.grams = gramsOf(text.words);
  const auto sketch = sketchOf(text.grams);
  for (size_t b = 0; b < kBands; ++b) {
    uint64_t hash = b;
    for (size_t k = 0; k < kBand; ++k)
      hash = mix(hash ^ sketch[b * kBand + k]) + UINT64_C(0x9e3779b97f4a7c15);
    text.bands[b] = hash;
  }
  return text;
}

} // namespace

Leakage findLeakage(std::span<const std::string_view> rows,
                    std::span<const std::string_view> training, unsigned threads) {
  std::vector<Text> known(training.size());
  parallelFor(training.size(), threads, [&](size_t i) { known[i] = prepare(training[i]); });
  std::unordered_map<std::string_view, uint32_t> byWords;
  std::unordered_map<uint64_t, std::vector<uint32_t>> byBand;
  for (uint32_t i = 0; i < known.size(); ++i) {
    byWords.emplace(known[i].words, i);
    for (uint64_t band : known[i].bands)
      byBand[band].push_back(i);
  }
  constexpr uint32_t kNone = UINT32_MAX;
  struct Match {
    uint32_t training = kNone;
    bool same = false;
  };
  std::vector<Match> matches(rows.size());
  parallelFor(rows.size(), threads, [&](size_t i) {
    const Text text = prepare(rows[i]);
    if (text.words.empty())
      return;
    if (auto found = byWords.find(text.words); found != byWords.end()) {
      matches[i] = {found->second, true};
      return;
    }
    double best = kNear;
    for (uint64_t band : text.bands) {
      auto found = byBand.find(band);
      if (found == byBand.end())
        continue;
      for (uint32_t candidate : found->second) {
        const double likeness = jaccard(text.grams, known[candidate].grams);
        if (likeness > best || (likeness == best && candidate < matches[i].training)) {
          best = likeness;
          matches[i].training = candidate;
        }
      }
    }
  });
  Leakage leakage;
  for (bool same : {true, false})
    for (uint32_t i = 0; i < matches.size(); ++i)
      if (matches[i].training != kNone && matches[i].same == same) {
        ++(same ? leakage.same : leakage.near);
        if (leakage.examples.size() < 5)
          leakage.examples.emplace_back(i, matches[i].training);
      }
  return leakage;
}

void warnAboutLeakage(const Leakage &leakage, std::span<const std::string_view> rows,
                      std::span<const std::string_view> training, const Location &source,
                      Diagnostics &diags) {
  if (leakage.same + leakage.near == 0)
    return;
  auto quote = [](std::string_view text) {
    std::string out(text.substr(0, 80));
    while (!out.empty() && out.size() < text.size() && (text[out.size()] & 0xc0) == 0x80)
      out.pop_back(); // not within a code point
    for (char &c : out)
      if (static_cast<unsigned char>(c) < 0x20)
        c = ' ';
    return "\"" + out + (out.size() < text.size() ? "..." : "") + "\"";
  };
  std::string examples;
  for (auto [row, known] : leakage.examples)
    examples +=
        (examples.empty() ? "" : "; ") + quote(rows[row]) + " is like " + quote(training[known]);
  diags.warning(source,
                "leakage: of " + std::to_string(rows.size()) + " calibration rows " +
                    std::to_string(leakage.same) + " have the words of a training row and " +
                    std::to_string(leakage.near) +
                    " more nearly so; texts that training has seen are easier than new ones",
                "take them out of one of the two; for example " + examples);
}

} // namespace semdns::calibrate
