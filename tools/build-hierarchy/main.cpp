// build-hierarchy: compiles a zone tree into one frozen artifact.

#include "lib/driver/build.h"
#include "lib/driver/recalibrate.h"
#include "lib/support/command_line.h"
#include "semdns/semdns.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>

namespace {

constexpr const char *kEpilogue = R"(
Examples:
  # a tree written down as a spec
  build-hierarchy hierarchy.txtpb -o demo.sdna
  # a tree derived from labelled queries; rows labelled "oos" belong nowhere, that is, to the root
  build-hierarchy --from-examples=train.jsonl --root-label=oos -o demo.sdna
  # what it derived, to edit and build from
  build-hierarchy --from-examples=train.jsonl --dump-spec=hierarchy.txtpb
  # a release: at most two queries that the last one answers right may turn wrong
  build-hierarchy hierarchy.txtpb --against=last.sdna --max-regressions=2 -o demo.sdna
  # thresholds for other labelled queries, without training: at most 2 % of them misrouted
  build-hierarchy --recalibrate=demo.sdna --calibration=new.jsonl --alpha=0.02 -o demo2.sdna

Rows of example files are JSON lines: {"text": "...", "label": "legal/contracts"}.
Exit: 0 done, 1 input rejected, 2 usage, 3 a test{} block fails or too much turned
wrong, 4 incompatible, 5 internal error.
Docs: docs/tutorial.md (own domain in 15 minutes), docs/tools.md.
)";

std::vector<std::string> splitAtCommas(const std::vector<std::string> &values) {
  std::vector<std::string> parts;
  for (const std::string &value : values) {
    size_t begin = 0;
    for (;;) {
      size_t comma = value.find(',', begin);
      std::string part = value.substr(begin, comma - begin);
      if (!part.empty())
        parts.push_back(part);
      if (comma == std::string::npos)
        break;
      begin = comma + 1;
    }
  }
  return parts;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app{"Trains, compiles and freezes a tree of zones into one artifact (.sdna).",
               "build-hierarchy"};
  app.footer(kEpilogue);
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", std::string("build-hierarchy ") + semdns_version());

  semdns::driver::BuildOptions options;
  semdns::driver::RecalibrateOptions again;
  std::vector<std::string> fromExamples, targets, cubins, unlabelled, calibration, regressionSets,
      keepCodecs;
  std::string diagnostics = "text";
  app.add_option("SPEC", options.spec, "hierarchy in protobuf text; \"-\" is stdin");
  app.add_option("--from-examples", fromExamples,
                 "derive the tree from the labels of these JSON lines files (comma-separated)");
  app.add_option("--root-label", options.rootLabel,
                 "rows with this label belong to the root (out of scope)");
  app.add_option("-o,--output", options.output, "the artifact to write");
  app.add_flag("-f,--force", options.force, "replace an existing output");
  app.add_option("-j,--jobs", options.threads, "threads (default: all cores); same bytes for any");
  app.add_option("--name", options.name, "name of the artifact (default: the spec's)");
  app.add_option("--serial", options.serial, "content version (default: the spec's, else 1)")
      ->check(semdns::checkUnsigned);
  app.add_option("--targets", targets,
                 "kernel levels, comma-separated (default: "
                 "x86-64-v2,x86-64-v3,x86-64-v4,x86-64-v4+vnni,ptx)");
  app.add_option("--cubin", cubins, "also assemble for these GPUs, e.g. sm_90 (needs ptxas)");
  app.add_option("--encoder", options.encoder,
                 "folder of a BERT-family sentence encoder: stage 3, and teacher of stages 1 and 2 "
                 "(`./dev encoder` fetches one)");
  app.add_option("--encoder-layers", options.encoderLayers,
                 "use the encoder's first N layers (default: all)")
      ->check(CLI::Range(1u, 48u));
  app.add_flag("--finetune", options.finetune,
               "train the encoder on the examples first (minutes to an hour)");
  app.add_flag("--teach-only", options.teachOnly,
               "the encoder teaches stages 1 and 2 and stays out of the artifact: no stage 3");
  app.add_option("--unlabelled", unlabelled,
                 "text without labels for the encoder to teach with (comma-separated files)");
  app.add_option("--calibration", calibration,
                 "labelled queries that set the thresholds and do nothing else (comma-separated "
                 "files; default: a part of the examples)");
  app.add_option("--recalibrate", again.artifact,
                 "no training: this artifact with thresholds by --calibration, serial + 1");
  app.add_option(
         "--alpha", options.alpha,
         "misroute rate to promise, of all in-scope queries (default: the spec's, else 0.05)")
      ->check(CLI::Range(1e-6, 0.999999));
  app.add_option("--delta", options.delta,
                 "probability that the promise may fail with (default: the spec's, else 0.05)")
      ->check(CLI::Range(1e-6, 0.999999));
  app.add_option("--beam", options.beam,
                 "nodes of a level that stage 2 follows down a search tree, 0: none, it scores all "
                 "classes (default: 3 beyond 1024 classes without an encoder)")
      ->check(CLI::Range(0u, 8u));
  app.add_option("--cache", options.cache,
                 "folder for embeddings and fine-tuned encoders (default: "
                 "$XDG_CACHE_HOME/semdns or ~/.cache/semdns); \"none\" keeps nothing");
  app.add_option(
      "--keep-codecs", keepCodecs,
      "earlier artifacts whose codec tables go along, so that their frames stay readable "
      "(comma-separated)");
  app.add_option("--seed", options.seed, "seed of the held-out split and samplers (default 1)")
      ->check(semdns::checkUnsigned);
  app.add_option("--against", options.gate.against,
                 "an old artifact: what it answers right must stay right, else nothing is written");
  app.add_option("--max-regressions", options.gate.maxRegressions,
                 "with --against: so many queries may turn wrong (0)")
      ->check(semdns::checkUnsigned);
  app.add_option("--regression-set", regressionSets,
                 "with --against: labelled queries beside the old artifact's tests "
                 "(comma-separated files)");
  app.add_option("--dump-spec", options.dumpSpec, "write the spec, as derived, to this file");
  app.add_option("--dump-ir-to", options.dumpIrTo, "write the IR after each phase to this folder");
  app.add_option("--stop-after", options.stopAfter, "stop behind a phase; prints its IR on stdout")
      ->check(CLI::IsMember({"spec", "zone", "route", "lowered", "llvm"}));
  app.add_flag("--timing", options.timing, "say where the time went");
  app.add_flag("--Werror", options.warningsAreErrors, "treat warnings as errors");
  app.add_option("--diagnostics", diagnostics, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("-q,--quiet", options.quiet, "no summary");

  if (!semdns::refuseEmptyOptions("build-hierarchy", argc, argv))
    return semdns::kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    int code = app.exit(e);
    return code == 0 ? semdns::kDone : semdns::kUsage;
  }
  options.fromExamples = splitAtCommas(fromExamples);
  options.targets = splitAtCommas(targets);
  options.cubins = splitAtCommas(cubins);
  options.keepCodecs = splitAtCommas(keepCodecs);
  options.unlabelled = splitAtCommas(unlabelled);
  options.calibration = splitAtCommas(calibration);
  options.gate.regressionSets = splitAtCommas(regressionSets);
  options.gate.quiet = options.quiet;
  options.jsonDiagnostics = diagnostics == "json";

  auto usage = [](const char *message) {
    fprintf(stderr, "build-hierarchy: %s\nTry build-hierarchy --help.\n", message);
    return static_cast<int>(semdns::kUsage);
  };
  if (std::find(options.calibration.begin(), options.calibration.end(), "-") !=
      options.calibration.end())
    return usage("--calibration=-: give a file");
  if (options.gate.against.empty() &&
      (app.count("--max-regressions") || app.count("--regression-set")))
    return usage("--max-regressions and --regression-set go with --against=old.sdna");
  if (!again.artifact.empty()) {
    for (const char *flag :
         {"--from-examples", "--name", "--targets", "--cubin", "--encoder", "--encoder-layers",
          "--finetune", "--unlabelled", "--dump-spec", "--dump-ir-to", "--stop-after", "--against"})
      if (app.count(flag))
        return usage((std::string(flag) + " has no meaning with --recalibrate, which only sets "
                                          "thresholds")
                         .c_str());
    if (!options.spec.empty())
      return usage("give either a SPEC or --recalibrate=old.sdna");
    if (options.calibration.empty())
      return usage("--recalibrate needs labelled queries: --calibration=FILE");
    if (options.output.empty())
      return usage("say where the artifact goes: -o FILE");
    again.calibration = options.calibration;
    again.output = options.output;
    again.force = options.force;
    again.rootLabel = options.rootLabel;
    again.serial = options.serial;
    again.alpha = options.alpha;
    again.delta = options.delta;
    again.threads = options.threads;
    again.warningsAreErrors = options.warningsAreErrors;
    again.jsonDiagnostics = options.jsonDiagnostics;
    again.quiet = options.quiet;
    return semdns::endOutput("build-hierarchy", semdns::driver::recalibrate(again));
  }
  if (options.spec.empty() == options.fromExamples.empty())
    return usage("give either a SPEC or --from-examples=FILE");
  if (!options.rootLabel.empty() && options.fromExamples.empty())
    return usage("--root-label goes with --from-examples (in a spec, label rows \"/\")");
  if (options.output.empty() && options.stopAfter.empty() && options.dumpSpec.empty())
    return usage("say where the artifact goes: -o FILE");
  if (std::find(options.fromExamples.begin(), options.fromExamples.end(), "-") !=
      options.fromExamples.end())
    return usage("--from-examples=-: examples are read more than once; give a file");
  return semdns::endOutput("build-hierarchy", semdns::driver::build(options));
}
