/// \file Whether traffic still looks like what an artifact was calibrated on. Needs no labels, and
/// therefore says nothing about accuracy: it says when a promise about the old traffic may no
/// longer hold.
#pragma once

#include "lib/eval/evaluate.h"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::eval {

/// How an artifact answers a lot of texts.
struct Profile {
  uint64_t rows = 0;
  std::vector<uint64_t> stages;  ///< none, keyword, embedding, encoder
  std::vector<uint64_t> answers; ///< best guess itself, climbed, the root, no evidence
  std::vector<uint64_t> scores;  ///< the best guess's confidence, 20 bins of equal width
  std::vector<uint64_t> mix;     ///< best guesses below each top zone, in index order
};

Profile profileOf(const Subject &subject, const std::vector<Result> &results);

/// META's form: keys risk.traffic.rows, .stages, .answers, .scores, .mix (under
/// "risk.", so that another calibration replaces them).
std::map<std::string, std::string> formatProfile(const Profile &profile);
/// nullopt when the artifact states none (or not one of this tree).
std::optional<Profile> statedProfile(const Subject &subject);

/// For builds: the profile of `texts` (the calibration rows) under the calibrated artifact in
/// `bytes`, as META pairs. nullopt with `error` when the runtime refuses the bytes.
std::optional<std::map<std::string, std::string>>
trafficMeta(std::string_view bytes, std::span<const std::string_view> texts, std::string &error);

struct DriftTest {
  std::string name, what; ///< "stages", "which stage decides"
  std::vector<std::string> categories;
  std::vector<uint64_t> before, now;
  double pValue = 1;
  double stability = 0; ///< population stability index
  double gap = 0;       ///< scores: Kolmogorov-Smirnov's
};

struct Drift {
  std::string baseline; ///< what it is compared with, in words
  Profile before, now;
  std::vector<DriftTest> tests;
  bool beyondChance = false; ///< some p-value below 0.01 / tests
  double worst = 0;          ///< the largest stability index of a test beyond chance
  std::string verdict;
};

/// `stages` and `mix` may differ in length where two artifacts differ: such tests are left out.
Drift compareProfiles(const Subject &subject, const Profile &before, const Profile &now,
                      const std::string &baseline);

} // namespace semdns::eval
