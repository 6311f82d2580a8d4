#include "lib/eval/report.h"

#include "lib/eval/rate_json.h"

#include <cstdarg>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

using Json = nlohmann::ordered_json;
using ull = unsigned long long;

constexpr double kOne = 65536.0; // of Q16

__attribute__((format(printf, 2, 3))) void print(std::string &out, const char *format, ...) {
  char line[1024];
  va_list args;
  va_start(args, format);
  const int size = std::vsnprintf(line, sizeof line, format, args);
  va_end(args);
  out.append(line, std::min<size_t>(size < 0 ? 0 : size_t(size), sizeof line - 1));
}

std::string percent(const Rate &rate) {
  if (!rate.value())
    return "-";
  char text[96];
  const auto [low, high] = rate.interval();
  std::snprintf(text, sizeof text, "%6.2f %%  [%.2f, %.2f]  %llu/%llu", 100 * *rate.value(),
                100 * low, 100 * high, (ull)rate.hits, (ull)rate.total);
  return text;
}

/// Fit for a terminal: no control characters, cut within `most` bytes at a character.
std::string printable(const std::string &text, size_t most = 120) {
  std::string out;
  for (char c : text)
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  if (out.size() <= most)
    return out;
  while (most && (static_cast<unsigned char>(out[most]) & 0xc0) == 0x80)
    --most;
  return out.substr(0, most) + "...";
}

Json json(const Estimate &e) { return {{"value", e.value}, {"low", e.low}, {"high", e.high}}; }

Json json(const Paired &p) {
  return {{"rows", p.rows},        {"both", p.both},       {"only_old", p.onlyOld},
          {"only_new", p.onlyNew}, {"neither", p.neither}, {"p_value", p.pValue}};
}

/// The figures that a slice of rows is compared by.
Json summary(const Tally &t) {
  return {{"rows", t.rows},
          {"in_scope", t.inScope},
          {"best_path_accuracy", json(t.best)},
          {"path_accuracy", json(t.pathInScope)},
          {"misroute", json(t.misroute)},
          {"coverage", json(t.covered)},
          {"oos_recall", json(t.oosRecall)}};
}

class Text {
public:
  explicit Text(const Evaluation &e) : e_(e) {}
  std::string out;

  void head() {
    const Header &h = e_.header;
    print(out, "%s  (name %s, serial %llu, digest %.16s..., kernel %s)\n",
          printable(h.artifact).c_str(), printable(h.name).c_str(), (ull)h.serial, h.digest.c_str(),
          h.isa.c_str());
  }
  void figures(const Tally &tally);
  void depths(const Tally &tally);
  void stages(const Tally &tally);
  void quality(const Analysis &a);
  void confusions(const Tally &tally);
  void guarantee(const Guarantee &g);
  void leakage(const LeakageReport &l);
  void comparison(const Comparison &c);
  void suggestions(const Suggestions &s);
  void drift(const Drift &d);

private:
  const std::string &text(uint32_t row) const { return e_.rows->rows[row].text; }
  const Evaluation &e_;
};

void Text::figures(const Tally &tally) {
  print(out, "%s: %llu rows, %llu in scope, %llu out of scope\n",
        printable(e_.header.queries).c_str(), (ull)tally.rows, (ull)tally.inScope,
        (ull)tally.outOfScope);
  if (tally.unknown)
    print(out, "%llu of them have a label that no zone has, and count as errors\n",
          (ull)tally.unknown);
  if (e_.header.ignored)
    print(out, "%llu more rows have a label that no zone has, and are left out\n",
          (ull)e_.header.ignored);
  print(out, "\nIn scope                       rate    [95 %% Wilson]   rows\n");
  print(out, "  best_path accuracy        %s\n", percent(tally.best).c_str());
  print(out, "  path accuracy             %s\n", percent(tally.pathInScope).c_str());
  print(out, "  misroute                  %s\n", percent(tally.misroute).c_str());
  print(out, "    at coverage             %s\n", percent(tally.covered).c_str());
  print(out, "    accuracy when covered   %s\n", percent(tally.correctWhenCovered).c_str());
  if (tally.outOfScope) {
    print(out, "  rejected (root answers)   %s\n", percent(tally.rejected).c_str());
    print(out, "Out of scope\n");
    print(out, "  recall (the root answers) %s\n", percent(tally.oosRecall).c_str());
    print(out, "All rows\n");
    print(out, "  path accuracy             %s\n", percent(tally.path).c_str());
  }
}

void Text::depths(const Tally &tally) {
  print(out, "\nDepth  best guess                              answer\n");
  for (size_t i = 0; i < tally.depths.size(); ++i)
    print(out, "  %2zu   %-40s%s\n", i + 1, percent(tally.depths[i].best).c_str(),
          percent(tally.depths[i].answer).c_str());
}

void Text::quality(const Analysis &a) {
  print(out,
        "\nMacro-F1 [95 %% bootstrap]   best guess %.4f [%.4f, %.4f], answer %.4f [%.4f, %.4f]\n",
        a.macroF1.value, a.macroF1.low, a.macroF1.high, a.pathMacroF1.value, a.pathMacroF1.low,
        a.pathMacroF1.high);
  print(out, "Calibration error (ECE)    %.4f [%.4f, %.4f], Brier %.4f\n", a.reliability.ece.value,
        a.reliability.ece.low, a.reliability.ece.high, a.reliability.brier);
  if (!a.curve.empty()) {
    print(out, "Answering only the sure    coverage -> misroutes of all in scope:");
    // The curve is from strict to loose: the first point that reaches each coverage.
    size_t at = 0;
    for (double wanted : {0.5, 0.8, 0.9, 0.95}) {
      while (at + 1 < a.curve.size() && a.curve[at].coverage < wanted)
        ++at;
      print(out, "%s %.0f %% -> %.2f %%", wanted == 0.5 ? "" : ",", 100 * a.curve[at].coverage,
            100 * a.curve[at].risk);
    }
    out += "\n";
  }
  for (const OosPoint &p : a.oos)
    print(out, "Out-of-scope recall        %s at %.0f %% of in-scope rows rejected, by %s\n",
          percent(p.recall).c_str(), 100 * p.rejection, a.byOdds ? "odds" : "confidence");
}

void Text::stages(const Tally &tally) {
  print(out, "\nStage      share of rows                           best_path accuracy\n");
  for (const auto &[stage, counts] : tally.stages)
    if (counts.share.hits)
      print(out, "%-10s %-40s%s\n", semdns_stage_text(stage), percent(counts.share).c_str(),
            percent(counts.best).c_str());
  if (e_.timing)
    for (const StageCost &cost : e_.analysis->stages)
      print(out, "%-10s median %.2f us a query, %.1f %% of all time\n",
            semdns_stage_text(cost.stage), cost.medianNs / 1e3, 100 * cost.shareOfTime);
}

void Text::confusions(const Tally &tally) {
  const size_t all = tally.confusions().size();
  if (!all)
    return;
  print(out, "\nWorst confusions (of %zu)\n", all);
  for (size_t i = 0; i < e_.analysis->pairs.size() && i < 10; ++i) {
    const ConfusedPair &pair = e_.analysis->pairs[i];
    print(out, "  %5llu  %s  ->  %s\n", (ull)pair.count, printable(pair.truth).c_str(),
          printable(pair.answer).c_str());
    if (!pair.examples.empty())
      print(out, "         \"%s\"\n",
            printable(text(e_.results[pair.examples[0]].row), 80).c_str());
  }
}

void Text::guarantee(const Guarantee &g) {
  if (!g.stated) {
    if (!g.reason.empty())
      print(out, "\nNo guarantee: %s\n", printable(g.reason, 200).c_str());
    return;
  }
  print(out,
        "\nGuarantee: misroutes <= %.4g %% with confidence %.4g %% (calibrated: %llu of %llu, at "
        "coverage %.2f %%)\n",
        100 * g.alpha, 100 * (1 - g.delta), (ull)g.errors, (ull)g.rows,
        100 * g.coverageThen.value().value_or(0));
  print(out, "  here                      %s\n", percent(g.misroute).c_str());
  print(out, "    at coverage             %s\n", percent(g.covered).c_str());
  print(out, "  %s (p = %.3g)\n", g.verdict.c_str(), g.pValue);
  for (const Guarantee::Zone &zone : g.zones)
    if (zone.violated)
      print(out, "  %s: its own promise is violated beyond chance: %s (p = %.3g)\n",
            printable(e_.subject->zones[zone.zone].path).c_str(), percent(zone.misroute).c_str(),
            zone.pValue);
}

void Text::leakage(const LeakageReport &l) {
  const Leakage &f = l.found;
  print(out,
        "\nLeakage: of %llu rows, %llu are in training (%s), %llu nearly (6-gram Jaccard >= "
        "%.1f); %llu of these under another label\n",
        (ull)f.rows, (ull)f.exact, printable(l.training).c_str(), (ull)f.near, text::kNearDuplicate,
        (ull)f.otherLabel);
  print(out, "  best_path accuracy, all   %s\n", percent(e_.tally->best).c_str());
  print(out, "    without those rows      %s\n", percent(l.clean.best).c_str());
  print(out, "    those rows alone        %s\n", percent(l.leaked.best).c_str());
  print(out, "  misroute without them     %s at coverage %s\n", percent(l.clean.misroute).c_str(),
        percent(l.clean.covered).c_str());
  for (size_t i = 0; i < f.leaks.size() && i < 5; ++i)
    print(out, "  %s = %s  (%.2f)  \"%s\"\n", e_.rows->place(f.leaks[i].row).c_str(),
          l.trainingRows->place(f.leaks[i].twin.known).c_str(), f.leaks[i].twin.similarity,
          printable(text(f.leaks[i].row), 60).c_str());
}

void Text::comparison(const Comparison &c) {
  print(out, "\nAgainst %s: best guesses %s\n", printable(e_.against).c_str(), c.verdict.c_str());
  const auto line = [&](const char *name, const Rate &was, const Rate &is, const Paired &p) {
    print(out, "  %-22s %.2f %% -> %.2f %%  only old right %llu, only new right %llu, p = %.3g\n",
          name, 100 * was.value().value_or(0), 100 * is.value().value_or(0), (ull)p.onlyOld,
          (ull)p.onlyNew, p.pValue);
  };
  line("best_path (in scope)", c.before.best, e_.tally->best, c.best);
  line("path (all rows)", c.before.path, e_.tally->path, c.path);
  print(out, "  %-22s %.2f %% -> %.2f %%  at coverage %.2f %% -> %.2f %%, p = %.3g\n",
        "misroute (in scope)", 100 * c.before.misroute.value().value_or(0),
        100 * e_.tally->misroute.value().value_or(0), 100 * c.before.covered.value().value_or(0),
        100 * e_.tally->covered.value().value_or(0), c.safe.pValue);
  print(out, "  answers: %llu worse, %llu better, %llu otherwise different\n", (ull)c.worse,
        (ull)c.better, (ull)c.other);
  for (const Comparison::Changed &m : c.meta)
    print(out, "  %s: %s -> %s\n", m.key.c_str(), printable(m.before, 40).c_str(),
          printable(m.after, 40).c_str());
  for (const std::string &zone : c.added)
    print(out, "  zone added: %s\n", printable(zone).c_str());
  for (const std::string &zone : c.removed)
    print(out, "  zone removed: %s\n", printable(zone).c_str());
  for (size_t i = 0; i < c.flips.size() && i < kFlipsShown; ++i) {
    const Flip &f = c.flips[i];
    print(out, "  %-6s %s (%s, best %s) -> %s (%s, best %s)  \"%s\"\n", f.kind(),
          printable(f.oldPath, 60).c_str(), gradeText(f.before), printable(f.oldBest, 60).c_str(),
          printable(f.newPath, 60).c_str(), gradeText(f.after), printable(f.newBest, 60).c_str(),
          printable(text(f.row), 70).c_str());
  }
  if (c.flips.size() > kFlipsShown)
    print(out, "  ... and %zu more (--json lists them)\n", c.flips.size() - kFlipsShown);
}

void Text::suggestions(const Suggestions &s) {
  size_t relabels = 0;
  for (const Suggestion &each : s.list)
    relabels += each.kind == "relabel";
  print(out,
        "\nSuggestions: %zu labels that look wrong, %zu examples to add, %zu zones that need "
        "data\n",
        relabels, s.list.size() - relabels, s.zones.size());
  size_t shown = 0;
  const char *kind = "";
  for (const Suggestion &each : s.list) {
    if (kind != each.kind)
      shown = 0;
    kind = each.kind.c_str();
    if (shown++ == kSuggestionsShown)
      print(out, "  ...\n");
    if (shown > kSuggestionsShown)
      continue;
    print(out, "  %-7s %s%s%s  \"%s\"\n          %s: %s\n", kind, printable(each.was, 60).c_str(),
          each.was.empty() ? "" : " -> ", printable(each.label, 60).c_str(),
          printable(text(each.row), 70).c_str(), printable(e_.rows->place(each.row), 60).c_str(),
          printable(each.why, 200).c_str());
  }
  for (const NeedsData &zone : s.zones)
    print(out,
          "  needs data: %s: %llu of %llu best guesses right, %llu climb, %llu misrouted, "
          "mostly to %s\n",
          printable(e_.subject->zones[zone.zone].path).c_str(), (ull)zone.right, (ull)zone.rows,
          (ull)zone.climbed, (ull)zone.misrouted, printable(zone.mostly).c_str());
}

void Text::drift(const Drift &d) {
  print(out, "%s: %llu rows\n\nDrift against %s (%llu rows): %s\n",
        printable(e_.header.queries).c_str(), (ull)d.now.rows, printable(d.baseline).c_str(),
        (ull)d.before.rows, d.verdict.c_str());
  for (const DriftTest &t : d.tests) {
    print(out, "  %-8s %-32s p = %-8.3g stability index %.3f\n", t.name.c_str(), t.what.c_str(),
          t.pValue, t.stability);
    if (t.name == "scores")
      continue;
    for (size_t i = 0; i < t.now.size(); ++i)
      if (t.before[i] || t.now[i])
        print(out, "    %-30s %6.2f %% -> %6.2f %%\n", printable(t.categories[i], 60).c_str(),
              100.0 * double(t.before[i]) / double(d.before.rows),
              100.0 * double(t.now[i]) / double(d.now.rows));
  }
}

Json zonesJson(const Evaluation &e) {
  Json out = Json::array();
  std::map<uint32_t, const ZoneScore *> scores;
  for (const ZoneScore &score : e.analysis->zones)
    scores[score.zone] = &score;
  const Tally &tally = *e.tally;
  for (const auto &[zone, score] : scores) {
    const ZoneInfo &info = tally.zoneInfos()[zone];
    const auto counts = tally.zones.find(zone);
    const Tally::PerZone none;
    const Tally::PerZone &c = counts == tally.zones.end() ? none : counts->second;
    Json f1 = nullptr;
    if (score->f1)
      f1 = *score->f1;
    out.push_back({{"zone", info.name},
                   {"path", info.path},
                   {"rows", score->rows},
                   {"best_path_accuracy", json(c.best)},
                   {"path_accuracy", json(c.path)},
                   {"coverage", json(c.covered)},
                   {"misroute", json(c.misroute)},
                   {"recall", json(score->recall)},
                   {"precision", json(score->precision)},
                   {"f1", f1},
                   {"intruders", score->intruders}});
  }
  return out;
}

Json exampleJson(const Evaluation &e, const Result &r) {
  return {{"text", e.rows->rows[r.row].text},
          {"from", e.rows->place(r.row)},
          {"path", e.subject->zones[r.outcome.zone].path},
          {"best_path", e.subject->zones[r.outcome.best].path},
          {"confidence", r.bestConfidence / kOne},
          {"stage", semdns_stage_text(r.outcome.stage)}};
}

void figuresJson(const Evaluation &e, Json &root) {
  const Tally &tally = *e.tally;
  root["rows"] = tally.rows;
  root["in_scope"] = tally.inScope;
  root["out_of_scope"] = tally.outOfScope;
  root["unknown_labels"] = {
      {"rows", tally.unknown}, {"ignored_rows", e.header.ignored}, {"labels", Json::object()}};
  for (const auto &[label, count] : tally.unknownLabels)
    root["unknown_labels"]["labels"][label] = count;
  root["best_path_accuracy"] = json(tally.best);
  root["path_accuracy"] = json(tally.pathInScope);
  root["path_accuracy_all_rows"] = json(tally.path);
  root["misroute"] = json(tally.misroute);
  root["coverage"] = json(tally.covered);
  root["accuracy_when_covered"] = json(tally.correctWhenCovered);
  root["oos_recall"] = json(tally.oosRecall);
  root["in_scope_rejection"] = json(tally.rejected);
  root["depths"] = Json::array();
  for (size_t i = 0; i < tally.depths.size(); ++i)
    root["depths"].push_back({{"depth", i + 1},
                              {"best_accuracy", json(tally.depths[i].best)},
                              {"answer_accuracy", json(tally.depths[i].answer)},
                              {"answered", json(tally.depths[i].answered)}});
  root["stages"] = Json::object();
  root["stage_share"] = Json::object();
  for (const auto &[stage, counts] : tally.stages) {
    root["stages"][semdns_stage_text(stage)] = {{"share", json(counts.share)},
                                                {"best_path_accuracy", json(counts.best)}};
    root["stage_share"][semdns_stage_text(stage)] = counts.share.value().value_or(0.0);
  }
  root["statuses"] = Json::object();
  for (const auto &[status, count] : tally.statuses)
    root["statuses"][semdns_answer_status_text(semdns_answer_status(status))] = count;
}

void analysisJson(const Evaluation &e, Json &root) {
  const Analysis &a = *e.analysis;
  for (size_t i = 0; i < a.depthMacroF1.size() && i < root["depths"].size(); ++i)
    root["depths"][i]["macro_f1"] = json(a.depthMacroF1[i]);
  for (const StageCost &cost : a.stages) {
    Json &stage = root["stages"][semdns_stage_text(cost.stage)];
    stage["misroute"] = json(cost.misroute);
    stage["median_ns"] = cost.medianNs;
    stage["share_of_time"] = cost.shareOfTime;
  }
  root["macro_f1"] = json(a.macroF1);
  root["path_macro_f1"] = json(a.pathMacroF1);
  root["oos"] = {{"score", a.byOdds ? "odds" : "confidence"},
                 {"auroc", a.auroc ? Json(*a.auroc) : Json()},
                 {"at_rejection", Json::array()}};
  for (const OosPoint &p : a.oos)
    root["oos"]["at_rejection"].push_back({{"rejection", p.rejection}, {"recall", json(p.recall)}});
  root["risk_coverage"] = {{"aurc", a.aurc}, {"points", Json::array()}};
  for (const CurvePoint &p : a.curve)
    root["risk_coverage"]["points"].push_back({{"threshold", p.threshold / kOne},
                                               {"coverage", p.coverage},
                                               {"risk", p.risk},
                                               {"selective_risk", p.selective},
                                               {"oos_accepted", p.oosAccepted}});
  root["reliability"] = {
      {"ece", json(a.reliability.ece)}, {"brier", a.reliability.brier}, {"bins", Json::array()}};
  for (const Bin &bin : a.reliability.bins)
    root["reliability"]["bins"].push_back({{"low", bin.low},
                                           {"high", bin.high},
                                           {"confidence", bin.confidence},
                                           {"right", json(bin.right)}});
  root["zones"] = zonesJson(e);
  root["confusion"] = Json::array();
  for (const Tally::Confusion &each : e.tally->confusions())
    root["confusion"].push_back(
        {{"truth", each.truth}, {"answer", each.answer}, {"count", each.count}});
  for (size_t i = 0; i < a.pairs.size(); ++i) // the same order
    for (uint32_t example : a.pairs[i].examples)
      root["confusion"][i]["examples"].push_back(exampleJson(e, e.results[example]));
}

Json guaranteeJson(const Evaluation &e) {
  const Guarantee &g = *e.guarantee;
  Json out = {{"stated", g.stated}, {"verdict", g.verdict}};
  if (!g.stated) {
    if (!g.reason.empty())
      out["reason"] = g.reason;
    return out;
  }
  out["alpha"] = g.alpha;
  out["delta"] = g.delta;
  out["calibration"] = {{"rows", g.rows}, {"errors", g.errors}, {"coverage", json(g.coverageThen)}};
  out["misroute"] = json(g.misroute);
  out["coverage"] = json(g.covered);
  out["selective_risk"] = json(g.selective);
  out["oos_answered"] = json(g.oosAnswered);
  out["p_value"] = g.pValue;
  out["violated"] = g.violated;
  out["zones"] = Json::array();
  for (const Guarantee::Zone &zone : g.zones)
    out["zones"].push_back({{"path", e.subject->zones[zone.zone].path},
                            {"misroute", json(zone.misroute)},
                            {"p_value", zone.pValue},
                            {"violated", zone.violated}});
  return out;
}

Json leakageJson(const Evaluation &e) {
  const LeakageReport &l = *e.leakage;
  Json out = {{"training", l.training},
              {"training_rows", l.found.trainingRows},
              {"exact", l.found.exact},
              {"near", l.found.near},
              {"other_label", l.found.otherLabel},
              {"without", summary(l.clean)},
              {"only", summary(l.leaked)},
              {"rows", Json::array()}};
  for (const Leak &leak : l.found.leaks)
    out["rows"].push_back({{"from", e.rows->place(leak.row)},
                           {"training", l.trainingRows->place(leak.twin.known)},
                           {"similarity", leak.twin.similarity},
                           {"exact", leak.twin.exact},
                           {"same_label", leak.sameLabel},
                           {"text", e.rows->rows[leak.row].text},
                           {"training_text", l.trainingRows->rows[leak.twin.known].text}});
  return out;
}

Json comparisonJson(const Evaluation &e) {
  const Comparison &c = *e.comparison;
  Json out = {
      {"artifact", e.against},     {"verdict", c.verdict},       {"before", summary(c.before)},
      {"best_path", json(c.best)}, {"path", json(c.path)},       {"not_misrouted", json(c.safe)},
      {"worse", c.worse},          {"better", c.better},         {"other", c.other},
      {"zones_added", c.added},    {"zones_removed", c.removed}, {"meta", Json::object()},
      {"zones", Json::array()},    {"flips", Json::array()}};
  for (const Comparison::Changed &m : c.meta)
    out["meta"][m.key] = {{"before", m.before}, {"after", m.after}};
  for (const Comparison::ZoneChange &z : c.zones)
    out["zones"].push_back(
        {{"path", z.path}, {"rows", z.rows}, {"worse", z.worse}, {"better", z.better}});
  for (size_t i = 0; i < c.flips.size() && i < kFlipsListed; ++i) {
    const Flip &f = c.flips[i];
    const auto side = [](Grade grade, const std::string &path, const std::string &best,
                         uint32_t confidence, uint32_t stage) {
      return Json{{"grade", gradeText(grade)},
                  {"path", path},
                  {"best_path", best},
                  {"confidence", confidence / kOne},
                  {"stage", semdns_stage_text(stage)}};
    };
    out["flips"].push_back(
        {{"kind", f.kind()},
         {"text", e.rows->rows[f.row].text},
         {"label", e.rows->rows[f.row].label.value_or("")},
         {"from", e.rows->place(f.row)},
         {"old", side(f.before, f.oldPath, f.oldBest, f.oldConfidence, f.oldStage)},
         {"new", side(f.after, f.newPath, f.newBest, f.newConfidence, f.newStage)}});
  }
  return out;
}

Json suggestionsJson(const Evaluation &e) {
  Json out = {{"rows", Json::array()}, {"zones", Json::array()}};
  for (const Suggestion &s : e.suggestions->list) {
    Json row = {{"text", e.rows->rows[s.row].text},
                {"label", s.label},
                {"suggestion", s.kind},
                {"why", s.why},
                {"from", e.rows->place(s.row)},
                {"score", s.score}};
    if (!s.was.empty())
      row["was"] = s.was;
    out["rows"].push_back(std::move(row));
  }
  for (const NeedsData &zone : e.suggestions->zones)
    out["zones"].push_back({{"path", e.subject->zones[zone.zone].path},
                            {"rows", zone.rows},
                            {"right", zone.right},
                            {"climbed", zone.climbed},
                            {"misrouted", zone.misrouted},
                            {"mostly", zone.mostly}});
  return out;
}

Json driftJson(const Drift &d) {
  Json out = {{"baseline", d.baseline},
              {"verdict", d.verdict},
              {"beyond_chance", d.beyondChance},
              {"stability_index", d.worst},
              {"rows", {{"before", d.before.rows}, {"now", d.now.rows}}},
              {"tests", Json::array()}};
  for (const DriftTest &t : d.tests) {
    Json test = {{"name", t.name},
                 {"what", t.what},
                 {"p_value", t.pValue},
                 {"stability_index", t.stability},
                 {"before", t.before},
                 {"now", t.now},
                 {"categories", t.categories}};
    if (t.name == "scores")
      test["gap"] = t.gap;
    out["tests"].push_back(std::move(test));
  }
  return out;
}

} // namespace

Header headerOf(const Subject &subject, const std::string &queries) {
  const semdns_artifact_info info = subject.artifact.info();
  Header header;
  header.artifact = subject.file;
  header.name = info.name ? info.name : "";
  header.digest = info.digest_hex;
  header.isa = info.isa;
  header.serial = info.serial;
  header.queries = queries;
  return header;
}

std::string textReport(const Evaluation &e) {
  Text text(e);
  text.head();
  if (e.tally) {
    text.figures(*e.tally);
    text.depths(*e.tally);
    text.quality(*e.analysis);
    text.stages(*e.tally);
    text.confusions(*e.tally);
    text.guarantee(*e.guarantee);
  }
  if (e.leakage)
    text.leakage(*e.leakage);
  if (e.comparison)
    text.comparison(*e.comparison);
  if (e.drift)
    text.drift(*e.drift);
  if (e.suggestions)
    text.suggestions(*e.suggestions);
  return text.out;
}

std::string jsonReport(const Evaluation &e) {
  Json root;
  root["artifact"] = {{"path", e.header.artifact},
                      {"name", e.header.name},
                      {"serial", e.header.serial},
                      {"digest", e.header.digest},
                      {"isa", e.header.isa}};
  root["queries"] = e.header.queries;
  if (e.tally) {
    figuresJson(e, root);
    analysisJson(e, root);
    root["guarantee"] = guaranteeJson(e);
  }
  if (e.leakage)
    root["leakage"] = leakageJson(e);
  if (e.comparison)
    root["against"] = comparisonJson(e);
  if (e.suggestions)
    root["suggestions"] = suggestionsJson(e);
  if (e.drift)
    root["drift"] = driftJson(*e.drift);
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace semdns::eval
