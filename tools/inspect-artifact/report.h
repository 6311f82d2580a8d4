/// \file What inspect-artifact prints, as text and as JSON.
#pragma once

#include "runtime/artifact/contents.h"

#include <optional>
#include <string>

namespace semdns::inspect {

using artifact::Contents;

/// An opened, verified file.
struct File {
  std::string path;
  const artifact::Reader *reader = nullptr;
  const artifact::Contents *contents = nullptr;
  bool isHierarchy() const { return reader->header().kind == SEMDNS_KIND_HIERARCHY; }
};

/// What `--verify` did beyond the verification that every run makes.
struct Verified {
  uint32_t kernels = 0;      ///< ELF images checked
  uint32_t decompressed = 0; ///< compressed sections read
  uint32_t queries = 0;      ///< golden queries
  std::string levels;        ///< on which they were replayed, comma-separated
};

/// How many zones the text report lists before it says how many more there are.
constexpr uint32_t kZonesListed = 60;

std::string textReport(const File &file, bool allZones, const std::optional<Verified> &verified);
std::string jsonReport(const File &file, const std::optional<Verified> &verified);

/// Text out of a file, safe for a terminal; cut at `limit`.
std::string printable(std::string_view text, size_t limit = 200);

/// "KCPU:x86-64-v3", "KGPU:sm_90", "META": how `--section` names an entry.
std::string sectionName(const semdns_section &entry);
/// The target of `entry` as people write it; empty where it means nothing.
std::string targetName(const semdns_section &entry);

} // namespace semdns::inspect
