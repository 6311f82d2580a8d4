// Encoder folders: good ones of every kind, and each way to be bad.
#include "lib/encoder/import.h"
#include "lib/encoder/store.h"
#include "lib/encoder/tokeniser.h"
#include "test/unit/encoder_import/folder.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace semdns {
namespace {

using encoder::Model;
using nlohmann::json;
using test::EncoderFolder;
using testing::HasSubstr;

Model imported(const EncoderFolder &folder) {
  Diagnostics diags;
  std::optional<Model> model = folder.import(diags);
  EXPECT_TRUE(model) << (diags.all().empty() ? "" : diags.all()[0].message);
  return model ? *model : Model();
}

TEST(Import, TakesEverythingFromTheFiles) {
  EncoderFolder folder;
  folder.files["README.md"] = "---\nlanguage: en\nlicense: \"apache-2.0\"\n---\n# A model\n";
  const Model model = imported(folder);
  EXPECT_EQ(model.shape.layers, 2u);
  EXPECT_EQ(model.shape.heads, 2u);
  EXPECT_EQ(model.shape.width, 16u);
  EXPECT_EQ(model.shape.inner, 32u);
  EXPECT_EQ(model.shape.vocabulary, 12u);
  EXPECT_EQ(model.shape.positions, 8u);
  EXPECT_EQ(model.shape.maxTokens, 8u);
  EXPECT_EQ(model.shape.pooling, encoder::Pooling::Mean);
  EXPECT_EQ(model.shape.activation, encoder::Activation::Gelu);
  EXPECT_TRUE(model.shape.normalise);
  EXPECT_EQ(model.licence, "apache-2.0");
  EXPECT_EQ(model.digest.size(), 64u);
  EXPECT_EQ(model.digest, encoder::digestOf(model));
  EXPECT_EQ(model.weights.words, folder.tensors["embeddings.word_embeddings.weight"].values);
  EXPECT_EQ(model.weights.layers[1].down.weight,
            folder.tensors["encoder.layer.1.output.dense.weight"].values);
  EXPECT_EQ(model.tokeniser.pieces[6], "##ment");
  EXPECT_EQ(model.tokeniser.pieces[4], ""); // [MASK]: special, and not one of the four
  EXPECT_EQ(model.tokeniser.cls, 2u);
  EXPECT_EQ(model.tokeniser.sep, 3u);
  EXPECT_TRUE(model.tokeniser.stripAccents); // null: as lowercase

  const encoder::Tokeniser tokeniser(model.tokeniser);
  EXPECT_EQ(tokeniser.encode("The BILLS, Payment! [SEP]"),
            (std::vector<uint32_t>{7, 8, 9, 1, 5, 6, 10, 1, 1, 1}));
}

TEST(Import, PrefixesAndTypesDoNotMatter) {
  EncoderFolder folder;
  const Model model = imported(folder);
  for (const char *prefix : {"bert.", "0.auto_model.", "module.encoder."}) {
    folder.prefix = prefix;
    EXPECT_EQ(imported(folder).digest, model.digest) << prefix;
  }
  folder.prefix.clear();
  for (const char *type : {"F16", "BF16"}) {
    for (auto &[name, tensor] : folder.tensors)
      tensor.type = type;
    EXPECT_EQ(imported(folder).digest, model.digest) << type;
  }
}

TEST(Import, OldNamesOfLayerNormsAndUnusedTensors) {
  EncoderFolder folder;
  const Model model = imported(folder);
  auto rename = [&](const std::string &from, const std::string &to) {
    folder.tensors[to] = folder.tensors[from];
    folder.tensors.erase(from);
  };
  rename("embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma");
  rename("encoder.layer.0.output.LayerNorm.bias", "encoder.layer.0.output.LayerNorm.beta");
  folder.tensors["pooler.dense.weight"] = {"F64", {1}, {1, 0}};
  EXPECT_EQ(imported(folder).digest, model.digest);
}

TEST(Import, OtherPoolingActivationAndFolders) {
  EncoderFolder folder;
  const std::string digest = imported(folder).digest;
  folder.pooling["pooling_mode_mean_tokens"] = false;
  folder.pooling["pooling_mode_cls_token"] = true;
  EXPECT_EQ(imported(folder).shape.pooling, encoder::Pooling::Cls);
  EXPECT_NE(imported(folder).digest, digest);
  folder.config["hidden_act"] = "gelu_new";
  EXPECT_EQ(imported(folder).shape.activation, encoder::Activation::GeluTanh);
  folder.modules.erase(2);
  EXPECT_FALSE(imported(folder).shape.normalise);

  // The transformer in a folder of its own, as older releases wrote it.
  folder.modules[0]["path"] = "0_Transformer";
  for (const char *name : {"config.json", "tokenizer.json", "sentence_bert_config.json"})
    folder.files[name] = "\x01";
  folder.files["model.safetensors"] = "\x01";
  folder.files["0_Transformer/config.json"] = folder.config.dump();
  folder.files["0_Transformer/tokenizer.json"] = folder.tokenizer.dump();
  folder.files["0_Transformer/model.safetensors"] = folder.weights();
  EXPECT_EQ(imported(folder).shape.layers, 2u);
}

TEST(Import, PlainFolderPoolsByTheMeanWithAWarning) {
  EncoderFolder folder;
  folder.files["modules.json"] = folder.files["1_Pooling/config.json"] = "\x01";
  folder.files["sentence_bert_config.json"] = "\x01";
  Diagnostics diags;
  std::optional<Model> model = folder.import(diags);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->shape.pooling, encoder::Pooling::Mean);
  EXPECT_EQ(model->shape.maxTokens, 8u);
  ASSERT_EQ(diags.all().size(), 1u);
  EXPECT_THAT(diags.all()[0].message, HasSubstr("the mean of the tokens is taken"));
}

TEST(Import, VocabularyFile) {
  EncoderFolder folder;
  const Model model = imported(folder);
  folder.files["tokenizer.json"] = "\x01";
  folder.files["tokenizer_config.json"] =
      R"({"do_lower_case": true, "tokenizer_class": "BertTokenizer",
    "cls_token": {"content": "[CLS]"}, "strip_accents": null})";
  const std::string vocabulary =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\npay\n##ment\nthe\nbill\n##s\n!\ncaf";
  for (const std::string &end : {"", "\n"}) {
    folder.files["vocab.txt"] = vocabulary + end;
    EXPECT_EQ(imported(folder).digest, model.digest);
  }
  folder.files["vocab.txt"] = vocabulary + "\nbill\n";
  EXPECT_THAT(folder.errors(),
              HasSubstr("vocab.txt:13:1: the piece 'bill' stands twice, first on line 9"));
  folder.files["vocab.txt"] = vocabulary + "\nmore\n";
  EXPECT_THAT(
      folder.errors(),
      HasSubstr("vocab.txt: the vocabulary has 13 pieces; config.json's 'vocab_size' is 12"));
  folder.files["vocab.txt"] = "\x01";
  EXPECT_THAT(folder.errors(),
              HasSubstr("vocab.txt: file is missing [the tokeniser: tokenizer.json, or vocab.txt"));
}

TEST(Import, MissingFilesAreNamed) {
  for (const char *name : {"config.json", "model.safetensors", "1_Pooling/config.json"}) {
    EncoderFolder folder;
    folder.files[name] = "\x01";
    EXPECT_THAT(folder.errors(), HasSubstr(std::string(name) + ": file is missing"));
  }
  EncoderFolder empty;
  for (const char *name : {"config.json", "model.safetensors", "tokenizer.json"})
    empty.files[name] = "\x01";
  const std::string all = empty.errors(); // one run reports all of them
  EXPECT_THAT(all, HasSubstr("config.json: file is missing"));
  EXPECT_THAT(all, HasSubstr("model.safetensors: file is missing"));
  EXPECT_THAT(all, HasSubstr("vocab.txt: file is missing"));
  Diagnostics diags;
  EXPECT_FALSE(encoder::importEncoder("/nonexistent/encoder", diags));
  EXPECT_THAT(diags.all().at(0).message, HasSubstr("not a folder"));
}

TEST(Import, BadConfigurationIsNamed) {
  const struct {
    const char *key;
    json value;
    const char *expected;
  } cases[] = {
      {"model_type", "roberta",
       "the architecture 'roberta' is unknown ['model_type' must be 'bert']"},
      {"model_type", nullptr, "'model_type' is missing"},
      {"position_embedding_type", "relative_key", "of the type 'relative_key' are not supported"},
      {"hidden_act", "swish", "the activation 'swish' is unknown"},
      {"is_decoder", true, "'is_decoder' is true"},
      {"num_hidden_layers", 0, "'num_hidden_layers' is 0 [a number from 1 to 48"},
      {"num_hidden_layers", -1, "'num_hidden_layers' is -1"},
      {"num_hidden_layers", 3,
       "the tensor 'encoder.layer.2.attention.self.query.weight' is missing"},
      {"num_hidden_layers", 1, "config.json says 1 layers"},
      {"num_attention_heads", 3, "'num_attention_heads' 3"},
      {"hidden_size", "wide", "'hidden_size' is \"wide\""},
      {"hidden_size", 20, "must be multiples of 16"},
      {"hidden_size", 32, "has the shape [12, 16]; config.json makes it [12, 32]"},
      {"vocab_size", 13, "the vocabulary has 12 pieces; config.json's 'vocab_size' is 13"},
      {"vocab_size", 4000000000u, "'vocab_size' is 4000000000"},
      {"max_position_embeddings", nullptr, "'max_position_embeddings' is missing"},
      {"layer_norm_eps", 2, "'layer_norm_eps' is 2"},
  };
  for (const auto &c : cases) {
    EncoderFolder folder;
    folder.config[c.key] = c.value;
    EXPECT_THAT(folder.errors(), HasSubstr(c.expected));
  }
  EncoderFolder folder;
  folder.files["config.json"] = "{\n \"model_type\": \"bert\",\n \"hidden_size\": }";
  EXPECT_THAT(folder.errors(), HasSubstr("config.json:3:17: this is not JSON"));
  folder.files["config.json"] = "{\"x\": " + std::string(1'000'000, '[');
  EXPECT_THAT(folder.errors(), HasSubstr("config.json: this is nested too deeply"));
  folder.files["config.json"] = "[1]";
  EXPECT_THAT(folder.errors(), HasSubstr("a JSON object is expected"));
}

TEST(Import, BadPoolingAndModulesAreNamed) {
  EncoderFolder folder;
  folder.pooling["pooling_mode_mean_tokens"] = false;
  folder.pooling["pooling_mode_lasttoken"] = true;
  EXPECT_THAT(folder.errors(),
              HasSubstr("1_Pooling/config.json: the pooling 'pooling_mode_lasttoken' is unknown"));
  folder.pooling["pooling_mode_cls_token"] = true;
  EXPECT_THAT(folder.errors(), HasSubstr("2 kinds of pooling are switched on"));
  folder.modules.push_back({{"path", "3_Dense"}, {"type", "sentence_transformers.models.Dense"}});
  EXPECT_THAT(
      folder.errors(),
      HasSubstr("modules.json: the module 'sentence_transformers.models.Dense' is unknown"));
  folder.modules = {{{"path", "../x"}, {"type", "sentence_transformers.models.Transformer"}}};
  EXPECT_THAT(folder.errors(), HasSubstr("paths must stay within the folder"));
  folder.modules = json::object();
  EXPECT_THAT(folder.errors(), HasSubstr("the modules Transformer and Pooling are not both there"));
  EncoderFolder sentence;
  sentence.sentence["max_seq_length"] = 9;
  EXPECT_THAT(sentence.errors(), HasSubstr("sentence_bert_config.json: 'max_seq_length' is 9"));
}

TEST(Import, BadTokenisersAreNamed) {
  auto with = [](auto change) {
    EncoderFolder folder;
    change(folder.tokenizer);
    return folder.errors();
  };
  EXPECT_THAT(with([](json &t) { t["model"]["type"] = "BPE"; }),
              HasSubstr("the tokeniser model 'BPE' is unknown"));
  EXPECT_THAT(with([](json &t) { t["normalizer"] = nullptr; }),
              HasSubstr("'normalizer' is null [a BertNormalizer is expected]"));
  EXPECT_THAT(with([](json &t) { t["pre_tokenizer"]["type"] = "Whitespace"; }),
              HasSubstr("a BertPreTokenizer is expected"));
  EXPECT_THAT(with([](json &t) { t["model"]["vocab"].erase("pay"); }),
              HasSubstr("no piece has the id 5 of 12"));
  EXPECT_THAT(with([](json &t) { t["model"]["vocab"]["pay"] = 7; }),
              HasSubstr("have the same id 7"));
  EXPECT_THAT(with([](json &t) { t["model"]["vocab"].erase("caf"); }),
              HasSubstr("the vocabulary has 11 pieces"));
  EXPECT_THAT(with([](json &t) { t["model"]["vocab"]["pay"] = -3; }),
              HasSubstr("the piece 'pay' has the id -3"));
  EXPECT_THAT(with([](json &t) { t["model"]["vocab"] = 1; }),
              HasSubstr("'vocab' is 1 [an object is expected]"));
  EXPECT_THAT(with([](json &t) { t["model"]["unk_token"] = "<unk>"; }),
              HasSubstr("the special token '<unk>' is not in the vocabulary"));
  EXPECT_THAT(with([](json &t) { t["model"]["max_input_chars_per_word"] = 1000; }),
              HasSubstr("'max_input_chars_per_word' is 1000"));
  EXPECT_THAT(with([](json &t) { t.erase("post_processor"); }),
              HasSubstr("'post_processor' is missing"));
  EXPECT_THAT(with([](json &t) { t["post_processor"]["single"].erase(0); }),
              HasSubstr("the post-processor is "));
  EXPECT_THAT(with([](json &t) { t["added_tokens"][0].erase("id"); }),
              HasSubstr("an added token is "));
  EXPECT_THAT(with([](json &t) {
                t["added_tokens"].push_back({{"id", 40}, {"content", "x"}, {"special", true}});
              }),
              HasSubstr("no piece has the id 12 of 41"));
}

TEST(Import, AddedTokensThatAreNotSpecialDrawAWarning) {
  EncoderFolder folder;
  folder.tokenizer["added_tokens"].push_back({{"id", 8}, {"content", "bill"}, {"special", false}});
  Diagnostics diags;
  EXPECT_TRUE(folder.import(diags));
  ASSERT_EQ(diags.all().size(), 1u);
  EXPECT_THAT(diags.all()[0].message, HasSubstr("'bill' is taken as an ordinary piece"));
}

TEST(Import, BertProcessing) {
  EncoderFolder folder;
  const Model model = imported(folder);
  folder.tokenizer["post_processor"] = {
      {"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  EXPECT_EQ(imported(folder).digest, model.digest);
}

TEST(Import, BadWeightsAreNamed) {
  const std::string name = "encoder.layer.1.attention.self.key.weight";
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const char *type : {"F32", "F16", "BF16"}) {
      EncoderFolder folder;
      folder.tensors[name].type = type;
      folder.tensors[name].values[37] = bad;
      EXPECT_THAT(folder.errors(),
                  HasSubstr("model.safetensors: tensor '" + name +
                            "' has a value that is not a finite number, at index 37"));
    }
  EncoderFolder folder;
  folder.tensors[name] = {"I32", {16, 16}, std::vector<float>(256)};
  EXPECT_THAT(folder.errors(), HasSubstr("is of the type I32 [F32, F16 and BF16 are supported]"));
  folder.tensors[name] = {"F32", {256}, std::vector<float>(256)};
  EXPECT_THAT(folder.errors(), HasSubstr("has the shape [256]; config.json makes it [16, 16]"));
  folder.tensors.erase(name);
  EXPECT_THAT(folder.errors(), HasSubstr("the tensor '" + name + "' is missing"));
  EncoderFolder other;
  other.tensors["x.embeddings.word_embeddings.weight"] =
      other.tensors["embeddings.word_embeddings.weight"];
  EXPECT_THAT(other.errors(),
              HasSubstr("2 tensors are called 'embeddings.word_embeddings.weight'"));
}

TEST(Import, DamagedSafetensorsAreRefused) {
  EncoderFolder folder;
  const std::string good = folder.weights();
  auto with = [&](std::string bytes) {
    folder.files["model.safetensors"] = std::move(bytes);
    return folder.errors();
  };
  EXPECT_EQ(with(good), "");
  for (size_t size :
       {size_t{0}, size_t{7}, size_t{8}, size_t{100}, good.size() / 2, good.size() - 1})
    EXPECT_THAT(with(good.substr(0, size)), HasSubstr("model.safetensors: ")) << size;
  EXPECT_THAT(with(good.substr(0, good.size() - 1)), HasSubstr("the file is cut off or damaged"));
  std::string deep = "{\"a\": " + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  const uint64_t deepSize = deep.size();
  EXPECT_THAT(with(std::string(reinterpret_cast<const char *>(&deepSize), 8) + deep),
              HasSubstr("not a JSON object"));
  EXPECT_THAT(with(good + "x"), HasSubstr("the tensors end at byte"));
  std::string huge = good;
  huge.replace(0, 8, 8, '\xff');
  EXPECT_THAT(with(huge), HasSubstr("header of 18446744073709551615 bytes"));

  auto header = [&](auto change) {
    uint64_t size;
    memcpy(&size, good.data(), 8);
    json h = json::parse(good.substr(8, size));
    change(h);
    const std::string text = h.dump();
    size = text.size();
    uint64_t before;
    memcpy(&before, good.data(), 8);
    return with(std::string(reinterpret_cast<char *>(&size), 8) + text + good.substr(8 + before));
  };
  const std::string name = "embeddings.LayerNorm.bias";
  EXPECT_THAT(header([&](json &h) { h[name]["dtype"] = "F99"; }),
              HasSubstr("of the unknown type 'F99'"));
  EXPECT_THAT(header([&](json &h) { h[name]["shape"] = {17}; }),
              HasSubstr("takes 68 bytes; its data_offsets span 64"));
  EXPECT_THAT(header([&](json &h) { h[name]["shape"] = {uint64_t{1} << 63, 4}; }),
              HasSubstr("an impossible shape"));
  EXPECT_THAT(header([&](json &h) { h[name]["shape"] = {-1}; }), HasSubstr("an impossible shape"));
  EXPECT_THAT(header([&](json &h) { h[name]["data_offsets"] = {64, 0}; }),
              HasSubstr("lies at bytes 64 to 0"));
  EXPECT_THAT(header([&](json &h) { h[name]["data_offsets"] = {1, 65}; }),
              HasSubstr("a gap or an overlap"));
  EXPECT_THAT(header([&](json &h) { h[name].erase("shape"); }), HasSubstr("lacks dtype, shape"));
  EXPECT_THAT(header([&](json &h) { h[name] = 3; }), HasSubstr("lacks dtype, shape"));
  EXPECT_THAT(header([&](json &h) { h.erase(name); }), HasSubstr("a gap or an overlap"));
  EXPECT_THAT(header([&](json &h) { h = json::array(); }), HasSubstr("not a JSON object"));
}

TEST(Import, TruncatedModelsAreModelsOfTheirOwn) {
  EncoderFolder folder;
  const Model model = imported(folder);
  const Model one = encoder::truncated(model, 1);
  EXPECT_EQ(one.shape.layers, 1u);
  EXPECT_EQ(one.weights.layers.size(), 1u);
  EXPECT_EQ(one.weights.layers[0].up.weight, model.weights.layers[0].up.weight);
  EXPECT_EQ(one.digest, encoder::digestOf(one));
  EXPECT_NE(one.digest, model.digest);
  EXPECT_EQ(encoder::truncated(model, 2).digest, model.digest);
}

} // namespace
} // namespace semdns
