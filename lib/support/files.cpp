#include "lib/support/files.h"

#include "lib/support/output_file.h"
#include "runtime/base/sha256.h"

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

std::optional<std::string> readFile(const std::string &path, std::string &error,
                                    uint64_t maxBytes) {
  bool isStdin = path == "-";
  int fd = isStdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    error = "cannot read '" + path + "': " + reason();
    return std::nullopt;
  }
  std::string bytes;
  char chunk[1 << 16];
  bool ok = true;
  struct stat info;
  if (!isStdin && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
      static_cast<uint64_t>(info.st_size) <= maxBytes)
    bytes.reserve(static_cast<size_t>(info.st_size));
  for (;;) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n == 0)
      break;
    if (n < 0) {
      if (errno == EINTR)
        continue;
      error = "cannot read '" + path + "': " + reason();
      ok = false;
      break;
    }
    if (bytes.size() + static_cast<size_t>(n) > maxBytes) {
      error = "cannot read '" + path + "': larger than the limit of " + std::to_string(maxBytes) +
              " bytes";
      ok = false;
      break;
    }
    bytes.append(chunk, static_cast<size_t>(n));
  }
  if (!isStdin)
    ::close(fd);
  if (!ok)
    return std::nullopt;
  return bytes;
}

std::optional<std::string> outputObstacle(const std::string &path, bool force) {
  if (path == "-")
    return std::nullopt;
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode))
      return "cannot write '" + path + "': it is a folder";
    if (!force && S_ISREG(info.st_mode))
      return "'" + path + "' exists and is kept; give -f to replace it";
    return std::nullopt;
  }
  std::string folder = folderOf(path);
  if (::stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return "cannot write '" + path + "': there is no folder '" + folder + "'";
  return std::nullopt;
}

bool writeFileAtomically(const std::string &path, std::string_view bytes, bool force,
                         std::string &error) {
  OutputFile out;
  return out.open(path, force, error) && out.write(bytes, error) && out.finish(error);
}

std::string sha256Hex(std::string_view bytes) {
  uint8_t digest[32];
  base::sha256(bytes.data(), bytes.size(), digest);
  static const char *const kHex = "0123456789abcdef";
  std::string text;
  text.reserve(64);
  for (uint8_t byte : digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

std::string resolveBeside(const std::string &baseFile, const std::string &relative) {
  if (relative.empty() || relative[0] == '/' || baseFile == "-")
    return relative;
  size_t slash = baseFile.rfind('/');
  if (slash == std::string::npos)
    return relative;
  return baseFile.substr(0, slash + 1) + relative;
}

std::optional<size_t> firstInvalidUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
    uint8_t first = byte(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || i + length > text.size())
      return i;
    // The second byte's range excludes overlong forms, surrogates and values beyond U+10FFFF.
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (byte(i + 1) < low || byte(i + 1) > high)
      return i;
    for (size_t k = 2; k < length; ++k)
      if ((byte(i + k) & 0xc0) != 0x80)
        return i;
    i += length;
  }
  return std::nullopt;
}

} // namespace semdns
