/// simulate-hierarchy: replays request traces through the dispatcher to simulated endpoints
/// (docs/dispatch.md, "On traces").
#include "lib/eval/traces.h"
#include "lib/support/command_line.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "semdns/semdns.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>

using namespace semdns;

int main(int argc, char **argv) {
  constexpr const char *kTool = "simulate-hierarchy";
  constexpr double kMostMs = 1e6;
  std::string file, report;
  std::vector<std::string> policies(sim::kPolicies.begin(), sim::kPolicies.end());
  std::vector<uint32_t> sweep;
  sim::ReplayOptions options;
  double msPerBlock = 50, msPerToken = 0.5;
  bool json = false, force = false;
  unsigned jobs = 0;
  CLI::App app(
      "Replays a request trace through the dispatcher, on a virtual clock, to simulated "
      "endpoints,\n"
      "once for each way to select, and says how many prompt blocks were found in a KV cache, how\n"
      "long requests waited and how evenly the endpoints worked.\n\n"
      "  simulate-hierarchy mooncake.jsonl\n"
      "  simulate-hierarchy mooncake.jsonl --sweep=500,1000,2000,4000,8000 --report=kv.html\n"
      "  simulate-hierarchy azure.csv --endpoints=8 --policies=score,p2c --json\n"
      "  simulate-hierarchy mine.jsonl --weights=4,1,3,1,2 --policies=score,hash",
      kTool);
  app.footer(
      "Traces: CSV with a header that names TIMESTAMP, ContextTokens and GeneratedTokens "
      "(Azure's),\n"
      "or JSON lines {\"timestamp\": ms, \"input_length\": tokens, \"output_length\": tokens,\n"
      "\"hash_ids\": [blocks of 512 tokens, each named after its whole prefix]} (Mooncake's).\n"
      "Requests stand in the order of time.\n\n"
      "Model: an endpoint serves one request at a time, first come, first served. A prompt block "
      "that\n"
      "is not in its cache costs --ms-per-block, an output token --ms-per-output-token. The cache\n"
      "holds --blocks blocks and drops the longest unused.\n\n"
      "Columns: `of infinite`: block hits over those of one cache for all that never forgets; "
      "`p99/hash`:\n"
      "the p99 wait over that of consistent hashing; `max/mean`: service time of the busiest "
      "endpoint\n"
      "over the mean, the worst window of ten minutes; `shed`: requests that found every place "
      "taken.\n\n"
      "Exit: 0 done, 1 the trace or an output file is bad, 2 usage.");
  app.set_version_flag("--version", std::string(kTool) + " " + semdns_version());
  app.add_option("trace", file, "The trace; - is stdin")->required();
  app.add_option("--policies", policies, "Of score, least-loaded, p2c, round-robin, hash")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(sim::kPolicies.begin(), sim::kPolicies.end())))
      ->capture_default_str();
  app.add_option("--endpoints", options.endpoints, "Endpoints")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--blocks", options.blocks, "KV cache of each endpoint, in blocks")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  app.add_option("--sweep", sweep, "Also with these capacities, in blocks")
      ->delimiter(',')
      ->check(CLI::Range(1u, 1u << 20));
  app.add_option("--places", options.places, "Requests at an endpoint at once, its queue included")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  app.add_option("--weights", options.weights,
                 "Of the score: utilisation,complexity,affinity,geography,history");
  app.add_option("--ms-per-block", msPerBlock, "Milliseconds for an uncached prompt block")
      ->check(CLI::Range(0.0, kMostMs))
      ->capture_default_str();
  app.add_option("--ms-per-output-token", msPerToken, "Milliseconds for an output token")
      ->check(CLI::Range(0.0, kMostMs))
      ->capture_default_str();
  app.add_option("--patience", options.patience,
                 "Milliseconds that the score waits gladly for held blocks; 0: its default")
      ->check(CLI::Range(0u, 86400000u))
      ->capture_default_str();
  app.add_option("--speed", options.speed,
                 "Tokens a second that the dispatcher takes an endpoint for; 0: its default")
      ->capture_default_str();
  app.add_flag("--output-known", options.outputKnown,
               "Tell the dispatcher how long each answer will be (it is not told)");
  app.add_option("--seed", options.seed, "Of lots drawn by the dispatcher")->capture_default_str();
  app.add_option("-j,--jobs", jobs, "Threads, default all cores; never changes a figure")
      ->check(CLI::Range(0u, 1024u));
  app.add_flag("--json", json, "One JSON object on stdout");
  app.add_option("--report", report, "Also an HTML page with plots");
  app.add_flag("-f,--force", force, "Replace an existing report");
  if (!refuseEmptyOptions(kTool, argc, argv))
    return kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? kDone : kUsage;
  }
  options.service.perBlock = static_cast<uint64_t>(msPerBlock * 1e6);
  options.service.perOutputToken = static_cast<uint64_t>(msPerToken * 1e6);
  std::sort(sweep.begin(), sweep.end());
  sweep.erase(std::unique(sweep.begin(), sweep.end()), sweep.end());
  const auto reject = [&](const std::string &why) {
    std::fprintf(stderr, "%s: %s\n", kTool, why.c_str());
    return kRejected;
  };
  if (!report.empty())
    if (const auto obstacle = outputObstacle(report, force))
      return reject(*obstacle);
  std::string error;
  const std::optional<std::string> bytes = readFile(file, error, uint64_t(4) << 30);
  if (!bytes)
    return reject(error);
  Diagnostics diags;
  const std::optional<sim::Trace> trace = sim::parseTrace(*bytes, file, diags);
  diags.print(stderr, false);
  if (!trace)
    return kRejected;

  // One run a policy and capacity; the first ones are those of --blocks.
  std::vector<sim::ReplayOptions> runs;
  for (const std::string &policy : policies) {
    runs.push_back(options);
    runs.back().policy = policy;
  }
  for (const std::string &policy : policies)
    for (const uint32_t blocks : sweep) {
      runs.push_back(options);
      runs.back().policy = policy;
      runs.back().blocks = blocks;
    }
  const std::vector<uint32_t> infinite = sim::infiniteHits(*trace);
  std::vector<std::optional<sim::ReplayResult>> results(runs.size());
  std::vector<std::string> errors(runs.size());
  {
    Progress progress("replaying", runs.size() * trace->requests.size(), "requests");
    std::mutex drawing;
    std::atomic<uint64_t> done{0};
    parallelFor(runs.size(), threadsFor(jobs), [&](size_t i) {
      uint64_t before = 0;
      results[i] = sim::replay(*trace, infinite, runs[i], errors[i], [&](uint64_t arrived) {
        const uint64_t all = done += arrived - before;
        before = arrived;
        if (const std::unique_lock lock(drawing, std::try_to_lock); lock)
          progress.update(all);
      });
    });
  }
  eval::TraceReport out;
  out.trace = &*trace;
  out.capacities = sweep;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!results[i])
      return reject(errors[i]);
    (i < policies.size() ? out.policies : out.sweep).push_back(std::move(*results[i]));
  }
  const std::string text = json ? eval::traceJson(out) : eval::traceText(out);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!report.empty() && !writeFileAtomically(report, eval::traceHtml(out), force, error))
    return reject(error);
  return endOutput(kTool, kDone);
}
