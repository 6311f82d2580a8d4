// Saved models: round trip, and every damage noticed.
#include "lib/encoder/store.h"
#include "lib/support/files.h"
#include "test/unit/encoder_import/folder.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace semdns {
namespace {

using encoder::Model;
using test::EncoderFolder;
using testing::HasSubstr;

class Store : public testing::Test {
protected:
  Store() {
    Diagnostics diags;
    folder.files["README.md"] = "---\nlicense: mit\n---\n";
    model = folder.import(diags).value();
    path = folder.path() + "/model.enc";
  }
  std::string loadError() {
    std::string why;
    EXPECT_FALSE(encoder::loadModel(path, why));
    return why;
  }
  EncoderFolder folder;
  Model model;
  std::string path, error;
};

TEST_F(Store, RoundTrip) {
  ASSERT_TRUE(encoder::saveModel(model, path, error)) << error;
  std::optional<Model> loaded = encoder::loadModel(path, error);
  ASSERT_TRUE(loaded) << error;
  EXPECT_EQ(loaded->digest, model.digest);
  EXPECT_EQ(loaded->licence, "mit");
  EXPECT_EQ(loaded->tokeniser.pieces, model.tokeniser.pieces);
  EXPECT_EQ(loaded->weights.layers[1].down.bias, model.weights.layers[1].down.bias);
  std::string again = folder.path() + "/again.enc";
  ASSERT_TRUE(encoder::saveModel(*loaded, again, error)) << error;
  EXPECT_EQ(readFile(path, error), readFile(again, error));
}

TEST_F(Store, EveryDamageIsNoticed) {
  ASSERT_TRUE(encoder::saveModel(model, path, error)) << error;
  const std::string good = *readFile(path, error);
  auto with = [&](const std::string &bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return loadError();
  };
  for (size_t size : {size_t{0}, size_t{7}, size_t{60}, size_t{80}, size_t{200}, good.size() - 1})
    EXPECT_NE(with(good.substr(0, size)), "");
  EXPECT_THAT(with(good + "x"), HasSubstr("bytes of weights"));
  // One bit in every place where it could matter, but in the licence, which the digest does not
  // cover.
  for (size_t at = 0; at < good.size(); at += at < 400 ? 1 : 97) {
    if (at >= 76 && at < 79)
      continue;
    std::string bad = good;
    bad[at] ^= 4;
    EXPECT_NE(with(bad), "") << at;
  }
  EXPECT_THAT(loadError(), HasSubstr(path));
  path = "/nonexistent/model.enc";
  EXPECT_THAT(loadError(), HasSubstr("cannot read"));
}

TEST_F(Store, ImpossibleModelsAreNotWritten) {
  Model bad = model;
  bad.weights.words.pop_back();
  EXPECT_FALSE(encoder::saveModel(bad, path, error));
  EXPECT_THAT(error, HasSubstr("embeddings.word_embeddings.weight"));
  bad = model;
  bad.shape.heads = 3;
  EXPECT_FALSE(encoder::saveModel(bad, path, error));
  bad = model;
  bad.tokeniser.pieces[9] = "pay";
  EXPECT_FALSE(encoder::saveModel(bad, path, error));
  EXPECT_THAT(error, HasSubstr("'pay' stands twice"));
  bad = model;
  bad.tokeniser.sep = 12;
  EXPECT_FALSE(encoder::saveModel(bad, path, error));
}

} // namespace
} // namespace semdns
