#include "lib/calibrate/calibrate.h"

#include "lib/calibrate/binomial.h"
#include "semdns/format/classes.h"

#include <algorithm>
#include <cmath>

namespace semdns::calibrate {

namespace {

constexpr uint32_t kLightMask = SEMDNS_STAGE_KEYWORD | SEMDNS_STAGE_EMBEDDING;
/// Where zones have promises of their own, all points have the guard of this one.
constexpr uint32_t kGroupGuard = 65536 * 3 / 4;
/// Zones named in a warning each; the rest are counted.
constexpr size_t kNamedZones = 10;

std::string percent(double share) {
  char text[32];
  snprintf(text, sizeof text, "%.4g %%", 100 * share);
  return text;
}
std::string percent(uint64_t part, uint64_t whole) {
  return percent(whole ? double(part) / double(whole) : 0);
}
std::string fraction(uint64_t part, uint64_t whole) {
  return std::to_string(part) + "/" + std::to_string(whole);
}
std::string number(double value) {
  char text[32];
  snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// What a set of calibration rows shows under one setting of the rules.
struct Count {
  uint32_t n = 0, errors = 0, answered = 0, covered = 0, right = 0, oos = 0, oosAnswered = 0;

  void add(const Tree &tree, uint32_t truth, uint32_t answer) {
    if (!truth) {
      ++oos;
      oosAnswered += answer != 0;
      return;
    }
    ++n;
    errors += tree.misroutes(answer, truth);
    answered += answer != 0;
    covered += tree.depth[answer] >= tree.depth[truth];
    right += answer == truth;
  }
};

void fill(Promise &promise, const Count &count) {
  promise.n = count.n;
  promise.errors = count.errors;
  promise.answered = count.answered;
  promise.covered = count.covered;
  promise.right = count.right;
  promise.oos = count.oos;
  promise.oosAnswered = count.oosAnswered;
}

/// The fixed sequence test. `counts[0]` is "always climb", then the points from strict to loose.
Promise test(const std::vector<Count> &counts, double alpha, double delta) {
  Promise promise;
  promise.alpha = alpha;
  promise.delta = delta;
  promise.length = promise.index = uint32_t(counts.size() - 1);
  const uint32_t n = counts[0].n;
  size_t passed = 0; // in counts; 0: none
  for (size_t j = 1; j < counts.size(); ++j) {
    const double p = binomialTail(n, alpha, counts[j].errors);
    if (n == 0 || p > delta)
      break;
    passed = j;
    promise.pValue = p;
    promise.index = uint32_t(j - 1);
  }
  fill(promise, counts[passed]);
  // The best that thresholds can do with unlimited rows, by what these show.
  for (size_t j = 1; n && j < counts.size(); ++j)
    if (double(counts[j].errors) <= alpha * n) {
      const double coverage = double(counts[j].covered) / n;
      if (coverage >= promise.best) {
        promise.best = coverage;
        promise.needed = rowsNeeded(double(counts[j].errors) / n, alpha, delta);
      }
    }
  promise.holds = passed != 0;
  if (passed)
    return promise;
  const uint64_t least = rowsNeeded(0, alpha, delta);
  if (n < least)
    promise.reason = std::to_string(n) + " in-scope calibration rows; the promise needs at least " +
                     std::to_string(least) + ", more when some are misrouted";
  else
    promise.reason = "no threshold keeps misroutes at " + percent(alpha) + ": the strictest has " +
                     fraction(counts.size() > 1 ? counts[1].errors : 0, n);
  // Climbing always is safe without any test, unless keywords answer by themselves.
  promise.pValue = counts[0].answered ? (n ? binomialTail(n, alpha, counts[0].errors) : 1) : 0;
  promise.holds = promise.pValue <= delta;
  if (!promise.holds)
    promise.reason =
        "stage 1 alone misroutes " + fraction(counts[0].errors, n) + "; " + promise.reason;
  return promise;
}

/// A cascade under all its operating points: counts[0] is "always climb".
class Run {
public:
  Run(const Tree &tree, std::span<const Sample> samples, uint32_t stages)
      : tree_(tree), samples_(samples), stages_(stages) {}

  Count count(const Rules &rules) const {
    Count count;
    for (const Sample &sample : samples_)
      count.add(tree_, sample.zone, replay(sample.evidence, rules, stages_).zone);
    return count;
  }
  /// Counts by group; group[zone] is that of a best guess, `groups` how many there are.
  std::vector<Count> count(const Rules &rules, std::span<const uint32_t> group,
                           uint32_t groups) const {
    std::vector<Count> counts(groups);
    for (const Sample &sample : samples_) {
      const Decision decision = replay(sample.evidence, rules, stages_);
      counts[group[decision.best]].add(tree_, sample.zone, decision.zone);
    }
    return counts;
  }

private:
  const Tree &tree_;
  std::span<const Sample> samples_;
  uint32_t stages_;
};

/// The zones whose queries get a promise of their own: those below the first zone that branches.
/// Zones with too few rows to prove anything share a group, the last.
struct Groups {
  std::vector<uint32_t> of;                         ///< [zones]
  std::vector<std::vector<uint32_t>> zones;         ///< [groups]
  std::vector<std::pair<uint32_t, uint64_t>> small; ///< zones of the last group, their rows
  uint64_t least = 0;                               ///< rows that a zone needs to stand alone
};

uint32_t branchingZone(const Tree &tree) {
  uint32_t zone = 0;
  while (zone + 1 < tree.size() && tree.subtreeEnd[zone] > zone + 1 &&
         tree.subtreeEnd[zone + 1] == tree.subtreeEnd[zone])
    ++zone; // an only child
  return zone;
}

Groups groupsOf(const Tree &tree, const Rules &rules, std::span<const Sample> samples,
                uint32_t stages, double alpha, double delta) {
  Groups groups;
  const uint32_t top = branchingZone(tree);
  std::vector<uint32_t> zones;
  for (uint32_t zone = top + 1; zone < tree.subtreeEnd[top]; zone = tree.subtreeEnd[zone])
    zones.push_back(zone);
  std::vector<uint32_t> rows(tree.size());
  for (const Sample &sample : samples)
    if (sample.zone)
      ++rows[replay(sample.evidence, rules, stages).best];
  // Which zones stand alone depends on the rows' best guesses only, not on whether they are right,
  // so that the tests stay valid given the grouping.
  // A quarter of alpha in misroutes is what a zone may be hoped to have.
  const uint64_t least =
      rowsNeeded(alpha / 4, alpha, delta / double(std::max<size_t>(zones.size(), 1)));
  std::vector<uint32_t> small;
  groups.of.assign(tree.size(), 0);
  for (uint32_t zone : zones) {
    uint64_t have = 0;
    for (uint32_t z = zone; z < tree.subtreeEnd[zone]; ++z)
      have += rows[z];
    if (least == 0 || have < least) {
      small.push_back(zone);
      groups.small.emplace_back(zone, have);
      continue;
    }
    for (uint32_t z = zone; z < tree.subtreeEnd[zone]; ++z)
      groups.of[z] = uint32_t(groups.zones.size());
    groups.zones.push_back({zone});
  }
  for (uint32_t zone = 0; zone <= top; ++zone) // no best guess at all, or one above the branching
    groups.of[zone] = uint32_t(groups.zones.size());
  for (uint32_t zone : small)
    for (uint32_t z = zone; z < tree.subtreeEnd[zone]; ++z)
      groups.of[z] = uint32_t(groups.zones.size());
  groups.zones.push_back(small);
  groups.least = least;
  return groups;
}

class Calibration {
public:
  Calibration(const Tree &tree, std::span<const Sample> calibration, const Options &options,
              Diagnostics &diags)
      : tree_(tree), calibration_(calibration), options_(options), diags_(diags) {}

  Result run(Sequence sequence) {
    result_.sequence = std::move(sequence);
    const std::vector<uint32_t> &light = result_.sequence.light,
                                &cascade = result_.sequence.cascade;
    result_.light = testAll(light, false);
    uint32_t lightPoint = kClimb, cascadePoint = kClimb;
    if (result_.light.index < light.size())
      lightPoint = light[result_.light.index];
    if (options_.encoder) {
      result_.cascade = testAll(cascade, true);
      if (result_.cascade->index < cascade.size())
        cascadePoint = cascade[result_.cascade->index];
    }
    result_.rules = rulesOf(tree_, options_.base, lightPoint, cascadePoint,
                            guardAt(result_.sequence, cascadePoint));
    if (options_.keepBase && result_.light.n < rowsNeeded(0, options_.alpha, options_.delta))
      keepBase();
    else if (options_.perZone)
      testGroups();
    report();
    writeMeta();
    return std::move(result_);
  }

private:
  uint32_t mask(bool cascade) const { return cascade ? SEMDNS_STAGES_ALL : kLightMask; }
  Rules rulesAt(uint32_t point, bool cascade) const {
    return cascade ? rulesOf(tree_, options_.base, kClimb, point, guardAt(result_.sequence, point))
                   : rulesOf(tree_, options_.base, point, kClimb, SEMDNS_GUARD_NEVER);
  }
  /// "Always climb", then each point.
  std::vector<Count> countsOf(const std::vector<uint32_t> &points, bool cascade,
                              std::span<const Sample> samples) const {
    const Run run(tree_, samples, mask(cascade));
    std::vector<Count> counts{run.count(rulesAt(kClimb, cascade))};
    for (uint32_t point : points)
      counts.push_back(run.count(rulesAt(point, cascade)));
    return counts;
  }

  Promise testAll(const std::vector<uint32_t> &points, bool cascade) const {
    return test(countsOf(points, cascade, calibration_), options_.alpha, options_.delta);
  }

  /// Thresholds without a promise, as they came.
  void keepBase() {
    result_.rules = options_.base;
    for (Promise *promise : {&result_.light, result_.cascade ? &*result_.cascade : nullptr})
      if (promise) {
        const bool cascade = promise != &result_.light;
        fill(*promise, Run(tree_, calibration_, mask(cascade)).count(result_.rules));
        promise->holds = false;
        promise->pValue = binomialTail(promise->n, promise->alpha, promise->errors);
      }
  }

  /// Each group of the cascade in use climbs its own sequence, with delta shared out among them and
  /// one guard for all points: a guard cannot be stricter for one zone than for another, and which
  /// group a text is in must not depend on the point.
  void testGroups() {
    const bool cascade = options_.encoder;
    const std::vector<uint32_t> &points =
        cascade ? result_.sequence.cascade : result_.sequence.light;
    const uint32_t guard = cascade ? guardAt(result_.sequence, kGroupGuard) : SEMDNS_GUARD_NEVER;
    auto rulesOfPoint = [&](uint32_t point) {
      return rulesOf(tree_, options_.base, cascade ? kClimb : point, cascade ? point : kClimb,
                     guard);
    };
    const Rules base = rulesOfPoint(kClimb); // always climb, but for what the guard lets through
    const Groups groups =
        groupsOf(tree_, base, calibration_, mask(cascade), options_.alpha, options_.delta);
    small_ = groups.small;
    least_ = groups.least;
    const uint32_t count = uint32_t(groups.zones.size());
    const Run run(tree_, calibration_, mask(cascade));
    std::vector<std::vector<Count>> counts(count);
    auto add = [&](const Rules &rules) {
      const std::vector<Count> all = run.count(rules, groups.of, count);
      for (uint32_t g = 0; g < count; ++g)
        counts[g].push_back(all[g]);
    };
    add(base);
    for (uint32_t point : points)
      add(rulesOfPoint(point));
    pack::Acceptance &acceptance = cascade ? result_.rules.encoder : result_.rules.embedding;
    acceptance = cascade ? base.encoder : base.embedding;
    result_.rules.guard.confidence = guard;
    for (uint32_t g = 0; g < count; ++g) {
      if (groups.zones[g].empty())
        continue;
      GroupPromise group{groups.zones[g],
                         test(counts[g], options_.alpha, options_.delta / double(count))};
      if (group.promise.index < points.size()) {
        const Rules rules = rulesOfPoint(points[group.promise.index]);
        const pack::Acceptance &from = cascade ? rules.encoder : rules.embedding;
        for (uint32_t zone : group.zones)
          for (uint32_t z = zone; z < tree_.subtreeEnd[zone]; ++z)
            acceptance.threshold[z] = from.threshold[z];
      }
      result_.groups.push_back(std::move(group));
    }
    // Zones above the branching are ancestors of all groups: what the strictest group asks.
    for (uint32_t zone = 1; zone <= branchingZone(tree_); ++zone) {
      acceptance.threshold[zone] = 0;
      for (const GroupPromise &group : result_.groups) {
        const Rules rules = rulesOfPoint(
            group.promise.index < points.size() ? points[group.promise.index] : kClimb);
        acceptance.threshold[zone] =
            std::max(acceptance.threshold[zone],
                     (cascade ? rules.encoder : rules.embedding).threshold[zone]);
      }
    }
    // The tree's figures are those of the thresholds now in use; its bound follows from the
    // groups'.
    Promise &whole = cascade ? *result_.cascade : result_.light;
    fill(whole, run.count(result_.rules));
    whole.index = whole.length;
    whole.holds = std::all_of(result_.groups.begin(), result_.groups.end(),
                              [](const GroupPromise &group) { return group.promise.holds; });
    whole.pValue = binomialTail(whole.n, whole.alpha, whole.errors);
    whole.reason = whole.holds ? "" : "a zone's promise does not hold";
  }

  Location where(uint32_t zone) const {
    if (options_.where && zone) {
      Location place = options_.where(zone);
      if (!place.file.empty())
        return place;
    }
    return options_.source;
  }

  std::string more(const Promise &promise) const {
    if (promise.best > 0 && promise.needed > promise.n)
      return "the best coverage it can have is " + percent(promise.best) + ", with about " +
             std::to_string(promise.needed - promise.n) +
             " more calibration rows; or raise alpha, or add training examples";
    if (promise.best > 0 && promise.needed == 0)
      return "the best coverage it can have is " + percent(promise.best) +
             ", too near alpha for any number of rows to prove; raise alpha, or add training "
             "examples";
    return "raise alpha, or add training examples";
  }

  void report() {
    const Promise &main = result_.main();
    auto warnAbout = [&](const Promise &promise, const std::string &what) {
      if (promise.index < promise.length || promise.length == 0)
        return;
      const uint64_t least = rowsNeeded(0, promise.alpha, promise.delta);
      if (promise.n == 0)
        diags_.note(options_.source,
                    what +
                        ": no calibration rows, so no promise about misroutes; it takes at "
                        "least " +
                        std::to_string(least) + " labelled rows to spare");
      else if (promise.n < least)
        diags_.warning(options_.source,
                       what + ": " + std::to_string(promise.n) +
                           " in-scope calibration rows are fewer than a promise of alpha " +
                           number(promise.alpha) + ", delta " + number(promise.delta) +
                           " needs: at least " + std::to_string(least),
                       "add " + std::to_string(least - promise.n) +
                           " labelled rows that training does not see (more when some are "
                           "misrouted), or raise alpha");
      else
        diags_.warning(options_.source,
                       what + ": alpha " + number(promise.alpha) + " is out of reach: " +
                           promise.reason + "; every query climbs to the root",
                       more(promise));
    };
    if (!options_.perZone) {
      warnAbout(main, "the tree");
      if (result_.cascade)
        warnAbout(result_.light, "stages 1 and 2 alone");
    }
    for (const GroupPromise &group : result_.groups)
      if (group.promise.index == group.promise.length && !group.zones.empty()) {
        const std::string name = group.zones.size() == 1
                                     ? "'" + tree_.name[group.zones[0]] + "'"
                                     : std::to_string(group.zones.size()) + " small zones together";
        diags_.warning(where(group.zones[0]),
                       name + " cannot reach alpha " + number(options_.alpha) + " (delta " +
                           number(group.promise.delta) + "): " + group.promise.reason +
                           "; its queries climb to the root",
                       more(group.promise));
      }
    for (size_t i = 0; i < small_.size() && i < kNamedZones; ++i)
      diags_.warning(
          where(small_[i].first),
          "'" + tree_.name[small_[i].first] + "' has " + std::to_string(small_[i].second) +
              " calibration rows, too few for a promise of its own: it shares one with " +
              std::to_string(small_.size() - 1) + " other such zones",
          "it takes " + std::to_string(least_) + ", that is " +
              std::to_string(least_ - small_[i].second) + " more");
    if (small_.size() > kNamedZones)
      diags_.warning(options_.source, std::to_string(small_.size() - kNamedZones) +
                                          " more zones have too few calibration rows for a promise "
                                          "of their own");
    reportZones();
  }

  /// Zones whose own queries are misrouted more often than alpha, beyond chance, although the tree
  /// keeps its promise: their traffic may grow.
  void reportZones() {
    const bool cascade = options_.encoder;
    std::vector<Count> byZone(tree_.size());
    for (const Sample &sample : calibration_)
      if (sample.zone)
        byZone[sample.zone].add(tree_, sample.zone,
                                replay(sample.evidence, result_.rules, mask(cascade)).zone);
    const double delta = options_.delta / double(std::max(tree_.size(), 2u) - 1);
    struct Bad {
      uint32_t zone;
      double p;
    };
    std::vector<Bad> bad;
    for (uint32_t zone = 1; zone < tree_.size(); ++zone) {
      const Count &count = byZone[zone];
      if (count.n == 0)
        continue;
      const double p = binomialUpperTail(count.n, options_.alpha, count.errors);
      if (double(count.errors) > options_.alpha * count.n && p < delta)
        bad.push_back({zone, p});
    }
    std::sort(bad.begin(), bad.end(),
              [](const Bad &a, const Bad &b) { return a.p != b.p ? a.p < b.p : a.zone < b.zone; });
    for (size_t i = 0; i < bad.size() && i < kNamedZones; ++i) {
      const uint32_t zone = bad[i].zone;
      const Promise best = bestOf(zone);
      std::string help = best.best > 0
                             ? "the best coverage it can have at alpha is " + percent(best.best)
                             : "no threshold helps it";
      if (best.needed > best.n)
        help += ", with about " + std::to_string(best.needed - best.n) + " more calibration rows";
      diags_.warning(where(zone),
                     "'" + tree_.name[zone] + "' cannot reach alpha " + number(options_.alpha) +
                         " by itself: " + fraction(byZone[zone].errors, byZone[zone].n) +
                         " of its calibration rows are misrouted",
                     help + "; add training examples, or ask for `risk { per_zone: true }`");
    }
    if (bad.size() > kNamedZones)
      diags_.warning(options_.source, std::to_string(bad.size() - kNamedZones) +
                                          " more zones cannot reach alpha by themselves");
    result_.meta["risk.zones.over_alpha"] = std::to_string(bad.size());
  }

  /// What thresholds could do for the queries of one zone.
  Promise bestOf(uint32_t zone) const {
    const bool cascade = options_.encoder;
    std::vector<Sample> own;
    for (const Sample &sample : calibration_)
      if (sample.zone == zone)
        own.push_back(sample);
    const std::vector<Count> counts =
        countsOf(cascade ? result_.sequence.cascade : result_.sequence.light, cascade, own);
    return test(counts, options_.alpha, options_.delta);
  }

  void writeMeta() {
    auto &meta = result_.meta;
    auto put = [&](const std::string &prefix, const Promise &p) {
      meta[prefix + "holds"] = p.holds ? "yes" : "no";
      if (!p.reason.empty())
        meta[prefix + "reason"] = p.reason;
      meta[prefix + "alpha"] = number(p.alpha);
      meta[prefix + "delta"] = number(p.delta);
      meta[prefix + "n"] = std::to_string(p.n);
      meta[prefix + "errors"] = std::to_string(p.errors);
      meta[prefix + "coverage"] = fraction(p.covered, p.n);
      meta[prefix + "answered"] = fraction(p.answered, p.n);
      meta[prefix + "right"] = fraction(p.right, p.n);
      meta[prefix + "selective"] = fraction(p.errors, p.answered);
      meta[prefix + "oos.answered"] = fraction(p.oosAnswered, p.oos);
      meta[prefix + "point"] = fraction(p.index < p.length ? p.index + 1 : 0, p.length);
      meta[prefix + "p"] = number(p.pValue);
    };
    put("risk.", result_.main());
    meta["risk.stages"] = options_.encoder ? "1,2,3" : "1,2";
    if (result_.cascade)
      put("risk.light.", result_.light);
    meta["risk.sequence"] = formatSequence(result_.sequence);
    meta["risk.per_zone"] = options_.perZone ? "yes" : "no";
    for (const GroupPromise &group : result_.groups) {
      const Promise &p = group.promise;
      std::string line = std::string(p.holds ? "holds" : "fails") + " n=" + std::to_string(p.n) +
                         " errors=" + std::to_string(p.errors) +
                         " coverage=" + fraction(p.covered, p.n) + " delta=" + number(p.delta) +
                         " point=" + fraction(p.index < p.length ? p.index + 1 : 0, p.length);
      for (uint32_t zone : group.zones)
        meta["risk.zone." + tree_.name[zone]] =
            line + (group.zones.size() > 1 ? " pooled=" + std::to_string(group.zones.size()) : "");
    }
  }

  const Tree &tree_;
  std::span<const Sample> calibration_;
  const Options &options_;
  Diagnostics &diags_;
  Result result_;
  std::vector<std::pair<uint32_t, uint64_t>> small_; ///< zones that share a promise; their rows
  uint64_t least_ = 0;                               ///< rows that would give them one each
};

} // namespace

Result calibrateSamples(const Tree &tree, std::span<const Sample> tune,
                        std::span<const Sample> calibration, const Options &given,
                        Diagnostics &diags) {
  Options options = given;
  options.base.embedding.threshold.resize(tree.size(), 0);
  options.base.encoder.threshold.resize(options.encoder ? tree.size() : 0, 0);
  const bool fixed =
      !options.sequence.light.empty() && (!options.encoder || !options.sequence.cascade.empty());
  Result result = Calibration(tree, calibration, options, diags)
                      .run(fixed ? options.sequence : fixSequence(tree, tune, options));
  if (!fixed)
    result.meta["risk.tune"] = std::to_string(tune.size());
  return result;
}

std::string describe(const Promise &promise) {
  if (!promise.holds)
    return "no promise: " + promise.reason;
  if (promise.n == 0)
    return "every query climbs to the root: nothing is misrouted";
  return "misroutes at most " + percent(promise.alpha) + " of in-scope queries (delta " +
         percent(promise.delta) + "): " + fraction(promise.errors, promise.n) +
         " calibration rows misrouted, coverage " + percent(promise.covered, promise.n) +
         ", selective risk " + percent(promise.errors, promise.answered);
}

} // namespace semdns::calibrate
