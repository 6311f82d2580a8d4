#include "runtime/artifact/elf.h"

#include "runtime/base/checked.h"
#include "semdns/format/artifact.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace semdns::artifact {

using base::checkedAdd;
using base::checkedMul;
using base::fail;
using base::inBounds;
using base::load;

namespace {

constexpr uint32_t kTag = SEMDNS_TAG_KCPU;
// Segments of different rights must not share a page; the smallest page of the architectures.
constexpr uint64_t kPage = 4096;

#if defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr uint32_t kRelative = R_AARCH64_RELATIVE;
#else
constexpr uint16_t kMachine = EM_X86_64;
constexpr uint32_t kRelative = R_X86_64_RELATIVE;
#endif

bool bad(base::Error &error, uint64_t offset, const char *what, uint64_t found, const char *rule) {
  return fail(error, SEMDNS_ERROR_CODE, kTag, offset, "native code: %s is 0x%" PRIx64 "; %s", what,
              found, rule);
}

} // namespace

const Elf::Segment *Elf::segmentOf(uint64_t address, uint64_t size) const {
  for (uint32_t i = 0; i < segmentCount_; ++i) {
    const Segment &s = segments_[i];
    if (address >= s.address && inBounds(address - s.address, size, s.memorySize))
      return &s;
  }
  return nullptr;
}

const uint8_t *Elf::fileBytes(uint64_t address, uint64_t size) const {
  for (uint32_t i = 0; i < segmentCount_; ++i) {
    const Segment &s = segments_[i];
    if (address >= s.address && inBounds(address - s.address, size, s.fileSize))
      return data_ + s.fileOffset + (address - s.address);
  }
  return nullptr;
}

bool Elf::parse(const void *bytes, uint64_t size, Elf &out, base::Error &error) {
  Elf elf;
  elf.data_ = static_cast<const uint8_t *>(bytes);
  elf.size_ = size;
  if (size < sizeof(Elf64_Ehdr))
    return bad(error, 0, "size", size, "an ELF header has 0x40 bytes");
  const auto h = load<Elf64_Ehdr>(bytes);
  if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
    return bad(error, 0, "first word", load<uint32_t>(bytes), "ELF begins with 0x464c457f");
  if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB)
    return bad(error, EI_CLASS, "class and data", load<uint16_t>(h.e_ident + EI_CLASS),
               "0x102, 64-bit little-endian, is needed");
  if (h.e_ident[EI_VERSION] != EV_CURRENT || h.e_version != EV_CURRENT)
    return bad(error, EI_VERSION, "version", h.e_version, "1 is needed");
  if (h.e_ident[EI_OSABI] != ELFOSABI_NONE && h.e_ident[EI_OSABI] != ELFOSABI_LINUX)
    return bad(error, EI_OSABI, "OS ABI", h.e_ident[EI_OSABI], "0 or 3 is needed");
  if (h.e_type != ET_DYN)
    return bad(error, offsetof(Elf64_Ehdr, e_type), "type", h.e_type, "3, ET_DYN, is needed");
  if (h.e_machine != kMachine)
    return fail(error, SEMDNS_ERROR_CODE, kTag, offsetof(Elf64_Ehdr, e_machine),
                "native code: machine %u; this machine is %u", h.e_machine, kMachine);
  if (h.e_ehsize != sizeof h)
    return bad(error, offsetof(Elf64_Ehdr, e_ehsize), "header size", h.e_ehsize, "0x40 is needed");
  if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum < 1 || h.e_phnum > 32)
    return bad(error, offsetof(Elf64_Ehdr, e_phnum), "program header count", h.e_phnum,
               "1 to 0x20 of 0x38 bytes each are possible");
  if (!inBounds(h.e_phoff, uint64_t{h.e_phnum} * sizeof(Elf64_Phdr), size))
    return bad(error, offsetof(Elf64_Ehdr, e_phoff), "program header offset", h.e_phoff,
               "the headers must lie in the file");
  // Section headers are not used; they must be there if the header says so.
  if (h.e_shnum && (h.e_shentsize != sizeof(Elf64_Shdr) ||
                    !inBounds(h.e_shoff, uint64_t{h.e_shnum} * sizeof(Elf64_Shdr), size)))
    return bad(error, offsetof(Elf64_Ehdr, e_shoff), "section header offset", h.e_shoff,
               "the headers must lie in the file");

  Elf64_Phdr dynamic = {};
  bool hasDynamic = false;
  uint64_t next = 0; // first address the next segment may use
  for (uint32_t i = 0; i < h.e_phnum; ++i) {
    const uint64_t at = h.e_phoff + i * sizeof(Elf64_Phdr);
    const auto p = load<Elf64_Phdr>(elf.data_ + at);
    if (p.p_type != PT_GNU_STACK && !inBounds(p.p_offset, p.p_filesz, size))
      return bad(error, at, "segment's file size", p.p_filesz, "it must lie in the file");
    switch (p.p_type) {
    case PT_LOAD: {
      if (elf.segmentCount_ == kMaxSegments)
        return bad(error, at, "number of segments", kMaxSegments + 1, "at most 0x10 are possible");
      if (p.p_filesz > p.p_memsz)
        return bad(error, at, "segment's file size", p.p_filesz,
                   "it must not exceed the size in memory");
      if (p.p_flags & ~uint32_t{PF_R | PF_W | PF_X})
        return bad(error, at, "segment's flags", p.p_flags, "only R, W and X are known");
      if ((p.p_flags & PF_W) && (p.p_flags & PF_X))
        return bad(error, at, "segment's flags", p.p_flags,
                   "memory that is writable and executable is refused");
      if (p.p_align & (p.p_align - 1) || p.p_align > SEMDNS_CODE_ALIGN)
        return bad(error, at, "segment's alignment", p.p_align,
                   "a power of two up to 0x10000 is needed");
      uint64_t end;
      if (!checkedAdd(p.p_vaddr, p.p_memsz, end) || end > kMaxMemory)
        return bad(error, at, "segment's address", p.p_vaddr, "images end below 0x40000000");
      if (p.p_vaddr < next)
        return bad(error, at, "segment's address", p.p_vaddr, "segments rise and share no page");
      if (!base::checkedAlign(end, kPage, next))
        return bad(error, at, "segment's address", p.p_vaddr, "images end below 0x40000000");
      if (p.p_align > elf.alignment_)
        elf.alignment_ = p.p_align;
      elf.segments_[elf.segmentCount_++] = {p.p_vaddr, p.p_memsz, p.p_offset, p.p_filesz,
                                            p.p_flags};
      elf.memorySize_ = next;
      break;
    }
    case PT_DYNAMIC:
      if (hasDynamic)
        return bad(error, at, "second PT_DYNAMIC", p.p_type, "one is needed");
      hasDynamic = true;
      dynamic = p;
      break;
    case PT_GNU_STACK:
      if (p.p_flags & PF_X)
        return bad(error, at, "stack's flags", p.p_flags, "an executable stack is refused");
      break;
    case PT_NULL:
    case PT_NOTE:
    case PT_PHDR:
    case PT_GNU_EH_FRAME:
    case PT_GNU_RELRO: // all data are read-only here once relocated
    case PT_GNU_PROPERTY:
      break;
    default:
      return bad(error, at, "program header type", p.p_type,
                 "interpreters, thread-local storage and unknown types are refused");
    }
  }
  if (!elf.segmentCount_ || !hasDynamic)
    return bad(error, h.e_phoff, "number of loadable segments", elf.segmentCount_,
               "at least one and a PT_DYNAMIC are needed");
  if (!elf.parseDynamic(dynamic.p_vaddr, dynamic.p_filesz, error) || !elf.checkSymbols(error) ||
      !elf.checkRelocations(error))
    return false;
  out = elf;
  return true;
}

bool Elf::parseDynamic(uint64_t at, uint64_t size, base::Error &error) {
  const uint8_t *entries = fileBytes(at, size);
  if (!entries)
    return bad(error, 0, "address of PT_DYNAMIC", at, "it must lie in a segment");
  const uint64_t fileAt = static_cast<uint64_t>(entries - data_);
  uint64_t symtab = 0, strtab = 0, strsz = 0, rela = 0, relasz = 0, hash = 0, gnuHash = 0;
  uint64_t relaent = sizeof(Elf64_Rela), syment = sizeof(Elf64_Sym);
  uint64_t count = size / sizeof(Elf64_Dyn);
  bool ended = false;
  for (uint64_t i = 0; i < count && !ended; ++i) {
    const auto d = load<Elf64_Dyn>(entries + i * sizeof(Elf64_Dyn));
    const uint64_t value = d.d_un.d_val;
    switch (d.d_tag) {
    case DT_NULL:
      ended = true;
      break;
    case DT_SYMTAB:
      symtab = value;
      break;
    case DT_SYMENT:
      syment = value;
      break;
    case DT_STRTAB:
      strtab = value;
      break;
    case DT_STRSZ:
      strsz = value;
      break;
    case DT_RELA:
      rela = value;
      break;
    case DT_RELASZ:
      relasz = value;
      break;
    case DT_RELAENT:
      relaent = value;
      break;
    case DT_HASH:
      hash = value;
      break;
    case DT_GNU_HASH:
      gnuHash = value;
      break;
    case DT_RELACOUNT:
    case DT_SONAME:
    case DT_SYMBOLIC:
    case DT_DEBUG:
    case DT_BIND_NOW:
      break;
    case DT_FLAGS:
      if (value & (DF_TEXTREL | DF_STATIC_TLS))
        return bad(error, fileAt + i * sizeof d, "DT_FLAGS", value,
                   "text relocations and thread-local storage are refused");
      break;
    case DT_FLAGS_1:
      break;
    default:
      return bad(error, fileAt + i * sizeof d, "dynamic tag", static_cast<uint64_t>(d.d_tag),
                 "imports, initialisers, PLT and unknown tags are refused");
    }
  }
  if (!ended)
    return bad(error, fileAt, "dynamic section", count, "it must end with DT_NULL");
  if (syment != sizeof(Elf64_Sym) || relaent != sizeof(Elf64_Rela))
    return bad(error, fileAt, "size of a symbol or relocation",
               syment != sizeof(Elf64_Sym) ? syment : relaent, "0x18 is needed");
  const uint8_t *strings = strsz ? fileBytes(strtab, strsz) : nullptr;
  if (!strings || strings[strsz - 1] != 0)
    return bad(error, fileAt, "address of DT_STRTAB", strtab,
               "the strings must lie in a segment's file part and end with NUL");
  strings_ = static_cast<uint64_t>(strings - data_);
  stringsSize_ = strsz;
  if (relasz) {
    const uint8_t *relocations = fileBytes(rela, relasz);
    if (!relocations || relasz % sizeof(Elf64_Rela))
      return bad(error, fileAt, "address of DT_RELA", rela,
                 "the relocations must lie in a segment's file part");
    relocations_ = static_cast<uint64_t>(relocations - data_);
    relocationCount_ = relasz / sizeof(Elf64_Rela);
  }
  if (!countSymbols(hash, gnuHash, error))
    return false;
  uint64_t symbolBytes;
  const uint8_t *symbols = nullptr;
  if (symbolCount_ && checkedMul(symbolCount_, sizeof(Elf64_Sym), symbolBytes))
    symbols = fileBytes(symtab, symbolBytes);
  if (!symbols)
    return bad(error, fileAt, "address of DT_SYMTAB", symtab,
               "the symbols must lie in a segment's file part");
  symbols_ = static_cast<uint64_t>(symbols - data_);
  return true;
}

// ELF says nowhere how many dynamic symbols there are; the hash tables imply it.
bool Elf::countSymbols(uint64_t hash, uint64_t gnuHash, base::Error &error) {
  if (hash) {
    const uint8_t *table = fileBytes(hash, 8);
    if (!table)
      return bad(error, 0, "address of DT_HASH", hash, "it must lie in a segment's file part");
    symbolCount_ = load<uint32_t>(table + 4);
    return true;
  }
  const uint8_t *table = gnuHash ? fileBytes(gnuHash, 16) : nullptr;
  if (!table)
    return bad(error, 0, "address of DT_GNU_HASH", gnuHash,
               "a hash table in a segment's file part is needed");
  const uint32_t buckets = load<uint32_t>(table), first = load<uint32_t>(table + 4),
                 bloom = load<uint32_t>(table + 8);
  const uint64_t bucketsAt = gnuHash + 16 + uint64_t{bloom} * 8; // no overflow: gnuHash < 2^30
  const uint8_t *heads = fileBytes(bucketsAt, uint64_t{buckets} * 4);
  if (!heads)
    return bad(error, 0, "size of DT_GNU_HASH", buckets, "it must lie in a segment's file part");
  uint64_t last = 0;
  for (uint32_t i = 0; i < buckets; ++i)
    if (uint32_t head = load<uint32_t>(heads + 4ull * i); head > last)
      last = head;
  if (last < first) { // no symbol is hashed
    symbolCount_ = first;
    return true;
  }
  // The chain of the highest head ends with the last symbol, marked by its low bit.
  const uint64_t chains = bucketsAt + uint64_t{buckets} * 4;
  for (;; ++last) {
    const uint8_t *link = fileBytes(chains + (last - first) * 4, 4);
    if (!link)
      return bad(error, 0, "chain of DT_GNU_HASH", last, "it must end within the segment");
    if (load<uint32_t>(link) & 1)
      break;
  }
  symbolCount_ = last + 1;
  return true;
}

bool Elf::checkSymbols(base::Error &error) const {
  for (uint64_t i = 1; i < symbolCount_; ++i) { // symbol 0 is the null symbol
    const uint64_t at = symbols_ + i * sizeof(Elf64_Sym);
    const auto s = load<Elf64_Sym>(data_ + at);
    if (s.st_name >= stringsSize_)
      return bad(error, at, "symbol's name", s.st_name, "it must lie in the strings");
    if (s.st_shndx == SHN_UNDEF)
      return fail(error, SEMDNS_ERROR_CODE, kTag, at,
                  "native code: imports the symbol '%.100s'; kernels import nothing",
                  reinterpret_cast<const char *>(data_ + strings_ + s.st_name));
    const uint32_t type = ELF64_ST_TYPE(s.st_info);
    if (s.st_shndx >= SHN_LORESERVE ||
        (type != STT_NOTYPE && type != STT_OBJECT && type != STT_FUNC))
      return bad(error, at, "symbol's type", type,
                 "functions and objects in sections are possible");
    if (!segmentOf(s.st_value, s.st_size))
      return bad(error, at, "symbol's address", s.st_value, "it must lie in a segment");
  }
  return true;
}

bool Elf::checkRelocations(base::Error &error) const {
  for (uint64_t i = 0; i < relocationCount_; ++i) {
    const uint64_t at = relocations_ + i * sizeof(Elf64_Rela);
    const auto r = load<Elf64_Rela>(data_ + at);
    if (ELF64_R_TYPE(r.r_info) != kRelative || ELF64_R_SYM(r.r_info) != 0)
      return bad(error, at, "relocation", r.r_info, "only RELATIVE ones are possible");
    const Segment *s = segmentOf(r.r_offset, 8);
    if (!s || !(s->flags & PF_W))
      return bad(error, at, "relocation's address", r.r_offset,
                 "it must lie in a writable segment");
    if (static_cast<uint64_t>(r.r_addend) > memorySize_)
      return bad(error, at, "relocation's addend", static_cast<uint64_t>(r.r_addend),
                 "it must lie in the image");
  }
  return true;
}

bool Elf::find(const char *name, ElfSymbol &out) const {
  for (uint64_t i = 1; i < symbolCount_; ++i) {
    const auto s = load<Elf64_Sym>(data_ + symbols_ + i * sizeof(Elf64_Sym));
    if (strcmp(reinterpret_cast<const char *>(data_ + strings_ + s.st_name), name) != 0)
      continue;
    const Segment *segment = segmentOf(s.st_value, s.st_size);
    out = {s.st_value, s.st_size, (segment->flags & PF_X) != 0};
    return true;
  }
  return false;
}

void ElfImage::unmap() {
  if (mapping_)
    munmap(mapping_, mappingSize_);
  mapping_ = nullptr;
  base_ = nullptr;
  mappingSize_ = 0;
}

ElfImage::Result ElfImage::map(const Elf &elf, base::Error &error) {
  unmap();
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  // Segments were checked to share no 4 KiB page; on larger pages they still might.
  for (uint32_t i = 1; i < elf.segmentCount_; ++i) {
    const Elf::Segment &a = elf.segments_[i - 1], &b = elf.segments_[i];
    if (a.memorySize && (a.address + a.memorySize - 1) / page >= b.address / page) {
      fail(error, SEMDNS_ERROR_CODE, kTag, 0,
           "native code: linked for pages of %" PRIu64 " bytes; this system has pages of %" PRIu64,
           kPage, page);
      return Result::Denied;
    }
  }
  const uint64_t slack = elf.alignment_ > page ? elf.alignment_ : 0;
  mappingSize_ = elf.memorySize_ + slack + page; // at most 1 GiB and a little
  void *memory =
      mmap(nullptr, mappingSize_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail(error, SEMDNS_ERROR_MEMORY, kTag, 0, "native code: cannot map %zu bytes: %s", mappingSize_,
         strerror(errno));
    mappingSize_ = 0;
    return Result::Failed;
  }
  mapping_ = memory;
  uintptr_t start = reinterpret_cast<uintptr_t>(memory);
  if (slack)
    start = (start + elf.alignment_ - 1) & ~(elf.alignment_ - 1);
  base_ = reinterpret_cast<uint8_t *>(start);
  for (uint32_t i = 0; i < elf.segmentCount_; ++i)
    memcpy(base_ + elf.segments_[i].address, elf.data_ + elf.segments_[i].fileOffset,
           elf.segments_[i].fileSize);
  for (uint64_t i = 0; i < elf.relocationCount_; ++i) {
    const auto r = load<Elf64_Rela>(elf.data_ + elf.relocations_ + i * sizeof(Elf64_Rela));
    const uint64_t value = start + static_cast<uint64_t>(r.r_addend);
    memcpy(base_ + r.r_offset, &value, sizeof value);
  }
  __builtin___clear_cache(reinterpret_cast<char *>(base_),
                          reinterpret_cast<char *>(base_ + elf.memorySize_));
  if (mprotect(mapping_, mappingSize_, PROT_READ) != 0) {
    fail(error, SEMDNS_ERROR_MEMORY, kTag, 0, "native code: mprotect: %s", strerror(errno));
    unmap();
    return Result::Failed;
  }
  for (uint32_t i = 0; i < elf.segmentCount_; ++i) {
    const Elf::Segment &s = elf.segments_[i];
    if (!(s.flags & PF_X) || !s.memorySize)
      continue;
    const uint64_t begin = s.address / page * page;
    const uint64_t end = (s.address + s.memorySize + page - 1) / page * page;
    if (mprotect(base_ + begin, end - begin, PROT_READ | PROT_EXEC) != 0) {
      fail(error, SEMDNS_ERROR_MEMORY, kTag, 0, "PROT_EXEC denied: %s", strerror(errno));
      unmap();
      return Result::Denied;
    }
  }
  return Result::Mapped;
}

} // namespace semdns::artifact
