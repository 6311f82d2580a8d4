#include "lib/mine/corpus.h"

#include "lib/support/files.h"

#include <nlohmann/json.hpp>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace semdns::mine {
namespace {

constexpr size_t kChunk = size_t(1) << 18;
constexpr size_t kMaxErrorsPerFile = 20;
constexpr size_t kSniffBytes = 8192;

/// Bytes of a file, decompressed if it is a zstd file.
class Source {
public:
  Source() = default;
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;
  ~Source() {
    if (fd_ > 2)
      ::close(fd_);
    ZSTD_freeDStream(zstd_);
  }

  bool open(const std::string &path) {
    fd_ = path == "-" ? 0 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0)
      return fail(std::strerror(errno));
    raw_.resize(kChunk);
    if (!fill())
      return false;
    static constexpr unsigned char magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (rawEnd_ >= sizeof magic && std::memcmp(raw_.data(), magic, sizeof magic) == 0) {
      zstd_ = ZSTD_createDStream();
      if (!zstd_)
        return fail("out of memory");
      // The default window limit (128 MiB) stands: a frame cannot make us allocate more.
      ZSTD_initDStream(zstd_);
      frameOpen_ = true;
    } else if (path.ends_with(".zst") && rawEnd_ != 0) {
      return fail("is not a zstd file, whatever its name says");
    }
    return true;
  }

  /// Appends up to about kChunk bytes to `out`. False on error; nothing appended at the end.
  bool read(std::string &out) {
    if (!zstd_) {
      if (rawPos_ == rawEnd_ && !fill())
        return false;
      out.append(raw_.data() + rawPos_, rawEnd_ - rawPos_);
      rawPos_ = rawEnd_;
      return true;
    }
    const size_t before = out.size();
    out.resize(before + kChunk);
    ZSTD_outBuffer dst = {out.data() + before, kChunk, 0};
    while (dst.pos == 0) {
      if (rawPos_ == rawEnd_) {
        if (!fill())
          return false;
        if (rawEnd_ == 0) {
          if (frameOpen_)
            return fail("zstd data is truncated: the file ends inside a frame");
          break;
        }
      }
      ZSTD_inBuffer src = {raw_.data(), rawEnd_, rawPos_};
      const size_t rc = ZSTD_decompressStream(zstd_, &dst, &src);
      if (ZSTD_isError(rc))
        return fail(std::string("zstd data is damaged: ") + ZSTD_getErrorName(rc));
      // 0: a frame is complete. The next byte, if there is one, starts another.
      frameOpen_ = rc != 0;
      rawPos_ = src.pos;
    }
    out.resize(before + dst.pos);
    return true;
  }

  uint64_t bytesRead() const { return bytesRead_; }
  const std::string &error() const { return error_; }

private:
  bool fail(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool fill() {
    rawPos_ = 0;
    rawEnd_ = 0;
    while (true) {
      const ssize_t n = ::read(fd_, raw_.data(), raw_.size());
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return fail(std::strerror(errno));
      rawEnd_ = size_t(n);
      bytesRead_ += uint64_t(n);
      return true;
    }
  }

  int fd_ = -1;
  ZSTD_DStream *zstd_ = nullptr;
  bool frameOpen_ = false;
  std::string raw_;
  size_t rawPos_ = 0, rawEnd_ = 0;
  uint64_t bytesRead_ = 0;
  std::string error_;
};

/// Lines of a source, split at '\n' only.
class Lines {
public:
  explicit Lines(Source &source) : source_(source) {}

  enum class Result { Line, End, TooLong, Error };
  /// `line` has no final '\n' and lives until the next call.
  Result next(std::string_view &line) {
    size_t searched = pos_;
    while (true) {
      const void *nl = std::memchr(buffer_.data() + searched, '\n', buffer_.size() - searched);
      if (nl) {
        const size_t at = size_t(static_cast<const char *>(nl) - buffer_.data());
        line = std::string_view(buffer_).substr(pos_, at - pos_);
        pos_ = at + 1;
        return line.size() > kMaxLineBytes ? Result::TooLong : Result::Line;
      }
      if (buffer_.size() - pos_ > kMaxLineBytes)
        return Result::TooLong;
      if (ended_) {
        if (pos_ == buffer_.size())
          return Result::End;
        line = std::string_view(buffer_).substr(pos_);
        pos_ = buffer_.size();
        return Result::Line;
      }
      buffer_.erase(0, pos_);
      pos_ = 0;
      searched = buffer_.size();
      if (!source_.read(buffer_))
        return Result::Error;
      ended_ = buffer_.size() == searched;
    }
  }

  /// What has been buffered and not yet returned, at least `bytes` of it unless the file is
  /// shorter; nullopt on a read error.
  std::optional<std::string_view> peek(size_t bytes) {
    while (!ended_ && buffer_.size() - pos_ < bytes) {
      const size_t before = buffer_.size();
      if (!source_.read(buffer_))
        return std::nullopt;
      ended_ = buffer_.size() == before;
    }
    return std::string_view(buffer_).substr(pos_);
  }
  void skip(size_t bytes) { pos_ += bytes; }

private:
  Source &source_;
  std::string buffer_;
  size_t pos_ = 0;
  bool ended_ = false;
};

bool isBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r\f\v") == std::string_view::npos;
}

bool namedJsonLines(std::string path) {
  if (path.ends_with(".zst"))
    path.resize(path.size() - 4);
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

bool isRowWithText(std::string_view line) {
  const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  return row.is_object() && row.contains("text") && row["text"].is_string();
}

std::string hexByte(unsigned char c) {
  static constexpr char digits[] = "0123456789abcdef";
  return {'0', 'x', digits[c >> 4], digits[c & 15]};
}

/// Reads one file.
class FileReader {
public:
  FileReader(const CorpusFile &file, uint32_t index, Diagnostics &diags,
             const std::function<bool(const Document &)> &visit)
      : file_(file), index_(index), diags_(diags), visit_(visit) {}

  /// False to stop altogether because `visit` said so.
  bool run(uint64_t bytesBefore, const std::function<void(uint64_t)> &progress) {
    Source source;
    if (!source.open(file_.path)) {
      fail(0, 0, readError(source));
      return true;
    }
    Lines lines(source);
    auto head = lines.peek(kSniffBytes);
    if (!head) {
      fail(0, 0, readError(source));
      return true;
    }
    if (head->starts_with("\xef\xbb\xbf")) {
      lines.skip(3);
      head->remove_prefix(3);
    }
    if (head->starts_with("\xff\xfe") || head->starts_with("\xfe\xff")) {
      fail(1, 1, "text is UTF-16", "convert it to UTF-8: iconv -f UTF-16 -t UTF-8");
      return true;
    }
    if (const size_t nul = head->substr(0, kSniffBytes).find('\0'); nul != head->npos) {
      const auto before = head->substr(0, nul);
      const auto line = uint32_t(1 + std::count(before.begin(), before.end(), '\n'));
      const auto column = uint32_t(nul - (before.rfind('\n') + 1) + 1);
      if (file_.inFolder)
        diags_.warning({file_.path, line, column}, "binary file skipped: it has a NUL byte");
      else
        fail(line, column, "binary data: there is a NUL byte", "give text or JSON lines");
      return true;
    }
    jsonLines_ = namedJsonLines(file_.path);
    bool undecided = !jsonLines_;

    uint64_t reported = 0;
    std::string_view line;
    for (uint32_t number = 1;; ++number) {
      const Lines::Result result = lines.next(line);
      if (result == Lines::Result::End)
        break;
      if (result == Lines::Result::TooLong) {
        fail(number, 1, "line is longer than " + std::to_string(kMaxLineBytes >> 20) + " MiB",
             "a corpus is lines of text or one JSON object a line");
        return true;
      }
      if (result == Lines::Result::Error) {
        fail(number, 0, source.error());
        return true;
      }
      if (progress && source.bytesRead() - reported >= kChunk) {
        reported = source.bytesRead();
        progress(bytesBefore + reported);
      }
      const bool blank = isBlank(line);
      if (undecided && !blank) {
        jsonLines_ = line.front() == '{' && isRowWithText(line);
        undecided = false;
      }
      if (!blank && !checkBytes(line, number)) {
        if (errors_ > kMaxErrorsPerFile)
          return true;
        dropBlock_ = true;
        continue;
      }
      if (jsonLines_ ? !blank && !jsonRow(line, number) : !textLine(line, blank, number))
        return false;
      if (errors_ > kMaxErrorsPerFile)
        return true;
    }
    if (!endBlock())
      return false;
    if (!any_ && errors_ == 0 && !file_.inFolder)
      fail(0, 0, "there is no text in this file");
    return true;
  }

  bool any() const { return any_; }
  bool failed() const { return errors_ != 0; }

private:
  std::string readError(const Source &source) const { return "cannot read: " + source.error(); }

  void fail(uint32_t line, uint32_t column, std::string message, std::string help = {}) {
    ++errors_;
    if (errors_ <= kMaxErrorsPerFile)
      diags_.error({file_.path, line, column}, std::move(message), std::move(help));
    else
      diags_.error({file_.path, 0, 0}, "more than " + std::to_string(kMaxErrorsPerFile) +
                                           " errors in this file; the rest was not read");
  }

  bool checkBytes(std::string_view line, uint32_t number) {
    if (const auto bad = firstInvalidUtf8(line)) {
      fail(number, uint32_t(*bad + 1),
           "invalid UTF-8: byte " + hexByte(static_cast<unsigned char>(line[*bad])),
           "convert the file to UTF-8 (iconv), or remove the line");
      return false;
    }
    if (const size_t nul = line.find('\0'); nul != line.npos) {
      fail(number, uint32_t(nul + 1), "binary data: there is a NUL byte");
      return false;
    }
    return true;
  }

  bool deliver(const Document &document) {
    any_ = true;
    return visit_(document);
  }

  bool jsonRow(std::string_view line, uint32_t number) {
    // Exceptions carry the position of the syntax error, which the other interface does not.
    nlohmann::json row;
    try {
      row = nlohmann::json::parse(line);
    } catch (const nlohmann::json::parse_error &e) {
      fail(number, uint32_t(std::min<size_t>(e.byte, line.size())), "invalid JSON",
           "each line is one object: {\"text\": \"...\"}");
      return true;
    } catch (const nlohmann::json::exception &) {
      fail(number, 1, "a number is out of range", "write it as a string, or leave it out");
      return true;
    }
    const auto text = row.is_object() ? row.find("text") : row.end();
    if (!row.is_object() || text == row.end() || !text->is_string()) {
      fail(number, 1, row.is_object() ? "row has no string \"text\"" : "row is not an object",
           "each line is one object: {\"text\": \"...\"}");
      return true;
    }
    const auto &bytes = text->get_ref<const std::string &>();
    if (isBlank(bytes))
      return true;
    Document document{bytes, file_.path, number, false, {}, {}, index_};
    if (const auto owner = row.find("owner"); owner != row.end() && owner->is_string())
      document.owner = owner->get_ref<const std::string &>();
    if (const auto label = row.find("label"); label != row.end() && label->is_string()) {
      document.hasLabel = true;
      document.label = label->get_ref<const std::string &>();
    }
    return deliver(document);
  }

  bool textLine(std::string_view line, bool blank, uint32_t number) {
    if (blank)
      return endBlock();
    if (block_.size() + line.size() > kMaxBlockBytes && !block_.empty() && !endBlock())
      return false;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (block_.empty())
      blockLine_ = number;
    else
      block_ += '\n';
    block_ += line;
    return true;
  }

  bool endBlock() {
    const bool drop = block_.empty() || dropBlock_;
    dropBlock_ = false;
    const bool more = drop || deliver({block_, file_.path, blockLine_, false, {}, {}, index_});
    block_.clear();
    return more;
  }

  const CorpusFile &file_;
  const uint32_t index_;
  Diagnostics &diags_;
  const std::function<bool(const Document &)> &visit_;
  bool jsonLines_ = false, any_ = false, dropBlock_ = false;
  size_t errors_ = 0;
  std::string block_;
  uint32_t blockLine_ = 0;
};

/// Walks folders, each real folder and file once.
class Lister {
public:
  explicit Lister(Diagnostics &diags) : diags_(diags) {}

  void add(const std::string &path) {
    std::error_code ec;
    if (path == "-") {
      files.push_back({path, 0, false, input});
      return;
    }
    const auto status = fs::status(path, ec);
    if (ec || !fs::exists(status)) {
      // status() fails with ELOOP on links that lead to each other.
      diags_.error({path, 0, 0}, ec && ec.value() != ENOENT
                                     ? "cannot read: " + ec.message()
                                     : std::string("no such file or folder"));
      return;
    }
    if (!fs::is_directory(status)) {
      addFile(path, false);
      return;
    }
    const size_t before = files.size();
    const size_t errorsBefore = diags_.errorCount();
    addFolder(path);
    if (files.size() == before && diags_.errorCount() == errorsBefore && !sawKnown_)
      diags_.error({path, 0, 0}, "there is no file in this folder");
  }

  std::vector<CorpusFile> files;
  uint32_t input = 0; ///< which path is being walked

private:
  void addFile(const std::string &path, bool inFolder) {
    std::error_code ec;
    if (!seen_.insert(fs::canonical(path, ec).string()).second) {
      sawKnown_ = true;
      return;
    }
    const auto size = fs::file_size(path, ec);
    files.push_back({path, ec ? 0 : size, inFolder, input});
  }

  void addFolder(const std::string &path) {
    std::error_code ec;
    const std::string real = fs::canonical(path, ec).string();
    if (std::find(chain_.begin(), chain_.end(), real) != chain_.end()) {
      diags_.warning({path, 0, 0}, "link loop skipped: it leads back to '" + real + "'");
      return;
    }
    if (!seen_.insert(real).second) {
      sawKnown_ = true;
      return;
    }
    std::vector<std::string> names;
    for (fs::directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
      std::string name = it->path().filename().string();
      if (!name.starts_with('.'))
        names.push_back(std::move(name));
    }
    if (ec) {
      diags_.error({path, 0, 0}, "cannot read folder: " + ec.message());
      return;
    }
    std::sort(names.begin(), names.end());
    chain_.push_back(real);
    for (const auto &name : names) {
      const std::string child = path.ends_with('/') ? path + name : path + '/' + name;
      const auto status = fs::status(child, ec);
      if (ec)
        diags_.warning({child, 0, 0}, "link that leads nowhere skipped");
      else if (fs::is_directory(status))
        addFolder(child);
      else if (fs::is_regular_file(status))
        addFile(child, true);
    }
    chain_.pop_back();
  }

  Diagnostics &diags_;
  std::set<std::string> seen_;
  std::vector<std::string> chain_;
  bool sawKnown_ = false;
};

} // namespace

std::vector<CorpusFile> listCorpusFiles(const std::vector<std::string> &paths, Diagnostics &diags) {
  Lister lister(diags);
  for (const auto &path : paths) {
    lister.add(path);
    ++lister.input;
  }
  return std::move(lister.files);
}

bool forEachDocument(const std::vector<std::string> &paths, Diagnostics &diags,
                     const std::function<bool(const Document &)> &visit,
                     const std::function<void(uint64_t)> &progress) {
  const size_t errorsBefore = diags.errorCount();
  const auto files = listCorpusFiles(paths, diags);
  if (files.empty() && diags.errorCount() > errorsBefore)
    return false;
  return forEachDocument(files, diags, visit, progress) && diags.errorCount() == errorsBefore;
}

bool forEachDocument(const std::vector<CorpusFile> &files, Diagnostics &diags,
                     const std::function<bool(const Document &)> &visit,
                     const std::function<void(uint64_t)> &progress) {
  const size_t errorsBefore = diags.errorCount();
  uint64_t bytes = 0;
  bool any = false;
  for (const auto &file : files) {
    FileReader reader(file, uint32_t(&file - files.data()), diags, visit);
    const bool more = reader.run(bytes, progress);
    any = any || reader.any();
    if (!more)
      return diags.errorCount() == errorsBefore;
    bytes += file.size;
    if (progress)
      progress(bytes);
  }
  if (!any && diags.errorCount() == errorsBefore)
    diags.error({files.empty() ? std::string() : files.front().path, 0, 0},
                "the corpus is empty: no document in any of its files",
                "give text files, JSON lines with \"text\", .zst of either, or folders of them");
  return diags.errorCount() == errorsBefore;
}

} // namespace semdns::mine
