/// compress-context: contexts as frames that a zone's tables make small, and back.
#include "lib/support/command_line.h"
#include "lib/support/files.h"
#include "lib/support/output_file.h"
#include "tools/codec_handles.h"
#include "tools/open_artifact.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

using namespace semdns;
using tools::Codec;

namespace {

constexpr const char *kHelp = R"(Compresses a context by what its zone's corpus teaches, losslessly.

  compress-context @demo.sdna --zone=legal. contract.txt -o contract.sdnz
  compress-context @demo.sdna --zone=auto --mode=turbo - -o - < contract.txt > contract.sdnz
  compress-context @demo.sdna -d contract.sdnz -o contract.txt
  compress-context @demo.sdna -d big.sdnz --range=1000000:1004096 -o -
  compress-context --info contract.sdnz

Modes: zstd (with the zone's dictionary), turbo, fast, max, raw; auto takes the smallest of zstd, turbo
and fast on the text's beginning. Both sides need the same tables, not the same artifact: frames name
them by digest. Inputs beyond 64 KiB become blocks of that size; memory does not grow with them.)";

constexpr const char *kExit =
    R"(Exit: 0 done, 1 input rejected (a damaged frame; one longer than --max-size), 2 usage,
4 incompatible (tables that the artifact does not have), 5 internal error.)";

constexpr size_t kBlock = SEMDNS_CODEC_MAX_BLOCK;

struct Options {
  std::string artifact, input, output, zone, mode = "auto", range;
  bool decompress = false, force = false, json = false, info = false, map = false;
  int level = 0;
  uint64_t maxSize = uint64_t(1) << 30;
};

int failed(const std::string &message, int code) {
  std::fprintf(stderr, "compress-context: error: %s\n", message.c_str());
  return code;
}

int failed(const std::string &file, const Error &error) {
  if (error.status() == SEMDNS_ERROR_TABLES)
    return failed(file + ": " + error.message(), kIncompatible);
  return failed(file + ": " + error.message(), tools::exitCodeFor(error.status()));
}

/// A file or stdin, with the bytes that were read and are not used yet.
class Input {
public:
  explicit Input(const std::string &path) : path_(path) {
    fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0)
      error_ = std::strerror(errno);
  }
  Input(const Input &) = delete;
  Input &operator=(const Input &) = delete;
  ~Input() {
    if (fd_ > STDIN_FILENO)
      ::close(fd_);
  }
  /// Fills up to `size` unused bytes; fewer only at the end.
  std::string_view peek(size_t size) {
    while (error_.empty() && !ended_ && buffer_.size() - used_ < size) {
      buffer_.erase(0, used_);
      used_ = 0;
      const size_t had = buffer_.size();
      buffer_.resize(size + kBlock);
      const ssize_t got = ::read(fd_, buffer_.data() + had, buffer_.size() - had);
      if (got < 0 && errno != EINTR)
        error_ = std::strerror(errno);
      ended_ = got == 0;
      buffer_.resize(had + (got > 0 ? static_cast<size_t>(got) : 0));
    }
    return std::string_view(buffer_).substr(used_, size);
  }
  void use(size_t size) { used_ += size; }
  std::string error() const { return "cannot read '" + path_ + "': " + error_; }
  bool good() const { return error_.empty(); }

private:
  std::string path_, buffer_, error_;
  size_t used_ = 0;
  int fd_ = -1;
  bool ended_ = false;
};

/// What happened, for --json and the line on stderr.
struct Summary {
  uint64_t textBytes = 0, frameBytes = 0, blocks = 0;
  uint32_t mode = 0, zone = 0;
};

class Tool {
public:
  explicit Tool(const Options &options) : options_(options), input_(options.input) {}

  int run() {
    if (!input_.good())
      return failed(input_.error(), kRejected);
    if (options_.info)
      return info();
    if (!open())
      return code_;
    std::string error;
    if (!output_.open(options_.output, options_.force, error))
      return failed(error, kRejected);
    const bool done = options_.decompress ? decompress() : compress();
    if (!done)
      return code_;
    if (!output_.finish(error))
      return failed(error, kRejected);
    report();
    return endOutput("compress-context", kDone);
  }

private:
  bool stop(int code) {
    code_ = code;
    return false;
  }
  bool stop(const Error &error) { return stop(failed(options_.input, error)); }
  bool write(const void *bytes, size_t size) {
    std::string error;
    return output_.write({static_cast<const char *>(bytes), size}, error) ||
           stop(failed(error, kRejected));
  }

  bool open() {
    Error error;
    OpenOptions open;
    open.flags = options_.map ? SEMDNS_OPEN_MAP : SEMDNS_OPEN_COPY;
    artifact_ = Artifact::open(options_.artifact.c_str(), open, error);
    if (!artifact_)
      return stop(tools::reportError(options_.artifact, error));
    semdns_codec_options wanted{};
    wanted.size = sizeof wanted;
    wanted.zone = SEMDNS_CODEC_EVERY_ZONE;
    wanted.zstd_level = options_.level;
    how_.size = sizeof how_;
    how_.mode = *tools::parseMode(options_.mode);
    if (options_.decompress) {
      wanted.zone = 0;
    } else if (options_.zone == "auto") {
      how_.zone = SEMDNS_CODEC_ZONE_AUTO;
      resolver_ = Resolver(artifact_, error);
      if (resolver_)
        resolverScratch_ = Scratch(resolver_, error);
      if (!resolverScratch_)
        return stop(tools::reportError(options_.artifact, error));
      how_.resolver = resolver_.raw();
      how_.resolver_scratch = resolverScratch_.raw();
    } else {
      how_.zone = wanted.zone = artifact_.findZone(options_.zone.c_str());
      if (how_.zone == UINT32_MAX)
        return stop(failed(options_.artifact + " has no zone '" + options_.zone +
                               "'; inspect-artifact --zones lists them",
                           kUsage));
      if (how_.mode != SEMDNS_CODEC_AUTO)
        wanted.modes = 1u << how_.mode;
    }
    codec_ = Codec::create(artifact_, wanted, error);
    return codec_ || stop(tools::reportError(options_.artifact, error));
  }

  bool compress() {
    Error error;
    std::vector<uint8_t> frame(kBlock + 64);
    // One byte more than a block tells whether there are more.
    std::string_view text = input_.peek(kBlock + 1);
    if (!input_.good())
      return stop(failed(input_.error(), kRejected));
    if (semdns_compress_settle(codec_.raw.get(), codec_.scratch.get(), &how_, text.data(),
                               text.size(), error.raw()) != SEMDNS_OK)
      return stop(error);
    summary_.mode = how_.mode;
    summary_.zone = how_.zone;
    size_t size;
    if (text.size() <= kBlock) {
      if (semdns_compress(codec_.raw.get(), codec_.scratch.get(), &how_, text.data(), text.size(),
                          frame.data(), frame.size(), &size, error.raw()) != SEMDNS_OK)
        return stop(error);
      summary_.textBytes = text.size();
      summary_.frameBytes = size;
      semdns_frame_info made{};
      made.size = sizeof made;
      semdns_frame_get_info(frame.data(), size, &made, nullptr);
      summary_.mode = made.mode; // raw, where it would have grown
      return write(frame.data(), size);
    }
    if (semdns_stream_begin(codec_.raw.get(), &how_, frame.data(), frame.size(), &size,
                            error.raw()) != SEMDNS_OK)
      return stop(error);
    for (bool last = false;;) {
      if (!write(frame.data(), size))
        return false;
      summary_.frameBytes += size;
      if (last)
        return true;
      text = input_.peek(kBlock + 1);
      if (!input_.good())
        return stop(failed(input_.error(), kRejected));
      last = text.size() <= kBlock;
      text = text.substr(0, kBlock);
      if (semdns_stream_block(codec_.raw.get(), codec_.scratch.get(), &how_, text.data(),
                              text.size(), last, frame.data(), frame.size(), &size,
                              error.raw()) != SEMDNS_OK)
        return stop(error);
      summary_.textBytes += text.size();
      ++summary_.blocks;
      input_.use(text.size());
    }
  }

  /// [begin, end) of the text goes out.
  bool emit(const void *bytes, size_t size) {
    const uint64_t from = at_, to = at_ + size;
    at_ = to;
    if (at_ > options_.maxSize && end_ == UINT64_MAX)
      return stop(failed(options_.input + ": stands for more than --max-size=" +
                             std::to_string(options_.maxSize) + " bytes",
                         kRejected));
    const uint64_t a = std::max(from, begin_), b = std::min(to, end_);
    if (a >= b)
      return true;
    summary_.textBytes += b - a;
    if (summary_.textBytes > options_.maxSize)
      return stop(failed(options_.input + ": --range is wider than --max-size", kRejected));
    return write(static_cast<const uint8_t *>(bytes) + (a - from), b - a);
  }

  bool decompress() {
    Error error;
    if (!options_.range.empty()) {
      const size_t colon = options_.range.find(':');
      begin_ = colon ? std::stoull(options_.range) : 0;
      if (colon + 1 < options_.range.size())
        end_ = std::stoull(options_.range.substr(colon + 1));
    }
    semdns_stream_header header{};
    header.size = sizeof header;
    std::string_view bytes = input_.peek(SEMDNS_CODEC_MAX_HEADER);
    if (!input_.good())
      return stop(failed(input_.error(), kRejected));
    if (semdns_stream_read_header(bytes.data(), bytes.size(), &header, error.raw()) != SEMDNS_OK)
      return stop(error);
    summary_.mode = header.mode;
    summary_.zone = header.zone;
    if (header.mode == SEMDNS_CODEC_RAW) {
      input_.use(1);
      for (bytes = input_.peek(kBlock); !bytes.empty(); bytes = input_.peek(kBlock)) {
        if (!emit(bytes.data(), bytes.size()))
          return false;
        input_.use(bytes.size());
      }
      return input_.good() || stop(failed(input_.error(), kRejected));
    }
    std::vector<uint8_t> text(kBlock);
    if (!header.blocked) {
      // A payload is smaller than its text, which is a block at most.
      bytes = input_.peek(kBlock + SEMDNS_CODEC_MAX_HEADER + 1);
      size_t size;
      if (semdns_decompress(codec_.raw.get(), codec_.scratch.get(), bytes.data(), bytes.size(),
                            text.data(), text.size(), &size, error.raw()) != SEMDNS_OK)
        return stop(error);
      return emit(text.data(), size);
    }
    input_.use(header.header_size);
    for (bool last = false; !last && at_ < end_;) {
      semdns_stream_block_info block{};
      block.size = sizeof block;
      bytes = input_.peek(SEMDNS_CODEC_BLOCK_OVERHEAD);
      if (semdns_stream_read_block(bytes.data(), bytes.size(), &block, error.raw()) != SEMDNS_OK)
        return stop(input_.good() ? failed(options_.input, error)
                                  : failed(input_.error(), kRejected));
      input_.use(block.header_size);
      bytes = input_.peek(size_t(block.stored) + 1);
      last = block.last;
      if (bytes.size() < block.stored || (last && bytes.size() != block.stored))
        return stop(
            failed(options_.input + (bytes.size() < block.stored ? ": a block is cut off"
                                                                 : ": bytes behind the last block"),
                   kRejected));
      // Blocks before the range are skipped, not decoded.
      if (at_ + block.length > begin_ &&
          semdns_stream_decode(codec_.raw.get(), codec_.scratch.get(), &header, &block,
                               bytes.data(), text.data(), error.raw()) != SEMDNS_OK)
        return stop(error);
      if (!emit(text.data(), block.length))
        return false;
      input_.use(block.stored);
      ++summary_.blocks;
    }
    return true;
  }

  int info() {
    std::string error;
    const auto bytes = readFile(options_.input, error, uint64_t(1) << 32);
    if (!bytes)
      return failed(error, kRejected);
    semdns_frame_info frame{};
    frame.size = sizeof frame;
    Error problem;
    if (semdns_frame_get_info(bytes->data(), bytes->size(), &frame, problem.raw()) != SEMDNS_OK)
      return failed(options_.input, problem);
    char tables[9];
    std::snprintf(tables, sizeof tables, "%02x%02x%02x%02x", frame.tables & 255,
                  frame.tables >> 8 & 255, frame.tables >> 16 & 255, frame.tables >> 24);
    const nlohmann::ordered_json object = {{"mode", semdns_codec_mode_text(frame.mode)},
                                           {"zone", frame.zone},
                                           {"tables", tables},
                                           {"header_bytes", frame.header_size},
                                           {"blocks", frame.blocks},
                                           {"length", frame.length},
                                           {"frame_bytes", bytes->size()}};
    std::printf("%s\n", object.dump().c_str());
    return endOutput("compress-context", kDone);
  }

  void report() const {
    if (options_.decompress)
      return;
    const double ratio =
        summary_.frameBytes ? double(summary_.textBytes) / double(summary_.frameBytes) : 0;
    const bool named = summary_.mode != SEMDNS_CODEC_RAW && summary_.zone != UINT32_MAX;
    const char *zone = named ? artifact_.zone(summary_.zone).name : "";
    if (options_.json)
      std::fprintf(options_.output == "-" ? stderr : stdout, "%s\n",
                   nlohmann::ordered_json{{"mode", semdns_codec_mode_text(summary_.mode)},
                                          {"zone", zone},
                                          {"text_bytes", summary_.textBytes},
                                          {"frame_bytes", summary_.frameBytes},
                                          {"blocks", summary_.blocks},
                                          {"ratio", ratio}}
                       .dump()
                       .c_str());
    else
      std::fprintf(stderr, "%s: %llu -> %llu bytes, ratio %.2f, mode %s%s%s\n",
                   options_.input.c_str(), static_cast<unsigned long long>(summary_.textBytes),
                   static_cast<unsigned long long>(summary_.frameBytes), ratio,
                   semdns_codec_mode_text(summary_.mode), named ? ", zone " : "", zone);
  }

  const Options &options_;
  Input input_;
  OutputFile output_;
  Artifact artifact_;
  Resolver resolver_;
  Scratch resolverScratch_;
  Codec codec_;
  semdns_compress_options how_{};
  Summary summary_;
  uint64_t at_ = 0, begin_ = 0, end_ = UINT64_MAX;
  int code_ = kInternal;
};

int usage(const std::string &message) {
  return failed(message + "\nSee compress-context --help.", kUsage);
}

/// "A:B", "A:" or ":B", A <= B.
std::string checkRange(const std::string &text) {
  const size_t colon = text.find(':');
  const char *expected = "expected FROM:TO in bytes, either may be left out";
  if (colon == text.npos || text.size() == 1)
    return expected;
  for (const std::string &part : {text.substr(0, colon), text.substr(colon + 1)})
    if (!part.empty() && !checkUnsigned(part).empty())
      return expected;
  if (colon && colon + 1 < text.size() && std::stoull(text) > std::stoull(text.substr(colon + 1)))
    return "the range ends before it begins";
  return {};
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
      return usage(argument + " has no value; give one, or leave the option out");
    else
      arguments.push_back(argument);
  }
  CLI::App app(kHelp, "compress-context");
  app.footer(kExit);
  app.set_version_flag("--version", std::string("compress-context ") + semdns_version());
  app.add_option("input", options.input,
                 "@FILE, then the context (or with -d the frame); - is stdin")
      ->required();
  app.add_option("-o,--output", options.output, "file to write, or -");
  app.add_flag("-f,--force", options.force, "replace an existing output");
  app.add_flag("-d,--decompress", options.decompress, "from a frame to its context");
  app.add_option("--zone", options.zone,
                 "zone whose tables to use; auto: where the text is routed");
  app.add_option("--mode", options.mode, "zstd, turbo, fast, max, raw or auto (default auto)")
      ->check([](const std::string &name) {
        return tools::parseMode(name) ? std::string() : "no mode is called '" + name + "'";
      });
  app.add_option("--level", options.level, "level of mode zstd (default 19)")
      ->check(CLI::Range(1, 19));
  app.add_option("--range", options.range, "with -d: these bytes of the context alone")
      ->type_name("FROM:TO")
      ->check(checkRange);
  app.add_option("--max-size", options.maxSize,
                 "with -d: refuse frames that stand for more bytes (default 1 GiB)")
      ->check(checkUnsigned);
  app.add_flag("--map", options.map, "map the artifact instead of copying it");
  app.add_flag("--info", options.info, "what a frame says of itself, as JSON; needs no artifact");
  app.add_flag("--json", options.json, "sizes and ratio as one JSON object");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? semdns::kUsage : kDone;
  }
  if (!options.info) {
    if (options.artifact.empty())
      return usage("which artifact? Name it as @FILE");
    if (options.output.empty())
      return usage("where to? -o FILE, or -o - for stdout");
    if (!options.decompress && options.zone.empty())
      return usage("which zone? --zone=NAME, or --zone=auto");
    if (options.decompress && !options.zone.empty())
      return usage("-d needs no --zone: frames name their tables");
    if (!options.decompress && !options.range.empty())
      return usage("--range goes with -d");
  }
  return Tool(options).run();
}
