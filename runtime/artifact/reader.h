/// \file The one reader of semdns files: container structure, digests, sections.
///
/// What it checks, and in which order, is docs/format.md. Nothing here allocates; a Reader refers
/// to the caller's bytes, which must stay as they are while it is in use (see source.h).
#pragma once

#include "runtime/base/error.h"
#include "semdns/format/artifact.h"

#include <cstddef>
#include <cstdint>

namespace semdns::artifact {

/// A section's bytes as they lie in the file (compressed if its flags say so).
struct Span {
  const uint8_t *data = nullptr;
  uint64_t size = 0;
};

enum class Check {
  Structure, ///< header, table, root digest, padding: cost independent of the sections' sizes
  Full,      ///< + the SHA-256 of every section
};

class Reader {
public:
  /// Validates `size` bytes at `data` (any alignment) and refers to them from then on. `kind` is
  /// the semdns_artifact_kind that the caller can use, 0 for any. On failure returns false, fills
  /// `error` and leaves the reader empty. Thread-safe once open.
  bool open(const void *data, uint64_t size, uint32_t kind, Check check, base::Error &error);

  const semdns_header &header() const { return header_; }
  uint32_t sectionCount() const { return header_.section_count; }
  /// Table entry `index` < sectionCount().
  semdns_section entry(uint32_t index) const;
  /// Stored bytes of section `index` < sectionCount(), within the file for certain.
  Span bytes(uint32_t index) const;

  /// Index of the section (tag, target), or -1. Sections whose layout version this build does not
  /// know are not found: they count as unknown.
  int find(uint32_t tag, uint32_t target = 0) const;
  /// Stored bytes of the section (tag, target); null data if there is none.
  Span get(uint32_t tag, uint32_t target = 0) const;

  /// The section's content: copies it, or decompresses a SEMDNS_SECTION_ZSTD one. `out` takes
  /// entry(index).raw_size bytes; a smaller `capacity` is an error, as is a frame that is damaged
  /// or gives another size than the table says.
  bool decompress(uint32_t index, void *out, uint64_t capacity, base::Error &error) const;

  /// SHA-256 of each section against the table; what Check::Full adds.
  bool verifyDigests(base::Error &error) const;

  const uint8_t *data() const { return data_; }
  uint64_t size() const { return size_; }

private:
  bool checkHeader(uint32_t kind, base::Error &error) const;
  bool checkTable(base::Error &error) const;

  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  semdns_header header_ = {};
};

/// Layout version of `tag` that this build reads, 0 for tags it does not know.
uint32_t knownVersion(uint32_t tag);

} // namespace semdns::artifact
