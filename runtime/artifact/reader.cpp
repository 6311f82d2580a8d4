#include "runtime/artifact/reader.h"

#include "runtime/base/checked.h"
#include "runtime/base/sha256.h"
#include "semdns/format/classes.h"
#include "semdns/format/encoder.h"
#include "semdns/format/features.h"
#include "semdns/format/gold.h"
#include "semdns/format/gpu.h"
#include "semdns/format/head.h"
#include "semdns/format/keywords.h"
#include "semdns/format/meta.h"
#include "semdns/format/model.h"
#include "semdns/format/patterns.h"
#include "semdns/format/phrases.h"
#include "semdns/format/text.h"
#include "semdns/format/wordpiece.h"
#include "semdns/format/zones.h"
#include "semdns/kernel.h"

#include <cinttypes>
#include <zstd.h>

namespace semdns::artifact {

using base::checkedAdd;
using base::checkedAlign;
using base::checkedMul;
using base::fail;
using base::inBounds;
using base::load;

namespace {

struct Known {
  uint32_t tag;
  uint32_t version;
  bool inPlace;   ///< read where it lies: may not be compressed
  bool hasTarget; ///< `target` means something
};

constexpr Known kKnown[] = {
    {SEMDNS_TAG_META, SEMDNS_META_VERSION, true, false},
    {SEMDNS_TAG_ZTRE, SEMDNS_ZTRE_VERSION, true, false},
    {SEMDNS_TAG_TEXT, SEMDNS_TEXT_VERSION, true, false},
    {SEMDNS_TAG_KEYW, SEMDNS_KEYW_VERSION, true, false},
    {SEMDNS_TAG_TOKV, SEMDNS_TOKV_VERSION, true, false},
    {SEMDNS_TAG_CENT, SEMDNS_CENT_VERSION, true, false},
    {SEMDNS_TAG_BEAM, SEMDNS_BEAM_VERSION, true, false},
    {SEMDNS_TAG_WPCE, SEMDNS_WPCE_VERSION, true, false},
    {SEMDNS_TAG_ENCM, SEMDNS_ENCM_VERSION, true, false},
    {SEMDNS_TAG_CLSF, SEMDNS_CLSF_VERSION, true, false},
    {SEMDNS_TAG_HEAD, SEMDNS_HEAD_VERSION, true, false},
    {SEMDNS_TAG_PATS, SEMDNS_PATS_VERSION, true, false},
    {SEMDNS_TAG_DICT, SEMDNS_DICT_VERSION, true, true},
    {SEMDNS_TAG_PHRS, SEMDNS_PHRS_VERSION, true, true},
    {SEMDNS_TAG_TOKM, SEMDNS_TOKM_VERSION, true, true},
    {SEMDNS_TAG_BYTM, SEMDNS_BYTM_VERSION, true, true},
    {SEMDNS_TAG_STAT, SEMDNS_STAT_VERSION, false, false},
    {SEMDNS_TAG_PART, SEMDNS_PART_VERSION, true, false},
    {SEMDNS_TAG_KCPU, SEMDNS_KERNEL_ABI, true, true},
    {SEMDNS_TAG_KGPU, SEMDNS_KGPU_VERSION, true, true},
    {SEMDNS_TAG_DBUG, 1, false, true},
    {SEMDNS_TAG_GOLD, SEMDNS_GOLD_VERSION, true, false},
};

const Known *known(uint32_t tag) {
  for (const Known &k : kKnown)
    if (k.tag == tag)
      return &k;
  return nullptr;
}

bool isTag(uint32_t tag) {
  for (int i = 0; i < 4; ++i) {
    uint8_t c = static_cast<uint8_t>(tag >> (8 * i));
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
      return false;
  }
  return true;
}

const char *kindName(uint32_t kind) {
  switch (kind) {
  case SEMDNS_KIND_HIERARCHY:
    return "hierarchy (.sdna)";
  case SEMDNS_KIND_PATTERNS:
    return "pattern library (.plib)";
  default:
    return "unknown";
  }
}

constexpr uint64_t fieldOffset(uint64_t entryOffset, size_t field) { return entryOffset + field; }

} // namespace

uint32_t knownVersion(uint32_t tag) {
  const Known *k = known(tag);
  return k ? k->version : 0;
}

bool Reader::open(const void *data, uint64_t size, uint32_t kind, Check check, base::Error &error) {
  Reader r;
  r.data_ = static_cast<const uint8_t *>(data);
  r.size_ = size;
  *this = Reader();
  // Magic before size, so that a short file of another kind is told apart from a cut-off one.
  uint64_t have = size < SEMDNS_MAGIC_SIZE ? size : SEMDNS_MAGIC_SIZE;
  if (have && memcmp(data, SEMDNS_MAGIC, have) != 0) {
    if (have >= 4 && memcmp(data, SEMDNS_MAGIC, 4) == 0)
      return fail(error, SEMDNS_ERROR_MAGIC, 0, 4,
                  "damaged by a text-mode transfer: the line-end bytes of the magic have changed; "
                  "copy the file again in binary mode");
    return fail(error, SEMDNS_ERROR_MAGIC, 0, 0,
                "not a semdns file: it does not begin with the magic 'SDNA'");
  }
  if (size < sizeof(semdns_header))
    return fail(error, SEMDNS_ERROR_TRUNCATED, 0, size,
                "file ends within the header: %" PRIu64 " bytes, a header has %zu", size,
                sizeof(semdns_header));
  r.header_ = load<semdns_header>(data);
  if (!r.checkHeader(kind, error) || !r.checkTable(error))
    return false;
  if (check == Check::Full && !r.verifyDigests(error))
    return false;
  *this = r;
  return true;
}

bool Reader::checkHeader(uint32_t kind, base::Error &error) const {
  const semdns_header &h = header_;
  if (h.major != SEMDNS_FORMAT_MAJOR)
    return fail(
        error, SEMDNS_ERROR_VERSION, 0, offsetof(semdns_header, major),
        "format version %u.%u; this build reads %u.x: %s", h.major, h.minor, SEMDNS_FORMAT_MAJOR,
        h.major > SEMDNS_FORMAT_MAJOR ? "use a newer semdns" : "rebuild the file with this semdns");
  // A later minor may grow header and entries and give meaning to reserved fields; what it adds can
  // be skipped by definition. A file of this minor has exactly this minor's structures.
  const bool later = h.minor > SEMDNS_FORMAT_MINOR;
  if (h.header_size < sizeof(semdns_header) || h.header_size > SEMDNS_MAX_HEADER_SIZE ||
      h.header_size % 64 || (!later && h.header_size != sizeof(semdns_header)))
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, header_size),
                "header size %u; version %u.%u has %zu", h.header_size, h.major, h.minor,
                sizeof(semdns_header));
  if (h.entry_size < sizeof(semdns_section) || h.entry_size > 512 || h.entry_size % 32 ||
      (!later && h.entry_size != sizeof(semdns_section)))
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, entry_size),
                "table entry size %u; version %u.%u has %zu", h.entry_size, h.major, h.minor,
                sizeof(semdns_section));
  if (h.kind != SEMDNS_KIND_HIERARCHY && h.kind != SEMDNS_KIND_PATTERNS)
    return fail(error, SEMDNS_ERROR_KIND, 0, offsetof(semdns_header, kind),
                "file kind %u is unknown; this build knows 1, hierarchy, and 2, pattern library",
                h.kind);
  if (kind && h.kind != kind)
    return fail(error, SEMDNS_ERROR_KIND, 0, offsetof(semdns_header, kind),
                "the file is a %s; a %s is needed here", kindName(h.kind), kindName(kind));
  if (uint64_t unknown = h.required_features & ~SEMDNS_FEATURES_KNOWN)
    return fail(error, SEMDNS_ERROR_FEATURE, 0, offsetof(semdns_header, required_features),
                "the file needs features 0x%" PRIx64 " that this build does not have: use a newer "
                "semdns",
                unknown);
  if (h.file_size > SEMDNS_MAX_FILE_SIZE)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, file_size),
                "header says %" PRIu64 " bytes; the limit is %" PRIu64, h.file_size,
                SEMDNS_MAX_FILE_SIZE);
  if (size_ < h.file_size)
    return fail(error, SEMDNS_ERROR_TRUNCATED, 0, size_,
                "file is cut off: %" PRIu64 " bytes, the header says %" PRIu64, size_, h.file_size);
  if (size_ > h.file_size)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, h.file_size,
                "%" PRIu64 " bytes too many: file of %" PRIu64 ", the header says %" PRIu64,
                size_ - h.file_size, size_, h.file_size);
  if (h.table_offset != h.header_size)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, table_offset),
                "section table at %" PRIu64 "; it must follow the header at %u", h.table_offset,
                h.header_size);
  if (h.section_count < 1 || h.section_count > SEMDNS_MAX_SECTIONS)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, section_count),
                "%u sections; 1 to %u are possible", h.section_count, SEMDNS_MAX_SECTIONS);
  uint64_t tableEnd = h.table_offset + uint64_t{h.section_count} * h.entry_size; // < 2^22
  if (tableEnd > size_)
    return fail(error, SEMDNS_ERROR_TRUNCATED, 0, size_,
                "file ends within the section table: %" PRIu64 " bytes, the table ends at %" PRIu64,
                size_, tableEnd);

  // Identity: header with the digest zeroed, then the table.
  base::Sha256 sha;
  semdns_header zeroed = h;
  memset(zeroed.root_digest, 0, sizeof zeroed.root_digest);
  sha.update(&zeroed, sizeof zeroed);
  sha.update(data_ + sizeof zeroed, tableEnd - sizeof zeroed);
  uint8_t digest[32];
  sha.finish(digest);
  if (memcmp(digest, h.root_digest, sizeof digest) != 0)
    return fail(error, SEMDNS_ERROR_DIGEST, 0, offsetof(semdns_header, root_digest),
                "root digest mismatch: header and table hash to %02x%02x%02x%02x..., the header "
                "says %02x%02x%02x%02x...: the file is damaged",
                digest[0], digest[1], digest[2], digest[3], h.root_digest[0], h.root_digest[1],
                h.root_digest[2], h.root_digest[3]);
  if (!later) {
    if (h.reserved0)
      return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, reserved0),
                  "reserved header field is 0x%x; it must be zero", h.reserved0);
    uint64_t at = base::firstNonZero(h.reserved1, sizeof h.reserved1);
    if (at < sizeof h.reserved1)
      return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, reserved1) + at,
                  "reserved header byte is 0x%02x; it must be zero", h.reserved1[at]);
  }
  return true;
}

semdns_section Reader::entry(uint32_t index) const {
  return load<semdns_section>(data_ + header_.table_offset + uint64_t{index} * header_.entry_size);
}

Span Reader::bytes(uint32_t index) const {
  semdns_section s = entry(index);
  return {data_ + s.offset, s.stored_size};
}

bool Reader::checkTable(base::Error &error) const {
  const bool later = header_.minor > SEMDNS_FORMAT_MINOR;
  uint64_t end = header_.table_offset + uint64_t{header_.section_count} * header_.entry_size;
  for (uint32_t i = 0; i < header_.section_count; ++i) {
    const uint64_t at = header_.table_offset + uint64_t{i} * header_.entry_size;
    const semdns_section s = entry(i);
    auto bad = [&](size_t field, const char *what, uint64_t found, uint64_t expected) {
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag, fieldOffset(at, field),
                  "section %u: %s is %" PRIu64 "; expected %" PRIu64, i, what, found, expected);
    };
    if (!isTag(s.tag))
      return fail(error, SEMDNS_ERROR_STRUCTURE, 0, at,
                  "section %u: tag 0x%08x is not four ASCII letters", i, s.tag);
    if (s.flags & ~SEMDNS_SECTION_FLAGS_KNOWN)
      return fail(error, SEMDNS_ERROR_FEATURE, s.tag,
                  fieldOffset(at, offsetof(semdns_section, flags)),
                  "section %u: unknown flags 0x%x: use a newer semdns", i,
                  s.flags & ~SEMDNS_SECTION_FLAGS_KNOWN);
    const Known *k = known(s.tag);
    const bool critical = s.flags & SEMDNS_SECTION_CRITICAL;
    if (!k && critical)
      return fail(error, SEMDNS_ERROR_FEATURE, s.tag, at,
                  "section %u is critical and unknown to this build: use a newer semdns", i);
    if (k && critical && s.version != k->version)
      return fail(
          error, SEMDNS_ERROR_VERSION, s.tag, fieldOffset(at, offsetof(semdns_section, version)),
          "critical section has layout version %u; this build reads %u: %s", s.version, k->version,
          s.version > k->version ? "use a newer semdns" : "rebuild the file with this semdns");
    if (k && s.version != k->version)
      k = nullptr; // not critical, so it is skipped like an unknown tag
    const bool code = s.flags & SEMDNS_SECTION_CODE;
    const bool zstd = s.flags & SEMDNS_SECTION_ZSTD;
    const uint32_t alignment = code ? SEMDNS_CODE_ALIGN : SEMDNS_SECTION_ALIGN;
    if (s.alignment != alignment)
      return bad(offsetof(semdns_section, alignment), "alignment", s.alignment, alignment);
    if (k && code != (s.tag == SEMDNS_TAG_KCPU))
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag,
                  fieldOffset(at, offsetof(semdns_section, flags)),
                  code ? "section %u: flagged as code, which only KCPU is"
                       : "section %u: KCPU without the code flag",
                  i);
    if (zstd && (code || (k && k->inPlace)))
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag,
                  fieldOffset(at, offsetof(semdns_section, flags)),
                  "section %u is read in place and must not be compressed", i);
    if (s.target && k && !k->hasTarget)
      return bad(offsetof(semdns_section, target), "target", s.target, 0);
    if (s.layout && !code && s.tag != SEMDNS_TAG_KGPU)
      return bad(offsetof(semdns_section, layout), "layout", s.layout, 0);
    if (!later) {
      if (s.reserved0)
        return bad(offsetof(semdns_section, reserved0), "a reserved field", s.reserved0, 0);
      if (s.reserved1)
        return bad(offsetof(semdns_section, reserved1), "a reserved field", s.reserved1, 0);
    }

    uint64_t begin;
    if (!checkedAlign(end, alignment, begin) || s.offset != begin)
      return bad(offsetof(semdns_section, offset), "offset", s.offset, begin);
    if (s.stored_size < 1)
      return bad(offsetof(semdns_section, stored_size), "size", 0, 1);
    if (!inBounds(s.offset, s.stored_size, size_))
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag,
                  fieldOffset(at, offsetof(semdns_section, stored_size)),
                  "section %u: %" PRIu64 " bytes at %" PRIu64 " reach beyond the file's %" PRIu64,
                  i, s.stored_size, s.offset, size_);
    if (!zstd && s.raw_size != s.stored_size)
      return bad(offsetof(semdns_section, raw_size), "raw size", s.raw_size, s.stored_size);
    if (zstd && (s.raw_size < 1 || s.raw_size > SEMDNS_MAX_RAW_SIZE))
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag,
                  fieldOffset(at, offsetof(semdns_section, raw_size)),
                  "section %u: raw size %" PRIu64 "; 1 to %" PRIu64 " are possible", i, s.raw_size,
                  SEMDNS_MAX_RAW_SIZE);
    if (zstd) {
      unsigned long long content = ZSTD_getFrameContentSize(data_ + s.offset, s.stored_size);
      if (content != s.raw_size)
        return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag, s.offset,
                    "section %u: not a zstd frame of %" PRIu64 " bytes, which the table promises",
                    i, s.raw_size);
    }
    for (uint32_t j = 0; j < i; ++j) {
      const uint8_t *other = data_ + header_.table_offset + uint64_t{j} * header_.entry_size;
      if (load<uint32_t>(other + offsetof(semdns_section, tag)) == s.tag &&
          load<uint32_t>(other + offsetof(semdns_section, target)) == s.target)
        return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag, at,
                    "sections %u and %u have the same tag and target %u", j, i, s.target);
    }
    uint64_t pad = base::firstNonZero(data_ + end, begin - end);
    if (pad < begin - end)
      return fail(error, SEMDNS_ERROR_STRUCTURE, s.tag, end + pad,
                  "padding byte before section %u is 0x%02x; it must be zero", i, data_[end + pad]);
    end = s.offset + s.stored_size;
  }
  uint64_t fileEnd;
  if (!checkedAlign(end, SEMDNS_SECTION_ALIGN, fileEnd) || fileEnd != size_)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, offsetof(semdns_header, file_size),
                "file size %" PRIu64 "; the last section ends at %" PRIu64
                ", so the file must end at %" PRIu64,
                size_, end, fileEnd);
  uint64_t pad = base::firstNonZero(data_ + end, fileEnd - end);
  if (pad < fileEnd - end)
    return fail(error, SEMDNS_ERROR_STRUCTURE, 0, end + pad,
                "padding byte at the end of the file is 0x%02x; it must be zero", data_[end + pad]);
  return true;
}

bool Reader::verifyDigests(base::Error &error) const {
  for (uint32_t i = 0; i < header_.section_count; ++i) {
    semdns_section s = entry(i);
    uint8_t digest[32];
    base::sha256(data_ + s.offset, s.stored_size, digest);
    if (memcmp(digest, s.sha256, sizeof digest) != 0)
      return fail(error, SEMDNS_ERROR_DIGEST, s.tag, s.offset,
                  "digest mismatch in section %u (%" PRIu64 " bytes at %" PRIu64
                  "): found %02x%02x%02x%02x..., the table says %02x%02x%02x%02x...: the file is "
                  "damaged",
                  i, s.stored_size, s.offset, digest[0], digest[1], digest[2], digest[3],
                  s.sha256[0], s.sha256[1], s.sha256[2], s.sha256[3]);
  }
  return true;
}

int Reader::find(uint32_t tag, uint32_t target) const {
  for (uint32_t i = 0; i < header_.section_count; ++i) {
    semdns_section s = entry(i);
    if (s.tag == tag && s.target == target && s.version == knownVersion(tag))
      return static_cast<int>(i);
  }
  return -1;
}

Span Reader::get(uint32_t tag, uint32_t target) const {
  int index = find(tag, target);
  return index < 0 ? Span{} : bytes(static_cast<uint32_t>(index));
}

bool Reader::decompress(uint32_t index, void *out, uint64_t capacity, base::Error &error) const {
  semdns_section s = entry(index);
  if (capacity < s.raw_size)
    return fail(error, SEMDNS_ERROR_ARGUMENT, s.tag, s.offset,
                "buffer of %" PRIu64 " bytes; the section's content has %" PRIu64, capacity,
                s.raw_size);
  const uint8_t *stored = data_ + s.offset;
  if (!(s.flags & SEMDNS_SECTION_ZSTD)) {
    memcpy(out, stored, s.raw_size);
    return true;
  }
  // One frame and nothing behind it: else bytes of the section would go unread.
  size_t frame = ZSTD_findFrameCompressedSize(stored, s.stored_size);
  if (ZSTD_isError(frame) || frame != s.stored_size)
    return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset,
                "not exactly one zstd frame in %" PRIu64 " bytes%s%s", s.stored_size,
                ZSTD_isError(frame) ? ": " : "",
                ZSTD_isError(frame) ? ZSTD_getErrorName(frame) : "");
  size_t got = ZSTD_decompress(out, s.raw_size, stored, s.stored_size);
  if (ZSTD_isError(got))
    return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset, "zstd: %s", ZSTD_getErrorName(got));
  if (got != s.raw_size)
    return fail(error, SEMDNS_ERROR_SECTION, s.tag, s.offset,
                "decompresses to %zu bytes; the table says %" PRIu64, got, s.raw_size);
  return true;
}

} // namespace semdns::artifact
