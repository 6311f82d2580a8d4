/// \file Test models with a stage 3: a small random encoder and a tokeniser of letters.
#pragma once

#include "test/unit/runtime/make_artifact.h"

namespace semdns::test {

/// makeModel with a head, an encoder of its width (a multiple of 16; 0: 32) and a tokeniser whose
/// pieces are ASCII letters and digits. `tokenCost` is ENCM's.
TestModel makeEncoderModel(ModelOptions options, uint32_t tokenCost = 0);

} // namespace semdns::test
