/// \file What `semdns_codec` is: an artifact's codec tables, validated, and who compresses with
/// which.
#pragma once

#include "runtime/base/error.h"
#include "runtime/codec/frame.h"
#include "runtime/codec/model.h"
#include "runtime/codec/turbo.h"
#include "runtime/codec/zstd.h"

namespace semdns::codec {

inline constexpr uint32_t kModes = SEMDNS_CODEC_MAX + 1;
inline constexpr uint32_t kNoTables = UINT32_MAX;

/// One section of tables.
struct TableSet {
  Mode mode = Mode::Raw;
  uint32_t zone = 0, age = 0; ///< age 0: what the zone compresses with today
  uint32_t prefix = 0;        ///< of the digest
  bool ready = false;         ///< validated: the mode was asked for
  const uint8_t *bytes = nullptr;
  uint64_t size = 0;
  uint8_t digest[32] = {};
  ZstdTables zstd = {};
  PhraseTables phrases = {};
  ModelTables model = {};
};

} // namespace semdns::codec

/// Immutable after creation.
struct semdns_codec {
  semdns_artifact *artifact = nullptr;
  semdns::codec::TableSet *sets = nullptr; ///< [setCount], in the order of the file
  uint32_t setCount = 0;
  uint32_t *owner = nullptr; ///< [zones][kModes] the set that a zone compresses with, or kNoTables
  uint32_t zoneCount = 0;
  /// Scratch: blocks at the edges of a range and trial outputs, then each mode's own part.
  size_t partSize[semdns::codec::kModes] = {};
  size_t partAt[semdns::codec::kModes] = {};
  size_t scratchSize = 0;
};
