/// \file A small hierarchy with every section, written byte by byte from the format headers, so
/// that tests of the reader do not lean on the builders. Also the source of the fuzz seeds.
#pragma once

#include "semdns/format/artifact.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace semdns::test {

/// Two classes, dimension 16, layout 1; zones ".", "cooking.", "legal.", "contracts.legal.".
struct Sample {
  static constexpr uint32_t kDim = 16, kClasses = 2, kZones = 4, kRows = 3, kLayout = 1;

  Sample();
  /// (tag, target) -> content, in the file's order after finish().
  std::map<std::pair<uint32_t, uint32_t>, std::string> sections;
  uint64_t serial = 2026112301;

  std::string &section(uint32_t tag) { return sections.at({tag, 0}); }
  /// Adds the kernel `elf` for `isa`.
  void addKernel(uint32_t isa, std::string elf) {
    sections[{SEMDNS_TAG_KCPU, isa}] = std::move(elf);
  }
  /// The file, through the writer.
  std::string finish() const;
};

/// A pattern library with META, PATS and a compressed section.
std::string samplePatterns();

/// Recomputes section digests and the root digest after a change to header, table or sections, so
/// that only the rule under test is broken. Table and sections must still be in bounds.
void reseal(std::string &file);

template <typename T> T get(const std::string &bytes, size_t at) {
  T value;
  memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <typename T> void put(std::string &bytes, size_t at, T value) {
  memcpy(bytes.data() + at, &value, sizeof value);
}

} // namespace semdns::test
