/// \file Two artifacts on the same rows: what changed, and whether more than chance.
#pragma once

#include "lib/eval/evaluate.h"

#include <string>
#include <utility>
#include <vector>

namespace semdns::eval {

/// Rows on which exactly one of two artifacts is right, and McNemar's exact two-sided test.
struct Paired {
  uint64_t rows = 0, both = 0, onlyOld = 0, onlyNew = 0, neither = 0;
  double pValue = 1;
  void add(bool oldRight, bool newRight);
  void test();
};

/// How good an answer is; the order is the rank.
enum class Grade { Misroute, Climbed, Right };

/// A row that the two answer differently.
struct Flip {
  uint32_t row = 0;
  Grade before = Grade::Right, after = Grade::Right;
  std::string oldPath, newPath, oldBest, newBest;
  uint32_t oldConfidence = 0, newConfidence = 0; ///< of the best guess, Q16
  uint32_t oldStage = 0, newStage = 0;
  const char *kind() const {
    return after < before ? "worse" : after > before ? "better" : "other";
  }
};

struct Comparison {
  explicit Comparison(Tally old) : before(std::move(old)) {}
  Tally before;                              ///< the old artifact's, on the same rows
  Paired best;                               ///< best_path right, in-scope rows
  Paired path;                               ///< path right, all rows
  Paired safe;                               ///< not misrouted, in-scope rows
  uint64_t worse = 0, better = 0, other = 0; ///< rows with different answers
  std::vector<Flip> flips;                   ///< worse first (right to misroute first), then better
  std::vector<std::string> added, removed;   ///< zones, by path
  struct Changed {
    std::string key, before, after;
  };
  std::vector<Changed> meta;
  struct ZoneChange {
    std::string path;
    uint64_t rows = 0, worse = 0, better = 0; ///< best_path lost, won
  };
  std::vector<ZoneChange> zones; ///< with any change, the largest net loss first
  /// "better beyond chance", "worse beyond chance" or "no difference beyond chance": best guesses.
  std::string verdict;
};

/// `before` and `after` are results of the same rows (those that only one has do not count); zones
/// are the same when their paths are.
Comparison compare(const Subject &oldSubject, const std::vector<Result> &before,
                   const Subject &newSubject, const std::vector<Result> &after, const Rows &rows);

const char *gradeText(Grade grade);

} // namespace semdns::eval
