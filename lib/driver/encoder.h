/// \file The sentence encoder in a build: imported, perhaps fine-tuned on the examples, asked as
/// the teacher of training, and packed for stage 3.
#pragma once

#include "lib/encoder/cache.h"
#include "lib/encoder/model.h"
#include "lib/encoder/tokeniser.h"
#include "lib/support/diagnostics.h"
#include "lib/train/train.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace semdns::driver {

struct EncoderOptions {
  std::string folder;  ///< as sentence-transformers stores one
  uint32_t layers = 0; ///< the first so many; 0: all
  std::string cache;   ///< folder; empty: the default one; "none": nothing is kept
  unsigned threads = 1;
  uint64_t seed = 1;
};

/// Used by one thread. `diags` must outlive it.
class EncoderStage {
public:
  /// Imports the encoder. Null after an error; `where` is the place that named the folder.
  static std::unique_ptr<EncoderStage> load(const EncoderOptions &options, const Location &where,
                                            Diagnostics &diags);

  /// Trains encoder and head on the labelled rows of Part::Train, or finds what an earlier build
  /// has made of the same encoder, rows and options in the cache. False after an error.
  bool finetune(const train::TrainingData &data);

  /// Texts to unit-length embeddings, through the cache. Refers to this object.
  train::Teacher teacher();

  /// Sections WPCE and ENCM. False with `why` when the encoder cannot be packed.
  bool pack(std::string &wordpiece, std::string &encoder, std::string &why) const;

  /// META pairs `encoder.*`: identity, licence, arithmetic of the embeddings.
  std::map<std::string, std::string> meta() const;

  const encoder::Model &model() const { return model_; }
  uint64_t embedded() const { return cache_ ? cache_->misses() : 0; } ///< texts computed so far
  uint64_t remembered() const { return cache_ ? cache_->hits() : 0; } ///< texts found in the cache

private:
  EncoderStage(EncoderOptions options, encoder::Model model, Diagnostics &diags);
  std::string cacheFolder() const;
  void openCache();

  EncoderOptions options_;
  encoder::Model model_;
  std::string importedDigest_, tuned_; ///< tuned_: options of fine-tuning; empty: as imported
  std::optional<encoder::Tokeniser> tokeniser_;
  std::optional<encoder::EmbeddingCache> cache_;
  std::vector<float> head_; ///< of fine-tuning, [classes][width]; empty: none
  Diagnostics *diags_;
};

} // namespace semdns::driver
