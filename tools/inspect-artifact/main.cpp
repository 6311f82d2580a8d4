/// inspect-artifact: what is in a semdns file, and whether it is what it says.
#include "lib/support/command_line.h"
#include "lib/support/diagnostics.h"
#include "lib/support/files.h"
#include "runtime/artifact/source.h"
#include "runtime/exec/isa.h"
#include "tools/inspect-artifact/facts.h"
#include "tools/inspect-artifact/report.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>

#include <algorithm>

using namespace semdns;

namespace {

constexpr const char *kHelp = R"(Shows what is in an artifact (.sdna) or a pattern library (.plib).

  inspect-artifact demo.sdna                     header, metadata, sections, zones, kernels
  inspect-artifact demo.sdna --json | jq .zones[].name
  inspect-artifact demo.sdna --verify            also checks code, replays the golden queries
  inspect-artifact demo.sdna --facts             what holds for every text, and which zones never answer
  inspect-artifact demo.sdna --section=KCPU:x86-64-v3 > kernel.so && objdump -d kernel.so

Every run first verifies the whole file: structure, padding, the digest of every section, the
contents of every known section.)";

constexpr const char *kExit =
    R"(Exit: 0 done, 1 damaged or unreadable, 2 usage (no such section included), 3 --verify: a golden
query has another answer, or --facts: a fact does not hold, 4 wrong version, kind or required feature.)";

constexpr const char *kTool = "inspect-artifact";

int usage(const std::string &message) {
  std::fprintf(stderr, "%s: error: %s\nSee %s --help.\n", kTool, message.c_str(), kTool);
  return kUsage;
}

int report(const std::string &path, const base::Error &e) {
  std::string where;
  if (e.offset)
    where = "byte " + std::to_string(e.offset) + ": ";
  if (*e.section)
    where += std::string(e.section) + ": ";
  std::fprintf(stderr, "%s: error: %s%s\n", path.c_str(), where.c_str(), e.message);
  return tools::exitCodeFor(static_cast<semdns_status>(e.code));
}

int write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() ||
      std::fflush(stdout) != 0) {
    std::perror("inspect-artifact: stdout");
    return kRejected;
  }
  return kDone;
}

std::string content(const artifact::Reader &reader, uint32_t index, base::Error &error) {
  std::string out(reader.entry(index).raw_size, '\0');
  if (!reader.decompress(index, out.data(), out.size(), error))
    out.clear();
  return out;
}

int dumpSection(const std::string &path, const artifact::Reader &reader,
                const std::string &wanted) {
  std::vector<uint32_t> found;
  std::vector<std::string> names;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    const std::string name = inspect::sectionName(s);
    names.push_back(name);
    // "TAG", "TAG:target name" and "TAG:number" are all understood.
    const std::string tag = name.substr(0, 4);
    if (wanted == name || wanted == tag + ":" + std::to_string(s.target) || wanted == tag)
      found.push_back(i);
  }
  if (found.size() == 1) {
    base::Error error;
    const std::string bytes = content(reader, found[0], error);
    return error.code == SEMDNS_OK ? write(bytes) : report(path, error);
  }
  std::string list;
  for (uint32_t i = 0; i < names.size(); ++i)
    if (found.empty() || std::find(found.begin(), found.end(), i) != found.end())
      list += (list.empty() ? "" : ", ") + names[i];
  if (found.empty()) {
    const std::string hint = didYouMean(wanted, names);
    return usage("no section '" + wanted + "' in '" + path + "'" +
                 (hint.empty() ? "" : ", " + hint) + "; it has " + list);
  }
  return usage("'" + wanted + "' names " + std::to_string(found.size()) +
               " sections; choose one of " + list);
}

/// Replays GOLD on one kernel level through the public library. Returns an exit code; `skipped` is
/// set where the system does not let the level run.
int replay(const inspect::File &file, const char *level, const artifact::Contents &contents,
           bool &skipped) {
  OpenOptions options;
  options.isa = level;
  Error error;
  Artifact opened = Artifact::openMemory(file.reader->data(), file.reader->size(), options, error);
  if (!opened && error.status() == SEMDNS_ERROR_ISA) {
    std::fprintf(stderr, "%s: warning: %s\n", file.path.c_str(), error.message());
    skipped = true;
    return kDone;
  }
  Resolver resolver;
  Scratch scratch;
  if (opened)
    resolver = Resolver(opened, error);
  if (resolver)
    scratch = Scratch(resolver, error);
  if (!scratch)
    return tools::reportError(file.path, error);
  const artifact::Gold &gold = contents.gold;
  int code = kDone;
  for (uint32_t i = 0; i < gold.header->count; ++i) {
    const semdns_gold_entry &e = gold.entries[i];
    Answer answer;
    const semdns_status status = resolver.resolve(scratch, Resolver::query(gold.query(i)), answer);
    if (status != SEMDNS_OK) {
      std::fprintf(stderr, "%s: error: GOLD: query %u: %s\n", file.path.c_str(), i,
                   semdns_status_text(status));
      return kInternal;
    }
    if (answer.zone().index == e.answer_zone && answer.best().index == e.best_zone &&
        answer->stage == e.stage && answer.zone().confidence == e.confidence)
      continue;
    code = kNegative;
    std::fprintf(stderr,
                 "%s: error: GOLD: query %u on %s: answered by zone %u (best %u, stage %u, "
                 "confidence %u); the build answered %u (best %u, stage %u, confidence %u)\n",
                 file.path.c_str(), i, level, answer.zone().index, answer.best().index,
                 answer->stage, answer.zone().confidence, e.answer_zone, e.best_zone, e.stage,
                 e.confidence);
  }
  return code;
}

int verify(const inspect::File &file, inspect::Verified &done) {
  const artifact::Reader &reader = *file.reader;
  const artifact::Contents &contents = *file.contents;
  base::Error error;
  std::vector<const char *> levels = {"portable"};
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (s.flags & SEMDNS_SECTION_ZSTD) {
      content(reader, i, error);
      if (error.code != SEMDNS_OK)
        return report(file.path, error);
      ++done.decompressed;
    }
    if (s.tag != SEMDNS_TAG_KCPU || s.version != artifact::knownVersion(s.tag))
      continue;
    if (!artifact::checkKernel(reader.bytes(i), s, contents, error))
      return report(file.path, error);
    ++done.kernels;
    if (exec::isaName(s.target) && exec::isaRuns(s.target))
      levels.push_back(exec::isaName(s.target));
  }
  if (!file.isHierarchy() || !contents.hasGold || !contents.gold.header->count)
    return kDone;
  done.queries = contents.gold.header->count;
  for (const char *level : levels) {
    bool skipped = false;
    if (int code = replay(file, level, contents, skipped))
      return code;
    if (skipped)
      continue;
    done.levels += (done.levels.empty() ? "" : ", ") + std::string(level);
  }
  return kDone;
}

} // namespace

int main(int argc, char **argv) {
  std::string path, section;
  bool json = false, verifyAll = false, allZones = false, facts = false;
  CLI::App app(kHelp, kTool);
  app.footer(kExit);
  app.set_version_flag("--version", std::string(kTool) + " " + semdns_version());
  app.add_option("file", path, "Artifact or pattern library; - is stdin")->required();
  app.add_flag("--json", json, "One JSON object instead of tables");
  app.add_flag("--verify", verifyAll,
               "Also check native code and compressed sections and replay the golden queries");
  app.add_flag(
      "--facts", facts,
      "What holds for every text: each zone reachable or proved not to be, totality, bound "
      "on work, overlapping keywords, decisions as the reference takes them");
  app.add_flag("--zones", allZones, "List all zones, however many");
  app.add_option("--section", section, "Write the section's content to stdout, decompressed")
      ->type_name("TAG[:TARGET]");
  if (!semdns::refuseEmptyOptions("inspect-artifact", argc, argv))
    return semdns::kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? kDone : kUsage;
  }
  if (!section.empty() && json)
    return usage("--section writes the section's bytes; it does not go with --json");

  artifact::Source source;
  base::Error error;
  bool opened;
  if (path == "-") {
    std::string message;
    const std::optional<std::string> bytes = readFile(path, message, SEMDNS_MAX_FILE_SIZE);
    if (!bytes) {
      std::fprintf(stderr, "%s: error: %s\n", kTool, message.c_str());
      return kRejected;
    }
    opened = source.openMemory(bytes->data(), bytes->size(), artifact::Source::Mode::Copy, error);
  } else {
    opened = source.openPath(path.c_str(), artifact::Source::Mode::Copy, error);
  }
  artifact::Reader reader;
  artifact::Contents contents;
  if (!opened || !reader.open(source.data(), source.size(), 0, artifact::Check::Full, error) ||
      !artifact::parseContents(reader, contents, error))
    return report(path, error);

  const inspect::File file{path, &reader, &contents};
  std::optional<inspect::Verified> verified;
  if (verifyAll) {
    verified.emplace();
    if (int code = verify(file, *verified))
      return code;
  }
  if (!section.empty())
    return dumpSection(path, reader, section);
  if (facts) {
    if (!file.isHierarchy())
      return usage("'" + path + "' is a pattern library; --facts are about hierarchies");
    const std::vector<inspect::Fact> found = inspect::factsOf(file);
    const bool violated = std::any_of(found.begin(), found.end(), [](const inspect::Fact &fact) {
      return fact.state == "violated";
    });
    const int code =
        write(json ? inspect::factsJson(file, found) : inspect::factsText(file, found));
    return code != kDone ? code : violated ? kNegative : kDone;
  }
  return write(json ? inspect::jsonReport(file, verified)
                    : inspect::textReport(file, allZones, verified));
}
