#include "lib/encoder/forward.h"

#include "reference.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>

using namespace semdns::encoder;
using namespace semdns::encoder::reference;

namespace {

TEST(Forward, AgreesWithDoublePrecision) {
  for (Pooling pooling : {Pooling::Mean, Pooling::Cls, Pooling::Max})
    for (Activation activation : {Activation::Gelu, Activation::GeluTanh, Activation::Relu}) {
      Model model =
          randomModel(2, 48, 2, 80, 50, 40, 7); // heads of 24: not a multiple of the lanes
      model.shape.pooling = pooling;
      model.shape.activation = activation;
      auto sequences = randomSequences(model, 30, 40, 8);
      std::vector<float> rows = embed(model, sequences, 2);
      for (size_t s = 0; s < sequences.size(); ++s) {
        Vector expected = reference::embed(model, sequences[s]);
        for (size_t d = 0; d < 48; ++d)
          EXPECT_NEAR(rows[s * 48 + d], expected[d], 2e-6) << s << " " << d;
      }
    }
}

/// The shape of a real encoder: another kernel of oneDNN than tiny matrices get.
TEST(Forward, RowsDependOnNothingElse) {
  Model model = randomModel(1, 384, 12, 1536, 300, 128, 3, 0.05);
  auto sequences = randomSequences(model, 60, 128, 4);
  std::vector<float> together = embed(model, sequences, 1);
  EXPECT_EQ(together, embed(model, sequences, 3));
  for (size_t s = 0; s < sequences.size(); s += 7) {
    std::vector<float> alone = embed(model, std::span(&sequences[s], 1), 1);
    EXPECT_EQ(std::memcmp(alone.data(), &together[s * 384], 384 * sizeof(float)), 0) << s;
  }
  std::vector<std::vector<uint32_t>> reversed(sequences.rbegin(), sequences.rend());
  std::vector<float> backwards = embed(model, reversed, 2);
  for (size_t s = 0; s < sequences.size(); ++s)
    EXPECT_EQ(std::memcmp(&backwards[(59 - s) * 384], &together[s * 384], 384 * sizeof(float)), 0)
        << s;
}

TEST(Forward, OddInput) {
  Model model = randomModel(1, 16, 1, 16, 10, 8, 1);
  model.tokeniser.unknown = 3;
  EXPECT_TRUE(embed(model, {}, 2).empty());
  std::vector<std::vector<uint32_t>> sequences = {{}, {3}, {99}, {1, 2, 3, 4, 5, 6, 7, 8}, {}};
  sequences[4] = sequences[3];
  sequences[4].push_back(9); // beyond the positions
  std::vector<float> rows = embed(model, sequences, 2);
  auto row = [&](size_t s) { return std::vector<float>(&rows[s * 16], &rows[s * 16] + 16); };
  EXPECT_EQ(row(0), std::vector<float>(16, 0.0f));
  EXPECT_EQ(row(1), row(2));
  EXPECT_EQ(row(3), row(4));
  EXPECT_NE(row(1), row(3));
}

TEST(Forward, LargeScoresAndFlatRows) {
  // Scores of some hundreds: the exponential must neither overflow nor make a row of zeros.
  Model model = randomModel(2, 32, 2, 32, 20, 16, 5, 3.0);
  auto sequences = randomSequences(model, 20, 16, 6);
  std::vector<float> rows = embed(model, sequences, 1);
  for (size_t s = 0; s < sequences.size(); ++s) {
    Vector expected = reference::embed(model, sequences[s]);
    for (size_t d = 0; d < 32; ++d)
      EXPECT_NEAR(rows[s * 32 + d], expected[d], 2e-4);
  }
  // No variance at all: the norm's epsilon keeps it finite.
  Model flat = randomModel(1, 16, 1, 16, 4, 4, 2);
  std::fill(flat.weights.words.begin(), flat.weights.words.end(), 1.0f);
  std::fill(flat.weights.positions.begin(), flat.weights.positions.end(), 0.0f);
  std::fill(flat.weights.types.begin(), flat.weights.types.end(), 0.0f);
  for (float v : embed(flat, randomSequences(flat, 3, 4, 1), 1))
    EXPECT_TRUE(std::isfinite(v));
}

TEST(Forward, NamesItsArithmetic) {
  EXPECT_THAT(arithmetic(), testing::StartsWith("oneDNN "));
  EXPECT_EQ(arithmetic(), arithmetic());
}

} // namespace
