#include "tools/resolve-query/bulk.h"

#include "lib/support/command_line.h"
#include "lib/support/diagnostics.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "semdns/gpu.h"

#include <nlohmann/json.hpp>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns::tools {
namespace {

constexpr size_t kBlock = size_t(8) << 20; ///< of input, before its last line's end is looked for
constexpr size_t kLongestLine = size_t(256) << 20;

/// Bytes of a file in order, decompressed where they are zstd (by their first bytes).
class Input {
public:
  bool open(const std::string &path, std::string &error) {
    fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) {
      error = "cannot open '" + path + "': " + std::strerror(errno);
      return false;
    }
    struct stat status;
    if (fstat(fd_, &status) == 0 && S_ISREG(status.st_mode))
      size_ = static_cast<uint64_t>(status.st_size);
    raw_.resize(ZSTD_DStreamInSize());
    if (!fill(error))
      return false;
    static constexpr char kMagic[] = "\x28\xb5\x2f\xfd";
    if (have_ >= 4 && !std::memcmp(raw_.data(), kMagic, 4))
      stream_.reset(ZSTD_createDStream());
    return true;
  }
  ~Input() {
    if (fd_ > STDIN_FILENO)
      close(fd_);
  }
  /// Appends up to `most` bytes; `end` when there are no more. False: `error`.
  bool read(std::string &to, size_t most, bool &end, std::string &error) {
    const size_t before = to.size();
    to.resize(before + most);
    size_t got = 0;
    end = false;
    while (got < most) {
      if (at_ == have_ && !fill(error))
        return false;
      if (at_ == have_ && !(stream_ && pending_)) {
        if (stream_ && left_) {
          error = "the zstd stream is cut off";
          return false;
        }
        end = true;
        break;
      }
      if (!stream_) {
        const size_t n = std::min(most - got, have_ - at_);
        std::memcpy(to.data() + before + got, raw_.data() + at_, n);
        at_ += n;
        got += n;
        continue;
      }
      ZSTD_inBuffer in{raw_.data(), have_, at_};
      ZSTD_outBuffer out{to.data() + before, most, got};
      left_ = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(left_)) {
        error = std::string("damaged zstd: ") + ZSTD_getErrorName(left_);
        return false;
      }
      pending_ = out.pos == out.size; // more may wait inside
      at_ = in.pos;
      got = out.pos;
    }
    to.resize(before + got);
    return true;
  }
  uint64_t size() const { return size_; }   ///< of the file; 0: unknown
  uint64_t taken() const { return taken_; } ///< bytes of it read so far

private:
  bool fill(std::string &error) {
    ssize_t n;
    do
      n = ::read(fd_, raw_.data(), raw_.size());
    while (n < 0 && errno == EINTR);
    if (n < 0) {
      error = std::string("cannot read: ") + std::strerror(errno);
      return false;
    }
    at_ = 0;
    have_ = static_cast<size_t>(n);
    taken_ += have_;
    return true;
  }
  struct Free {
    void operator()(ZSTD_DStream *stream) const { ZSTD_freeDStream(stream); }
  };
  int fd_ = -1;
  std::string raw_;
  size_t at_ = 0, have_ = 0, left_ = 0;
  bool pending_ = false;
  uint64_t size_ = 0, taken_ = 0;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
};

bool writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// Whole lines of `path`, which is cut behind the last of them.
std::optional<uint64_t> wholeLines(const std::string &path, std::string &error) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    error = "cannot open '" + path + "': " + std::strerror(errno);
    return std::nullopt;
  }
  std::string buffer(1 << 20, 0);
  uint64_t lines = 0, at = 0, end = 0;
  for (ssize_t n; (n = read(fd, buffer.data(), buffer.size())) > 0; at += static_cast<uint64_t>(n))
    for (ssize_t i = 0; i < n; ++i)
      if (buffer[static_cast<size_t>(i)] == '\n') {
        ++lines;
        end = at + static_cast<uint64_t>(i) + 1;
      }
  const bool good = ftruncate(fd, static_cast<off_t>(end)) == 0;
  close(fd);
  if (!good) {
    error = "cannot cut '" + path + "' behind its last whole line: " + std::strerror(errno);
    return std::nullopt;
  }
  return lines;
}

struct CloseGpu {
  void operator()(semdns_gpu *gpu) const { semdns_gpu_close(gpu); }
};
using Gpu = std::unique_ptr<semdns_gpu, CloseGpu>;

class Bulk {
public:
  Bulk(const Artifact &artifact, const BulkOptions &options)
      : artifact_(artifact), options_(options), threads_(threadsFor(options.jobs)) {}

  int run() {
    std::string error;
    if (!openDevices(error) || !input_.open(options_.input, error) || !openOutput(error))
      return fail(error);
    names();
    Progress progress("answering", input_.size(), "B");
    std::string bytes;
    for (bool end = false; !end;) {
      if (!input_.read(bytes, kBlock, end, error))
        return fail(options_.input + ": " + error);
      size_t whole = end ? bytes.size() : bytes.rfind('\n') + 1;
      if (!whole && bytes.size() > kLongestLine)
        return fail(options_.input + ": a line is longer than 256 MiB");
      const int code = block(std::string_view(bytes).substr(0, whole));
      if (code != kDone)
        return code;
      bytes.erase(0, whole);
      progress.update(input_.taken());
    }
    progress.finish();
    return finish();
  }

private:
  int fail(const std::string &error) {
    std::fprintf(stderr, "resolve-query: error: %s\n", error.c_str());
    return kRejected;
  }

  Gpu openGpu(int32_t device, std::string &error) {
    semdns_gpu_options options = {};
    options.size = sizeof options;
    options.device = device;
    options.stages = options_.stages;
    semdns_error why = {};
    why.size = sizeof why;
    semdns_gpu *gpu = nullptr;
    if (semdns_gpu_open(artifact_.raw(), &options, &gpu, &why) != SEMDNS_OK)
      error = why.message;
    return Gpu(gpu);
  }

  /// A GPU batch resolver where one is wanted and can be had, else one a thread for the CPU.
  bool openDevices(std::string &error) {
    if (options_.device != "cpu") {
      int32_t number = SEMDNS_GPU_ALL;
      if (options_.device != "auto")
        number = std::atoi(options_.device.c_str() + 5);
      device_ = openGpu(number, error);
      if (!device_)
        return false;
      semdns_gpu_info info = {};
      info.size = sizeof info;
      semdns_gpu_get_info(device_.get(), &info);
      if (!info.device_count) {
        if (options_.device != "auto")
          std::fprintf(stderr, "resolve-query: warning: the CPU answers: %s\n", info.reason);
        device_.reset();
      }
    }
    for (unsigned i = 0; !device_ && i < threads_; ++i) {
      cores_.push_back(openGpu(SEMDNS_GPU_NONE, error));
      if (!cores_.back())
        return false;
    }
    return true;
  }

  std::string statePath() const { return options_.output + ".state"; }
  /// What the output depends on, beside the input's bytes.
  std::string state() const {
    return nlohmann::ordered_json{{"artifact", artifact_.info().digest_hex},
                                  {"stages", options_.stages},
                                  {"input", options_.input}}
               .dump() +
           "\n";
  }

  bool openOutput(std::string &error) {
    if (options_.output.empty() || options_.output == "-")
      return true;
    const bool unfinished = std::filesystem::exists(statePath());
    if (options_.resume && unfinished) {
      const auto found = readFile(statePath(), error);
      if (!found)
        return false;
      if (*found != state()) {
        error = "'" + options_.output +
                "' was begun with another artifact, input or stages; without --resume and with -f "
                "it is made anew";
        return false;
      }
      const auto lines = wholeLines(options_.output, error);
      if (!lines)
        return false;
      skip_ = *lines;
    } else {
      if (const auto obstacle = outputObstacle(options_.output, options_.force)) {
        error = *obstacle;
        return false;
      }
      if (!writeFileAtomically(statePath(), state(), true, error))
        return false;
    }
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC |
                      (skip_ || (options_.resume && unfinished) ? O_APPEND : O_TRUNC);
    out_ = open(options_.output.c_str(), flags, 0666);
    if (out_ < 0) {
      error = "cannot write '" + options_.output + "': " + std::strerror(errno);
      return false;
    }
    return true;
  }

  int finish() {
    if (out_ == STDOUT_FILENO)
      return endOutput("resolve-query", kDone);
    if (fsync(out_) != 0 || close(out_) != 0)
      return fail("cannot write '" + options_.output + "': " + std::strerror(errno));
    unlink(statePath().c_str());
    return kDone;
  }

  /// `"zone":"...","path":"..."` of every zone, which answers only copy.
  void names() {
    const semdns_artifact_info info = artifact_.info();
    for (uint32_t z = 0; z < info.zone_count; ++z) {
      semdns_zone_ref zone = {};
      semdns_artifact_zone(artifact_.raw(), z, &zone);
      const auto quoted = [](const char *text) {
        return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      };
      zones_.push_back("{\"zone\":" + quoted(zone.name) + ",\"path\":" + quoted(zone.path));
      paths_.push_back(",\"best_path\":" + quoted(zone.path));
    }
  }

  static void appendFraction(std::string &to, const char *name, uint32_t q16) {
    char number[32];
    to += name;
    to.append(number, std::to_chars(number, number + sizeof number, q16 / 65536.0).ptr);
  }

  void append(std::string &to, const semdns_bulk_answer &a) const {
    to += zones_[a.zone];
    to += paths_[a.best];
    to += ",\"stage\":\"";
    to += semdns_stage_text(a.stage);
    appendFraction(to, "\",\"confidence\":", a.confidence);
    appendFraction(to, ",\"margin\":", a.margin);
    to += ",\"status\":\"";
    to += semdns_answer_status_text(static_cast<semdns_answer_status>(a.status));
    to += "\",\"reason\":\"";
    to += semdns_answer_reason_text(static_cast<semdns_answer_reason>(a.reason));
    to += "\"}\n";
  }

  /// A part of a block: whole lines.
  struct Part {
    std::string_view bytes;
    uint32_t firstLine;
    std::string text, out;
    std::vector<uint64_t> offsets{0};
    Diagnostics diagnostics;
    std::vector<semdns_bulk_answer> answers;
    size_t count() const { return offsets.size() - 1; }
  };

  /// Answers the rows of whole lines. Parsing and printing go over all threads; so does answering
  /// where there is no GPU.
  int block(std::string_view bytes) {
    std::vector<Part> parts;
    const size_t about = std::max<size_t>(bytes.size() / (threads_ * 4) + 1, 1 << 16);
    while (!bytes.empty()) {
      size_t end = about < bytes.size() ? bytes.find('\n', about) : std::string_view::npos;
      end = end == std::string_view::npos ? bytes.size() : end + 1;
      parts.emplace_back();
      parts.back().bytes = bytes.substr(0, end);
      parts.back().firstLine = line_;
      line_ += static_cast<uint32_t>(
          std::count(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(end), '\n'));
      bytes.remove_prefix(end);
    }
    parallelFor(parts.size(), threads_, [&](size_t i) {
      Part &part = parts[i];
      for (const LabelledText &row :
           parseJsonLines(part.bytes, options_.input, false, part.diagnostics, BadText::Keep,
                          part.firstLine)) {
        part.text += row.text;
        part.offsets.push_back(part.text.size());
      }
    });
    for (Part &part : parts)
      if (part.diagnostics.hasErrors()) {
        part.diagnostics.print(stderr);
        return kRejected;
      }
    // Rows that an earlier run has answered.
    for (Part &part : parts) {
      const auto drop = static_cast<size_t>(std::min<uint64_t>(skip_, part.count()));
      part.offsets.erase(part.offsets.begin(), part.offsets.begin() + static_cast<ptrdiff_t>(drop));
      skip_ -= drop;
      part.answers.resize(part.count());
    }
    const auto answer = [&](semdns_gpu *gpu, Part &part) {
      semdns_gpu_resolve_many(gpu, part.text.data(), part.offsets.data(), part.count(),
                              part.answers.data(), nullptr);
    };
    const auto print = [&](Part &part) {
      for (const semdns_bulk_answer &a : part.answers)
        append(part.out, a);
    };
    if (device_) {
      for (Part &part : parts)
        answer(device_.get(), part);
      parallelFor(parts.size(), threads_, [&](size_t i) { print(parts[i]); });
    } else {
      parallelFor(parts.size(), threads_, [&](size_t i, size_t worker) {
        answer(cores_[worker].get(), parts[i]);
        print(parts[i]);
      });
    }
    for (const Part &part : parts)
      if (!writeAll(out_, part.out))
        return fail(std::string("cannot write the answers: ") + std::strerror(errno));
    return kDone;
  }

  const Artifact &artifact_;
  const BulkOptions &options_;
  const unsigned threads_;
  Gpu device_;
  std::vector<Gpu> cores_; ///< one a thread
  Input input_;
  int out_ = STDOUT_FILENO;
  uint64_t skip_ = 0;
  uint32_t line_ = 1;
  std::vector<std::string> zones_, paths_;
};

} // namespace

bool isDevice(const std::string &device) {
  if (device == "auto" || device == "cpu")
    return true;
  return device.size() > 5 && device.size() < 9 && device.compare(0, 5, "cuda:") == 0 &&
         device.find_first_not_of("0123456789", 5) == std::string::npos;
}

int resolveBulk(const Artifact &artifact, const BulkOptions &options) {
  return Bulk(artifact, options).run();
}

} // namespace semdns::tools
