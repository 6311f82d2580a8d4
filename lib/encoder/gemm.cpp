#include "lib/encoder/gemm.h"

#include <dlfcn.h>
#include <dnnl.h>

#include <new>

namespace semdns::encoder {

namespace {

/// Must run before oneDNN is asked anything: it reads the limit once.
void pinIsa() {
  static const bool done = [] {
    (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core);
    return true;
  }();
  (void)done;
}

/// The OpenMP runtime that oneDNN brought along, whichever it is; null when oneDNN was built with
/// another threading.
template <typename Function> Function *openMp(const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_DEFAULT, name));
}

void product(char transA, char transB, size_t m, size_t n, size_t k, const float *a, size_t lda,
             const float *b, size_t ldb, float *c, bool add) {
  dnnl_status_t status =
      dnnl_sgemm(transA, transB, dnnl_dim_t(m), dnnl_dim_t(n), dnnl_dim_t(k), 1.0f, a,
                 dnnl_dim_t(lda), b, dnnl_dim_t(ldb), add ? 1.0f : 0.0f, c, dnnl_dim_t(n));
  if (status != dnnl_success)
    throw std::bad_alloc(); // shapes are ours: only memory is left as a reason
}

} // namespace

std::string arithmetic() {
  pinIsa();
  const dnnl_version_t *version = dnnl_version();
  std::string text = "oneDNN " + std::to_string(version->major) + "." +
                     std::to_string(version->minor) + "." + std::to_string(version->patch) +
                     " fp32 ";
  switch (dnnl_get_effective_cpu_isa()) {
  case dnnl_cpu_isa_avx512_core:
    return text + "avx512_core";
  case dnnl_cpu_isa_avx2:
  case dnnl_cpu_isa_avx2_vnni:
    return text + "avx2";
  case dnnl_cpu_isa_avx:
    return text + "avx";
  case dnnl_cpu_isa_sse41:
    return text + "sse41";
  default:
    return text + "generic";
  }
}

SingleThreaded::SingleThreaded() : before_(0) {
  pinIsa();
  static auto *get = openMp<int()>("omp_get_max_threads");
  static auto *set = openMp<void(int)>("omp_set_num_threads");
  if (get && set) {
    before_ = get();
    set(1);
  }
}

SingleThreaded::~SingleThreaded() {
  if (before_)
    openMp<void(int)>("omp_set_num_threads")(before_);
}

void multiply(size_t rows, size_t out, size_t in, const float *x, const float *weight, float *y) {
  product('N', 'T', rows, out, in, x, in, weight, in, y, false);
}

void multiplyBack(size_t rows, size_t out, size_t in, const float *dy, const float *weight,
                  float *dx, bool add) {
  product('N', 'N', rows, in, out, dy, out, weight, in, dx, add);
}

void multiplyOuter(size_t rows, size_t out, size_t in, const float *dy, size_t ldy, const float *x,
                   float *dw, bool add) {
  product('T', 'N', out, in, rows, dy, ldy, x, in, dw, add);
}

} // namespace semdns::encoder
