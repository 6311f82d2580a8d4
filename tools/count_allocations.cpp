#include "tools/count_allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEMDNS_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SEMDNS_COUNTS 0
#endif
#endif
#ifndef SEMDNS_COUNTS
#define SEMDNS_COUNTS 1
#endif

namespace {
std::atomic<uint64_t> requests{0};
} // namespace

namespace semdns {
uint64_t allocationsSoFar() { return requests.load(std::memory_order_relaxed); }
bool allocationsAreCounted() { return SEMDNS_COUNTS; }
} // namespace semdns

#if SEMDNS_COUNTS
namespace {
void count() { requests.fetch_add(1, std::memory_order_relaxed); }
} // namespace

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}
void *calloc(size_t n, size_t size) {
  count();
  return __libc_calloc(n, size);
}
void *realloc(void *old, size_t size) {
  count();
  return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  count();
  void *memory = __libc_memalign(alignment, size);
  if (!memory)
    return ENOMEM;
  *out = memory;
  return 0;
}
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  count();
  return reinterpret_cast<void *>(syscall(SYS_mmap, address, size, protection, flags, fd, offset));
}
}
#endif
