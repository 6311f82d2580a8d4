#include "lib/encoder/import.h"

#include "lib/encoder/safetensors.h"
#include "lib/encoder/store.h"
#include "lib/support/files.h"
#include "semdns/format/wordpiece.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace semdns::encoder {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxJson = 64 << 20, kMaxWeights = uint64_t{8} << 30;

std::string quote(const std::string &text) { return "'" + text + "'"; }

std::string joined(const std::string &folder, const std::string &name) {
  return name.empty() ? folder : folder.empty() ? name : folder + "/" + name;
}

bool exists(const std::string &path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

/// An object from a JSON file, and errors about it. A value that is not there, or of another type,
/// is reported once and a default returned.
class Object {
public:
  Object(std::string path, Json value, Diagnostics &diags)
      : path_(std::move(path)), value_(std::move(value)), diags_(diags) {}

  const std::string &path() const { return path_; }
  const Json &json() const { return value_; }
  bool has(const char *key) const { return value_.contains(key) && !value_[key].is_null(); }

  void error(const std::string &message, const std::string &help = {}) const {
    diags_.error({path_}, message, help);
  }

  /// A number within [low, high]. `otherwise`: when it is not stated (UINT32_MAX: it must be).
  uint32_t number(const char *key, uint32_t low, uint32_t high, uint32_t otherwise = UINT32_MAX) {
    if (!has(key)) {
      if (otherwise == UINT32_MAX)
        error(quote(key) + " is missing",
              "a number from " + std::to_string(low) + " to " + std::to_string(high));
      return otherwise == UINT32_MAX ? low : otherwise;
    }
    const Json &value = value_[key];
    if (!value.is_number_unsigned() || value.get<uint64_t>() < low ||
        value.get<uint64_t>() > high) {
      error(quote(key) + " is " + shown(value), "a number from " + std::to_string(low) + " to " +
                                                    std::to_string(high) + " is supported");
      return low;
    }
    return value.get<uint32_t>();
  }

  bool flag(const char *key, bool otherwise) {
    if (!has(key))
      return otherwise;
    if (!value_[key].is_boolean()) {
      error(quote(key) + " is " + shown(value_[key]), "true or false is expected");
      return otherwise;
    }
    return value_[key].get<bool>();
  }

  std::string text(const char *key, const std::string &otherwise) {
    if (!has(key))
      return otherwise;
    if (!value_[key].is_string()) {
      error(quote(key) + " is " + shown(value_[key]), "a string is expected");
      return otherwise;
    }
    return value_[key].get<std::string>();
  }

  /// A member that must be an object; an empty one, reported, when it is not.
  Object object(const char *key) {
    if (has(key) && value_[key].is_object())
      return Object(path_, value_[key], diags_);
    error(quote(key) + (has(key) ? " is " + shown(value_[key]) : " is missing"),
          "an object is expected");
    return Object(path_, Json::object(), diags_);
  }

  /// A value as JSON, shortened.
  static std::string shown(const Json &value) {
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }

private:
  std::string path_;
  Json value_;
  Diagnostics &diags_;
};

/// Reads a file; a missing one is an error that says what for.
std::optional<std::string> readNamed(const std::string &path, const std::string &help,
                                     uint64_t limit, Diagnostics &diags) {
  std::string error;
  std::optional<std::string> bytes = readFile(path, error, limit);
  if (!bytes)
    diags.error({path}, exists(path) ? error : "file is missing", help);
  return bytes;
}

std::optional<Json> parseJson(const std::string &path, const std::string &bytes,
                              Diagnostics &diags) {
  if (isNestedTooDeeply(bytes)) {
    diags.error({path}, "this is nested too deeply for any file of an encoder");
    return std::nullopt;
  }
  try {
    return Json::parse(bytes);
  } catch (const Json::parse_error &error) {
    const size_t at = std::min<size_t>(error.byte ? error.byte - 1 : 0, bytes.size());
    const auto line =
        1 + std::count(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(at), '\n');
    const size_t lineStart = at ? bytes.rfind('\n', at - 1) : std::string::npos;
    const size_t column = lineStart == std::string::npos ? at + 1 : at - lineStart;
    diags.error({path, static_cast<uint32_t>(line), static_cast<uint32_t>(column)},
                "this is not JSON: the file is cut off or damaged");
    return std::nullopt;
  }
}

std::optional<Object> readObject(const std::string &path, const std::string &help,
                                 Diagnostics &diags) {
  std::optional<std::string> bytes = readNamed(path, help, kMaxJson, diags);
  if (!bytes)
    return std::nullopt;
  std::optional<Json> json = parseJson(path, *bytes, diags);
  if (!json)
    return std::nullopt;
  if (!json->is_object()) {
    diags.error({path}, "the file holds " + Object::shown(*json), "a JSON object is expected");
    return std::nullopt;
  }
  return Object(path, std::move(*json), diags);
}

void readConfig(Object &config, Shape &shape) {
  const std::string type = config.text("model_type", "");
  if (type != "bert")
    config.error(type.empty() ? "'model_type' is missing"
                              : "the architecture " + quote(type) + " is unknown",
                 "'model_type' must be 'bert'");
  const std::string positions = config.text("position_embedding_type", "absolute");
  if (positions != "absolute")
    config.error("position embeddings of the type " + quote(positions) + " are not supported",
                 "'position_embedding_type' must be 'absolute'");
  for (const char *key : {"is_decoder", "add_cross_attention"})
    if (config.flag(key, false))
      config.error(quote(key) + " is true: this is not an encoder", "only encoders are supported");
  shape.layers = config.number("num_hidden_layers", 1, kMaxLayers);
  shape.heads = config.number("num_attention_heads", 1, kMaxHeads);
  shape.width = config.number("hidden_size", 16, kMaxWidth);
  shape.inner = config.number("intermediate_size", 16, kMaxInner);
  shape.vocabulary = config.number("vocab_size", 4, kMaxVocabulary);
  shape.positions = config.number("max_position_embeddings", 8, kMaxPositions);
  shape.types = config.number("type_vocab_size", 1, 64, 2);
  if (shape.width % 16 || shape.inner % 16 || shape.width % shape.heads)
    config.error("'hidden_size' is " + std::to_string(shape.width) + ", 'intermediate_size' " +
                     std::to_string(shape.inner) + ", 'num_attention_heads' " +
                     std::to_string(shape.heads),
                 "both sizes must be multiples of 16, and 'hidden_size' of the number of heads");
  if (config.has("layer_norm_eps")) {
    const Json &epsilon = config.json()["layer_norm_eps"];
    const double value = epsilon.is_number() ? epsilon.get<double>() : 0;
    if (value >= 1e-30 && value <= 0.1)
      shape.layerNormEpsilon = static_cast<float>(value);
    else
      config.error("'layer_norm_eps' is " + Object::shown(epsilon),
                   "a number above 0 and at most 0.1 is expected");
  }
  const std::string activation = config.text("hidden_act", "gelu");
  if (activation == "gelu")
    shape.activation = Activation::Gelu;
  else if (activation == "gelu_new" || activation == "gelu_pytorch_tanh" ||
           activation == "gelu_fast")
    shape.activation = Activation::GeluTanh;
  else if (activation == "relu")
    shape.activation = Activation::Relu;
  else
    config.error("the activation " + quote(activation) + " is unknown",
                 "'hidden_act' must be gelu, gelu_new, gelu_pytorch_tanh, gelu_fast or relu");
}

void readPooling(const std::string &path, Shape &shape, Diagnostics &diags) {
  std::optional<Object> config =
      readObject(path, "the pooling module's configuration, which modules.json names", diags);
  if (!config)
    return;
  std::vector<std::string> on;
  for (const auto &[key, value] : config->json().items())
    if (key.starts_with("pooling_mode_") && value.is_boolean() && value.get<bool>())
      on.push_back(key);
  // Newer releases write one name instead.
  if (on.empty() && config->has("pooling_mode"))
    on.push_back("pooling_mode_" + config->text("pooling_mode", "") + "_tokens");
  if (on.size() != 1) {
    config->error(std::to_string(on.size()) + " kinds of pooling are switched on",
                  "exactly one of pooling_mode_mean_tokens, pooling_mode_cls_token and "
                  "pooling_mode_max_tokens is supported");
  } else if (on[0] == "pooling_mode_mean_tokens") {
    shape.pooling = Pooling::Mean;
  } else if (on[0] == "pooling_mode_cls_token" || on[0] == "pooling_mode_cls_tokens") {
    shape.pooling = Pooling::Cls;
  } else if (on[0] == "pooling_mode_max_tokens") {
    shape.pooling = Pooling::Max;
  } else {
    config->error("the pooling " + quote(on[0]) + " is unknown",
                  "pooling_mode_mean_tokens, pooling_mode_cls_token and pooling_mode_max_tokens "
                  "are supported");
  }
  const uint32_t width = config->number("word_embedding_dimension", 1, 1 << 20, shape.width);
  if (width != shape.width)
    config->error("'word_embedding_dimension' is " + std::to_string(width) +
                  "; config.json's 'hidden_size' is " + std::to_string(shape.width));
}

/// modules.json: where the transformer's files lie (relative to `folder`), where the pooling's, and
/// whether the result is normalised.
struct Modules {
  std::string transformer, pooling;
  bool hasPooling = false, normalise = false;
};

std::optional<Modules> readModules(const std::string &folder, Diagnostics &diags) {
  Modules modules;
  const std::string path = joined(folder, "modules.json");
  if (!exists(path)) {
    // A plain Hugging Face folder. sentence-transformers pools such models by the mean.
    modules.hasPooling = exists(joined(folder, "1_Pooling"));
    modules.pooling = "1_Pooling";
    if (!modules.hasPooling)
      diags.warning({path}, "file is missing, and there is no 1_Pooling: the mean of the tokens is "
                            "taken as the embedding");
    return modules;
  }
  std::optional<std::string> bytes = readNamed(path, "", kMaxJson, diags);
  if (!bytes)
    return std::nullopt;
  std::optional<Json> json = parseJson(path, *bytes, diags);
  if (!json)
    return std::nullopt;
  bool hasTransformer = false;
  for (const Json &module : json->is_array() ? *json : Json::array()) {
    const auto text = [&](const char *key) {
      return module.is_object() && module.contains(key) && module[key].is_string()
                 ? module[key].get<std::string>()
                 : std::string();
    };
    std::string type = text("type");
    const std::string name = type.substr(type.rfind('.') + 1);
    const std::string where = text("path");
    if (where.find("..") != std::string::npos || where.starts_with('/')) {
      diags.error({path}, "a module lies at " + quote(where), "paths must stay within the folder");
      return std::nullopt;
    }
    if (name == "Transformer" && !hasTransformer) {
      hasTransformer = true;
      modules.transformer = where;
    } else if (name == "Pooling" && hasTransformer && !modules.hasPooling) {
      modules.hasPooling = true;
      modules.pooling = where;
    } else if (name == "Normalize" && modules.hasPooling) {
      modules.normalise = true;
    } else {
      diags.error({path}, "the module " + quote(type) + " is unknown, or stands in this place",
                  "Transformer, Pooling and, optionally, Normalize are supported, in this order");
      return std::nullopt;
    }
  }
  if (!hasTransformer || !modules.hasPooling) {
    diags.error({path}, "the modules Transformer and Pooling are not both there",
                "a list of Transformer, Pooling and, optionally, Normalize is expected");
    return std::nullopt;
  }
  return modules;
}

/// The text of a token in tokenizer_config.json: a string, or an object with "content".
std::string tokenText(Object &config, const char *key, const std::string &otherwise) {
  if (config.has(key) && config.json()[key].is_object())
    return config.object(key).text("content", otherwise);
  return config.text(key, otherwise);
}

/// Id of a piece by its text; an error in `where` when there is none.
uint32_t idOf(const TokeniserSpec &spec, const std::string &piece, const std::string &where,
              Diagnostics &diags) {
  for (uint32_t id = 0; id < spec.pieces.size(); ++id)
    if (spec.pieces[id] == piece)
      return id;
  diags.error({where}, "the special token " + quote(piece) + " is not in the vocabulary");
  return 0;
}

/// [CLS] and [SEP] as the post-processor puts them around one text.
bool readTemplate(Object &tokenizer, std::string &cls, std::string &sep) {
  const std::string expected = "a TemplateProcessing of [CLS] text [SEP], or a BertProcessing";
  if (!tokenizer.has("post_processor")) {
    tokenizer.error("'post_processor' is missing", expected + " is expected");
    return false;
  }
  Object processor = tokenizer.object("post_processor");
  const Json &json = processor.json();
  const std::string type = processor.text("type", "");
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    const auto name = [&](const char *key) {
      const Json &pair = json.contains(key) ? json[key] : Json();
      return pair.is_array() && pair.size() == 2 && pair[0].is_string() ? pair[0].get<std::string>()
                                                                        : std::string();
    };
    cls = name("cls");
    sep = name("sep");
  } else if (type == "TemplateProcessing" && json.contains("single") && json["single"].is_array() &&
             json["single"].size() == 3) {
    const auto special = [&](size_t i) {
      const Json &item = json["single"][i];
      return item.is_object() && item.contains("SpecialToken") &&
                     item["SpecialToken"].is_object() && item["SpecialToken"].contains("id") &&
                     item["SpecialToken"]["id"].is_string()
                 ? item["SpecialToken"]["id"].get<std::string>()
                 : std::string();
    };
    if (json["single"][1].is_object() && json["single"][1].contains("Sequence")) {
      cls = special(0);
      sep = special(2);
    }
  }
  if (cls.empty() || sep.empty()) {
    tokenizer.error("the post-processor is " + Object::shown(json), expected + " is expected");
    return false;
  }
  return true;
}

/// Puts pieces with stated ids in their places: every id from 0 up, once.
class Placer {
public:
  Placer(const std::string &path, Diagnostics &diags) : path_(path), diags_(diags) {}

  void add(const std::string &piece, const Json &id) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMaxVocabulary) {
      fail("the piece " + quote(piece) + " has the id " + Object::shown(id));
      return;
    }
    const auto at = id.get<uint32_t>();
    if (at >= taken_.size()) {
      taken_.resize(at + 1);
      pieces.resize(at + 1);
    }
    if (taken_[at] && pieces[at] != piece)
      fail("the pieces " + quote(pieces[at]) + " and " + quote(piece) + " have the same id " +
           std::to_string(at));
    taken_[at] = true;
    pieces[at] = piece;
  }
  bool finish() {
    auto hole = std::find(taken_.begin(), taken_.end(), false);
    if (hole != taken_.end())
      fail("no piece has the id " + std::to_string(hole - taken_.begin()) + " of " +
           std::to_string(taken_.size()));
    return ok_;
  }

  std::vector<std::string> pieces;

private:
  void fail(const std::string &message) {
    if (ok_)
      diags_.error({path_}, message, "every id from 0 up must have one piece");
    ok_ = false;
  }
  const std::string &path_;
  Diagnostics &diags_;
  std::vector<bool> taken_;
  bool ok_ = true;
};

bool readTokenizerJson(const std::string &path, TokeniserSpec &spec, Diagnostics &diags) {
  std::optional<Object> tokenizer = readObject(path, "", diags);
  if (!tokenizer)
    return false;
  const size_t before = diags.errorCount();
  Object model = tokenizer->object("model");
  const std::string type = model.text("type", "WordPiece");
  if (type != "WordPiece") {
    tokenizer->error("the tokeniser model " + quote(type) + " is unknown",
                     "WordPiece is supported");
    return false;
  }
  spec.continuation = model.text("continuing_subword_prefix", "##");
  spec.maxWordChars = model.number("max_input_chars_per_word", 1, SEMDNS_WPCE_MAX_WORD_CHARS, 100);

  auto typed = [&](const char *key, const std::string &expected) -> std::optional<Object> {
    if (tokenizer->has(key)) {
      Object part = tokenizer->object(key);
      if (part.text("type", "") == expected)
        return part;
    }
    tokenizer->error(quote(key) + " is " +
                         Object::shown(tokenizer->has(key) ? tokenizer->json()[key] : Json()),
                     "a " + expected + " is expected");
    return std::nullopt;
  };
  if (std::optional<Object> normalizer = typed("normalizer", "BertNormalizer")) {
    spec.cleanText = normalizer->flag("clean_text", true);
    spec.splitChinese = normalizer->flag("handle_chinese_chars", true);
    spec.lowercase = normalizer->flag("lowercase", true);
    spec.stripAccents = normalizer->flag("strip_accents", spec.lowercase);
  }
  typed("pre_tokenizer", "BertPreTokenizer");

  Placer placer(tokenizer->path(), diags);
  Object vocabulary = model.object("vocab");
  for (const auto &[piece, id] : vocabulary.json().items())
    placer.add(piece, id);
  std::vector<std::string> special;
  if (tokenizer->has("added_tokens") && tokenizer->json()["added_tokens"].is_array())
    for (const Json &added : tokenizer->json()["added_tokens"]) {
      if (!added.is_object() || !added.contains("content") || !added["content"].is_string() ||
          !added.contains("id")) {
        tokenizer->error("an added token is " + Object::shown(added),
                         "an object with content and id is expected");
        return false;
      }
      const std::string content = added["content"].get<std::string>();
      placer.add(content, added["id"]);
      const bool isSpecial = added.contains("special") && added["special"].is_boolean() &&
                             added["special"].get<bool>();
      if (isSpecial)
        special.push_back(content);
      else
        diags.warning({path},
                      "the added token " + quote(content) +
                          " is taken as an ordinary piece: it is not looked for before words are "
                          "split");
    }
  std::string cls, sep;
  const bool framed = readTemplate(*tokenizer, cls, sep);
  if (!placer.finish() || !framed || diags.errorCount() > before)
    return false;
  spec.pieces = std::move(placer.pieces);
  spec.unknown = idOf(spec, tokenText(model, "unk_token", "[UNK]"), path, diags);
  spec.cls = idOf(spec, cls, path, diags);
  spec.sep = idOf(spec, sep, path, diags);
  // The padding token is named by the padding where that is on; it is not used, only recorded.
  std::string pad = "[PAD]";
  if (tokenizer->has("padding") && tokenizer->json()["padding"].is_object())
    pad = tokenizer->object("padding").text("pad_token", pad);
  const auto padAt = std::find(spec.pieces.begin(), spec.pieces.end(), pad);
  spec.pad = padAt == spec.pieces.end() ? 0 : static_cast<uint32_t>(padAt - spec.pieces.begin());
  // Special tokens never come from text: those that Tokeniser does not know by their ids lose their
  // names.
  for (const std::string &name : special) {
    const uint32_t id = idOf(spec, name, path, diags);
    if (id != spec.unknown && id != spec.cls && id != spec.sep && id != spec.pad)
      spec.pieces[id].clear();
  }
  return diags.errorCount() == before;
}

bool readVocabulary(const std::string &folder, TokeniserSpec &spec, Diagnostics &diags) {
  const size_t before = diags.errorCount();
  const std::string path = joined(folder, "vocab.txt");
  std::optional<std::string> bytes =
      readNamed(path, "the tokeniser: tokenizer.json, or vocab.txt and tokenizer_config.json",
                kMaxJson, diags);
  std::optional<Object> config =
      readObject(joined(folder, "tokenizer_config.json"),
                 "how vocab.txt is used, since there is no tokenizer.json", diags);
  if (!bytes || !config)
    return false;
  const std::string kind = config->text("tokenizer_class", "BertTokenizer");
  if (kind != "BertTokenizer" && kind != "BertTokenizerFast") {
    config->error("the tokeniser " + quote(kind) + " is unknown",
                  "'tokenizer_class' must be BertTokenizer or BertTokenizerFast");
    return false;
  }
  if (auto at = firstInvalidUtf8(*bytes)) {
    diags.error({path}, "byte " + std::to_string(*at) + " is not UTF-8");
    return false;
  }
  std::map<std::string_view, uint32_t> lines;
  for (std::string_view rest = *bytes; !rest.empty();) {
    const size_t end = rest.find('\n');
    std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (piece.ends_with('\r'))
      piece.remove_suffix(1);
    const auto line = static_cast<uint32_t>(spec.pieces.size() + 1);
    auto [first, isNew] = lines.emplace(piece, line);
    if (!isNew) {
      diags.error({path, line, 1}, "the piece " + quote(std::string(piece)) +
                                       " stands twice, first on line " +
                                       std::to_string(first->second));
      return false;
    }
    if (line > kMaxVocabulary) {
      diags.error({path, line, 1},
                  "more than " + std::to_string(kMaxVocabulary) + " pieces are not supported");
      return false;
    }
    spec.pieces.emplace_back(piece);
  }
  spec.lowercase = config->flag("do_lower_case", true);
  spec.splitChinese = config->flag("tokenize_chinese_chars", true);
  spec.stripAccents = config->flag("strip_accents", spec.lowercase);
  spec.unknown = idOf(spec, tokenText(*config, "unk_token", "[UNK]"), path, diags);
  spec.cls = idOf(spec, tokenText(*config, "cls_token", "[CLS]"), path, diags);
  spec.sep = idOf(spec, tokenText(*config, "sep_token", "[SEP]"), path, diags);
  spec.pad = idOf(spec, tokenText(*config, "pad_token", "[PAD]"), path, diags);
  const std::string mask = tokenText(*config, "mask_token", "[MASK]");
  for (std::string &piece : spec.pieces)
    if (piece == mask)
      piece.clear();
  return diags.errorCount() == before;
}

std::string shapeText(const std::vector<uint64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// The weights by the names that Hugging Face gives them, behind whatever prefix.
void readWeights(const std::string &path, Model &model, Diagnostics &diags) {
  std::optional<std::string> bytes = readNamed(
      path, "the weights; other formats (pytorch_model.bin) must be saved as safetensors first",
      kMaxWeights, diags);
  if (!bytes)
    return;
  std::string error;
  std::optional<TensorTable> table = parseSafetensors(*bytes, error);
  if (!table) {
    diags.error({path}, error);
    return;
  }
  const std::string words = "embeddings.word_embeddings.weight";
  std::vector<std::string> prefixes;
  for (const auto &[name, entry] : *table)
    if (name.ends_with(words) &&
        (name.size() == words.size() || name[name.size() - words.size() - 1] == '.'))
      prefixes.push_back(name.substr(0, name.size() - words.size()));
  if (prefixes.size() != 1) {
    diags.error({path}, std::to_string(prefixes.size()) + " tensors are called '" + words + "'",
                "one is expected, behind any prefix, such as 'bert.'");
    return;
  }
  const std::string &prefix = prefixes[0];
  const std::string layers = prefix + "encoder.layer.";
  for (const auto &[name, entry] : *table) {
    if (!name.starts_with(layers))
      continue;
    const unsigned long layer = std::strtoul(name.c_str() + layers.size(), nullptr, 10);
    if (layer >= model.shape.layers) {
      diags.error({path}, "there is a tensor " + quote(name) + ", but config.json says " +
                              std::to_string(model.shape.layers) + " layers");
      return;
    }
  }
  for (const Tensor &tensor : tensorsOf(model)) {
    auto found = table->find(prefix + tensor.name);
    if (found == table->end()) { // checkpoints converted from TensorFlow
      std::string old = tensor.name;
      for (auto [from, to] : {std::pair{"LayerNorm.weight", "LayerNorm.gamma"},
                              std::pair{"LayerNorm.bias", "LayerNorm.beta"}})
        if (size_t at = old.find(from); at != std::string::npos)
          old.replace(at, std::string::npos, to);
      found = table->find(prefix + old);
    }
    if (found == table->end()) {
      diags.error({path}, "the tensor " + quote(prefix + tensor.name) + " is missing");
      continue;
    }
    const TensorEntry &entry = found->second;
    const std::string who = "tensor " + quote(found->first);
    std::vector<uint64_t> shape = {tensor.rows};
    if (tensor.columns != 1)
      shape.push_back(tensor.columns);
    if (entry.shape != shape) {
      diags.error({path}, who + " has the shape " + shapeText(entry.shape) +
                              "; config.json makes it " + shapeText(shape));
      continue;
    }
    if (entry.type == DType::Other) {
      diags.error({path}, who + " is of the type " + entry.typeName,
                  "F32, F16 and BF16 are supported");
      continue;
    }
    uint64_t bad;
    if (!readFloats(entry, *tensor.values, bad))
      diags.error({path}, who + " has a value that is not a finite number, at index " +
                              std::to_string(bad));
  }
}

/// `license:` of the front matter of README.md.
std::string readLicence(const std::string &path) {
  std::string error;
  std::optional<std::string> bytes = readFile(path, error, 1 << 20);
  if (!bytes || !bytes->starts_with("---\n"))
    return {};
  const size_t end = bytes->find("\n---", 3);
  const size_t at = bytes->find("\nlicense:", 3);
  if (at == std::string::npos || at > end)
    return {};
  std::string licence = bytes->substr(at + 9, bytes->find('\n', at + 1) - at - 9);
  auto junk = [](char c) { return c == ' ' || c == '"' || c == '\'' || c == '\r'; };
  while (!licence.empty() && junk(licence.back()))
    licence.pop_back();
  while (!licence.empty() && junk(licence.front()))
    licence.erase(0, 1);
  const bool plain =
      licence.size() <= 64 &&
      std::all_of(licence.begin(), licence.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return plain ? licence : std::string();
}

} // namespace

std::optional<Model> importEncoder(const std::string &folder, Diagnostics &diags) {
  const size_t before = diags.errorCount();
  struct stat info;
  if (::stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    diags.error({folder}, "this is not a folder",
                "the folder of a sentence encoder: config.json, model.safetensors, tokenizer.json");
    return std::nullopt;
  }
  std::optional<Modules> modules = readModules(folder, diags);
  const std::string base = joined(folder, modules ? modules->transformer : "");
  Model model;
  Shape &shape = model.shape;
  std::optional<Object> config =
      readObject(joined(base, "config.json"), "the model's shape", diags);
  if (config)
    readConfig(*config, shape);
  const bool shaped = config && diags.errorCount() == before;

  if (modules) {
    shape.normalise = modules->normalise;
    if (modules->hasPooling && config)
      readPooling(joined(joined(folder, modules->pooling), "config.json"), shape, diags);
  }
  const std::string tokenizer = joined(base, "tokenizer.json");
  const bool tokenised = exists(tokenizer) ? readTokenizerJson(tokenizer, model.tokeniser, diags)
                                           : readVocabulary(base, model.tokeniser, diags);
  if (tokenised && config && model.tokeniser.pieces.size() != shape.vocabulary)
    diags.error({exists(tokenizer) ? tokenizer : joined(base, "vocab.txt")},
                "the vocabulary has " + std::to_string(model.tokeniser.pieces.size()) +
                    " pieces; config.json's 'vocab_size' is " + std::to_string(shape.vocabulary));

  shape.maxTokens = shape.positions;
  const std::string sentence = joined(base, "sentence_bert_config.json");
  if (exists(sentence))
    if (std::optional<Object> limits = readObject(sentence, "", diags)) {
      shape.maxTokens = limits->number("max_seq_length", 8, kMaxPositions, shape.positions);
      if (limits->flag("do_lower_case", false))
        model.tokeniser.lowercase = true;
      if (config && shape.maxTokens > shape.positions)
        limits->error("'max_seq_length' is " + std::to_string(shape.maxTokens) +
                      "; config.json's 'max_position_embeddings' is " +
                      std::to_string(shape.positions));
    }
  if (shaped)
    readWeights(joined(base, "model.safetensors"), model, diags);
  else if (!exists(joined(base, "model.safetensors")))
    diags.error({joined(base, "model.safetensors")}, "file is missing", "the weights");
  if (diags.errorCount() > before)
    return std::nullopt;
  const std::string fault = faultOf(model);
  if (!fault.empty()) {
    diags.error({folder}, fault);
    return std::nullopt;
  }
  model.licence = readLicence(joined(folder, "README.md"));
  model.digest = digestOf(model);
  return model;
}

Model truncated(const Model &model, uint32_t layers) {
  Model result;
  result.shape = model.shape;
  result.shape.layers = std::clamp(layers, 1u, model.shape.layers);
  result.tokeniser = model.tokeniser;
  result.licence = model.licence;
  const Weights &from = model.weights;
  Weights &to = result.weights;
  to.words = from.words;
  to.positions = from.positions;
  to.types = from.types;
  to.embeddingNorm = from.embeddingNorm;
  to.layers.assign(from.layers.begin(), from.layers.begin() + result.shape.layers);
  result.digest = digestOf(result);
  return result;
}

} // namespace semdns::encoder
