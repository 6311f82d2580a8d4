#include "lib/calibrate/calibrate.h"
#include "lib/calibrate/stored.h"
#include "semdns/format/artifact.h"
#include "semdns/semdns.hpp"
#include "test/unit/runtime/make_artifact.h"
#include "test/unit/runtime/with_encoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace semdns::calibrate {
namespace {

class Subject {
public:
  explicit Subject(const std::string &bytes)
      : artifact(Artifact::openMemory(bytes.data(), bytes.size())), resolver(artifact),
        scratch(resolver) {}
  semdns_answer resolve(const std::string &text, uint32_t stages) {
    semdns_query query = Resolver::query(text);
    query.stages = stages;
    Answer answer;
    EXPECT_EQ(resolver.resolve(scratch, query, answer), SEMDNS_OK);
    return *answer;
  }

  Artifact artifact;
  Resolver resolver;
  Scratch scratch;
};

std::vector<std::string> texts(const test::TestModel &model) {
  std::mt19937_64 random(3);
  std::vector<std::string> out{"", "?!", "\xff\xfe", "nothing that it knows"};
  for (int i = 0; i < 300; ++i)
    out.push_back(test::randomText(random, model, 1 + i % 9));
  return out;
}

/// Evidence measured once gives the answers under any thresholds, also after they are written into
/// the file.
TEST(Replay, GivesTheAnswersUnderAnyRules) {
  for (int variant = 0; variant < 9; ++variant) {
    test::ModelOptions options;
    options.seed = uint64_t(variant) + 1;
    options.innerClasses = variant & 1;
    options.rootClass = variant & 2;
    options.embedding = variant != 5;
    const bool encoder = variant >= 6;
    options.encoderWidth = encoder ? 32 : 0;
    const test::TestModel model =
        encoder ? test::makeEncoderModel(options) : test::makeModel(options);
    const std::string bytes = test::packArtifact(model);
    Subject first(bytes);
    const Tree tree = treeOf(first.artifact.raw());
    ASSERT_EQ(tree.size(), model.tree.zones.size());
    for (uint32_t z = 0; z < tree.size(); ++z) {
      EXPECT_EQ(tree.subtreeEnd[z], model.tree.zones[z].subtreeEnd);
      EXPECT_EQ(tree.depth[z], model.tree.zones[z].depth);
    }
    const std::vector<std::string> queries = texts(model);
    const std::vector<std::string_view> views(queries.begin(), queries.end());
    std::string error;
    const auto evidence = measure(first.artifact.raw(), views, 2, error);
    ASSERT_TRUE(evidence) << error;
    auto stored = readRules(bytes, error);
    ASSERT_TRUE(stored) << error;
    ASSERT_EQ(stored->encoder.threshold.empty(), !encoder);
    std::mt19937_64 random(variant);
    for (int round = 0; round < 4; ++round) {
      Rules rules = *stored;
      std::string file = bytes;
      if (round) {
        for (uint32_t z = 1; z < tree.size(); ++z)
          rules.embedding.threshold[z] = random() % 9 ? uint32_t(random() % 65537) : kClimb;
        rules.embedding.rootOdds = round == 1 ? INT32_MIN : int32_t(random() % 2001) - 1000;
        for (uint32_t z = 1; z < rules.encoder.threshold.size(); ++z)
          rules.encoder.threshold[z] = random() % 9 ? uint32_t(random() % 65537) : kClimb;
        if (encoder)
          rules.encoder.rootOdds = round == 1 ? INT32_MIN : int32_t(random() % 2001) - 1000;
        rules.guard = {uint32_t(random() % 65538), int32_t(random() % 400) - 200,
                       round == 1 ? INT32_MIN : int32_t(random() % 400) - 600};
        auto changed = replaceRules(bytes, rules, {{"risk.holds", "yes"}}, {}, 8, error);
        ASSERT_TRUE(changed) << error;
        file = *changed;
        const auto again = readRules(file, error);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->embedding.threshold, rules.embedding.threshold);
        EXPECT_EQ(again->embedding.rootOdds, rules.embedding.rootOdds);
        EXPECT_EQ(again->encoder.threshold, rules.encoder.threshold);
        EXPECT_EQ(again->encoder.rootOdds, rules.encoder.rootOdds);
        EXPECT_EQ(again->guard.confidence, rules.guard.confidence);
      }
      Subject subject(file);
      for (uint32_t stages : {0u, 1u, 2u, 3u, 4u, 5u, 6u})
        for (size_t i = 0; i < queries.size(); ++i) {
          const semdns_answer answer = subject.resolve(queries[i], stages);
          const Decision decision = replay((*evidence)[i], rules, stages);
          ASSERT_EQ(decision.zone, answer.zone.index) << queries[i] << " stages " << stages;
          ASSERT_EQ(decision.stage, answer.stage) << queries[i] << " stages " << stages;
          if (decision.stage != SEMDNS_STAGE_NONE)
            ASSERT_EQ(decision.best, answer.best.index) << queries[i];
        }
    }
  }
}

TEST(Replay, OtherRulesLeaveOtherSectionsAlone) {
  const std::string bytes = test::packArtifact(test::makeModel({}));
  std::string error;
  auto rules = readRules(bytes, error);
  ASSERT_TRUE(rules);
  rules->embedding.threshold.back() = 12345;
  auto changed = replaceRules(bytes, *rules, {{"risk.n", "7"}}, {}, 99, error);
  ASSERT_TRUE(changed) << error;
  Subject subject(*changed);
  EXPECT_STREQ(semdns_artifact_meta(subject.artifact.raw(), "risk.n"), "7");
  EXPECT_STREQ(semdns_artifact_meta(subject.artifact.raw(), "name"), "random");
  auto sections = [](const std::string &file) {
    semdns_header header;
    std::memcpy(&header, file.data(), sizeof header);
    std::map<std::pair<uint32_t, uint32_t>, std::string> out;
    for (uint32_t i = 0; i < header.section_count; ++i) {
      semdns_section entry;
      std::memcpy(&entry, file.data() + header.table_offset + size_t{i} * sizeof entry,
                  sizeof entry);
      out[{entry.tag, entry.target}] = file.substr(entry.offset, entry.stored_size);
    }
    return out;
  };
  const auto before = sections(bytes), after = sections(*changed);
  ASSERT_EQ(before.size(), after.size());
  for (const auto &[key, content] : before) {
    const bool mayChange = key.first == SEMDNS_TAG_META || key.first == SEMDNS_TAG_CLSF;
    EXPECT_EQ(content == after.at(key), !mayChange) << key.first;
  }
  // What is damaged or does not fit is refused.
  EXPECT_FALSE(readRules(bytes.substr(0, bytes.size() - 1), error));
  rules->embedding.threshold.pop_back();
  EXPECT_FALSE(replaceRules(bytes, *rules, {}, {}, 99, error));
}

} // namespace
} // namespace semdns::calibrate
