// The loader of compiled kernels: a real one is mapped and called, others are refused.
#include "lib/support/files.h"
#include "runtime/artifact/contents.h"
#include "runtime/artifact/elf.h"
#include "semdns/kernel.h"
#include "test/unit/artifact/sample.h"

#include <elf.h>
#include <gtest/gtest.h>

using namespace semdns;
using artifact::Elf;
using artifact::ElfImage;
using artifact::ElfSymbol;
using test::get;
using test::put;

namespace {

std::string kernel(const char *name) {
  std::string error;
  auto bytes = readFile(std::string(KERNEL_DIR "/") + name + ".so", error);
  EXPECT_TRUE(bytes) << error;
  return bytes.value_or("");
}

bool parses(const std::string &bytes) {
  // A copy of just the size, so that the address sanitizer sees reads beyond it.
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  memcpy(copy.get(), bytes.data(), bytes.size());
  Elf elf;
  base::Error error;
  bool ok = Elf::parse(copy.get(), bytes.size(), elf, error);
  EXPECT_EQ(error.code, ok ? SEMDNS_OK : SEMDNS_ERROR_CODE);
  if (ok) {
    ElfSymbol symbol;
    elf.find("semdns_kernel_route", symbol);
  }
  return ok;
}

void callRoute(const std::string &bytes) {
  Elf elf;
  base::Error error;
  ASSERT_TRUE(Elf::parse(bytes.data(), bytes.size(), elf, error)) << error.message;
  ElfSymbol route, info;
  ASSERT_TRUE(elf.find("semdns_kernel_route", route));
  ASSERT_TRUE(elf.find("semdns_kernel_info", info));
  EXPECT_FALSE(elf.find("semdns_kernel", info));
  EXPECT_TRUE(route.executable);
  EXPECT_FALSE(info.executable);
  ElfImage image;
  EXPECT_EQ(image.address(route), nullptr);
  ASSERT_EQ(image.map(elf, error), ElfImage::Result::Mapped) << error.message;
  auto *function = reinterpret_cast<semdns_kernel_route_fn>(image.address(route));
  semdns_kernel_query query{};
  semdns_kernel_answer answer{};
  function(nullptr, &query, nullptr, &answer);
  EXPECT_EQ(answer.zone, 1u);
  query.text_size = 1;
  function(nullptr, &query, nullptr, &answer);
  EXPECT_EQ(answer.zone, 3u);
  EXPECT_EQ(static_cast<const semdns_kernel_info_t *>(image.address(info))->zone_count, 4u);
}

TEST(ElfLoader, MapsAndRuns) { callRoute(kernel("kernel_good")); }
TEST(ElfLoader, SysvHash) { callRoute(kernel("kernel_sysv")); }

TEST(ElfLoader, RefusesImportsAndConstructors) {
  Elf elf;
  base::Error error;
  std::string bytes = kernel("kernel_import");
  EXPECT_FALSE(Elf::parse(bytes.data(), bytes.size(), elf, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_CODE);
  bytes = kernel("kernel_constructor");
  EXPECT_FALSE(Elf::parse(bytes.data(), bytes.size(), elf, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_CODE);
}

TEST(ElfLoader, RefusesWritableCodeAndForeignFiles) {
  const std::string good = kernel("kernel_good");
  const auto header = get<Elf64_Ehdr>(good, 0);
  bool tried = false;
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    const size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    auto p = get<Elf64_Phdr>(good, at);
    if (p.p_type != PT_LOAD || !(p.p_flags & PF_X))
      continue;
    std::string bytes = good;
    p.p_flags |= PF_W;
    put(bytes, at, p);
    EXPECT_FALSE(parses(bytes));
    tried = true;
  }
  EXPECT_TRUE(tried);
  std::string bytes = good;
  bytes[EI_CLASS] = ELFCLASS32;
  EXPECT_FALSE(parses(bytes));
  bytes = good;
  put<uint16_t>(bytes, offsetof(Elf64_Ehdr, e_machine), EM_386);
  EXPECT_FALSE(parses(bytes));
  bytes = good;
  put<uint16_t>(bytes, offsetof(Elf64_Ehdr, e_type), ET_EXEC);
  EXPECT_FALSE(parses(bytes));
}

TEST(ElfLoader, SurvivesTruncationAndMutation) {
  const std::string good = kernel("kernel_good");
  for (size_t size = 0; size < good.size(); size += size < 1024 ? 1 : 61)
    parses(good.substr(0, size));
  uint64_t state = 7;
  auto random = [&](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (uint64_t n = 1 + random(3); n; --n) {
      const size_t at = random(random(2) ? bytes.size() : 1500);
      if (random(2))
        bytes[at] ^= static_cast<char>(1 << random(8));
      else
        bytes[at] = static_cast<char>(random(3) - 1);
    }
    parses(bytes);
  }
}

TEST(Kernels, InfoMustFitTheData) {
  auto check = [](const std::string &elf, uint32_t isa) {
    test::Sample sample;
    sample.addKernel(isa, elf);
    const std::string file = sample.finish();
    void *memory = aligned_alloc(64, file.size());
    memcpy(memory, file.data(), file.size());
    artifact::Reader reader;
    artifact::Contents contents;
    base::Error error;
    if (reader.open(memory, file.size(), 0, artifact::Check::Full, error) &&
        artifact::parseContents(reader, contents, error))
      artifact::checkKernels(reader, contents, error);
    free(memory);
    return error;
  };
  const std::string good = kernel("kernel_good");
  EXPECT_EQ(check(good, SEMDNS_ISA_X86_64_V2).code, SEMDNS_OK);
  base::Error error = check(good, SEMDNS_ISA_X86_64_V3);
  EXPECT_EQ(error.code, SEMDNS_ERROR_CODE);
  EXPECT_STREQ(error.message, "kernel for target 2: isa is 1; expected 2");
  EXPECT_EQ(check("not code", SEMDNS_ISA_X86_64_V2).code, SEMDNS_ERROR_CODE);
}

} // namespace
