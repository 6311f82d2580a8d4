#include "lib/eval/evaluate.h"

#include <cstdarg>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

using Json = nlohmann::ordered_json;

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
                100 * low, 100 * high, (unsigned long long)rate.hits,
                (unsigned long long)rate.total);
  return text;
}

std::string printable(const std::string &text) {
  std::string out;
  for (char c : text)
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out.substr(0, 120);
}

Json json(const Rate &rate) {
  const auto [low, high] = rate.interval();
  Json value = nullptr;
  if (rate.value())
    value = *rate.value();
  return {
      {"value", value}, {"hits", rate.hits}, {"total", rate.total}, {"low", low}, {"high", high}};
}

} // namespace

std::string textReport(const Header &header, const Tally &tally) {
  std::string out;
  print(out, "%s  (name %s, serial %llu, digest %.16s..., kernel %s)\n",
        printable(header.artifact).c_str(), printable(header.name).c_str(),
        (unsigned long long)header.serial, header.digest.c_str(), header.isa.c_str());
  print(out, "%s: %llu rows, %llu in scope, %llu out of scope\n", printable(header.queries).c_str(),
        (unsigned long long)tally.rows, (unsigned long long)tally.inScope,
        (unsigned long long)tally.outOfScope);
  if (tally.unknown)
    print(out, "%llu of them have a label that no zone has, and count as errors\n",
          (unsigned long long)tally.unknown);
  if (header.ignored)
    print(out, "%llu more rows have a label that no zone has, and are left out\n",
          (unsigned long long)header.ignored);
  print(out, "\nIn scope                       rate    [95 %% Wilson]   rows\n");
  print(out, "  best_path accuracy        %s\n", percent(tally.best).c_str());
  print(out, "  path accuracy             %s\n", percent(tally.pathInScope).c_str());
  print(out, "  misroute                  %s\n", percent(tally.misroute).c_str());
  print(out, "    at coverage             %s\n", percent(tally.covered).c_str());
  print(out, "    accuracy when covered   %s\n", percent(tally.correctWhenCovered).c_str());
  if (tally.outOfScope) {
    print(out, "Out of scope\n");
    print(out, "  recall (the root answers) %s\n", percent(tally.oosRecall).c_str());
    print(out, "All rows\n");
    print(out, "  path accuracy             %s\n", percent(tally.path).c_str());
  }
  print(out, "\nDepth  best guess                              answer\n");
  for (size_t i = 0; i < tally.depths.size(); ++i)
    print(out, "  %2zu   %-40s%s\n", i + 1, percent(tally.depths[i].best).c_str(),
          percent(tally.depths[i].answer).c_str());
  print(out, "\nStage      share of rows                           best_path accuracy\n");
  for (const auto &[stage, counts] : tally.stages)
    if (counts.share.hits)
      print(out, "%-10s %-40s%s\n", semdns_stage_text(stage), percent(counts.share).c_str(),
            percent(counts.best).c_str());
  const std::vector<Tally::Confusion> confusions = tally.confusions();
  if (!confusions.empty()) {
    print(out, "\nWorst confusions (of %zu)\n", confusions.size());
    for (size_t i = 0; i < confusions.size() && i < 10; ++i)
      print(out, "  %5llu  %s  ->  %s\n", (unsigned long long)confusions[i].count,
            printable(confusions[i].truth).c_str(), printable(confusions[i].answer).c_str());
  }
  return out;
}

std::string jsonReport(const Header &header, const Tally &tally) {
  Json root;
  root["artifact"] = {{"path", header.artifact},
                      {"name", header.name},
                      {"serial", header.serial},
                      {"digest", header.digest},
                      {"isa", header.isa}};
  root["queries"] = header.queries;
  root["rows"] = tally.rows;
  root["in_scope"] = tally.inScope;
  root["out_of_scope"] = tally.outOfScope;
  root["unknown_labels"] = {
      {"rows", tally.unknown}, {"ignored_rows", header.ignored}, {"labels", Json::object()}};
  for (const auto &[label, count] : tally.unknownLabels)
    root["unknown_labels"]["labels"][label] = count;
  root["best_path_accuracy"] = json(tally.best);
  root["path_accuracy"] = json(tally.pathInScope);
  root["path_accuracy_all_rows"] = json(tally.path);
  root["misroute"] = json(tally.misroute);
  root["coverage"] = json(tally.covered);
  root["accuracy_when_covered"] = json(tally.correctWhenCovered);
  root["oos_recall"] = json(tally.oosRecall);
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
  root["zones"] = Json::array();
  for (const auto &[zone, counts] : tally.zones) {
    const ZoneInfo &info = tally.zoneInfos()[zone];
    root["zones"].push_back({{"zone", info.name},
                             {"path", info.path},
                             {"rows", counts.path.total},
                             {"best_path_accuracy", json(counts.best)},
                             {"path_accuracy", json(counts.path)},
                             {"coverage", json(counts.covered)},
                             {"misroute", json(counts.misroute)}});
  }
  root["confusion"] = Json::array();
  for (const Tally::Confusion &each : tally.confusions())
    root["confusion"].push_back(
        {{"truth", each.truth}, {"answer", each.answer}, {"count", each.count}});
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace semdns::eval
