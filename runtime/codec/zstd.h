/// \file The mode `zstd`: zstd with a dictionary, its working memory in the caller's scratch.
#pragma once

#include "runtime/codec/coder.h"

typedef struct ZSTD_CDict_s ZSTD_CDict;
typedef struct ZSTD_DDict_s ZSTD_DDict;

namespace semdns::codec {

/// A dictionary digested for both directions; refers to its bytes. Owns memory: release it.
struct ZstdTables {
  ZSTD_CDict *compress = nullptr; ///< null: for decoding only
  ZSTD_DDict *decompress = nullptr;
  size_t compressScratch = 0;
};

/// Digests `dictionary`; for compression too with `level` 1..19 (0: for decoding only). Allocates.
/// False without memory; *out is to be released either way.
bool openZstd(const uint8_t *dictionary, size_t size, int level, ZstdTables &out);
void releaseZstd(ZstdTables &tables);
size_t zstdScratch(const ZstdTables &tables);

/// As the coders of coder.h; frames without magic, sizes and checksums, which ours has.
size_t zstdEncode(const ZstdTables &tables, const uint8_t *in, size_t n, uint8_t *out,
                  size_t capacity, void *scratch);
bool zstdDecode(const ZstdTables &tables, const uint8_t *in, size_t size, uint8_t *out, size_t n,
                void *scratch);

} // namespace semdns::codec
