// The differential test: for random models and all kinds of text, each compiled kernel and the
// portable one give the slow reference's answer in every field, and all kernels leave the same
// words, features, rows, hits, pool, quantised query, scores and weights behind.
//
// SEMDNS_DIFF_SCALE=N multiplies the number of random texts (default 1); seeds are fixed.
#include "test/diff/kernels.h"
#include "test/diff/subject.h"

#include "lib/reference/route.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"
#include "runtime/exec/portable.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

namespace {

using namespace semdns;
using diff::Aligned;
using diff::Scratch;

std::string describe(const semdns_kernel_answer &a) {
  static const char *const kNames[] = {
      "size",  "stage",    "zone", "best_zone", "confidence", "best_confidence", "margin", "flags",
      "words", "features", "rows", "hits",      "top_count",  "votes",           "total",  "odds"};
  std::string text;
  const auto *word = reinterpret_cast<const uint32_t *>(&a);
  for (size_t i = 0; i < sizeof a / 4; ++i)
    text += (i < 16  ? std::string(kNames[i]) + " "
             : i % 8 ? ""
                     : "| ") +
            std::to_string(word[i]) + " ";
  return text;
}

/// One model with all its kernels.
class Subject {
public:
  explicit Subject(const test::ModelOptions &options, std::string textSection)
      : model_(test::makeModel(options, std::move(textSection))), tables_(model_) {
    kernels_ = diff::compileKernels(model_, tables_.features.bucket_count);
    kernels_.push_back({"portable", "", nullptr, exec::routePortable});
    auto zones = static_cast<uint32_t>(model_.tree.zones.size());
    for (size_t i = 0; i < kernels_.size(); ++i)
      scratch_.push_back(std::make_unique<Scratch>(zones, tables_.features.dim, tables_.scoreCount,
                                                   tables_.weightCount));
  }

  const test::TestModel &model() const { return model_; }
  const std::vector<diff::Kernel> &kernels() const { return kernels_; }

  /// Routes `text` everywhere and compares.
  void check(std::string_view text, uint32_t stages, uint32_t topK) {
    reference::Sections sections{tables_.keyw.view(), tables_.tokv.view(), tables_.cent.view(),
                                 tables_.clsf.view()};
    if (tables_.abi.beam)
      sections.beam = tables_.beam.view();
    semdns_kernel_answer expected = reference::route(sections, text, stages, topK);
    ++texts_;
    ++stageCount_[expected.stage & 3];
    for (size_t i = 0; i < kernels_.size(); ++i) {
      Scratch &scratch = *scratch_[i];
      scratch.poison();
      semdns_kernel_query query = {};
      query.size = sizeof query;
      query.stages = stages;
      query.top_k = topK;
      query.text = reinterpret_cast<const uint8_t *>(text.data());
      query.text_size = text.size();
      semdns_kernel_answer answer;
      std::memset(&answer, 0x5a, sizeof answer);
      kernels_[i].route(&tables_.abi, &query, &scratch.abi, &answer);
      ASSERT_EQ(std::memcmp(&answer, &expected, sizeof answer), 0)
          << kernels_[i].name << " stages " << stages << " top " << topK << "\nexpected "
          << describe(expected) << "\nanswer   " << describe(answer) << "\ntext of " << text.size()
          << " bytes: " << testing::PrintToString(std::string(text.substr(0, 300)));
      for (uint32_t z = 0; z < model_.tree.zones.size(); ++z)
        ASSERT_EQ(scratch.abi.votes[z], 0) << kernels_[i].name << " leaves a vote at zone " << z;
      if (i == 0)
        continue;
      Scratch &first = *scratch_[0];
      auto same = [&](const char *what, const Aligned &a, const Aligned &b, size_t bytes) {
        EXPECT_EQ(std::memcmp(a.data(), b.data(), bytes), 0)
            << kernels_[i].name << " and " << kernels_[0].name << " differ in " << what
            << " for a text of " << text.size() << " bytes";
      };
      bool embedded = answer.total_weight != 0;
      same("words", first.words, scratch.words, answer.word_count * 8);
      same("features", first.features, scratch.features, answer.feature_count * 8);
      same("hits", first.hits, scratch.hits, answer.hit_count * 4);
      if (embedded) {
        same("rows", first.rows, scratch.rows, answer.row_count * 4);
        same("pool", first.pool, scratch.pool, tables_.features.dim * 4);
        same("quant", first.quant, scratch.quant, tables_.features.dim);
        if (tables_.abi.beam) {
          const auto &h = *reinterpret_cast<const semdns_beam_header *>(tables_.abi.beam);
          const semdns_kernel_trace &trace = *scratch.abi.trace;
          ASSERT_EQ(trace.count, first.abi.trace->count);
          same("trace", first.trace, scratch.trace, 8 + 8 * trace.count);
          for (uint32_t s = 0; s < trace.count; ++s) {
            const auto &nodes =
                reinterpret_cast<const semdns_beam_node *>(tables_.abi.beam + h.nodes_offset);
            EXPECT_EQ(std::memcmp(first.abi.weights + s * h.node_room,
                                  scratch.abi.weights + s * h.node_room,
                                  4 * nodes[trace.at[s].node].entry_count),
                      0)
                << kernels_[i].name << " differs in the weights of slot " << s;
          }
          continue;
        }
        same("scores", first.scores, scratch.scores, tables_.classes.class_count * 4);
        same("weights", first.weights, scratch.weights, tables_.classes.class_count * 4);
      }
    }
  }
  void check(std::string_view text) { check(text, 3, 5); }

  /// Other thresholds and odds under the kernels that there are, as recalibration does.
  void recalibrate(std::mt19937_64 &random) {
    auto &header = *reinterpret_cast<semdns_clsf_header *>(tables_.clsf.data());
    auto *threshold =
        reinterpret_cast<uint32_t *>(tables_.clsf.data() + header.zone_threshold_offset);
    for (uint32_t z = 1; z < header.zone_count; ++z)
      threshold[z] = random() % 10 ? static_cast<uint32_t>(random() % 65537) : SEMDNS_NONE;
    header.root_odds = random() % 10 ? static_cast<int32_t>(random() % 1000) - 500
                                     : std::numeric_limits<int>::min();
  }

  uint64_t texts() const { return texts_; }
  uint64_t decidedBy(uint32_t stage) const { return stageCount_[stage]; }

private:
  test::TestModel model_;
  diff::Tables tables_;
  std::vector<diff::Kernel> kernels_;
  std::vector<std::unique_ptr<Scratch>> scratch_;
  uint64_t texts_ = 0, stageCount_[4] = {};
};

uint32_t scale() {
  const char *value = std::getenv("SEMDNS_DIFF_SCALE");
  return value ? std::max(1, std::atoi(value)) : 1;
}

const std::string &textSection() {
  static const std::string bytes = text::buildTextSection();
  return bytes;
}

struct Case {
  const char *name;
  test::ModelOptions options;
};

test::ModelOptions with(uint64_t seed, const std::function<void(test::ModelOptions &)> &change) {
  test::ModelOptions options;
  options.seed = seed;
  change(options);
  return options;
}

/// Shapes at which code generation differs: dimensions below, at and above a register block, each
/// layout, trees that need no climbing, programs without one of the stages.
std::vector<Case> cases() {
  using O = test::ModelOptions;
  return {
      {"Default", with(1, [](O &) {})},
      {"Dim16Layout1", with(2, [](O &o) { o.dim = 16, o.layout = 1, o.terms = 0; })},
      {"Dim48Layout2", with(3, [](O &o) { o.dim = 48, o.layout = 2, o.innerClasses = true; })},
      {"Dim256Layout4", with(4,
                             [](O &o) {
                               o.dim = 256, o.layout = 4, o.charMin = 3, o.charMax = 5,
                               o.rootClass = true;
                             })},
      {"Dim272Punct", with(5, [](O &o) { o.dim = 272, o.punct = true, o.wordNgramMax = 3; })},
      {"Dim1024",
       with(6, [](O &o) { o.dim = 1024, o.domains = 2, o.leaves = 2, o.gain = 1 << 24; })},
      {"ManyClasses", with(7,
                           [](O &o) {
                             o.domains = 20, o.leaves = 16, o.dim = 32, o.wordsPerClass = 3,
                             o.innerClasses = true;
                             o.rootClass = true;
                           })},
      {"Flat", with(8, [](O &o) { o.domains = 70, o.leaves = 0, o.wordsPerClass = 4; })},
      {"OneClass", with(9, [](O &o) { o.domains = 1, o.leaves = 0; })},
      {"RootClassAlone", with(10, [](O &o) { o.domains = 0, o.leaves = 0, o.rootClass = true; })},
      {"KeywordsAlone", with(11,
                             [](O &o) { // an empty embedding packs as one of single words
                               o.embedding = false, o.wordNgramMax = 1, o.terms = 200;
                             })},
      {"Bigrams", with(12, [](O &o) { o.charMin = 2, o.charMax = 6, o.wordNgramMax = 1; })},
      {"Beam", with(14,
                    [](O &o) {
                      o.domains = 12, o.leaves = 12, o.wordsPerClass = 4, o.innerClasses = true;
                      o.beamWidth = 3;
                    })},
      {"BeamRootClass", with(15,
                             [](O &o) {
                               o.domains = 9, o.leaves = 5, o.wordsPerClass = 5, o.rootClass = true;
                               o.beamWidth = 2, o.dim = 48, o.gain = 400;
                             })},
      {"BeamWide", with(16,
                        [](O &o) { // groups of children, nodes of more than one block
                          o.domains = 300, o.leaves = 1, o.wordsPerClass = 2, o.beamWidth = 8;
                          o.beamAim = 12, o.dim = 128, o.gain = 300;
                        })},
      {"BeamOfOne", with(17, [](O &o) { o.domains = 1, o.leaves = 0, o.beamWidth = 1; })},
      {"SmallGain", with(13, [](O &o) { o.gain = 1; })},
  };
}

class Diff : public testing::TestWithParam<Case> {};

TEST_P(Diff, RandomAndHostileTexts) {
  Subject subject(GetParam().options, textSection());
  ASSERT_GE(subject.kernels().size(), 2u) << "this machine runs no compiled kernel";
  std::mt19937_64 random(GetParam().options.seed * 7919);
  subject.check("");
  subject.check(std::string_view());
  for (uint32_t i = 0; i < 250 * scale() && !HasFailure(); ++i) {
    uint32_t words =
        i % 10 == 0 ? static_cast<uint32_t>(random() % 400) : static_cast<uint32_t>(random() % 25);
    uint32_t stages = i % 5 == 4 ? static_cast<uint32_t>(random() % 4) : 3;
    if (i >= 125)
      subject.recalibrate(random);
    subject.check(test::randomText(random, subject.model(), words), stages,
                  1 + static_cast<uint32_t>(random() % 8));
  }
  for (uint32_t i = 0; i < 100 * scale() && !HasFailure(); ++i)
    subject.check(
        test::hostileText(random, static_cast<uint32_t>(random() % (i % 8 ? 300 : 12000))));
  // At the limits: windows, words, features.
  for (uint32_t size : {6143u, 6144u, 8191u, 8192u, 8193u, 20000u}) {
    std::string text = test::randomText(random, subject.model(), 3000);
    text.resize(size, 'x');
    subject.check(text);
    subject.check(test::hostileText(random, size));
  }
  subject.check(std::string(1 << 20, '\0'));
  subject.check(std::string(1 << 20, 'a'));
  std::string large;
  while (large.size() < (1 << 20))
    large += test::randomText(random, subject.model(), 500);
  subject.check(large);
  subject.check(test::hostileText(random, 1 << 20));
  for (const char *unit : {"a ", "a.", ".", "\xe6\x88\x91", "ab\n", "\xcc\x81"}) {
    std::string text;
    while (text.size() < 9000)
      text += unit;
    subject.check(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Diff, testing::ValuesIn(cases()),
                         [](const auto &info) { return std::string(info.param.name); });

// Every text of the routing sets, on two models: words from a random vocabulary hit nothing there,
// so these models take theirs from the texts' alphabet through character n-grams.
TEST(DiffRoutingSets, AllTexts) {
  const char *data = std::getenv("SEMDNS_DATA");
  std::filesystem::path folder = std::filesystem::path(data ? data : "") / "routing";
  std::error_code error;
  if (!data || !std::filesystem::is_directory(folder, error))
    GTEST_SKIP() << "no routing sets: SEMDNS_DATA/routing is not there";
  std::vector<std::filesystem::path> files;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".jsonl")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());

  test::ModelOptions options;
  options.seed = 99;
  options.dim = 128;
  options.charMin = 2;
  options.charMax = 3;
  options.domains = 10;
  options.leaves = 8;
  options.rootClass = true;
  options.innerClasses = true;
  Subject subject(options, textSection());
  Diagnostics diags;
  for (const auto &file : files) {
    for (const LabelledText &row : readJsonLines(file.string(), false, diags)) {
      subject.check(row.text, 3, 3);
      if (testing::Test::HasFatalFailure())
        FAIL() << file << ":" << row.line;
    }
  }
  EXPECT_GT(subject.texts(), 0u);
  std::printf("%llu texts, decided by embedding: %llu\n",
              static_cast<unsigned long long>(subject.texts()),
              static_cast<unsigned long long>(subject.decidedBy(SEMDNS_KERNEL_STAGE_EMBEDDING)));
}

} // namespace
