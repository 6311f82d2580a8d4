#include "lib/codegen/codegen.h"

#include "llvm/Object/ELF.h"

namespace semdns::codegen {
namespace {

using Elf = llvm::object::ELFFile<llvm::object::ELF64LE>;

llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 "the compiled kernel is not fit to be loaded: " + message);
}

} // namespace

llvm::Error checkKernelElf(llvm::StringRef bytes) {
  using namespace llvm::ELF;
  auto elf = Elf::create(bytes);
  if (!elf)
    return elf.takeError();
  const auto &header = elf->getHeader();
  if (header.e_type != ET_DYN || header.e_machine != EM_X86_64)
    return fail("it is not an x86-64 shared object");
  auto segments = elf->program_headers();
  if (!segments)
    return segments.takeError();
  for (const auto &segment : *segments) {
    if ((segment.p_flags & PF_W) && (segment.p_flags & PF_X) && segment.p_type == PT_LOAD)
      return fail("a segment is both writable and executable");
    if (segment.p_type == PT_TLS || segment.p_type == PT_INTERP)
      return fail("it has thread-local data or an interpreter");
  }
  auto dynamic = elf->dynamicEntries();
  if (!dynamic)
    return dynamic.takeError();
  for (const auto &entry : *dynamic)
    if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_INIT || entry.d_tag == DT_FINI ||
        entry.d_tag == DT_INIT_ARRAY || entry.d_tag == DT_FINI_ARRAY || entry.d_tag == DT_TEXTREL ||
        entry.d_tag == DT_JMPREL)
      return fail("dynamic entry " + llvm::Twine(static_cast<uint64_t>(entry.d_tag)));

  auto sections = elf->sections();
  if (!sections)
    return sections.takeError();
  bool route = false, info = false;
  for (const auto &section : *sections) {
    if (section.sh_type == SHT_RELA) {
      auto relocations = elf->relas(section);
      if (!relocations)
        return relocations.takeError();
      for (const auto &relocation : *relocations)
        if (relocation.getType(false) != R_X86_64_RELATIVE)
          return fail("relocation of type " + llvm::Twine(relocation.getType(false)));
    }
    if (section.sh_type != SHT_DYNSYM)
      continue;
    auto symbols = elf->symbols(&section);
    if (!symbols)
      return symbols.takeError();
    auto names = elf->getStringTableForSymtab(section);
    if (!names)
      return names.takeError();
    for (const auto &symbol : symbols->drop_front()) {
      auto name = symbol.getName(*names);
      if (!name)
        return name.takeError();
      if (symbol.st_shndx == SHN_UNDEF)
        return fail("undefined symbol '" + *name + "'");
      if (*name == "semdns_kernel_route" && symbol.getType() == STT_FUNC)
        route = true;
      else if (*name == "semdns_kernel_encode" && symbol.getType() == STT_FUNC)
        continue;
      else if (*name == "semdns_kernel_info" && symbol.getType() == STT_OBJECT &&
               symbol.st_size == sizeof(semdns_kernel_info_t))
        info = true;
      else
        return fail("unexpected exported symbol '" + *name + "'");
    }
  }
  if (!route || !info)
    return fail(route ? "semdns_kernel_info is missing" : "semdns_kernel_route is missing");
  return llvm::Error::success();
}

} // namespace semdns::codegen
