/// \file Where a file's bytes are while it is open: sealed memory or a mapping.
#pragma once

#include "runtime/base/error.h"

#include <cstddef>
#include <cstdint>

namespace semdns::artifact {

/// Bytes of a file, read-only, at a 64-byte aligned address. Not copyable; lets go of them itself.
class Source {
public:
  enum class Mode {
    Copy, ///< read once into sealed memory: nobody can change the bytes afterwards
    Map,  ///< map the file; the caller vouches that nobody writes to it
  };

  Source() = default;
  ~Source() { close(); }
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;

  /// Each closes what was open before; false fills `error` (IO, MEMORY, ARGUMENT, STRUCTURE for
  /// sizes beyond the limit). `fd` stays the caller's and must be a regular file or a memfd; its
  /// position does not matter. Memory with Mode::Map must be 64-byte aligned and outlive the
  /// source.
  bool openPath(const char *path, Mode mode, base::Error &error);
  bool openFd(int fd, Mode mode, base::Error &error);
  bool openMemory(const void *data, uint64_t size, Mode mode, base::Error &error);
  void close();

  const uint8_t *data() const { return data_; }
  uint64_t size() const { return size_; }
  /// How the bytes are held: "sealed memfd", "private memory (memfd denied: ...)", "file mapping",
  /// "caller's memory". Static or in this object.
  const char *how() const { return how_; }

private:
  bool open(int fd, const void *memory, uint64_t size, base::Error &error);

  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  void *mapping_ = nullptr;
  char how_[96] = "";
};

} // namespace semdns::artifact
