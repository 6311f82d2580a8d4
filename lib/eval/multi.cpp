#include "lib/eval/multi.h"

#include "lib/eval/order.h"
#include "lib/eval/rate_json.h"
#include "lib/support/files.h"
#include "lib/support/progress.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

constexpr double kOne = 65536.0; // of Q16
constexpr size_t kGrid = 20, kMostCuts = 64;

struct MultiRow {
  std::string text;
  std::vector<uint32_t> zones; ///< distinct, sorted
};

struct Scored {
  uint32_t zone;
  double score;
};

/// The rows of a file; located errors for whatever is wrong with them.
void readRows(const Subject &subject, const Labels &labels, const std::string &file,
              Diagnostics &diagnostics, std::vector<MultiRow> &out) {
  std::string error;
  const auto bytes = readFile(file, error);
  if (!bytes) {
    diagnostics.error({file, 0, 0}, error);
    return;
  }
  std::vector<std::string> paths;
  for (const ZoneInfo &zone : subject.zones)
    paths.push_back(zone.path);
  const size_t before = diagnostics.errorCount();
  const std::vector<LabelledText> rows = parseJsonLines(*bytes, file, false, diagnostics);
  if (rows.empty() && diagnostics.errorCount() == before)
    diagnostics.error(
        {file, 0, 0}, "empty file: no rows",
        "each line must be an object like {\"text\": \"...\", \"labels\": [\"a/b\"]}");
  // parseJsonLines knows "text" and "label"; "labels" comes from the same lines once more.
  size_t begin = 0;
  uint32_t line = 0;
  for (const LabelledText &row : rows) {
    for (; line + 1 < row.line; ++line)
      begin = bytes->find('\n', begin) + 1;
    const size_t end = std::min(bytes->find('\n', begin), bytes->size());
    const auto object = nlohmann::json::parse(bytes->begin() + ptrdiff_t(begin),
                                              bytes->begin() + ptrdiff_t(end), nullptr, false);
    std::vector<std::string> names;
    if (row.label)
      names.push_back(*row.label);
    if (const auto found = object.find("labels"); found != object.end()) {
      bool strings = found->is_array();
      for (const auto &each : *found)
        strings = strings && each.is_string();
      if (!strings) {
        diagnostics.error({file, row.line, 0}, "\"labels\" is not a list of strings",
                          "write \"labels\": [\"legal/contracts\", \"code\"]");
        continue;
      }
      for (const auto &each : *found)
        names.push_back(each.get<std::string>());
    }
    if (names.empty()) {
      diagnostics.error({file, row.line, 0}, "row without \"labels\"",
                        "add \"labels\": [\"legal/contracts\", \"code\"] to the object");
      continue;
    }
    MultiRow multi{row.text, {}};
    for (const std::string &name : names) {
      const Truth truth = labels.find(name);
      if (!truth.known)
        diagnostics.error({file, row.line, 0}, "label '" + name + "' is no zone of the artifact",
                          didYouMean(name, paths));
      else if (truth.zone)
        multi.zones.push_back(truth.zone);
    }
    std::sort(multi.zones.begin(), multi.zones.end());
    multi.zones.erase(std::unique(multi.zones.begin(), multi.zones.end()), multi.zones.end());
    out.push_back(std::move(multi));
  }
}

/// Zones at one level: cut at depth 1, or as they are. Scores of equal zones add up.
class Level {
public:
  Level(const Tree &tree, bool top) : tree_(tree), top_(top) {}
  uint32_t map(uint32_t zone) const { return top_ ? tree_.ancestorAt(zone, 1) : zone; }
  std::vector<Scored> map(const std::vector<Scored> &list) const {
    std::vector<Scored> out;
    for (const Scored &each : list) {
      const uint32_t zone = map(each.zone);
      const auto found = std::find_if(out.begin(), out.end(),
                                      [&](const Scored &other) { return other.zone == zone; });
      if (found == out.end())
        out.push_back({zone, each.score});
      else
        found->score += each.score;
    }
    stableSort(out, [](const Scored &a, const Scored &b) { return a.score > b.score; });
    return out;
  }
  std::vector<uint32_t> map(const std::vector<uint32_t> &zones) const {
    std::vector<uint32_t> out;
    for (uint32_t zone : zones)
      if (std::find(out.begin(), out.end(), map(zone)) == out.end())
        out.push_back(map(zone));
    return out;
  }

private:
  const Tree &tree_;
  bool top_;
};

void judge(SetScore &score, const std::vector<uint32_t> &wanted,
           const std::vector<uint32_t> &emitted) {
  size_t hits = 0;
  for (uint32_t zone : emitted) {
    const bool right = std::find(wanted.begin(), wanted.end(), zone) != wanted.end();
    score.precision.add(right);
    hits += right;
  }
  for (size_t i = 0; i < wanted.size(); ++i)
    score.recall.add(i < hits);
  score.exact.add(hits == wanted.size() && hits == emitted.size());
}

/// What the runtime says about a row, its segments and its halves.
struct Heard {
  std::vector<Scored> whole;        ///< best first
  std::vector<Scored> segments;     ///< each one's best guess
  Scored left{0, 0}, right{0, 0};   ///< of the best cut; zone 0: none
  uint32_t resolves[3] = {1, 1, 1}; ///< by rule
};

class Listener {
public:
  Listener(Subject &subject, const Settings &settings) : subject_(subject), settings_(settings) {}
  bool listen(const std::string &text, Heard &out);
  semdns_status status = SEMDNS_OK;

private:
  bool ask(std::string_view text, std::vector<Scored> &list);
  Subject &subject_;
  const Settings &settings_;
};

bool Listener::ask(std::string_view text, std::vector<Scored> &list) {
  semdns_query query = Resolver::query(text);
  query.stages = settings_.stages;
  query.top_k = SEMDNS_TOP_MAX;
  Answer answer;
  status = subject_.resolver.resolve(subject_.scratch, query, answer);
  if (status != SEMDNS_OK)
    return false;
  list.clear();
  if (answer.status() == SEMDNS_NOZONE)
    return true;
  // The best guess leads; an answer that climbed is its ancestor and says nothing new.
  list.push_back({answer->best.index, answer->best.confidence / kOne});
  for (uint32_t k = 0; k < answer->zone_count; ++k) {
    const semdns_zone_ref &zone = answer->zones[k];
    const bool climbed = k == 0 && zone.index != answer->best.index;
    if (zone.index && !climbed && zone.index != answer->best.index)
      list.push_back({zone.index, zone.confidence / kOne});
  }
  return true;
}

bool Listener::listen(const std::string &text, Heard &out) {
  if (!ask(text, out.whole))
    return false;
  std::vector<Scored> list;
  const std::vector<std::string_view> pieces = sentences(text);
  for (std::string_view piece : pieces) {
    if (pieces.size() == 1) {
      list = out.whole;
    } else {
      if (!ask(piece, list))
        return false;
      ++out.resolves[1];
    }
    if (!list.empty())
      out.segments.push_back(list[0]);
  }
  std::vector<size_t> cuts;
  for (size_t i = 1; i + 1 < text.size(); ++i)
    if (text[i] == ' ')
      cuts.push_back(i);
  const size_t step = cuts.size() / kMostCuts + 1;
  double best = 0;
  std::vector<Scored> left, right;
  for (size_t c = 0; c < cuts.size(); c += step) {
    if (!ask(std::string_view(text).substr(0, cuts[c]), left) ||
        !ask(std::string_view(text).substr(cuts[c] + 1), right))
      return false;
    out.resolves[2] += 2;
    if (left.empty() || right.empty() || left[0].zone == right[0].zone)
      continue;
    const double least = std::min(left[0].score, right[0].score);
    if (least > best) {
      best = least;
      out.left = left[0];
      out.right = right[0];
    }
  }
  return true;
}

/// The zones that a rule emits at threshold t.
std::vector<uint32_t> emit(size_t rule, double t, const Heard &heard, const Level &level) {
  const std::vector<Scored> whole = level.map(heard.whole);
  std::vector<uint32_t> out;
  if (!whole.empty())
    out.push_back(whole[0].zone);
  if (rule == 0) {
    for (size_t i = 1; i < whole.size(); ++i)
      if (whole[i].score >= t)
        out.push_back(whole[i].zone);
  } else if (rule == 1) {
    std::vector<uint32_t> sure;
    for (const Scored &each : heard.segments)
      if (each.score >= t)
        sure.push_back(each.zone);
    if (!sure.empty())
      out = level.map(sure);
  } else if (heard.left.zone && std::min(heard.left.score, heard.right.score) >= t) {
    out = level.map(std::vector<uint32_t>{heard.left.zone, heard.right.zone});
  }
  return out;
}

constexpr const char *kRules[] = {"confidence", "segments", "cut"};

using Json = nlohmann::ordered_json;

Json json(const SetScore &score) {
  return {{"precision", json(score.precision)},
          {"recall", json(score.recall)},
          {"f1", score.f1()},
          {"exact", json(score.exact)}};
}

} // namespace

double SetScore::f1() const {
  const uint64_t both = precision.total + recall.total;
  return both ? 2.0 * double(precision.hits) / double(both) : 0;
}

std::vector<std::string_view> sentences(std::string_view text) {
  std::vector<std::string_view> out;
  const auto take = [&](size_t begin, size_t end) {
    while (begin < end && (text[begin] == ' ' || text[begin] == '\n'))
      ++begin;
    if (begin < end)
      out.push_back(text.substr(begin, end - begin));
  };
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool ends = c == '\n' || ((c == '.' || c == '!' || c == '?' || c == ';') &&
                                    i + 1 < text.size() && text[i + 1] == ' ');
    if (ends) {
      take(begin, i + 1);
      begin = i + 1;
    }
  }
  take(begin, text.size());
  return out;
}

std::optional<MultiReport> evaluateMulti(Subject &subject, const std::vector<std::string> &files,
                                         const Settings &settings, Diagnostics &diagnostics) {
  const Labels labels(subject.zones, settings.rootLabel);
  const Tree tree(subject.zones);
  std::vector<MultiRow> rows;
  MultiReport report;
  for (const std::string &file : files) {
    readRows(subject, labels, file, diagnostics, rows);
    report.queries += (report.queries.empty() ? "" : ", ") + file;
  }
  if (diagnostics.hasErrors())
    return std::nullopt;
  report.rows = rows.size();
  std::vector<Heard> heard(rows.size());
  Listener listener(subject, settings);
  Progress progress("evaluate", rows.size(), "queries");
  for (size_t i = 0; i < rows.size(); ++i) {
    progress.update(i);
    if (!listener.listen(rows[i].text, heard[i])) {
      diagnostics.error({report.queries, 0, 0}, semdns_status_text(listener.status));
      return std::nullopt;
    }
    report.several += rows[i].zones.size() > 1;
  }
  progress.finish();
  for (const bool top : {true, false}) {
    const Level level(tree, top);
    MultiLevel out;
    out.name = top ? "top" : "path";
    std::vector<std::vector<uint32_t>> wanted;
    for (const MultiRow &row : rows)
      wanted.push_back(level.map(row.zones));
    for (size_t k = 1; k <= 3; ++k) {
      SetScore all, several;
      for (size_t i = 0; i < rows.size(); ++i) {
        std::vector<uint32_t> first;
        for (const Scored &each : level.map(heard[i].whole))
          if (first.size() < k)
            first.push_back(each.zone);
        judge(all, wanted[i], first);
        if (wanted[i].size() > 1)
          judge(several, wanted[i], first);
      }
      out.at.push_back(all);
      out.severalAt.push_back(several);
    }
    for (size_t rule = 0; rule < std::size(kRules); ++rule) {
      MultiRule each;
      each.name = kRules[rule];
      double resolves = 0;
      for (const Heard &h : heard)
        resolves += h.resolves[rule];
      each.resolves = rows.empty() ? 1 : resolves / double(rows.size());
      for (size_t step = 1; step < kGrid; ++step) {
        MultiPoint point;
        point.threshold = double(step) / kGrid;
        for (size_t i = 0; i < rows.size(); ++i) {
          const std::vector<uint32_t> emitted = emit(rule, point.threshold, heard[i], level);
          judge(point.all, wanted[i], emitted);
          judge(wanted[i].size() > 1 ? point.several : point.single, wanted[i], emitted);
        }
        each.points.push_back(point);
        if (point.all.f1() > each.points[each.best].all.f1())
          each.best = each.points.size() - 1;
      }
      out.rules.push_back(std::move(each));
    }
    report.levels.push_back(std::move(out));
  }
  return report;
}

std::string multiText(const Header &header, const MultiReport &report) {
  std::string out;
  char line[512];
  const auto print = [&](auto... values) {
    std::snprintf(line, sizeof line, values...);
    out += line;
  };
  print(
      "%.200s  (name %.100s, serial %llu, digest %.16s..., kernel %.20s)\n%.200s: %llu rows, %llu "
      "with two labels and more\n",
      header.artifact.c_str(), header.name.c_str(), (unsigned long long)header.serial,
      header.digest.c_str(), header.isa.c_str(), report.queries.c_str(),
      (unsigned long long)report.rows, (unsigned long long)report.several);
  const auto share = [](const Rate &rate) { return 100 * rate.value().value_or(0); };
  for (const MultiLevel &level : report.levels) {
    print("\n%s\n", level.name == "top" ? "Top zones" : "Zones");
    for (size_t k = 0; k < level.at.size(); ++k)
      print(
          "  first %zu listed      precision %6.2f %%  recall %6.2f %%   several labels: precision "
          "%6.2f %%  recall %6.2f %%\n",
          k + 1, share(level.at[k].precision), share(level.at[k].recall),
          share(level.severalAt[k].precision), share(level.severalAt[k].recall));
    for (const MultiRule &rule : level.rules) {
      const MultiPoint &p = rule.points[rule.best];
      print(
          "  %-10s t = %.2f  precision %6.2f %%  recall %6.2f %%  F1 %.4f  exact %6.2f %% (several "
          "%.2f, single %.2f)  %.1f resolves\n",
          rule.name.c_str(), p.threshold, share(p.all.precision), share(p.all.recall), p.all.f1(),
          share(p.all.exact), share(p.several.exact), share(p.single.exact), rule.resolves);
    }
  }
  out += "\nThresholds are the best of this very file: choose them on other rows.\n";
  return out;
}

std::string multiJson(const Header &header, const MultiReport &report) {
  Json root;
  root["artifact"] = {{"path", header.artifact},
                      {"name", header.name},
                      {"serial", header.serial},
                      {"digest", header.digest},
                      {"isa", header.isa}};
  root["queries"] = report.queries;
  root["rows"] = report.rows;
  root["several"] = report.several;
  for (const MultiLevel &level : report.levels) {
    Json &out = root["multi"][level.name];
    for (size_t k = 0; k < level.at.size(); ++k)
      out["at"].push_back(
          {{"k", k + 1}, {"all", json(level.at[k])}, {"several", json(level.severalAt[k])}});
    for (const MultiRule &rule : level.rules) {
      Json &each = out["rules"][rule.name];
      each["resolves"] = rule.resolves;
      each["best_threshold"] = rule.points[rule.best].threshold;
      for (const MultiPoint &p : rule.points)
        each["points"].push_back({{"threshold", p.threshold},
                                  {"all", json(p.all)},
                                  {"several", json(p.several)},
                                  {"single", json(p.single)}});
    }
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace semdns::eval
