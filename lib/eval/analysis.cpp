#include "lib/eval/analysis.h"

#include "lib/calibrate/binomial.h"
#include "lib/eval/order.h"
#include "lib/eval/stats.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace semdns::eval {
namespace {

constexpr double kOne = 65536.0; // of Q16
constexpr size_t kCurvePoints = 200, kPairs = 50;

/// A row as a true class and a guessed one.
struct Guess {
  uint32_t truth, guess;
};

/// Macro-averaged F1 over the classes that are some row's truth, of the rows `draw` names.
class MacroF1 {
public:
  MacroF1(const std::vector<Guess> &guesses, size_t classes)
      : guesses_(guesses), rows_(classes), guessed_(classes), hits_(classes) {}
  double operator()(const std::vector<uint32_t> &draw) {
    std::fill(rows_.begin(), rows_.end(), 0);
    std::fill(guessed_.begin(), guessed_.end(), 0);
    std::fill(hits_.begin(), hits_.end(), 0);
    for (uint32_t i : draw) {
      ++rows_[guesses_[i].truth];
      ++guessed_[guesses_[i].guess];
      hits_[guesses_[i].truth] += guesses_[i].truth == guesses_[i].guess;
    }
    double sum = 0;
    uint32_t classes = 0;
    for (size_t c = 0; c < rows_.size(); ++c)
      if (rows_[c]) {
        ++classes;
        sum += 2.0 * hits_[c] / (rows_[c] + guessed_[c]);
      }
    return classes ? sum / classes : 0;
  }

private:
  const std::vector<Guess> &guesses_;
  std::vector<uint32_t> rows_, guessed_, hits_;
};

std::vector<uint32_t> everyRow(size_t rows) {
  std::vector<uint32_t> all(rows);
  for (uint32_t i = 0; i < rows; ++i)
    all[i] = i;
  return all;
}

/// Fewer resamples for many rows: their statistics hardly vary.
uint32_t resamplesFor(size_t rows, uint32_t wanted) {
  return uint32_t(std::min<size_t>(wanted, std::max<size_t>(200, 20'000'000 / (rows + 1))));
}

template <typename Statistic>
Estimate estimate(size_t rows, uint64_t seed, uint32_t resamples, Statistic &&statistic) {
  if (!rows)
    return {0, 0, 1};
  Estimate out;
  out.value = statistic(everyRow(rows));
  std::tie(out.low, out.high) =
      bootstrap(uint32_t(rows), resamplesFor(rows, resamples), seed,
                [&](const std::vector<uint32_t> &draw) { return statistic(draw); });
  return out;
}

Estimate macroF1(const std::vector<Guess> &guesses, size_t classes, uint64_t seed,
                 uint32_t resamples) {
  return estimate(guesses.size(), seed, resamples, MacroF1(guesses, classes));
}

bool inScope(const Result &result) { return !result.truth.known || result.truth.zone != 0; }

class Analyst {
public:
  Analyst(const Subject &subject, const Rows &rows, const std::vector<Result> &results)
      : zones_(subject.zones), tree_(subject.zones), rows_(rows), results_(results) {}

  Analysis out;

  void agreement(uint64_t seed, uint32_t resamples);
  void perZone();
  void curve();
  void reliability(uint64_t seed, uint32_t resamples);
  void pairs();
  void stages();
  void outOfScope();

private:
  const std::vector<ZoneInfo> &zones_;
  const Tree tree_;
  const Rows &rows_;
  const std::vector<Result> &results_;
};

void Analyst::agreement(uint64_t seed, uint32_t resamples) {
  std::vector<Guess> best, path;
  std::vector<std::vector<Guess>> cut;
  const auto nowhere = uint32_t(zones_.size()); // a guess that ends above the depth
  for (const Result &r : results_) {
    if (!r.truth.known)
      continue;
    path.push_back({r.truth.zone, r.outcome.zone});
    if (!r.truth.zone)
      continue;
    best.push_back({r.truth.zone, r.outcome.best});
    cut.resize(std::max<size_t>(cut.size(), r.truth.depth));
    for (uint32_t d = 1; d <= r.truth.depth; ++d)
      cut[d - 1].push_back({tree_.ancestorAt(r.truth.zone, d),
                            std::min(tree_.ancestorAt(r.outcome.best, d), nowhere)});
  }
  out.macroF1 = macroF1(best, zones_.size(), seed, resamples);
  out.pathMacroF1 = macroF1(path, zones_.size(), seed, resamples);
  for (const std::vector<Guess> &guesses : cut)
    out.depthMacroF1.push_back(macroF1(guesses, zones_.size() + 1, seed, resamples));
}

void Analyst::perZone() {
  std::map<uint32_t, ZoneScore> scores;
  for (const Result &r : results_) {
    const uint32_t answer = r.outcome.zone;
    const bool astray = !tree_.within(r.truth.zone, answer);
    if (astray)
      ++scores[answer].intruders;
    if (!r.truth.known)
      continue;
    ZoneScore &own = scores[r.truth.zone];
    ++own.rows;
    if (!r.truth.zone) {
      own.recall.add(answer == 0);
      continue;
    }
    const bool right = r.outcome.best == r.truth.zone;
    own.recall.add(right);
    own.covered.add(tree_.depth(answer) >= r.truth.depth);
    own.misroute.add(astray);
    scores[r.outcome.best].precision.add(right);
  }
  if (auto root = scores.find(0); root != scores.end() && root->second.rows)
    for (const Result &r : results_)
      if (r.outcome.zone == 0)
        root->second.precision.add(r.truth.known && r.truth.zone == 0);
  for (auto &[zone, score] : scores) {
    score.zone = zone;
    if (const uint64_t both = score.recall.total + score.precision.total)
      score.f1 = 2.0 * double(score.recall.hits) / double(both);
    out.zones.push_back(score);
  }
}

void Analyst::curve() {
  struct Row {
    uint32_t confidence;
    bool misroute, inScope;
  };
  std::vector<Row> sorted;
  double total = 0, outside = 0;
  for (const Result &r : results_) {
    sorted.push_back({r.bestConfidence, !tree_.within(r.truth.zone, r.outcome.best), inScope(r)});
    (inScope(r) ? total : outside) += 1;
  }
  if (total == 0)
    return;
  stableSort(sorted, [](const Row &a, const Row &b) { return a.confidence > b.confidence; });
  std::vector<CurvePoint> all;
  double answered = 0, wrong = 0, accepted = 0, area = 0;
  for (size_t i = 0; i < sorted.size();) {
    const uint32_t threshold = sorted[i].confidence;
    const double before = answered;
    for (; i < sorted.size() && sorted[i].confidence == threshold; ++i) {
      answered += sorted[i].inScope;
      wrong += sorted[i].inScope && sorted[i].misroute;
      accepted += !sorted[i].inScope;
    }
    const double selective = answered > 0 ? wrong / answered : 0;
    area += (answered - before) * selective;
    all.push_back({threshold, answered / total, wrong / total, selective,
                   outside > 0 ? accepted / outside : 0});
  }
  out.aurc = area / total;
  const size_t step = std::max<size_t>(1, (all.size() + kCurvePoints - 1) / kCurvePoints);
  for (size_t i = 0; i < all.size(); ++i)
    if (i % step == 0 || i + 1 == all.size())
      out.curve.push_back(all[i]);
}

void Analyst::reliability(uint64_t seed, uint32_t resamples) {
  constexpr size_t kBins = 10;
  struct Row {
    double confidence;
    bool right;
  };
  std::vector<Row> known;
  for (const Result &r : results_)
    if (r.truth.known)
      known.push_back({r.bestConfidence / kOne, tree_.within(r.truth.zone, r.outcome.best)});
  const auto binOf = [](double c) { return std::min(kBins - 1, size_t(c * kBins)); };
  std::vector<Bin> &bins = out.reliability.bins;
  bins.resize(kBins);
  double brier = 0;
  for (const Row &row : known) {
    Bin &bin = bins[binOf(row.confidence)];
    bin.right.add(row.right);
    bin.confidence += row.confidence;
    brier += (row.confidence - row.right) * (row.confidence - row.right);
  }
  for (size_t b = 0; b < kBins; ++b) {
    bins[b].low = double(b) / kBins;
    bins[b].high = double(b + 1) / kBins;
    if (bins[b].right.total)
      bins[b].confidence /= double(bins[b].right.total);
  }
  out.reliability.brier = known.empty() ? 0 : brier / double(known.size());
  out.reliability.ece =
      estimate(known.size(), seed, resamples, [&](const std::vector<uint32_t> &draw) {
        std::array<double, kBins> gap = {}; // sum of confidence - outcome
        for (uint32_t i : draw)
          gap[binOf(known[i].confidence)] += known[i].confidence - known[i].right;
        double sum = 0;
        for (double g : gap)
          sum += std::fabs(g);
        return sum / double(draw.size());
      });
}

void Analyst::pairs() {
  std::map<std::pair<std::string, std::string>, std::vector<uint32_t>> found;
  for (uint32_t i = 0; i < results_.size(); ++i) {
    const Result &r = results_[i];
    if (!inScope(r)) {
      if (r.outcome.zone)
        found[{"/", zones_[r.outcome.zone].path}].push_back(i);
    } else if (!r.truth.known) {
      found[{*rows_.rows[r.row].label, zones_[r.outcome.best].path}].push_back(i);
    } else if (r.outcome.best != r.truth.zone) {
      found[{zones_[r.truth.zone].path, zones_[r.outcome.best].path}].push_back(i);
    }
  }
  for (auto &[names, rows] : found) {
    const uint64_t count = rows.size();
    stableSort(rows, [&](uint32_t a, uint32_t b) {
      return results_[a].bestConfidence > results_[b].bestConfidence;
    });
    rows.resize(std::min<size_t>(count, kPairExamples));
    out.pairs.push_back({names.first, names.second, count, rows});
  }
  stableSort(out.pairs,
             [](const ConfusedPair &a, const ConfusedPair &b) { return a.count > b.count; });
  out.pairs.resize(std::min(out.pairs.size(), kPairs));
}

void Analyst::stages() {
  std::map<uint32_t, std::vector<uint32_t>> times;
  std::map<uint32_t, StageCost> costs;
  double total = 0;
  for (const Result &r : results_) {
    StageCost &cost = costs[r.outcome.stage];
    times[r.outcome.stage].push_back(r.nanoseconds);
    cost.shareOfTime += r.nanoseconds;
    total += r.nanoseconds;
    if (inScope(r)) {
      cost.best.add(r.truth.known && r.outcome.best == r.truth.zone);
      cost.misroute.add(!tree_.within(r.truth.zone, r.outcome.zone));
    }
  }
  for (auto &[stage, cost] : costs) {
    std::vector<uint32_t> &ns = times[stage];
    std::nth_element(ns.begin(), ns.begin() + ptrdiff_t(ns.size() / 2), ns.end());
    cost.stage = stage;
    cost.share = {ns.size(), results_.size()};
    cost.medianNs = ns[ns.size() / 2];
    cost.shareOfTime = total > 0 ? cost.shareOfTime / total : 0;
    out.stages.push_back(cost);
  }
}

void Analyst::outOfScope() {
  std::vector<int64_t> inside, outside; // scores
  bool odds = false;
  for (const Result &r : results_)
    odds |= r.odds != INT32_MAX && r.odds != INT32_MIN;
  out.byOdds = odds;
  for (const Result &r : results_)
    (inScope(r) ? inside : outside).push_back(odds ? r.odds : int64_t(r.bestConfidence));
  if (inside.empty() || outside.empty())
    return;
  std::sort(inside.begin(), inside.end());
  double wins = 0;
  for (int64_t score : outside) {
    const auto [low, high] = std::equal_range(inside.begin(), inside.end(), score);
    wins += double(inside.end() - high) + 0.5 * double(high - low);
  }
  out.auroc = wins / (double(inside.size()) * double(outside.size()));
  for (double rejection : {0.01, 0.03, 0.05}) {
    // The largest threshold below which at most this share of in-scope rows lies.
    const int64_t threshold = inside[size_t(rejection * double(inside.size()))];
    Rate recall;
    for (int64_t score : outside)
      recall.add(score < threshold);
    out.oos.push_back({rejection, recall});
  }
}

} // namespace

Analysis analyse(const Subject &subject, const Rows &rows, const std::vector<Result> &results,
                 uint64_t seed, uint32_t resamples) {
  Analyst analyst(subject, rows, results);
  analyst.agreement(seed, resamples);
  analyst.perZone();
  analyst.curve();
  analyst.reliability(seed, resamples);
  analyst.pairs();
  analyst.stages();
  analyst.outOfScope();
  return std::move(analyst.out);
}

Guarantee checkGuarantee(const Subject &subject, const std::vector<Result> &results,
                         const Tally &tally, uint32_t stages) {
  Guarantee out;
  const bool light = stages && !(stages & SEMDNS_STAGE_ENCODER);
  const std::string prefix =
      light && !subject.meta("risk.light.n").empty() ? "risk.light." : "risk.";
  const auto meta = [&](const char *key) { return subject.meta((prefix + key).c_str()); };
  const auto whole = [&](const char *key) { return std::strtoull(meta(key).c_str(), nullptr, 10); };
  out.misroute = tally.misroute;
  out.covered = tally.covered;
  out.selective = {tally.misroute.hits, tally.misroute.total - tally.rejected.hits};
  out.oosAnswered = {tally.oosRecall.total - tally.oosRecall.hits, tally.oosRecall.total};
  out.alpha = std::strtod(meta("alpha").c_str(), nullptr);
  out.delta = std::strtod(meta("delta").c_str(), nullptr);
  out.rows = whole("n");
  out.errors = whole("errors");
  const std::string coverage = meta("coverage"); // "hits/total"
  if (const size_t slash = coverage.find('/'); slash != std::string::npos)
    out.coverageThen = {std::strtoull(coverage.c_str(), nullptr, 10),
                        std::strtoull(coverage.c_str() + slash + 1, nullptr, 10)};
  out.stated = meta("holds") == "yes" && out.alpha > 0 && out.alpha < 1;
  if (!out.stated) {
    out.reason = meta("reason");
    out.verdict = "the artifact states no guarantee";
    return out;
  }
  const auto check =
      calibrate::checkGuarantee(tally.misroute.total, tally.misroute.hits, out.alpha);
  out.pValue = check.pValue;
  out.violated = check.violated;
  out.verdict = !tally.misroute.total    ? "cannot be told: no query is in scope"
                : out.violated           ? "violated beyond chance"
                : check.rate > out.alpha ? "above alpha, within chance"
                                         : "holds on these rows";
  const Tree tree(subject.zones);
  for (uint32_t zone = 1; zone < subject.zones.size(); ++zone) {
    const std::string promise = subject.meta(("risk.zone." + subject.zones[zone].name).c_str());
    if (promise.rfind("holds ", 0) != 0 || promise.find(" pooled=") != std::string::npos)
      continue; // pooled zones have no promise each
    Guarantee::Zone own{zone, {}, 1, false};
    for (const Result &r : results)
      if (inScope(r) && tree.within(r.outcome.best, zone))
        own.misroute.add(!tree.within(r.truth.zone, r.outcome.zone));
    own.pValue = calibrate::checkGuarantee(own.misroute.total, own.misroute.hits, out.alpha).pValue;
    out.zones.push_back(own);
  }
  for (Guarantee::Zone &own : out.zones)
    own.violated = own.pValue < 0.05 / double(out.zones.size());
  return out;
}

} // namespace semdns::eval
