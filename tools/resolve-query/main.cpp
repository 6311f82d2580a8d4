/// resolve-query: asks an artifact where texts belong, and answers like dig.
#include "lib/support/command_line.h"
#include "lib/support/diagnostics.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "tools/open_artifact.h"
#include "tools/resolve-query/bulk.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdarg>
#include <unistd.h>

using namespace semdns;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char *kHelp = R"(Routes texts to zones.

  resolve-query @demo.sdna 'Is a verbal NDA enforceable in Texas?'
  resolve-query @demo.sdna +short 'reset my router' 'soup for six'
  resolve-query @demo.sdna +trace 'how long does a refund take'
  resolve-query @demo.sdna --json -i queries.jsonl > answers.jsonl
  generate | resolve-query @demo.sdna --json
  resolve-query @demo.sdna -i huge.jsonl.zst --device=auto -o answers.jsonl --resume

Texts come from the command line, from -i FILE (JSON lines with "text"; - is stdin), or else from
stdin, one a line. With --device, -i FILE is answered in bulk: streamed (FILE may be zstd), in batches
on a GPU or on all cores, one short JSON object a row, in order. Modes: +short (zones only), +trace (one line per zone and stage), --json (one
object a text, in input order). The artifact is verified as a whole first.)";

constexpr const char *kExit =
    R"(Exit: 0 every text has an answer (the root's included), 1 artifact damaged or input rejected,
2 usage, 4 wrong version, kind or required feature.)";

struct Options {
  std::string artifact, input, stages, isa, context;
  std::vector<std::string> texts;
  bool json = false, shortForm = false, trace = false, dataOnly = false;
  uint32_t top = 0;
};

/// Text from a query or a name, safe for a terminal.
std::string printable(std::string_view text, size_t limit = 400) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= limit)
      return out + "...";
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out;
}

double fraction(uint32_t q16) { return q16 / 65536.0; }

struct TraceLine {
  semdns_trace_step step;
  std::string detail;
};

struct Session {
  const Options &options;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;
  semdns_artifact_info info{};
  uint32_t stages = 0;
  std::string out;

  void flush(bool always) {
    if (!always && out.size() < 1 << 16)
      return;
    std::fwrite(out.data(), 1, out.size(), stdout);
    out.clear();
  }

  __attribute__((format(printf, 2, 3))) void print(const char *format, ...) {
    char line[2048];
    va_list args;
    va_start(args, format);
    const int size = std::vsnprintf(line, sizeof line, format, args);
    va_end(args);
    out.append(line, std::min<size_t>(size < 0 ? 0 : static_cast<size_t>(size), sizeof line - 1));
  }

  bool answerOne(std::string_view text) {
    semdns_query query = Resolver::query(text);
    query.stages = stages;
    query.top_k = options.top ? options.top : 3;
    query.context = options.context.data();
    query.context_size = options.context.size();
    Answer answer;
    std::vector<TraceLine> trace;
    const auto begin = std::chrono::steady_clock::now();
    semdns_status status;
    if (options.trace)
      status = semdns_explain(
          resolver.raw(), scratch.raw(), &query, answer.raw(),
          [](void *user, const semdns_trace_step *step) {
            static_cast<std::vector<TraceLine> *>(user)->push_back({*step, step->detail});
          },
          &trace);
    else
      status = resolver.resolve(scratch, query, answer);
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    if (status != SEMDNS_OK) {
      std::fprintf(stderr, "resolve-query: error: %s\n", semdns_status_text(status));
      return false;
    }
    if (options.json)
      printJson(*answer, trace);
    else if (options.shortForm)
      printShort(*answer, trace);
    else
      printLong(text, *answer, trace, std::chrono::duration<double, std::micro>(elapsed).count());
    flush(false);
    return true;
  }

  void printJson(const semdns_answer &a, const std::vector<TraceLine> &trace) {
    Json zones = Json::array(), engines = Json::array(), chain = Json::array();
    for (uint32_t i = 0; i < a.zone_count; ++i)
      zones.push_back({{"zone", a.zones[i].name},
                       {"path", a.zones[i].path},
                       {"confidence", fraction(a.zones[i].confidence)}});
    for (uint32_t i = 0; i < a.engine_count; ++i)
      engines.push_back({{"name", a.engines[i].name},
                         {"region", a.engines[i].region},
                         {"tier", tierName(a.engines[i].tier)},
                         {"weight", a.engines[i].weight},
                         {"max_context", a.engines[i].max_context},
                         {"cost_per_mtok", a.engines[i].cost_per_mtok}});
    for (uint32_t i = 0; i < a.chain_count; ++i)
      chain.push_back(a.chain[i].name);
    Json row = {{"zone", a.zone.name},
                {"path", a.zone.path},
                {"best_path", a.best.path},
                {"zones", std::move(zones)},
                {"stage", semdns_stage_text(a.stage)},
                {"cached", a.cached != 0},
                {"confidence", fraction(a.zone.confidence)},
                {"margin", fraction(a.margin)},
                {"status", statusText(a)},
                {"reason", reasonText(a)},
                {"ttl", a.ttl},
                {"serial", a.serial},
                {"digest", a.digest_hex},
                {"engines", std::move(engines)},
                {"chain", std::move(chain)}};
    if (options.trace) {
      Json steps = Json::array();
      for (const TraceLine &line : trace)
        steps.push_back({{"stage", semdns_stage_text(line.step.stage)},
                         {"zone", line.step.zone.name},
                         {"path", line.step.zone.path},
                         {"score", score(line.step, line.step.score)},
                         {"threshold", score(line.step, line.step.threshold)},
                         {"accepted", line.step.accepted != 0},
                         {"ns", line.step.nanoseconds},
                         {"detail", line.detail}});
      row["trace"] = std::move(steps);
    }
    out += row.dump(-1, ' ', false, Json::error_handler_t::replace);
    out += '\n';
  }

  static const char *tierName(uint32_t tier) {
    static constexpr const char *kNames[] = {"ROOT", "DOMAIN", "SUBDOMAIN", "SPECIALIST"};
    return tier < 4 ? kNames[tier] : "UNKNOWN";
  }
  static const char *statusText(const semdns_answer &a) {
    return semdns_answer_status_text(static_cast<semdns_answer_status>(a.status));
  }
  static const char *reasonText(const semdns_answer &a) {
    return semdns_answer_reason_text(static_cast<semdns_answer_reason>(a.reason));
  }
  /// Votes are counts, confidences Q16; a stage that never answers has no threshold.
  static Json score(const semdns_trace_step &step, uint32_t value) {
    if (step.stage != SEMDNS_STAGE_KEYWORD)
      return fraction(value);
    return value == UINT32_MAX ? Json() : Json(value);
  }

  void printTrace(const std::vector<TraceLine> &trace) {
    for (const TraceLine &line : trace) {
      const semdns_trace_step &s = line.step;
      char scoreText[32], thresholdText[32], timeText[32] = "";
      if (s.stage == SEMDNS_STAGE_KEYWORD) {
        std::snprintf(scoreText, sizeof scoreText, "%u", s.score);
        if (s.threshold == UINT32_MAX)
          std::snprintf(thresholdText, sizeof thresholdText, "never");
        else
          std::snprintf(thresholdText, sizeof thresholdText, "%u", s.threshold);
      } else {
        std::snprintf(scoreText, sizeof scoreText, "%.4f", fraction(s.score));
        std::snprintf(thresholdText, sizeof thresholdText, "%.4f", fraction(s.threshold));
      }
      if (s.nanoseconds)
        std::snprintf(timeText, sizeof timeText, "%.2f us",
                      static_cast<double>(s.nanoseconds) / 1000);
      print(";; %-9s %-36s score %7s  threshold %7s  %-6s %9s  %s\n", semdns_stage_text(s.stage),
            printable(s.zone.name).c_str(), scoreText, thresholdText,
            s.accepted ? "accept" : "pass", timeText, printable(line.detail).c_str());
    }
  }

  void printShort(const semdns_answer &a, const std::vector<TraceLine> &trace) {
    printTrace(trace);
    print("%s\n", printable(a.zone.name).c_str());
  }

  void printLong(std::string_view text, const semdns_answer &a, const std::vector<TraceLine> &trace,
                 double microseconds) {
    print("; <<>> resolve-query %s <<>> @%s\n", semdns_version(), options.artifact.c_str());
    print(";; ->>HEADER<<- status: %s", statusText(a));
    if (a.reason)
      print(", reason: %s", reasonText(a));
    print(", stage: %s, serial: %llu\n", semdns_stage_text(a.stage),
          static_cast<unsigned long long>(a.serial));
    print("\n;; QUESTION (%zu bytes):\n;  %s\n", text.size(), printable(text, 200).c_str());
    if (options.trace) {
      print("\n;; TRACE:\n");
      printTrace(trace);
    }
    print("\n;; ANSWER:\n");
    print("%-36s %6u  %s  confidence %.4f  margin %.4f\n", printable(a.zone.name).c_str(), a.ttl,
          printable(a.zone.path).c_str(), fraction(a.zone.confidence), fraction(a.margin));
    if (a.best.index != a.zone.index)
      print(";; best guess: %s  %s  confidence %.4f\n", printable(a.best.name).c_str(),
            printable(a.best.path).c_str(), fraction(a.best.confidence));
    if (a.zone_count > 1) {
      print("\n;; CANDIDATES:\n");
      for (uint32_t i = 1; i < a.zone_count; ++i)
        print("%-36s         %s  confidence %.4f\n", printable(a.zones[i].name).c_str(),
              printable(a.zones[i].path).c_str(), fraction(a.zones[i].confidence));
    }
    if (a.engine_count) {
      print("\n;; ENGINES:\n");
      for (uint32_t i = 0; i < a.engine_count; ++i)
        print("%-36s %6u  %s%s%s\n", printable(a.engines[i].name).c_str(), a.engines[i].weight,
              tierName(a.engines[i].tier), *a.engines[i].region ? "  " : "",
              printable(a.engines[i].region).c_str());
    }
    if (a.chain_count > 1) {
      print("\n;; CHAIN:\n;");
      for (uint32_t i = 0; i < a.chain_count; ++i)
        print("%s %s", i ? " ->" : " ", printable(a.chain[i].name).c_str());
      print("\n");
    }
    print("\n;; Query time: %.2f us%s\n", microseconds,
          options.trace ? " (with the trace's repetitions)" : "");
    print(";; Artifact: %s, digest %.16s..., kernel %s (%s), %s\n\n", printable(info.name).c_str(),
          info.digest_hex, info.isa, info.isa_reason, info.source_reason);
  }
};

int usage(const std::string &message) {
  std::fprintf(stderr, "resolve-query: error: %s\nSee resolve-query --help.\n", message.c_str());
  return semdns::kUsage;
}

/// Texts of stdin, one a line; any bytes.
bool answerStdin(Session &session) {
  char *line = nullptr;
  size_t capacity = 0;
  ssize_t size;
  bool good = true;
  while (good && (size = getline(&line, &capacity, stdin)) >= 0) {
    if (size && line[size - 1] == '\n')
      --size;
    good = session.answerOne({line, static_cast<size_t>(size)});
  }
  std::free(line);
  return good;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  // "@FILE" and "+mode" are dig's, not the option parser's; what follows "--" is text.
  std::vector<std::string> arguments, literal;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--") {
      literal.assign(argv + i + 1, argv + argc);
      break;
    }
    if (argument.size() > 1 && argument[0] == '@' && options.artifact.empty()) {
      options.artifact = argument.substr(1);
    } else if (argument.size() > 1 && argument[0] == '@') {
      return usage("two artifacts, @" + options.artifact + " and " + argument +
                   " (a text that begins so goes behind --)");
    } else if (argument == "--context=") {
      options.context.clear(); // no conversation so far is a fine thing to say
    } else if (isEmptyOption(argument)) {
      return usage(argument + " has no value; give one, or leave the option out");
    } else if (argument.size() > 1 && argument[0] == '+' &&
               argument.find_first_not_of("abcdefghijklmnopqrstuvwxyz", 1) == std::string::npos) {
      if (argument == "+short")
        options.shortForm = true;
      else if (argument == "+trace")
        options.trace = true;
      else if (argument == "+json")
        options.json = true;
      else
        return usage("no mode is called '" + argument + "'; " +
                     didYouMean(argument, {"+short", "+trace", "+json"}) +
                     " (a text that begins so goes behind --)");
    } else {
      arguments.push_back(argument);
    }
  }

  CLI::App app(kHelp, "resolve-query");
  app.footer(kExit);
  app.set_version_flag("--version", std::string("resolve-query ") + semdns_version());
  app.add_option("text", options.texts, "@FILE, then texts to route");
  app.add_option("-i,--input", options.input, "JSON lines with \"text\"; - is stdin")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "One JSON object a text");
  app.add_option("--stages", options.stages, "Stages to use: 1 keywords, 2 embedding, 3 encoder")
      ->type_name("1,2");
  app.add_option("--isa", options.isa,
                 "Force a kernel level: portable, x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4+vnni")
      ->type_name("NAME");
  app.add_option("--context", options.context, "Conversation so far (stage 3 reads it)")
      ->type_name("TEXT");
  app.add_option("--top", options.top, "Zones listed for a text (default 3)")
      ->type_name("K")
      ->check(CLI::Range(1u, SEMDNS_TOP_MAX));
  tools::BulkOptions bulk;
  std::string device;
  app.add_option("--device", device,
                 "Answer -i FILE in bulk: auto (GPUs, else all cores), cpu, cuda:0, ...")
      ->type_name("NAME");
  app.add_option("-o,--output", bulk.output,
                 "With --device: the file for the answers (default: stdout)")
      ->type_name("FILE");
  app.add_flag("--resume", bulk.resume, "With -o: go on where an earlier run was stopped");
  app.add_flag("-f,--force", bulk.force, "With -o: replace an existing file");
  app.add_option("-j,--jobs", bulk.jobs, "With --device: threads (default: all cores)");
  app.add_flag("--data-only", options.dataOnly, "Map no native code");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? semdns::kUsage : kDone;
  }
  options.texts.insert(options.texts.end(), literal.begin(), literal.end());
  if (options.artifact.empty())
    return usage("which artifact? Name it as @FILE");
  if (!options.input.empty() && !options.texts.empty())
    return usage("texts on the command line and -i exclude each other");
  if (options.json && options.shortForm)
    return usage("--json and +short exclude each other");

  if (!device.empty()) {
    if (!tools::isDevice(device))
      return usage("--device=" + device + ": expected auto, cpu or cuda:N");
    if (options.input.empty() || options.shortForm || options.trace || !options.context.empty() ||
        options.top)
      return usage("--device answers the rows of -i FILE; +short, +trace, --context and --top are "
                   "for single texts");
    if (bulk.resume && bulk.output.empty())
      return usage("--resume goes on with the file of -o");
  } else if (!bulk.output.empty() || bulk.resume || bulk.force || bulk.jobs) {
    return usage("-o, --resume, -f and -j are for bulk work, with --device");
  }

  Session session{options, {}, {}, {}, {}, 0, {}};
  if (!options.stages.empty() && !(session.stages = tools::parseStages(options.stages)))
    return usage("--stages=" + options.stages + ": expected a list of 1, 2 and 3, like 1,2");

  OpenOptions open;
  open.flags = options.dataOnly ? SEMDNS_OPEN_DATA_ONLY : SEMDNS_OPEN_COPY;
  open.isa = options.isa.empty() ? nullptr : options.isa.c_str();
  Error error;
  session.artifact = Artifact::open(options.artifact.c_str(), open, error);
  if (session.artifact)
    session.resolver = Resolver(session.artifact, error);
  if (session.resolver)
    session.scratch = Scratch(session.resolver, error);
  if (!session.scratch)
    return tools::reportError(options.artifact, error);
  session.info = session.artifact.info();
  if (!device.empty()) {
    bulk.device = device;
    bulk.input = options.input;
    bulk.stages = session.stages;
    return tools::resolveBulk(session.artifact, bulk);
  }

  bool good = true;
  if (!options.input.empty()) {
    Diagnostics diagnostics;
    const std::vector<LabelledText> rows =
        readJsonLines(options.input, /*requireLabel=*/false, diagnostics, BadText::Keep);
    diagnostics.print(stderr);
    if (diagnostics.hasErrors())
      return kRejected;
    for (size_t i = 0; good && i < rows.size(); ++i)
      good = session.answerOne(rows[i].text);
  } else if (!options.texts.empty()) {
    for (size_t i = 0; good && i < options.texts.size(); ++i)
      good = session.answerOne(options.texts[i]);
  } else {
    good = answerStdin(session);
  }
  session.flush(true);
  return endOutput("resolve-query", good ? kDone : kInternal);
}
