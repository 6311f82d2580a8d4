#include "lib/pack/writer.h"

#include "runtime/base/sha256.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <zstd.h>

namespace semdns::pack {

namespace {

constexpr uint32_t kOrder[] = {SEMDNS_TAG_META, SEMDNS_TAG_ZTRE, SEMDNS_TAG_TEXT, SEMDNS_TAG_KEYW,
                               SEMDNS_TAG_TOKV, SEMDNS_TAG_CENT, SEMDNS_TAG_BEAM, SEMDNS_TAG_WPCE,
                               SEMDNS_TAG_ENCM, SEMDNS_TAG_CLSF, SEMDNS_TAG_HEAD, SEMDNS_TAG_PATS,
                               SEMDNS_TAG_DICT, SEMDNS_TAG_PHRS, SEMDNS_TAG_TOKM, SEMDNS_TAG_BYTM,
                               SEMDNS_TAG_STAT, SEMDNS_TAG_PART, SEMDNS_TAG_KCPU, SEMDNS_TAG_KGPU,
                               SEMDNS_TAG_DBUG, SEMDNS_TAG_GOLD};
constexpr int kCompressionLevel = 19;

size_t rank(uint32_t tag) {
  size_t i = 0;
  while (i < std::size(kOrder) && kOrder[i] != tag)
    ++i;
  return i;
}

std::string tagText(uint32_t tag) {
  std::string text(4, ' ');
  for (int i = 0; i < 4; ++i)
    text[i] = static_cast<char>(tag >> (8 * i));
  return text;
}

[[noreturn]] void bug(uint32_t tag, const char *what) {
  fprintf(stderr, "internal error: ArtifactWriter: section %s: %s\n", tagText(tag).c_str(), what);
  abort();
}

void require(bool holds, uint32_t tag, const char *what) {
  if (!holds)
    bug(tag, what);
}

std::string compress(uint32_t tag, std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  // The simple call: one thread, content size in the frame, no checksum (the table has a digest).
  size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kCompressionLevel);
  require(!ZSTD_isError(size), tag, "zstd failed");
  out.resize(size);
  return out;
}

uint64_t alignUp(uint64_t n, uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

} // namespace

ArtifactWriter::ArtifactWriter(uint32_t kind, uint64_t serial) : kind_(kind), serial_(serial) {}

void ArtifactWriter::add(uint32_t tag, uint32_t target, uint32_t version, uint32_t flags,
                         uint64_t layout, uint32_t alignment, std::string_view bytes) {
  const bool code = flags & SEMDNS_SECTION_CODE;
  require(sections_.size() < SEMDNS_MAX_SECTIONS, tag, "too many sections");
  require(!(flags & ~SEMDNS_SECTION_FLAGS_KNOWN), tag, "unknown flags");
  require(alignment == (code ? SEMDNS_CODE_ALIGN : SEMDNS_SECTION_ALIGN), tag,
          "alignment must be 64, of code 65536");
  require(code || tag == SEMDNS_TAG_KGPU || layout == 0, tag, "only code names a layout");
  require(!(code && (flags & SEMDNS_SECTION_ZSTD)), tag, "code is mapped, so not compressed");
  require(!bytes.empty(), tag, "empty");
  require(version != 0, tag, "version 0");
  if (!sections_.empty()) {
    const semdns_section &last = sections_.back().entry;
    require(rank(tag) > rank(last.tag) || (rank(tag) == std::size(kOrder) && tag != last.tag) ||
                (tag == last.tag && target > last.target),
            tag, "out of order or twice");
    for (const Section &s : sections_)
      require(s.entry.tag != tag || s.entry.target != target, tag, "twice");
  }

  Section section{};
  semdns_section &e = section.entry;
  e.tag = tag;
  e.flags = flags;
  e.target = target;
  e.version = version;
  e.raw_size = bytes.size();
  e.layout = layout;
  e.alignment = alignment;
  if (flags & SEMDNS_SECTION_ZSTD) {
    require(bytes.size() <= SEMDNS_MAX_RAW_SIZE, tag, "too large to be compressed");
    section.stored = compress(tag, bytes);
  } else {
    section.stored = bytes;
  }
  e.stored_size = section.stored.size();
  base::sha256(section.stored.data(), section.stored.size(), e.sha256);
  sections_.push_back(std::move(section));
}

std::string ArtifactWriter::finish() {
  require(!sections_.empty(), 0, "a file has at least one section");
  const uint64_t tableEnd = sizeof(semdns_header) + sections_.size() * sizeof(semdns_section);
  uint64_t end = tableEnd;
  for (Section &s : sections_) {
    s.entry.offset = alignUp(end, s.entry.alignment);
    end = s.entry.offset + s.entry.stored_size;
  }
  end = alignUp(end, SEMDNS_SECTION_ALIGN);
  require(end <= SEMDNS_MAX_FILE_SIZE, 0, "file beyond the size limit");

  semdns_header header{};
  memcpy(header.magic, SEMDNS_MAGIC, SEMDNS_MAGIC_SIZE);
  header.major = SEMDNS_FORMAT_MAJOR;
  header.minor = SEMDNS_FORMAT_MINOR;
  header.header_size = sizeof(semdns_header);
  header.kind = kind_;
  header.entry_size = sizeof(semdns_section);
  header.required_features = SEMDNS_FEATURE_NONE;
  header.file_size = end;
  header.table_offset = sizeof(semdns_header);
  header.section_count = static_cast<uint32_t>(sections_.size());
  header.serial = serial_;

  std::string file(end, '\0');
  memcpy(file.data(), &header, sizeof header);
  for (size_t i = 0; i < sections_.size(); ++i) {
    const Section &s = sections_[i];
    memcpy(file.data() + sizeof header + i * sizeof s.entry, &s.entry, sizeof s.entry);
    memcpy(file.data() + s.entry.offset, s.stored.data(), s.stored.size());
  }
  base::sha256(file.data(), tableEnd,
               reinterpret_cast<uint8_t *>(file.data()) + offsetof(semdns_header, root_digest));
  sections_.clear();
  return file;
}

std::string rootDigestHex(std::string_view file) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (uint8_t byte : file.substr(offsetof(semdns_header, root_digest), SEMDNS_DIGEST_SIZE)) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

} // namespace semdns::pack
