/// \file A native kernel for tests that have no compiler at hand: the portable kernel, built with
/// the project as an image that the runtime's loader takes, with its info filled in for a model.
#pragma once

#include "test/unit/runtime/make_artifact.h"

namespace semdns::test {

/// A KCPU section for `model`, for x86-64-v2 whatever it was compiled for.
KernelSection testKernel(const TestModel &model);

} // namespace semdns::test
