#include "lib/mine/spool.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns::mine {

namespace {

constexpr uint64_t kStep = uint64_t(1) << 20;
/// Address space that a spool reserves, so that it never moves; it costs nothing until used.
constexpr uint64_t kReserve = uint64_t(1) << 38;

bool fail(std::string &error, const char *what) {
  error = std::string(what) + ": " + std::strerror(errno);
  return false;
}

} // namespace

SpoolBytes::~SpoolBytes() {
  if (base_)
    ::munmap(base_, kReserve);
  if (fd_ >= 0)
    ::close(fd_);
}

bool SpoolBytes::open(const std::string &folder, const char *name, uint64_t size,
                      std::string &error) {
  if (folder.empty()) {
    const char *tmp = std::getenv("TMPDIR");
    std::string path = std::string(tmp && *tmp ? tmp : "/tmp") + "/semdns-mine-XXXXXX";
    fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd_ < 0)
      return fail(error, ("cannot make a temporary file in '" + path + "'").c_str());
    ::unlink(path.c_str());
  } else {
    const std::string path = folder + "/" + name;
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    if (fd_ < 0 || ::fstat(fd_, &st) != 0)
      return fail(error, ("cannot open '" + path + "'").c_str());
    if (uint64_t(st.st_size) < size) {
      error = "'" + path + "' is shorter than its checkpoint says";
      return false;
    }
    if (::ftruncate(fd_, off_t(size)) != 0)
      return fail(error, ("cannot cut '" + path + "'").c_str());
  }
  void *at =
      ::mmap(nullptr, kReserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return fail(error, "cannot reserve address space");
  base_ = static_cast<char *>(at);
  return resize(size, error);
}

bool SpoolBytes::grow(uint64_t size, std::string &error) {
  if (size <= capacity_)
    return true;
  uint64_t capacity = std::max(size, capacity_ + capacity_ / 2);
  capacity = (capacity + kStep - 1) / kStep * kStep;
  if (capacity > kReserve) {
    error = "a working file would grow beyond 256 GiB: mine a part of the corpus";
    return false;
  }
  // Blocks are allocated here, where a full disk is an error, not at the first write to the
  // mapping, where it would be a signal.
  if (const int code = ::posix_fallocate(fd_, 0, off_t(capacity)); code != 0) {
    errno = code;
    return fail(error, "cannot grow a working file");
  }
  if (::mmap(base_ + capacity_, capacity - capacity_, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED, fd_, off_t(capacity_)) == MAP_FAILED)
    return fail(error, "cannot map a working file");
  capacity_ = capacity;
  return true;
}

bool SpoolBytes::append(const void *bytes, size_t size, std::string &error) {
  if (!grow(size_ + size, error))
    return false;
  if (size)
    std::memcpy(base_ + size_, bytes, size);
  size_ += size;
  return true;
}

bool SpoolBytes::resize(uint64_t size, std::string &error) {
  if (!grow(size, error))
    return false;
  if (size < size_)
    std::memset(base_ + size, 0, size_ - size);
  size_ = size;
  return true;
}

bool SpoolBytes::sync(std::string &error) {
  return ::fsync(fd_) == 0 || fail(error, "cannot write a working file");
}

} // namespace semdns::mine
