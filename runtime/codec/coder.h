/// \file The coders behind frames (frame.h): each compresses and decodes one block by tables frozen
/// in a section. All are pure functions of their arguments: integer arithmetic only, the same bytes
/// on every machine, nothing allocated, working memory from the caller. Thread-safe for different
/// scratch.
#pragma once

#include "semdns/codec.h"

#include <cstddef>
#include <cstdint>

namespace semdns::codec {

/// Pinned: the low three bits of a frame's first byte.
enum class Mode : uint8_t {
  Raw = SEMDNS_CODEC_RAW,
  Zstd = SEMDNS_CODEC_ZSTD,
  Turbo = SEMDNS_CODEC_TURBO,
  Fast = SEMDNS_CODEC_FAST,
  Max = SEMDNS_CODEC_MAX,
};

/// Largest block that a coder is given; longer inputs are cut (frame.h).
inline constexpr size_t kMaxBlock = SEMDNS_CODEC_MAX_BLOCK;

// ---- fast and max: model.h, format/model.h
// -------------------------------------------------------

/// Validated views of the bytes of one TOKM or BYTM section; plain pointers, no ownership.
struct ModelTables;

/// Validates everything that decoding relies on. Returns null, or what is wrong (static text) with
/// its offset in the section in `at`.
const char *attachModel(const uint8_t *bytes, size_t size, ModelTables &out, uint64_t &at);

/// Bytes of scratch, which must be 64-byte aligned and zeroed before its first use; calls may then
/// follow each other with whatever the one before left. At most 4 MB for Fast, 32 MB for Max.
size_t modelScratch(const ModelTables &tables, Mode mode);

/// Compresses one block of at most kMaxBlock bytes; returns the bytes written, or 0 if they would
/// not fit in `capacity` (the frame then escapes to raw). Never fails otherwise.
size_t modelEncode(const ModelTables &tables, Mode mode, const uint8_t *in, size_t n, uint8_t *out,
                   size_t capacity, void *scratch);

/// Decodes exactly `n` bytes from the `size` bytes at `in`; false for anything malformed. Its time
/// is bounded by n, and it never reads or writes outside of the two.
bool modelDecode(const ModelTables &tables, Mode mode, const uint8_t *in, size_t size, uint8_t *out,
                 size_t n, void *scratch);

// ---- turbo: turbo.h, format/phrases.h
// ------------------------------------------------------------

/// Validated views of the bytes of one PHRS section; plain pointers, no ownership.
struct PhraseTables;

const char *attachPhrases(const uint8_t *bytes, size_t size, PhraseTables &out, uint64_t &at);
size_t turboScratch(const PhraseTables &tables);
size_t turboEncode(const PhraseTables &tables, const uint8_t *in, size_t n, uint8_t *out,
                   size_t capacity, void *scratch);
bool turboDecode(const PhraseTables &tables, const uint8_t *in, size_t size, uint8_t *out, size_t n,
                 void *scratch);

} // namespace semdns::codec
