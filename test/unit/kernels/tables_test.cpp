// TOKV, CENT, CLSF, ZTRE and GOLD: what the builders write is what the kernels find, and what the
// validators accept.
#include "kernels/lookup.h"
#include "lib/pack/classes_build.h"
#include "lib/pack/features_build.h"
#include "lib/pack/gold_build.h"
#include "lib/pack/zones_build.h"
#include "lib/text/freeze.h"
#include "runtime/artifact/classes.h"
#include "runtime/artifact/features.h"
#include "runtime/artifact/gold.h"
#include "runtime/artifact/text.h"
#include "runtime/artifact/zones.h"
#include "test/unit/kernels/aligned.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace semdns {
namespace {

using test::Aligned;

pack::EmbeddingModel randomModel(uint32_t rows, uint32_t classes, uint32_t dim) {
  std::mt19937_64 random(rows * 31 + classes);
  auto value = [&] { return static_cast<int8_t>(static_cast<int>(random() % 255) - 127); };
  pack::EmbeddingModel model;
  model.dim = dim;
  model.wordNgramMax = 2;
  model.charNgramMin = 3;
  model.charNgramMax = 5;
  model.unknownNorm = 1000;
  for (uint32_t r = 0; r < rows; ++r) {
    model.hashes.push_back(r ? random() : 0);
    model.norms.push_back(static_cast<uint16_t>(r ? random() : 0));
  }
  for (size_t i = 0; i < size_t{rows} * dim; ++i)
    model.rows.push_back(value());
  for (size_t i = 0; i < size_t{classes} * dim; ++i)
    model.classes.push_back(value());
  model.gain = 1234;
  return model;
}

/// root, a (b, c below), d: classes at root, a, c and d when `full`, none otherwise.
void smallTree(spec::ZoneTree &tree, pack::RoutingModel &model, bool full) {
  const char *names[] = {".", "a.", "b.a.", "c.a.", "d."};
  const char *paths[] = {"/", "A", "A/b", "A/c", "d"};
  const uint32_t parents[] = {spec::kNone, 0, 1, 1, 0}, depths[] = {0, 1, 2, 2, 1},
                 ends[] = {5, 4, 3, 4, 5};
  tree.engines.push_back({"big", "eu", spec::Tier::Domain, 4096, 5});
  tree.engines.push_back({"small", "", spec::Tier::Specialist, 0, 0});
  for (int i = 0; i < 5; ++i) {
    spec::Zone zone;
    zone.parent = parents[i];
    zone.depth = depths[i];
    zone.subtreeEnd = ends[i];
    zone.name = names[i];
    zone.path = paths[i];
    zone.engines.push_back({static_cast<uint32_t>(i % 2), 1});
    tree.zones.push_back(zone);
  }
  if (full)
    model.classZone = {0, 1, 3, 4};
  model.acceptance.threshold = {0, 100, 200, 300, 0xffffffffu};
}

TEST(Tables, EveryFeatureIsFoundAndNoOther) {
  for (uint32_t rows : {1u, 2u, 9u, 1000u, 60000u}) {
    pack::EmbeddingModel model = randomModel(rows, 0, 16);
    std::string error;
    auto bytes = pack::buildFeaturesSection(model, error);
    ASSERT_TRUE(bytes) << error;
    Aligned section(*bytes);
    artifact::Features features;
    base::Error fault{};
    ASSERT_TRUE(artifact::Features::parse(section.span(), features, fault)) << fault.message;
    const auto &header = *reinterpret_cast<const semdns_tokv_header *>(section.data());
    const uint8_t *buckets = section.data() + header.buckets_offset;
    for (uint32_t r = 1; r < rows; ++r)
      ASSERT_EQ(uk_lookup(buckets, header.bucket_count, model.hashes[r]), r);
    std::mt19937_64 random(1);
    for (int i = 0; i < 100000; ++i) // one in 2^29 would be found by chance
      ASSERT_EQ(uk_lookup(buckets, header.bucket_count, random()), 0u);
    if (rows >= 1000) {
      EXPECT_LT(header.bucket_count, rows * 2) << "the table wastes space";
    }
    EXPECT_EQ(0, memcmp(section.data() + header.rows_offset, model.rows.data(), rows * 16));
    EXPECT_EQ(0, memcmp(section.data() + header.norms_offset, model.norms.data(), rows * 2));
  }
}

TEST(Tables, EqualFingerprintsAreToldApart) {
  // Same low halves: only another bucket count separates them.
  pack::EmbeddingModel model = randomModel(1, 0, 16);
  for (uint64_t i = 1; i <= 20; ++i) {
    model.hashes.push_back(i * 0x0c00000000000000u | 0x12345678u);
    model.rows.insert(model.rows.end(), 16, static_cast<int8_t>(i));
    model.norms.push_back(1);
  }
  std::string error;
  auto bytes = pack::buildFeaturesSection(model, error);
  ASSERT_TRUE(bytes) << error;
  Aligned section(*bytes);
  const auto &header = *reinterpret_cast<const semdns_tokv_header *>(section.data());
  for (uint32_t r = 1; r < model.hashes.size(); ++r)
    EXPECT_EQ(
        uk_lookup(section.data() + header.buckets_offset, header.bucket_count, model.hashes[r]), r);
}

TEST(Tables, EqualHashesAreRefused) {
  pack::EmbeddingModel model = randomModel(5, 0, 16);
  model.hashes[4] = model.hashes[2];
  std::string error;
  EXPECT_FALSE(pack::buildFeaturesSection(model, error));
  EXPECT_NE(error.find("collide"), std::string::npos) << error;
}

TEST(Tables, FeatureFaultsAreNamed) {
  auto refusal = [](auto change) {
    pack::EmbeddingModel model = randomModel(4, 0, 32);
    change(model);
    std::string error;
    EXPECT_FALSE(pack::buildFeaturesSection(model, error));
    return error;
  };
  EXPECT_EQ(refusal([](auto &m) { m.dim = 24; }),
            "embedding model: the dimension is not a multiple of 16 up to 1024");
  EXPECT_EQ(refusal([](auto &m) { m.norms.pop_back(); }),
            "embedding model: hashes, rows and norms do not fit together");
  EXPECT_EQ(refusal([](auto &m) { m.rows[40] = -128; }),
            "embedding model: a row has the value -128");
  EXPECT_EQ(refusal([](auto &m) { m.charNgramMax = 7; }),
            "embedding model: character n-grams are 2..6 long, or there are none (0, 0)");
  EXPECT_EQ(refusal([](auto &m) { m.wordNgramMax = 4; }),
            "embedding model: word n-grams are 1..3 long");
}

TEST(Tables, Exp2MatchesTheMathematics) {
  auto table = pack::exp2Table();
  for (uint32_t i = 0; i < 256; ++i)
    EXPECT_EQ(table[i], static_cast<uint32_t>(std::lround(65536 * std::exp2(-(i / 256.0))))) << i;
}

TEST(Tables, ClassVectorsLieWhereTheLayoutSays) {
  for (uint32_t layout : {1u, 2u, 4u})
    for (uint32_t classes : {0u, 1u, 16u, 17u, 64u, 150u}) {
      pack::EmbeddingModel model = randomModel(2, classes, 48);
      std::string error;
      auto bytes = pack::buildCentroidsSection(model, layout, error);
      ASSERT_TRUE(bytes) << error;
      Aligned section(*bytes);
      artifact::Centroids centroids;
      base::Error fault{};
      ASSERT_TRUE(artifact::Centroids::parse(section.span(), centroids, fault)) << fault.message;
      for (uint32_t c = 0; c < classes; ++c)
        for (uint32_t d = 0; d < 48; ++d) {
          uint32_t g = c / (16 * layout), b = c / 16 % layout, lane = c % 16;
          size_t offset = ((g * 12 + d / 4) * layout + b) * 64 + lane * 4 + d % 4;
          ASSERT_EQ(centroids.vectors[offset], model.classes[c * 48 + d]);
        }
    }
}

TEST(Tables, LayoutChoice) {
  EXPECT_EQ(pack::chooseLayout(1), 1u); // 16 lanes at least
  EXPECT_EQ(pack::chooseLayout(16), 1u);
  EXPECT_EQ(pack::chooseLayout(17), 2u); // 32 in both; wider is better
  EXPECT_EQ(pack::chooseLayout(33), 1u); // 48 or 64
  EXPECT_EQ(pack::chooseLayout(49), 4u);
  EXPECT_EQ(pack::chooseLayout(64), 4u);
  EXPECT_EQ(pack::chooseLayout(77), 1u);  // 80, 96 or 128
  EXPECT_EQ(pack::chooseLayout(150), 2u); // 160 or 192
  EXPECT_EQ(pack::chooseLayout(1000), 4u);
}

TEST(Tables, TreeAndAcceptanceAgree) {
  for (bool full : {true, false}) {
    spec::ZoneTree tree;
    pack::RoutingModel model;
    smallTree(tree, model, full);
    model.embedding = full ? randomModel(3, 4, 16) : pack::EmbeddingModel{};
    std::string error;
    auto zoneBytes = pack::buildZonesSection(model, tree, error);
    ASSERT_TRUE(zoneBytes) << error;
    auto acceptanceBytes = pack::buildAcceptanceSection(model, tree, error);
    ASSERT_TRUE(acceptanceBytes) << error;
    auto featureBytes = pack::buildFeaturesSection(model.embedding, error);
    ASSERT_TRUE(featureBytes) << error;
    auto classBytes = pack::buildCentroidsSection(model.embedding, 1, error);
    ASSERT_TRUE(classBytes) << error;
    Aligned zoneSection(*zoneBytes), acceptanceSection(*acceptanceBytes),
        featureSection(*featureBytes), classSection(*classBytes);
    artifact::Zones zones;
    artifact::Acceptance acceptance;
    artifact::Features features;
    artifact::Centroids centroids;
    base::Error fault{};
    ASSERT_TRUE(artifact::Zones::parse(zoneSection.span(), zones, fault)) << fault.message;
    ASSERT_TRUE(artifact::Acceptance::parse(acceptanceSection.span(), zones, acceptance, fault))
        << fault.message;
    EXPECT_TRUE(artifact::Features::parse(featureSection.span(), features, fault)) << fault.message;
    EXPECT_TRUE(artifact::Centroids::parse(classSection.span(), centroids, fault)) << fault.message;
    EXPECT_EQ(zones.zones[2].own_class, SEMDNS_NONE);
    EXPECT_EQ(zones.zones[3].own_class, full ? 2u : SEMDNS_NONE);
    EXPECT_EQ(zones.zones[1].class_end - zones.zones[1].class_begin, full ? 2u : 0u);
    EXPECT_EQ(acceptance.header->root_class, full ? 1u : 0u);
    EXPECT_EQ(zones.path(3), "A/c");

    pack::GoldQuery query;
    query.text = std::string("a\0b\xff", 4);
    query.expectedZone = 3;
    auto goldBytes = pack::buildGoldSection({query, {}}, error);
    ASSERT_TRUE(goldBytes) << error;
    Aligned goldSection(*goldBytes);
    artifact::Gold gold;
    EXPECT_TRUE(artifact::Gold::parse(goldSection.span(), zones, gold, fault)) << fault.message;
  }
}

TEST(Tables, ModelsThatDoNotFitTheTreeAreRefused) {
  spec::ZoneTree tree;
  pack::RoutingModel model;
  smallTree(tree, model, true);
  std::string error;
  auto refused = [&](const pack::RoutingModel &m) {
    return !pack::buildZonesSection(m, tree, error) &&
           !pack::buildAcceptanceSection(m, tree, error);
  };
  pack::RoutingModel other = model;
  other.classZone = {1, 1};
  EXPECT_TRUE(refused(other));
  other.classZone = {5};
  EXPECT_TRUE(refused(other));
  auto noThresholds = [&](const pack::RoutingModel &m) {
    return !pack::buildAcceptanceSection(m, tree, error);
  };
  other = model;
  other.acceptance.threshold.pop_back();
  EXPECT_TRUE(noThresholds(other));
  other = model;
  other.acceptance.threshold[0] = 1;
  EXPECT_TRUE(noThresholds(other));
  other = model;
  other.acceptance.threshold[1] = 65537;
  EXPECT_TRUE(noThresholds(other));
  other = model;
  other.guard.confidence = 65538;
  EXPECT_TRUE(noThresholds(other));
}

TEST(Tables, TextSectionIsValid) {
  Aligned section(text::buildTextSection());
  artifact::Text table;
  base::Error fault{};
  EXPECT_TRUE(artifact::Text::parse(section.span(), table, fault)) << fault.message;
}

} // namespace
} // namespace semdns
