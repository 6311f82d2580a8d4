/// bench-artifact: how long a query takes, per kernel level, on one pinned thread.
#include "tools/bench-artifact/costs.h"

#include "lib/support/command_line.h"
#include "lib/support/diagnostics.h"
#include "lib/support/json_lines.h"
#include "tools/count_allocations.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <sched.h>
#include <thread>
#include <unordered_set>

using namespace semdns;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char *kHelp = R"(Times an artifact's queries.

  bench-artifact clinc.sdna --queries=clinc150.test.jsonl
  bench-artifact clinc.sdna --queries=clinc150.test.jsonl --json --stages=2

One thread, pinned to its core. Each distinct query is timed in turn, in passes over the whole list;
a query's time is its fastest pass, less what reading the clock costs, and the percentiles are over
queries. `batch_ns` is a whole pass without clocks in between, divided by the queries. Memory
requests are counted for real, in this process. With --threads, `many` says how a pass through
semdns_resolve_many, cut into as many parts, compares with one thread's. `open` is the fastest of
some openings, of a file that is in the page cache.)";

struct Measurement {
  std::string isa, reason;
  double p50 = 0, p99 = 0, mean = 0, batch = 0, allocations = 0;
  uint32_t passes = 0;
  uint64_t stageCount[4] = {}; ///< none, keyword, embedding, encoder
  uint64_t queries = 0;
};

uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

/// What two clock readings cost when nothing lies between them: the median of many.
uint64_t clockCost() {
  std::vector<uint64_t> costs(2001);
  for (uint64_t &cost : costs) {
    const uint64_t begin = now();
    cost = now() - begin;
  }
  std::nth_element(costs.begin(), costs.begin() + 1000, costs.end());
  return costs[1000];
}

bool measure(const std::string &path, const char *isa, const std::vector<LabelledText> &rows,
             uint32_t stages, uint32_t repeat, double seconds, Measurement &out, Error &error) {
  OpenOptions open;
  open.isa = isa;
  const Artifact artifact = Artifact::open(path.c_str(), open, error);
  if (!artifact)
    return false;
  Resolver resolver(artifact, error);
  Scratch scratch(resolver, error);
  if (!scratch)
    return false;
  out.isa = artifact.info().isa;
  out.reason = artifact.info().isa_reason;
  out.queries = rows.size();

  std::vector<semdns_query> queries;
  for (const LabelledText &row : rows) {
    queries.push_back(Resolver::query(row.text));
    queries.back().stages = stages;
  }
  std::vector<uint64_t> best(rows.size(), UINT64_MAX);
  Answer answer;
  for (const semdns_query &query : queries) { // warms up, and says who decides
    resolver.resolve(scratch, query, answer);
    const uint32_t stage = answer->stage;
    ++out.stageCount[stage == SEMDNS_STAGE_ENCODER ? 3 : stage];
  }

  const uint64_t cost = clockCost(), started = now();
  const uint64_t allocationsBefore = allocationsSoFar();
  uint64_t resolved = 0, bestPass = UINT64_MAX;
  while (out.passes < repeat &&
         (out.passes < 3 || static_cast<double>(now() - started) < seconds * 1e9)) {
    for (size_t i = 0; i < queries.size(); ++i) {
      const uint64_t begin = now();
      resolver.resolve(scratch, queries[i], answer);
      best[i] = std::min(best[i], now() - begin);
    }
    const uint64_t begin = now();
    for (const semdns_query &query : queries)
      resolver.resolve(scratch, query, answer);
    bestPass = std::min(bestPass, now() - begin);
    resolved += 2 * queries.size();
    ++out.passes;
  }
  const uint64_t allocations = allocationsSoFar() - allocationsBefore;

  double sum = 0;
  for (uint64_t &ns : best) {
    ns = ns > cost ? ns - cost : 0;
    sum += static_cast<double>(ns);
  }
  std::sort(best.begin(), best.end());
  const auto percentile = [&](uint32_t percent) {
    const size_t rank = (best.size() * percent + 99) / 100;
    return static_cast<double>(best[rank ? rank - 1 : 0]);
  };
  const auto count = static_cast<double>(best.size());
  out.p50 = percentile(50);
  out.p99 = percentile(99);
  out.mean = sum / count;
  out.batch = static_cast<double>(bestPass) / count;
  out.allocations = static_cast<double>(allocations) / static_cast<double>(resolved);
  return true;
}

/// Fastest of a few openings of a file that is in memory, in microseconds.
struct OpenTimes {
  double map = 0, copy = 0; ///< OPEN_MAP unverified; OPEN_COPY with every digest checked
};

bool timeOpening(const std::string &path, OpenTimes &out, Error &error) {
  for (double *into : {&out.map, &out.copy}) {
    OpenOptions open;
    open.flags = into == &out.map ? SEMDNS_OPEN_MAP : SEMDNS_OPEN_COPY;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 9; ++i) {
      const uint64_t begin = now();
      const Artifact artifact = Artifact::open(path.c_str(), open, error);
      best = std::min(best, now() - begin);
      if (!artifact)
        return false;
    }
    *into = static_cast<double>(best) / 1e3;
  }
  return true;
}

/// Nanoseconds a query of the fastest pass of semdns_resolve_many, on one thread and on `threads`,
/// in turns. Each thread has a part of the queries and a core of its own.
struct Many {
  uint32_t threads = 0;
  double one = 0, all = 0;
};

bool timeMany(const Artifact &artifact, const std::vector<LabelledText> &rows, uint32_t stages,
              uint32_t threads, double seconds, Many &out, Error &error) {
  constexpr size_t kChunk = 16; // answers at a time: they are large
  Resolver resolver(artifact, error);
  std::vector<Scratch> scratches;
  for (uint32_t t = 0; t < threads; ++t)
    if (!resolver || !scratches.emplace_back(resolver, error))
      return false;
  std::vector<semdns_query> queries;
  for (const LabelledText &row : rows) {
    queries.push_back(Resolver::query(row.text));
    queries.back().stages = stages;
  }
  // A pass is long enough for the threads' start not to count.
  const size_t repeat = std::max<size_t>(1, 100000 / queries.size());
  const auto part = [&](uint32_t thread, uint32_t of) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(thread, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    std::vector<semdns_answer> answers(kChunk);
    for (semdns_answer &answer : answers)
      answer.size = sizeof answer;
    const size_t begin = queries.size() * thread / of, end = queries.size() * (thread + 1) / of;
    for (size_t r = 0; r < repeat; ++r)
      for (size_t i = begin; i < end; i += kChunk)
        semdns_resolve_many(resolver.raw(), scratches[thread].raw(), &queries[i], answers.data(),
                            std::min(kChunk, end - i));
  };
  const auto pass = [&](uint32_t of) {
    const uint64_t begin = now();
    std::vector<std::thread> pool;
    for (uint32_t t = 0; t < of; ++t)
      pool.emplace_back(part, t, of);
    for (std::thread &thread : pool)
      thread.join();
    return static_cast<double>(now() - begin) / static_cast<double>(repeat * queries.size());
  };
  out = {threads, pass(1), pass(threads)};
  const uint64_t started = now();
  for (int i = 0; i < 15 && static_cast<double>(now() - started) < seconds * 1e9; ++i) {
    out.one = std::min(out.one, pass(1));
    out.all = std::min(out.all, pass(threads));
  }
  return true;
}

Json toJson(const Measurement &m) {
  const auto n = static_cast<double>(m.queries);
  Json allocations; // null where a sanitizer has the allocator
  if (allocationsAreCounted())
    allocations = m.allocations;
  return {{"isa", m.isa},
          {"isa_reason", m.reason},
          {"ns_per_query", {{"p50", m.p50}, {"p99", m.p99}, {"mean", m.mean}}},
          {"batch_ns", m.batch},
          {"passes", m.passes},
          {"allocations_per_query", allocations},
          {"stage_share",
           {{"keyword", static_cast<double>(m.stageCount[1]) / n},
            {"embedding", static_cast<double>(m.stageCount[2]) / n},
            {"encoder", static_cast<double>(m.stageCount[3]) / n},
            {"none", static_cast<double>(m.stageCount[0]) / n}}}};
}

void printRow(const char *label, const Measurement &m) {
  std::printf("%-20s %9.0f %9.0f %9.0f %9.0f %11.4f\n", label, m.p50, m.p99, m.mean, m.batch,
              m.allocations);
}

} // namespace

int main(int argc, char **argv) {
  std::string path, queriesPath, stagesList;
  bool json = false;
  uint32_t repeat = 25;
  double seconds = 10;
  uint32_t threads = 0;
  CLI::App app(kHelp, "bench-artifact");
  app.footer("Exit: 0 measured, 1 artifact damaged or input rejected, 2 usage, 4 wrong version.");
  app.set_version_flag("--version", std::string("bench-artifact ") + semdns_version());
  app.add_option("FILE", path, "The artifact (.sdna)")->required();
  app.add_option("--queries", queriesPath, "JSON lines with \"text\"; - is stdin")
      ->required()
      ->type_name("FILE");
  app.add_flag("--json", json, "One JSON object instead of the table");
  app.add_option("--stages", stagesList, "Stages to use: 1 keywords, 2 embedding, 3 encoder")
      ->type_name("1,2");
  app.add_option("--repeat", repeat, "Passes over the queries (default 25)")
      ->type_name("N")
      ->check(CLI::Range(1u, 100000u));
  app.add_option("--seconds", seconds, "No further pass of a level after this long (default 10)")
      ->type_name("S");
  app.add_option("--threads", threads, "Also: throughput on so many threads beside one")
      ->type_name("N")
      ->check(CLI::Range(2u, 1024u));
  std::string costs, trace;
  bool ablation = false;
  app.add_option(
         "--fit-costs", costs,
         "Instead: fit what batches cost on the cores and on each GPU, and write it to FILE")
      ->type_name("FILE");
  app.add_flag("--ablation", ablation,
               "With --fit-costs: also play arrivals against the scheduler and fixed choices");
  app.add_option("--trace", trace,
                 "With --ablation: also the arrivals of this CSV, as Azure's traces")
      ->type_name("FILE");
  if (!semdns::refuseEmptyOptions("bench-artifact", argc, argv))
    return semdns::kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? kUsage : kDone;
  }
  uint32_t stages = 0;
  if (!stagesList.empty() && !(stages = tools::parseStages(stagesList))) {
    std::fprintf(stderr, "bench-artifact: error: --stages=%s: expected a list of 1, 2 and 3\n",
                 stagesList.c_str());
    return kUsage;
  }

  Error error;
  const Artifact artifact = Artifact::open(path.c_str(), OpenOptions{}, error);
  if (!artifact)
    return tools::reportError(path, error);
  Diagnostics diagnostics;
  std::vector<LabelledText> rows = readJsonLines(queriesPath, /*requireLabel=*/false, diagnostics);
  diagnostics.print(stderr);
  if (diagnostics.hasErrors())
    return kRejected;
  const size_t given = rows.size();
  std::unordered_set<std::string> seen;
  std::erase_if(rows, [&](const LabelledText &row) { return !seen.insert(row.text).second; });
  if (rows.empty()) {
    std::fprintf(stderr, "%s: error: no queries\n", queriesPath.c_str());
    return kRejected;
  }

  if (!costs.empty())
    return fitCosts(artifact, rows, stages, {costs, trace, ablation});
  if (ablation || !trace.empty()) {
    std::fprintf(stderr, "bench-artifact: error: --ablation and --trace go with --fit-costs\n");
    return kUsage;
  }

  Many many;
  if (threads && !timeMany(artifact, rows, stages, threads, seconds, many, error))
    return tools::reportError(path, error);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(std::max(0, sched_getcpu())), &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
    std::fprintf(stderr, "bench-artifact: warning: cannot pin the thread; times vary more\n");

  OpenTimes opening;
  if (!timeOpening(path, opening, error))
    return tools::reportError(path, error);
  Measurement best;
  if (!measure(path, nullptr, rows, stages, repeat, seconds, best, error))
    return tools::reportError(path, error);
  const char *names[128];
  const size_t count = std::min<size_t>(semdns_artifact_isas(artifact.raw(), names, 128), 128);
  std::vector<Measurement> levels;
  std::vector<std::string> absent;
  for (size_t i = 0; i < count; ++i) {
    if (!semdns_isa_runnable(names[i])) {
      absent.push_back(names[i]);
      continue;
    }
    levels.emplace_back();
    if (!measure(path, names[i], rows, stages, repeat, seconds, levels.back(), error))
      return tools::reportError(path, error);
  }

  const semdns_artifact_info info = artifact.info();
  if (json) {
    Json out = toJson(best);
    out["artifact"] = path;
    out["name"] = info.name;
    out["serial"] = info.serial;
    out["digest"] = info.digest_hex;
    out["queries"] = rows.size();
    out["duplicates"] = given - rows.size();
    out["open_us"] = {{"map", opening.map}, {"copy", opening.copy}};
    if (threads)
      out["many"] = {{"threads", many.threads},
                     {"one_ns", many.one},
                     {"all_ns", many.all},
                     {"speedup", many.one / many.all}};
    out["isas"] = Json::object();
    for (const Measurement &m : levels)
      out["isas"][m.isa] = toJson(m);
    out["isas_not_runnable_here"] = absent;
    std::printf("%s\n", out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return endOutput("bench-artifact", kDone);
  }
  std::printf("%s: %zu distinct queries (%zu duplicates dropped), one pinned thread, no cache\n\n",
              path.c_str(), rows.size(), given - rows.size());
  std::printf("%-20s %9s %9s %9s %9s %11s\n", "kernel", "p50 ns", "p99 ns", "mean ns", "batch ns",
              "allocations");
  printRow(("auto: " + best.isa).c_str(), best);
  for (const Measurement &m : levels)
    printRow(m.isa.c_str(), m);
  for (const std::string &name : absent)
    std::printf("%-20s not runnable here\n", name.c_str());
  const auto share = [&](int stage) {
    return 100 * static_cast<double>(best.stageCount[stage]) / static_cast<double>(rows.size());
  };
  std::printf(
      "\ndecided by: keyword %.1f %%, embedding %.1f %%, encoder %.1f %%, nobody (the root) "
      "%.1f %%\n",
      share(1), share(2), share(3), share(0));
  std::printf("opened in %.0f us mapped unverified, %.0f us copied with every digest checked\n",
              opening.map, opening.copy);
  if (threads)
    std::printf("%u threads: %.0f ns a query, one: %.0f ns, %.2fx\n", many.threads, many.all,
                many.one, many.one / many.all);
  return endOutput("bench-artifact", kDone);
}
