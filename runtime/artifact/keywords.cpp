#include "runtime/artifact/keywords.h"

#include "kernels/hash.h"
#include "runtime/artifact/arrays.h"
#include "runtime/base/utf8.h"

namespace semdns::artifact {

using base::fail;

namespace {
constexpr uint32_t kTag = SEMDNS_TAG_KEYW;
}

bool checkWordBuckets(uint32_t tag, const semdns_word_bucket *buckets, uint32_t count,
                      uint32_t maxId, uint64_t at, base::Error &error) {
  for (uint32_t b = 0; b < count; ++b) {
    const semdns_word_bucket &bucket = buckets[b];
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t fingerprint = bucket.fingerprint[i], id = bucket.id[i];
      if ((fingerprint == 0) != (id == 0) || id > maxId)
        return fail(error, SEMDNS_ERROR_SECTION, tag, at + 64ull * b,
                    "bucket %u, slot %u: fingerprint 0x%08x with id %u of %u", b, i, fingerprint,
                    id, maxId);
      if (!fingerprint)
        continue;
      // Twice the same fingerprint: which one is found would depend on the kernel.
      for (uint32_t j = 0; j < i; ++j)
        if (bucket.fingerprint[j] == fingerprint)
          return fail(error, SEMDNS_ERROR_SECTION, tag, at + 64ull * b,
                      "bucket %u: fingerprint 0x%08x stands twice", b, fingerprint);
    }
  }
  return true;
}

bool Keywords::parse(Span span, const Zones &zones, Keywords &out, base::Error &error) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_keyw_header), error))
    return false;
  Keywords k;
  k.header = reinterpret_cast<const semdns_keyw_header *>(span.data);
  const semdns_keyw_header &h = *k.header;
  if (h.word_buckets < 1 || h.step_buckets < 1 || h.state_count < 1 ||
      h.term_count > SEMDNS_MAX_TERMS)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u word buckets, %u step buckets, %u states, %u terms; at least 1, 1, 1 and at "
                "most %u terms are possible",
                h.word_buckets, h.step_buckets, h.state_count, h.term_count, SEMDNS_MAX_TERMS);
  if (h.accept_purity > 65536 || h.confidence > 65536)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 32,
                "purity %u, confidence %u; both are at most 65536", h.accept_purity, h.confidence);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_keyw_header, reserved),
                  "reserved field is not zero");
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("word table", h.words_offset, h.word_buckets, sizeof(semdns_word_bucket)) ||
      !arrays.take("step table", h.steps_offset, h.step_buckets, sizeof(semdns_step_bucket)) ||
      !arrays.take("output index", h.output_begin_offset, uint64_t{h.state_count} + 1, 4) ||
      !arrays.take("outputs", h.outputs_offset, h.output_count, 4) ||
      !arrays.take("terms", h.terms_offset, h.term_count, sizeof(semdns_term)) ||
      !arrays.take("strings", h.strings_offset, h.string_bytes, 1) || !arrays.finish())
    return false;
  k.words = reinterpret_cast<const semdns_word_bucket *>(span.data + h.words_offset);
  k.steps = reinterpret_cast<const semdns_step_bucket *>(span.data + h.steps_offset);
  k.outputBegin = reinterpret_cast<const uint32_t *>(span.data + h.output_begin_offset);
  k.outputs = reinterpret_cast<const uint32_t *>(span.data + h.outputs_offset);
  k.terms = reinterpret_cast<const semdns_term *>(span.data + h.terms_offset);
  k.strings = reinterpret_cast<const char *>(span.data + h.strings_offset);

  if (!checkWordBuckets(kTag, k.words, h.word_buckets, h.word_count, h.words_offset, error))
    return false;
  for (uint32_t b = 0; b < h.step_buckets; ++b) {
    const semdns_step_bucket &bucket = k.steps[b];
    const uint64_t at = h.steps_offset + 64ull * b;
    for (uint32_t i = 0; i < 4; ++i) {
      const uint64_t key = bucket.key[i];
      const uint32_t to = bucket.state[i];
      if (bucket.zero[i] || (key == 0 && to != 0))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "step bucket %u, slot %u: a free slot's state or a reserved field is not zero",
                    b, i);
      if (!key)
        continue;
      const uint64_t from = key >> 32;
      const uint32_t word = static_cast<uint32_t>(key);
      if (from >= h.state_count || to < 1 || to >= h.state_count || word < 1 || word > h.word_count)
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "step bucket %u, slot %u: state %" PRIu64 ", word %u -> state %u; there are %u "
                    "states and %u words, and no step leads to state 0",
                    b, i, from, word, to, h.state_count, h.word_count);
      if (semdns_bucket(semdns_hash_mix(key), h.step_buckets) != b)
        return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                    "step bucket %u, slot %u: key 0x%" PRIx64 " belongs to bucket %u", b, i, key,
                    semdns_bucket(semdns_hash_mix(key), h.step_buckets));
      for (uint32_t j = 0; j < i; ++j)
        if (bucket.key[j] == key)
          return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                      "step bucket %u: key 0x%" PRIx64 " stands twice", b, key);
    }
  }
  for (uint32_t i = 0; i <= h.state_count; ++i) {
    const uint32_t begin = k.outputBegin[i], before = i ? k.outputBegin[i - 1] : 0;
    if ((i == 0 && begin != 0) || begin < before ||
        (i == h.state_count ? begin != h.output_count : begin > h.output_count))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.output_begin_offset + 4ull * i,
                  "output index %u is %u, after %u; it must rise from 0 to %u", i, begin, before,
                  h.output_count);
  }
  for (uint32_t i = 0; i < h.output_count; ++i)
    if (k.outputs[i] >= h.term_count)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.outputs_offset + 4ull * i,
                  "output %u is term %u; there are %u terms", i, k.outputs[i], h.term_count);
  for (uint32_t i = 0; i < h.term_count; ++i) {
    const semdns_term &t = k.terms[i];
    const uint64_t at = h.terms_offset + sizeof t * uint64_t{i};
    if (t.zone < 1 || t.zone >= zones.header->zone_count || t.weight < 1 ||
        t.weight > SEMDNS_MAX_TERM_WEIGHT)
      return fail(
          error, SEMDNS_ERROR_SECTION, kTag, at,
          "term %u: zone %u, weight %u; zones are 1 to %u (never the root), weights 1 to %u", i,
          t.zone, t.weight, zones.header->zone_count - 1, SEMDNS_MAX_TERM_WEIGHT);
    if (!base::inBounds(t.text_offset, t.text_size, h.string_bytes) ||
        base::firstInvalidUtf8(k.strings + t.text_offset, t.text_size) < t.text_size)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "term %u: text of %u bytes at %u lies outside the %u bytes of strings or is not "
                  "UTF-8",
                  i, t.text_size, t.text_offset, h.string_bytes);
  }
  out = k;
  return true;
}

} // namespace semdns::artifact
