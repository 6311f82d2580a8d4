// Stage 3's head against the slow reference, on random embeddings.
#include "lib/reference/route.h"
#include "runtime/exec/head.h"
#include "runtime/exec/portable.h"
#include "test/diff/subject.h"

#include "gtest/gtest.h"

#include <cstring>
#include <random>

namespace {

using namespace semdns;

TEST(Head, EqualsTheReference) {
  struct Shape {
    uint32_t width, layout, domains;
    bool rootClass, innerClasses;
  };
  uint64_t decided[2] = {};
  for (const Shape &shape :
       {Shape{32, 1, 4, true, true}, Shape{48, 2, 9, true, false}, Shape{40, 4, 12, false, true},
        Shape{2048, 4, 3, true, false}, Shape{16, 1, 0, true, false}}) {
    test::ModelOptions options;
    options.seed = shape.width;
    options.encoderWidth = shape.width;
    options.domains = shape.domains;
    options.rootClass = shape.rootClass;
    options.innerClasses = shape.innerClasses;
    test::TestModel model = test::makeModel(options);
    if (shape.width == 2048)
      model.model.head.gain = SEMDNS_HEAD_MAX_GAIN; // saturation
    if (shape.width == 16)
      model.model.head.mix = SEMDNS_HEAD_MAX_MIX;
    const test::SectionBytes bytes = test::packSections(model);
    const diff::Tables tables(model, bytes);
    const diff::Aligned head(bytes.head);
    const auto &header = *reinterpret_cast<const semdns_head_header *>(head.data());
    ASSERT_EQ(header.width, shape.width);
    diff::Scratch scratch(static_cast<uint32_t>(model.tree.zones.size()), tables.features.dim,
                          tables.classes.padded_count);
    const reference::Sections sections{tables.keyw.view(), tables.tokv.view(), tables.cent.view(),
                                       tables.clsf.view()};
    std::mt19937_64 random(shape.width);
    diff::Aligned query(header.padded_width), scores(header.padded_count * 4),
        weights(header.padded_count * 4);
    const exec::HeadScratch memory{reinterpret_cast<int8_t *>(query.data()),
                                   reinterpret_cast<int32_t *>(scores.data()),
                                   reinterpret_cast<uint32_t *>(weights.data())};
    for (uint32_t i = 0; i < 300; ++i) {
      const std::string text =
          i ? test::randomText(random, model, static_cast<uint32_t>(random() % 12)) : "";
      const uint32_t topK = 1 + i % 8;
      std::memset(query.data(), 0x5a, query.size());
      uint32_t peak = i % 50 ? static_cast<uint32_t>(random() % 65537) : 0;
      for (uint32_t d = 0; d < header.width; ++d)
        memory.query[d] = peak ? static_cast<int8_t>(static_cast<int>(random() % 255) - 127) : 0;
      const std::vector<int8_t> embedding(memory.query, memory.query + header.width);

      semdns_kernel_query q = {};
      q.size = sizeof q;
      q.stages = SEMDNS_KERNEL_STAGE_EMBEDDING;
      q.top_k = 1;
      q.text = reinterpret_cast<const uint8_t *>(text.data());
      q.text_size = text.size();
      semdns_kernel_answer answer;
      exec::routePortable(&tables.abi, &q, &scratch.abi, &answer);
      exec::decideEncoded(tables.clsf.data(), head.data(), peak, scratch.abi.scores, topK, memory,
                          answer);
      const semdns_kernel_answer expected =
          reference::decideEncoded(sections, head.view(), text, embedding.data(), peak, topK);
      ASSERT_EQ(std::memcmp(&answer, &expected, sizeof answer), 0)
          << "width " << shape.width << " text " << i << ": zone " << answer.zone << " "
          << expected.zone << ", odds " << answer.odds << " " << expected.odds << ", weight "
          << answer.total_weight << " " << expected.total_weight;
      ++decided[answer.zone == answer.best_zone];
    }
  }
  EXPECT_GT(decided[0], 50u);
  EXPECT_GT(decided[1], 50u);
}

} // namespace
