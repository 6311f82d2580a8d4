// The HTML page: one file, no scripts, no outside resources. Everything that comes from inputs goes
// through escaped(); texts stand in <bdi>, so that their direction stays their own.
#include "lib/eval/order.h"
#include "lib/eval/page.h"
#include "lib/eval/plot.h"
#include "lib/eval/report.h"

#include <algorithm>
#include <map>

namespace semdns::eval {
namespace {

constexpr double kOne = 65536.0; // of Q16

constexpr size_t kOpenZones = 40; // of trees this small all branches are open

std::string percent(double share, int digits = 1) { return number(100 * share, digits) + " %"; }

std::string percent(const Rate &rate, int digits = 1) {
  return rate.value() ? percent(*rate.value(), digits) : "&ndash;";
}

std::string range(const Rate &rate) {
  const auto [low, high] = rate.interval();
  return rate.value()
             ? "95 % interval " + number(100 * low, 1) + " to " + number(100 * high, 1) +
                   " % &middot; " + std::to_string(rate.hits) + " of " + std::to_string(rate.total)
             : "no such rows";
}

/// A share as a bar with its figure; the tip gives interval and counts.
std::string bar(const Rate &rate, const char *colour) {
  if (!rate.value())
    return "&ndash;";
  return "<span class='rate' title='" + range(rate) +
         "'><span class='bar'><i style='width:" + number(100 * *rate.value(), 1) +
         "%;background:" + colour + "'></i></span> " + percent(rate) + "</span>";
}

/// A zone's path; lines may break behind its separators.
std::string pathHtml(const std::string &path) {
  std::string out = "<bdi class='path'>";
  for (char c : escaped(path)) {
    out += c;
    if (c == '/' || c == '_')
      out += "<wbr>";
  }
  return out + "</bdi>";
}
std::string quoted(const std::string &text) { return "<q><bdi>" + escaped(text) + "</bdi></q>"; }

class Page {
public:
  explicit Page(const Evaluation &e) : e_(e), tree_(e.subject->zones) {}
  std::string build();

private:
  void section(const char *title, const std::string &note = {}) {
    out_ += "<h2>" + std::string(title) + "</h2>\n";
    if (!note.empty())
      out_ += "<p class='note'>" + note + "</p>\n";
  }
  void tile(const std::string &name, const std::string &value, const std::string &below) {
    out_ += "<div class='tile'><span class='name'>" + name + "</span><b>" + value +
            "</b><span class='range'>" + below + "</span></div>\n";
  }
  /// Opens a table; columns whose name ends in '#' hold numbers.
  void table(const std::vector<const char *> &columns) {
    out_ += "<table><tr>";
    for (std::string name : columns) {
      const bool numeric = name.back() == '#';
      if (numeric)
        name.pop_back();
      out_ += "<th" + std::string(numeric ? " class='n'" : "") + ">" + name + "</th>";
    }
    out_ += "</tr>\n";
  }
  void cell(const std::string &html) { out_ += "<td class='t'>" + html + "</td>"; }
  void figure(const std::string &html) { out_ += "<td class='n'>" + html + "</td>"; }
  void figure(uint64_t count) { figure(std::to_string(count)); }
  void row() { out_ += "<tr>"; }
  void endRow() { out_ += "</tr>\n"; }
  void endTable() { out_ += "</table>\n"; }
  const std::string &text(uint32_t row) const { return e_.rows->rows[row].text; }
  const std::string &path(uint32_t zone) const { return e_.subject->zones[zone].path; }

  void head();
  void tiles();
  void guarantee();
  void comparison();
  void flips();
  void plots();
  void stages();
  void depths();
  void zoneTree();
  void worstZones();
  void confusions();
  void leakage();
  void suggestions();
  void drift();
  void words();

  const Evaluation &e_;
  const Tree tree_;
  std::string out_;
};

void Page::head() {
  const Header &h = e_.header;
  out_ += "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
          "<meta name='viewport' content='width=device-width,initial-scale=1'>"
          "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\"><title>" +
          escaped(h.name) + ": evaluation</title><style>" + kPageStyle + "</style></head><body>\n";
  out_ += "<h1>" + escaped(h.name) + "</h1><p class='sub'>serial " + std::to_string(h.serial) +
          " &middot; digest <code>" + escaped(h.digest.substr(0, 16)) +
          "&hellip;</code> &middot; kernel " + escaped(h.isa) + " &middot; " + escaped(h.artifact) +
          "</p><p class='sub'>" + std::to_string(e_.rows->rows.size()) + " rows of " +
          escaped(h.queries);
  if (e_.tally) {
    out_ += ": " + std::to_string(e_.tally->inScope) + " in scope, " +
            std::to_string(e_.tally->outOfScope) + " out of scope";
    if (e_.tally->unknown)
      out_ += ", " + std::to_string(e_.tally->unknown) +
              " with a label that no zone has (counted as errors)";
    if (h.ignored)
      out_ += "; " + std::to_string(h.ignored) + " rows with unknown labels left out";
  }
  out_ += "</p>\n";
}

void Page::tiles() {
  const Tally &t = *e_.tally;
  const Analysis &a = *e_.analysis;
  out_ += "<div class='tiles'>\n";
  tile("Best guess right, in scope", percent(t.best), range(t.best));
  tile("Answer right, in scope", percent(t.pathInScope), range(t.pathInScope));
  tile("Misrouted &middot; at coverage", percent(t.misroute, 2) + " &middot; " + percent(t.covered),
       range(t.misroute) + "<br>coverage: " + range(t.covered));
  if (t.outOfScope)
    tile("Out of scope kept at the root &middot; in scope rejected",
         percent(t.oosRecall) + " &middot; " + percent(t.rejected, 2),
         range(t.oosRecall) + "<br>rejected: " + range(t.rejected));
  tile("Macro-F1 of best guesses", number(a.macroF1.value, 3),
       "95 % interval " + number(a.macroF1.low, 3) + " to " + number(a.macroF1.high, 3) +
           " (bootstrap)");
  tile("Calibration error (ECE)", number(a.reliability.ece.value, 3),
       "95 % interval " + number(a.reliability.ece.low, 3) + " to " +
           number(a.reliability.ece.high, 3) + " &middot; Brier " + number(a.reliability.brier, 3));
  out_ += "</div>\n";
}

void Page::guarantee() {
  const Guarantee &g = *e_.guarantee;
  if (!g.stated) {
    if (!g.reason.empty())
      out_ += "<p class='note'>No guarantee: " + escaped(g.reason) + ".</p>\n";
    return;
  }
  section("The guarantee, re-checked");
  out_ += "<div class='card'><span class='pill " + std::string(g.violated ? "bad" : "ok") + "'>" +
          escaped(g.verdict) + "</span> Stated: at most " + percent(g.alpha, 2) +
          " of in-scope queries misrouted, with confidence " + percent(1 - g.delta) +
          "; calibrated on " + std::to_string(g.rows) + " rows with " + std::to_string(g.errors) +
          " misroutes at coverage " + percent(g.coverageThen) +
          ". Here: " + percent(g.misroute, 2) + " (" + range(g.misroute) + ") at coverage " +
          percent(g.covered) + ". So many misroutes or more would be seen with chance " +
          number(g.pValue, 3) +
          " if the rate were exactly the stated bound. Nothing is promised for another mix or "
          "source of queries.</div>\n";
  for (const Guarantee::Zone &zone : g.zones)
    if (zone.violated)
      out_ += "<p class='bad'>" + pathHtml(path(zone.zone)) +
              ": its own promise is violated beyond chance: " + percent(zone.misroute, 2) +
              "</p>\n";
}

void Page::comparison() {
  const Comparison &c = *e_.comparison;
  section("Against the old artifact",
          "Old: " + escaped(e_.against) +
              ". The same rows through both; p-values are McNemar's exact test on the rows where "
              "just one of the two is right.");
  const bool worse = c.best.onlyOld > c.best.onlyNew && c.best.pValue < 0.05;
  out_ += "<p><span class='pill " + std::string(worse ? "bad" : "ok") +
          "'>best guesses: " + escaped(c.verdict) + "</span></p>\n";
  table({"", "old#", "new#", "only old right#", "only new right#", "p#"});
  const auto line = [&](const char *name, const Rate &was, const Rate &is, const Paired &p) {
    row();
    cell(name);
    figure(percent(was, 2));
    figure(percent(is, 2));
    figure(p.onlyOld);
    figure(p.onlyNew);
    figure(p.pValue < 0.0001 ? "&lt; 0.0001" : number(p.pValue, 4));
    endRow();
  };
  const Tally &now = *e_.tally;
  line("Best guess right, in scope", c.before.best, now.best, c.best);
  line("Answer right, all rows", c.before.path, now.path, c.path);
  const auto kept = [](const Rate &misroute) {
    return Rate{misroute.total - misroute.hits, misroute.total};
  };
  line("Not misrouted, in scope", kept(c.before.misroute), kept(now.misroute), c.safe);
  row();
  cell("Coverage, in scope");
  figure(percent(c.before.covered, 2));
  figure(percent(now.covered, 2));
  out_ += "<td></td><td></td><td></td>";
  endRow();
  endTable();
  if (!c.added.empty() || !c.removed.empty() || !c.meta.empty()) {
    out_ += "<p class='note'>";
    for (const std::string &zone : c.added)
      out_ += "Zone added: " + pathHtml(zone) + ". ";
    for (const std::string &zone : c.removed)
      out_ += "Zone removed: " + pathHtml(zone) + ". ";
    for (const Comparison::Changed &m : c.meta)
      out_ += "<code>" + escaped(m.key) + "</code>: " + escaped(m.before, 24) + " &rarr; " +
              escaped(m.after, 24) + ". ";
    out_ += "</p>\n";
  }
  out_ += "<p>" + std::to_string(c.worse) + " answers got worse, " + std::to_string(c.better) +
          " better, " + std::to_string(c.other) + " otherwise different.</p>\n";
}

void Page::flips() {
  const Comparison &c = *e_.comparison;
  if (c.flips.empty())
    return;
  section("Answers that changed", "The worst first, then some that got better; --json lists all.");
  table({"", "query", "label", "old answer", "new answer"});
  size_t shown = 0, better = 0;
  for (const Flip &f : c.flips) {
    // The worst first; some room for what got better.
    if (f.after > f.before ? better++ >= kFlipsShown / 2 : shown++ >= kFlipsShown)
      continue;
    row();
    out_ += "<td><span class='pill " +
            std::string(f.after < f.before   ? "bad"
                        : f.after > f.before ? "ok"
                                             : "") +
            "'>" + f.kind() + "</span></td>";
    cell(quoted(text(f.row)));
    cell(pathHtml(e_.rows->rows[f.row].label.value_or("")));
    const auto side = [&](Grade grade, const std::string &answer, const std::string &best,
                          uint32_t confidence) {
      cell(pathHtml(answer) + " <span class='note'>" + gradeText(grade) +
           (answer == best ? std::string(",") : ", best " + pathHtml(best)) + " " +
           number(confidence / kOne, 2) + "</span>");
    };
    side(f.before, f.oldPath, f.oldBest, f.oldConfidence);
    side(f.after, f.newPath, f.newBest, f.newConfidence);
    endRow();
  }
  endTable();
}

void Page::plots() {
  const Analysis &a = *e_.analysis;
  section("Risk, coverage, calibration");
  out_ += "<div class='plots'>\n";
  if (!a.curve.empty()) {
    const Guarantee &g = *e_.guarantee;
    const double operating = e_.tally->misroute.value().value_or(0);
    double top = operating;
    for (const CurvePoint &p : a.curve)
      top = std::max({top, p.risk, p.coverage > 0.05 ? p.selective : 0});
    if (g.stated)
      top = std::max(top, g.alpha);
    Plot plot("Risk against coverage", {"in-scope queries answered", 0, 1, true},
              {"misroutes", 0, roundUp(top * 1.05), true});
    Plot::Points risk, selective;
    for (const CurvePoint &p : a.curve) {
      risk.emplace_back(p.coverage, p.risk);
      selective.emplace_back(p.coverage, p.selective);
    }
    if (g.stated)
      plot.line({{0, g.alpha}, {1, g.alpha}}, colour::kGrey, "4 4");
    plot.line(selective, colour::kYellow, "6 3");
    plot.line(risk, colour::kBlue);
    plot.dot(e_.tally->covered.value().value_or(0), operating, colour::kOrange,
             "this artifact: misroutes " + number(100 * operating, 2) + " % at coverage " +
                 number(100 * e_.tally->covered.value().value_or(0), 1) + " %");
    plot.legend(colour::kBlue, "of all in scope");
    plot.legend(colour::kYellow, "of those answered");
    plot.legend(colour::kOrange, "as shipped");
    out_ += "<div class='card'>" + plot.svg() +
            "<p class='note'>If only best guesses above a "
            "confidence were answered, from strict (left) to loose" +
            (g.stated ? std::string("; the dashed grey line is the stated bound") : "") +
            ". The dot is the artifact with its own thresholds and climbing.</p></div>\n";
  }
  Plot plot("Does confidence mean what it says?", {"confidence of the best guess", 0, 1, true},
            {"share that is right", 0, 1, true});
  uint64_t most = 1;
  for (const Bin &bin : a.reliability.bins)
    most = std::max(most, bin.right.total);
  for (const Bin &bin : a.reliability.bins)
    plot.bar(bin.low + 0.005, bin.high - 0.005, 0, 0.25 * double(bin.right.total) / double(most),
             colour::kGrey, 0.35, std::to_string(bin.right.total) + " rows");
  plot.line({{0, 0}, {1, 1}}, colour::kGrey, "4 4");
  Plot::Points points;
  for (const Bin &bin : a.reliability.bins)
    if (bin.right.total) {
      const auto [low, high] = bin.right.interval();
      plot.whisker(bin.confidence, low, high, colour::kBlue);
      points.emplace_back(bin.confidence, *bin.right.value());
    }
  plot.line(points, colour::kBlue);
  for (const Bin &bin : a.reliability.bins)
    if (bin.right.total)
      plot.dot(bin.confidence, *bin.right.value(), colour::kBlue,
               number(100 * bin.confidence, 1) + " % sure, " + number(100 * *bin.right.value(), 1) +
                   " % right, " + std::to_string(bin.right.total) + " rows");
  plot.legend(colour::kBlue, "measured, 95 % interval");
  plot.legend(colour::kGrey, "rows (bars), ideal (dashes)");
  out_ +=
      "<div class='card'>" + plot.svg() +
      "<p class='note'>Below the dashes: surer than right. All rows; for out-of-scope ones every "
      "guess is wrong.</p></div>\n</div>\n";
  if (!a.oos.empty()) {
    out_ += "<p class='note'>Out of scope told from in scope by " +
            std::string(a.byOdds ? "the odds against the root" : "confidence") +
            " alone: area under the ROC curve " + number(a.auroc.value_or(0), 4);
    for (const OosPoint &p : a.oos)
      out_ += "; recall " + percent(p.recall) + " when " + percent(p.rejection, 0) +
              " of in-scope rows are rejected";
    out_ += ".</p>\n";
  }
}

void Page::stages() {
  const auto stageColour = [](uint32_t stage) {
    return stage == SEMDNS_STAGE_KEYWORD     ? colour::kGreen
           : stage == SEMDNS_STAGE_EMBEDDING ? colour::kBlue
           : stage == SEMDNS_STAGE_ENCODER   ? colour::kPurple
                                             : colour::kGrey;
  };
  section("Who decides, and what it costs",
          "Times are of this machine, one thread, the whole query; they vary from run to run.");
  out_ += "<div class='stack'>";
  for (const StageCost &s : e_.analysis->stages)
    out_ += "<i style='width:" + number(100 * s.share.value().value_or(0), 2) +
            "%;background:" + stageColour(s.stage) + "' title='" + semdns_stage_text(s.stage) +
            " " + percent(s.share) + "'>" + semdns_stage_text(s.stage) + " " + percent(s.share) +
            "</i>";
  out_ += "</div>\n";
  table({"stage", "rows#", "share#", "best guess right#", "misrouted#", "median time#",
         "share of all time#"});
  for (const StageCost &s : e_.analysis->stages) {
    row();
    cell(semdns_stage_text(s.stage));
    figure(s.share.hits);
    figure(percent(s.share));
    figure(percent(s.best));
    figure(percent(s.misroute, 2));
    figure(number(s.medianNs / 1e3, 2) + " &micro;s");
    figure(percent(s.shareOfTime));
    endRow();
  }
  endTable();
}

void Page::depths() {
  section("By depth");
  table({"depth", "rows#", "best guess right#", "macro-F1#", "answered so deep#", "answer right#"});
  for (size_t i = 0; i < e_.tally->depths.size(); ++i) {
    const Tally::Depth &d = e_.tally->depths[i];
    row();
    cell(std::to_string(i + 1));
    figure(d.best.total);
    figure(percent(d.best));
    figure(i < e_.analysis->depthMacroF1.size() ? number(e_.analysis->depthMacroF1[i].value, 3)
                                                : "");
    figure(percent(d.answered));
    figure(percent(d.answer));
    endRow();
  }
  endTable();
}

void Page::zoneTree() {
  struct Sums {
    Rate reached, covered, misroute;
  };
  std::map<uint32_t, Sums> sums; // rows in the zone's subtree
  for (const Result &r : e_.results) {
    if (!r.truth.known || !r.truth.zone)
      continue;
    for (uint32_t z = r.truth.zone; z; z = e_.subject->zones[z].parent) {
      Sums &s = sums[z];
      s.reached.add(tree_.within(r.outcome.best, z));
      s.covered.add(tree_.depth(r.outcome.zone) >= r.truth.depth);
      s.misroute.add(!tree_.within(r.truth.zone, r.outcome.zone));
    }
  }
  std::map<uint32_t, const ZoneScore *> scores;
  for (const ZoneScore &score : e_.analysis->zones)
    scores[score.zone] = &score;
  section(
      "Zone tree",
      "Of the rows that belong to a zone or below it: the best guess lies there too; the answer "
      "is deep enough (coverage); misrouted. Open a zone for those below it.");
  const auto cells = [&](const Sums &s) {
    return std::vector<std::string>{bar(s.reached, colour::kBlue), bar(s.covered, colour::kGreen),
                                    bar(s.misroute, colour::kOrange)};
  };
  out_ += "<p class='note'><span style='color:#0072b2'>&#9632;</span> best guess here &nbsp; "
          "<span style='color:#009e73'>&#9632;</span> coverage &nbsp; "
          "<span style='color:#d55e00'>&#9632;</span> misrouted</p>\n";
  for (auto top = sums.begin(); top != sums.end();) {
    const uint32_t zone = top->first;
    const std::vector<std::string> own = cells(top->second);
    out_ += std::string("<details") + (sums.size() <= kOpenZones ? " open" : "") +
            "><summary><span>" + pathHtml(path(zone)) + "</span><span>" +
            std::to_string(top->second.reached.total) + " rows</span><span>" + own[0] +
            "</span><span>" + own[1] + "</span><span>" + own[2] + "</span></summary>\n";
    table({"zone", "rows#", "best guess here", "precision#", "F1#", "coverage", "misrouted",
           "intruders#"});
    for (; top != sums.end() && tree_.within(top->first, zone); ++top) {
      const auto score = scores.find(top->first);
      row();
      out_ += "<td class='t' style='padding-left:" +
              std::to_string(10 + 16 * (tree_.depth(top->first) - 1)) + "px'>" +
              pathHtml(path(top->first)) + "</td>";
      figure(top->second.reached.total);
      const std::vector<std::string> each = cells(top->second);
      cell(each[0]);
      figure(score == scores.end() ? "" : percent(score->second->precision));
      figure(score == scores.end() || !score->second->f1 ? "" : number(*score->second->f1, 3));
      cell(each[1]);
      cell(each[2]);
      figure(score == scores.end() ? 0 : score->second->intruders);
      endRow();
    }
    endTable();
    out_ += "</details>\n";
  }
}

void Page::worstZones() {
  std::vector<const ZoneScore *> worst;
  for (const ZoneScore &z : e_.analysis->zones)
    if (z.zone && z.recall.total > z.recall.hits)
      worst.push_back(&z);
  if (worst.empty())
    return;
  stableSort(worst, [](const ZoneScore *a, const ZoneScore *b) {
    return a->recall.total - a->recall.hits > b->recall.total - b->recall.hits;
  });
  worst.resize(std::min<size_t>(worst.size(), 12));
  section("Worst zones", "By best guesses lost.");
  table({"zone", "rows#", "lost#", "recall", "precision", "coverage", "misrouted#",
         "mostly taken for"});
  for (const ZoneScore *z : worst) {
    row();
    cell(pathHtml(path(z->zone)));
    figure(z->rows);
    figure(z->recall.total - z->recall.hits);
    cell(bar(z->recall, colour::kBlue));
    cell(bar(z->precision, colour::kBlue));
    cell(bar(z->covered, colour::kGreen));
    figure(z->misroute.hits);
    std::string mostly;
    for (const Tally::Confusion &c : e_.tally->confusions())
      if (c.truth == path(z->zone)) {
        mostly = pathHtml(c.answer) + " (" + std::to_string(c.count) + ")";
        break;
      }
    cell(mostly);
    endRow();
  }
  endTable();
}

void Page::confusions() {
  if (e_.analysis->pairs.empty())
    return;
  section("Most confused pairs",
          "Wrong best guesses; for out-of-scope rows (&ldquo;/&rdquo;) wrong "
          "answers. The surest mistakes first.");
  table({"rows#", "true zone", "taken for", "for instance"});
  for (size_t i = 0; i < e_.analysis->pairs.size() && i < 25; ++i) {
    const ConfusedPair &pair = e_.analysis->pairs[i];
    row();
    figure(pair.count);
    cell(pathHtml(pair.truth));
    cell(pathHtml(pair.answer));
    std::string examples;
    for (uint32_t example : pair.examples)
      examples += "<div>" + quoted(text(e_.results[example].row)) + " <span class='note'>" +
                  number(e_.results[example].bestConfidence / kOne, 2) + "</span></div>";
    cell(examples);
    endRow();
  }
  endTable();
}

void Page::leakage() {
  const LeakageReport &l = *e_.leakage;
  const Leakage &f = l.found;
  section("Rows that training has seen",
          "Training: " + escaped(l.training) + " (" + std::to_string(f.trainingRows) +
              " rows). Equal after case folding and without punctuation, or character 6-gram "
              "Jaccard similarity of at least " +
              number(text::kNearDuplicate, 1) + ".");
  out_ += "<p>" + std::to_string(f.exact) + " rows are in training, " + std::to_string(f.near) +
          " nearly; " + std::to_string(f.otherLabel) + " of these under another label.</p>\n";
  table({"rows", "in scope#", "best guess right#", "answer right#", "misrouted#", "coverage#"});
  const auto line = [&](const char *name, const Tally &t) {
    row();
    cell(name);
    figure(t.inScope);
    figure(percent(t.best, 2));
    figure(percent(t.pathInScope, 2));
    figure(percent(t.misroute, 2));
    figure(percent(t.covered, 2));
    endRow();
  };
  line("all", *e_.tally);
  line("without those rows", l.clean);
  line("those rows alone", l.leaked);
  endTable();
  if (f.leaks.empty())
    return;
  out_ += "<details><summary><span>The first of them</span></summary>";
  table({"similarity#", "evaluated", "in training"});
  for (size_t i = 0; i < f.leaks.size() && i < 25; ++i) {
    row();
    figure(number(f.leaks[i].twin.similarity, 2));
    cell(quoted(text(f.leaks[i].row)));
    cell(quoted(l.trainingRows->rows[f.leaks[i].twin.known].text));
    endRow();
  }
  endTable();
  out_ += "</details>\n";
}

void Page::suggestions() {
  const Suggestions &s = *e_.suggestions;
  section("Suggestions", "To be read by a person before anything is changed. Rows that go into "
                         "training must leave the evaluation.");
  for (const auto &[kind, title] :
       {std::pair{"relabel", "Labels that look wrong"}, {"add", "Examples to add"}}) {
    size_t shown = 0, all = 0;
    for (const Suggestion &each : s.list)
      all += each.kind == kind;
    if (!all)
      continue;
    out_ += "<h3>" + std::string(title) + " (" + std::to_string(all) + ")</h3>\n";
    table({"query", "label", "proposed", "why"});
    for (const Suggestion &each : s.list) {
      if (each.kind != kind || shown++ >= kSuggestionsShown)
        continue;
      row();
      cell(quoted(text(each.row)));
      cell(pathHtml(e_.rows->rows[each.row].label.value_or("")));
      cell(pathHtml(each.label));
      cell("<span class='note'>" + escaped(each.why) + "</span>");
      endRow();
    }
    endTable();
  }
  if (s.zones.empty())
    return;
  out_ += "<h3>Zones that need data</h3>\n";
  table({"zone", "rows#", "best guess right#", "climbed#", "misrouted#", "mostly taken for"});
  for (const NeedsData &zone : s.zones) {
    row();
    cell(pathHtml(path(zone.zone)));
    figure(zone.rows);
    figure(zone.right);
    figure(zone.climbed);
    figure(zone.misrouted);
    cell(pathHtml(zone.mostly));
    endRow();
  }
  endTable();
}

void Page::drift() {
  const Drift &d = *e_.drift;
  section("Drift", "Against " + escaped(d.baseline) + " (" + std::to_string(d.before.rows) +
                       " rows; now " + std::to_string(d.now.rows) +
                       "). Without labels this says whether traffic changed, not whether answers "
                       "got worse; a promise about the old traffic may no longer hold.");
  out_ += "<p><span class='pill " + std::string(d.beyondChance ? "bad" : "ok") + "'>" +
          escaped(d.verdict) + "</span></p>\n<div class='plots'>\n";
  for (const DriftTest &t : d.tests) {
    const auto share = [](const std::vector<uint64_t> &counts, size_t i, uint64_t rows) {
      return Rate{counts[i], rows};
    };
    out_ += "<div class='card'>";
    if (t.name == "scores") {
      const double bins = double(t.now.size());
      double top = 0;
      for (size_t i = 0; i < t.now.size(); ++i)
        top = std::max({top, share(t.before, i, d.before.rows).value().value_or(0),
                        share(t.now, i, d.now.rows).value().value_or(0)});
      Plot plot(t.what, {"confidence", 0, 1, true}, {"share of rows", 0, roundUp(top), true}, 520,
                260);
      for (size_t i = 0; i < t.now.size(); ++i) {
        const double x = double(i) / bins,
                     was = share(t.before, i, d.before.rows).value().value_or(0),
                     is = share(t.now, i, d.now.rows).value().value_or(0);
        plot.bar(x + 0.1 / bins, x + 0.48 / bins, 0, was, colour::kGrey, 0.8,
                 "before: " + number(100 * was, 2) + " %");
        plot.bar(x + 0.52 / bins, x + 0.9 / bins, 0, is, colour::kBlue, 0.9,
                 "now: " + number(100 * is, 2) + " %");
      }
      plot.legend(colour::kGrey, "before");
      plot.legend(colour::kBlue, "now");
      out_ += plot.svg();
    } else {
      out_ += "<b>" + escaped(t.what) + "</b>";
      table({"", "before", "now"});
      for (size_t i = 0; i < t.now.size(); ++i) {
        if (!t.before[i] && !t.now[i])
          continue;
        row();
        cell(t.name == "mix" ? pathHtml(t.categories[i]) : escaped(t.categories[i]));
        cell(bar(share(t.before, i, d.before.rows), colour::kGrey));
        cell(bar(share(t.now, i, d.now.rows), colour::kBlue));
        endRow();
      }
      endTable();
    }
    out_ += "<p class='note'>p " +
            (t.pValue < 0.0001 ? std::string("&lt; 0.0001") : "= " + number(t.pValue, 4)) +
            ", stability index " + number(t.stability, 3) + "</p></div>\n";
  }
  out_ += "</div>\n";
}

void Page::words() {
  section("Words");
  out_ +=
      "<p class='note'><b>In scope</b>: the true zone is not the root. <b>Best guess</b>: the "
      "deepest zone before climbing. <b>Answer</b>: after climbing to the deepest ancestor that is "
      "sure enough; the root always is. <b>Misrouted</b>: in scope, and the answer is neither the "
      "true zone nor one of its ancestors. <b>Coverage</b>: the answer is at least as deep as the "
      "true zone; a misroute rate says nothing without it. <b>Intruders</b>: rows answered by a "
      "zone "
      "that they belong neither to nor below. Rates have Wilson intervals, the rest a seeded "
      "bootstrap of 1,000 draws.</p>\n";
}

std::string Page::build() {
  head();
  if (e_.tally) {
    tiles();
    guarantee();
  }
  if (e_.comparison)
    comparison();
  if (e_.tally) {
    plots();
    stages();
    depths();
    zoneTree();
    worstZones();
    confusions();
  }
  if (e_.comparison)
    flips();
  if (e_.leakage)
    leakage();
  if (e_.drift)
    drift();
  if (e_.suggestions)
    suggestions();
  if (e_.tally)
    words();
  return out_ + "</body></html>\n";
}

} // namespace

std::string htmlReport(const Evaluation &evaluation) { return Page(evaluation).build(); }

} // namespace semdns::eval
