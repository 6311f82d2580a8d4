#include "lib/calibrate/binomial.h"
#include "lib/calibrate/calibrate.h"
#include "lib/calibrate/draws.h"
#include "test/unit/runtime/make_artifact.h"

#include <algorithm>
#include <gtest/gtest.h>

#include <random>

namespace semdns::calibrate {
namespace {

/// Root, `domains` zones, `leaves` zones below each.
Tree makeTree(uint32_t domains, uint32_t leaves) {
  Tree tree{{0}, {0}, {1 + domains * (1 + leaves)}, {"."}};
  for (uint32_t d = 0; d < domains; ++d) {
    const uint32_t top = tree.size();
    tree.parent.push_back(0);
    tree.depth.push_back(1);
    tree.subtreeEnd.push_back(top + leaves + 1);
    tree.name.push_back("d" + std::to_string(d) + ".");
    for (uint32_t l = 0; l < leaves; ++l) {
      tree.parent.push_back(top);
      tree.depth.push_back(2);
      tree.subtreeEnd.push_back(tree.size());
      tree.name.push_back("l" + std::to_string(l) + ".d" + std::to_string(d) + ".");
    }
  }
  return tree;
}

/// Evidence of a classifier that knows how sure it is, more or less: it is right with probability
/// about its confidence; half of its mistakes stay in the domain.
struct World {
  Tree tree = makeTree(4, 5);
  std::mt19937_64 random;
  bool encoder = false;
  double skill = 0.75; ///< larger: surer

  explicit World(uint64_t seed) : random(seed) {}
  double uniform() { return double(random() >> 11) * 0x1p-53; }

  void stage(semdns_stage_evidence &out, uint32_t number, uint32_t truth, double sure) {
    const double right = std::clamp(truth ? 1 - (1 - sure) * uniform() : 0.6 * uniform(), 0.0, 1.0);
    uint32_t best = truth;
    if (!truth || uniform() > right) {
      const uint32_t domain =
          truth && uniform() < 0.5 ? tree.parent[truth] : 1 + 6 * uint32_t(random() % 4);
      best = domain + 1 + uint32_t(random() % 5);
    }
    out.stage = number;
    out.odds = truth ? INT32_MAX : int32_t(random() % 1000);
    out.count = 3;
    out.zone[0] = best;
    out.zone[1] = tree.parent[best];
    out.zone[2] = 0;
    out.confidence[0] = uint32_t(right * 65536);
    out.confidence[1] = uint32_t((right + (1 - right) * 0.5) * 65536);
    out.confidence[2] = 65536;
  }
  Sample sample() {
    Sample s;
    const bool out = uniform() < 0.05;
    s.zone = out ? 0 : 1 + 6 * uint32_t(random() % 4) + 1 + uint32_t(random() % 5);
    s.evidence.size = sizeof s.evidence;
    stage(s.evidence.embedding, SEMDNS_STAGE_EMBEDDING, s.zone, skill);
    if (encoder) {
      s.evidence.flags |= SEMDNS_EVIDENCE_ENCODER;
      stage(s.evidence.encoder, SEMDNS_STAGE_ENCODER, s.zone, 0.5 + skill / 2);
    }
    return s;
  }
  std::vector<Sample> samples(size_t n) {
    std::vector<Sample> out;
    for (size_t i = 0; i < n; ++i)
      out.push_back(sample());
    return out;
  }
};

Options optionsFor(const World &world, double alpha) {
  Options options;
  options.alpha = alpha;
  options.encoder = world.encoder;
  options.base.embedding.threshold.assign(world.tree.size(), 32768);
  options.base.embedding.threshold[0] = 0;
  if (world.encoder) {
    options.base.encoder = options.base.embedding;
    options.base.guard.confidence = 62000;
  }
  options.source = {"rows.jsonl", 0, 0};
  return options;
}

double riskOf(const World &world, const Rules &rules, uint32_t stages,
              const std::vector<Sample> &population, double *coverage = nullptr) {
  uint32_t n = 0, errors = 0, deep = 0;
  for (const Sample &s : population)
    if (s.zone) {
      const uint32_t answer = replay(s.evidence, rules, stages).zone;
      ++n;
      errors += world.tree.misroutes(answer, s.zone);
      deep += world.tree.depth[answer] >= world.tree.depth[s.zone];
    }
  if (coverage)
    *coverage = double(deep) / n;
  return double(errors) / n;
}

TEST(Calibrate, MisroutesAreWhatTheIssueSays) {
  const Tree tree = makeTree(2, 2); // 0; 1: 2 3; 4: 5 6
  EXPECT_FALSE(tree.misroutes(0, 5));
  EXPECT_FALSE(tree.misroutes(4, 5));
  EXPECT_FALSE(tree.misroutes(5, 5));
  EXPECT_TRUE(tree.misroutes(6, 5));
  EXPECT_TRUE(tree.misroutes(1, 5));
  EXPECT_TRUE(tree.misroutes(5, 4)); // below a zone with a class of its own
}

/// The promise, tried out: in at most 5 % of the draws (+ 2 standard errors) does the population's
/// risk exceed alpha, with power, where the naive rule fails in more than a quarter.
TEST(Calibrate, KeepsItsPromiseWhereTheNaiveRuleFails) {
  for (bool encoder : {false, true})
    for (double alpha : {encoder ? 0.01 : 0.04, encoder ? 0.03 : 0.08}) {
      World world(encoder ? 11 : 12);
      world.encoder = encoder;
      const std::vector<Sample> tune = world.samples(1000), population = world.samples(3000);
      const Options options = optionsFor(world, alpha);
      const Sequence sequence = fixSequence(world.tree, tune, options);
      DrawOptions draws;
      draws.alpha = alpha;
      const DrawReport report =
          tryGuarantee(world.tree, population, sequence, options.base, encoder, draws);
      EXPECT_EQ(report.draws, 1000u);
      EXPECT_GT(report.fullRisk, alpha);
      EXPECT_LE(report.tested.broken, 50u + 2 * 7) << "alpha " << alpha << ", encoder " << encoder;
      EXPECT_GT(report.naive.broken, 250u) << "alpha " << alpha << ", encoder " << encoder;
      EXPECT_GT(report.tested.coverage, report.oracle - 0.10);
      EXPECT_EQ(report.nonePassed, 0u);
    }
}

/// The short cut of tryGuarantee chooses what calibrateSamples chooses.
TEST(Calibrate, DrawsChooseAsCalibrationDoes) {
  World world(5);
  world.encoder = true;
  const std::vector<Sample> tune = world.samples(600), population = world.samples(800);
  const Options options = optionsFor(world, 0.05);
  const Sequence sequence = fixSequence(world.tree, tune, options);
  for (bool cascade : {false, true}) {
    DrawOptions draws;
    draws.draws = 1;
    draws.alpha = 0.05;
    draws.seed = 9;
    const DrawReport report =
        tryGuarantee(world.tree, population, sequence, options.base, cascade, draws);
    // The same draw again: splitmix64 from the seed.
    std::vector<Sample> rows;
    uint64_t state = 9;
    for (size_t i = 0; i < population.size(); ++i) {
      uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
      z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
      z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
      z ^= z >> 31;
      rows.push_back(
          population[size_t((static_cast<unsigned __int128>(z) * population.size()) >> 64)]);
    }
    Diagnostics diags;
    Options fixed = options;
    fixed.sequence = sequence;
    const Result result = calibrateSamples(world.tree, {}, rows, fixed, diags);
    double coverage = 0;
    const double risk = riskOf(world, result.rules, cascade ? 7 : 3, population, &coverage);
    EXPECT_DOUBLE_EQ(report.tested.risk, risk);
    EXPECT_DOUBLE_EQ(report.tested.coverage, coverage);
  }
}

TEST(Calibrate, StoresWhatItPromises) {
  World world(1);
  world.encoder = true;
  const std::vector<Sample> tune = world.samples(800), rows = world.samples(2000);
  Diagnostics diags;
  const Result result = calibrateSamples(world.tree, tune, rows, optionsFor(world, 0.05), diags);
  const Promise &promise = result.main();
  ASSERT_TRUE(result.cascade);
  EXPECT_TRUE(promise.holds);
  EXPECT_LE(binomialTail(promise.n, 0.05, promise.errors), 0.05);
  uint32_t inScope = 0;
  for (const Sample &s : rows)
    inScope += s.zone != 0;
  EXPECT_EQ(promise.n, inScope);
  EXPECT_EQ(promise.oos, rows.size() - inScope);
  EXPECT_EQ(double(promise.errors) / promise.n, riskOf(world, result.rules, 7, rows));
  EXPECT_EQ(double(result.light.errors) / promise.n, riskOf(world, result.rules, 3, rows));
  EXPECT_EQ(result.meta.at("risk.n"), std::to_string(promise.n));
  EXPECT_EQ(result.meta.at("risk.errors"), std::to_string(promise.errors));
  EXPECT_EQ(result.meta.at("risk.holds"), "yes");
  EXPECT_EQ(result.meta.count("risk.light.coverage"), 1u);
  const auto sequence = parseSequence(result.meta.at("risk.sequence"));
  ASSERT_TRUE(sequence);
  EXPECT_EQ(sequence->cascade, result.sequence.cascade);
  EXPECT_EQ(sequence->light, result.sequence.light);
  EXPECT_EQ(sequence->guard, result.sequence.guard);
  // The next point of the sequence would have failed: the test stopped there.
  ASSERT_LT(promise.index + 1, promise.length);
  const uint32_t next = result.sequence.cascade[promise.index + 1];
  const Rules looser =
      rulesOf(world.tree, result.rules, kClimb, next, guardAt(result.sequence, next));
  const double errors = riskOf(world, looser, 7, rows) * promise.n;
  EXPECT_GT(binomialTail(promise.n, 0.05, uint64_t(errors + 0.5)), 0.05);
}

TEST(Calibrate, SequenceTextIsChecked) {
  EXPECT_TRUE(parseSequence("light 65536 1 0"));
  EXPECT_TRUE(parseSequence("light 5 guard 65537 cascade 9 8"));
  for (const char *bad : {"", "5", "light", "light 5 5", "light 5 6", "light 65538", "light -1",
                          "light 5 guard 7", "light 5 guard 7 6 cascade 5", "light 5 cascade 4",
                          "light 5 guard 7 cascade", "cascade 4", "light 5x", "light  5"})
    EXPECT_FALSE(parseSequence(bad)) << bad;
}

TEST(Calibrate, FirstPointAcceptsTwoHundredTuneRows) {
  World world(2);
  const std::vector<Sample> tune = world.samples(1000);
  const Sequence sequence = fixSequence(world.tree, tune, optionsFor(world, 0.05));
  uint32_t accepted = 0;
  for (const Sample &s : tune)
    accepted += s.zone && s.evidence.embedding.confidence[0] >= sequence.light.front();
  EXPECT_GE(accepted, 200u);
  EXPECT_LE(accepted, 201u);
  EXPECT_EQ(sequence.light.back(), 16384u); // a guess that is mostly wrong is no answer
  EXPECT_TRUE(std::is_sorted(sequence.light.rbegin(), sequence.light.rend()));
  EXPECT_LE(sequence.light.size(), 400u);
}

TEST(Calibrate, TooFewRowsAndNoHopeAreSaid) {
  World world(3);
  Options options = optionsFor(world, 0.05);
  // Fewer rows than any promise needs: thresholds stay, and it says how many rows it takes.
  {
    Diagnostics diags;
    const auto rows = world.samples(40);
    const Result result = calibrateSamples(world.tree, {}, rows, options, diags);
    EXPECT_FALSE(result.main().holds);
    EXPECT_EQ(result.rules.embedding.threshold, options.base.embedding.threshold);
    ASSERT_FALSE(diags.all().empty());
    EXPECT_NE(diags.all()[0].message.find("at least 59"), std::string::npos)
        << diags.all()[0].message;
    Options climb = options;
    climb.keepBase = false;
    Diagnostics more;
    const Result strict = calibrateSamples(world.tree, {}, rows, climb, more);
    EXPECT_EQ(strict.rules.embedding.threshold[2], kClimb);
    EXPECT_TRUE(strict.main().holds); // nothing is answered, nothing is misrouted
  }
  // Enough rows, but a model that guesses: everything climbs.
  {
    World blind(4);
    blind.skill = -3;
    Diagnostics diags;
    const auto rows = blind.samples(1000);
    Options tight = options;
    tight.sequence = {{}, {1000, 500, 0}, 65537};
    const Result result = calibrateSamples(blind.tree, {}, rows, tight, diags);
    EXPECT_EQ(result.main().index, result.main().length);
    EXPECT_EQ(result.main().covered, 0u);
    EXPECT_EQ(result.rules.embedding.threshold[2], kClimb);
    ASSERT_FALSE(diags.all().empty());
    EXPECT_NE(diags.all()[0].message.find("out of reach"), std::string::npos)
        << diags.all()[0].message;
  }
  // No rows at all: a note, no warning.
  {
    Diagnostics diags;
    const Result result = calibrateSamples(world.tree, {}, {}, options, diags);
    EXPECT_FALSE(result.main().holds);
    ASSERT_EQ(diags.all().size(), 1u);
    EXPECT_EQ(diags.all()[0].severity, Severity::Note);
  }
}

/// A zone whose queries go wrong is named, with its place.
TEST(Calibrate, BadZonesAreLocated) {
  World world(6);
  std::vector<Sample> rows = world.samples(2000);
  for (Sample &s : rows)
    if (s.zone == 3) { // always taken for another zone, with confidence
      s.evidence.embedding.zone[0] = 9;
      s.evidence.embedding.zone[1] = 7;
      s.evidence.embedding.confidence[0] = s.evidence.embedding.confidence[1] = 65000;
    }
  Options options = optionsFor(world, 0.15);
  options.where = [](uint32_t zone) { return Location{"tree.txtpb", zone, 1}; };
  Diagnostics diags;
  const Result result = calibrateSamples(world.tree, {}, rows, options, diags);
  EXPECT_TRUE(result.main().holds);
  bool found = false;
  for (const Diagnostic &d : diags.all())
    if (d.where.file == "tree.txtpb" && d.where.line == 3)
      found = d.message.find("'l1.d0.' cannot reach alpha") != std::string::npos;
  EXPECT_TRUE(found);
}

/// Per zone: every group keeps alpha, with delta shared out.
TEST(Calibrate, PerZonePromises) {
  World world(7);
  const std::vector<Sample> tune = world.samples(500), population = world.samples(2500);
  Options options = optionsFor(world, 0.10);
  options.perZone = true;
  options.sequence = fixSequence(world.tree, tune, options);
  uint32_t broken = 0;
  const uint32_t draws = 40;
  for (uint32_t draw = 0; draw < draws; ++draw) {
    std::vector<Sample> rows;
    for (size_t i = 0; i < population.size(); ++i)
      rows.push_back(population[world.random() % population.size()]);
    Diagnostics diags;
    const Result result = calibrateSamples(world.tree, {}, rows, options, diags);
    ASSERT_EQ(result.groups.size(), 4u);
    EXPECT_TRUE(result.main().holds);
    bool bad = false;
    for (const GroupPromise &group : result.groups) {
      uint32_t n = 0, errors = 0;
      for (const Sample &s : population) {
        const Decision d = replay(s.evidence, result.rules, 3);
        if (!s.zone || !world.tree.within(d.best, group.zones[0]))
          continue;
        ++n;
        errors += world.tree.misroutes(d.zone, s.zone);
      }
      bad |= errors > 0.10 * n;
      EXPECT_GT(group.promise.covered, group.promise.n / 4);
    }
    broken += bad;
  }
  EXPECT_LE(broken, 4u); // 5 % + 2 standard errors of 40 draws
}

/// End to end on a real artifact: what is measured, calibrated and written is what is answered.
TEST(Calibrate, CalibratesAnArtifact) {
  test::ModelOptions model;
  model.rootClass = true;
  const test::TestModel made = test::makeModel(model);
  const std::string bytes = test::packArtifact(made);
  std::mt19937_64 random(1);
  std::vector<Row> rows;
  for (uint32_t i = 0; i < 900; ++i) {
    // Words of one class say which zone is right.
    const uint32_t zone = made.model.classZone[random() % made.model.classZone.size()];
    rows.push_back({test::randomText(random, made, 6), zone, i % 3 ? Part::Calibrate : Part::Tune});
  }
  Options options;
  options.alpha = 0.3;
  options.base.embedding = made.model.acceptance;
  Diagnostics diags;
  const auto one = calibrateArtifact(bytes, rows, options, diags);
  options.threads = 3;
  const auto two = calibrateArtifact(bytes, rows, options, diags);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->meta, two->meta);
  EXPECT_EQ(one->rules.embedding.threshold, two->rules.embedding.threshold);
  EXPECT_EQ(one->meta.at("risk.calibration.sha256").size(), 64u);
  Diagnostics refused;
  EXPECT_FALSE(calibrateArtifact(bytes.substr(7), rows, options, refused));
  EXPECT_TRUE(refused.hasErrors());
}

} // namespace
} // namespace semdns::calibrate
