// The GPU kernels against the CPU's. The test makes artifacts with PTX, and texts, and has run-gpu
// ask both. Where there is no GPU it says that nothing was run; SEMDNS_GPU_BUNDLES=FOLDER keeps the
// files, to be carried to one.
#include "test/diff/kernels.h"
#include "test/diff/subject.h"

#include "lib/codegen/codegen.h"
#include "semdns/format/gpu.h"

#include "gtest/gtest.h"

#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace semdns;

std::string makeArtifact(const test::TestModel &model) {
  diff::Tables tables(model);
  semdns_kernel_info_t info = {};
  info.layout = model.layout;
  info.dim = tables.features.dim;
  info.class_count = tables.classes.class_count;
  info.row_count = tables.features.row_count;
  info.bucket_count = tables.features.bucket_count;
  info.zone_count = static_cast<uint32_t>(model.tree.zones.size());
  info.char_ngram_min = tables.features.char_ngram_min;
  info.char_ngram_max = tables.features.char_ngram_max;
  const std::string ptx = diff::compileGpu(model, info.bucket_count);
  EXPECT_EQ(ptx, diff::compileGpu(model, info.bucket_count)) << "not deterministic";
  return test::packArtifact(model, {}, 7, codegen::makeGpuSection(0, info, ptx));
}

/// Each text behind its size, 64 bits.
std::string writeTexts(const test::TestModel &model, uint32_t count, uint32_t words) {
  std::mt19937_64 random(model.options.seed);
  std::string out;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string text =
        words          ? test::randomText(random, model, words)
        : i == 0       ? std::string()
        : i % 7 == 1   ? test::hostileText(random, random() % 500)
        : i % 50 == 2  ? test::randomText(random, model, 3000)
        : i % 400 == 3 ? std::string(random() % 20000, 'a')
                       : test::randomText(random, model, static_cast<uint32_t>(random() % 40));
    const uint64_t size = text.size();
    out.append(reinterpret_cast<const char *>(&size), 8);
    out += text;
  }
  return out;
}

TEST(DiffGpu, AnswersAreThoseOfTheCpu) {
  struct Case {
    const char *name;
    test::ModelOptions options;
    uint32_t texts = 4000, words = 0;
  } cases[7] = {{"small", {}}, {"deep", {}}, {"many", {}}, {"wide", {}},
                {"huge", {}},  {"goal", {}}, {"flat", {}}};
  test::ModelOptions &small = cases[0].options, &deep = cases[1].options, &many = cases[2].options,
                     &wide = cases[3].options, &huge = cases[4].options, &goal = cases[5].options;
  small.seed = 21, small.dim = 16, small.layout = 1, small.domains = 1, small.leaves = 0;
  small.terms = 0;
  deep.seed = 22, deep.dim = 256, deep.layout = 4, deep.charMin = 3, deep.charMax = 5;
  deep.rootClass = deep.innerClasses = true;
  many.seed = 23, many.domains = 40, many.leaves = 20, many.wordsPerClass = 4, many.dim = 48;
  many.layout = 2, many.punct = true, many.wordNgramMax = 3;
  wide.seed = 24, wide.dim = 1024, wide.domains = 2, wide.gain = 1 << 24;
  huge.seed = 25, huge.domains = 28, huge.leaves = 96, huge.wordsPerClass = 2, huge.dim = 80;
  huge.rootClass = true;
  // 1,024 classes, 256 dimensions, 24 words: the size that rates are stated for.
  goal.seed = 26, goal.domains = 3, goal.leaves = 341, goal.dim = 256, goal.wordsPerClass = 8;
  goal.wordNgramMax = 1, goal.terms = 0;
  cases[5].words = 24;
  cases[6].options.seed = 27, cases[6].options.gain = 1, cases[6].options.rootClass = true;

  const char *keep = std::getenv("SEMDNS_GPU_BUNDLES");
  const std::filesystem::path folder =
      keep ? std::filesystem::path(keep)
           : std::filesystem::temp_directory_path() / ("semdns-gpu-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  bool ran = true;
  for (const Case &c : cases) {
    const test::TestModel model = test::makeModel(c.options);
    const std::string artifact = folder / (std::string(c.name) + ".sdna"),
                      texts = folder / (std::string(c.name) + ".texts");
    std::ofstream(artifact, std::ios::binary) << makeArtifact(model);
    std::ofstream(texts, std::ios::binary) << writeTexts(model, c.texts, c.words);
    if (!ran)
      continue;
    const int status =
        std::system(("'" RUN_GPU "' --fast '" + artifact + "' '" + texts + "'").c_str());
    ASSERT_TRUE(WIFEXITED(status));
    ran = WEXITSTATUS(status) != 77;
    if (ran)
      EXPECT_EQ(WEXITSTATUS(status), 0) << c.name;
  }
  if (!keep)
    std::filesystem::remove_all(folder);
  if (!ran)
    GTEST_SKIP() << "no GPU here: the files were made, nothing was run";
}

} // namespace
