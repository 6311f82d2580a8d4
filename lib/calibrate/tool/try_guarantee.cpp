// try-guarantee ARTIFACT POPULATION.jsonl [--tune=F] [--alpha=0.05] [--delta=0.05] [--draws=1000]
//               [--seed=1] [--root-label=L] [--threads=2] [--rows=N] [--points=1] [--no-keywords=1]
//               [--guard=65537]
//
// Measures labelled rows that training did not see, once; then draws calibration samples with
// replacement, calibrates on each and counts how often more than alpha of the population is
// misrouted, for the tested sequence and for the naive rule. One JSON object a cascade on stdout.
// The sequence is the artifact's (META risk.sequence) unless --tune gives rows to fix it on.

#include "lib/calibrate/draws.h"
#include "lib/calibrate/stored.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

namespace {

using namespace semdns;
using namespace semdns::calibrate;

[[noreturn]] void die(const std::string &message) {
  fprintf(stderr, "try-guarantee: %s\n", message.c_str());
  exit(1);
}

std::vector<Sample> load(semdns_artifact *artifact, const std::string &path,
                         const std::string &rootLabel, unsigned threads) {
  Diagnostics diags;
  const std::vector<LabelledText> rows = readJsonLines(path, true, diags, BadText::Keep);
  if (diags.hasErrors()) {
    diags.print(stderr);
    exit(1);
  }
  std::vector<std::string_view> texts;
  for (const LabelledText &row : rows)
    texts.push_back(row.text);
  std::string error;
  auto evidence = measure(artifact, texts, threads, error);
  if (!evidence)
    die(error);
  std::vector<Sample> samples;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool root = !rootLabel.empty() && *rows[i].label == rootLabel;
    const uint32_t zone = root ? 0 : semdns_artifact_find_zone(artifact, rows[i].label->c_str());
    if (zone == UINT32_MAX)
      die(path + ":" + std::to_string(rows[i].line) + ": no zone '" + *rows[i].label + "'");
    samples.push_back({(*evidence)[i], zone});
  }
  return samples;
}

} // namespace

int main(int argc, char **argv) {
  std::map<std::string, std::string> options;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    if (argument.rfind("--", 0) == 0 && equals != std::string::npos)
      options[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    else
      files.push_back(argument);
  }
  if (files.size() != 2)
    die("give ARTIFACT and POPULATION.jsonl");
  auto text = [&](const char *name, const char *otherwise) {
    auto found = options.find(name);
    return found == options.end() ? std::string(otherwise) : found->second;
  };
  semdns_error why = {};
  why.size = sizeof why;
  semdns_artifact *artifact = nullptr;
  if (semdns_artifact_open_path(files[0].c_str(), nullptr, &artifact, &why) != SEMDNS_OK)
    die(why.message);
  const Tree tree = treeOf(artifact);
  const unsigned threads = unsigned(std::stoul(text("threads", "2")));
  const char *label = semdns_artifact_meta(artifact, "train.root_label");
  const std::string rootLabel = text("root-label", label ? label : "");
  std::vector<Sample> population = load(artifact, files[1], rootLabel, threads);
  if (options.count("no-keywords")) // what stage 1 is worth
    for (Sample &sample : population)
      sample.evidence.keyword.accepted = 0;
  Options calibration;
  std::string error;
  auto bytes = readFile(files[0], error);
  if (!bytes)
    die(error);
  if (auto base = readRules(*bytes, error))
    calibration.base = *base;
  else
    die(error);
  calibration.encoder = !calibration.base.encoder.threshold.empty();
  Sequence sequence;
  const char *stored = semdns_artifact_meta(artifact, "risk.sequence");
  if (options.count("tune"))
    sequence = fixSequence(tree, load(artifact, options["tune"], rootLabel, threads), calibration);
  else if (auto parsed = stored ? parseSequence(stored) : std::nullopt)
    sequence = *parsed;
  else
    sequence = fixSequence(tree, {}, calibration);
  if (options.count("guard"))
    sequence.guard = uint32_t(std::stoul(options["guard"]));
  DrawOptions draws;
  draws.alpha = std::stod(text("alpha", "0.05"));
  draws.delta = std::stod(text("delta", "0.05"));
  draws.draws = uint32_t(std::stoul(text("draws", "1000")));
  draws.rows = uint32_t(std::stoul(text("rows", "0")));
  draws.seed = std::stoull(text("seed", "1"));
  for (bool cascade : {true, false}) {
    if (cascade && sequence.cascade.empty())
      continue;
    const DrawReport report =
        tryGuarantee(tree, population, sequence, calibration.base, cascade, draws);
    auto rule = [](const DrawRule &r) {
      return nlohmann::ordered_json{{"broken", r.broken},    {"coverage", r.coverage},
                                    {"risk", r.risk},        {"answered", r.answered},
                                    {"oos_answered", r.oos}, {"stage3", r.encoder}};
    };
    const nlohmann::ordered_json out = {
        {"stages", cascade ? "1,2,3" : "1,2"},
        {"alpha", draws.alpha},
        {"delta", draws.delta},
        {"draws", report.draws},
        {"in_scope", report.inScope},
        {"out_of_scope", report.outOfScope},
        {"none_passed", report.nonePassed},
        {"tested", rule(report.tested)},
        {"naive", rule(report.naive)},
        {"oracle_coverage", report.oracle},
        {"full_risk", report.fullRisk},
        {"points", cascade ? sequence.cascade.size() : sequence.light.size()}};
    printf("%s\n", out.dump().c_str());
    if (options.count("points"))
      for (const PointReport &point : report.points)
        printf("%10u risk %.4f coverage %.4f right %.4f answered %.4f oos %.4f stage3 %.4f\n",
               point.threshold, point.risk, point.coverage, point.right, point.answered, point.oos,
               point.encoder);
  }
  semdns_artifact_release(artifact);
  return 0;
}
