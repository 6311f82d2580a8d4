/// \file The one writer of semdns files; its twin is runtime/artifact/reader.h.
#pragma once

#include "semdns/format/artifact.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::pack {

/// Collects sections and lays them out by the rules of format/artifact.h. The same calls give the
/// same bytes. A wrong call (order, duplicate, impossible flags, limits) is a bug in the caller:
/// the process says so on stderr and aborts. Not thread-safe.
class ArtifactWriter {
public:
  /// `kind` is a semdns_artifact_kind, `serial` the content serial.
  ArtifactWriter(uint32_t kind, uint64_t serial);

  /// Appends a section. Known tags come in the order of SEMDNS_TAG_* in format/artifact.h, then
  /// unknown ones; within a tag targets ascend. `bytes` (at least 1) are the content; with
  /// SEMDNS_SECTION_ZSTD in `flags` the writer compresses them (level 19, one thread) itself.
  /// `layout` is 0 except for KCPU and KGPU, `alignment` 64 except for SEMDNS_SECTION_CODE: 65536.
  void add(uint32_t tag, uint32_t target, uint32_t version, uint32_t flags, uint64_t layout,
           uint32_t alignment, std::string_view bytes);

  /// The file. The writer is empty afterwards.
  std::string finish();

private:
  struct Section {
    semdns_section entry;
    std::string stored;
  };
  uint32_t kind_;
  uint64_t serial_;
  std::vector<Section> sections_;
};

/// Lower-case hex of the root digest in the header of a finished file.
std::string rootDigestHex(std::string_view file);

} // namespace semdns::pack
