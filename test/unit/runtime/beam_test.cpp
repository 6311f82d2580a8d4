// Artifacts whose stage 2 goes down a search tree: the plan, the section's validator, the library.
#include "lib/pack/beam_plan.h"
#include "runtime/artifact/contents.h"
#include "semdns/semdns.hpp"
#include "test/unit/runtime/make_artifact.h"

#include "gtest/gtest.h"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

using namespace semdns;

test::ModelOptions options() {
  test::ModelOptions o;
  o.domains = 10;
  o.leaves = 8;
  o.wordsPerClass = 4;
  o.innerClasses = true;
  o.beamWidth = 3;
  return o;
}

/// Chains, one zone with `wide` children, inner classes.
struct Shape {
  std::vector<uint32_t> parents, subtreeEnd, classZone;
};
Shape shapeOf(uint32_t chain, uint32_t wide) {
  Shape s;
  s.parents.push_back(0);
  for (uint32_t d = 0; d < chain; ++d)
    s.parents.push_back(static_cast<uint32_t>(s.parents.size()) - 1);
  const auto hub = static_cast<uint32_t>(s.parents.size()) - 1;
  for (uint32_t i = 0; i < wide; ++i) {
    const auto child = static_cast<uint32_t>(s.parents.size());
    s.parents.push_back(hub);
    if (i % 7 == 0)
      for (uint32_t k = 0; k < 3; ++k)
        s.parents.push_back(child);
  }
  const auto zones = static_cast<uint32_t>(s.parents.size());
  s.subtreeEnd.resize(zones);
  for (uint32_t z = zones; z-- > 0;) {
    s.subtreeEnd[z] = std::max(s.subtreeEnd[z], z + 1);
    if (z)
      s.subtreeEnd[s.parents[z]] = std::max(s.subtreeEnd[s.parents[z]], s.subtreeEnd[z]);
    else
      break;
  }
  for (uint32_t z = 1; z < zones; ++z)
    if (z % 5 || s.subtreeEnd[z] == z + 1)
      s.classZone.push_back(z);
  return s;
}

// Depth to the format's limit, fan-outs from one to thousands: every class has one entry below its
// zone's home, homes lie below the parents', nodes stay within bounds.
TEST(BeamPlan, AnyShape) {
  for (auto [chain, wide] : {std::pair(15u, 1u), {1u, 3000u}, {14u, 40u}, {0u, 20000u}, {0u, 1u}}) {
    SCOPED_TRACE(std::to_string(chain) + " levels, " + std::to_string(wide) + " children");
    const Shape s = shapeOf(chain, wide);
    const pack::BeamModel beam = pack::planBeam(s.parents, s.subtreeEnd, s.classZone, {});
    EXPECT_LE(pack::levelsOf(beam), SEMDNS_BEAM_MAX_LEVELS);
    EXPECT_LE(pack::nodeRoomOf(beam), 192u);
    ASSERT_EQ(beam.classEntry.size(), s.classZone.size());
    std::vector<uint32_t> nodeOf(beam.entries(), SEMDNS_NONE);
    for (uint32_t n = 0; n < beam.nodes.size(); ++n)
      for (uint32_t e = 0; e < beam.nodes[n].entry_count; ++e)
        nodeOf[beam.nodes[n].entry_begin + e] = n;
    const auto within = [&](uint32_t e, const semdns_beam_home &home) {
      while (nodeOf[e] > home.node)
        e = beam.nodes[nodeOf[e]].parent_entry;
      return nodeOf[e] == home.node && e >= home.begin && e < home.end;
    };
    for (uint32_t k = 0; k < s.classZone.size(); ++k) {
      ASSERT_EQ(beam.target[beam.classEntry[k]], k);
      for (uint32_t z = s.classZone[k];; z = s.parents[z]) {
        ASSERT_TRUE(within(beam.classEntry[k], beam.homes[z])) << "class " << k << " zone " << z;
        if (!z)
          break;
      }
    }
  }
}

TEST(BeamSection, DamagedWordsAreRefusedOrHarmless) {
  const test::TestModel model = test::makeModel(options());
  const std::string bytes = test::packArtifact(model);
  std::unique_ptr<uint8_t, void (*)(void *)> memory(
      static_cast<uint8_t *>(std::aligned_alloc(64, bytes.size())), std::free);
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  artifact::Reader reader;
  artifact::Contents contents;
  base::Error error;
  ASSERT_TRUE(reader.open(memory.get(), bytes.size(), SEMDNS_KIND_HIERARCHY,
                          artifact::Check::Structure, error));
  ASSERT_TRUE(artifact::parseContents(reader, contents, error)) << error.message;
  ASSERT_TRUE(contents.hasBeam);
  const artifact::Span section = reader.get(SEMDNS_TAG_BEAM);
  auto *words = reinterpret_cast<uint32_t *>(const_cast<uint8_t *>(section.data));
  const auto bias = contents.beam.header->bias_offset / 4,
             biasEnd = bias + contents.beam.header->entry_count;
  size_t accepted = 0;
  for (size_t i = 0; i < section.size / 4; ++i) {
    const uint32_t was = words[i];
    for (uint32_t value : {was + 1, was ^ SEMDNS_BEAM_NODE, 0u, UINT32_MAX, was + 16}) {
      if (value == was)
        continue;
      words[i] = value;
      artifact::Beam beam;
      const bool fits = artifact::Beam::parse(section, contents.zones, contents.acceptance,
                                              contents.centroids, beam, error);
      // What a validator cannot know: width, spread, room to spare, biases within bounds, and which
      // of a zone's entries it may do without.
      accepted += fits && !(i >= bias && i < biasEnd) && i >= 8;
    }
    words[i] = was;
  }
  EXPECT_LT(accepted, 2 * model.tree.zones.size());
}

TEST(BeamArtifact, AnswersAndMeasuresAlike) {
  const test::TestModel model = test::makeModel(options());
  const std::string bytes = test::packArtifact(model);
  Error error;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), {}, error);
  ASSERT_TRUE(artifact) << error.message();
  EXPECT_EQ(artifact.info().class_count, model.model.classZone.size());
  Resolver resolver(artifact, error);
  Scratch scratch(resolver, error);
  ASSERT_TRUE(scratch);
  std::mt19937_64 random(5);
  size_t below = 0, several = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string text = test::randomText(random, model, 8);
    semdns_query query = Resolver::query(text);
    query.stages = SEMDNS_STAGE_EMBEDDING;
    query.top_k = 4;
    Answer answer;
    ASSERT_EQ(resolver.resolve(scratch, query, answer), SEMDNS_OK);
    semdns_evidence evidence;
    ASSERT_EQ(resolver.measure(scratch, query, evidence), SEMDNS_OK);
    if (answer->stage != SEMDNS_STAGE_EMBEDDING)
      continue;
    // Confidences rise on the way up, to certainty; the answer's is the evidence's.
    ASSERT_GT(evidence.embedding.count, 1u);
    for (uint32_t c = 1; c < evidence.embedding.count; ++c)
      EXPECT_GE(evidence.embedding.confidence[c], evidence.embedding.confidence[c - 1]);
    EXPECT_EQ(evidence.embedding.confidence[evidence.embedding.count - 1], 65536u);
    bool onTheWay = false;
    for (uint32_t c = 0; c < evidence.embedding.count; ++c)
      onTheWay |= evidence.embedding.zone[c] == answer->zone.index &&
                  evidence.embedding.confidence[c] == answer->zone.confidence;
    EXPECT_TRUE(onTheWay);
    uint32_t sum = 0;
    for (uint32_t c = 1; c < answer->zone_count; ++c)
      sum += answer->zones[c].confidence;
    EXPECT_LE(sum, 65536u);
    below += answer->zone.index != 0;
    several += answer->zone_count > 1;
  }
  EXPECT_GT(below, 20u);
  EXPECT_GT(several, 20u);
}

} // namespace
