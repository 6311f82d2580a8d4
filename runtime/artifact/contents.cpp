#include "runtime/artifact/contents.h"

#include "runtime/artifact/elf.h"
#include "runtime/base/checked.h"
#include "semdns/kernel.h"

#include <cinttypes>

namespace semdns::artifact {

using base::fail;

namespace {

// Runs `parse` on the section and turns its offsets into file offsets.
template <typename Parse>
bool section(const Reader &reader, uint32_t tag, bool required, bool &present, base::Error &error,
             Parse parse) {
  const int index = reader.find(tag);
  present = index >= 0;
  if (!present) {
    if (!required)
      return true;
    char name[5];
    base::tagText(tag, name);
    return fail(error, SEMDNS_ERROR_STRUCTURE, tag, 0,
                "the file has no %s section, which files of its kind need", name);
  }
  if (parse(reader.bytes(static_cast<uint32_t>(index))))
    return true;
  error.offset += reader.entry(static_cast<uint32_t>(index)).offset;
  return false;
}

/// Stage 3: all of its sections or none, and of one shape.
bool encoder(const Reader &reader, Contents &c, bool trustValues, base::Error &error) {
  bool tokens, layers, head;
  if (!section(reader, SEMDNS_TAG_WPCE, false, tokens, error,
               [&](Span s) { return WordPiece::parse(s, c.wordpiece, error); }) ||
      !section(reader, SEMDNS_TAG_ENCM, false, layers, error,
               [&](Span s) { return Encoder::parse(s, c.encoder, error, trustValues); }) ||
      !section(reader, SEMDNS_TAG_HEAD, false, head, error,
               [&](Span s) { return Head::parse(s, c.zones, c.head, error); }))
    return false;
  const auto at = [&](uint32_t tag) {
    return reader.entry(static_cast<uint32_t>(reader.find(tag))).offset;
  };
  if (tokens != layers || layers != head)
    return fail(
        error, SEMDNS_ERROR_STRUCTURE, SEMDNS_TAG_ENCM, layers ? at(SEMDNS_TAG_ENCM) : 0,
        "of the sections WPCE, ENCM and HEAD the file has %s%s%s; an encoder needs all three",
        tokens ? "WPCE " : "", layers ? "ENCM " : "", head ? "HEAD " : "");
  c.hasEncoder = head;
  if (!head)
    return true;
  if (c.wordpiece.header->vocabulary != c.encoder.header->vocabulary)
    return fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_WPCE, at(SEMDNS_TAG_WPCE),
                "vocabulary of %u; ENCM's is %u", c.wordpiece.header->vocabulary,
                c.encoder.header->vocabulary);
  if (c.head.header->width != c.encoder.header->width)
    return fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_HEAD, at(SEMDNS_TAG_HEAD),
                "width %u; ENCM's is %u", c.head.header->width, c.encoder.header->width);
  return true;
}

} // namespace

bool parseContents(const Reader &reader, Contents &out, base::Error &error, bool trustValues) {
  Contents c;
  bool present;
  const bool hierarchy = reader.header().kind == SEMDNS_KIND_HIERARCHY;
  if (!section(reader, SEMDNS_TAG_META, true, present, error,
               [&](Span s) { return Meta::parse(s, c.meta, error); }))
    return false;
  if (hierarchy) {
    if (!section(reader, SEMDNS_TAG_ZTRE, true, present, error,
                 [&](Span s) { return Zones::parse(s, c.zones, error); }) ||
        !section(reader, SEMDNS_TAG_TEXT, true, present, error,
                 [&](Span s) { return Text::parse(s, c.text, error); }) ||
        !section(reader, SEMDNS_TAG_KEYW, true, present, error,
                 [&](Span s) { return Keywords::parse(s, c.zones, c.keywords, error); }) ||
        !section(reader, SEMDNS_TAG_TOKV, true, present, error,
                 [&](Span s) { return Features::parse(s, c.features, error, trustValues); }) ||
        !section(reader, SEMDNS_TAG_CENT, true, present, error,
                 [&](Span s) { return Centroids::parse(s, c.centroids, error); }) ||
        !section(reader, SEMDNS_TAG_CLSF, true, present, error,
                 [&](Span s) { return Acceptance::parse(s, c.zones, c.acceptance, error); }) ||
        !section(reader, SEMDNS_TAG_BEAM, false, c.hasBeam, error,
                 [&](Span s) {
                   return Beam::parse(s, c.zones, c.acceptance, c.centroids, c.beam, error);
                 }) ||
        !encoder(reader, c, trustValues, error) ||
        !section(reader, SEMDNS_TAG_GOLD, false, c.hasGold, error,
                 [&](Span s) { return Gold::parse(s, c.zones, c.gold, error); }))
      return false;
    const semdns_cent_header &cent = *c.centroids.header;
    const uint64_t centAt =
        reader.entry(static_cast<uint32_t>(reader.find(SEMDNS_TAG_CENT))).offset;
    if (c.hasBeam && c.hasEncoder)
      return fail(error, SEMDNS_ERROR_STRUCTURE, SEMDNS_TAG_BEAM,
                  reader.entry(static_cast<uint32_t>(reader.find(SEMDNS_TAG_BEAM))).offset,
                  "the file has BEAM and an encoder; stage 3 scores all classes");
    if (!c.hasBeam && cent.class_count > SEMDNS_MAX_FLAT_CLASSES)
      return fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_CENT, centAt,
                  "%u classes; without BEAM at most %u are possible", cent.class_count,
                  SEMDNS_MAX_FLAT_CLASSES);
    if ((!c.hasBeam && cent.class_count != c.zones.header->class_count) ||
        cent.dim != c.features.header->dim)
      return fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_CENT, centAt,
                  "%u classes of dimension %u; ZTRE has %u classes, TOKV has dimension %u",
                  cent.class_count, cent.dim, c.zones.header->class_count, c.features.header->dim);
  }
  if (!section(reader, SEMDNS_TAG_PATS, !hierarchy, c.hasPatterns, error,
               [&](Span s) { return Patterns::parse(s, c.patterns, error); }))
    return false;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (s.version != knownVersion(s.tag))
      continue;
    if ((s.tag == SEMDNS_TAG_KCPU || s.tag == SEMDNS_TAG_KGPU) && !hierarchy)
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag, s.offset,
                  "native code in a file that is not a hierarchy");
    if (s.tag == SEMDNS_TAG_KCPU && s.layout != c.centroids.header->layout)
      return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset,
                  "code for table layout %" PRIu64 "; CENT has layout %u", s.layout,
                  c.centroids.header->layout);
    GpuKernel gpu;
    if (s.tag == SEMDNS_TAG_KGPU &&
        !GpuKernel::parse(reader.bytes(i), s, c.zones, c.features, c.centroids, gpu, error)) {
      error.offset += s.offset;
      return false;
    }
    const bool codec = s.tag == SEMDNS_TAG_DICT || s.tag == SEMDNS_TAG_PHRS ||
                       s.tag == SEMDNS_TAG_TOKM || s.tag == SEMDNS_TAG_BYTM;
    // Of earlier tables only the digest counts: the zones had other numbers then.
    if (codec && hierarchy && !SEMDNS_CODEC_TARGET_AGE(s.target) &&
        s.target >= c.zones.header->zone_count)
      return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset,
                  "codec tables of zone %u; there are %u zones", s.target,
                  c.zones.header->zone_count);
    if (codec && !hierarchy && s.target)
      return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset,
                  "codec tables of zone %u in a pattern library, whose only zone is 0", s.target);
  }
  out = c;
  return true;
}

bool checkKernel(Span image, const semdns_section &entry, const Contents &contents,
                 base::Error &error) {
  const uint32_t tag = SEMDNS_TAG_KCPU;
  auto bad = [&](int code, const char *what, uint64_t found, uint64_t expected) {
    return fail(error, code, tag, entry.offset,
                "kernel for target %u: %s is %" PRIu64 "; expected %" PRIu64, entry.target, what,
                found, expected);
  };
  Elf elf;
  if (!Elf::parse(image.data, image.size, elf, error)) {
    error.offset += entry.offset;
    return false;
  }
  ElfSymbol route, infoSymbol;
  if (!elf.find("semdns_kernel_route", route) || !route.executable)
    return fail(error, SEMDNS_ERROR_CODE, tag, entry.offset,
                "kernel for target %u does not define the function semdns_kernel_route",
                entry.target);
  if (!elf.find("semdns_kernel_info", infoSymbol))
    return fail(error, SEMDNS_ERROR_CODE, tag, entry.offset,
                "kernel for target %u does not define semdns_kernel_info", entry.target);
  const uint8_t *infoBytes = elf.fileBytes(infoSymbol.address, sizeof(semdns_kernel_info_t));
  if (!infoBytes)
    return fail(error, SEMDNS_ERROR_CODE, tag, entry.offset,
                "kernel for target %u: semdns_kernel_info does not lie in the file", entry.target);
  const auto info = base::load<semdns_kernel_info_t>(infoBytes);
  const semdns_tokv_header &tokv = *contents.features.header;
  if (info.abi != SEMDNS_KERNEL_ABI)
    return bad(SEMDNS_ERROR_VERSION, "kernel ABI", info.abi, SEMDNS_KERNEL_ABI);
  const struct {
    const char *what;
    uint64_t found, expected;
  } fields[] = {
      {"size of semdns_kernel_info", info.size, sizeof info},
      {"isa", info.isa, entry.target},
      {"layout", info.layout, entry.layout},
      {"dim", info.dim, tokv.dim},
      {"class_count", info.class_count, contents.zones.header->class_count},
      {"zone_count", info.zone_count, contents.zones.header->zone_count},
      {"row_count", info.row_count, tokv.row_count},
      {"bucket_count", info.bucket_count, tokv.bucket_count},
      {"word_ngram_max", info.word_ngram_max, tokv.word_ngram_max},
      {"char_ngram_min", info.char_ngram_min, tokv.char_ngram_min},
      {"char_ngram_max", info.char_ngram_max, tokv.char_ngram_max},
      // A kernel may leave stage 3 to the portable one.
      {"encoder", info.encoder,
       info.encoder && contents.hasEncoder ? encoderShapeId(*contents.encoder.header) : 0},
  };
  for (const auto &f : fields)
    if (f.found != f.expected)
      return bad(SEMDNS_ERROR_CODE, f.what, f.found, f.expected);
  ElfSymbol encode;
  if (info.encoder && (!elf.find("semdns_kernel_encode", encode) || !encode.executable))
    return fail(error, SEMDNS_ERROR_CODE, tag, entry.offset,
                "kernel for target %u does not define the function semdns_kernel_encode, but "
                "states an encoder",
                entry.target);
  return true;
}

bool checkKernels(const Reader &reader, const Contents &contents, base::Error &error) {
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (s.tag == SEMDNS_TAG_KCPU && s.version == knownVersion(s.tag) &&
        !checkKernel(reader.bytes(i), s, contents, error))
      return false;
  }
  return true;
}

} // namespace semdns::artifact
