// The GPU kernel against the portable one. The test makes bundles of PTX, tables, feature hashes
// and the answers that a CPU kernel gives, and has run-gpu-bundle run them. Where there is no GPU
// it says that nothing was run; SEMDNS_GPU_BUNDLES=FOLDER keeps the bundles, to be carried to one.
#include "test/diff/kernels.h"
#include "test/diff/subject.h"

#include "lib/codegen/codegen.h"
#include "runtime/exec/portable.h"
#include "semdns/format/gpu.h"

#include "gtest/gtest.h"

#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace semdns;

std::string bytesOf(const void *data, size_t size) {
  return std::string(static_cast<const char *>(data), size);
}

std::string makeBundle(const test::ModelOptions &options, uint32_t texts) {
  test::TestModel model = test::makeModel(options);
  diff::Tables tables(model);
  const semdns_tokv_header &t = tables.features;
  const semdns_cent_header &c = tables.classes;
  diff::Scratch scratch(static_cast<uint32_t>(model.tree.zones.size()), t.dim, c.padded_count);
  std::mt19937_64 random(options.seed);
  std::string features, queries, answers;
  for (uint32_t i = 0; i < texts; ++i) {
    std::string text = i == 0       ? std::string()
                       : i % 7 == 1 ? test::hostileText(random, random() % 500)
                       : i % 50 == 2
                           ? test::randomText(random, model, 3000)
                           : test::randomText(random, model, static_cast<uint32_t>(random() % 40));
    semdns_kernel_query query = {};
    query.size = sizeof query;
    query.stages = SEMDNS_KERNEL_STAGE_EMBEDDING;
    query.top_k = 1 + static_cast<uint32_t>(random() % SEMDNS_KERNEL_TOP_MAX);
    query.text = reinterpret_cast<const uint8_t *>(text.data());
    query.text_size = text.size();
    semdns_kernel_answer answer;
    exec::routePortable(&tables.abi, &query, &scratch.abi, &answer);
    uk_counts counts = diff::tokenise(tables, text, scratch);
    semdns_gpu_query entry = {features.size() / 8, counts.words, counts.chars, counts.unigrams,
                              counts.features,     counts.flags, query.top_k};
    queries += bytesOf(&entry, sizeof entry);
    features += bytesOf(scratch.features.data(), counts.features * 8);
    answers += bytesOf(&answer, sizeof answer);
  }
  semdns_kernel_info_t info = {};
  info.layout = model.layout;
  info.dim = t.dim;
  info.class_count = c.class_count;
  info.row_count = t.row_count;
  info.bucket_count = t.bucket_count;
  info.zone_count = static_cast<uint32_t>(model.tree.zones.size());
  std::string ptx = diff::compileGpu(model, t.bucket_count);
  EXPECT_EQ(ptx, diff::compileGpu(model, t.bucket_count)) << "not deterministic";
  std::string section = codegen::makeGpuSection(0, info, ptx);
  const auto *clsf = reinterpret_cast<const semdns_clsf_header *>(tables.clsf.data());
  const uint8_t *tokv = tables.tokv.data();
  const std::string parts[] = {
      section.substr(0, sizeof(semdns_kgpu_header)),
      section.substr(sizeof(semdns_kgpu_header)),
      features,
      queries,
      bytesOf(tokv + t.buckets_offset, size_t{t.bucket_count} * 64),
      bytesOf(tokv + t.rows_offset, size_t{t.row_count} * t.dim),
      bytesOf(tokv + t.norms_offset, size_t{t.row_count} * 2),
      bytesOf(tables.cent.data() + c.vectors_offset, size_t{c.padded_count} * t.dim),
      bytesOf(tables.clsf.data() + clsf->exp2_offset, 1024),
      bytesOf(tables.clsf.data() + clsf->zone_threshold_offset, size_t{clsf->zone_count} * 4),
      bytesOf(&clsf->root_odds, 4),
      answers};
  uint64_t count = std::size(parts);
  std::string bundle = bytesOf(&count, 8), bytes;
  for (const std::string &part : parts) {
    uint64_t size = part.size();
    bundle += bytesOf(&size, 8);
    bytes += part;
  }
  return bundle + bytes;
}

TEST(DiffGpu, AnswersAreThoseOfTheCpu) {
  test::ModelOptions small, deep, many, wide;
  small.seed = 21, small.dim = 16, small.layout = 1, small.domains = 1, small.leaves = 0;
  deep.seed = 22, deep.dim = 256, deep.layout = 4, deep.charMin = 3, deep.charMax = 5;
  deep.rootClass = deep.innerClasses = true;
  many.seed = 23, many.domains = 40, many.leaves = 20, many.wordsPerClass = 4, many.dim = 48;
  many.layout = 2;
  wide.seed = 24, wide.dim = 1024, wide.domains = 2, wide.gain = 1 << 24;

  const char *keep = std::getenv("SEMDNS_GPU_BUNDLES");
  std::filesystem::path folder =
      keep ? std::filesystem::path(keep)
           : std::filesystem::temp_directory_path() / ("semdns-gpu-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::string command = "'" RUN_GPU_BUNDLE "'";
  int number = 0;
  for (const test::ModelOptions *options : {&small, &deep, &many, &wide}) {
    std::filesystem::path path = folder / ("bundle" + std::to_string(number++));
    std::ofstream(path, std::ios::binary) << makeBundle(*options, 400);
    command += " '" + path.string() + "'";
  }
  int status = std::system(command.c_str());
  if (!keep)
    std::filesystem::remove_all(folder);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "no GPU here: the bundles were made, nothing was run";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
