#include "test/unit/encoder_import/folder.h"

#include "lib/encoder/import.h"

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace semdns::test {

using nlohmann::json;

EncoderFolder::EncoderFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "semdns-encoder-XXXXXX").string();
  if (!mkdtemp(name.data()))
    abort();
  path_ = name;
  config = {{"model_type", "bert"},
            {"hidden_act", "gelu"},
            {"num_hidden_layers", 2},
            {"num_attention_heads", 2},
            {"hidden_size", 16},
            {"intermediate_size", 32},
            {"vocab_size", 12},
            {"max_position_embeddings", 8},
            {"type_vocab_size", 2},
            {"layer_norm_eps", 1e-12},
            {"position_embedding_type", "absolute"}};
  json vocabulary;
  uint32_t id = 0;
  for (const char *piece : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pay", "##ment", "the",
                            "bill", "##s", "!", "caf"})
    vocabulary[piece] = id++;
  json added = json::array();
  for (const char *piece : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    added.push_back({{"id", vocabulary[piece]}, {"content", piece}, {"special", true}});
  auto special = [](const char *piece) {
    return json{{"SpecialToken", {{"id", piece}, {"type_id", 0}}}};
  };
  tokenizer = {
      {"added_tokens", added},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", true},
        {"strip_accents", nullptr},
        {"lowercase", true}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         {special("[CLS]"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("[SEP]")}}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", vocabulary}}}};
  auto module = [](int i, const char *where, const char *type) {
    return json{
        {"idx", i}, {"path", where}, {"type", std::string("sentence_transformers.models.") + type}};
  };
  modules = {module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling"),
             module(2, "2_Normalize", "Normalize")};
  pooling = {{"word_embedding_dimension", 16},
             {"pooling_mode_cls_token", false},
             {"pooling_mode_mean_tokens", true},
             {"pooling_mode_max_tokens", false}};
  sentence = {{"max_seq_length", 8}, {"do_lower_case", false}};

  uint32_t next = 1;
  auto add = [&](const std::string &tensorName, std::vector<uint64_t> shape) {
    Tensor tensor;
    size_t size = 1;
    for (uint64_t extent : shape)
      size *= extent;
    for (size_t i = 0; i < size; ++i, next = next * 5 % 257) // eighths: exact in BF16, too
      tensor.values.push_back((static_cast<float>(next % 32) - 16) / 8);
    tensor.shape = std::move(shape);
    tensors[tensorName] = std::move(tensor);
  };
  auto both = [&](const std::string &tensorName, uint64_t out, uint64_t in) {
    add(tensorName + ".weight", in ? std::vector<uint64_t>{out, in} : std::vector<uint64_t>{out});
    add(tensorName + ".bias", {out});
  };
  add("embeddings.word_embeddings.weight", {12, 16});
  add("embeddings.position_embeddings.weight", {8, 16});
  add("embeddings.token_type_embeddings.weight", {2, 16});
  both("embeddings.LayerNorm", 16, 0);
  for (const char *layer : {"encoder.layer.0.", "encoder.layer.1."}) {
    const std::string at = layer;
    for (const char *part : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense"})
      both(at + part, 16, 16);
    both(at + "attention.output.LayerNorm", 16, 0);
    both(at + "intermediate.dense", 32, 16);
    both(at + "output.dense", 16, 32);
    both(at + "output.LayerNorm", 16, 0);
  }
}

EncoderFolder::~EncoderFolder() {
  std::error_code failure;
  std::filesystem::remove_all(path_, failure);
}

std::string EncoderFolder::weights() const {
  json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto &[name, tensor] : tensors) {
    const size_t begin = data.size();
    for (float value : tensor.values) {
      const auto bits = std::bit_cast<uint32_t>(value);
      uint32_t out = bits;
      size_t size = 4;
      if (tensor.type == "BF16") {
        out = bits >> 16;
        size = 2;
      } else if (tensor.type == "F16") {
        const int exponent = static_cast<int>(bits >> 23 & 255) - 112;
        out = bits >> 16 & 0x8000;
        if (exponent >= 31)
          out |= 0x7c00 | (bits >> 13 & 0x3ff);
        else if (exponent > 0)
          out |= static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3ff);
        size = 2;
      }
      data.append(reinterpret_cast<const char *>(&out), size);
    }
    header[prefix + name] = {
        {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char *>(&size), 8) + text + data;
}

std::string EncoderFolder::write() const {
  std::map<std::string, std::string> all = {
      {"config.json", config.dump(1)},
      {"tokenizer.json", tokenizer.dump(1)},
      {"modules.json", modules.dump(1)},
      {"1_Pooling/config.json", pooling.dump(1)},
      {"sentence_bert_config.json", sentence.dump(1)},
      {"model.safetensors", weights()},
  };
  for (const auto &[name, bytes] : files)
    all[name] = bytes;
  std::filesystem::remove_all(path_);
  for (const auto &[name, bytes] : all) {
    if (bytes == "\x01")
      continue;
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
  }
  return path_;
}

std::optional<encoder::Model> EncoderFolder::import(Diagnostics &diags) const {
  return encoder::importEncoder(write(), diags);
}

std::string EncoderFolder::errors() const {
  Diagnostics diags;
  const bool imported = import(diags).has_value();
  std::string all;
  for (const Diagnostic &d : diags.all()) {
    if (d.severity != Severity::Error)
      continue;
    std::string file = d.where.file;
    if (file.starts_with(path_ + "/"))
      file.erase(0, path_.size() + 1);
    if (d.where.line)
      file += ":" + std::to_string(d.where.line) + ":" + std::to_string(d.where.column);
    all += file + ": " + d.message + (d.help.empty() ? "" : " [" + d.help + "]") + "\n";
  }
  if (imported != all.empty())
    all += "(imported and errors disagree)";
  return all;
}

} // namespace semdns::test
