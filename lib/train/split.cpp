#include "lib/text/freeze.h"
#include "lib/train/features.h"
#include "lib/train/numeric.h"
#include "lib/train/train.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace semdns::train {

namespace {

constexpr size_t kFewRows = 200;        // labelled rows under which there is no Calibrate part
constexpr double kCalibrateShare = 0.1; // of the rows, for each of them
constexpr size_t kCalibrateMost = 750;
constexpr double kTuneShare = 0.07, kTuneShareFew = 0.15; // the latter where it gives too few
constexpr size_t kTuneWanted = 300, kTuneMost = 750;
constexpr size_t kKeptLeast = 4; // rows of a zone that stay for training

/// Rows of much the same words: they go to one part, that of their first row's zone. Else what is
/// measured on a part would flatter.
struct Group {
  std::vector<uint32_t> rows;
  uint32_t zone = 0;
};

constexpr double kAlike = 0.7; // shared words / all words of two texts

std::vector<Group> groupsOf(const TrainingData &data, const std::vector<uint8_t> &eligible) {
  std::string text = text::buildTextSection();
  FeatureShape shape;
  shape.wordNgramMax = 1;
  shape.charNgramMin = shape.charNgramMax = 0;
  Extractor extractor(shape, {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  // Each row's set of words, rare words first: two sets that are alike share one of the first few.
  std::vector<std::vector<uint64_t>> words(data.examples.size());
  std::unordered_map<uint64_t, uint32_t> rows;
  Tokens tokens;
  for (uint32_t i = 0; i < words.size(); ++i) {
    if (!eligible[i])
      continue;
    extractor.extract(data.examples[i].text, tokens);
    words[i] = tokens.features;
    std::sort(words[i].begin(), words[i].end());
    words[i].erase(std::unique(words[i].begin(), words[i].end()), words[i].end());
    for (uint64_t word : words[i])
      ++rows[word];
  }
  std::vector<Group> groups;
  std::vector<uint32_t> leader;                               // of a group: its first row
  std::unordered_map<uint64_t, std::vector<uint32_t>> byWord; // groups that have it among the first
  std::vector<uint32_t> tried;                                // by which row a group was looked at
  for (uint32_t i = 0; i < words.size(); ++i) {
    if (!eligible[i])
      continue;
    std::vector<uint64_t> sorted = words[i]; // by value, for comparing; words[i] by rarity
    std::sort(words[i].begin(), words[i].end(), [&](uint64_t a, uint64_t b) {
      return rows[a] != rows[b] ? rows[a] < rows[b] : a < b;
    });
    size_t first = size_t(double(sorted.size()) * (1 - kAlike)) + 1;
    uint32_t found = UINT32_MAX;
    for (size_t w = 0; w < std::min(first, words[i].size()); ++w) {
      auto it = byWord.find(words[i][w]);
      if (it == byWord.end())
        continue;
      for (uint32_t g : it->second) {
        if (tried[g] == i || g >= found)
          continue;
        tried[g] = i;
        const std::vector<uint64_t> &other = words[leader[g]];
        if (double(std::min(other.size(), sorted.size())) <
            kAlike * double(std::max(other.size(), sorted.size())))
          continue;
        size_t shared = 0;
        for (uint64_t word : other)
          shared += std::binary_search(sorted.begin(), sorted.end(), word);
        if (double(shared) >= kAlike * double(other.size() + sorted.size() - shared))
          found = g;
      }
    }
    if (found != UINT32_MAX) {
      groups[found].rows.push_back(i);
      continue;
    }
    for (size_t w = 0; w < std::min(first, words[i].size()); ++w)
      byWord[words[i][w]].push_back(uint32_t(groups.size()));
    groups.push_back({{i}, data.examples[i].zone});
    leader.push_back(i);
    tried.push_back(UINT32_MAX);
  }
  return groups;
}

} // namespace

void splitExamples(TrainingData &data, uint64_t seed, bool calibrate) {
  // A zone's labelled rows say how it is asked for; snippets stand in where it has none.
  std::map<uint32_t, size_t> labelled;
  size_t total = 0;
  for (Example &example : data.examples) {
    example.part = Part::Train;
    if (example.kind == ExampleKind::Labelled) {
      ++labelled[example.zone];
      ++total;
    }
  }
  std::vector<uint8_t> eligible(data.examples.size());
  for (size_t i = 0; i < eligible.size(); ++i)
    eligible[i] =
        data.examples[i].kind == ExampleKind::Labelled ||
        (data.examples[i].kind == ExampleKind::Snippet && !labelled.count(data.examples[i].zone));
  std::vector<Group> groups = groupsOf(data, eligible);
  std::map<uint32_t, std::vector<uint32_t>> byZone;
  size_t all = 0;
  for (uint32_t g = 0; g < groups.size(); ++g) {
    byZone[groups[g].zone].push_back(g);
    all += groups[g].rows.size();
  }
  bool few = total < kFewRows;
  double tuneShare =
      std::clamp(double(kTuneWanted) / double(std::max<size_t>(all, 1)), kTuneShare, kTuneShareFew);
  tuneShare = std::min(tuneShare, double(kTuneMost) / double(std::max<size_t>(all, 1)));
  double calibrateShare =
      calibrate && !few ? std::min(kCalibrateShare, double(kCalibrateMost) / double(total)) : 0;
  // What a zone's quota leaves over counts for the next zone, so that many small zones give as much
  // as few large ones.
  double calibrateDue = 0.5, tuneDue = 0.5;
  for (auto &[zone, own] : byZone) {
    size_t rows = 0;
    for (uint32_t g : own)
      rows += groups[g].rows.size();
    bool hasLabels = labelled.count(zone) != 0;
    if (hasLabels)
      calibrateDue += calibrateShare * double(rows);
    tuneDue += tuneShare * double(rows);
    size_t spare = rows > kKeptLeast ? rows - kKeptLeast : 0;
    std::vector<uint32_t> order = permutation(own.size(), seed * 1000003 + zone);
    size_t next = 0;
    auto give = [&](Part part, double &due) {
      for (; next < own.size() && due >= 1; ++next) {
        const Group &group = groups[own[order[next]]];
        if (group.rows.size() > spare)
          continue;
        spare -= group.rows.size();
        due -= double(group.rows.size());
        for (uint32_t i : group.rows)
          data.examples[i].part = part;
      }
      due = std::min(due, 2.0); // a zone that could not give is not made up for
    };
    if (hasLabels)
      give(Part::Calibrate, calibrateDue);
    give(Part::Tune, tuneDue);
  }
}

} // namespace semdns::train
