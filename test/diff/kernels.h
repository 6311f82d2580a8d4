/// \file Kernels of one test model: compiled for every CPU level that this machine runs.
#pragma once

#include "runtime/artifact/elf.h"
#include "semdns/kernel.h"
#include "test/unit/runtime/make_artifact.h"

#include <memory>
#include <string>
#include <vector>

namespace semdns::diff {

/// A compiled kernel in memory, loaded by the runtime's own loader.
struct Kernel {
  std::string name, elf;
  std::unique_ptr<artifact::ElfImage> image;
  semdns_kernel_route_fn route = nullptr;
};

/// Compiles `model` as build-hierarchy does, for every level that this machine runs, and loads the
/// results. Aborts with a message when anything refuses.
std::vector<Kernel> compileKernels(const test::TestModel &model, uint32_t bucketCount);

/// The PTX of the same model.
std::string compileGpu(const test::TestModel &model, uint32_t bucketCount);

} // namespace semdns::diff
