#include "runtime/artifact/features.h"

#include "runtime/artifact/arrays.h"
#include "runtime/artifact/keywords.h"

namespace semdns::artifact {

using base::fail;

uint64_t firstMinimum(const int8_t *values, uint64_t size) {
  const void *found = size ? memchr(values, 0x80, size) : nullptr;
  return found ? static_cast<uint64_t>(static_cast<const int8_t *>(found) - values) : size;
}

bool Features::parse(Span span, Features &out, base::Error &error, bool trustValues) {
  constexpr uint32_t kTag = SEMDNS_TAG_TOKV;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_tokv_header), error))
    return false;
  Features f;
  f.header = reinterpret_cast<const semdns_tokv_header *>(span.data);
  const semdns_tokv_header &h = *f.header;
  if (h.tokeniser != SEMDNS_TOKENISER_WORDS)
    return fail(error, SEMDNS_ERROR_FEATURE, kTag, 0,
                "tokeniser %u; this build knows 0, words: use a newer semdns", h.tokeniser);
  if (h.flags & ~SEMDNS_FEATURE_PUNCT)
    return fail(error, SEMDNS_ERROR_FEATURE, kTag, 4, "unknown flags 0x%x: use a newer semdns",
                h.flags);
  if (h.dim < SEMDNS_DIM_ALIGN || h.dim > SEMDNS_MAX_DIM || h.dim % SEMDNS_DIM_ALIGN)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 8,
                "dimension %u; a multiple of %u up to %u is possible", h.dim, SEMDNS_DIM_ALIGN,
                SEMDNS_MAX_DIM);
  if (h.row_count < 1 || h.row_count > SEMDNS_MAX_ROWS || h.bucket_count < 1)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 12,
                "%u rows, %u buckets; 1 to %u rows and at least 1 bucket are possible", h.row_count,
                h.bucket_count, SEMDNS_MAX_ROWS);
  const bool chars = h.char_ngram_min != 0;
  if (h.word_ngram_max < 1 || h.word_ngram_max > 3 ||
      (chars ? h.char_ngram_min < 2 || h.char_ngram_max < h.char_ngram_min || h.char_ngram_max > 6
             : h.char_ngram_max != 0))
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 20,
                "word n-grams up to %u, character n-grams %u to %u; 1 to 3, and none (0 to 0) or "
                "2 to 6 are possible",
                h.word_ngram_max, h.char_ngram_min, h.char_ngram_max);
  if (h.unknown_norm > 65535)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 32, "unknown_norm %u; the limit is 65535",
                h.unknown_norm);
  bool reserved = h.reserved0 != 0;
  for (uint64_t r : h.reserved1)
    reserved |= r != 0;
  if (reserved)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 36, "reserved field is not zero");
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("feature table", h.buckets_offset, h.bucket_count, sizeof(semdns_word_bucket)) ||
      !arrays.take("rows", h.rows_offset, h.row_count, h.dim) ||
      !arrays.take("norms", h.norms_offset, h.row_count, sizeof(uint16_t)) || !arrays.finish())
    return false;
  f.buckets = reinterpret_cast<const semdns_word_bucket *>(span.data + h.buckets_offset);
  f.rows = reinterpret_cast<const int8_t *>(span.data + h.rows_offset);
  f.norms = reinterpret_cast<const uint16_t *>(span.data + h.norms_offset);
  if (!checkWordBuckets(kTag, f.buckets, h.bucket_count, h.row_count - 1, h.buckets_offset, error))
    return false;
  const uint64_t values = uint64_t{h.row_count} * h.dim;
  if (uint64_t i = trustValues ? values : firstMinimum(f.rows, values); i < values)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, h.rows_offset + i,
                "a row has the value -128; -127 to 127 are possible");
  if (f.norms[0])
    return fail(error, SEMDNS_ERROR_SECTION, kTag, h.norms_offset,
                "norm of the bias is %u; expected 0", f.norms[0]);
  out = f;
  return true;
}

} // namespace semdns::artifact
