/// \file Models as one file of our own: what fine-tuning yields is kept and named by its digest.
#pragma once

#include "lib/encoder/model.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace semdns::encoder {

/// One tensor of a model: `rows` x `columns` floats (`columns` 1 for vectors), row-major. `name` is
/// the one in Hugging Face's files, without prefix.
struct Tensor {
  std::string name;
  std::vector<float> *values = nullptr;
  uint32_t rows = 0, columns = 1;
};

/// All tensors that `model.shape` asks for, in canonical order; makes room in weights.layers. The
/// vectors' own sizes are not looked at.
std::vector<Tensor> tensorsOf(Model &model);

/// SHA-256 (64 hex digits) of the canonical bytes: shape, tokeniser and weights, not the licence.
/// Whoever changes a model sets its digest anew with this.
std::string digestOf(const Model &model);

/// Writes the model to `path`, atomically, replacing what is there. False and `error` on failure.
bool saveModel(const Model &model, const std::string &path, std::string &error);

/// Reads what saveModel wrote: limits, sizes and the digest are checked, weights are finite. On
/// failure nullopt, and `error` says what is wrong.
std::optional<Model> loadModel(const std::string &path, std::string &error);

/// What is wrong with a model's shape, tokeniser and sizes, or empty. Limits of model.h.
std::string faultOf(const Model &model);

} // namespace semdns::encoder
