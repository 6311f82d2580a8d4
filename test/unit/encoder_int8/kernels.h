/// \file Stage 3's kernels for every CPU level that this machine runs.
#pragma once

#include "runtime/artifact/elf.h"
#include "semdns/format/encoder.h"
#include "semdns/kernel.h"
#include "test/unit/runtime/make_artifact.h"

#include <memory>
#include <string>
#include <vector>

namespace semdns::test {

struct EncodeKernel {
  std::string name, elf;
  std::unique_ptr<artifact::ElfImage> image;
  semdns_kernel_encode_fn encode = nullptr;
};

/// Compiles kernels for an encoder of the shape that `header` states and maps them. Aborts when
/// something does not compile.
std::vector<EncodeKernel> compileEncodeKernels(const semdns_encm_header &header);

/// KCPU sections for a model with an encoder (with_encoder.h).
std::vector<KernelSection> compileKernelSections(const TestModel &model);

} // namespace semdns::test
