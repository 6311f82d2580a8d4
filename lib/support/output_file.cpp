#include "lib/support/output_file.h"

#include "lib/support/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns {
namespace {

std::string reason() { return std::strerror(errno); }

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

OutputFile::~OutputFile() {
  if (fd_ >= 0 && fd_ != STDOUT_FILENO)
    ::close(fd_);
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
}

bool OutputFile::fail(const std::string &why, std::string &error) const {
  error = path_ == "-" ? "cannot write to standard output: " + why
                       : "cannot write '" + path_ + "': " + why;
  return false;
}

bool OutputFile::open(const std::string &path, bool force, std::string &error) {
  path_ = path;
  force_ = force;
  if (path == "-") {
    fd_ = STDOUT_FILENO;
    return true;
  }
  if (auto obstacle = outputObstacle(path, force)) {
    error = *obstacle;
    return false;
  }
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    // A device or a pipe (/dev/null, a process substitution) is written to, never replaced.
    fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return fd_ >= 0 || fail(reason(), error);
  }
  // In the target's folder, since rename is atomic only within one file system.
  std::string temporary = path + ".tmp-XXXXXX";
  fd_ = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd_ < 0)
    return fail(reason(), error);
  temporary_ = std::move(temporary);
  return true;
}

bool OutputFile::write(std::string_view bytes, std::string &error) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return fail(reason(), error);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool OutputFile::finish(std::string &error) {
  const int fd = fd_;
  fd_ = -1;
  if (fd == STDOUT_FILENO)
    return true;
  if (temporary_.empty())
    return ::close(fd) == 0 || fail(reason(), error);
  mode_t mask = ::umask(0);
  ::umask(mask);
  bool ok = ::fchmod(fd, 0666 & ~mask) == 0 && ::fsync(fd) == 0;
  std::string why = ok ? std::string() : reason();
  if (::close(fd) != 0 && ok) {
    ok = false;
    why = reason();
  }
  if (!ok)
    return fail(why, error);
  // Without force, link() refuses a file that appeared meanwhile, which rename() would replace.
  // Not every file system has hard links; there the check when it was opened must do.
  int done = -1;
  if (!force_) {
    done = ::link(temporary_.c_str(), path_.c_str());
    if (done == 0)
      ::unlink(temporary_.c_str());
    else if (errno == EEXIST)
      return fail("it exists now", error);
  }
  if (done != 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0)
    return fail(reason(), error);
  temporary_.clear();
  int folder = ::open(folderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder); // best effort: some file systems refuse it on folders
    ::close(folder);
  }
  return true;
}

} // namespace semdns
