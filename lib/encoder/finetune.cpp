#include "lib/encoder/finetune.h"

#include "lib/encoder/backward.h"
#include "lib/encoder/forward.h"
#include "lib/encoder/forward_lanes.h"
#include "lib/encoder/store.h"
#include "lib/support/files.h"
#include "lib/support/progress.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>

namespace semdns::encoder {

namespace {

/// Raised when the same input would give other weights than before.
constexpr int kMethod = 1;
/// Tokens whose activations are in memory at a time; a step with more takes them in turns.
constexpr size_t kTurnTokens = 1024;
/// Floats that one task of the optimiser updates.
constexpr size_t kUpdate = 1 << 16;
constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;
/// Steps without a gradient after which a word's moments count as gone: kBeta1^128 is 1e-6.
constexpr uint32_t kIdle = 128;

uint64_t mix(uint64_t x) { // splitmix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

std::vector<uint32_t> shuffled(size_t count, uint64_t seed) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[mix(seed + i) % i]);
  return order;
}

/// Constants of one step of AdamW.
struct Rates {
  float rate = 0;                         ///< before the tensor's own factor
  float correction1 = 1, correction2 = 1; ///< 1 / (1 - beta^step)
  float clip = 1;                         ///< factor of the gradient
};

/// One step for `count` (a multiple of kLanes) parameters; `gradient` null: of zeros.
SEMDNS_CLONES void adam(size_t count, const float *gradient, const Rates &rates, float factor,
                        float decay, float *value, float *first, float *second) {
  float rate = rates.rate * factor, keep = 1 - rate * decay;
  for (size_t i = 0; i < count; i += kLanes) {
    Lanes g{}, m, v, w;
    if (gradient)
      load(g, gradient + i);
    load(m, first + i);
    load(v, second + i);
    load(w, value + i);
    g *= rates.clip;
    m = m * kBeta1 + g * (1 - kBeta1);
    v = v * kBeta2 + g * g * (1 - kBeta2);
    store(first + i, m);
    store(second + i, v);
    w = w * keep - m * rates.correction1 * rate /
                       (__builtin_elementwise_sqrt(v * rates.correction2) + kEpsilon);
    store(value + i, w);
  }
}

SEMDNS_CLONES float squaredLength(size_t count, const float *x) {
  Lanes sum{}, v;
  for (size_t i = 0; i < count; i += kLanes) {
    load(v, x + i);
    sum += v * v;
  }
  return sumLanes(sum);
}

/// Parameters that are updated together.
struct Trained {
  float *value;
  const float *gradient;
  size_t size;
  float factor; ///< of the rate
  float decay;
  size_t moment = 0; ///< where its moments begin
};

std::vector<Trained> trainedOf(Parameters &parameters, const Gradients &gradients,
                               const FinetuneOptions &options) {
  std::vector<Trained> tensors;
  float factor = 1;
  auto add = [&](std::vector<float> &value, const std::vector<float> &gradient, bool decays) {
    tensors.push_back(
        {value.data(), gradient.data(), value.size(), factor, decays ? options.weightDecay : 0});
  };
  auto addNorm = [&](Norm &value, const Norm &gradient) {
    add(value.gain, gradient.gain, false);
    add(value.bias, gradient.bias, false);
  };
  auto addLinear = [&](Linear &value, const Linear &gradient) {
    add(value.weight, gradient.weight, true);
    add(value.bias, gradient.bias, false);
  };
  for (size_t l = parameters.blocks.size(); l-- > 0; factor *= options.layerDecay) {
    Block &value = parameters.blocks[l];
    const Block &gradient = gradients.blocks[l];
    addLinear(value.qkv, gradient.qkv);
    addLinear(value.output, gradient.output);
    addNorm(value.attentionNorm, gradient.attentionNorm);
    addLinear(value.up, gradient.up);
    addLinear(value.down, gradient.down);
    addNorm(value.outputNorm, gradient.outputNorm);
  }
  addNorm(parameters.weights.embeddingNorm, gradients.embeddingNorm);
  add(parameters.weights.positions, gradients.positions, true);
  add(parameters.weights.types, gradients.types, true);
  factor = options.headRate / options.rate;
  add(parameters.head.bias, gradients.bias, false);
  factor /= options.scale; // the rate is that of what a class vector adds to a score
  add(parameters.head.classes, gradients.classes, false);
  size_t moment = 0;
  for (Trained &tensor : tensors) {
    tensor.moment = moment;
    moment += tensor.size;
  }
  return tensors;
}

/// The rows of the word embeddings that training uses. Every step changes every row (its moments
/// live on), but a row is only written when it is read next.
class Words {
public:
  Words(Parameters &parameters, std::vector<uint32_t> used, const FinetuneOptions &options,
        const std::vector<Rates> &steps)
      : table_(parameters.weights.words), width_(parameters.shape.width), used_(std::move(used)),
        steps_(steps), decay_(options.weightDecay), first_(used_.size() * width_),
        second_(used_.size() * width_), done_(used_.size()) {
    for (uint32_t l = 0; l < parameters.shape.layers; ++l)
      factor_ *= options.layerDecay;
  }

  /// Brings a row to where it is after `steps` steps; it had no gradient since its last one.
  void catchUp(uint32_t slot, uint32_t steps) {
    uint32_t from = done_[slot];
    done_[slot] = steps;
    if (from == 0)
      return decayOnly(slot, 0, steps);
    uint32_t idle = std::min(steps, from + kIdle);
    for (uint32_t s = from; s < idle; ++s)
      adam(width_, nullptr, steps_[s], factor_, decay_, row(slot), moment(first_, slot),
           moment(second_, slot));
    decayOnly(slot, idle, steps);
  }
  void step(uint32_t slot, const float *gradient, const Rates &rates) {
    adam(width_, gradient, rates, factor_, decay_, row(slot), moment(first_, slot),
         moment(second_, slot));
    ++done_[slot];
  }
  size_t count() const { return used_.size(); }

private:
  float *row(uint32_t slot) { return table_.data() + used_[slot] * width_; }
  float *moment(Buffer &buffer, uint32_t slot) { return buffer.data() + slot * width_; }
  void decayOnly(uint32_t slot, uint32_t from, uint32_t to) {
    float keep = 1;
    for (uint32_t s = from; s < to; ++s)
      keep *= 1 - steps_[s].rate * factor_ * decay_;
    for (size_t d = 0; d < width_; ++d)
      row(slot)[d] *= keep;
  }

  std::vector<float> &table_;
  size_t width_;
  std::vector<uint32_t> used_;
  const std::vector<Rates> &steps_;
  float factor_ = 1, decay_;
  Buffer first_, second_;
  std::vector<uint32_t> done_; ///< steps that a row has seen
};

/// Rates of all steps, gradient clipping apart.
std::vector<Rates> schedule(size_t steps, const FinetuneOptions &options) {
  std::vector<Rates> rates(steps);
  size_t rising = std::min(steps, size_t(double(options.warmup) * double(steps)));
  double power1 = 1, power2 = 1;
  for (size_t s = 0; s < steps; ++s) {
    power1 *= double(kBeta1);
    power2 *= double(kBeta2);
    double share = s < rising ? double(s + 1) / double(rising + 1)
                              : double(steps - s) / double(steps - rising);
    rates[s] = {float(double(options.rate) * share), float(1 / (1 - power1)),
                float(1 / (1 - power2)), 1};
  }
  return rates;
}

bool valid(const FinetuneOptions &o) {
  auto share = [](float v) { return v >= 0 && v < 1; };
  auto positive = [](float v) { return v > 0 && std::isfinite(v); };
  return o.epochs && o.batch && positive(o.rate) && positive(o.headRate) && share(o.warmup) &&
         share(o.weightDecay) && o.layerDecay > 0 && o.layerDecay <= 1 && share(o.dropout) &&
         share(o.tokenDrop) && share(o.smoothing) && positive(o.scale) && o.consistency >= 0 &&
         std::isfinite(o.consistency) && o.clip >= 0 && std::isfinite(o.clip);
}

/// Rows as embed() reads them.
std::vector<uint32_t> readable(const Model &model, const std::vector<uint32_t> &sequence) {
  std::vector<uint32_t> ids(
      sequence.begin(),
      sequence.begin() + ptrdiff_t(std::min<size_t>(sequence.size(), model.shape.positions)));
  for (uint32_t &id : ids)
    id = id < model.shape.vocabulary ? id : model.tokeniser.unknown;
  return ids;
}

} // namespace

FinetuneOptions optionsFor(std::span<const std::vector<uint32_t>> sequences) {
  size_t tokens = 0;
  for (const auto &sequence : sequences)
    tokens += sequence.size();
  FinetuneOptions options;
  if (tokens > 300000)
    options.consistency = 0;
  if (tokens > 500000)
    options.epochs = 5;
  return options;
}

std::optional<Finetuned> finetune(const Model &model,
                                  std::span<const std::vector<uint32_t>> sequences,
                                  std::span<const uint32_t> labels, uint32_t classCount,
                                  const FinetuneOptions &options, Progress *progress) {
  if (!valid(options) || classCount < 2 || sequences.size() != labels.size())
    return std::nullopt;
  std::vector<std::vector<uint32_t>> rows;
  std::vector<uint32_t> rowLabels;
  for (size_t i = 0; i < sequences.size(); ++i)
    if (!sequences[i].empty()) {
      if (labels[i] >= classCount)
        return std::nullopt;
      rows.push_back(readable(model, sequences[i]));
      rowLabels.push_back(labels[i]);
    }
  if (rows.empty())
    return std::nullopt;

  Parameters parameters{model.shape, model.weights, {}, {}};
  for (const Layer &layer : model.weights.layers)
    parameters.blocks.push_back(blockOf(layer));
  parameters.weights.layers.clear();

  size_t width = model.shape.width;
  Head &head = parameters.head;
  head.count = classCount;
  head.cosine = options.cosine;
  head.scale = options.scale;
  head.classes.resize(classCount * width);
  head.bias.resize(padded(classCount));
  {
    std::vector<float> embeddings = embed(model, rows, options.threads);
    for (size_t i = 0; i < rows.size(); ++i)
      for (size_t d = 0; d < width; ++d)
        head.classes[rowLabels[i] * width + d] += embeddings[i * width + d];
    for (size_t k = 0; k < classCount; ++k)
      normalise(&head.classes[k * width], width); // zeros where a class has no rows
  }

  std::vector<uint32_t> used;
  for (const auto &row : rows)
    used.insert(used.end(), row.begin(), row.end());
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());

  size_t stepsPerEpoch = (rows.size() + options.batch - 1) / options.batch;
  std::vector<Rates> steps = schedule(stepsPerEpoch * options.epochs, options);
  Gradients gradients(parameters, used);
  Words words(parameters, used, options, steps);
  std::vector<Trained> tensors = trainedOf(parameters, gradients, options);
  size_t moments = tensors.back().moment + tensors.back().size;
  Buffer first(moments), second(moments);
  struct Piece {
    const Trained *tensor;
    size_t begin, count;
  };
  std::vector<Piece> pieces;
  for (const Trained &tensor : tensors)
    for (size_t begin = 0; begin < tensor.size; begin += kUpdate)
      pieces.push_back({&tensor, begin, std::min(kUpdate, tensor.size - begin)});

  Finetuned result;
  Backward backward;
  std::vector<float> squares(pieces.size());
  uint32_t step = 0;
  const uint32_t passes = options.consistency > 0 ? 2 : 1;
  for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
    std::vector<uint32_t> order =
        shuffled(rows.size(), mix(options.seed + (uint64_t(epoch) << 32)));
    double loss = 0;
    for (size_t begin = 0; begin < rows.size(); begin += options.batch, ++step) {
      size_t end = std::min(rows.size(), begin + options.batch);
      Rates rates = steps[step];
      Dropout dropout{options.dropout, mix(mix(~options.seed) + step), 0};
      for (size_t i = begin; i < end; ++i)
        for (uint32_t id : rows[order[i]])
          words.catchUp(gradients.slot[id], step);

      gradients.clear();
      for (size_t i = begin; i < end;) {
        Batch batch;
        std::vector<uint32_t> batchLabels, ids, at;
        for (; i < end && (batch.tokens() == 0 ||
                           batch.tokens() + passes * rows[order[i]].size() <= kTurnTokens);
             ++i)
          for (uint32_t pass = 0; pass < passes; ++pass) {
            const std::vector<uint32_t> &row = rows[order[i]];
            ids.clear();
            at.clear();
            for (uint32_t t = 0; t < row.size(); ++t) {
              bool inner = t > 0 && t + 1 < row.size();
              uint64_t drawn = mix(mix(dropout.key + 2 * i + pass) + t) >> 32;
              if (inner && double(drawn) < double(options.tokenDrop) * 4294967296.0)
                continue;
              ids.push_back(row[t]);
              at.push_back(t);
            }
            batch.add(ids, at);
            batchLabels.push_back(rowLabels[order[i]]);
          }
        loss += backward.accumulate(parameters, batch, batchLabels,
                                    1.0f / float(passes * (end - begin)), options.smoothing,
                                    options.consistency, &dropout, options.threads, gradients);
        dropout.row += batch.tokens();
      }

      if (options.clip > 0) {
        parallelFor(pieces.size(), options.threads, [&](size_t p, size_t) {
          squares[p] = squaredLength(pieces[p].count, pieces[p].tensor->gradient + pieces[p].begin);
        });
        double sum = 0;
        for (float square : squares)
          sum += double(square);
        for (uint32_t slot : gradients.touched)
          sum += double(squaredLength(width, &gradients.words[slot * width]));
        double length = std::sqrt(sum);
        if (length > double(options.clip))
          rates.clip = float(double(options.clip) / length);
      }
      parallelFor(pieces.size(), options.threads, [&](size_t p, size_t) {
        const Trained &tensor = *pieces[p].tensor;
        size_t at = pieces[p].begin;
        adam(pieces[p].count, tensor.gradient + at, rates, tensor.factor, tensor.decay,
             tensor.value + at, first.data() + tensor.moment + at,
             second.data() + tensor.moment + at);
      });
      for (uint32_t slot : gradients.touched)
        words.step(slot, &gradients.words[slot * width], rates);
      if (progress)
        progress->update(uint64_t(epoch) * sequences.size() + end);
    }
    result.losses.push_back(loss / double(passes * rows.size()));
  }
  for (uint32_t slot = 0; slot < words.count(); ++slot)
    words.catchUp(slot, step);

  result.model.shape = model.shape;
  result.model.tokeniser = model.tokeniser;
  result.model.licence = model.licence;
  result.model.weights = std::move(parameters.weights);
  for (const Block &block : parameters.blocks)
    result.model.weights.layers.push_back(layerOf(block));
  result.model.digest = digestOf(result.model);
  result.classes = std::move(head.classes);
  if (head.cosine)
    for (size_t k = 0; k < classCount; ++k)
      normalise(&result.classes[k * width], width);
  result.bias.assign(head.bias.begin(), head.bias.begin() + classCount);
  result.scale = head.scale;
  return result;
}

namespace {

constexpr std::string_view kHeadMagic = "SDNSHED1";
constexpr size_t kHex = 64; ///< digits of a digest

/// Of the head's file: magic, the model's digest, classes, width, scale; then the floats, and the
/// digest of all that.
struct HeadStart {
  uint32_t classes, width;
  float scale;
};

void append(std::string &bytes, const std::vector<float> &values) {
  bytes.append(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float));
}

} // namespace

bool saveFinetuned(const Finetuned &result, const std::string &path, std::string &error) {
  HeadStart start{uint32_t(result.bias.size()), result.model.shape.width, result.scale};
  std::string bytes(kHeadMagic);
  bytes += result.model.digest;
  bytes.append(reinterpret_cast<const char *>(&start), sizeof start);
  append(bytes, result.classes);
  append(bytes, result.bias);
  bytes += sha256Hex(bytes);
  return saveModel(result.model, path, error) &&
         writeFileAtomically(path + ".head", bytes, true, error);
}

std::optional<Finetuned> loadFinetuned(const std::string &path, std::string &error) {
  std::optional<Model> model = loadModel(path, error);
  if (!model)
    return std::nullopt;
  std::optional<std::string> bytes = readFile(path + ".head", error, size_t(1) << 32);
  if (!bytes)
    return std::nullopt;
  HeadStart start{};
  const size_t fixed = kHeadMagic.size() + kHex + sizeof start;
  std::string_view all = *bytes;
  auto fault = [&](const char *what) {
    error = "'" + path + ".head' " + what;
    return std::nullopt;
  };
  if (all.size() < fixed + kHex || !all.starts_with(kHeadMagic))
    return fault("is not the head of a fine-tuned encoder");
  std::string_view body = all.substr(0, all.size() - kHex);
  if (sha256Hex(body) != all.substr(body.size()))
    return fault("is damaged: its digest is another one");
  if (body.substr(kHeadMagic.size(), kHex) != model->digest)
    return fault("belongs to another model");
  std::memcpy(&start, body.data() + kHeadMagic.size() + kHex, sizeof start);
  body.remove_prefix(fixed);
  if (start.width != model->shape.width ||
      body.size() != uint64_t(start.classes) * (uint64_t(start.width) + 1) * sizeof(float))
    return fault("has another size than it states");
  Finetuned result;
  result.model = std::move(*model);
  result.scale = start.scale;
  result.classes.resize(size_t(start.classes) * start.width);
  result.bias.resize(start.classes);
  std::memcpy(result.classes.data(), body.data(), result.classes.size() * sizeof(float));
  body.remove_prefix(result.classes.size() * sizeof(float));
  std::memcpy(result.bias.data(), body.data(), body.size());
  auto finite = [](float v) { return std::isfinite(v); };
  if (!std::isfinite(result.scale) ||
      !std::all_of(result.classes.begin(), result.classes.end(), finite) ||
      !std::all_of(result.bias.begin(), result.bias.end(), finite))
    return fault("holds numbers that are not finite");
  return result;
}

std::string describe(const FinetuneOptions &options) {
  std::string text = "method=" + std::to_string(kMethod);
  auto add = [&](const char *name, auto value) {
    char digits[32]; // the shortest that reads back as the same number
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    text += std::string(" ") + name + "=" + std::string(digits, end);
  };
  add("epochs", options.epochs);
  add("batch", options.batch);
  add("rate", options.rate);
  add("head-rate", options.headRate);
  add("warmup", options.warmup);
  add("weight-decay", options.weightDecay);
  add("layer-decay", options.layerDecay);
  add("dropout", options.dropout);
  add("token-drop", options.tokenDrop);
  add("smoothing", options.smoothing);
  add("consistency", options.consistency);
  add("scale", options.scale);
  add("cosine", int(options.cosine));
  add("clip", options.clip);
  add("seed", options.seed);
  return text;
}

std::string finetuneKey(const Model &model, std::span<const std::vector<uint32_t>> sequences,
                        std::span<const uint32_t> labels, uint32_t classCount,
                        const FinetuneOptions &options) {
  std::string bytes = model.digest + "\n" + describe(options) + "\n" + arithmetic() + "\n";
  auto put = [&](uint32_t v) {
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(char(v >> shift));
  };
  put(classCount);
  put(uint32_t(sequences.size()));
  for (const auto &sequence : sequences) {
    put(uint32_t(sequence.size()));
    for (uint32_t id : sequence)
      put(id);
  }
  for (uint32_t label : labels)
    put(label);
  return sha256Hex(bytes);
}

} // namespace semdns::encoder
