// Proofs that a zone is never answered, against many texts; overlaps of terms.
#include "lib/pack/overlap.h"
#include "lib/pack/reach.h"
#include "semdns/semdns.hpp"
#include "test/diff/subject.h"
#include "test/unit/runtime/with_encoder.h"

#include <gtest/gtest.h>

using namespace semdns;

namespace {

std::vector<pack::Unreachable> proofs(const std::string &bytes) {
  const diff::Aligned file(bytes);
  artifact::Reader reader;
  artifact::Contents contents;
  base::Error error;
  EXPECT_TRUE(
      reader.open(file.data(), bytes.size(), SEMDNS_KIND_HIERARCHY, artifact::Check::Full, error) &&
      artifact::parseContents(reader, contents, error))
      << error.message;
  return pack::unreachableZones(contents);
}

TEST(Reach, ProvedZonesAreNeverAnswered) {
  uint32_t proved = 0, answered = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    test::ModelOptions options;
    options.seed = seed;
    options.rootClass = seed % 2;
    options.innerClasses = seed % 3 == 0;
    options.terms = seed % 4 == 0 ? 0 : 8;
    test::TestModel model = seed % 2 ? test::makeEncoderModel(options) : test::makeModel(options);
    std::mt19937_64 random(seed);
    // Thresholds out of reach, equal ones along chains, classes twice.
    for (pack::Acceptance *a : {&model.model.acceptance, &model.model.head.acceptance})
      for (size_t z = 1; z < a->threshold.size(); ++z)
        if (random() % 3 == 0)
          a->threshold[z] = random() % 4 ? random() % 2 * 65536 : 0xffffffffu;
    const size_t classes = model.model.classZone.size(), dim = model.options.dim;
    auto copyClass = [&](std::vector<int8_t> &vectors, size_t width) {
      std::copy_n(vectors.begin() + static_cast<long>(width * (classes - 2)), width,
                  vectors.begin() + static_cast<long>(width * (classes - 1)));
    };
    copyClass(model.model.embedding.classes, dim);
    if (model.model.head.present()) {
      copyClass(model.model.head.classes, model.model.head.width);
      model.model.head.bias[classes - 1] = model.model.head.bias[classes - 2] - 5;
    }
    const std::string bytes = test::packArtifact(model);
    const std::vector<pack::Unreachable> why = proofs(bytes);
    ASSERT_EQ(why.size(), model.tree.zones.size());
    EXPECT_EQ(why[0].why, "");
    for (const pack::Unreachable &each : why)
      proved += !each.why.empty();
    Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), {});
    Resolver resolver(artifact);
    Scratch scratch(resolver);
    Answer answer;
    for (int i = 0; i < 400; ++i) {
      const std::string text = test::randomText(random, model, 1 + random() % 8);
      semdns_query query = Resolver::query(text);
      query.stages = i % 3 ? 0 : 1 + i % 7;
      ASSERT_EQ(resolver.resolve(scratch, query, answer), SEMDNS_OK);
      EXPECT_EQ(why[answer.zone().index].why, "") << answer.zone().name << " seed " << seed;
      answered += answer.zone().index != 0;
    }
  }
  EXPECT_GT(proved, 15u);
  EXPECT_GT(answered, 500u);
}

TEST(Overlap, SameAndContained) {
  // Zones: 1 holds 2, 3 stands apart.
  const std::vector<uint32_t> subtreeEnd = {4, 3, 3, 4};
  const std::vector<pack::TermWords> terms = {{{1, 2}, 1}, {{1, 2}, 3}, {{1, 2, 9}, 3}, {{2}, 2},
                                              {{1, 2}, 1}, {{5}, 3},    {{}, 1}};
  const auto found = pack::findOverlaps(terms, subtreeEnd);
  std::vector<std::string> lines;
  for (const pack::Overlap &o : found)
    lines.push_back(std::to_string(o.term) + (o.same ? "=" : ">") + std::to_string(o.other));
  // Term 0 contains term 3 as well, of a zone below its own.
  EXPECT_EQ(lines, (std::vector<std::string>{"1=0", "1>3", "2>0", "2>3"}));
}

} // namespace
