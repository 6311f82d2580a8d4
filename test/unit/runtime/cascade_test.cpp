// The cascade with stage 3: what semdns_measure says and the model's guards and thresholds must
// give every answer of semdns_resolve.
#include "runtime/artifact/reader.h"
#include "semdns/format/classes.h"
#include "semdns/format/head.h"
#include "semdns/semdns.hpp"
#include "test/unit/artifact/sample.h"
#include "test/unit/runtime/test_kernel.h"
#include "test/unit/runtime/with_encoder.h"

#include <cstring>
#include <gtest/gtest.h>
#include <map>

using namespace semdns;

namespace {

Artifact openBytes(const std::string &bytes, Error &error, const char *isa = nullptr) {
  OpenOptions options;
  options.isa = isa;
  return Artifact::openMemory(bytes.data(), bytes.size(), options, error);
}

struct Cascade {
  test::TestModel model;
  Error error;
  std::string bytes;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;

  explicit Cascade(test::TestModel from)
      : model(std::move(from)), bytes(test::packArtifact(model)), artifact(openBytes(bytes, error)),
        resolver(artifact, error), scratch(resolver, error) {
    EXPECT_FALSE(error) << error.message();
  }
  Answer ask(const semdns_query &query) {
    Answer answer;
    EXPECT_EQ(resolver.resolve(scratch, query, answer), SEMDNS_OK);
    return answer;
  }
  semdns_evidence measure(const semdns_query &query) {
    semdns_evidence evidence;
    EXPECT_EQ(resolver.measure(scratch, query, evidence), SEMDNS_OK);
    return evidence;
  }
};

test::ModelOptions options(uint64_t seed) {
  test::ModelOptions o;
  o.seed = seed;
  o.rootClass = true;
  o.innerClasses = seed % 2;
  return o;
}

struct Decision {
  uint32_t stage, zone, confidence;
};

Decision climb(const semdns_stage_evidence &e, const pack::Acceptance &by) {
  if (e.odds < by.rootOdds)
    return {e.stage, 0, 65536};
  for (uint32_t i = 0;; ++i)
    if (!e.zone[i] || e.confidence[i] >= by.threshold[e.zone[i]])
      return {e.stage, e.zone[i], e.confidence[i]};
}

/// The decision that the evidence gives under the model's guards and thresholds.
Decision replay(const semdns_evidence &e, const pack::RoutingModel &m) {
  if (e.keyword.stage && e.keyword.accepted)
    return {SEMDNS_STAGE_KEYWORD, e.keyword.zone[0], e.keyword.confidence[0]};
  if (!(e.flags & SEMDNS_EVIDENCE_ENCODER))
    return e.embedding.stage ? climb(e.embedding, m.acceptance)
                             : Decision{SEMDNS_STAGE_NONE, 0, 65536};
  if (e.embedding.stage) {
    if (e.embedding.confidence[0] >= m.guard.confidence && e.embedding.odds >= m.guard.odds)
      return {SEMDNS_STAGE_EMBEDDING, e.embedding.zone[0], e.embedding.confidence[0]};
    if (e.embedding.odds < m.guard.rejectOdds)
      return {SEMDNS_STAGE_EMBEDDING, 0, 65536};
  }
  return climb(e.encoder, m.head.acceptance);
}

TEST(Cascade, EvidenceGivesEveryAnswer) {
  std::map<uint32_t, uint32_t> stages;
  uint32_t rejected = 0, climbed = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Cascade c(test::makeEncoderModel(options(seed)));
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < 300; ++i) {
      const std::string text = i % 9 == 8 ? test::hostileText(random, random() % 300)
                                          : test::randomText(random, c.model, random() % 8);
      const std::string context = i % 4 == 1 ? test::randomText(random, c.model, 5) : "";
      semdns_query query = Resolver::query(text);
      query.context = context.data();
      query.context_size = context.size();
      query.stages = i % 3 ? 0 : i / 3 % 8;
      const semdns_evidence e = c.measure(query);
      const Answer a = c.ask(query);
      const Decision d = replay(e, c.model.model);
      ASSERT_EQ(a->stage, d.stage) << "seed " << seed << " text " << i;
      ASSERT_EQ(a->zone.index, d.zone) << "seed " << seed << " text " << i;
      ASSERT_EQ(a->zone.confidence, d.confidence) << "seed " << seed << " text " << i;
      ++stages[a->stage];
      rejected += a->stage == SEMDNS_STAGE_ENCODER && !d.zone;
      climbed += a->stage == SEMDNS_STAGE_ENCODER && d.zone && d.zone != e.encoder.zone[0];
    }
  }
  // All ways of deciding occur.
  for (uint32_t stage :
       {SEMDNS_STAGE_NONE, SEMDNS_STAGE_KEYWORD, SEMDNS_STAGE_EMBEDDING, SEMDNS_STAGE_ENCODER})
    EXPECT_GT(stages[stage], 20u) << stage;
  EXPECT_GT(rejected, 20u);
  EXPECT_GT(climbed, 20u);
}

TEST(Cascade, ContextIsReadByStageThreeAlone) {
  Cascade c(test::makeEncoderModel(options(5)));
  std::mt19937_64 random(5);
  uint32_t other = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    const std::string text = test::randomText(random, c.model, 1), context = "was that so";
    semdns_query query = Resolver::query(text);
    const semdns_evidence without = c.measure(query);
    query.context = context.data();
    query.context_size = context.size();
    const semdns_evidence with = c.measure(query);
    EXPECT_EQ(std::memcmp(&without.keyword, &with.keyword, sizeof with.keyword), 0);
    EXPECT_EQ(std::memcmp(&without.embedding, &with.embedding, sizeof with.embedding), 0);
    other += std::memcmp(&without.encoder, &with.encoder, sizeof with.encoder) != 0;
  }
  EXPECT_GT(other, 40u);
}

TEST(Cascade, DeadlineSkipsStageThree) {
  constexpr uint32_t kCost = 1000; // ns a token, 24 tokens at most
  Cascade c(test::makeEncoderModel(options(6), kCost));
  std::mt19937_64 random(6);
  uint32_t asked = 0;
  for (uint32_t i = 0; i < 100; ++i) {
    const std::string text = test::randomText(random, c.model, 4);
    semdns_query query = Resolver::query(text), two = query;
    two.stages = SEMDNS_STAGE_KEYWORD | SEMDNS_STAGE_EMBEDDING;
    const Answer all = c.ask(query), early = c.ask(two);
    asked += all->stage == SEMDNS_STAGE_ENCODER;
    query.now = 1000000;
    const auto same = [&](uint64_t left, const Answer &expected) {
      query.deadline = query.now + left;
      const Answer a = c.ask(query);
      EXPECT_EQ(a->stage, expected->stage);
      EXPECT_EQ(a->zone.index, expected->zone.index);
    };
    same(24 * kCost, all);
    same(24 * kCost - 1, early);
    same(0, early);
    query.stages = SEMDNS_STAGE_ENCODER;
    EXPECT_EQ(c.ask(query).status(), SEMDNS_TIMEOUT);
  }
  EXPECT_GT(asked, 20u);
}

TEST(Cascade, CandidatesStandApart) {
  uint32_t several = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Cascade c(test::makeEncoderModel(options(seed)));
    const auto &zones = c.model.tree.zones;
    const auto related = [&](uint32_t x, uint32_t y) {
      return x <= y ? y < zones[x].subtreeEnd : x < zones[y].subtreeEnd;
    };
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < 100; ++i) {
      const std::string text = test::randomText(random, c.model, 6);
      semdns_query query = Resolver::query(text);
      query.top_k = 1 + i % 8;
      const Answer a = c.ask(query);
      ASSERT_LE(a->zone_count, query.top_k);
      ASSERT_EQ(a->zones[0].index, a->zone.index);
      several += a->zone_count > 1;
      if (a->stage == SEMDNS_STAGE_KEYWORD)
        EXPECT_EQ(a->zone_count, 1u);
      for (uint32_t x = 1; x < a->zone_count; ++x) {
        EXPECT_NE(a->zones[x].index, 0u);
        EXPECT_GT(a->zones[x].confidence, 0u);
        EXPECT_LE(a->zones[x].confidence, 65536u);
        for (uint32_t y = 0; y < x; ++y)
          EXPECT_FALSE(a->zones[y].index && related(a->zones[x].index, a->zones[y].index));
      }
    }
  }
  EXPECT_GT(several, 100u);
}

TEST(Cascade, ExplainTellsTheSameStory) {
  Cascade c(test::makeEncoderModel(options(3)));
  std::mt19937_64 random(3);
  std::map<uint32_t, uint32_t> stages;
  for (int i = 0; i < 150; ++i) {
    const std::string text = test::randomText(random, c.model, 1 + random() % 8);
    semdns_query query = Resolver::query(text);
    if (i % 5 == 4)
      query.stages = SEMDNS_STAGE_KEYWORD | SEMDNS_STAGE_EMBEDDING;
    Answer answer;
    std::vector<semdns_trace_step> steps;
    ASSERT_EQ(semdns_explain(
                  c.resolver.raw(), c.scratch.raw(), &query, answer.raw(),
                  [](void *user, const semdns_trace_step *step) {
                    static_cast<std::vector<semdns_trace_step> *>(user)->push_back(*step);
                  },
                  &steps),
              SEMDNS_OK);
    ++stages[answer->stage];
    uint32_t accepted = 0;
    for (const semdns_trace_step &step : steps)
      if (step.accepted) {
        ++accepted;
        EXPECT_EQ(step.zone.index, answer->zone.index);
        if (answer->stage != SEMDNS_STAGE_NONE)
          EXPECT_EQ(step.stage, answer->stage);
        if (step.stage != SEMDNS_STAGE_KEYWORD) {
          EXPECT_EQ(step.score, answer->zone.confidence);
          EXPECT_GE(step.score, step.threshold);
        }
      }
    EXPECT_EQ(accepted, 1u) << text;
  }
  EXPECT_GT(stages[SEMDNS_STAGE_EMBEDDING], 10u);
  EXPECT_GT(stages[SEMDNS_STAGE_ENCODER], 10u);
}

/// `at` and the bytes of a section in a file.
std::pair<uint64_t, uint64_t> sectionOf(const std::string &file, uint32_t tag) {
  semdns_header header;
  std::memcpy(&header, file.data(), sizeof header);
  for (uint32_t i = 0; i < header.section_count; ++i) {
    semdns_section entry;
    std::memcpy(&entry, file.data() + header.table_offset + i * header.entry_size, sizeof entry);
    if (entry.tag == tag)
      return {entry.offset, entry.stored_size};
  }
  return {0, 0};
}

// Recalibrating changes CLSF's (and HEAD's) bytes and nothing else, and the compiled kernel
// follows.
TEST(Cascade, ThresholdsAreDataOfTheFile) {
  test::ModelOptions o = options(7);
  o.terms = 0;
  test::TestModel model = test::makeModel(o);
  const std::string bytes = test::packArtifact(model, {test::testKernel(model)});
  std::string changed = bytes;
  const auto [at, size] = sectionOf(bytes, SEMDNS_TAG_CLSF);
  ASSERT_GT(size, 0u);
  semdns_clsf_header clsf;
  std::memcpy(&clsf, bytes.data() + at, sizeof clsf);
  clsf.root_odds = INT32_MIN;
  std::memcpy(changed.data() + at, &clsf, sizeof clsf);
  std::memset(changed.data() + at + clsf.zone_threshold_offset + 4, 0, 4 * (clsf.zone_count - 1));
  test::reseal(changed);
  const auto [codeAt, codeSize] = sectionOf(bytes, SEMDNS_TAG_KCPU);
  ASSERT_GT(codeSize, 0u);
  EXPECT_EQ(bytes.substr(codeAt, codeSize), changed.substr(codeAt, codeSize));

  for (const char *isa : {"x86-64-v2", "portable"}) {
    Error error;
    const Artifact before = openBytes(bytes, error, isa), after = openBytes(changed, error, isa);
    ASSERT_FALSE(error) << error.message();
    EXPECT_NE(before.info().digest_hex, std::string(after.info().digest_hex));
    Resolver one(before), two(after);
    Scratch first(one), second(two);
    std::mt19937_64 random(7);
    uint32_t climbed = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string text = test::randomText(random, model, 4);
      const Answer strict = one.resolve(first, text), lenient = two.resolve(second, text);
      EXPECT_EQ(strict->best.index, lenient->best.index);
      if (lenient->stage == SEMDNS_STAGE_EMBEDDING)
        EXPECT_EQ(lenient->zone.index, lenient->best.index);
      climbed += strict->zone.index != lenient->zone.index;
    }
    EXPECT_GT(climbed, 20u) << isa;
  }
}

TEST(Cascade, AllSectionsOfStageThreeOrNone) {
  const test::TestModel whole = test::makeEncoderModel(options(1));
  const auto refused = [](const test::TestModel &model, int code) {
    Error error;
    EXPECT_FALSE(openBytes(test::packArtifact(model), error));
    EXPECT_EQ(error.status(), code) << error.message();
  };
  test::TestModel part = whole;
  part.wpce.clear();
  refused(part, SEMDNS_ERROR_STRUCTURE);
  part = whole;
  part.encm.clear();
  refused(part, SEMDNS_ERROR_STRUCTURE);
  part = whole;
  part.model.head = {};
  refused(part, SEMDNS_ERROR_STRUCTURE);
  part.wpce.clear();
  refused(part, SEMDNS_ERROR_STRUCTURE);
  test::ModelOptions wider = options(1);
  wider.encoderWidth = 48;
  part = whole;
  part.encm = test::makeEncoderModel(wider).encm;
  refused(part, SEMDNS_ERROR_SECTION);
}

TEST(Cascade, HeadIsCheckedFieldByField) {
  const std::string bytes = test::packArtifact(test::makeEncoderModel(options(1)));
  const auto [at, size] = sectionOf(bytes, SEMDNS_TAG_HEAD);
  ASSERT_GT(size, 0u);
  semdns_head_header head;
  std::memcpy(&head, bytes.data() + at, sizeof head);
  const auto with = [&, begin = at](uint64_t offset, uint32_t value, uint32_t width = 4) {
    std::string changed = bytes;
    std::memcpy(changed.data() + begin + offset, &value, width);
    test::reseal(changed);
    Error error;
    openBytes(changed, error);
    return error.status();
  };
  for (uint64_t field = 0; field < sizeof head; field += 4)
    EXPECT_EQ(with(field, UINT32_MAX),
              field == offsetof(semdns_head_header, root_odds) ? SEMDNS_OK : SEMDNS_ERROR_SECTION)
        << field;
  EXPECT_EQ(with(offsetof(semdns_head_header, gain), 0), SEMDNS_ERROR_SECTION);
  EXPECT_EQ(with(offsetof(semdns_head_header, mix), SEMDNS_HEAD_MAX_MIX + 1), SEMDNS_ERROR_SECTION);
  EXPECT_EQ(with(offsetof(semdns_head_header, mix), SEMDNS_HEAD_MAX_MIX), SEMDNS_OK);
  EXPECT_EQ(with(head.vectors_offset, 0x80, 1), SEMDNS_ERROR_SECTION); // -128
  // The last lane of the last group is padding.
  EXPECT_EQ(with(head.bias_offset - 1, 1, 1), SEMDNS_ERROR_SECTION);
  EXPECT_EQ(with(head.zone_threshold_offset, 1), SEMDNS_ERROR_SECTION);
  EXPECT_EQ(with(head.zone_threshold_offset + 4, 65537), SEMDNS_ERROR_SECTION);
  EXPECT_EQ(with(head.zone_threshold_offset + 4, SEMDNS_NONE), SEMDNS_OK);
  EXPECT_EQ(with(head.bias_offset, INT32_MIN), SEMDNS_OK); // saturates
}

TEST(Cascade, MeasureRefusesWrongArguments) {
  Cascade c(test::makeEncoderModel(options(1)));
  semdns_query query = Resolver::query("x");
  semdns_evidence evidence = {};
  evidence.size = sizeof evidence - 1;
  EXPECT_EQ(semdns_measure(c.resolver.raw(), c.scratch.raw(), &query, &evidence),
            SEMDNS_ERROR_ARGUMENT);
  evidence.size = sizeof evidence;
  EXPECT_EQ(semdns_measure(c.resolver.raw(), c.scratch.raw(), &query, nullptr),
            SEMDNS_ERROR_ARGUMENT);
  EXPECT_EQ(semdns_measure(nullptr, c.scratch.raw(), &query, &evidence), SEMDNS_ERROR_ARGUMENT);
  query.stages = 8;
  EXPECT_EQ(semdns_measure(c.resolver.raw(), c.scratch.raw(), &query, &evidence),
            SEMDNS_ERROR_ARGUMENT);
  query.stages = 0;
  EXPECT_EQ(semdns_measure(c.resolver.raw(), c.scratch.raw(), &query, &evidence), SEMDNS_OK);
  EXPECT_EQ(evidence.size, sizeof evidence);
}

} // namespace
