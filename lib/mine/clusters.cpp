#include "lib/mine/clusters.h"

#include "lib/mine/fixed_point.h"
#include "lib/support/parallel.h"

#include <algorithm>
#include <array>

namespace semdns::mine {

namespace {

constexpr size_t kDimensions = 256;
constexpr size_t kProjections = 4; ///< of the dimensions that a context touches
constexpr int64_t kNorm = 4096;    ///< length of a vector
constexpr int32_t kAlike = 32768;  ///< Q16 cosine to the representative
constexpr size_t kWords = 8;       ///< of a cluster, at most
constexpr size_t kLeast = 3;

using Vector = std::array<int32_t, kDimensions>;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t squareRoot(uint64_t x) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t(1) << 31; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= x)
      root |= bit;
  return root;
}

void addContext(std::array<int64_t, kDimensions> &to, uint64_t context, int64_t weight) {
  uint64_t h = mix(context * 0x9e3779b97f4a7c15 + 1);
  for (size_t k = 0; k < kProjections; ++k, h >>= 9)
    to[h & 255] += h & 256 ? weight : -weight;
}

} // namespace

std::vector<Cluster> clusterWords(const Grams &grams, const std::vector<uint32_t> &words,
                                  uint64_t total, const std::vector<uint64_t> &hashOf,
                                  unsigned threads) {
  // Contexts of each word: (other word, its place), with how often.
  struct Context {
    uint32_t other;
    int8_t place;
    uint32_t count;
  };
  std::vector<uint32_t> slot(grams.size(1), UINT32_MAX);
  for (uint32_t i = 0; i < words.size(); ++i)
    slot[words[i]] = i;
  std::vector<std::vector<Context>> contexts(words.size());
  const auto meet = [&](uint32_t a, uint32_t b, int8_t apart, uint32_t count) {
    if (slot[a] != UINT32_MAX)
      contexts[slot[a]].push_back({b, apart, count});
    if (slot[b] != UINT32_MAX)
      contexts[slot[b]].push_back({a, int8_t(-apart), count});
  };
  grams.forEach(2, 3, [&](uint32_t n, uint32_t i, const Gram &g) {
    const auto tokens = grams.tokensOf(n, i);
    meet(tokens.front(), tokens.back(), int8_t(n - 1), g.count);
  });
  std::vector<Vector> vectors(words.size());
  const int64_t logTotal = log2Q24(std::max<uint64_t>(1, total));
  parallelFor(words.size(), threads, [&](size_t i) {
    std::array<int64_t, kDimensions> sum = {};
    const int64_t own = log2Q24(grams.gram(1, words[i]).count);
    for (const Context &c : contexts[i]) {
      // A sum: the order of the contexts does not matter.
      const int64_t bits =
          log2Q24(c.count) + logTotal - own - log2Q24(grams.gram(1, c.other).count);
      if (bits > 0)
        addContext(sum, hashOf[c.other] + uint64_t(int64_t(c.place)), bits >> 14);
    }
    uint64_t square = 0;
    for (const int64_t x : sum)
      square += uint64_t(x * x);
    const auto length = int64_t(std::max<uint64_t>(1, squareRoot(square)));
    for (size_t k = 0; k < kDimensions; ++k)
      vectors[i][k] = int32_t(sum[k] * kNorm / length);
  });
  const auto likeness = [&](size_t a, size_t b) { // Q16
    int64_t dot = 0;
    for (size_t k = 0; k < kDimensions; ++k)
      dot += int64_t(vectors[a][k]) * vectors[b][k];
    return int32_t(dot * 65536 / (kNorm * kNorm));
  };
  // The most important word that is free leads; those like it follow, the most alike first.
  std::vector<char> taken(words.size(), 0);
  std::vector<Cluster> clusters;
  std::vector<int32_t> alike(words.size());
  for (size_t leader = 0; leader < words.size(); ++leader) {
    if (taken[leader] || contexts[leader].size() < 4)
      continue;
    constexpr size_t kChunk = 256;
    parallelFor((words.size() + kChunk - 1) / kChunk, threads, [&](size_t chunk) {
      for (size_t i = chunk * kChunk; i < std::min(words.size(), (chunk + 1) * kChunk); ++i)
        alike[i] = i > leader && !taken[i] && contexts[i].size() >= 4 ? likeness(leader, i) : 0;
    });
    std::vector<std::pair<int32_t, uint32_t>> near;
    for (uint32_t i = 0; i < words.size(); ++i)
      if (alike[i] >= kAlike)
        near.emplace_back(-alike[i], i);
    if (near.size() + 1 < kLeast)
      continue;
    std::sort(near.begin(), near.end());
    if (near.size() > kWords - 1)
      near.resize(kWords - 1);
    Cluster cluster;
    cluster.words.push_back(words[leader]);
    taken[leader] = 1;
    int64_t sum = 0;
    for (const auto &[score, i] : near) {
      cluster.words.push_back(words[i]);
      taken[i] = 1;
      sum -= score;
    }
    cluster.likeness = int32_t(sum / int64_t(near.size()));
    clusters.push_back(std::move(cluster));
  }
  return clusters;
}

} // namespace semdns::mine
