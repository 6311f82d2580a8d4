#include "runtime/codec/zstd.h"

#include <stdlib.h>
#include <string.h>

// Contexts in the caller's memory, and frames without magic, are of zstd's "static" interface,
// which the shared library exports too.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

namespace semdns::codec {
namespace {

size_t compressInto(const ZSTD_CDict *dictionary, const uint8_t *in, size_t n, uint8_t *out,
                    size_t capacity, void *scratch, size_t scratchSize) {
  ZSTD_CCtx *context = ZSTD_initStaticCCtx(scratch, scratchSize);
  if (!context ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_format, ZSTD_f_zstd1_magicless)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_dictIDFlag, 0)) ||
      ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0)) ||
      ZSTD_isError(ZSTD_CCtx_refCDict(context, dictionary)))
    return 0;
  const size_t size = ZSTD_compress2(context, out, capacity, in, n);
  return ZSTD_isError(size) ? 0 : size;
}

/// Bytes of scratch with which a block of any content compresses. zstd's estimates leave out what a
/// dictionary makes of its parameters, so they are tried.
size_t measureScratch(const ZSTD_CDict *dictionary, int level, size_t dictionarySize) {
  size_t size =
      ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, kMaxBlock, dictionarySize));
  auto *block = static_cast<uint8_t *>(calloc(2 * kMaxBlock, 1));
  for (int attempt = 0; block && attempt < 8; ++attempt, size += size / 2) {
    size = (size + 63) & ~size_t(63);
    void *scratch = aligned_alloc(64, size);
    if (!scratch)
      break;
    const bool enough =
        compressInto(dictionary, block, kMaxBlock, block + kMaxBlock, kMaxBlock, scratch, size) &&
        compressInto(dictionary, block, 1, block + kMaxBlock, kMaxBlock, scratch, size);
    free(scratch);
    if (enough) {
      free(block);
      return size;
    }
  }
  free(block);
  return 0;
}

size_t roundUp(size_t size) { return (size + 63) & ~size_t(63); }

} // namespace

bool openZstd(const uint8_t *dictionary, size_t size, int level, ZstdTables &out) {
  out = {};
  out.decompress = ZSTD_createDDict_byReference(dictionary, size);
  if (!out.decompress || !level)
    return out.decompress;
  out.compress = ZSTD_createCDict_byReference(dictionary, size, level);
  if (out.compress)
    out.compressScratch = measureScratch(out.compress, level, size);
  return out.compressScratch;
}

void releaseZstd(ZstdTables &tables) {
  ZSTD_freeCDict(tables.compress);
  ZSTD_freeDDict(tables.decompress);
  tables = {};
}

size_t zstdScratch(const ZstdTables &tables) {
  const size_t decode = roundUp(ZSTD_estimateDCtxSize());
  return tables.compressScratch > decode ? tables.compressScratch : decode;
}

size_t zstdEncode(const ZstdTables &tables, const uint8_t *in, size_t n, uint8_t *out,
                  size_t capacity, void *scratch) {
  return compressInto(tables.compress, in, n, out, capacity, scratch, tables.compressScratch);
}

bool zstdDecode(const ZstdTables &tables, const uint8_t *in, size_t size, uint8_t *out, size_t n,
                void *scratch) {
  ZSTD_DCtx *context = ZSTD_initStaticDCtx(scratch, roundUp(ZSTD_estimateDCtxSize()));
  return context &&
         !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless)) &&
         !ZSTD_isError(ZSTD_DCtx_refDDict(context, tables.decompress)) &&
         ZSTD_decompressDCtx(context, out, n, in, size) == n;
}

} // namespace semdns::codec
