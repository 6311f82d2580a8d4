// kernels/read.h, which GPUs run a thread a text, against the micro-kernels that CPUs run.
#include "kernels/read.h"

#include "runtime/exec/portable.h"
#include "test/diff/subject.h"

#include "gtest/gtest.h"

#include <algorithm>

namespace {

using namespace semdns;

struct Batch {
  std::string bytes;
  std::vector<uint32_t> offsets{0};
  void add(std::string_view text) {
    bytes += text;
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
  }
};

void compare(const test::ModelOptions &options) {
  const test::TestModel model = test::makeModel(options);
  diff::Tables tables(model);
  const semdns_tokv_header &t = tables.features;
  diff::Scratch scratch(static_cast<uint32_t>(model.tree.zones.size()), t.dim,
                        tables.classes.padded_count);
  std::mt19937_64 random(options.seed);
  Batch batch;
  batch.add("");
  for (int i = 0; i < 1500; ++i)
    batch.add(i % 5 == 1     ? test::hostileText(random, random() % 300)
              : i % 100 == 2 ? test::randomText(random, model, 400)
              : i % 100 == 3
                  ? std::string(random() % 3000, 'x')
                  : test::randomText(random, model, static_cast<uint32_t>(random() % 30)));
  const auto count = static_cast<uint32_t>(batch.offsets.size() - 1);
  uk_read_options o = {
      t.word_ngram_max,
      t.char_ngram_min,
      t.char_ngram_max,
      t.flags & SEMDNS_FEATURE_PUNCT ? 1u : 0u,
      options.terms,
      std::max(3u, t.char_ngram_max ? t.char_ngram_max - t.char_ngram_min + 1 : 0)};
  const uint64_t room = SEMDNS_GPU_ROOM(o.room, batch.bytes.size(), count);
  std::vector<uint64_t> hashes(room, 0x5a5a5a5a5a5a5a5au);
  std::vector<uint32_t> rows(room, 0x5a5a5a5au);
  std::vector<semdns_gpu_text> texts(count);
  std::vector<semdns_gpu_answer> answers(count);
  uint32_t left = 0, keyword = 0;
  for (const uint32_t stages :
       {uint32_t(SEMDNS_KERNEL_STAGE_KEYWORD | SEMDNS_KERNEL_STAGE_EMBEDDING),
        uint32_t(SEMDNS_KERNEL_STAGE_EMBEDDING)})
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t size = batch.offsets[i + 1] - batch.offsets[i];
      const auto *bytes = reinterpret_cast<const uint8_t *>(batch.bytes.data());
      texts[i] = {7, 7, 7, 7};
      uk_read(tables.text.data(), tables.keyw.data(), tables.tokv.data(), tables.clsf.data(), bytes,
              batch.offsets.data(), hashes.data(), rows.data(), texts.data(), answers.data(), i,
              stages, o, t.bucket_count, t.unknown_norm);
      const semdns_gpu_text &found = texts[i];
      const semdns_gpu_answer &a = answers[i];
      if (found.rows == SEMDNS_NONE && a.info & SEMDNS_GPU_LEFT) {
        ++left;
        continue;
      }
      ASSERT_LE(size, SEMDNS_GPU_MAX_TEXT);
      semdns_kernel_query query = {};
      query.size = sizeof query;
      query.stages = stages & SEMDNS_KERNEL_STAGE_KEYWORD;
      query.top_k = 1;
      query.text = bytes + batch.offsets[i];
      query.text_size = size;
      semdns_kernel_answer k;
      exec::routePortable(&tables.abi, &query, &scratch.abi, &k);
      uk_counts counts = diff::tokenise(
          tables, std::string_view(batch.bytes).substr(batch.offsets[i], size), scratch);
      const uint32_t info = counts.flags << SEMDNS_GPU_FLAG_SHIFT |
                            (counts.words ? SEMDNS_GPU_WORDS : 0) |
                            (k.hit_count ? SEMDNS_GPU_HITS : 0);
      if (k.stage == SEMDNS_KERNEL_STAGE_KEYWORD) {
        ++keyword;
        ASSERT_EQ(found.rows, SEMDNS_NONE);
        ASSERT_EQ(a.zone, k.zone);
        ASSERT_EQ(a.best_zone, k.best_zone);
        ASSERT_EQ(a.confidence, k.confidence);
        ASSERT_EQ(a.best_confidence, k.best_confidence);
        ASSERT_EQ(a.margin, k.margin);
        ASSERT_EQ(a.info, info | SEMDNS_KERNEL_STAGE_KEYWORD);
        continue;
      }
      std::vector<uint32_t> expected;
      uint64_t n2 = 0;
      for (uint32_t f = 0; f < counts.features; ++f) {
        const uint32_t row = uk_lookup(tables.tokv.data() + t.buckets_offset, t.bucket_count,
                                       scratch.abi.features[f]);
        const auto *norms = reinterpret_cast<const uint16_t *>(tables.tokv.data() + t.norms_offset);
        if (row)
          expected.push_back(row);
        const uint64_t norm = row                                  ? norms[row]
                              : f - counts.chars < counts.unigrams ? t.unknown_norm
                                                                   : 0;
        n2 += norm * norm;
      }
      ASSERT_EQ(found.info, info);
      ASSERT_EQ(found.rows, expected.size()) << "text " << i;
      std::vector<uint32_t> got(rows.begin() + found.begin,
                                rows.begin() + found.begin + found.rows);
      std::sort(expected.begin(), expected.end());
      std::sort(got.begin(), got.end());
      ASSERT_EQ(got, expected);
      uint64_t n = 1;
      while ((n + 1) * (n + 1) <= n2)
        ++n;
      ASSERT_EQ(found.norm, n);
    }
  EXPECT_GT(left, 0u);
  EXPECT_LT(left, count / 4);
  if (options.terms) {
    EXPECT_GT(keyword, 0u);
  }
}

TEST(DiffRead, RowsAndKeywordsAreThoseOfTheCpu) {
  test::ModelOptions plain, chars, punct;
  plain.seed = 31, plain.terms = 0;
  chars.seed = 32, chars.charMin = 2, chars.charMax = 6, chars.terms = 200;
  punct.seed = 33, punct.punct = true, punct.wordNgramMax = 3, punct.charMin = punct.charMax = 3;
  for (const test::ModelOptions *options : {&plain, &chars, &punct})
    compare(*options);
}

} // namespace
