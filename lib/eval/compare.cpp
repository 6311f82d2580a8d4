#include "lib/eval/compare.h"

#include "lib/eval/order.h"
#include "lib/eval/stats.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace semdns::eval {
namespace {

/// What a reader of a comparison wants to know of META; digests say that inputs changed.
constexpr const char *kMetaKeys[] = {"name",
                                     "tool.version",
                                     "spec.sha256",
                                     "encoder.sha256",
                                     "encoder.layers",
                                     "encoder.finetuned",
                                     "train.examples",
                                     "train.seed",
                                     "train.alpha",
                                     "train.heldout.best",
                                     "risk.holds",
                                     "risk.alpha",
                                     "risk.delta",
                                     "risk.coverage",
                                     "risk.n",
                                     "targets",
                                     "train.root_label"};

Grade gradeOf(const Tree &tree, const Result &r) {
  if (r.truth.known && r.outcome.zone == r.truth.zone)
    return Grade::Right;
  return tree.within(r.truth.zone, r.outcome.zone) ? Grade::Climbed : Grade::Misroute;
}

bool bestRight(const Result &r) { return r.truth.known && r.outcome.best == r.truth.zone; }

/// The row's true path by the artifact's own tree, so that trees may differ.
bool inScope(const Result &r) { return !r.truth.known || r.truth.zone != 0; }

} // namespace

const char *gradeText(Grade grade) {
  return grade == Grade::Right ? "right" : grade == Grade::Climbed ? "climbed" : "misroute";
}

void Paired::add(bool oldRight, bool newRight) {
  ++rows;
  ++(oldRight ? (newRight ? both : onlyOld) : (newRight ? onlyNew : neither));
}

void Paired::test() { pValue = mcNemar(onlyOld, onlyNew); }

Comparison compare(const Subject &oldSubject, const std::vector<Result> &before,
                   const Subject &newSubject, const std::vector<Result> &after, const Rows &rows) {
  Comparison out(tallyOf(oldSubject, rows, before));
  const Tree oldTree(oldSubject.zones), newTree(newSubject.zones);
  std::map<std::string, Comparison::ZoneChange> zones;
  for (size_t i = 0, j = 0; i < before.size() && j < after.size();) {
    const Result &was = before[i], &is = after[j];
    if (was.row != is.row) {
      ++(was.row < is.row ? i : j);
      continue;
    }
    ++i, ++j;
    const Grade then = gradeOf(oldTree, was), now = gradeOf(newTree, is);
    out.path.add(then == Grade::Right, now == Grade::Right);
    // In scope for both: a label that one artifact takes for out of scope is no best guess's
    // affair.
    if (inScope(was) && inScope(is)) {
      out.best.add(bestRight(was), bestRight(is));
      out.safe.add(then != Grade::Misroute, now != Grade::Misroute);
      const std::string path =
          is.truth.known ? newSubject.zones[is.truth.zone].path : *rows.rows[is.row].label;
      Comparison::ZoneChange &zone = zones[path];
      zone.path = path;
      ++zone.rows;
      zone.worse += bestRight(was) && !bestRight(is);
      zone.better += !bestRight(was) && bestRight(is);
    }
    const std::string &oldPath = oldSubject.zones[was.outcome.zone].path,
                      &newPath = newSubject.zones[is.outcome.zone].path;
    if (oldPath == newPath && then == now)
      continue;
    ++(now < then ? out.worse : now > then ? out.better : out.other);
    out.flips.push_back({is.row, then, now, oldPath, newPath,
                         oldSubject.zones[was.outcome.best].path,
                         newSubject.zones[is.outcome.best].path, was.bestConfidence,
                         is.bestConfidence, was.outcome.stage, is.outcome.stage});
  }
  out.best.test();
  out.path.test();
  out.safe.test();
  const auto rank = [](const Flip &f) { return int(f.after) - int(f.before); };
  stableSort(out.flips, [&](const Flip &a, const Flip &b) {
    const int ra = rank(a), rb = rank(b);
    // Worse (the worst first), better (the best first), other.
    const auto order = [](int r) { return r < 0 ? r : r > 0 ? 10 - r : 20; };
    return order(ra) < order(rb);
  });
  std::set<std::string> oldPaths, newPaths;
  for (const ZoneInfo &zone : oldSubject.zones)
    oldPaths.insert(zone.path);
  for (const ZoneInfo &zone : newSubject.zones)
    newPaths.insert(zone.path);
  std::set_difference(newPaths.begin(), newPaths.end(), oldPaths.begin(), oldPaths.end(),
                      std::back_inserter(out.added));
  std::set_difference(oldPaths.begin(), oldPaths.end(), newPaths.begin(), newPaths.end(),
                      std::back_inserter(out.removed));
  const uint64_t oldSerial = oldSubject.artifact.info().serial,
                 newSerial = newSubject.artifact.info().serial;
  if (oldSerial != newSerial)
    out.meta.push_back({"serial", std::to_string(oldSerial), std::to_string(newSerial)});
  for (const char *key : kMetaKeys)
    if (std::string was = oldSubject.meta(key), is = newSubject.meta(key); was != is)
      out.meta.push_back({key, was, is});
  for (auto &[path, zone] : zones)
    if (zone.worse || zone.better)
      out.zones.push_back(zone);
  stableSort(out.zones, [](const auto &a, const auto &b) {
    return int64_t(a.better) - int64_t(a.worse) < int64_t(b.better) - int64_t(b.worse);
  });
  out.verdict = out.best.pValue >= 0.05               ? "no difference beyond chance"
                : out.best.onlyNew > out.best.onlyOld ? "better beyond chance"
                                                      : "worse beyond chance";
  return out;
}

} // namespace semdns::eval
