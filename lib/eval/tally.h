/// \file What an evaluation counts, and the words for it. Pure: knows zones and answers, no
/// artifact.
///
/// For a row whose label is zone t, with best guess b and answer a (after climbing):
///
///   in scope        t is not the root
///   best_path right b is t
///   path right      a is t (for out-of-scope rows: a is the root)
///   misroute        in scope, and a is neither t nor one of t's ancestors. Climbing is no misroute
///   covered         in scope, and a is at least as deep as t: the answer did not climb above t's
///                   depth. A misroute rate without coverage says nothing (the root is never wrong)
///   oos recall      share of out-of-scope rows that the root answers
///   rejected        share of in-scope rows that the root answers
///
/// A label that no zone has counts as in scope and wrong; a that is one of the zones its first
/// levels name is no misroute.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace semdns::eval {

struct ZoneInfo {
  uint32_t parent = UINT32_MAX; ///< UINT32_MAX for the root
  std::string name, path;       ///< "contracts.legal.", "legal/contracts"
};

/// Depths and ancestors. Zones come in preorder, the root first.
class Tree {
public:
  explicit Tree(const std::vector<ZoneInfo> &zones);
  uint32_t depth(uint32_t zone) const { return depth_[zone]; }
  /// The ancestor (or `zone` itself) at `depth`; UINT32_MAX when `zone` lies above it.
  uint32_t ancestorAt(uint32_t zone, uint32_t depth) const;
  /// Whether `zone` is `ancestor` or below it.
  bool within(uint32_t zone, uint32_t ancestor) const {
    return ancestorAt(zone, depth_[ancestor]) == ancestor;
  }

private:
  std::vector<uint32_t> parent_, depth_;
};

/// What a label says. `zone` is the zone itself, or with `known` false the deepest zone that the
/// label's first levels name (0 if none), and `depth` how many levels the label has.
struct Truth {
  uint32_t zone = 0;
  uint32_t depth = 0;
  bool known = true;
};

/// Maps labels to zones: original spelling first, then DNS name, then the spec's mapping (lower
/// case, '-' for space and '_'). Thread-safe once made.
class Labels {
public:
  /// `rootLabel` (empty: none) stands for the root, as "/" does.
  Labels(const std::vector<ZoneInfo> &zones, const std::string &rootLabel);
  Truth find(const std::string &label) const;

private:
  std::unordered_map<std::string, uint32_t> byPath_, byName_;
  Tree tree_;
  std::string rootLabel_;
};

/// `hits` of `total`, with the Wilson score interval of 95 %.
struct Rate {
  uint64_t hits = 0, total = 0;
  void add(bool hit) {
    hits += hit;
    ++total;
  }
  std::optional<double> value() const;        ///< nullopt when total is 0
  std::pair<double, double> interval() const; ///< (0, 1) when total is 0
};

/// An answer, as far as it counts here. `stage` is SEMDNS_STAGE_*, `status` semdns_answer_status.
struct Outcome {
  uint32_t zone = 0, best = 0;
  uint32_t stage = 0, status = 0;
};

/// Counts over rows. Not thread-safe.
class Tally {
public:
  explicit Tally(const std::vector<ZoneInfo> &zones);
  void add(const std::string &label, const Truth &truth, const Outcome &outcome);

  struct Depth {
    Rate best;     ///< best guess right down to this depth, of in-scope labels at least this deep
    Rate answered; ///< the answer is at least this deep, of the same rows
    Rate answer;   ///< the answer right down to this depth, of the same rows
  };
  struct Stage {
    Rate share, best; ///< of all rows; best_path right, of the in-scope rows it decided
  };
  struct PerZone {
    Rate best, path, covered, misroute;
  };
  struct Confusion {
    std::string truth, answer; ///< paths
    uint64_t count = 0;
  };

  uint64_t rows = 0, inScope = 0, outOfScope = 0, unknown = 0;
  Rate best, path, pathInScope, covered, misroute, correctWhenCovered;
  Rate oosRecall;                        ///< the root answers, of out-of-scope rows
  Rate rejected;                         ///< the root answers, of in-scope rows
  std::vector<Depth> depths;             ///< [0] is depth 1
  std::map<uint32_t, Stage> stages;      ///< by SEMDNS_STAGE_*
  std::map<uint32_t, uint64_t> statuses; ///< by semdns_answer_status
  std::map<uint32_t, PerZone> zones;     ///< by true zone, known labels only
  std::map<std::string, uint64_t> unknownLabels;

  /// Pairs of true zone and wrong best guess (out-of-scope rows: wrong answer), most frequent
  /// first, then by name.
  std::vector<Confusion> confusions() const;
  const std::vector<ZoneInfo> &zoneInfos() const { return zoneInfos_; }

  const Tree &tree() const { return tree_; }

private:
  std::vector<ZoneInfo> zoneInfos_;
  Tree tree_;
  std::map<std::pair<std::string, std::string>, uint64_t> confused_;
};

} // namespace semdns::eval
