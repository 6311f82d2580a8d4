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
    // All slots and all pairs of slots at once; what is wrong is looked for only where something
    // is.
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < 8; ++i)
      wrong |= uint32_t{(bucket.fingerprint[i] == 0) != (bucket.id[i] == 0)} |
               uint32_t{bucket.id[i] > maxId};
    for (uint32_t turn = 1; turn <= 4; ++turn)
      for (uint32_t i = 0; i < 8; ++i) {
        const uint32_t other = bucket.fingerprint[(i + turn) % 8];
        wrong |= uint32_t{bucket.fingerprint[i] == other} & uint32_t{other != 0};
      }
    if (!wrong)
      continue;
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
  if (h.word_buckets < 1 || h.state_count < 1 || h.term_count > SEMDNS_MAX_TERMS)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u word buckets, %u states, %u terms; at least 1, 1 and at most %u terms are "
                "possible",
                h.word_buckets, h.state_count, h.term_count, SEMDNS_MAX_TERMS);
  if (h.accept_purity > 65536 || h.confidence > 65536)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 32,
                "purity %u, confidence %u; both are at most 65536", h.accept_purity, h.confidence);
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_keyw_header, reserved),
                  "reserved field is not zero");
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("word table", h.words_offset, h.word_buckets, sizeof(semdns_word_bucket)) ||
      !arrays.take("roots", h.roots_offset, uint64_t{h.word_count} + 1, 4) ||
      !arrays.take("states", h.states_offset, uint64_t{h.state_count} + 1,
                   sizeof(semdns_keyw_state)) ||
      !arrays.take("edges", h.edges_offset, h.edge_count, sizeof(semdns_keyw_edge)) ||
      !arrays.take("outputs", h.outputs_offset, h.output_count, 4) ||
      !arrays.take("terms", h.terms_offset, h.term_count, sizeof(semdns_term)) ||
      !arrays.take("strings", h.strings_offset, h.string_bytes, 1) || !arrays.finish())
    return false;
  k.words = reinterpret_cast<const semdns_word_bucket *>(span.data + h.words_offset);
  k.roots = reinterpret_cast<const uint32_t *>(span.data + h.roots_offset);
  k.states = reinterpret_cast<const semdns_keyw_state *>(span.data + h.states_offset);
  k.edges = reinterpret_cast<const semdns_keyw_edge *>(span.data + h.edges_offset);
  k.outputs = reinterpret_cast<const uint32_t *>(span.data + h.outputs_offset);
  k.terms = reinterpret_cast<const semdns_term *>(span.data + h.terms_offset);
  k.strings = reinterpret_cast<const char *>(span.data + h.strings_offset);

  if (!checkWordBuckets(kTag, k.words, h.word_buckets, h.word_count, h.words_offset, error))
    return false;
  for (uint32_t i = 0; i <= h.word_count; ++i)
    if (k.roots[i] >= h.state_count || (i == 0 && k.roots[i]) ||
        (k.roots[i] && k.states[k.roots[i]].depth != 1))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, h.roots_offset + 4ull * i,
                  "root step of word %u leads to state %u; it must be 0 or a state of depth 1 "
                  "below %u",
                  i, k.roots[i], h.state_count);
  for (uint32_t i = 0; i <= h.state_count; ++i) {
    const semdns_keyw_state &state = k.states[i];
    const uint64_t at = h.states_offset + sizeof state * uint64_t{i};
    const bool last = i == h.state_count;
    const uint32_t edges = i ? k.states[i - 1].edge_begin : 0;
    const uint32_t outputs = i ? k.states[i - 1].output_begin : 0;
    // State 0 has neither edges nor outputs of its own: its steps are the roots.
    if (state.edge_begin < edges || state.output_begin < outputs ||
        (i <= 1 && (state.edge_begin || state.output_begin)) ||
        (last ? state.edge_begin != h.edge_count || state.output_begin != h.output_count
              : state.edge_begin > h.edge_count || state.output_begin > h.output_count))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "state %u begins at edge %u, output %u, after %u and %u; they must rise from 0 "
                  "to %u and %u",
                  i, state.edge_begin, state.output_begin, edges, outputs, h.edge_count,
                  h.output_count);
    // Failure links that lose depth end, after at most SEMDNS_MAX_TERM_WORDS of them.
    const bool root = i == 0 || last;
    if (state.depth > SEMDNS_MAX_TERM_WORDS || root != (state.depth == 0) ||
        state.fail >= h.state_count || (root && state.fail != 0) ||
        (!root && k.states[state.fail].depth >= state.depth))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at + 8,
                  "state %u has depth %u and fails to state %u of %u; depths are 1 to %u (0 for "
                  "the first and the last) and fall along failure links",
                  i, state.depth, state.fail, h.state_count, SEMDNS_MAX_TERM_WORDS);
  }
  for (uint32_t i = 1; i < h.state_count; ++i)
    for (uint32_t e = k.states[i].edge_begin; e < k.states[i + 1].edge_begin; ++e) {
      const semdns_keyw_edge &edge = k.edges[e];
      if (edge.word < 1 || edge.word > h.word_count || edge.state >= h.state_count ||
          k.states[edge.state].depth != k.states[i].depth + 1 ||
          (e > k.states[i].edge_begin && k.edges[e - 1].word >= edge.word))
        return fail(error, SEMDNS_ERROR_SECTION, kTag, h.edges_offset + sizeof edge * uint64_t{e},
                    "edge %u of state %u: word %u -> state %u; there are %u words and %u states, "
                    "words rise within a state, and an edge leads one deeper",
                    e, i, edge.word, edge.state, h.word_count, h.state_count);
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
