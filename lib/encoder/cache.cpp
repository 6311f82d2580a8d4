#include "lib/encoder/cache.h"

#include "lib/support/files.h"
#include "runtime/base/checked.h"
#include "runtime/base/sha256.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns::encoder {
namespace {

// The file: a header, then rows of one size: key, width floats, checksum of both.
struct Header {
  char magic[8];
  uint32_t width;
  uint32_t reserved;
  uint8_t model[32]; ///< SHA-256 of the model digest
  uint8_t padding[16];
};
static_assert(sizeof(Header) == 64);

constexpr char kMagic[8] = {'S', 'D', 'N', 'S', 'E', 'M', 'B', '1'};
constexpr size_t kKeySize = 32, kSumSize = 16;
constexpr uint64_t kMaxFile = uint64_t{4} << 30; ///< a cache that grows beyond begins anew

Header headerOf(const std::string &digest, uint32_t width) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.width = width;
  base::sha256(digest.data(), digest.size(), header.model);
  return header;
}

/// The checksum of a row's key and floats.
void sumOf(const char *row, size_t size, uint8_t out[kSumSize]) {
  uint8_t digest[32];
  base::sha256(row, size, digest);
  std::memcpy(out, digest, kSumSize);
}

bool readAt(int fd, void *out, size_t size, uint64_t offset) {
  auto *to = static_cast<char *>(out);
  while (size) {
    ssize_t n = ::pread(fd, to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    to += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

bool writeAt(int fd, const void *bytes, size_t size, uint64_t offset) {
  const auto *from = static_cast<const char *>(bytes);
  while (size) {
    ssize_t n = ::pwrite(fd, from, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    from += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

/// An open file under a lock, both given up together.
class Locked {
public:
  Locked(const std::string &path, int flags, int lock) {
    fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (fd_ < 0)
      return;
    int result;
    while ((result = ::flock(fd_, lock)) != 0 && errno == EINTR)
      ;
    if (result != 0) {
      const int why = errno;
      ::close(fd_);
      fd_ = -1;
      errno = why;
    }
  }
  ~Locked() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  Locked(const Locked &) = delete;
  Locked &operator=(const Locked &) = delete;
  int fd() const { return fd_; }
  bool isOpen() const { return fd_ >= 0; }
  uint64_t size() const {
    struct stat info;
    return ::fstat(fd_, &info) == 0 && info.st_size > 0 ? static_cast<uint64_t>(info.st_size) : 0;
  }

private:
  int fd_;
};

} // namespace

std::string defaultCacheFolder() {
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    return std::string(xdg) + "/semdns";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/semdns";
  return {};
}

EmbeddingCache::EmbeddingCache(const std::string &folder, const std::string &modelDigest,
                               uint32_t width, Diagnostics &diags)
    : digest_(modelDigest), width_(width), diags_(diags) {
  if (folder.empty())
    return;
  path_ = folder + "/embeddings-" + sha256Hex(modelDigest).substr(0, 32) + ".cache";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure)
    giveUp("cannot make the folder: " + failure.message());
  else
    load();
}

void EmbeddingCache::giveUp(const std::string &what) {
  diags_.warning({path_}, "embeddings are not kept: " + what,
                 "choose another folder with --cache=DIR");
  path_.clear();
  offsets_.clear();
}

size_t EmbeddingCache::rowBytes() const { return kKeySize + width_ * sizeof(float) + kSumSize; }

EmbeddingCache::Key EmbeddingCache::keyOf(const Ids &ids) const {
  base::Sha256 hash;
  const uint64_t size = digest_.size();
  hash.update(&size, sizeof size);
  hash.update(digest_.data(), digest_.size());
  hash.update(ids.data(), ids.size() * sizeof ids[0]);
  Key key;
  hash.finish(key.data());
  return key;
}

void EmbeddingCache::load() {
  Locked file(path_, O_RDONLY, LOCK_SH);
  if (!file.isOpen()) {
    if (errno != ENOENT)
      giveUp(std::strerror(errno));
    return;
  }
  struct stat info;
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode))
    return giveUp("not a regular file");
  Header header, expected = headerOf(digest_, width_);
  const uint64_t size = file.size();
  if (size < sizeof header || !readAt(file.fd(), &header, sizeof header, 0) ||
      std::memcmp(&header, &expected, sizeof header) != 0) {
    if (size)
      diags_.warning({path_}, "the embedding cache is damaged; it begins anew");
    return; // append() writes a new header
  }
  const size_t row = rowBytes(), batch = std::max<size_t>(1, (1 << 20) / row);
  const uint64_t rows = (size - sizeof header) / row;
  uint64_t damaged = 0;
  std::string bytes;
  for (uint64_t first = 0; first < rows; first += batch) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(batch, rows - first));
    bytes.resize(count * row);
    const uint64_t at = sizeof header + first * row;
    if (!readAt(file.fd(), bytes.data(), bytes.size(), at))
      break;
    for (size_t i = 0; i < count; ++i) {
      const char *from = bytes.data() + i * row;
      uint8_t sum[kSumSize];
      sumOf(from, row - kSumSize, sum);
      if (std::memcmp(sum, from + row - kSumSize, kSumSize) != 0) {
        ++damaged;
        continue;
      }
      Key key;
      std::memcpy(key.data(), from, kKeySize);
      offsets_.emplace(key, at + i * row + kKeySize);
    }
  }
  if (damaged)
    diags_.warning({path_}, std::to_string(damaged) + " of " + std::to_string(rows) +
                                " cached embeddings are damaged; they are computed again");
}

std::vector<float> EmbeddingCache::embed(std::span<const Ids> sequences,
                                         const Embed &embedMissing) {
  std::vector<float> result(sequences.size() * width_);
  std::vector<Key> missing;
  std::vector<Ids> toEmbed;
  std::map<Key, size_t> rowOf; // of missing ones
  std::vector<std::pair<size_t, size_t>> later;
  {
    Locked file(path_, O_RDONLY, LOCK_SH);
    std::string row(rowBytes(), '\0');
    for (size_t i = 0; i < sequences.size(); ++i) {
      const Key key = keyOf(sequences[i]);
      auto found = path_.empty() ? offsets_.end() : offsets_.find(key);
      // Read and checked again: another process may have begun the file anew since.
      if (found != offsets_.end() && file.isOpen() &&
          readAt(file.fd(), row.data(), row.size(), found->second - kKeySize)) {
        uint8_t sum[kSumSize];
        sumOf(row.data(), row.size() - kSumSize, sum);
        if (std::memcmp(sum, row.data() + row.size() - kSumSize, kSumSize) == 0 &&
            std::memcmp(row.data(), key.data(), kKeySize) == 0) {
          std::memcpy(result.data() + i * width_, row.data() + kKeySize, width_ * sizeof(float));
          ++hits_;
          continue;
        }
      }
      auto [at, isNew] = rowOf.emplace(key, missing.size());
      if (isNew) {
        missing.push_back(key);
        toEmbed.push_back(sequences[i]);
      }
      later.emplace_back(i, at->second);
    }
  }
  if (missing.empty())
    return result;
  const std::vector<float> rows = embedMissing(toEmbed);
  if (rows.size() != missing.size() * width_) {
    std::fprintf(stderr, "semdns: %zu floats of embeddings for %zu sequences of width %u\n",
                 rows.size(), missing.size(), width_);
    std::abort();
  }
  for (auto [sequence, row] : later)
    std::memcpy(result.data() + sequence * width_, rows.data() + row * width_,
                width_ * sizeof(float));
  misses_ += missing.size();
  append(missing, rows.data());
  return result;
}

void EmbeddingCache::append(std::span<const Key> keys, const float *rows) {
  if (path_.empty())
    return;
  Locked file(path_, O_RDWR | O_CREAT, LOCK_EX);
  if (!file.isOpen())
    return giveUp(std::strerror(errno));
  // Under the lock nobody else writes. A writer that died has left at most an unfinished row at the
  // end, which goes.
  const Header expected = headerOf(digest_, width_);
  const size_t row = rowBytes();
  Header header;
  uint64_t size = file.size();
  const bool known = size >= sizeof header && readAt(file.fd(), &header, sizeof header, 0) &&
                     std::memcmp(&header, &expected, sizeof header) == 0;
  if (!known || size + keys.size() * row > kMaxFile) {
    offsets_.clear();
    if (::ftruncate(file.fd(), 0) != 0 || !writeAt(file.fd(), &expected, sizeof expected, 0))
      return giveUp(std::strerror(errno));
    size = sizeof expected;
  }
  size -= (size - sizeof header) % row;
  std::string bytes(keys.size() * row, '\0');
  for (size_t i = 0; i < keys.size(); ++i) {
    char *to = bytes.data() + i * row;
    std::memcpy(to, keys[i].data(), kKeySize);
    std::memcpy(to + kKeySize, rows + i * width_, width_ * sizeof(float));
    uint8_t sum[kSumSize];
    sumOf(to, row - kSumSize, sum);
    std::memcpy(to + row - kSumSize, sum, kSumSize);
  }
  if (!writeAt(file.fd(), bytes.data(), bytes.size(), size)) {
    const int why = errno;
    if (::ftruncate(file.fd(), static_cast<off_t>(size)) != 0)
      errno = why;
    return giveUp(std::strerror(why));
  }
  for (size_t i = 0; i < keys.size(); ++i)
    offsets_[keys[i]] = size + i * row + kKeySize;
}

} // namespace semdns::encoder
