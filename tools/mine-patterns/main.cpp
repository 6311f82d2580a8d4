/// mine-patterns: what is typical of a domain's texts, as a pattern library.
#include "lib/mine/mine.h"
#include "lib/support/command_line.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "semdns/semdns.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>

using namespace semdns;

namespace {

constexpr const char *kHelp = R"(Mines a domain's corpus into a pattern library.

  mine-patterns --domain=legal --input=contracts/ --input=rulings.jsonl.zst -o legal.plib
  mine-patterns --domain=legal --input=legal/ --background=medicine/ --background=code/ -o legal.plib

Inputs: text (documents are the blocks between blank lines), JSON lines ("text"), zstd of either,
folders of these, - for stdin. With --background keywords are what tells the domain from the
background; without, what gathers in few documents. The same documents give the same bytes, in
whatever order and files they come.)";

constexpr const char *kExit =
    R"(Exit: 0 done, 1 input rejected or output not written, 2 usage, 5 internal error.)";

nlohmann::ordered_json toJson(const mine::KindSummary &kind, uint64_t words) {
  return {{"patterns", kind.patterns},
          {"coverage", words ? double(kind.coveredWords) / double(words) : 0.0},
          {"examples", kind.examples}};
}

void printKind(const char *name, const mine::KindSummary &kind, uint64_t words) {
  std::string examples;
  for (const auto &example : kind.examples)
    examples += (examples.empty() ? "" : ", ") + example;
  std::printf("%-10s %7llu  cover %4.1f %% of the words%s%s\n", name,
              static_cast<unsigned long long>(kind.patterns),
              words ? 100.0 * double(kind.coveredWords) / double(words) : 0.0,
              examples.empty() ? "" : ": ", examples.c_str());
}

struct Codec {
  const char *name;
  semdns_codec_mode mode;
  uint32_t tag;
};
constexpr Codec kCodecs[] = {{"zstd", SEMDNS_CODEC_ZSTD, SEMDNS_TAG_DICT}};

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
  std::string output, diagnosticsFormat = "text";
  bool force = false, json = false;
  app.add_option("--domain", options.domain, "name of the domain, stored in the library")
      ->required()
      ->check([](const std::string &name) {
        return name.empty() || name.size() > 253 || firstInvalidUtf8(name) ||
                       name.find('\0') != name.npos
                   ? std::string("a name has 1 to 253 bytes of UTF-8")
                   : std::string();
      });
  app.add_option("-i,--input", options.inputs, "text, JSONL, .zst of these, a folder, or -")
      ->required()
      ->expected(1)
      ->take_all();
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
  std::string codecList = "zstd";
  app.add_option("--codec", codecList,
                 "codecs of compress-context to make tables for: zstd, or none")
      ->check([](const std::string &list) {
        uint32_t mask;
        return parseCodecs(list, mask) ? std::string()
                                       : "unknown codec in '" + list + "'; there are zstd and none";
      });
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
  if (const auto obstacle = outputObstacle(output, force)) {
    std::fprintf(stderr, "mine-patterns: error: %s\n", obstacle->c_str());
    return kRejected;
  }

  Diagnostics diags;
  mine::Summary summary;
  const auto library = mine::mine(options, diags, summary);
  if (library && !summary.noDictionary.empty() && options.dictionarySize != 0 &&
      (options.codecs >> SEMDNS_CODEC_ZSTD & 1))
    diags.note({}, "no dictionary: " + summary.noDictionary);
  if (library && options.backgrounds.empty())
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

  // With -o - the library itself is on stdout.
  if (output == "-")
    return endOutput("mine-patterns", kDone);
  const uint64_t words = library->wordCount;
  nlohmann::ordered_json codecs = nlohmann::ordered_json::object();
  for (const auto &[name, mode, tag] : kCodecs)
    if (library->codecs.contains(tag))
      codecs[name] = bytesOf(*library, tag);
  if (json) {
    const nlohmann::ordered_json object = {
        {"domain", options.domain},
        {"output", output},
        {"bytes", bytes.size()},
        {"sha256", sha256Hex(bytes)},
        {"documents", library->documentCount},
        {"corpus_bytes", library->byteCount},
        {"words", words},
        {"distinct_words", library->distinctWords},
        {"background_documents", library->backgroundDocuments},
        {"background_bytes", summary.backgroundBytes},
        {"ngrams", toJson(summary.ngrams, words)},
        {"keywords", toJson(summary.keywords, words)},
        {"phrases", toJson(summary.phrases, words)},
        {"dictionary_bytes", bytesOf(*library, SEMDNS_TAG_DICT)},
        {"codec_bytes", codecs},
    };
    std::printf(
        "%s\n",
        object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
    return endOutput("mine-patterns", kDone);
  }
  std::printf("%s: %llu documents, %.1f MB, %llu words (%llu distinct)", options.domain.c_str(),
              static_cast<unsigned long long>(library->documentCount),
              double(library->byteCount) / 1e6, static_cast<unsigned long long>(words),
              static_cast<unsigned long long>(library->distinctWords));
  if (library->backgroundDocuments)
    std::printf("; background %llu documents, %.1f MB",
                static_cast<unsigned long long>(library->backgroundDocuments),
                double(summary.backgroundBytes) / 1e6);
  std::printf("\n");
  printKind("n-grams", summary.ngrams, words);
  printKind("keywords", summary.keywords, words);
  printKind("phrases", summary.phrases, words);
  for (const auto &[name, size] : codecs.items())
    std::printf("codec %-5s %6llu  bytes of tables\n", name.c_str(),
                static_cast<unsigned long long>(size.get<uint64_t>()));
  std::printf("%s: %.1f kB\n", output.c_str(), double(bytes.size()) / 1e3);
  return endOutput("mine-patterns", kDone);
}
