/// replay-scenario: runs scenario files (docs/scenarios.md) against a dispatcher on a virtual
/// clock.
#include "lib/sim/scenario.h"
#include "lib/support/command_line.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "semdns/semdns.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace semdns;

int main(int argc, char **argv) {
  constexpr const char *kTool = "replay-scenario";
  std::vector<std::string> files;
  bool trace = false, json = false, force = false;
  std::string log, lines;
  CLI::App app("Runs scenario files: scripted queries, faults and checks on a virtual clock.\n\n"
               "  replay-scenario test/scenario/first_try.scn\n"
               "  replay-scenario --trace my.scn",
               kTool);
  app.footer("Exit: 0 all checks hold, 1 a file or line is bad, 2 usage, 3 a check failed.");
  app.set_version_flag("--version", std::string(kTool) + " " + semdns_version());
  app.add_option("files", files, "Scenario files; - is stdin")->required();
  app.add_flag("--trace", trace, "A line for each thing that happens");
  app.add_flag("--json", json, "One JSON object a file on stdout");
  app.add_option("--log", log, "Write the decision logs of all files here, as JSON lines");
  app.add_flag("-f,--force", force, "Replace an existing log");
  if (!refuseEmptyOptions(kTool, argc, argv))
    return kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? kDone : kUsage;
  }
  if (!log.empty())
    if (const std::optional<std::string> obstacle = outputObstacle(log, force)) {
      std::fprintf(stderr, "%s: %s\n", kTool, obstacle->c_str());
      return kRejected;
    }
  bool rejected = false, failed = false;
  for (const std::string &file : files) {
    std::string error;
    const std::optional<std::string> text = readFile(file, error, 16u << 20);
    if (!text) {
      std::fprintf(stderr, "%s: %s\n", kTool, error.c_str());
      rejected = true;
      continue;
    }
    Diagnostics diags;
    std::function<void(const std::string &)> say;
    if (trace)
      say = [&](const std::string &line) {
        std::fprintf(json ? stderr : stdout, "%s\n", line.c_str());
      };
    const sim::ScenarioResult result = sim::runScenario(*text, file, diags, say);
    lines += result.log;
    const size_t failures = result.failures.size();
    for (const Diagnostic &failure : result.failures)
      diags.error(failure.where, failure.message, failure.help);
    diags.print(stderr, false);
    failed |= failures != 0;
    rejected |= diags.errorCount() > failures;
    if (json)
      std::printf("{\"steps\": %u, \"checks\": %u, \"failures\": %zu, \"errors\": %zu}\n",
                  result.steps, result.checks, failures, diags.errorCount() - failures);
    else
      std::printf("%s: %u steps, %u checks, %zu failed\n", file.c_str(), result.steps,
                  result.checks, failures);
  }
  std::string error;
  if (!log.empty() && !writeFileAtomically(log, lines, force, error)) {
    std::fprintf(stderr, "%s: %s\n", kTool, error.c_str());
    return kRejected;
  }
  return endOutput(kTool, rejected ? kRejected : failed ? kNegative : kDone);
}
