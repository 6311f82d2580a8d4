#include "lib/calibrate/stored.h"
#include "lib/eval/report.h"
#include "test/unit/runtime/make_artifact.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

Subject randomSubject(const test::TestModel &model) {
  const std::string bytes = test::packArtifact(model);
  Error error;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), OpenOptions{}, error);
  Subject subject = Subject::of("random.sdna", std::move(artifact), error);
  EXPECT_TRUE(subject.artifact) << error.message();
  return subject;
}

Evaluation evaluated(const Subject &subject, const Rows &rows, std::vector<Result> results) {
  Evaluation e;
  e.header = headerOf(subject, rows.names());
  e.subject = &subject;
  e.rows = &rows;
  e.results = std::move(results);
  e.tally = tallyOf(subject, rows, e.results);
  e.analysis = analyse(subject, rows, e.results, 1, 50);
  e.guarantee = checkGuarantee(subject, e.results, *e.tally);
  return e;
}

/// The cascade through the public ABI, on a random artifact: the tally agrees with answers taken
/// one by one, and the reports with the tally.
TEST(Evaluate, AgreesWithTheAnswers) {
  const test::TestModel model = test::makeModel({});
  Subject subject = randomSubject(model);
  ASSERT_TRUE(subject.artifact);
  const std::vector<ZoneInfo> &zones = subject.zones;
  ASSERT_EQ(zones.size(), model.tree.zones.size());
  EXPECT_EQ(zones[0].path, "/");
  std::mt19937_64 random(5);
  Rows rows;
  rows.files = {"rows.jsonl"};
  uint64_t right = 0, wayward = 0, out = 0, outRight = 0, deep = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string text = test::randomText(random, model, 6);
    const Answer answer = subject.resolver.resolve(subject.scratch, text);
    uint32_t zone = uint32_t(random() % zones.size());
    if (i % 4)
      zone = answer.best().index; // mostly the truth is what it says
    rows.rows.push_back({text, i % 2 ? zones[zone].path : zones[zone].name, uint32_t(i + 1)});
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
    deep += answer.zone().index == zone;
  }
  rows.rows.push_back({"stray", "no/such/zone", 401});
  rows.fileOf.assign(rows.rows.size(), 0);
  std::vector<Result> results;
  ASSERT_EQ(resolveAll(subject, rows, {}, results), SEMDNS_OK);
  ASSERT_EQ(results.size(), 401u);
  const Evaluation e = evaluated(subject, rows, results);
  EXPECT_EQ(e.tally->rows, 401u);
  EXPECT_EQ(e.tally->unknown, 1u);
  EXPECT_EQ(e.tally->outOfScope, out);
  EXPECT_EQ(e.tally->oosRecall.hits, outRight);
  EXPECT_EQ(e.tally->best.hits, right);
  EXPECT_EQ(e.tally->pathInScope.hits, deep);
  EXPECT_GE(e.tally->misroute.hits, wayward);
  EXPECT_LE(e.tally->misroute.hits, wayward + 1); // the stray row, unless the root answers it

  std::vector<Result> known;
  uint64_t ignored = 0;
  Settings settings;
  settings.ignoreUnknown = true;
  settings.ignored = &ignored;
  ASSERT_EQ(resolveAll(subject, rows, settings, known), SEMDNS_OK);
  const Tally without = tallyOf(subject, rows, known);
  EXPECT_EQ(without.rows, 400u);
  EXPECT_EQ(ignored, 1u);
  EXPECT_EQ(without.misroute.hits, wayward);

  const nlohmann::json report = nlohmann::json::parse(jsonReport(e));
  EXPECT_EQ(report["rows"], 401);
  EXPECT_EQ(report["best_path_accuracy"]["hits"], right);
  EXPECT_EQ(report["unknown_labels"]["labels"]["no/such/zone"], 1);
  double shares = 0;
  for (const auto &share : report["stage_share"])
    shares += share.get<double>();
  EXPECT_NEAR(shares, 1.0, 1e-9);
  // The curve ends where every best guess is answered: its risk is that of the best guesses.
  const auto &last = report["risk_coverage"]["points"].back();
  EXPECT_NEAR(last["coverage"].get<double>(), 1.0, 1e-12);
  uint64_t bestAstray = 0;
  const Tree tree(zones);
  for (const Result &r : results)
    if (!r.truth.known || r.truth.zone)
      bestAstray += !tree.within(r.truth.zone, r.outcome.best);
  EXPECT_NEAR(last["risk"].get<double>(), double(bestAstray) / double(e.tally->inScope), 1e-12);
  double before = -1;
  for (const auto &point : report["risk_coverage"]["points"]) {
    EXPECT_GT(point["coverage"].get<double>(), before);
    before = point["coverage"].get<double>();
  }
  uint64_t binned = 0;
  for (const auto &bin : report["reliability"]["bins"])
    binned += bin["right"]["total"].get<uint64_t>();
  EXPECT_EQ(binned, 400u);
  EXPECT_NE(textReport(e).find("at coverage"), std::string::npos);
  EXPECT_NE(htmlReport(e).find("Risk against coverage"), std::string::npos);
}

/// An artifact against itself changes nothing; against another seed's, counts add up.
TEST(Evaluate, Compare) {
  const test::TestModel model = test::makeModel({});
  test::ModelOptions other;
  other.seed = 2;
  const test::TestModel otherModel = test::makeModel(other);
  Subject subject = randomSubject(model), old = randomSubject(otherModel);
  Rows rows;
  rows.files = {"rows.jsonl"};
  std::mt19937_64 random(6);
  for (uint32_t i = 0; i < 200; ++i) {
    const std::string text = test::randomText(random, i % 2 ? model : otherModel, 6);
    const uint32_t zone = subject.resolver.resolve(subject.scratch, text).best().index;
    rows.rows.push_back({text, subject.zones[zone].path, i + 1});
  }
  rows.fileOf.assign(rows.rows.size(), 0);
  std::vector<Result> now, before;
  ASSERT_EQ(resolveAll(subject, rows, {}, now), SEMDNS_OK);
  ASSERT_EQ(resolveAll(old, rows, {}, before), SEMDNS_OK);
  const Comparison same = compare(subject, now, subject, now, rows);
  EXPECT_EQ(same.best.onlyOld + same.best.onlyNew, 0u);
  EXPECT_TRUE(same.flips.empty());
  EXPECT_EQ(same.verdict, "no difference beyond chance");
  const Comparison c = compare(old, before, subject, now, rows);
  const Tally was = tallyOf(old, rows, before), is = tallyOf(subject, rows, now);
  EXPECT_EQ(c.best.both + c.best.onlyOld, was.best.hits);
  EXPECT_EQ(c.best.both + c.best.onlyNew, is.best.hits);
  EXPECT_EQ(c.worse + c.better + c.other, c.flips.size());
  EXPECT_EQ(c.verdict, "better beyond chance"); // the labels are its own guesses
}

/// Texts and labels are hostile: none of their markup reaches the page as markup.
TEST(Evaluate, HtmlEscapes) {
  const test::TestModel model = test::makeModel({});
  Subject subject = randomSubject(model);
  Rows rows;
  rows.files = {"<img src=x>.jsonl"};
  rows.rows = {{"</script><script>alert(1)</script> & \"quoted\" 'x' \x01", "<b>no</b>", 1},
               {"plain", subject.zones[1].path, 2}};
  rows.fileOf = {0, 0};
  std::vector<Result> results;
  ASSERT_EQ(resolveAll(subject, rows, {}, results), SEMDNS_OK);
  Evaluation e = evaluated(subject, rows, results);
  e.suggestions = suggest(subject, rows, results);
  const std::string page = htmlReport(e);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("<b>no"), std::string::npos);
  EXPECT_EQ(page.find("http"), page.find("http-equiv")); // nothing from outside
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
}

/// The stated profile of a build is read back; a shifted one is told from it, its like is not.
TEST(Evaluate, Drift) {
  const test::TestModel model = test::makeModel({});
  Subject subject = randomSubject(model);
  EXPECT_FALSE(statedProfile(subject));
  const auto sample = [&](uint64_t seed, int words) {
    Rows rows;
    rows.files = {"traffic.jsonl"};
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < 500; ++i)
      rows.rows.push_back({test::randomText(random, model, words), {}, i + 1});
    rows.fileOf.assign(rows.rows.size(), 0);
    std::vector<Result> results;
    EXPECT_EQ(resolveAll(subject, rows, {}, results), SEMDNS_OK);
    return profileOf(subject, results);
  };
  const Profile before = sample(1, 6);
  const Drift none = compareProfiles(subject, before, sample(2, 6), "x");
  EXPECT_FALSE(none.beyondChance) << none.verdict;
  const Drift some = compareProfiles(subject, before, sample(3, 1), "x");
  EXPECT_TRUE(some.beyondChance) << some.verdict;
  uint64_t total = 0;
  for (uint64_t count : before.scores)
    total += count;
  EXPECT_EQ(total, before.rows);
}

/// What trafficMeta writes into META is what statedProfile reads back.
TEST(Evaluate, StatedProfile) {
  const test::TestModel model = test::makeModel({});
  const std::string bytes = test::packArtifact(model);
  std::mt19937_64 random(9);
  Rows rows;
  rows.files = {"traffic.jsonl"};
  std::vector<std::string_view> texts;
  for (uint32_t i = 0; i < 300; ++i)
    rows.rows.push_back({test::randomText(random, model, 4), {}, i + 1});
  rows.fileOf.assign(rows.rows.size(), 0);
  for (const LabelledText &row : rows.rows)
    texts.push_back(row.text);
  std::string error;
  const auto meta = trafficMeta(bytes, texts, error);
  ASSERT_TRUE(meta) << error;
  const auto rules = calibrate::readRules(bytes, error);
  ASSERT_TRUE(rules) << error;
  const auto stating = calibrate::replaceRules(bytes, *rules, *meta, {}, 8, error);
  ASSERT_TRUE(stating) << error;
  Error why;
  Artifact artifact = Artifact::openMemory(stating->data(), stating->size(), OpenOptions{}, why);
  ASSERT_TRUE(artifact) << why.message();
  Subject subject = Subject::of("", std::move(artifact), why);
  const auto stated = statedProfile(subject);
  ASSERT_TRUE(stated);
  std::vector<Result> results;
  ASSERT_EQ(resolveAll(subject, rows, {}, results), SEMDNS_OK);
  const Profile own = profileOf(subject, results);
  EXPECT_EQ(stated->rows, 300u);
  EXPECT_EQ(stated->stages, own.stages);
  EXPECT_EQ(stated->answers, own.answers);
  EXPECT_EQ(stated->scores, own.scores);
  EXPECT_EQ(stated->mix, own.mix);
  EXPECT_FALSE(trafficMeta("no file", texts, error));
}

} // namespace
} // namespace semdns::eval
