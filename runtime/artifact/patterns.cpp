#include "runtime/artifact/patterns.h"

#include "runtime/artifact/arrays.h"
#include "runtime/base/utf8.h"

namespace semdns::artifact {

using base::fail;

namespace {

// Words of a text, 0 if it is not words joined by single spaces. Of a skeleton the lines, each of
// which is words.
uint32_t countWords(std::string_view text, bool lines) {
  uint32_t words = 1;
  char before = ' ';
  for (const char c : text) {
    const bool between = c == ' ' || (lines && c == '\n');
    if (c == 0 || (between && (before == ' ' || before == '\n')))
      return 0;
    words += lines ? c == '\n' : c == ' ';
    before = c;
  }
  return before == ' ' || before == '\n' ? 0 : words;
}

bool knownKind(uint32_t kind) {
  return (kind >= SEMDNS_PATTERN_NGRAM && kind <= SEMDNS_PATTERN_CLUSTER) ||
         kind == SEMDNS_PATTERN_DOCUMENT;
}

} // namespace

bool Patterns::parse(Span span, Patterns &out, base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_PATS;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_pats_header), error))
    return false;
  Patterns p;
  p.header = reinterpret_cast<const semdns_pats_header *>(span.data);
  const semdns_pats_header &h = *p.header;
  if (h.pattern_count > SEMDNS_MAX_PATTERNS || h.string_bytes > SEMDNS_PATS_MAX_STRINGS)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%u patterns, %u bytes of text; the limits are %u and %u", h.pattern_count,
                h.string_bytes, SEMDNS_MAX_PATTERNS, SEMDNS_PATS_MAX_STRINGS);
  if (h.reserved[0] || h.reserved[1] || h.reserved[2])
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_pats_header, reserved),
                "reserved field is not zero");
  if (h.document_count < 1)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_pats_header, document_count),
                "no documents");
  const uint32_t contrast =
      h.background_documents ? SEMDNS_CONTRAST_LOG_ODDS : SEMDNS_CONTRAST_RESIDUAL_IDF;
  if (h.contrast != contrast)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_pats_header, contrast),
                "contrast %u; with %" PRIu64 " background documents %u is expected", h.contrast,
                h.background_documents, contrast);
  const uint64_t textAt = sizeof h + uint64_t{h.pattern_count} * sizeof(semdns_pattern);
  if (textAt + h.string_bytes != span.size)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "section of %" PRIu64 " bytes; its counts give %" PRIu64, span.size,
                textAt + h.string_bytes);
  p.patterns = reinterpret_cast<const semdns_pattern *>(span.data + sizeof h);
  p.strings = reinterpret_cast<const char *>(span.data + textAt);
  uint64_t next = 0;
  for (uint32_t i = 0; i < h.pattern_count; ++i) {
    const semdns_pattern &r = p.patterns[i];
    const uint64_t at = sizeof h + sizeof r * uint64_t{i};
    if (r.text_offset != next || r.text_size < 1 || r.text_size > SEMDNS_PATS_MAX_TEXT ||
        r.text_size > h.string_bytes - next)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "pattern %u: %u bytes of text at %u; 1 to %u at %" PRIu64 " of %u are possible",
                  i, r.text_size, r.text_offset, SEMDNS_PATS_MAX_TEXT, next, h.string_bytes);
    next += r.text_size;
    const std::string_view text = p.text(i);
    const uint32_t maxWords = r.kind >= SEMDNS_PATTERN_PHRASE ? SEMDNS_PATS_MAX_WORDS : 3;
    if (!knownKind(r.kind) || r.words < 1 || r.words > maxWords ||
        countWords(text, r.kind == SEMDNS_PATTERN_DOCUMENT) != r.words)
      return fail(
          error, SEMDNS_ERROR_SECTION, kTag, at,
          "pattern %u: kind %u of %u words; kinds are 1 to 5 and 7, words joined by single spaces",
          i, r.kind, r.words);
    if (base::firstInvalidUtf8(text.data(), text.size()) < text.size())
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at, "pattern %u: text is not UTF-8", i);
    if (r.documents < 1 || r.documents > r.count || r.documents > h.document_count ||
        r.background > h.background_documents)
      return fail(
          error, SEMDNS_ERROR_SECTION, kTag, at,
          "pattern %u: %u occurrences in %u documents, %u of the background: more documents "
          "than occurrences or than there are",
          i, r.count, r.documents, r.background);
    if (i && (r.kind < p.patterns[i - 1].kind ||
              (r.kind == p.patterns[i - 1].kind && !(p.text(i - 1) < text))))
      return fail(error, SEMDNS_ERROR_SECTION, kTag, at,
                  "pattern %u: not sorted behind the one before, or twice", i);
  }
  if (next != h.string_bytes)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, textAt + next,
                "text that belongs to no pattern");
  out = p;
  return true;
}

} // namespace semdns::artifact
