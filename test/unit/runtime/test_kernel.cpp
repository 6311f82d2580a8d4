#include "test/unit/runtime/test_kernel.h"

#include "semdns/kernel.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace semdns::test {

KernelSection testKernel(const TestModel &model) {
  std::ifstream file(SEMDNS_TEST_KERNEL, std::ios::binary);
  KernelSection out{SEMDNS_ISA_X86_64_V2,
                    {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}};
  const SectionBytes sections = packSections(model);
  semdns_tokv_header tokv;
  std::memcpy(&tokv, sections.tokv.data(), sizeof tokv);
  semdns_kernel_info_t info{};
  info.size = sizeof info;
  info.abi = SEMDNS_KERNEL_ABI;
  info.isa = out.isa;
  info.layout = model.layout;
  info.dim = tokv.dim;
  info.class_count = static_cast<uint32_t>(model.model.classZone.size());
  info.zone_count = static_cast<uint32_t>(model.tree.zones.size());
  info.row_count = tokv.row_count;
  info.bucket_count = tokv.bucket_count;
  info.word_ngram_max = tokv.word_ngram_max;
  info.char_ngram_min = tokv.char_ngram_min;
  info.char_ngram_max = tokv.char_ngram_max;
  // test_kernel_image.cpp leaves this mark where the info belongs.
  std::string mark(sizeof info, '\x5a');
  const size_t at = out.elf.find(mark);
  if (at == std::string::npos || out.elf.find(mark, at + 1) != std::string::npos) {
    std::fprintf(stderr, "test_kernel: no info to fill in %s\n", SEMDNS_TEST_KERNEL);
    std::abort();
  }
  std::memcpy(out.elf.data() + at, &info, sizeof info);
  return out;
}

} // namespace semdns::test
