#include "lib/patterns/patterns.h"

#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "lib/support/files.h"
#include "runtime/artifact/meta.h"
#include "runtime/artifact/reader.h"
#include "runtime/artifact/source.h"
#include "runtime/base/checked.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>

namespace semdns::patterns {
namespace {

/// In the order of the file.
constexpr uint32_t kCodecTags[] = {SEMDNS_TAG_DICT, SEMDNS_TAG_PHRS, SEMDNS_TAG_TOKM,
                                   SEMDNS_TAG_BYTM};

bool knownKind(uint32_t kind) {
  return (kind >= SEMDNS_PATTERN_NGRAM && kind <= SEMDNS_PATTERN_CLUSTER) ||
         kind == SEMDNS_PATTERN_DOCUMENT;
}

uint32_t maxWords(uint32_t kind) {
  return kind >= SEMDNS_PATTERN_PHRASE ? SEMDNS_PATS_MAX_WORDS : 3;
}

/// Words of a text, or 0 if it is not words joined by single spaces. Of a skeleton the lines, each
/// of which is words.
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

/// What is wrong with a record, or null.
const char *flaw(uint32_t kind, uint32_t words, uint32_t count, uint32_t documents,
                 std::string_view text) {
  if (!knownKind(kind))
    return "unknown kind";
  if (text.size() > SEMDNS_PATS_MAX_TEXT)
    return "text is too long";
  if (words == 0 || words > maxWords(kind) ||
      countWords(text, kind == SEMDNS_PATTERN_DOCUMENT) != words)
    return "the text is not as many words as stated, joined by single spaces";
  if (documents == 0 || documents > count)
    return "document frequency is not within 1..count";
  if (firstInvalidUtf8(text))
    return "text is not UTF-8";
  return nullptr;
}

[[noreturn]] void bug(const char *what, std::string_view text) {
  std::fprintf(stderr, "buildPats: %s: '%.*s'\n", what, int(text.size()), text.data());
  std::abort();
}

bool less(const Pattern *a, const Pattern *b) {
  return std::tie(a->kind, a->text) < std::tie(b->kind, b->text);
}

} // namespace

std::pair<const Pattern *, const Pattern *> PatternLibrary::ofKind(semdns_pattern_kind kind) const {
  const Pattern *begin = patterns.data(), *end = begin + patterns.size();
  const auto range =
      std::equal_range(begin, end, Pattern{.kind = kind, .text = {}},
                       [](const Pattern &a, const Pattern &b) { return a.kind < b.kind; });
  return range;
}

std::string buildPats(const PatternLibrary &library) {
  std::vector<const Pattern *> order;
  order.reserve(library.patterns.size());
  for (const Pattern &p : library.patterns)
    order.push_back(&p);
  std::sort(order.begin(), order.end(), less);

  std::string records, strings;
  records.reserve(order.size() * sizeof(semdns_pattern));
  const Pattern *before = nullptr;
  for (const Pattern *p : order) {
    if (const char *why = flaw(p->kind, p->words, p->count, p->documents, p->text))
      bug(why, p->text);
    if (before && !less(before, p))
      bug("the same pattern twice", p->text);
    before = p;
    semdns_pattern record = {};
    record.kind = p->kind;
    record.words = p->words;
    record.count = p->count;
    record.documents = p->documents;
    record.background = p->background;
    record.score = p->score;
    record.text_offset = uint32_t(strings.size());
    record.text_size = uint32_t(p->text.size());
    records.append(reinterpret_cast<const char *>(&record), sizeof record);
    strings += p->text;
    if (strings.size() > SEMDNS_PATS_MAX_STRINGS)
      bug("too many bytes of text", p->text);
  }
  if (order.size() > SEMDNS_MAX_PATTERNS)
    bug("too many patterns", "");
  semdns_pats_header header = {};
  header.pattern_count = uint32_t(order.size());
  header.string_bytes = uint32_t(strings.size());
  header.document_count = library.documentCount;
  header.word_count = library.wordCount;
  header.byte_count = library.byteCount;
  header.distinct_words = library.distinctWords;
  header.background_documents = library.backgroundDocuments;
  header.contrast = library.contrast;
  return std::string(reinterpret_cast<const char *>(&header), sizeof header) + records + strings;
}

bool parsePats(std::string_view bytes, PatternLibrary &library, std::string &error) {
  const auto fail = [&](uint64_t offset, const std::string &what) {
    error = "PATS: byte " + std::to_string(offset) + ": " + what;
    return false;
  };
  if (bytes.size() < sizeof(semdns_pats_header))
    return fail(0, "the section ends within its header");
  const auto h = base::load<semdns_pats_header>(bytes.data());
  if (h.pattern_count > SEMDNS_MAX_PATTERNS)
    return fail(0, std::to_string(h.pattern_count) + " patterns; the limit is " +
                       std::to_string(SEMDNS_MAX_PATTERNS));
  if (h.string_bytes > SEMDNS_PATS_MAX_STRINGS)
    return fail(4, std::to_string(h.string_bytes) + " bytes of text; the limit is " +
                       std::to_string(SEMDNS_PATS_MAX_STRINGS));
  if (h.reserved[0] || h.reserved[1] || h.reserved[2])
    return fail(52, "reserved field is not zero");
  if (h.document_count == 0)
    return fail(8, "no documents");
  if (h.contrast !=
      (h.background_documents ? SEMDNS_CONTRAST_LOG_ODDS : SEMDNS_CONTRAST_RESIDUAL_IDF))
    return fail(48, "contrast " + std::to_string(h.contrast) + " does not go with " +
                        std::to_string(h.background_documents) + " background documents");
  // Both limits are far below what could overflow 64 bits.
  const uint64_t textAt = sizeof h + uint64_t(h.pattern_count) * sizeof(semdns_pattern);
  if (textAt + h.string_bytes != bytes.size())
    return fail(0, "the section has " + std::to_string(bytes.size()) + " bytes, its counts give " +
                       std::to_string(textAt + h.string_bytes));
  std::vector<Pattern> patterns;
  patterns.reserve(h.pattern_count);
  uint64_t next = 0;
  for (uint32_t i = 0; i < h.pattern_count; ++i) {
    const uint64_t at = sizeof h + uint64_t(i) * sizeof(semdns_pattern);
    const auto r = base::load<semdns_pattern>(bytes.data() + at);
    if (r.text_offset != next || r.text_size > h.string_bytes - next)
      return fail(at, "pattern " + std::to_string(i) + ": " + std::to_string(r.text_size) +
                          " bytes of text at " + std::to_string(r.text_offset) + ", expected at " +
                          std::to_string(next) + " of " + std::to_string(h.string_bytes));
    next += r.text_size;
    const std::string_view text = bytes.substr(textAt + r.text_offset, r.text_size);
    if (const char *why = flaw(r.kind, r.words, r.count, r.documents, text))
      return fail(at, "pattern " + std::to_string(i) + ": " + why);
    if (r.documents > h.document_count || r.background > h.background_documents)
      return fail(at, "pattern " + std::to_string(i) + ": in more documents than there are");
    patterns.push_back({semdns_pattern_kind(r.kind), r.words, r.count, r.documents, r.background,
                        r.score, std::string(text)});
    if (i > 0 && !less(&patterns[i - 1], &patterns[i]))
      return fail(at, "pattern " + std::to_string(i) + " is not sorted behind the one before");
  }
  if (next != h.string_bytes)
    return fail(textAt + next, "text that belongs to no pattern");
  library.documentCount = h.document_count;
  library.wordCount = h.word_count;
  library.byteCount = h.byte_count;
  library.distinctWords = h.distinct_words;
  library.backgroundDocuments = h.background_documents;
  library.contrast = semdns_contrast(h.contrast);
  library.patterns = std::move(patterns);
  return true;
}

std::string buildPlib(const PatternLibrary &library, std::string &error) {
  const std::string meta = pack::buildMeta(library.meta, error);
  if (meta.empty())
    return {};
  pack::ArtifactWriter writer(SEMDNS_KIND_PATTERNS, library.serial);
  writer.add(SEMDNS_TAG_META, 0, SEMDNS_META_VERSION, 0, 0, SEMDNS_SECTION_ALIGN, meta);
  writer.add(SEMDNS_TAG_PATS, 0, SEMDNS_PATS_VERSION, SEMDNS_SECTION_CRITICAL, 0,
             SEMDNS_SECTION_ALIGN, buildPats(library));
  for (const uint32_t tag : kCodecTags)
    if (const auto it = library.codecs.find(tag); it != library.codecs.end())
      writer.add(tag, 0, artifact::knownVersion(tag), 0, 0, SEMDNS_SECTION_ALIGN, it->second);
  if (!library.statistics.empty())
    writer.add(SEMDNS_TAG_STAT, 0, SEMDNS_STAT_VERSION, SEMDNS_SECTION_ZSTD, 0,
               SEMDNS_SECTION_ALIGN, library.statistics);
  if (!library.partial.empty())
    writer.add(SEMDNS_TAG_PART, 0, SEMDNS_PART_VERSION, 0, 0, SEMDNS_SECTION_ALIGN,
               library.partial);
  return writer.finish();
}

std::optional<PatternLibrary> parsePlib(std::string_view bytes, ReadError &error) {
  base::Error e;
  const auto fail = [&]() -> std::optional<PatternLibrary> {
    error.message = "byte " + std::to_string(e.offset) + ": ";
    if (*e.section)
      error.message += std::string(e.section) + ": ";
    error.message += e.message;
    error.incompatible = e.code == SEMDNS_ERROR_VERSION || e.code == SEMDNS_ERROR_KIND ||
                         e.code == SEMDNS_ERROR_FEATURE;
    return std::nullopt;
  };
  // The reader wants its bytes aligned, as files in memory are.
  artifact::Source source;
  if (!source.openMemory(bytes.data(), bytes.size(), artifact::Source::Mode::Copy, e))
    return fail();
  artifact::Reader reader;
  if (!reader.open(source.data(), source.size(), SEMDNS_KIND_PATTERNS, artifact::Check::Full, e))
    return fail();

  PatternLibrary library;
  library.serial = reader.header().serial;
  const auto section = [&](uint32_t tag, std::string &out) {
    const int index = reader.find(tag);
    if (index < 0)
      return true;
    const uint64_t size = reader.entry(uint32_t(index)).raw_size;
    // A few stored bytes must not make us allocate gigabytes.
    const uint64_t stored = reader.entry(uint32_t(index)).stored_size;
    if (size / 1024 > stored) {
      base::fail(e, SEMDNS_ERROR_SECTION, tag, 0, "compressed more than a thousandfold");
      return false;
    }
    out.resize(size);
    return reader.decompress(uint32_t(index), out.data(), size, e);
  };
  std::string pats;
  const artifact::Span metaBytes = reader.get(SEMDNS_TAG_META);
  artifact::Meta meta;
  if (metaBytes.data) {
    if (!artifact::Meta::parse(metaBytes, meta, e))
      return fail();
    uint64_t cursor = 0;
    std::string_view key, value;
    while (meta.next(cursor, key, value))
      library.meta.emplace(key, value);
  }
  if (!section(SEMDNS_TAG_PATS, pats) || !section(SEMDNS_TAG_STAT, library.statistics) ||
      !section(SEMDNS_TAG_PART, library.partial))
    return fail();
  for (const uint32_t tag : kCodecTags)
    if (reader.find(tag) >= 0 && !section(tag, library.codecs[tag]))
      return fail();
  if (pats.empty()) {
    error = {"there is no PATS section: not a pattern library", false};
    return std::nullopt;
  }
  if (!parsePats(pats, library, error.message)) {
    error.incompatible = false;
    return std::nullopt;
  }
  return library;
}

std::optional<PatternLibrary> readPlib(const std::string &path, ReadError &error) {
  const auto bytes = readFile(path, error.message, SEMDNS_MAX_FILE_SIZE);
  if (!bytes) {
    error.incompatible = false;
    return std::nullopt;
  }
  return parsePlib(*bytes, error);
}

} // namespace semdns::patterns
