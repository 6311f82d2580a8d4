/// evaluate-codec: how small, and how fast, beside zstd with dictionaries on the same contexts.
#include "lib/mine/corpus.h"
#include "lib/support/command_line.h"
#include "lib/support/files.h"
#include "tools/codec_handles.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <time.h>
#include <vector>

using namespace semdns;
using tools::Codec;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char *kHelp = R"(Measures a codec on contexts cut out of held-out text.

  evaluate-codec @demo.sdna --zone=legal. --mode=turbo --input=test.jsonl.zst --json

Contexts have --length bytes, cut at random offsets (seeded) of the input's documents, joined by
newlines. Each is compressed alone, decompressed and compared. The ratio is the sum of the contexts'
bytes by the sum of their frames' bytes, headers included; the interval is the bootstrap's 95 %. Times
are CPU time a context, the best of --repeats passes. zstd's rows: without a dictionary, with the
zone's (DICT), and with every --dictionary, each at levels 3 and 19, in frames without magic and size.)";

constexpr const char *kExit =
    R"(Exit: 0 done, 1 input rejected, 2 usage, 4 incompatible, 5 a context did not come back the same.)";

struct Options {
  std::string artifact, zone, mode = "turbo";
  std::vector<std::string> inputs, dictionaries;
  size_t length = 4096;
  uint32_t contexts = 200, repeats = 3;
  uint64_t seed = 1;
  bool json = false, noBaselines = false;
};

int failed(const std::string &message, int code) {
  std::fprintf(stderr, "evaluate-codec: error: %s\n", message.c_str());
  return code;
}

double cpuSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t limit) {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % limit;
  }

private:
  uint64_t state_;
};

/// What one way of compressing did to all contexts.
struct Result {
  std::vector<size_t> sizes;
  double compress = 0, decompress = 0; ///< seconds, of all contexts
  bool same = true;
};

/// `compress` and `decompress` return the bytes written, 0 for failure.
using Coder = std::function<size_t(const uint8_t *in, size_t n, uint8_t *out, size_t capacity)>;

Result measure(const std::vector<std::string_view> &contexts, uint32_t repeats,
               const Coder &compress, const Coder &decompress) {
  Result result;
  std::vector<std::vector<uint8_t>> frames(contexts.size());
  size_t longest = 0;
  for (const auto context : contexts)
    longest = std::max(longest, context.size());
  std::vector<uint8_t> out(longest + 1024);
  result.sizes.resize(contexts.size());
  for (uint32_t pass = 0; pass < repeats; ++pass) {
    double to = 0, back = 0;
    for (size_t i = 0; i < contexts.size(); ++i) {
      const auto *text = reinterpret_cast<const uint8_t *>(contexts[i].data());
      const double begin = cpuSeconds();
      const size_t size = compress(text, contexts[i].size(), out.data(), out.size());
      to += cpuSeconds() - begin;
      result.sizes[i] = size;
      frames[i].assign(out.begin(), out.begin() + long(size));
    }
    for (size_t i = 0; i < contexts.size(); ++i) {
      const double begin = cpuSeconds();
      const size_t size = decompress(frames[i].data(), frames[i].size(), out.data(), out.size());
      back += cpuSeconds() - begin;
      result.same &= size == contexts[i].size() && result.sizes[i] &&
                     std::equal(contexts[i].begin(), contexts[i].end(),
                                reinterpret_cast<const char *>(out.data()));
    }
    result.compress = pass ? std::min(result.compress, to) : to;
    result.decompress = pass ? std::min(result.decompress, back) : back;
  }
  return result;
}

Json describe(const Result &result, const std::vector<std::string_view> &contexts, uint64_t seed) {
  const size_t n = contexts.size();
  uint64_t raw = 0, stored = 0;
  double worst = 0;
  for (size_t i = 0; i < n; ++i) {
    raw += contexts[i].size();
    stored += result.sizes[i];
    const double ratio = double(contexts[i].size()) / double(result.sizes[i]);
    worst = i ? std::min(worst, ratio) : ratio;
  }
  Random random(seed ^ 0xb005);
  std::vector<double> ratios;
  for (int draw = 0; draw < 1000; ++draw) {
    uint64_t a = 0, b = 0;
    for (size_t i = 0; i < n; ++i) {
      const size_t which = random.below(n);
      a += contexts[which].size();
      b += result.sizes[which];
    }
    ratios.push_back(double(a) / double(b));
  }
  std::sort(ratios.begin(), ratios.end());
  return {{"ratio", double(raw) / double(stored)},
          {"ratio_low", ratios[25]},
          {"ratio_high", ratios[974]},
          {"worst_ratio", worst},
          {"compress_us", result.compress * 1e6 / double(n)},
          {"decompress_us", result.decompress * 1e6 / double(n)}};
}

/// zstd as our own mode uses it, but with any dictionary: contexts in memory, dictionary digested.
Result measureZstd(const std::vector<std::string_view> &contexts, uint32_t repeats, int level,
                   std::string_view dictionary) {
  ZSTD_CCtx *to = ZSTD_createCCtx();
  ZSTD_DCtx *back = ZSTD_createDCtx();
  ZSTD_CDict *digest =
      dictionary.empty() ? nullptr : ZSTD_createCDict(dictionary.data(), dictionary.size(), level);
  ZSTD_DDict *reverse =
      dictionary.empty() ? nullptr : ZSTD_createDDict(dictionary.data(), dictionary.size());
  ZSTD_CCtx_setParameter(to, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(to, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(to, ZSTD_c_dictIDFlag, 0);
  if (digest) {
    ZSTD_CCtx_refCDict(to, digest);
    ZSTD_DCtx_refDDict(back, reverse);
  }
  const auto good = [](size_t size) { return ZSTD_isError(size) ? size_t(0) : size; };
  Result result = measure(
      contexts, repeats,
      [&](const uint8_t *in, size_t n, uint8_t *out, size_t capacity) {
        return good(ZSTD_compress2(to, out, capacity, in, n));
      },
      [&](const uint8_t *in, size_t n, uint8_t *out, size_t capacity) {
        return good(ZSTD_decompressDCtx(back, out, capacity, in, n));
      });
  for (size_t &size : result.sizes)
    size -= std::min<size_t>(size, 4); // the magic number, which our frames do without
  ZSTD_freeCDict(digest);
  ZSTD_freeDDict(reverse);
  ZSTD_freeCCtx(to);
  ZSTD_freeDCtx(back);
  return result;
}

int run(const Options &options) {
  Diagnostics diags;
  std::string text;
  mine::forEachDocument(options.inputs, diags, [&](const mine::Document &document) {
    if (!text.empty())
      text += '\n';
    text += document.text;
    return true;
  });
  diags.print(stderr);
  if (diags.hasErrors())
    return kRejected;
  if (text.size() < options.length)
    return failed("the input has " + std::to_string(text.size()) + " bytes; one context has " +
                      std::to_string(options.length),
                  kRejected);
  Random random(options.seed);
  std::vector<std::string_view> contexts;
  for (uint32_t i = 0; i < options.contexts; ++i)
    contexts.push_back(std::string_view(text).substr(random.below(text.size() - options.length + 1),
                                                     options.length));

  Error error;
  OpenOptions open;
  open.flags = SEMDNS_OPEN_MAP;
  const Artifact artifact = Artifact::open(options.artifact.c_str(), open, error);
  if (!artifact)
    return tools::reportError(options.artifact, error);
  semdns_compress_options how{};
  how.size = sizeof how;
  how.mode = *tools::parseMode(options.mode);
  how.zone = artifact.findZone(options.zone.c_str());
  if (how.zone == UINT32_MAX)
    return failed(options.artifact + " has no zone '" + options.zone + "'", kUsage);
  semdns_codec_options wanted{};
  wanted.size = sizeof wanted;
  wanted.zone = how.zone;
  if (how.mode != SEMDNS_CODEC_AUTO)
    wanted.modes = 1u << how.mode;
  const Codec codec = Codec::create(artifact, wanted, error);
  if (!codec)
    return tools::reportError(options.artifact, error);
  semdns_codec_tables tables{};
  tables.size = sizeof tables;
  if (how.mode != SEMDNS_CODEC_AUTO && how.mode != SEMDNS_CODEC_RAW &&
      semdns_codec_get_tables(codec.raw.get(), how.zone, how.mode, &tables) != SEMDNS_OK)
    return failed("zone " + options.zone + " has no tables of mode " + options.mode, kIncompatible);

  const Result ours = measure(
      contexts, options.repeats,
      [&](const uint8_t *in, size_t n, uint8_t *out, size_t capacity) {
        size_t size = 0;
        semdns_compress(codec.raw.get(), codec.scratch.get(), &how, in, n, out, capacity, &size,
                        error.raw());
        return size;
      },
      [&](const uint8_t *in, size_t n, uint8_t *out, size_t capacity) {
        size_t size = 0;
        semdns_decompress(codec.raw.get(), codec.scratch.get(), in, n, out, capacity, &size,
                          error.raw());
        return size;
      });
  if (!ours.same)
    return failed(std::string("a context did not come back as it was: ") + error.message(),
                  kInternal);

  Json out = {{"artifact", options.artifact}, {"zone", options.zone},
              {"mode", options.mode},         {"length", options.length},
              {"contexts", contexts.size()},  {"seed", options.seed}};
  out.update(describe(ours, contexts, options.seed));
  out["library_bytes"] = tables.bytes;
  out["scratch_bytes"] =
      tables.scratch ? tables.scratch : semdns_codec_scratch_size(codec.raw.get());
  if (!options.noBaselines) {
    std::vector<std::pair<std::string, std::string>> dictionaries{{"", ""}};
    semdns_codec_options dictionary{};
    dictionary.size = sizeof dictionary;
    dictionary.zone = how.zone;
    dictionary.modes = 1u << SEMDNS_CODEC_ZSTD;
    Json baselines = Json::object();
    for (const std::string &path : options.dictionaries) {
      std::string why;
      auto bytes = readFile(path, why, 1u << 30);
      if (!bytes)
        return failed(why, kRejected);
      dictionaries.emplace_back(path.substr(path.rfind('/') + 1), std::move(*bytes));
    }
    for (const auto &[name, bytes] : dictionaries)
      for (const int level : {3, 19}) {
        const Result zstd = measureZstd(contexts, options.repeats, level, bytes);
        const std::string label =
            "zstd -" + std::to_string(level) + (name.empty() ? "" : " + " + name);
        baselines[label] = describe(zstd, contexts, options.seed);
      }
    // The zone's own dictionary, through the mode that uses it: frames with headers.
    for (const int level : {3, 19}) {
      dictionary.zstd_level = level;
      const Codec own = Codec::create(artifact, dictionary, error);
      semdns_compress_options by = how;
      by.mode = SEMDNS_CODEC_ZSTD;
      tables.size = sizeof tables;
      if (!own ||
          semdns_codec_get_tables(own.raw.get(), how.zone, SEMDNS_CODEC_ZSTD, &tables) != SEMDNS_OK)
        continue;
      const Result zstd = measure(
          contexts, options.repeats,
          [&](const uint8_t *in, size_t n, uint8_t *to, size_t capacity) {
            size_t size = 0;
            semdns_compress(own.raw.get(), own.scratch.get(), &by, in, n, to, capacity, &size,
                            error.raw());
            return size;
          },
          [&](const uint8_t *in, size_t n, uint8_t *to, size_t capacity) {
            size_t size = 0;
            semdns_decompress(own.raw.get(), own.scratch.get(), in, n, to, capacity, &size,
                              error.raw());
            return size;
          });
      Json row = describe(zstd, contexts, options.seed);
      row["dictionary_bytes"] = tables.bytes;
      baselines["zstd -" + std::to_string(level) + " + library"] = row;
    }
    out["baselines"] = baselines;
  }
  if (options.json) {
    std::printf("%s\n", out.dump().c_str());
    return endOutput("evaluate-codec", kDone);
  }
  const auto line = [](const std::string &name, const Json &row) {
    std::printf("%-28s %6.3f  (%.3f to %.3f, worst %.3f)  %9.1f us to  %8.1f us back\n",
                name.c_str(), row["ratio"].get<double>(), row["ratio_low"].get<double>(),
                row["ratio_high"].get<double>(), row["worst_ratio"].get<double>(),
                row["compress_us"].get<double>(), row["decompress_us"].get<double>());
  };
  std::printf("%zu contexts of %zu bytes; zone %s, tables of %llu bytes, scratch of %llu\n",
              contexts.size(), options.length, options.zone.c_str(),
              static_cast<unsigned long long>(out["library_bytes"].get<uint64_t>()),
              static_cast<unsigned long long>(out["scratch_bytes"].get<uint64_t>()));
  line(options.mode, out);
  if (out.contains("baselines"))
    for (const auto &[name, row] : out["baselines"].items())
      line(name, row);
  return endOutput("evaluate-codec", kDone);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.size() > 1 && argument[0] == '@' && options.artifact.empty())
      options.artifact = argument.substr(1);
    else if (isEmptyOption(argument))
      return failed(argument + " has no value; give one, or leave the option out", kUsage);
    else
      arguments.push_back(argument);
  }
  CLI::App app(kHelp, "evaluate-codec");
  app.footer(kExit);
  app.set_version_flag("--version", std::string("evaluate-codec ") + semdns_version());
  app.option_defaults()->always_capture_default();
  app.add_option("--zone", options.zone, "zone whose tables to use")->required();
  app.add_option("--mode", options.mode, "zstd, turbo, fast, max, raw or auto")
      ->check([](const std::string &name) {
        return tools::parseMode(name) ? std::string() : "no mode is called '" + name + "'";
      });
  app.add_option("-i,--input", options.inputs, "held-out text, JSONL, .zst of these, or a folder")
      ->required()
      ->expected(1)
      ->take_all();
  app.add_option("--length", options.length, "bytes of a context")
      ->check(CLI::Range(size_t(1), size_t(1) << 26));
  app.add_option("--contexts", options.contexts, "how many")->check(CLI::Range(1, 1 << 20));
  app.add_option("--seed", options.seed, "of their offsets and of the interval")
      ->check(checkUnsigned);
  app.add_option("--repeats", options.repeats, "passes to take the best time of")
      ->check(CLI::Range(1, 1000));
  app.add_option("--dictionary", options.dictionaries, "another zstd dictionary to compare with")
      ->expected(1)
      ->take_all();
  app.add_flag("--no-baselines", options.noBaselines, "the codec alone");
  app.add_flag("--json", options.json, "one JSON object");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? semdns::kUsage : kDone;
  }
  if (options.artifact.empty())
    return failed("which artifact? Name it as @FILE", kUsage);
  return run(options);
}
