#include "runtime/artifact/source.h"

#include "semdns/format/artifact.h"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns::artifact {

using base::fail;

namespace {

// Fills `to` from the file or from memory.
bool fill(uint8_t *to, uint64_t size, int fd, const void *memory, base::Error &error) {
  if (memory) {
    memcpy(to, memory, size);
    return true;
  }
  for (uint64_t done = 0; done < size;) {
    const ssize_t got = pread(fd, to + done, size - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(error, SEMDNS_ERROR_IO, 0, done, "read: %s", strerror(errno));
    if (got == 0)
      return fail(error, SEMDNS_ERROR_IO, 0, done,
                  "the file shrank from %" PRIu64 " to %" PRIu64 " bytes while it was read", size,
                  done);
    done += static_cast<uint64_t>(got);
  }
  return true;
}

bool checkSize(uint64_t size, base::Error &error) {
  if (size == 0)
    return fail(error, SEMDNS_ERROR_TRUNCATED, 0, 0, "the file is empty");
  if (size > SEMDNS_MAX_FILE_SIZE)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, 0, "%" PRIu64 " bytes; the limit is %" PRIu64,
                size, SEMDNS_MAX_FILE_SIZE);
  return true;
}

} // namespace

void Source::close() {
  if (mapping_)
    munmap(mapping_, size_);
  mapping_ = nullptr;
  data_ = nullptr;
  size_ = 0;
  how_[0] = 0;
}

bool Source::openPath(const char *path, Mode mode, base::Error &error) {
  close();
  // O_NONBLOCK: a FIFO under that name must not hang the caller; regular files do not care.
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail(error, SEMDNS_ERROR_IO, 0, 0, "cannot open '%.180s': %s", path, strerror(errno));
  const bool done = openFd(fd, mode, error);
  ::close(fd);
  return done;
}

bool Source::openFd(int fd, Mode mode, base::Error &error) {
  close();
  struct stat st;
  if (fstat(fd, &st) != 0)
    return fail(error, SEMDNS_ERROR_IO, 0, 0, "fstat: %s", strerror(errno));
  if (!S_ISREG(st.st_mode))
    return fail(error, SEMDNS_ERROR_IO, 0, 0, "%s, not a regular file",
                S_ISDIR(st.st_mode) ? "is a folder" : "is a device, pipe or socket");
  const uint64_t size = static_cast<uint64_t>(st.st_size);
  if (!checkSize(size, error))
    return false;
  if (mode == Mode::Copy)
    return open(fd, nullptr, size, error);
  void *mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED)
    return fail(error, SEMDNS_ERROR_IO, 0, 0, "mmap of %" PRIu64 " bytes: %s", size,
                strerror(errno));
  mapping_ = mapping;
  data_ = static_cast<const uint8_t *>(mapping);
  size_ = size;
  snprintf(how_, sizeof how_, "file mapping");
  return true;
}

bool Source::openMemory(const void *data, uint64_t size, Mode mode, base::Error &error) {
  close();
  if (!data)
    return fail(error, SEMDNS_ERROR_ARGUMENT, 0, 0, "null pointer");
  if (!checkSize(size, error))
    return false;
  if (mode == Mode::Copy)
    return open(-1, data, size, error);
  if (reinterpret_cast<uintptr_t>(data) % SEMDNS_SECTION_ALIGN)
    return fail(error, SEMDNS_ERROR_ARGUMENT, 0, 0,
                "memory at %p; it must be %u-byte aligned to be used in place", data,
                SEMDNS_SECTION_ALIGN);
  data_ = static_cast<const uint8_t *>(data);
  size_ = size;
  snprintf(how_, sizeof how_, "caller's memory");
  return true;
}

bool Source::open(int fd, const void *memory, uint64_t size, base::Error &error) {
  const char *step = "memfd_create";
  int sealed = memfd_create("semdns-artifact", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (sealed >= 0) {
    step = "fallocate of memfd"; // reserves the pages: a full tmpfs is an error, not a SIGBUS
    if (fallocate(sealed, 0, 0, static_cast<off_t>(size)) == 0) {
      step = "mmap of memfd";
      void *writable = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, sealed, 0);
      if (writable != MAP_FAILED) {
        const bool filled = fill(static_cast<uint8_t *>(writable), size, fd, memory, error);
        munmap(writable, size); // F_SEAL_WRITE needs all writable mappings gone
        if (!filled) {
          ::close(sealed);
          return false;
        }
        step = "sealing of memfd";
        if (fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
            0) {
          step = "mmap of sealed memfd";
          void *mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, sealed, 0);
          if (mapping != MAP_FAILED) {
            ::close(sealed);
            mapping_ = mapping;
            data_ = static_cast<const uint8_t *>(mapping);
            size_ = size;
            snprintf(how_, sizeof how_, "sealed memfd");
            return true;
          }
        }
      }
    }
  }
  const int why = errno;
  if (sealed >= 0)
    ::close(sealed);
  void *mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return fail(error, SEMDNS_ERROR_MEMORY, 0, 0, "cannot map %" PRIu64 " bytes: %s", size,
                strerror(errno));
  if (!fill(static_cast<uint8_t *>(mapping), size, fd, memory, error)) {
    munmap(mapping, size);
    return false;
  }
  if (mprotect(mapping, size, PROT_READ) != 0) {
    munmap(mapping, size);
    return fail(error, SEMDNS_ERROR_MEMORY, 0, 0, "mprotect: %s", strerror(errno));
  }
  mapping_ = mapping;
  data_ = static_cast<const uint8_t *>(mapping);
  size_ = size;
  snprintf(how_, sizeof how_, "private memory (memfd denied: %s: %s)", step, strerror(why));
  return true;
}

} // namespace semdns::artifact
