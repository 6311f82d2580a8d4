#include "lib/encoder/store.h"

#include "lib/support/files.h"
#include "runtime/base/checked.h"
#include "runtime/base/sha256.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>

static_assert(std::endian::native == std::endian::little, "files are little-endian");

namespace semdns::encoder {
namespace {

constexpr char kMagic[8] = {'S', 'D', 'N', 'S', 'E', 'N', 'C', '1'};
constexpr size_t kDigestSize = 64, kMaxLicence = 4096, kMaxPiece = 1024;

/// Shape and tokeniser in canonical bytes.
std::string describe(const Model &model) {
  std::string out;
  auto number = [&](uint32_t value) { out.append(reinterpret_cast<char *>(&value), 4); };
  auto text = [&](const std::string &value) {
    number(static_cast<uint32_t>(value.size()));
    out += value;
  };
  const Shape &s = model.shape;
  for (uint32_t value :
       {s.layers, s.heads, s.width, s.inner, s.vocabulary, s.positions, s.types,
        std::bit_cast<uint32_t>(s.layerNormEpsilon), static_cast<uint32_t>(s.pooling),
        uint32_t{s.normalise}, static_cast<uint32_t>(s.activation), s.maxTokens})
    number(value);
  const TokeniserSpec &t = model.tokeniser;
  for (uint32_t value : {t.unknown, t.cls, t.sep, t.pad, t.maxWordChars, uint32_t{t.cleanText},
                         uint32_t{t.lowercase}, uint32_t{t.stripAccents}, uint32_t{t.splitChinese}})
    number(value);
  text(t.continuation);
  number(static_cast<uint32_t>(t.pieces.size()));
  for (const std::string &piece : t.pieces)
    text(piece);
  return out;
}

std::string hex(const uint8_t (&digest)[32]) {
  std::string out;
  for (uint8_t byte : digest) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

/// The Model behind a const one, for tensorsOf: it is not changed.
std::vector<Tensor> constTensors(const Model &model) {
  return tensorsOf(const_cast<Model &>(model));
}

/// Reads what describe() wrote; every read is checked.
class Cursor {
public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  std::string_view rest() const { return bytes_; }
  std::string_view take(size_t size) {
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view result = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return result;
  }
  uint32_t number(uint32_t limit = UINT32_MAX) {
    std::string_view at = take(4);
    uint32_t value = ok_ ? base::load<uint32_t>(at.data()) : 0;
    ok_ = ok_ && value <= limit;
    return ok_ ? value : 0;
  }
  bool flag() { return number(1); }
  std::string text(uint32_t limit) { return std::string(take(number(limit))); }

private:
  std::string_view bytes_;
  bool ok_ = true;
};

} // namespace

std::vector<Tensor> tensorsOf(Model &model) {
  const Shape &s = model.shape;
  Weights &w = model.weights;
  std::vector<Tensor> all;
  auto norm = [&](const std::string &name, Norm &n) {
    all.push_back({name + ".weight", &n.gain, s.width, 1});
    all.push_back({name + ".bias", &n.bias, s.width, 1});
  };
  auto linear = [&](const std::string &name, Linear &l, uint32_t out, uint32_t in) {
    all.push_back({name + ".weight", &l.weight, out, in});
    all.push_back({name + ".bias", &l.bias, out, 1});
  };
  all.push_back({"embeddings.word_embeddings.weight", &w.words, s.vocabulary, s.width});
  all.push_back({"embeddings.position_embeddings.weight", &w.positions, s.positions, s.width});
  all.push_back({"embeddings.token_type_embeddings.weight", &w.types, s.types, s.width});
  norm("embeddings.LayerNorm", w.embeddingNorm);
  if (w.layers.size() != s.layers)
    w.layers.resize(s.layers);
  for (uint32_t i = 0; i < s.layers; ++i) {
    Layer &l = w.layers[i];
    const std::string at = "encoder.layer." + std::to_string(i) + ".";
    linear(at + "attention.self.query", l.query, s.width, s.width);
    linear(at + "attention.self.key", l.key, s.width, s.width);
    linear(at + "attention.self.value", l.value, s.width, s.width);
    linear(at + "attention.output.dense", l.output, s.width, s.width);
    norm(at + "attention.output.LayerNorm", l.attentionNorm);
    linear(at + "intermediate.dense", l.up, s.inner, s.width);
    linear(at + "output.dense", l.down, s.width, s.inner);
    norm(at + "output.LayerNorm", l.outputNorm);
  }
  return all;
}

std::string digestOf(const Model &model) {
  base::Sha256 hash;
  const std::string head = describe(model);
  hash.update(head.data(), head.size());
  for (const Tensor &tensor : constTensors(model))
    hash.update(tensor.values->data(), tensor.values->size() * sizeof(float));
  uint8_t digest[32];
  hash.finish(digest);
  return hex(digest);
}

std::string faultOf(const Model &model) {
  const Shape &s = model.shape;
  auto outside = [](const char *what, uint32_t value, uint32_t low, uint32_t high) {
    return std::string(what) + " is " + std::to_string(value) + "; it must be " +
           std::to_string(low) + " to " + std::to_string(high);
  };
  const struct {
    const char *what;
    uint32_t value, low, high;
  } ranges[] = {{"the number of layers", s.layers, 1, kMaxLayers},
                {"the number of heads", s.heads, 1, kMaxHeads},
                {"the width", s.width, 16, kMaxWidth},
                {"the inner width", s.inner, 16, kMaxInner},
                {"the vocabulary", s.vocabulary, 4, kMaxVocabulary},
                {"the number of positions", s.positions, 8, kMaxPositions},
                {"the number of token types", s.types, 1, 64},
                {"the length of a window", s.maxTokens, 8, s.positions}};
  for (const auto &r : ranges)
    if (r.value < r.low || r.value > r.high)
      return outside(r.what, r.value, r.low, r.high);
  if (s.width % 16 || s.inner % 16 || s.width % s.heads)
    return "width " + std::to_string(s.width) + ", inner width " + std::to_string(s.inner) + ", " +
           std::to_string(s.heads) +
           " heads: both widths must be multiples of 16, the width one of the heads, too";
  if (!(s.layerNormEpsilon > 0 && s.layerNormEpsilon <= 0.1f))
    return "the layer norm's epsilon is " + std::to_string(s.layerNormEpsilon) +
           "; it must be above 0 and at most 0.1";
  const TokeniserSpec &t = model.tokeniser;
  if (t.pieces.size() != s.vocabulary)
    return "the tokeniser has " + std::to_string(t.pieces.size()) + " pieces, the embeddings " +
           std::to_string(s.vocabulary) + " rows";
  if (std::max({t.unknown, t.cls, t.sep, t.pad}) >= s.vocabulary)
    return "a special token is outside the vocabulary";
  if (t.maxWordChars < 1 || t.maxWordChars > 256)
    return outside("the longest word", t.maxWordChars, 1, 256);
  std::set<std::string_view> seen;
  for (const std::string &piece : t.pieces) {
    if (piece.size() > kMaxPiece)
      return "a piece of the vocabulary has " + std::to_string(piece.size()) + " bytes";
    if (firstInvalidUtf8(piece))
      return "a piece of the vocabulary is not UTF-8";
    if (!piece.empty() && !seen.insert(piece).second)
      return "the piece '" + piece + "' stands twice in the vocabulary";
  }
  if (model.weights.layers.size() != s.layers)
    return "there are weights of " + std::to_string(model.weights.layers.size()) + " layers; " +
           std::to_string(s.layers) + " are expected";
  for (const Tensor &tensor : constTensors(model))
    if (tensor.values->size() != size_t{tensor.rows} * tensor.columns)
      return "tensor '" + tensor.name + "' has " + std::to_string(tensor.values->size()) +
             " values; " + std::to_string(size_t{tensor.rows} * tensor.columns) + " are expected";
  return {};
}

bool saveModel(const Model &model, const std::string &path, std::string &error) {
  error = faultOf(model);
  if (!error.empty()) {
    error = "cannot write '" + path + "': " + error;
    return false;
  }
  const std::string licence = model.licence.substr(0, kMaxLicence);
  const auto licenceSize = static_cast<uint32_t>(licence.size());
  std::string bytes(kMagic, sizeof kMagic);
  bytes += digestOf(model);
  bytes.append(reinterpret_cast<const char *>(&licenceSize), 4);
  bytes += licence;
  bytes += describe(model);
  const std::vector<Tensor> tensors = constTensors(model);
  size_t total = bytes.size();
  for (const Tensor &tensor : tensors)
    total += tensor.values->size() * sizeof(float);
  bytes.reserve(total);
  for (const Tensor &tensor : tensors)
    bytes.append(reinterpret_cast<const char *>(tensor.values->data()),
                 tensor.values->size() * sizeof(float));
  return writeFileAtomically(path, bytes, true, error);
}

std::optional<Model> loadModel(const std::string &path, std::string &error) {
  std::optional<std::string> bytes = readFile(path, error, uint64_t{8} << 30);
  if (!bytes)
    return std::nullopt;
  auto bad = [&](const std::string &what) {
    error = "'" + path + "': " + what;
    return std::nullopt;
  };
  Cursor in(*bytes);
  if (in.take(sizeof kMagic) != std::string_view(kMagic, sizeof kMagic))
    return bad("not an encoder that semdns has written");
  Model model;
  model.digest = std::string(in.take(kDigestSize));
  model.licence = in.text(kMaxLicence);
  Shape &s = model.shape;
  s.layers = in.number(kMaxLayers);
  s.heads = in.number(kMaxHeads);
  s.width = in.number(kMaxWidth);
  s.inner = in.number(kMaxInner);
  s.vocabulary = in.number(kMaxVocabulary);
  s.positions = in.number(kMaxPositions);
  s.types = in.number(64);
  s.layerNormEpsilon = std::bit_cast<float>(in.number());
  s.pooling = static_cast<Pooling>(in.number(static_cast<uint32_t>(Pooling::Max)));
  s.normalise = in.flag();
  s.activation = static_cast<Activation>(in.number(static_cast<uint32_t>(Activation::Relu)));
  s.maxTokens = in.number(kMaxPositions);
  TokeniserSpec &t = model.tokeniser;
  t.unknown = in.number();
  t.cls = in.number();
  t.sep = in.number();
  t.pad = in.number();
  t.maxWordChars = in.number();
  t.cleanText = in.flag();
  t.lowercase = in.flag();
  t.stripAccents = in.flag();
  t.splitChinese = in.flag();
  t.continuation = in.text(kMaxPiece);
  const uint32_t pieces = in.number(kMaxVocabulary);
  for (uint32_t i = 0; i < pieces && in.ok(); ++i)
    t.pieces.push_back(in.text(kMaxPiece));
  if (!in.ok())
    return bad("cut off or damaged before the weights");
  const std::vector<Tensor> tensors = tensorsOf(model);
  uint64_t expected = 0;
  for (const Tensor &tensor : tensors)
    expected += uint64_t{tensor.rows} * tensor.columns * sizeof(float);
  if (in.rest().size() != expected)
    return bad(std::to_string(in.rest().size()) + " bytes of weights; " + std::to_string(expected) +
               " are expected: cut off or damaged");
  for (const Tensor &tensor : tensors) {
    tensor.values->resize(size_t{tensor.rows} * tensor.columns);
    std::string_view from = in.take(tensor.values->size() * sizeof(float));
    if (!from.empty())
      std::memcpy(tensor.values->data(), from.data(), from.size());
    for (float value : *tensor.values)
      if (!std::isfinite(value))
        return bad("tensor '" + tensor.name + "' has a value that is not a finite number");
  }
  const std::string fault = faultOf(model);
  if (!fault.empty())
    return bad(fault);
  if (digestOf(model) != model.digest)
    return bad("the content does not have the digest that the file states: damaged");
  return model;
}

} // namespace semdns::encoder
