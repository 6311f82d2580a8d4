#include "runtime/exec/isa.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace semdns::exec {
namespace {

struct Level {
  uint32_t isa;
  uint32_t rank;
  char name[20];
};

constexpr Level kLevels[] = {
    {SEMDNS_ISA_PORTABLE, 0, "portable"},
    {SEMDNS_ISA_X86_64_V2, 1, "x86-64-v2"},
    {SEMDNS_ISA_X86_64_V3, 2, "x86-64-v3"},
    {SEMDNS_ISA_X86_64_V3_VNNI, 3, "x86-64-v3+vnni"},
    {SEMDNS_ISA_X86_64_V4, 4, "x86-64-v4"},
    {SEMDNS_ISA_X86_64_V4_VNNI, 5, "x86-64-v4+vnni"},
    {SEMDNS_ISA_X86_64_V4_AMX, 6, "x86-64-v4+amx"},
    {SEMDNS_ISA_AARCH64, 1, "aarch64"},
    {SEMDNS_ISA_AARCH64_DOTPROD, 2, "aarch64+dotprod"},
    {SEMDNS_ISA_AARCH64_SVE2, 3, "aarch64+sve2"},
};

const Level *level(uint32_t isa) {
  for (const Level &l : kLevels)
    if (l.isa == isa)
      return &l;
  return nullptr;
}

#if defined(__x86_64__)
uint64_t savedState() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool all(uint32_t value, uint32_t bits) { return (value & bits) == bits; }

bool x86Runs(uint32_t isa) {
  uint32_t a, b, c, d, b7 = 0, c7 = 0, d7 = 0, a71 = 0, cExt = 0, unused;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return false;
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT
  constexpr uint32_t kV2 = 1u | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
  if (!all(c, kV2))
    return false;
  if (isa == SEMDNS_ISA_X86_64_V2)
    return true;
  // FMA, MOVBE, OSXSAVE, AVX, F16C
  constexpr uint32_t kV3 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
  if (!all(c, kV3) || (savedState() & 0x6) != 0x6)
    return false;
  __get_cpuid_count(7, 0, &a, &b7, &c7, &d7);
  __get_cpuid_count(7, 1, &a71, &unused, &unused, &unused);
  __get_cpuid(0x80000001, &a, &b, &cExt, &d);
  // BMI1, AVX2, BMI2; LZCNT
  if (!all(b7, 1u << 3 | 1u << 5 | 1u << 8) || !all(cExt, 1u << 5))
    return false;
  if (isa == SEMDNS_ISA_X86_64_V3)
    return true;
  if (isa == SEMDNS_ISA_X86_64_V3_VNNI)
    return all(a71, 1u << 4);
  // AVX512 F, DQ, CD, BW, VL, and the OS saves masks and the wide registers
  constexpr uint32_t kV4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  if (!all(b7, kV4) || (savedState() & 0xe6) != 0xe6)
    return false;
  if (isa == SEMDNS_ISA_X86_64_V4)
    return true;
  if (!all(c7, 1u << 11))
    return false;
  // AMX needs a permission from the kernel that nothing here asks for yet.
  return isa == SEMDNS_ISA_X86_64_V4_VNNI;
}
#endif

} // namespace

const char *isaName(uint32_t isa) {
  const Level *l = level(isa);
  return l ? l->name : nullptr;
}

bool isaFromName(const char *name, uint32_t &isa) {
  for (const Level &l : kLevels) {
    if (strcmp(l.name, name) == 0) {
      isa = l.isa;
      return true;
    }
  }
  return false;
}

bool isaRuns(uint32_t isa) {
  if (isa == SEMDNS_ISA_PORTABLE)
    return true;
#if defined(__x86_64__)
  // Asked once: a virtual machine's cpuid leaves the machine each time, for microseconds.
  static uint32_t runs; // bit of each level that does, and bit 31 once they are known
  if (isa >= SEMDNS_ISA_X86_64_V2 && isa <= SEMDNS_ISA_X86_64_V4_VNNI) {
    uint32_t known = __atomic_load_n(&runs, __ATOMIC_RELAXED);
    if (!known) {
      known = 1u << 31;
      for (uint32_t i = SEMDNS_ISA_X86_64_V2; i <= SEMDNS_ISA_X86_64_V4_VNNI; ++i)
        known |= x86Runs(i) ? 1u << i : 0;
      __atomic_store_n(&runs, known, __ATOMIC_RELAXED);
    }
    return known >> isa & 1;
  }
#endif
  return false;
}

uint32_t isaRank(uint32_t isa) {
  const Level *l = level(isa);
  return l ? l->rank : 0;
}

} // namespace semdns::exec
