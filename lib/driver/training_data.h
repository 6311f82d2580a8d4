/// \file From what a hierarchy names (examples, corpora, pattern libraries, keywords) to training
/// data.
#pragma once

#include "lib/spec/load.h"
#include "lib/train/train.h"

#include <map>
#include <string>

namespace semdns::driver {

/// Gathers everything to train on, in zone order. Corpora are sampled with `seed`. Problems of
/// files go into `diags`. `inputs` receives META pairs `input.<role>.<n>.<file name>.sha256`: what
/// went in, by content, without folders.
train::TrainingData gatherTrainingData(const spec::Input &input, uint64_t seed, Diagnostics &diags,
                                       std::map<std::string, std::string> &inputs);

} // namespace semdns::driver
