/// The data-only kernel against the slow reference: every field of the answer.
#include "lib/reference/route.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"
#include "runtime/exec/portable.h"
#include "test/unit/runtime/make_artifact.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

using namespace semdns;

namespace {

/// A section as the reader would hold it: 64-byte aligned.
class Aligned {
public:
  explicit Aligned(const std::string &bytes)
      : size_(bytes.size()),
        data_(static_cast<uint8_t *>(std::aligned_alloc(64, (bytes.size() + 63) / 64 * 64))) {
    std::memcpy(data_, bytes.data(), size_);
  }
  ~Aligned() { std::free(data_); }
  Aligned(const Aligned &) = delete;
  Aligned &operator=(const Aligned &) = delete;
  const uint8_t *data() const { return data_; }
  std::string_view view() const { return {reinterpret_cast<const char *>(data_), size_}; }

private:
  size_t size_;
  uint8_t *data_;
};

struct Bench {
  explicit Bench(const test::TestModel &model) : Bench(model, test::packSections(model)) {}
  Bench(const test::TestModel &model, const test::SectionBytes &s)
      : text(model.text), keyw(s.keyw), tokv(s.tokv), cent(s.cent), clsf(s.clsf),
        words(SEMDNS_MAX_WORDS), features(SEMDNS_MAX_FEATURES), rows(SEMDNS_MAX_FEATURES),
        hits(SEMDNS_MAX_HITS), weights(1 << 15), votes(model.tree.zones.size()),
        pool(SEMDNS_MAX_DIM), scores(1 << 15), quant(SEMDNS_MAX_DIM) {
    tables = {sizeof tables, SEMDNS_KERNEL_ABI, text.data(), keyw.data(), tokv.data(),
              cent.data(),   clsf.data(),       nullptr,     {}};
    scratch = {sizeof scratch,
               0,
               words.data(),
               features.data(),
               rows.data(),
               hits.data(),
               votes.data(),
               pool.data(),
               quant.data(),
               scores.data(),
               weights.data(),
               nullptr,
               {}};
  }

  void compare(std::string_view query, uint32_t stages, uint32_t topK) {
    const semdns_kernel_answer expected =
        reference::route({keyw.view(), tokv.view(), cent.view(), clsf.view()}, query, stages, topK);
    semdns_kernel_query q{};
    q.size = sizeof q;
    q.stages = stages;
    q.top_k = topK;
    q.text = reinterpret_cast<const uint8_t *>(query.data());
    q.text_size = query.size();
    semdns_kernel_answer answer;
    exec::routePortable(&tables, &q, &scratch, &answer);
    if (std::memcmp(&answer, &expected, sizeof answer) != 0) {
      const auto *a = reinterpret_cast<const uint32_t *>(&answer);
      const auto *e = reinterpret_cast<const uint32_t *>(&expected);
      for (size_t i = 0; i < sizeof answer / 4; ++i)
        EXPECT_EQ(a[i], e[i]) << "word " << i << " of the answer to '" << query.substr(0, 200)
                              << "', stages " << stages;
    }
    for (const int32_t vote : votes)
      ASSERT_EQ(vote, 0);
  }

  Aligned text, keyw, tokv, cent, clsf;
  std::vector<uint64_t> words, features;
  std::vector<uint32_t> rows, hits, weights;
  std::vector<int32_t> votes, pool, scores;
  std::vector<int8_t> quant;
  semdns_kernel_tables tables;
  semdns_kernel_scratch scratch;
};

const std::string &icuText() {
  static const std::string text = text::buildTextSection();
  return text;
}

TEST(Portable, EqualsTheReferenceOnRandomModels) {
  for (const test::ModelOptions &options :
       {test::ModelOptions{},
        test::ModelOptions{.innerClasses = true, .rootClass = true, .dim = 16},
        test::ModelOptions{.seed = 2, .domains = 1, .leaves = 1, .dim = 48, .layout = 2},
        test::ModelOptions{.seed = 3,
                           .domains = 9,
                           .leaves = 9,
                           .dim = 144,
                           .wordNgramMax = 3,
                           .charMin = 2,
                           .charMax = 6,
                           .punct = true,
                           .layout = 4},
        test::ModelOptions{
            .seed = 4, .dim = 1024, .wordNgramMax = 1, .charMin = 3, .charMax = 3, .terms = 0},
        test::ModelOptions{.seed = 5, .embedding = false}}) {
    const test::TestModel model = test::makeModel(options, icuText());
    Bench bench(model);
    std::mt19937_64 random(options.seed);
    for (int i = 0; i < 150; ++i) {
      const uint32_t stages = i % 4 == 3 ? 2 : i % 4 == 2 ? 1 : 3;
      bench.compare(test::randomText(random, model, 1 + random() % 30), stages, 1 + i % 8);
      bench.compare(test::hostileText(random, static_cast<uint32_t>(random() % 400)), stages,
                    1 + i % 8);
    }
    bench.compare("", 3, 1);
    bench.compare(test::randomText(random, model, 3000), 3, 8);
    bench.compare(test::hostileText(random, 1 << 20), 3, 8);
    bench.compare(std::string(10000, 'x'), 3, 0);
  }
}

TEST(Portable, EqualsTheReferenceOnRoutingSets) {
  const char *data = std::getenv("SEMDNS_DATA");
  const std::filesystem::path folder = std::filesystem::path(data ? data : "") / "routing";
  if (!data || !std::filesystem::is_directory(folder))
    GTEST_SKIP() << "no routing sets: SEMDNS_DATA is not set or has none";
  test::ModelOptions options{.seed = 6, .dim = 64, .charMin = 3, .charMax = 5};
  test::TestModel model = test::makeModel(options, icuText());
  Bench bench(model);
  size_t compared = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jsonl")
      continue;
    Diagnostics diagnostics;
    const std::vector<LabelledText> rows = readJsonLines(entry.path(), false, diagnostics);
    // A spread of each set: the reference is slow.
    for (size_t i = 0; i < rows.size(); i += rows.size() / 200 + 1, ++compared)
      bench.compare(rows[i].text, 3, 3);
  }
  EXPECT_GT(compared, 0u);
}

} // namespace
