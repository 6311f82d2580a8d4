/// evaluate-hierarchy: how right an artifact is on labelled queries, whether that is enough, what
/// changed since the last one, and whether traffic still looks as it did.
#include "lib/eval/multi.h"
#include "lib/eval/report.h"
#include "lib/support/command_line.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>
#include <optional>

using namespace semdns;

namespace {

constexpr const char *kTool = "evaluate-hierarchy";

constexpr const char *kHelp =
    R"(Routes labelled queries and reports accuracy, coverage, misroutes, and where it goes wrong.

  evaluate-hierarchy demo.sdna -i test.jsonl
  evaluate-hierarchy demo.sdna -i test.jsonl --report=report.html --json > report.json
  evaluate-hierarchy new.sdna -i test.jsonl --against=old.sdna      what changed, by chance or not
  evaluate-hierarchy demo.sdna -i test.jsonl --train=train.jsonl    rows that training has seen
  evaluate-hierarchy demo.sdna -i test.jsonl --suggest=todo.jsonl   wrong labels, examples to add
  evaluate-hierarchy demo.sdna -i traffic.jsonl --drift             without labels
  evaluate-hierarchy demo.sdna -i pairs.jsonl --multi               rows with several "labels"
  evaluate-hierarchy demo.sdna -i test.jsonl --min-accuracy=0.9 --max-misroute=0.05

Queries are JSON lines with "text" and "label" (root-to-leaf path, or zone name); "/" and the
--root-label mean out of scope. A misroute is an answer that is neither the true zone nor one of its
ancestors; coverage is the share of in-scope answers at least as deep as the true zone. Rates come
with Wilson intervals of 95 %. The gates look at best_path accuracy and misroute rate, in scope.)";

constexpr const char *kExit =
    R"(Exit: 0 done and every gate met, 1 artifact damaged or input rejected, 2 usage, 3 a gate missed,
4 wrong version, kind or required feature.)";

struct Options {
  std::string artifact, stages, isa, against, report, suggest, baseline;
  std::vector<std::string> queries, train;
  std::optional<std::string> rootLabel;
  std::optional<double> minAccuracy, maxMisroute, maxDrift;
  uint64_t seed = 1;
  bool json = false, ignoreUnknown = false, dataOnly = false, force = false, timing = false,
       drift = false, multi = false;
};

int usage(const std::string &message) {
  std::fprintf(stderr, "%s: error: %s\nSee %s --help.\n", kTool, message.c_str(), kTool);
  return kUsage;
}

/// CLI::Range lets NaN pass.
CLI::Validator share(double most) {
  return CLI::Validator(
      [most](std::string &text) {
        double value = 0;
        return CLI::detail::lexical_cast(text, value) && value >= 0 && value <= most
                   ? std::string()
                   : "'" + text + "' is not a number from 0 to " + (most == 1 ? "1" : "100");
      },
      "P");
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

/// One warning for each label that no zone has, at its first row; an error when no label has one.
void reportUnknown(const eval::Subject &subject, const eval::Rows &rows,
                   const std::string &rootLabel, bool ignore, Diagnostics &diagnostics) {
  const eval::Labels labels(subject.zones, rootLabel);
  std::vector<std::string> paths;
  for (const eval::ZoneInfo &zone : subject.zones)
    paths.push_back(zone.path);
  std::map<std::string, std::pair<uint32_t, uint64_t>> unknown; // first row, rows
  std::vector<std::string> order;
  bool known = false;
  for (uint32_t i = 0; i < rows.rows.size(); ++i) {
    const std::string &label = *rows.rows[i].label;
    if (labels.find(label).known) {
      known = true;
      continue;
    }
    const auto [at, isNew] = unknown.try_emplace(label, i, 0);
    if (isNew)
      order.push_back(label);
    ++at->second.second;
  }
  if (!known && !rows.rows.empty()) {
    diagnostics.error({rows.names(), 0, 0},
                      "no label names a zone of " + subject.file + "; the first is '" +
                          *rows.rows[0].label + "'",
                      "the artifact has zones such as '" + paths.back() +
                          "'; --root-label=LABEL names the one that means out of scope");
    return;
  }
  for (size_t i = 0; i < order.size() && i < 10; ++i) {
    const auto &[row, count] = unknown[order[i]];
    std::string help = didYouMean(order[i], paths);
    if (help.empty())
      help = "--root-label=LABEL if it means out of scope, --ignore-unknown-labels to leave such "
             "rows out";
    diagnostics.warning({rows.files[rows.fileOf[row]], rows.rows[row].line, 0},
                        "label '" + order[i] + "' is no zone of the artifact (" +
                            std::to_string(count) + (count == 1 ? " row, " : " rows, ") +
                            (ignore ? "left out)" : "counted as errors)"),
                        help);
  }
  if (order.size() > 10)
    diagnostics.warning({rows.names(), 0, 0},
                        std::to_string(order.size() - 10) + " more labels are no zones");
}

std::vector<std::string> splitAtCommas(const std::vector<std::string> &values) {
  std::vector<std::string> parts;
  for (const std::string &value : values)
    for (size_t begin = 0; begin <= value.size();) {
      const size_t end = std::min(value.find(',', begin), value.size());
      if (end > begin)
        parts.push_back(value.substr(begin, end - begin));
      begin = end + 1;
    }
  return parts;
}

class Run {
public:
  explicit Run(Options &options) : options_(options) {}
  int run();

private:
  /// Exit code, 0 to go on.
  int open(const std::string &file, eval::Subject &subject);
  int resolve(eval::Subject &subject, const eval::Rows &rows, std::vector<eval::Result> &results,
              bool quiet = false);
  int evaluate();
  int leakage();
  int drift();
  int multi();
  int write();
  int printDiagnostics() {
    diagnostics_.print(stderr);
    const bool bad = diagnostics_.hasErrors();
    diagnostics_ = {};
    return bad ? kRejected : 0;
  }
  int put(const std::string &text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return endOutput(kTool, kDone);
  }

  Options &options_;
  Diagnostics diagnostics_;
  eval::Settings settings_;
  eval::Subject subject_, old_;
  eval::Rows rows_, training_, baseline_;
  eval::Evaluation out_;
};

int Run::open(const std::string &file, eval::Subject &subject) {
  OpenOptions how;
  how.flags = options_.dataOnly ? SEMDNS_OPEN_DATA_ONLY : SEMDNS_OPEN_COPY;
  how.isa = options_.isa.empty() ? nullptr : options_.isa.c_str();
  Error error;
  subject = eval::Subject::open(file, how, error);
  return subject.artifact ? 0 : tools::reportError(file, error);
}

int Run::resolve(eval::Subject &subject, const eval::Rows &rows, std::vector<eval::Result> &results,
                 bool quiet) {
  eval::Settings settings = settings_;
  // An old artifact may know no root label, or another: without an option, each has its own.
  if (const std::string own = subject.meta("train.root_label"); !options_.rootLabel && !own.empty())
    settings.rootLabel = own;
  uint64_t ignored = 0;
  settings.ignored = &ignored;
  const semdns_status status = eval::resolveAll(subject, rows, settings, results);
  if (status != SEMDNS_OK) {
    std::fprintf(stderr, "%s: error: %s\n", kTool, semdns_status_text(status));
    return kInternal;
  }
  if (!quiet)
    out_.header.ignored = ignored;
  return 0;
}

int Run::evaluate() {
  if (int code = resolve(subject_, rows_, out_.results))
    return code;
  out_.tally = eval::tallyOf(subject_, rows_, out_.results);
  if (!out_.tally->inScope)
    diagnostics_.warning({rows_.names(), 0, 0}, "no row is in scope: no accuracy can be told",
                         "label rows with zones, such as '" + subject_.zones.back().path + "'");
  out_.analysis = eval::analyse(subject_, rows_, out_.results, options_.seed);
  out_.guarantee = eval::checkGuarantee(subject_, out_.results, *out_.tally, settings_.stages);
  if (!options_.against.empty()) {
    std::vector<eval::Result> before;
    if (int code = resolve(old_, rows_, before, true))
      return code;
    out_.against = options_.against;
    out_.comparison = eval::compare(old_, before, subject_, out_.results, rows_);
  }
  return 0;
}

int Run::leakage() {
  eval::LeakageReport report{.found = eval::findLeaks(rows_, training_, threadsFor(0)),
                             .training = training_.names(),
                             .trainingRows = &training_,
                             .clean = eval::Tally(subject_.zones),
                             .leaked = eval::Tally(subject_.zones)};
  std::vector<bool> clean(rows_.rows.size(), true);
  for (const eval::Leak &leak : report.found.leaks)
    clean[leak.row] = false;
  report.clean = eval::tallyOf(subject_, rows_, out_.results, &clean);
  clean.flip();
  report.leaked = eval::tallyOf(subject_, rows_, out_.results, &clean);
  out_.leakage = std::move(report);
  return 0;
}

int Run::drift() {
  if (int code = resolve(subject_, rows_, out_.results))
    return code;
  const eval::Profile now = eval::profileOf(subject_, out_.results);
  std::vector<eval::Result> before;
  if (!options_.baseline.empty()) {
    if (int code = resolve(subject_, baseline_, before, true))
      return code;
    out_.drift =
        eval::compareProfiles(subject_, eval::profileOf(subject_, before), now, options_.baseline);
  } else if (!options_.against.empty()) {
    if (int code = resolve(old_, rows_, before, true))
      return code;
    out_.drift = eval::compareProfiles(subject_, eval::profileOf(old_, before), now,
                                       "the same rows through " + options_.against);
  } else if (auto stated = eval::statedProfile(subject_)) {
    out_.drift = eval::compareProfiles(subject_, *stated, now, "the calibration rows");
  } else {
    diagnostics_.error({options_.artifact, 0, 0},
                       "the artifact states no figures of its calibration rows to compare with",
                       "--baseline=FILE with earlier traffic, or --against=old.sdna");
    return printDiagnostics();
  }
  return 0;
}

int Run::multi() {
  const std::optional<eval::MultiReport> report =
      eval::evaluateMulti(subject_, options_.queries, settings_, diagnostics_);
  if (int code = printDiagnostics(); code || !report)
    return code ? code : int(kInternal);
  out_.header = eval::headerOf(subject_, report->queries);
  return put(options_.json ? eval::multiJson(out_.header, *report)
                           : eval::multiText(out_.header, *report));
}

int Run::write() {
  std::string error;
  const std::string &file = options_.suggest;
  if (!file.empty() && file != "list" &&
      !writeFileAtomically(file, eval::suggestionLines(*out_.suggestions, rows_), options_.force,
                           error)) {
    std::fprintf(stderr, "%s: error: %s\n", kTool, error.c_str());
    return kRejected;
  }
  if (!options_.report.empty() &&
      !writeFileAtomically(options_.report, eval::htmlReport(out_), options_.force, error)) {
    std::fprintf(stderr, "%s: error: %s\n", kTool, error.c_str());
    return kRejected;
  }
  return put(options_.json ? eval::jsonReport(out_) : eval::textReport(out_));
}

int Run::run() {
  for (const std::string *file : {&options_.report, &options_.suggest})
    if (!file->empty() && *file != "list")
      if (auto obstacle = outputObstacle(*file, options_.force)) {
        std::fprintf(stderr, "%s: error: %s\n", kTool, obstacle->c_str());
        return kRejected;
      }
  if (int code = open(options_.artifact, subject_))
    return code;
  if (!options_.against.empty())
    if (int code = open(options_.against, old_))
      return code;
  settings_.rootLabel =
      options_.rootLabel ? *options_.rootLabel : subject_.meta("train.root_label");
  settings_.ignoreUnknown = options_.ignoreUnknown;
  settings_.stages = tools::parseStages(options_.stages);
  if (options_.multi)
    return multi();

  for (const std::string &file : options_.queries)
    rows_.read(file, /*requireLabel=*/!options_.drift, diagnostics_);
  for (const std::string &file : options_.train)
    training_.read(file, /*requireLabel=*/false, diagnostics_);
  if (!options_.baseline.empty())
    baseline_.read(options_.baseline, /*requireLabel=*/false, diagnostics_);
  if (!diagnostics_.hasErrors() && !options_.drift)
    reportUnknown(subject_, rows_, settings_.rootLabel, options_.ignoreUnknown, diagnostics_);
  if (int code = printDiagnostics())
    return code;

  if (options_.drift) // labels, where there are any, say nothing about drift
    for (LabelledText &row : rows_.rows)
      row.label.reset();
  out_.header = eval::headerOf(subject_, rows_.names());
  out_.subject = &subject_;
  out_.rows = &rows_;
  out_.timing = options_.timing;
  if (int code = options_.drift ? drift() : evaluate())
    return code;
  if (!options_.train.empty())
    leakage();
  if (!options_.suggest.empty())
    out_.suggestions = eval::suggest(subject_, rows_, out_.results);
  printDiagnostics();
  if (int code = write())
    return code;
  bool met = true;
  if (options_.minAccuracy)
    met &= gateMet("best_path accuracy", out_.tally->best, *options_.minAccuracy, true);
  if (options_.maxMisroute)
    met &= gateMet("misroute rate", out_.tally->misroute, *options_.maxMisroute, false);
  if (options_.maxDrift && out_.drift->beyondChance && out_.drift->worst > *options_.maxDrift) {
    std::fprintf(stderr, "gate missed: %s, stability index %.3f, above %.3f\n",
                 out_.drift->verdict.c_str(), out_.drift->worst, *options_.maxDrift);
    met = false;
  }
  return met ? kDone : kNegative;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app(kHelp, kTool);
  app.footer(kExit);
  app.set_version_flag("--version", std::string(kTool) + " " + semdns_version());
  app.add_option("artifact", options.artifact, "The artifact (.sdna); @FILE is understood too")
      ->type_name("FILE");
  app.add_option("-i,--input,--queries", options.queries,
                 "JSON lines with \"text\" and \"label\"; - is stdin; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_flag("--json", options.json, "Everything, as one JSON object");
  app.add_option("--report", options.report, "Also write one self-contained HTML page")
      ->type_name("FILE");
  app.add_flag("-f,--force", options.force, "Replace existing outputs");
  app.add_option("--against", options.against, "Compare with this artifact on the same rows")
      ->type_name("FILE");
  app.add_option("--train", options.train, "Look for rows that these training files hold, nearly")
      ->type_name("F[,F]")
      ->allow_extra_args(false);
  app.add_flag("--suggest{list}", options.suggest,
               "List labels that look wrong and examples to add; =FILE writes them as JSON lines");
  app.add_flag(
      "--drift", options.drift,
      "Rows need no labels: has traffic changed since calibration, --baseline or --against");
  app.add_option("--baseline", options.baseline, "With --drift: earlier traffic, JSON lines")
      ->type_name("FILE");
  app.add_flag("--multi", options.multi,
               "Rows have \"labels\": [a, b]: precision and recall of the zones listed");
  app.add_option("--root-label", options.rootLabel,
                 "Rows with this label are out of scope (default: the one it was built with)")
      ->type_name("LABEL");
  app.add_flag("--ignore-unknown-labels", options.ignoreUnknown,
               "Leave out rows whose label no zone has, instead of counting them as errors");
  app.add_option("--min-accuracy", options.minAccuracy,
                 "Gate: in-scope best_path accuracy is at least P")
      ->check(share(1));
  app.add_option("--max-misroute", options.maxMisroute, "Gate: in-scope misroute rate is at most P")
      ->check(share(1));
  app.add_option("--max-drift", options.maxDrift,
                 "Gate: no drift beyond chance with a stability index above P (0.1: small, "
                 "0.25: large)")
      ->check(share(100));
  app.add_option("--stages", options.stages, "Stages to use: 1 keywords, 2 embedding, 3 encoder")
      ->type_name("1,2");
  app.add_option("--isa", options.isa, "Force a kernel level, such as portable or x86-64-v3")
      ->type_name("NAME");
  app.add_flag("--data-only", options.dataOnly, "Map no native code");
  app.add_flag("--timing", options.timing, "Times in the text report too");
  app.add_option("--seed", options.seed, "Of the bootstrap (1)")->check(checkUnsigned);
  if (!semdns::refuseEmptyOptions(kTool, argc, argv))
    return kUsage;
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
    return usage("which queries? Name them with -i FILE");
  options.train = splitAtCommas(options.train);
  if (options.drift && options.multi)
    return usage("--drift and --multi do not go together");
  if (options.drift && (options.minAccuracy || options.maxMisroute || !options.train.empty()))
    return usage("--drift looks at no labels: no --min-accuracy, --max-misroute or --train");
  if (options.multi &&
      (options.minAccuracy || options.maxMisroute || !options.train.empty() ||
       !options.suggest.empty() || !options.against.empty() || !options.report.empty()))
    return usage("--multi goes with --json, --stages and --root-label only");
  if (!options.drift && (options.maxDrift || !options.baseline.empty()))
    return usage("--baseline and --max-drift go with --drift");
  if (options.json && options.suggest == "-")
    return usage("--suggest=- and --json would both write to stdout");
  if (!options.stages.empty() && !tools::parseStages(options.stages))
    return usage("--stages=" + options.stages + ": expected a list of 1, 2 and 3, like 1,2");
  return Run(options).run();
}
