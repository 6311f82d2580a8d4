// Whole artifacts with an encoder: the loader takes stage 3's kernel from the level that it maps,
// every level gives the same evidence, and a kernel for another shape is refused.
#include "runtime/exec/isa.h"
#include "semdns/semdns.hpp"
#include "test/unit/encoder_int8/kernels.h"
#include "test/unit/runtime/with_encoder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstring>

using namespace semdns;
using testing::HasSubstr;

namespace {

test::ModelOptions options(uint64_t seed) {
  test::ModelOptions o;
  o.seed = seed;
  o.rootClass = true;
  o.encoderWidth = 48;
  return o;
}

struct Level {
  Error error;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;
  Level(const std::string &bytes, const char *isa) {
    OpenOptions open;
    open.isa = isa;
    artifact = Artifact::openMemory(bytes.data(), bytes.size(), open, error);
    if (artifact)
      resolver = Resolver(artifact, error);
    if (resolver)
      scratch = Scratch(resolver, error);
  }
};

TEST(EncoderArtifact, EveryLevelHasTheSameEvidence) {
  const test::TestModel model = test::makeEncoderModel(options(3));
  const auto kernels = test::compileKernelSections(model);
  ASSERT_FALSE(kernels.empty());
  const std::string bytes = test::packArtifact(model, kernels);
  Level portable(bytes, "portable");
  ASSERT_FALSE(portable.error) << portable.error.message();
  for (const test::KernelSection &kernel : kernels) {
    const char *name = exec::isaName(kernel.isa);
    Level level(bytes, name);
    ASSERT_FALSE(level.error) << level.error.message();
    std::mt19937_64 random(7);
    uint32_t encoded = 0;
    for (int t = 0; t < 300; ++t) {
      const std::string text = t % 5 ? test::randomText(random, model, 1 + t % 20)
                                     : test::hostileText(random, 1 + t * 3);
      const std::string context = t % 3 ? "" : test::randomText(random, model, t % 11);
      semdns_query query = Resolver::query(text);
      query.context = context.data();
      query.context_size = context.size();
      semdns_evidence a, b;
      ASSERT_EQ(portable.resolver.measure(portable.scratch, query, a), SEMDNS_OK);
      ASSERT_EQ(level.resolver.measure(level.scratch, query, b), SEMDNS_OK);
      ASSERT_EQ(std::memcmp(&a.keyword, &b.keyword, sizeof a.keyword), 0) << name << ", text " << t;
      ASSERT_EQ(std::memcmp(&a.embedding, &b.embedding, sizeof a.embedding), 0) << name << t;
      ASSERT_EQ(std::memcmp(&a.encoder, &b.encoder, sizeof a.encoder), 0) << name << ", text " << t;
      ASSERT_EQ(a.flags, b.flags);
      ASSERT_EQ(a.candidate_count, b.candidate_count);
      for (uint32_t k = 0; k < a.candidate_count; ++k) {
        ASSERT_EQ(a.candidates[k].index, b.candidates[k].index) << name << ", text " << t;
        ASSERT_EQ(a.candidates[k].confidence, b.candidates[k].confidence) << name;
      }
      encoded += a.encoder.stage == SEMDNS_STAGE_ENCODER;
    }
    EXPECT_GT(encoded, 200u);
  }
}

TEST(EncoderArtifact, KernelsForAnotherShapeAreRefused) {
  const test::TestModel model = test::makeEncoderModel(options(3));
  test::TestModel other = model;
  semdns_encm_header header;
  std::memcpy(&header, other.encm.data(), sizeof header);
  header.token_cost ^= 1; // compiled in, too, although nothing reads it
  std::memcpy(other.encm.data(), &header, sizeof header);
  const std::string bytes = test::packArtifact(model, test::compileKernelSections(other));
  Level level(bytes, nullptr);
  ASSERT_TRUE(level.error);
  EXPECT_THAT(level.error.message(), HasSubstr("encoder"));
}

} // namespace
