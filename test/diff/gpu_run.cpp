// Runs the GPU kernel of a bundle (gpu_test.cpp writes them) through the CUDA driver and compares
// its answers with those that a CPU kernel gave. Links nothing of semdns and no CUDA: it can be
// carried to a machine that has a GPU and nothing else.
//
//     run-gpu-bundle FILE...     exit 0: all equal, 1: something differs, 77: no GPU here
#include "semdns/format/gpu.h"
#include "semdns/kernel.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using Device = int;
using Address = unsigned long long;

/// The few functions of libcuda that a launch takes.
struct Cuda {
  void *library = nullptr;
  int (*init)(unsigned);
  int (*deviceGet)(Device *, int);
  int (*retain)(void **, Device);
  int (*setCurrent)(void *);
  int (*loadData)(void **, const void *);
  int (*getFunction)(void **, void *, const char *);
  int (*allocate)(Address *, size_t);
  int (*release)(Address);
  int (*toDevice)(Address, const void *, size_t);
  int (*toHost)(void *, Address, size_t);
  int (*fill)(Address, unsigned char, size_t);
  int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                void *, void **, void **);
  int (*synchronise)();

  template <typename F> bool get(F &function, const char *name) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
  }
  bool open() {
    library = dlopen("libcuda.so.1", RTLD_NOW);
    return library && get(init, "cuInit") && get(deviceGet, "cuDeviceGet") &&
           get(retain, "cuDevicePrimaryCtxRetain") && get(setCurrent, "cuCtxSetCurrent") &&
           get(loadData, "cuModuleLoadData") && get(getFunction, "cuModuleGetFunction") &&
           get(allocate, "cuMemAlloc_v2") && get(release, "cuMemFree_v2") &&
           get(toDevice, "cuMemcpyHtoD_v2") && get(toHost, "cuMemcpyDtoH_v2") &&
           get(fill, "cuMemsetD8_v2") && get(launch, "cuLaunchKernel") &&
           get(synchronise, "cuCtxSynchronize") && init(0) == 0;
  }
};

void need(int status, const char *what) {
  if (status) {
    std::fprintf(stderr, "%s failed: CUDA error %d\n", what, status);
    std::exit(1);
  }
}

/// A bundle: the number of parts, their sizes, then the parts (see gpu_test.cpp for their order).
std::vector<std::string> readBundle(const char *path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::string> parts;
  uint64_t count = 0;
  if (bytes.size() >= 8)
    std::memcpy(&count, bytes.data(), 8);
  if (count > 64 || bytes.size() < 8 * (1 + count))
    count = 0;
  size_t at = 8 * (1 + count);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t size;
    std::memcpy(&size, bytes.data() + 8 * (1 + i), 8);
    if (size > bytes.size() - at)
      return {};
    parts.push_back(bytes.substr(at, size));
    at += size;
  }
  return parts;
}

bool runBundle(Cuda &cuda, const char *path) {
  std::vector<std::string> parts = readBundle(path);
  if (parts.size() != 12) {
    std::fprintf(stderr, "%s: not a bundle\n", path);
    return false;
  }
  enum {
    Header,
    Image,
    Features,
    Queries,
    Buckets,
    Rows,
    Norms,
    Vectors,
    Exp2,
    Thresholds,
    RootOdds,
    Answers
  };
  semdns_kgpu_header header;
  std::memcpy(&header, parts[Header].data(), sizeof header);
  auto queries = static_cast<unsigned>(parts[Queries].size() / sizeof(semdns_gpu_query));

  void *module = nullptr, *function = nullptr;
  need(cuda.loadData(&module, parts[Image].c_str()), "loading the PTX");
  need(cuda.getFunction(&function, module, SEMDNS_GPU_KERNEL), "finding the kernel");
  Address memory[12];
  auto upload = [&](int argument, const std::string &bytes) {
    need(cuda.allocate(&memory[argument], bytes.size() + 64), "allocating");
    need(cuda.toDevice(memory[argument], bytes.data(), bytes.size()), "copying");
  };
  upload(0, parts[Features]);
  upload(1, parts[Queries]);
  upload(2, parts[Buckets]);
  upload(3, parts[Rows]);
  upload(4, parts[Norms]);
  upload(5, parts[Vectors]);
  upload(6, parts[Exp2]);
  upload(7, parts[Thresholds]);
  upload(8, parts[RootOdds]);
  size_t work = size_t{queries} * header.padded_count * 4;
  need(cuda.allocate(&memory[9], work), "allocating");
  need(cuda.allocate(&memory[10], work), "allocating");
  need(cuda.allocate(&memory[11], parts[Answers].size()), "allocating");
  need(cuda.fill(memory[9], 0x5a, work), "filling");
  need(cuda.fill(memory[10], 0x5a, work), "filling");
  need(cuda.fill(memory[11], 0x5a, parts[Answers].size()), "filling");
  void *arguments[12];
  for (int i = 0; i < 12; ++i)
    arguments[i] = &memory[i];
  double best = 1e9;
  for (int round = 0; round < 5; ++round) { // more than once: the first includes loading
    auto begin = std::chrono::steady_clock::now();
    need(cuda.launch(function, queries, 1, 1, header.threads, 1, 1, 0, nullptr, arguments, nullptr),
         "launching");
    need(cuda.synchronise(), "running");
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = took.count() < best ? took.count() : best;
  }
  std::vector<semdns_kernel_answer> answers(queries);
  need(cuda.toHost(answers.data(), memory[11], parts[Answers].size()), "copying back");
  for (Address address : memory)
    cuda.release(address);

  unsigned different = 0;
  for (unsigned q = 0; q < queries; ++q) {
    semdns_kernel_answer expected;
    std::memcpy(&expected, parts[Answers].data() + q * sizeof expected, sizeof expected);
    if (!std::memcmp(&answers[q], &expected, sizeof expected))
      continue;
    if (++different > 3)
      continue;
    std::fprintf(stderr, "%s: query %u differs at word", path, q);
    const auto *a = reinterpret_cast<const uint32_t *>(&answers[q]);
    const auto *b = reinterpret_cast<const uint32_t *>(&expected);
    for (unsigned w = 0; w < sizeof expected / 4; ++w)
      if (a[w] != b[w])
        std::fprintf(stderr, " %u: %u, not %u;", w, a[w], b[w]);
    std::fputc('\n', stderr);
  }
  std::printf("%s: %u queries, %u different, %.1f ns a query\n", path, queries, different,
              best / queries * 1e9);
  return different == 0;
}

} // namespace

int main(int argc, char **argv) {
  Cuda cuda;
  Device device;
  void *context = nullptr;
  if (!cuda.open() || cuda.deviceGet(&device, 0) != 0) {
    std::puts("no GPU here");
    return 77;
  }
  need(cuda.retain(&context, device), "a context");
  need(cuda.setCurrent(context), "a context");
  bool same = true;
  for (int i = 1; i < argc; ++i)
    same &= runBundle(cuda, argv[i]);
  return same ? 0 : 1;
}
