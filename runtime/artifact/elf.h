/// \file Compiled kernels: an ELF image that is checked whole, then mapped write-xor-execute.
///
/// No dynamic linker is involved: an image that needs one (imports, initialisers, thread-local
/// storage, any relocation but RELATIVE) is refused.
#pragma once

#include "runtime/base/error.h"

#include <cstddef>
#include <cstdint>

namespace semdns::artifact {

struct ElfSymbol {
  uint64_t address = 0; ///< relative to the image's base
  uint64_t size = 0;
  bool executable = false; ///< lies in an executable segment
};

/// View of a validated ET_DYN image; refers to its bytes.
class Elf {
public:
  static constexpr uint32_t kMaxSegments = 16;
  static constexpr uint64_t kMaxMemory = uint64_t{1} << 30;

  /// Validates `size` bytes at `data` (any alignment) for this machine's architecture. Offsets in
  /// `error` count from `data`; its code is SEMDNS_ERROR_CODE.
  static bool parse(const void *data, uint64_t size, Elf &out, base::Error &error);

  /// The defined dynamic symbol `name`; false if there is none.
  bool find(const char *name, ElfSymbol &out) const;

  /// Bytes of the file that [address, address + size) will be initialised from; null if not all of
  /// it comes from the file.
  const uint8_t *fileBytes(uint64_t address, uint64_t size) const;

private:
  friend class ElfImage;
  struct Segment {
    uint64_t address, memorySize, fileOffset, fileSize;
    uint32_t flags;
  };
  const Segment *segmentOf(uint64_t address, uint64_t size) const;
  bool parseDynamic(uint64_t at, uint64_t size, base::Error &error);
  bool countSymbols(uint64_t hash, uint64_t gnuHash, base::Error &error);
  bool checkSymbols(base::Error &error) const;
  bool checkRelocations(base::Error &error) const;

  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  Segment segments_[kMaxSegments] = {};
  uint32_t segmentCount_ = 0;
  uint64_t memorySize_ = 0, alignment_ = 1;
  uint64_t symbols_ = 0, symbolCount_ = 0, strings_ = 0, stringsSize_ = 0; // file offsets
  uint64_t relocations_ = 0, relocationCount_ = 0;
};

/// An Elf in memory: code readable and executable, everything else read-only (kernels keep no
/// state). Not copyable; unmaps itself.
class ElfImage {
public:
  ElfImage() = default;
  ~ElfImage() { unmap(); }
  ElfImage(const ElfImage &) = delete;
  ElfImage &operator=(const ElfImage &) = delete;

  enum class Result {
    Mapped,
    Denied, ///< the system refuses executable memory; `error` says how. Portable kernels answer.
    Failed, ///< out of memory; `error` is filled
  };
  Result map(const Elf &elf, base::Error &error);
  void unmap();

  /// Address of `symbol`, which must come from the same Elf; null if nothing is mapped.
  void *address(const ElfSymbol &symbol) const { return base_ ? base_ + symbol.address : nullptr; }

private:
  uint8_t *base_ = nullptr;
  void *mapping_ = nullptr;
  size_t mappingSize_ = 0;
};

} // namespace semdns::artifact
