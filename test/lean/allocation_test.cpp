/// Resolving requests no memory: malloc, its kin and mmap are counted (tools/count_allocations.h).
#include "semdns/semdns.hpp"
#include "test/unit/runtime/make_artifact.h"
#include "test/unit/runtime/test_kernel.h"
#include "test/unit/runtime/with_encoder.h"
#include "tools/count_allocations.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace semdns;

namespace {

TEST(Allocations, AreCounted) {
  if (!allocationsAreCounted())
    GTEST_SKIP() << "a sanitizer has the allocator";
  const uint64_t before = allocationsSoFar();
  void *volatile memory = std::malloc(10);
  std::free(memory);
  EXPECT_EQ(allocationsSoFar(), before + 1);
  void *page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page, 4096);
  EXPECT_EQ(allocationsSoFar(), before + 2);
}

TEST(Allocations, NonePerQuery) {
  if (!allocationsAreCounted())
    GTEST_SKIP() << "a sanitizer has the allocator";
  const test::TestModel model = test::makeModel({.charMin = 3, .charMax = 5});
  const std::string bytes = test::packArtifact(model, {test::testKernel(model)});
  for (const char *isa : {"portable", "x86-64-v2"}) {
    OpenOptions open;
    open.isa = isa;
    Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), open);
    Resolver resolver(artifact);
    Scratch scratch(resolver);
    std::mt19937_64 random(1);
    std::vector<std::string> texts = {"", std::string(1 << 20, 'x'), std::string(1 << 20, ' ')};
    for (int i = 0; i < 100; ++i) {
      texts.push_back(test::randomText(random, model, 1 + random() % 4000));
      texts.push_back(test::hostileText(random, static_cast<uint32_t>(random() % 20000)));
    }
    std::vector<semdns_query> queries;
    std::vector<semdns_answer> answers(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      queries.push_back(Resolver::query(texts[i]));
      queries.back().top_k = 8;
      answers[i].size = sizeof(semdns_answer);
    }
    Answer answer;
    const uint64_t before = allocationsSoFar();
    for (const semdns_query &query : queries)
      resolver.resolve(scratch, query, answer);
    const semdns_status status = semdns_resolve_many(resolver.raw(), scratch.raw(), queries.data(),
                                                     answers.data(), queries.size());
    const uint64_t after = allocationsSoFar();
    EXPECT_EQ(status, SEMDNS_OK);
    EXPECT_EQ(after - before, 0u) << isa;
  }
}

TEST(Allocations, NoneInStageThree) {
  if (!allocationsAreCounted())
    GTEST_SKIP() << "a sanitizer has the allocator";
  const test::TestModel model = test::makeEncoderModel({.rootClass = true});
  const std::string bytes = test::packArtifact(model);
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), {});
  Resolver resolver(artifact);
  Scratch scratch(resolver);
  std::mt19937_64 random(1);
  std::vector<std::string> texts = {"", std::string(1 << 20, 'x')};
  for (int i = 0; i < 100; ++i)
    texts.push_back(test::randomText(random, model, 1 + random() % 6));
  Answer answer;
  semdns_evidence evidence;
  uint32_t asked = 0;
  const uint64_t before = allocationsSoFar();
  for (const std::string &text : texts) {
    semdns_query query = Resolver::query(text);
    query.top_k = 8;
    query.context = texts[2].data();
    query.context_size = texts[2].size();
    resolver.resolve(scratch, query, answer);
    resolver.measure(scratch, query, evidence);
    asked += answer->stage == SEMDNS_STAGE_ENCODER;
  }
  EXPECT_EQ(allocationsSoFar() - before, 0u);
  EXPECT_GT(asked, 10u);
}

} // namespace
