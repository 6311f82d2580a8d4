#include "lib/eval/evaluate.h"
#include "test/unit/runtime/make_artifact.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

/// The cascade through the public ABI, on a random artifact: the tally agrees with answers taken
/// one by one, and the JSON report with the tally.
TEST(Evaluate, AgreesWithTheAnswers) {
  const test::TestModel model = test::makeModel({});
  const std::string bytes = test::packArtifact(model);
  Error error;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), OpenOptions{}, error);
  ASSERT_TRUE(artifact) << error.message();
  Resolver resolver(artifact, error);
  Scratch scratch(resolver, error);
  ASSERT_TRUE(scratch) << error.message();

  const std::vector<ZoneInfo> zones = zonesOf(artifact);
  ASSERT_EQ(zones.size(), model.tree.zones.size());
  EXPECT_EQ(zones[0].path, "/");
  std::mt19937_64 random(5);
  std::vector<LabelledText> rows;
  uint64_t right = 0, wayward = 0, out = 0, outRight = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string text = test::randomText(random, model, 6);
    const Answer answer = resolver.resolve(scratch, text);
    uint32_t zone = uint32_t(random() % zones.size());
    if (i % 4)
      zone = answer.best().index; // mostly the truth is what it says
    rows.push_back({text, i % 2 ? zones[zone].path : zones[zone].name, uint32_t(i + 1)});
    if (zone == 0) {
      ++out;
      outRight += answer.zone().index == 0;
      continue;
    }
    right += answer.best().index == zone;
    uint32_t at = zone;
    while (at != answer.zone().index && at != 0)
      at = zones[at].parent;
    wayward += at != answer.zone().index;
  }
  rows.push_back({"stray", "no/such/zone", 401});
  Tally tally(zones);
  ASSERT_EQ(evaluate(resolver, scratch, rows, {}, tally), SEMDNS_OK);
  EXPECT_EQ(tally.rows, 401u);
  EXPECT_EQ(tally.unknown, 1u);
  EXPECT_EQ(tally.outOfScope, out);
  EXPECT_EQ(tally.oosRecall.hits, outRight);
  EXPECT_EQ(tally.best.hits, right);
  EXPECT_GE(tally.misroute.hits, wayward);
  EXPECT_LE(tally.misroute.hits, wayward + 1); // the stray row, unless the root answers it

  Tally without(zones);
  uint64_t ignored = 0;
  Settings settings;
  settings.ignoreUnknown = true;
  settings.ignored = &ignored;
  ASSERT_EQ(evaluate(resolver, scratch, rows, settings, without), SEMDNS_OK);
  EXPECT_EQ(without.rows, 400u);
  EXPECT_EQ(ignored, 1u);
  EXPECT_EQ(without.misroute.hits, wayward);

  const nlohmann::json report = nlohmann::json::parse(jsonReport({}, tally));
  EXPECT_EQ(report["rows"], 401);
  EXPECT_EQ(report["best_path_accuracy"]["hits"], right);
  EXPECT_EQ(report["unknown_labels"]["labels"]["no/such/zone"], 1);
  double shares = 0;
  for (const auto &share : report["stage_share"])
    shares += share.get<double>();
  EXPECT_NEAR(shares, 1.0, 1e-9);
}

} // namespace
} // namespace semdns::eval
