/// mine-patterns: what is typical of a domain's texts, as a pattern library.
#include "lib/mine/codecs.h"
#include "lib/mine/mine.h"
#include "lib/support/command_line.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "semdns/semdns.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>

using namespace semdns;

namespace {

constexpr const char *kHelp = R"(Mines a domain's corpus into a pattern library.

  mine-patterns --domain=legal --input=contracts/ --input=rulings.jsonl.zst -o legal.plib
  mine-patterns --domain=legal --input=legal/ --background=medicine/ --background=code/ -o legal.plib
  mine-patterns --domain=legal --input=legal/ --shard=0/2 -o 0.plib      (and 1/2, elsewhere)
  mine-patterns --merge 0.plib 1.plib -o legal.plib
  mine-patterns --base=legal.plib --input=new/ -o legal-2.plib
  mine-patterns --domain=contracts --input=contracts/ --parent=legal.plib -o contracts.plib

Inputs: text (documents are the blocks between blank lines), JSON lines ("text"), zstd of either,
folders of these, - for stdin. With --background keywords are what tells the domain from the
background; without, what gathers in few documents. Of near duplicates one counts. What fewer than
--k-anonymity owners wrote is not stored. The same documents give the same bytes, in whatever order,
files and shards they come, with any number of threads.)";

constexpr const char *kExit =
    R"(Exit: 0 done, 1 input rejected or output not written, 2 usage, 5 internal error.)";

nlohmann::ordered_json toJson(const mine::KindSummary &kind, uint64_t words) {
  nlohmann::ordered_json out = {
      {"patterns", kind.patterns},
      {"bytes", kind.bytes},
      {"coverage", words ? double(kind.coveredWords) / double(words) : 0.0},
      {"examples", kind.examples}};
  if (kind.heldOut)
    out["held_out"] = {{"bytes", kind.heldOut}, {"zstd", kind.plain}, {"zstd_with", kind.with}};
  if (kind.precision >= 0)
    out["precision"] = double(kind.precision) / 65536.0;
  out["dropped"] = kind.dropped;
  return out;
}

void printKind(const char *name, const mine::KindSummary &kind, uint64_t words) {
  std::string examples;
  for (const auto &example : kind.examples) {
    std::string line = example;
    for (size_t at = 0; (at = line.find('\n', at)) != line.npos;)
      line.replace(at, 1, " / ");
    examples += (examples.empty() ? "" : ", ") + line;
  }
  std::printf("%-10s %6llu %8.1f kB", name, static_cast<unsigned long long>(kind.patterns),
              double(kind.bytes) / 1e3);
  if (words && kind.patterns)
    std::printf("  cover %4.1f %%", 100.0 * double(kind.coveredWords) / double(words));
  if (kind.heldOut)
    std::printf("  save %4.1f %%",
                100.0 * (double(kind.plain) - double(kind.with)) / double(kind.plain));
  if (kind.precision >= 0)
    std::printf("  precision %.2f", double(kind.precision) / 65536.0);
  std::printf("%s%s%s\n", kind.dropped ? "  (dropped: costs more than it saves)" : "",
              examples.empty() ? "" : ": ", examples.c_str());
}

struct Codec {
  const char *name;
  semdns_codec_mode mode;
  uint32_t tag;
};
constexpr Codec kCodecs[] = {{"zstd", SEMDNS_CODEC_ZSTD, SEMDNS_TAG_DICT},
                             {"turbo", SEMDNS_CODEC_TURBO, SEMDNS_TAG_PHRS},
                             {"fast", SEMDNS_CODEC_FAST, SEMDNS_TAG_TOKM},
                             {"max", SEMDNS_CODEC_MAX, SEMDNS_TAG_BYTM}};

size_t bytesOf(const patterns::PatternLibrary &library, uint32_t tag) {
  const auto it = library.codecs.find(tag);
  return it == library.codecs.end() ? 0 : it->second.size();
}

/// "zstd,turbo" as a mask of 1 << semdns_codec_mode; "none" is none. False: an unknown name.
bool parseCodecs(const std::string &list, uint32_t &mask) {
  mask = 0;
  for (size_t at = 0; list != "none" && at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const auto *codec = std::find_if(std::begin(kCodecs), std::end(kCodecs), [&](const Codec &c) {
      return list.compare(at, end - at, c.name) == 0;
    });
    if (codec == std::end(kCodecs))
      return false;
    mask |= 1u << codec->mode;
    at = end + 1;
  }
  return true;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app(kHelp);
  app.footer(kExit);
  app.set_version_flag("--version", std::string("mine-patterns ") + semdns_version());
  app.option_defaults()->always_capture_default();
  mine::Options options;
  std::string output, shard, diagnosticsFormat = "text";
  bool force = false, json = false;
  auto *domain =
      app.add_option("--domain", options.domain, "name of the domain, stored in the library");
  domain->check([](const std::string &name) {
    return name.empty() || name.size() > 253 || firstInvalidUtf8(name) ||
                   name.find('\0') != name.npos
               ? std::string("a name has 1 to 253 bytes of UTF-8")
               : std::string();
  });
  auto *input =
      app.add_option("-i,--input", options.inputs, "text, JSONL, .zst of these, a folder, or -");
  input->expected(1)->take_all();
  app.add_option("--background", options.backgrounds,
                 "text of other domains; files that are inputs too do not count")
      ->expected(1)
      ->take_all();
  app.add_option("-o,--output", output, "library to write (.plib), or -")->required();
  app.add_flag("-f,--force", force, "replace an existing output");
  app.add_flag("--json", json, "summary as one JSON object");
  app.add_option("--max-patterns", options.maxPatterns, "patterns to keep of each kind")
      ->check(CLI::Range(1, 1 << 22));
  app.add_option("--min-support", options.minSupport, "occurrences that a pattern needs")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--dict-size", options.dictionarySize,
                 "bytes of the zstd dictionary, at most; 0: none")
      ->check([](const std::string &value) {
        const auto bytes = std::strtoull(value.c_str(), nullptr, 10);
        return bytes != 0 && (bytes < 1024 || bytes > (1 << 24))
                   ? std::string("0, or 1024 to 16777216 bytes")
                   : std::string();
      });
  std::string codecList = "zstd,turbo";
  uint64_t turboSize = uint64_t(2) << 20;
  app.add_option("--codec", codecList,
                 "codecs of compress-context to make tables for: zstd, turbo, fast, max, or none")
      ->check([](const std::string &list) {
        uint32_t mask;
        return parseCodecs(list, mask)
                   ? std::string()
                   : "unknown codec in '" + list + "'; there are zstd, turbo, fast, max and none";
      });
  app.add_option("--codec-size", turboSize, "bytes of turbo's tables, at most")
      ->check(CLI::Range(uint64_t(1) << 16, uint64_t(1) << 24));
  app.add_option("--k-anonymity", options.kAnonymity,
                 "owners that must have what is stored; documents are their own owners")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--owner", options.owners,
                 "who owns a document: row (a row's \"owner\"), file, input (each --input one)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, mine::OwnerRule>{{"row", mine::OwnerRule::Row},
                                                 {"file", mine::OwnerRule::File},
                                                 {"input", mine::OwnerRule::Input}}))
      ->default_str("row");
  app.add_option("--exclude", options.excluded,
                 "word, or run of words, that nothing stored may hold; repeatable")
      ->expected(1)
      ->take_all();
  app.add_flag("--keep-duplicates", options.keepDuplicates, "near duplicates count, each");
  app.add_option("--shard", shard,
                 "I/N: a partial library of the I-th of N parts of the documents, for --merge");
  auto *merge =
      app.add_option("--merge", options.merge,
                     "partial libraries to make one of, instead of inputs; or finished ones");
  merge->expected(1, 1 << 16)->excludes(input);
  app.add_option("--base", options.base,
                 "library that the inputs are added to, without its corpus");
  app.add_option("--parent", options.parent,
                 "library of the zone above: what it has as often is not stored again");
  app.add_option("--max-size", options.maxSize, "bytes of the library, at most; 0: no limit");
  bool noStatistics = false;
  app.add_flag("--no-statistics", noStatistics,
               "leave out the counts that --base and --merge need");
  app.add_option("-j,--jobs", options.jobs, "threads; 0: one a core. Never changes a byte");
  app.add_option("--work", options.workFolder,
                 "folder for what is read so far: the same command goes on there after a kill");
  app.add_option("--serial", options.serial, "content serial of the library")
      ->check(semdns::checkUnsigned);
  app.add_option("--diagnostics", diagnosticsFormat, "text or json, on stderr")
      ->check(CLI::IsMember({"text", "json"}));
  if (!semdns::refuseEmptyOptions("mine-patterns", argc, argv))
    return semdns::kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? kDone : kUsage;
  }
  parseCodecs(codecList, options.codecs);
  options.statistics = !noStatistics;
  if (options.merge.empty() &&
      ((options.domain.empty() && options.base.empty()) || options.inputs.empty())) {
    std::fprintf(stderr, "mine-patterns: --domain and --input are required, or --merge\n");
    return kUsage;
  }
  if (!options.base.empty() && (!options.merge.empty() || !shard.empty())) {
    std::fprintf(stderr, "mine-patterns: --base goes with --input alone: merge shards first\n");
    return kUsage;
  }
  if (!shard.empty()) {
    unsigned i = 0, n = 0;
    char rest = 0;
    // 0/N to N-1/N, or 1/N to N/N: either way of counting names each part once.
    if (std::sscanf(shard.c_str(), "%u/%u%c", &i, &n, &rest) != 2 || n < 1 || n > 65536 || i > n ||
        !options.merge.empty()) {
      std::fprintf(stderr, "mine-patterns: --shard=%s: I/N with I up to N, for instance 0/4\n",
                   shard.c_str());
      return kUsage;
    }
    options.shard = i % n;
    options.shards = n;
  }
  if (const auto obstacle = outputObstacle(output, force)) {
    std::fprintf(stderr, "mine-patterns: error: %s\n", obstacle->c_str());
    return kRejected;
  }

  Diagnostics diags;
  mine::Summary summary;
  options.keepTexts = !options.merge.empty() || (options.codecs & ~(1u << SEMDNS_CODEC_ZSTD));
  auto library = mine::mine(options, diags, summary);
  for (const std::string &what : summary.trimmed)
    diags.warning({output, 0, 0}, "--max-size leaves out " + what);
  // A base's tables stay: frames that were made with them must remain readable.
  if (library && !summary.partial && !diags.hasErrors() && options.base.empty())
    mine::addCodecs(summary, options.jobs, turboSize, *library, diags);
  if (library && summary.resumed)
    diags.note({}, "went on from the checkpoint in '" + options.workFolder + "'");
  if (library && !summary.partial && !summary.noDictionary.empty() && options.dictionarySize != 0 &&
      (options.codecs >> SEMDNS_CODEC_ZSTD & 1))
    diags.note({}, "no dictionary: " + summary.noDictionary);
  if (library && !summary.partial && library->backgroundDocuments == 0)
    diags.note({}, "no --background: keywords are words that gather in few documents, not words "
                   "that tell this domain from others");
  diags.print(stderr, diagnosticsFormat == "json");
  if (!library || diags.hasErrors())
    return kRejected;

  std::string error;
  const std::string bytes = patterns::buildPlib(*library, error);
  if (bytes.empty()) {
    std::fprintf(stderr, "mine-patterns: internal error: %s\n", error.c_str());
    return kInternal;
  }
  if (!writeFileAtomically(output, bytes, force, error)) {
    std::fprintf(stderr, "mine-patterns: error: %s\n", error.c_str());
    return kRejected;
  }

  if (!options.workFolder.empty()) {
    std::error_code ec; // nothing depends on whether it goes
    for (const char *name : {"corpus", "background"})
      for (const char *part : {".checkpoint", ".texts", ".entries", ".tokens", ".slotted", ".lines",
                               ".words", ".owners"})
        std::filesystem::remove(options.workFolder + "/" + name + part, ec);
    std::filesystem::remove(options.workFolder, ec); // only if nothing else lies there
  }

  // With -o - the library itself is on stdout.
  if (output == "-")
    return endOutput("mine-patterns", kDone);
  const std::string domainName = library->meta.at("name");
  if (summary.partial) {
    if (json)
      std::printf("%s\n", nlohmann::ordered_json({{"domain", domainName},
                                                  {"output", output},
                                                  {"bytes", bytes.size()},
                                                  {"sha256", sha256Hex(bytes)},
                                                  {"partial", true}})
                              .dump()
                              .c_str());
    else
      std::printf("%s: a partial library, %.1f kB; it holds the text itself until --merge has all "
                  "shards\n",
                  output.c_str(), double(bytes.size()) / 1e3);
    return endOutput("mine-patterns", kDone);
  }
  const uint64_t words = summary.corpusWords;
  nlohmann::ordered_json codecs = nlohmann::ordered_json::object();
  for (const auto &[name, mode, tag] : kCodecs)
    if (library->codecs.contains(tag))
      codecs[name] = bytesOf(*library, tag);
  if (json) {
    const nlohmann::ordered_json object = {
        {"domain", domainName},
        {"output", output},
        {"bytes", bytes.size()},
        {"sha256", sha256Hex(bytes)},
        {"documents", library->documentCount},
        {"corpus_bytes", library->byteCount},
        {"words", library->wordCount},
        {"distinct_words", library->distinctWords},
        {"background_documents", library->backgroundDocuments},
        {"background_bytes", summary.backgroundBytes},
        {"exact_duplicates", summary.exactDuplicates},
        {"near_duplicates", summary.nearDuplicates},
        {"inherited", summary.inherited},
        {"trimmed", summary.trimmed},
        {"k_anonymity", std::stoul(library->meta.at("mine.k_anonymity"))},
        {"ngrams", toJson(summary.ngrams, words)},
        {"keywords", toJson(summary.keywords, words)},
        {"phrases", toJson(summary.phrases, words)},
        {"templates", toJson(summary.templates, words)},
        {"skeletons", toJson(summary.documents, words)},
        {"clusters", toJson(summary.clusters, words)},
        {"dictionary_bytes", bytesOf(*library, SEMDNS_TAG_DICT)},
        {"codec_bytes", codecs},
    };
    std::printf(
        "%s\n",
        object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
    return endOutput("mine-patterns", kDone);
  }
  std::printf("%s: %llu documents, %.1f MB, %llu words (%llu distinct)", domainName.c_str(),
              static_cast<unsigned long long>(library->documentCount),
              double(library->byteCount) / 1e6, static_cast<unsigned long long>(library->wordCount),
              static_cast<unsigned long long>(library->distinctWords));
  if (library->backgroundDocuments)
    std::printf("; background %llu documents, %.1f MB",
                static_cast<unsigned long long>(library->backgroundDocuments),
                double(summary.backgroundBytes) / 1e6);
  std::printf("\n");
  if (summary.exactDuplicates || summary.nearDuplicates)
    std::printf("left out: %llu equal and %llu nearly equal documents\n",
                static_cast<unsigned long long>(summary.exactDuplicates),
                static_cast<unsigned long long>(summary.nearDuplicates));
  printKind("n-grams", summary.ngrams, words);
  printKind("keywords", summary.keywords, words);
  printKind("phrases", summary.phrases, words);
  printKind("templates", summary.templates, words);
  printKind("skeletons", summary.documents, words);
  printKind("clusters", summary.clusters, words);
  if (summary.inherited)
    std::printf("left to the parent: %llu patterns\n",
                static_cast<unsigned long long>(summary.inherited));
  for (const auto &[name, size] : codecs.items())
    std::printf("codec %-5s %6llu  bytes of tables\n", name.c_str(),
                static_cast<unsigned long long>(size.get<uint64_t>()));
  std::printf("%s: %.1f kB\n", output.c_str(), double(bytes.size()) / 1e3);
  return endOutput("mine-patterns", kDone);
}
