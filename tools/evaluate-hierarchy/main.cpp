/// evaluate-hierarchy: how right an artifact is on labelled queries, and whether that is enough.
#include "lib/eval/evaluate.h"
#include "lib/support/command_line.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>
#include <optional>

using namespace semdns;

namespace {

constexpr const char *kHelp =
    R"(Routes labelled queries and reports accuracy, coverage and misroutes.

  evaluate-hierarchy demo.sdna --queries=test.jsonl
  evaluate-hierarchy clinc.sdna --queries=clinc150.test.jsonl --root-label=oos --json
  evaluate-hierarchy demo.sdna --queries=test.jsonl --min-accuracy=0.9 --max-misroute=0.05

Queries are JSON lines with "text" and "label" (root-to-leaf path, or zone name); "/" and the
--root-label mean out of scope. A misroute is an answer that is neither the true zone nor one of its
ancestors; coverage is the share of in-scope answers at least as deep as the true zone. Rates come
with Wilson intervals of 95 %. The gates look at best_path accuracy and misroute rate, in scope.)";

constexpr const char *kExit =
    R"(Exit: 0 done and every gate met, 1 artifact damaged or input rejected, 2 usage, 3 a gate missed,
4 wrong version, kind or required feature.)";

struct Options {
  std::string artifact, stages, isa;
  std::vector<std::string> queries;
  std::optional<std::string> rootLabel;
  std::optional<double> minAccuracy, maxMisroute;
  bool json = false, ignoreUnknown = false, dataOnly = false;
};

int usage(const std::string &message) {
  std::fprintf(stderr, "evaluate-hierarchy: error: %s\nSee evaluate-hierarchy --help.\n",
               message.c_str());
  return kUsage;
}

/// One line if the gate is missed. A rate of no rows meets no gate.
bool gateMet(const char *what, const eval::Rate &rate, double limit, bool atLeast) {
  if (!rate.value()) {
    std::fprintf(stderr, "gate missed: %s cannot be told, no query is in scope\n", what);
    return false;
  }
  const double value = *rate.value();
  if (atLeast ? value >= limit : value <= limit)
    return true;
  const auto [low, high] = rate.interval();
  std::fprintf(stderr,
               "gate missed: %s is %.4f, %s %.4f by %.4f (95 %% interval %.4f to %.4f, %llu "
               "rows)\n",
               what, value, atLeast ? "below" : "above", limit,
               atLeast ? limit - value : value - limit, low, high,
               static_cast<unsigned long long>(rate.total));
  return false;
}

void reportUnknown(const eval::Tally &tally) {
  if (!tally.unknown)
    return;
  std::string list;
  size_t shown = 0;
  for (const auto &[label, count] : tally.unknownLabels) {
    if (shown++ == 10) {
      list += ", ...";
      break;
    }
    list += (list.empty() ? "'" : ", '") + label + "' (" + std::to_string(count) + ")";
  }
  std::fprintf(stderr,
               "evaluate-hierarchy: warning: %llu row%s a label that no zone has, counted as "
               "errors: %s\n  help: --root-label=LABEL if one of them means out of scope, "
               "--ignore-unknown-labels to leave them out\n",
               static_cast<unsigned long long>(tally.unknown),
               tally.unknown == 1 ? " has" : "s have", list.c_str());
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app(kHelp, "evaluate-hierarchy");
  app.footer(kExit);
  app.set_version_flag("--version", std::string("evaluate-hierarchy ") + semdns_version());
  app.add_option("artifact", options.artifact, "The artifact (.sdna); @FILE is understood too")
      ->type_name("FILE");
  app.add_option("-i,--input,--queries", options.queries,
                 "JSON lines with \"text\" and \"label\"; - is stdin; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_flag("--json", options.json, "Everything, as one JSON object");
  app.add_option("--root-label", options.rootLabel,
                 "Rows with this label are out of scope (default: the one it was built with)")
      ->type_name("LABEL");
  app.add_flag("--ignore-unknown-labels", options.ignoreUnknown,
               "Leave out rows whose label no zone has, instead of counting them as errors");
  app.add_option("--min-accuracy", options.minAccuracy,
                 "Gate: in-scope best_path accuracy is at least P")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-misroute", options.maxMisroute, "Gate: in-scope misroute rate is at most P")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--stages", options.stages, "Stages to use: 1 keywords, 2 embedding, 3 encoder")
      ->type_name("1,2");
  app.add_option("--isa", options.isa, "Force a kernel level, such as portable or x86-64-v3")
      ->type_name("NAME");
  app.add_flag("--data-only", options.dataOnly, "Map no native code");
  if (!semdns::refuseEmptyOptions("evaluate-hierarchy", argc, argv))
    return semdns::kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? kUsage : kDone;
  }
  if (options.artifact.size() > 1 && options.artifact[0] == '@')
    options.artifact.erase(0, 1);
  if (options.artifact.empty())
    return usage("which artifact? Name it as the first argument");
  if (options.queries.empty())
    return usage("which queries? Name them with --queries=FILE");
  eval::Settings settings;
  if (!options.stages.empty() && !(settings.stages = tools::parseStages(options.stages)))
    return usage("--stages=" + options.stages + ": expected a list of 1, 2 and 3, like 1,2");

  OpenOptions open;
  open.flags = options.dataOnly ? SEMDNS_OPEN_DATA_ONLY : SEMDNS_OPEN_COPY;
  open.isa = options.isa.empty() ? nullptr : options.isa.c_str();
  Error error;
  Artifact artifact = Artifact::open(options.artifact.c_str(), open, error);
  Resolver resolver;
  Scratch scratch;
  if (artifact)
    resolver = Resolver(artifact, error);
  if (resolver)
    scratch = Scratch(resolver, error);
  if (!scratch)
    return tools::reportError(options.artifact, error);

  Diagnostics diagnostics;
  std::vector<LabelledText> rows;
  eval::Header header;
  for (const std::string &file : options.queries) {
    std::vector<LabelledText> more = readJsonLines(file, /*requireLabel=*/true, diagnostics);
    std::move(more.begin(), more.end(), std::back_inserter(rows));
    header.queries += (header.queries.empty() ? "" : ", ") + file;
  }
  diagnostics.print(stderr);
  if (diagnostics.hasErrors())
    return kRejected;

  const char *built = artifact.meta("train.root_label");
  settings.rootLabel = options.rootLabel ? *options.rootLabel : built ? built : "";
  settings.ignoreUnknown = options.ignoreUnknown;
  settings.ignored = &header.ignored;
  eval::Tally tally(eval::zonesOf(artifact));
  const semdns_status status = eval::evaluate(resolver, scratch, rows, settings, tally);
  if (status != SEMDNS_OK) {
    std::fprintf(stderr, "evaluate-hierarchy: error: %s\n", semdns_status_text(status));
    return kInternal;
  }
  const semdns_artifact_info info = artifact.info();
  header.artifact = options.artifact;
  header.name = info.name ? info.name : "";
  header.digest = info.digest_hex;
  header.isa = info.isa;
  header.serial = info.serial;
  reportUnknown(tally);
  const std::string report =
      options.json ? eval::jsonReport(header, tally) : eval::textReport(header, tally);
  std::fwrite(report.data(), 1, report.size(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    std::perror("evaluate-hierarchy: stdout");
    return kRejected;
  }
  bool met = true;
  if (options.minAccuracy)
    met &= gateMet("best_path accuracy", tally.best, *options.minAccuracy, true);
  if (options.maxMisroute)
    met &= gateMet("misroute rate", tally.misroute, *options.maxMisroute, false);
  return met ? kDone : kNegative;
}
