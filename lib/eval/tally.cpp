#include "lib/eval/tally.h"

#include "lib/spec/names.h"

#include <algorithm>
#include <cmath>

namespace semdns::eval {
namespace {

constexpr double kZ95 = 1.959963984540054; // two-sided 95 % of the normal distribution

} // namespace

Tree::Tree(const std::vector<ZoneInfo> &zones) : parent_(zones.size()), depth_(zones.size(), 0) {
  for (size_t i = 0; i < zones.size(); ++i) {
    parent_[i] = zones[i].parent;
    if (zones[i].parent < i)
      depth_[i] = depth_[zones[i].parent] + 1;
  }
}

uint32_t Tree::ancestorAt(uint32_t zone, uint32_t depth) const {
  if (depth_[zone] < depth)
    return UINT32_MAX;
  while (depth_[zone] > depth)
    zone = parent_[zone];
  return zone;
}

Labels::Labels(const std::vector<ZoneInfo> &zones, const std::string &rootLabel)
    : tree_(zones), rootLabel_(rootLabel) {
  for (size_t i = 0; i < zones.size(); ++i) {
    byPath_.emplace(zones[i].path, uint32_t(i));
    byName_.emplace(zones[i].name, uint32_t(i));
  }
}

Truth Labels::find(const std::string &label) const {
  if (!rootLabel_.empty() && label == rootLabel_)
    return {};
  if (auto at = byPath_.find(label); at != byPath_.end())
    return {at->second, tree_.depth(at->second), true};
  if (auto at = byName_.find(label); at != byName_.end())
    return {at->second, tree_.depth(at->second), true};
  spec::NameError ignored;
  const std::optional<spec::Levels> original = spec::splitLabel(label, ignored);
  if (!original)
    return {0, 1, false};
  spec::Levels levels = spec::mapLevels(*original);
  if (!rootLabel_.empty())
    if (auto root = spec::splitLabel(rootLabel_, ignored); root && spec::mapLevels(*root) == levels)
      return {};
  const auto depth = uint32_t(levels.size());
  for (bool known = true;; known = false) {
    if (auto at = byName_.find(spec::formatName(levels)); at != byName_.end())
      return {at->second, depth, known};
    if (levels.empty())
      return {0, depth, false};
    levels.pop_back();
  }
}

std::optional<double> Rate::value() const {
  if (total == 0)
    return std::nullopt;
  return double(hits) / double(total);
}

std::pair<double, double> Rate::interval() const {
  if (total == 0)
    return {0.0, 1.0};
  const double n = double(total), p = double(hits) / n, z2 = kZ95 * kZ95;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ95 * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  return {hits == 0 ? 0.0 : std::max(0.0, centre - half),
          hits == total ? 1.0 : std::min(1.0, centre + half)};
}

Tally::Tally(const std::vector<ZoneInfo> &zones) : zoneInfos_(zones), tree_(zones) {}

void Tally::add(const std::string &label, const Truth &truth, const Outcome &outcome) {
  ++rows;
  ++statuses[outcome.status];
  for (auto stage : {0u, 1u, 2u, 4u})
    stages[stage].share.add(outcome.stage == stage);
  if (!truth.known) {
    ++unknown;
    ++unknownLabels[label];
  }
  const bool root = truth.known && truth.zone == 0;
  const bool exact = truth.known && outcome.zone == truth.zone;
  path.add(exact);
  if (truth.known)
    zones[truth.zone].path.add(exact);
  if (root) {
    ++outOfScope;
    oosRecall.add(exact);
    if (!exact)
      ++confused_[{"/", zoneInfos_[outcome.zone].path}];
    return;
  }
  ++inScope;
  const bool bestRight = truth.known && outcome.best == truth.zone;
  // The answer is the true zone or above it if it lies on the way from the root to it.
  const bool onTheWay = tree_.within(truth.zone, outcome.zone);
  const bool isCovered = tree_.depth(outcome.zone) >= truth.depth;
  best.add(bestRight);
  pathInScope.add(exact);
  covered.add(isCovered);
  rejected.add(outcome.zone == 0);
  misroute.add(!onTheWay);
  if (isCovered)
    correctWhenCovered.add(exact);
  stages[outcome.stage].best.add(bestRight);
  if (truth.known) {
    PerZone &zone = zones[truth.zone];
    zone.best.add(bestRight);
    zone.covered.add(isCovered);
    zone.misroute.add(!onTheWay);
  }
  if (!bestRight)
    ++confused_[{truth.known ? zoneInfos_[truth.zone].path : label, zoneInfos_[outcome.best].path}];
  if (depths.size() < truth.depth)
    depths.resize(truth.depth);
  for (uint32_t d = 1; d <= truth.depth; ++d) {
    const uint32_t want = tree_.ancestorAt(truth.zone, d); // UINT32_MAX: no zone has this level
    depths[d - 1].best.add(want != UINT32_MAX && tree_.ancestorAt(outcome.best, d) == want);
    depths[d - 1].answer.add(want != UINT32_MAX && tree_.ancestorAt(outcome.zone, d) == want);
    depths[d - 1].answered.add(tree_.depth(outcome.zone) >= d);
  }
}

std::vector<Tally::Confusion> Tally::confusions() const {
  std::vector<Confusion> out;
  for (const auto &[pair, count] : confused_)
    out.push_back({pair.first, pair.second, count});
  std::sort(out.begin(), out.end(), [](const Confusion &a, const Confusion &b) {
    if (a.count != b.count)
      return a.count > b.count;
    return std::tie(a.truth, a.answer) < std::tie(b.truth, b.answer);
  });
  return out;
}

} // namespace semdns::eval
