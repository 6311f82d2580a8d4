/// \file Owning handles for semdns/codec.h, as tools use it.
#pragma once

#include "semdns/codec.h"
#include "semdns/semdns.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

namespace semdns::tools {

struct CodecDelete {
  void operator()(semdns_codec *codec) const { semdns_codec_destroy(codec); }
};
struct FreeDelete {
  void operator()(void *memory) const { std::free(memory); }
};

/// An artifact's codec with a scratch for one thread.
struct Codec {
  std::unique_ptr<semdns_codec, CodecDelete> raw;
  std::unique_ptr<void, FreeDelete> scratch;

  /// Empty on failure.
  static Codec create(const Artifact &artifact, const semdns_codec_options &options, Error &error) {
    Codec codec;
    semdns_codec *made = nullptr;
    if (semdns_codec_create(artifact.raw(), &options, &made, error.raw()) != SEMDNS_OK)
      return codec;
    codec.raw.reset(made);
    const size_t size = semdns_codec_scratch_size(made);
    codec.scratch.reset(std::aligned_alloc(64, size));
    if (codec.scratch) {
      std::memset(codec.scratch.get(), 0, size);
    } else {
      error = Error(SEMDNS_ERROR_MEMORY);
      codec.raw.reset();
    }
    return codec;
  }
  explicit operator bool() const { return raw != nullptr; }
};

/// "turbo" as a semdns_codec_mode; nullopt for unknown names.
inline std::optional<uint32_t> parseMode(const std::string &name) {
  for (const uint32_t mode : {SEMDNS_CODEC_RAW, SEMDNS_CODEC_ZSTD, SEMDNS_CODEC_TURBO,
                              SEMDNS_CODEC_FAST, SEMDNS_CODEC_MAX, SEMDNS_CODEC_AUTO})
    if (name == semdns_codec_mode_text(mode))
      return mode;
  return std::nullopt;
}

} // namespace semdns::tools
