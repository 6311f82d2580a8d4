/// \file Reads a sentence encoder as sentence-transformers and Hugging Face lay it out.
#pragma once

#include "lib/encoder/model.h"
#include "lib/support/diagnostics.h"

#include <optional>
#include <string>

namespace semdns::encoder {

/// Reads `folder`: config.json, model.safetensors (F32, F16 or BF16), tokenizer.json or else
/// vocab.txt with tokenizer_config.json, and, where they are, modules.json, the pooling module's
/// config.json, sentence_bert_config.json and the licence stated at the head of README.md.
///
/// Only `model_type` bert with absolute positions is taken, pooled by mean, CLS or maximum.
/// Whatever is missing, unknown, of another size than stated, or not a finite number is an error in
/// `diags`, located in its file and named; then the result is nullopt. One run reports the errors
/// of all files that can still be read. Warnings: added tokens that are not special.
/// Deterministic; needs about twice the size of the weights file in memory.
std::optional<Model> importEncoder(const std::string &folder, Diagnostics &diags);

} // namespace semdns::encoder
