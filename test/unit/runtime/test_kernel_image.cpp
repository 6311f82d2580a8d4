/// The portable kernel as a native one: same source, exported as include/semdns/kernel.h says.
/// Built without any library, as code generation builds its kernels.
#include "runtime/exec/portable.cpp"

extern "C" {

// The compiler may turn loops into calls of these.
__attribute__((no_builtin, visibility("hidden"))) void *memset(void *to, int value, size_t size) {
  auto *bytes = static_cast<volatile unsigned char *>(to);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<unsigned char>(value);
  return to;
}
__attribute__((no_builtin, visibility("hidden"))) void *memcpy(void *to, const void *from,
                                                               size_t size) {
  auto *bytes = static_cast<volatile unsigned char *>(to);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<const unsigned char *>(from)[i];
  return to;
}

__attribute__((visibility("default"))) void
semdns_kernel_route(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                    const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer) {
  semdns::exec::routePortable(tables, query, scratch, answer);
}

// Filled in by test_kernel.cpp.
#define FIVE_A 0x5a5a5a5au
extern __attribute__((visibility("default"))) const semdns_kernel_info_t semdns_kernel_info;
const semdns_kernel_info_t semdns_kernel_info = {
    FIVE_A, FIVE_A, FIVE_A, FIVE_A, FIVE_A, FIVE_A, FIVE_A,
    FIVE_A, FIVE_A, FIVE_A, FIVE_A, FIVE_A, FIVE_A, {FIVE_A, FIVE_A, FIVE_A}};
}
