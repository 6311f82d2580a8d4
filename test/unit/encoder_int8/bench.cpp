// Not a test: times stage 3's kernels on a random encoder of MiniLM-L6's shape.
//   bench_encoder [tokens...]
#include "runtime/exec/encoder.h"
#include "test/unit/encoder_int8/kernels.h"
#include "test/unit/encoder_int8/sample.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace semdns;

int main(int argc, char **argv) {
  std::vector<uint32_t> counts;
  for (int i = 1; i < argc; ++i)
    counts.push_back(static_cast<uint32_t>(std::atoi(argv[i])));
  if (counts.empty())
    counts = {4, 10, 12, 32, 128};
  std::string error;
  auto section = pack::buildEncoderSection(test::randomEncoder(test::miniShape(), 1), error);
  auto *data = static_cast<uint8_t *>(std::aligned_alloc(64, (section->size() + 63) / 64 * 64));
  std::memcpy(data, section->data(), section->size());
  artifact::Encoder encoder;
  base::Error why;
  if (!artifact::Encoder::parse({data, section->size()}, encoder, why)) {
    std::fprintf(stderr, "bench_encoder: %s\n", why.message);
    return 1;
  }
  void *arena = std::aligned_alloc(64, exec::encoderArenaSize(encoder));
  std::printf("%zu bytes, arena %llu\n", section->size(),
              static_cast<unsigned long long>(exec::encoderArenaSize(encoder)));
  auto kernels = test::compileEncodeKernels(*encoder.header);
  kernels.emplace_back();
  kernels.back().name = "portable";
  kernels.back().encode = exec::encodePortable;
  for (const auto &kernel : kernels) {
    std::printf("%-16s %7zu bytes ", kernel.name.c_str(), kernel.elf.size());
    for (uint32_t n : counts) {
      uint32_t ids[SEMDNS_ENCODER_MAX_TOKENS] = {};
      for (uint32_t i = 0; i < n; ++i)
        ids[i] = (i * 7919 + 13) % encoder.header->vocabulary;
      int8_t q[SEMDNS_ENCODER_MAX_WIDTH];
      uint32_t peak;
      std::vector<double> times;
      for (int i = 0; i < 21; ++i) {
        auto begin = std::chrono::steady_clock::now();
        kernel.encode(data, ids, n, arena, q, &peak);
        times.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                .count());
      }
      std::sort(times.begin(), times.end());
      std::printf("  %u: %.3f (median %.3f)", n, times.front(), times[10]);
    }
    std::printf(" ms\n");
  }
}
