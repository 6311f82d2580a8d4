/// \file Matrix products of the float encoder through oneDNN, and the loop that spreads them over
/// threads. oneDNN runs on the calling thread only: what is parallel is ours, so that no result
/// depends on the number of threads.
#pragma once

#include "lib/support/parallel.h"

#include <cstddef>
#include <string>

namespace semdns::encoder {

/// What float arithmetic the products use, for META: "oneDNN 2.6.3 fp32 avx512_core". Pinned on
/// first use, before oneDNN looks at the environment: AVX-512 without bf16 and AMX where the CPU
/// has it, else what it has. Embeddings are the same bytes on two hosts with equal strings.
std::string arithmetic();

/// While one lives, OpenMP regions that the calling thread opens (oneDNN's) stay on it.
class SingleThreaded {
public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded &) = delete;
  SingleThreaded &operator=(const SingleThreaded &) = delete;

private:
  int before_;
};

/// Calls body(i, worker) for each i in [0, count) on up to `threads` threads; worker 0 is the
/// caller. The body of one index writes only what belongs to its index.
template <typename Body> void parallelFor(size_t count, unsigned threads, Body &&body) {
  semdns::parallelFor(count, threads, [&](size_t i, size_t worker) {
    SingleThreaded guard;
    body(i, worker);
  });
}

/// Matrices are row-major and dense. The caller holds a SingleThreaded (parallelFor does). Out of
/// memory: std::bad_alloc.
///
/// y[rows][out] = x[rows][in] * weight[out][in]^T
void multiply(size_t rows, size_t out, size_t in, const float *x, const float *weight, float *y);
/// dx[rows][in] = dy[rows][out] * weight[out][in], added to dx if `add`
void multiplyBack(size_t rows, size_t out, size_t in, const float *dy, const float *weight,
                  float *dx, bool add);
/// dw[out][in] = dy[rows][ldy]^T * x[rows][in] for `out` columns of dy, added to dw if `add`
void multiplyOuter(size_t rows, size_t out, size_t in, const float *dy, size_t ldy, const float *x,
                   float *dw, bool add);

} // namespace semdns::encoder
