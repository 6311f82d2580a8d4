#include "lib/encoder/backward.h"

#include "lib/encoder/forward_lanes.h"
#include "lib/encoder/gemm.h"

#include <algorithm>
#include <cmath>

namespace semdns::encoder {

namespace {

/// Tokens that one thread takes through all layers, about. Fewer make the products slow, more leave
/// threads idle.
constexpr size_t kGroupTokens = 96;
/// Weights whose gradient is one task.
constexpr size_t kTaskWeights = 384 * 384;

/// Backward of y = hat * gain + bias, hat = (x - mean) * scale: dx from dy (may be one buffer);
/// gainGradient and biasGradient are added to.
SEMDNS_CLONES void normBackward(size_t rows, size_t width, const float *dy, const float *hat,
                                const float *scale, const float *gain, float *dx,
                                float *gainGradient, float *biasGradient) {
  for (size_t r = 0; r < rows; ++r) {
    Lanes plain{}, along{}, g, h, v;
    for (size_t d = 0; d < width; d += kLanes) {
      load(g, dy + r * width + d);
      load(h, hat + r * width + d);
      load(v, gainGradient + d);
      v += g * h;
      store(gainGradient + d, v);
      load(v, biasGradient + d);
      v += g;
      store(biasGradient + d, v);
      load(v, gain + d);
      g *= v;
      plain += g;
      along += g * h;
    }
    float mean = sumLanes(plain) / float(width), slope = sumLanes(along) / float(width);
    for (size_t d = 0; d < width; d += kLanes) {
      load(g, dy + r * width + d);
      load(h, hat + r * width + d);
      load(v, gain + d);
      v = (g * v - mean - h * slope) * scale[r];
      store(dx + r * width + d, v);
    }
  }
}

/// up (before the activation) becomes dActive * activation'(up).
SEMDNS_CLONES void activationBackward(Activation activation, size_t count, const float *dActive,
                                      float *up) {
  for (size_t i = 0; i < count; i += kLanes) {
    Lanes x, slope, g;
    load(x, up + i);
    load(g, dActive + i);
    if (activation == Activation::Gelu) {
      Lanes cdf, density;
      normalLanes(cdf, density, x);
      slope = cdf + x * density;
    } else if (activation == Activation::GeluTanh) {
      Lanes e;
      expLanes(e, (x * x * 0.044715f + 1.0f) * x * -1.59576912f);
      Lanes s = 1.0f / (e + 1.0f);
      slope = s + x * s * (1.0f - s) * (x * x * 0.134145f + 1.0f) * 1.59576912f;
    } else {
      slope = x > 0.0f ? Lanes{} + 1.0f : Lanes{};
    }
    g *= slope;
    store(up + i, g);
  }
}

/// dp = derivative by the probabilities -> derivative by the scores before the factor `scale`.
SEMDNS_CLONES void softmaxBackward(size_t length, float scale, const float *probabilities,
                                   float *dp) {
  size_t cols = padded(length);
  for (size_t r = 0; r < length; ++r) {
    Lanes sum{}, p, g;
    for (size_t j = 0; j < cols; j += kLanes) {
      load(p, probabilities + r * cols + j);
      load(g, dp + r * cols + j);
      sum += p * g;
    }
    float mean = sumLanes(sum);
    for (size_t j = 0; j < cols; j += kLanes) {
      load(p, probabilities + r * cols + j);
      load(g, dp + r * cols + j);
      g = p * (g - mean) * scale;
      store(dp + r * cols + j, g);
    }
  }
}

/// out[d] = or += sum over rows of x[r][stride] at d; cols is a multiple of kLanes.
SEMDNS_CLONES void sumRows(size_t rows, size_t cols, const float *x, size_t stride, float *out,
                           bool add) {
  for (size_t d = 0; d < cols; d += kLanes) {
    Lanes sum{}, v;
    for (size_t r = 0; r < rows; ++r) {
      load(v, x + r * stride + d);
      sum += v;
    }
    if (add) {
      load(v, out + d);
      sum += v;
    }
    store(out + d, sum);
  }
}

SEMDNS_CLONES void addTo(size_t count, const float *x, float *y) {
  Lanes a, b;
  for (size_t i = 0; i < count; i += kLanes) {
    load(a, x + i);
    load(b, y + i);
    a += b;
    store(y + i, a);
  }
}

/// scores[padded(count)] with -1e30 beyond `count` -> probabilities; returns the log of the sum of
/// the exponentials.
SEMDNS_CLONES float softmax(size_t count, float *scores) {
  Lanes v, top{}, sum{};
  for (size_t k = 0; k < padded(count); k += kLanes) {
    load(v, scores + k);
    top = k == 0 || v > top ? v : top;
  }
  float peak = maxLanes(top);
  for (size_t k = 0; k < padded(count); k += kLanes) {
    load(v, scores + k);
    expLanes(v, v - peak);
    store(scores + k, v);
    sum += v;
  }
  float total = sumLanes(sum);
  for (size_t k = 0; k < padded(count); k += kLanes) {
    load(v, scores + k);
    v /= total;
    store(scores + k, v);
  }
  return peak + std::log(total); // reported only
}

/// Replaces qkv by its derivative, given that of the context.
void attentionBackward(const Shape &shape, const Batch &batch, const Dropout *dropout,
                       uint32_t site, const float *dContext, const Tape &tape) {
  size_t width = shape.width, heads = shape.heads, size = width / heads;
  size_t longest = 0;
  for (size_t s = 0; s < batch.sequences(); ++s)
    longest = std::max<size_t>(longest, batch.start[s + 1] - batch.start[s]);
  Buffer query(longest * padded(size)), key(longest * padded(size)), value(size * padded(longest)),
      result(longest * padded(size)), derivative(longest * padded(size)),
      kept(longest * padded(longest)), scores(longest * padded(longest));
  float scale = 1.0f / std::sqrt(float(size));
  const float *probabilities = tape.probabilities;
  for (size_t s = 0; s < batch.sequences(); ++s) {
    size_t first = batch.start[s], length = batch.start[s + 1] - first, cols = padded(length);
    for (size_t h = 0; h < heads; ++h, probabilities += length * cols) {
      float *rows = tape.qkv + first * 3 * width + h * size;
      copyHead(rows, 3 * width, length, size, query.data());
      copyHead(rows + width, 3 * width, length, size, key.data());
      copyHeadTransposed(rows + 2 * width, 3 * width, length, size, value.data());
      copyHead(dContext + first * width + h * size, width, length, size, derivative.data());
      std::copy_n(probabilities, length * cols, kept.data());
      // By the probabilities that survived dropout, then by those before it.
      smallProduct(length, size, cols, derivative.data(), padded(size), 1, value.data(),
                   scores.data());
      if (dropout)
        for (size_t r = 0; r < length; ++r) {
          size_t row = (first + r) * heads + h;
          dropout->apply(kept.data() + r * cols, cols, site, row);
          dropout->apply(scores.data() + r * cols, cols, site, row);
        }
      softmaxBackward(length, scale, probabilities, scores.data());
      auto write = [&](size_t part) {
        for (size_t r = 0; r < length; ++r)
          std::copy_n(result.data() + r * padded(size), size, rows + r * 3 * width + part * width);
      };
      smallProduct(length, length, padded(size), scores.data(), cols, 1, key.data(), result.data());
      write(0);
      smallProduct(length, length, padded(size), scores.data(), 1, cols, query.data(),
                   result.data());
      write(1);
      smallProduct(length, length, padded(size), kept.data(), 1, cols, derivative.data(),
                   result.data());
      write(2);
    }
  }
}

void grow(Buffer &buffer, size_t floats) {
  if (buffer.size() < floats)
    buffer = Buffer(floats + floats / 4);
}

void resizeLike(Norm &to, const Norm &from) {
  to.gain.resize(from.gain.size());
  to.bias.resize(from.bias.size());
}

void resizeLike(Linear &to, const Linear &from) {
  to.weight.resize(from.weight.size());
  to.bias.resize(from.bias.size());
}

} // namespace

Gradients::Gradients(const Parameters &parameters, const std::vector<uint32_t> &used)
    : slot(parameters.shape.vocabulary, kUnused), words(used.size() * parameters.shape.width),
      isTouched(used.size()), positions(parameters.weights.positions.size()),
      types(parameters.weights.types.size()), blocks(parameters.blocks.size()),
      classes(parameters.head.classes.size()), bias(parameters.head.bias.size()) {
  for (size_t i = 0; i < used.size(); ++i)
    slot[used[i]] = uint32_t(i);
  resizeLike(embeddingNorm, parameters.weights.embeddingNorm);
  for (size_t l = 0; l < blocks.size(); ++l) {
    const Block &from = parameters.blocks[l];
    Block &to = blocks[l];
    resizeLike(to.qkv, from.qkv);
    resizeLike(to.output, from.output);
    resizeLike(to.attentionNorm, from.attentionNorm);
    resizeLike(to.up, from.up);
    resizeLike(to.down, from.down);
    resizeLike(to.outputNorm, from.outputNorm);
  }
}

void Gradients::clear() {
  for (uint32_t s : touched)
    isTouched[s] = false;
  touched.clear();
  empty = true;
}

/// Sequences that one thread takes forwards and backwards.
struct Backward::Group {
  Batch batch;
  size_t firstToken = 0, firstSequence = 0, firstProbability = 0;
  /// Sums over the group's tokens, by norm: gain then bias, [2 + 4 * layers][width]; the
  /// embeddings' first, then of each layer attentionNorm and outputNorm.
  std::vector<float> norms;
  double loss = 0;
};

void Backward::reserve(const Shape &shape, const Batch &batch, uint32_t classes) {
  size_t tokens = batch.tokens(), width = shape.width;
  layers_.resize(shape.layers);
  x_.resize(shape.layers + 1);
  for (Buffer &x : x_)
    grow(x, tokens * width);
  for (LayerBuffers &layer : layers_) {
    grow(layer.qkv, tokens * 3 * width);
    grow(layer.probabilities, probabilityFloats(batch, shape.heads));
    for (Buffer *buffer : {&layer.context, &layer.middleHat, &layer.middle, &layer.hat})
      grow(*buffer, tokens * width);
    for (Buffer *buffer : {&layer.up, &layer.active})
      grow(*buffer, tokens * shape.inner);
    for (Buffer *buffer : {&layer.middleScale, &layer.scale})
      grow(*buffer, tokens);
  }
  grow(embeddingHat_, tokens * width);
  grow(embeddingScale_, tokens);
  grow(embeddings_, batch.sequences() * width);
  grow(scores_, batch.sequences() * classes);
}

Tape Backward::tapeOf(const Shape &shape, const Group &group, size_t layer) {
  LayerBuffers &buffers = layers_[layer];
  size_t t = group.firstToken, width = shape.width;
  Tape tape;
  tape.qkv = buffers.qkv.data() + t * 3 * width;
  tape.probabilities = buffers.probabilities.data() + group.firstProbability;
  tape.context = buffers.context.data() + t * width;
  tape.middleHat = buffers.middleHat.data() + t * width;
  tape.middleScale = buffers.middleScale.data() + t;
  tape.middle = buffers.middle.data() + t * width;
  tape.up = buffers.up.data() + t * shape.inner;
  tape.active = buffers.active.data() + t * shape.inner;
  tape.hat = buffers.hat.data() + t * width;
  tape.scale = buffers.scale.data() + t;
  return tape;
}

/// Forwards, the loss, and backwards down to the embeddings. What the weights' gradients need stays
/// in the tape: the inputs of the products, and the derivatives of their results: in place of qkv
/// and up, and for `output` and `down` in middleHat and hat, which are not needed any more.
double Backward::run(const Parameters &parameters, Group &group, std::span<const uint32_t> labels,
                     float share, float smoothing, float consistency, const Dropout *stepDropout) {
  const Shape &shape = parameters.shape;
  const Head &head = parameters.head;
  const Batch &batch = group.batch;
  size_t width = shape.width, inner = shape.inner, layers = shape.layers;
  size_t tokens = batch.tokens(), sequences = batch.sequences();
  Dropout own;
  const Dropout *dropout = nullptr;
  if (stepDropout && stepDropout->rate > 0) {
    own = *stepDropout;
    own.row += group.firstToken;
    dropout = &own;
  }

  auto x = [&](size_t layer) { return x_[layer].data() + group.firstToken * width; };
  float *embeddingHat = embeddingHat_.data() + group.firstToken * width;
  float *embeddingScale = embeddingScale_.data() + group.firstToken;
  embedTokens(shape, parameters.weights, batch, x(0), embeddingHat, embeddingScale, dropout);
  for (size_t l = 0; l < layers; ++l) {
    Tape tape = tapeOf(shape, group, l);
    forwardBlock(shape, parameters.blocks[l], uint32_t(l), batch, x(l), x(l + 1), tape, 0, dropout);
  }

  // The head. From here on `scores` holds share * scale times the derivative by the score.
  float *e = embeddings_.data() + group.firstSequence * width;
  float *scores = scores_.data() + group.firstSequence * head.count;
  std::vector<float> lengths(sequences);
  pool(shape, batch, x(layers), e);
  for (size_t s = 0; s < sequences; ++s)
    lengths[s] = normalise(e + s * width, width);
  multiply(sequences, head.count, width, e, classes_.data(), scores);
  double loss = 0;
  size_t together = consistency > 0 ? 2 : 1;
  std::vector<float> logits[2], probabilities[2];
  for (size_t s = 0; s < sequences; s += together) {
    float even = smoothing / float(head.count);
    for (size_t r = 0; r < together; ++r) {
      logits[r].assign(padded(head.count), -1e30f);
      double target = 0; // the score that the target distribution expects
      for (size_t k = 0; k < head.count; ++k) {
        logits[r][k] = scores[(s + r) * head.count + k] * head.scale + head.bias[k];
        target += double(even) * logits[r][k];
      }
      target += double(1 - smoothing) * logits[r][labels[group.firstSequence + s + r]];
      probabilities[r] = logits[r];
      loss += softmax(head.count, probabilities[r].data()) - target;
    }
    // KL's slopes do not change when a constant is added to the scores: no logarithm is needed.
    double apart = 0, expected[2] = {0, 0};
    for (size_t k = 0; k < head.count && together == 2; ++k) {
      double difference = double(logits[0][k]) - double(logits[1][k]);
      apart += (double(probabilities[0][k]) - double(probabilities[1][k])) * difference;
      expected[0] += double(probabilities[0][k]) * difference;
      expected[1] -= double(probabilities[1][k]) * difference;
    }
    loss += double(consistency) * apart;
    for (size_t r = 0; r < together; ++r)
      for (size_t k = 0; k < head.count; ++k) {
        float p = probabilities[r][k];
        float g = p - even - (k == labels[group.firstSequence + s + r] ? 1 - smoothing : 0);
        if (together == 2)
          g += consistency * (p * (logits[r][k] - logits[1 - r][k] - float(expected[r])) + p -
                              probabilities[1 - r][k]);
        scores[(s + r) * head.count + k] = g * share * head.scale;
      }
  }

  Buffer dx(tokens * width), dMiddle(tokens * width), dContext(tokens * width),
      dActive(tokens * inner), dEmbedding(sequences * width);
  multiplyBack(sequences, head.count, width, scores, classes_.data(), dEmbedding.data(), false);
  for (size_t s = 0; s < sequences; ++s) {
    float *g = dEmbedding.data() + s * width;
    const float *unit = e + s * width;
    double along = 0;
    for (size_t d = 0; d < width; ++d)
      along += double(g[d]) * unit[d];
    size_t first = batch.start[s], length = batch.start[s + 1] - first;
    for (size_t d = 0; d < width; ++d) {
      float v = (g[d] - unit[d] * float(along)) / lengths[s];
      float *column = dx.data() + first * width + d; // zero at first
      if (shape.pooling == Pooling::Mean) {
        for (size_t t = 0; t < length; ++t)
          column[t * width] = v / float(length);
      } else {
        size_t from = 0;
        if (shape.pooling == Pooling::Max)
          for (size_t t = 1; t < length; ++t)
            if (x(layers)[(first + t) * width + d] > x(layers)[(first + from) * width + d])
              from = t;
        column[from * width] = v;
      }
    }
  }

  group.norms.assign((2 + 4 * layers) * width, 0.0f);
  for (size_t l = layers; l-- > 0;) {
    const Block &block = parameters.blocks[l];
    Tape tape = tapeOf(shape, group, l);
    float *sums = group.norms.data() + (2 + 4 * l) * width;
    uint32_t site = uint32_t(l) * kDropSites;
    normBackward(tokens, width, dx.data(), tape.hat, tape.scale, block.outputNorm.gain.data(),
                 dMiddle.data(), sums + 2 * width, sums + 3 * width);
    std::copy_n(dMiddle.data(), tokens * width, tape.hat);
    if (dropout)
      for (size_t t = 0; t < tokens; ++t)
        dropout->apply(tape.hat + t * width, width, site + kDropDown, t);
    multiplyBack(tokens, width, inner, tape.hat, block.down.weight.data(), dActive.data(), false);
    activationBackward(shape.activation, tokens * inner, dActive.data(), tape.up);
    multiplyBack(tokens, inner, width, tape.up, block.up.weight.data(), dMiddle.data(), true);
    normBackward(tokens, width, dMiddle.data(), tape.middleHat, tape.middleScale,
                 block.attentionNorm.gain.data(), dx.data(), sums, sums + width);
    std::copy_n(dx.data(), tokens * width, tape.middleHat);
    if (dropout)
      for (size_t t = 0; t < tokens; ++t)
        dropout->apply(tape.middleHat + t * width, width, site + kDropOutput, t);
    multiplyBack(tokens, width, width, tape.middleHat, block.output.weight.data(), dContext.data(),
                 false);
    attentionBackward(shape, batch, dropout, site + kDropAttention, dContext.data(), tape);
    multiplyBack(tokens, 3 * width, width, tape.qkv, block.qkv.weight.data(), dx.data(), true);
  }
  if (dropout)
    for (size_t t = 0; t < tokens; ++t)
      dropout->apply(dx.data() + t * width, width, kDropEmbedding, t);
  normBackward(tokens, width, dx.data(), embeddingHat, embeddingScale,
               parameters.weights.embeddingNorm.gain.data(), embeddingHat, group.norms.data(),
               group.norms.data() + width);
  return loss;
}

double Backward::accumulate(const Parameters &parameters, const Batch &batch,
                            std::span<const uint32_t> labels, float share, float smoothing,
                            float consistency, const Dropout *dropout, unsigned threads,
                            Gradients &gradients) {
  const Shape &shape = parameters.shape;
  const Head &head = parameters.head;
  size_t width = shape.width, inner = shape.inner, tokens = batch.tokens();
  reserve(shape, batch, head.count);

  classes_ = head.classes;
  std::vector<float> classLengths;
  if (head.cosine)
    for (size_t k = 0; k < head.count; ++k)
      classLengths.push_back(normalise(classes_.data() + k * width, width));

  // The groups: an even number for two threads, of about as many tokens each.
  size_t count = std::clamp<size_t>((tokens / kGroupTokens + 1) / 2 * 2, 2, 64);
  std::vector<Group> groups;
  for (size_t s = 0, probability = 0; s < batch.sequences(); ++s) {
    size_t first = batch.start[s], length = batch.start[s + 1] - first;
    bool whole = consistency <= 0 || s % 2 == 0; // pairs stay together
    if (groups.empty() || (whole && first * count >= groups.size() * tokens)) {
      groups.emplace_back();
      groups.back().firstToken = first;
      groups.back().firstSequence = s;
      groups.back().firstProbability = probability;
    }
    groups.back().batch.add(std::span(batch.ids).subspan(first, length),
                            std::span(batch.positions).subspan(first, length));
    probability += shape.heads * length * padded(length);
  }
  parallelFor(groups.size(), threads, [&](size_t g, size_t) {
    groups[g].loss = run(parameters, groups[g], labels, share, smoothing, consistency, dropout);
  });

  // Gradients of the weights, over all tokens at once, in pieces of their rows.
  struct Task {
    const float *dy, *x;
    size_t stride, in, out; ///< of dy; weights' columns; their rows in this task
    float *weight, *bias;
  };
  std::vector<Task> tasks;
  auto plan = [&](const float *dy, const float *x, size_t out, size_t in, Linear &gradient) {
    size_t step = padded(std::max<size_t>(kTaskWeights / in, 1));
    for (size_t o = 0; o < out; o += step)
      tasks.push_back({dy + o, x, out, in, std::min(step, out - o), &gradient.weight[o * in],
                       &gradient.bias[o]});
  };
  for (size_t l = 0; l < layers_.size(); ++l) {
    LayerBuffers &layer = layers_[l];
    Block &block = gradients.blocks[l];
    plan(layer.qkv.data(), x_[l].data(), 3 * width, width, block.qkv);
    plan(layer.middleHat.data(), layer.context.data(), width, width, block.output);
    plan(layer.up.data(), layer.middle.data(), inner, width, block.up);
    plan(layer.hat.data(), layer.active.data(), width, inner, block.down);
  }
  bool add = !gradients.empty;
  parallelFor(tasks.size() + 2, threads, [&](size_t i, size_t) {
    if (i >= 2) {
      const Task &task = tasks[i - 2];
      multiplyOuter(tokens, task.out, task.in, task.dy, task.stride, task.x, task.weight, add);
      sumRows(tokens, task.out, task.dy, task.stride, task.bias, add);
      return;
    }
    if (i == 1) { // the head
      std::vector<float> sum(head.count * width), bias(head.bias.size());
      multiplyOuter(batch.sequences(), head.count, width, scores_.data(), head.count,
                    embeddings_.data(), sum.data(), false);
      for (size_t s = 0; s < batch.sequences(); ++s)
        for (size_t k = 0; k < head.count; ++k)
          bias[k] += scores_.data()[s * head.count + k] / head.scale;
      if (head.cosine) {
        std::fill(bias.begin(), bias.end(), 0.0f);
        for (size_t k = 0; k < head.count; ++k) {
          float *g = &sum[k * width];
          const float *unit = &classes_[k * width];
          double along = 0;
          for (size_t d = 0; d < width; ++d)
            along += double(g[d]) * unit[d];
          for (size_t d = 0; d < width; ++d)
            g[d] = classLengths[k] > 1e-12f ? (g[d] - unit[d] * float(along)) / classLengths[k] : 0;
        }
      }
      if (!add) {
        std::fill(gradients.classes.begin(), gradients.classes.end(), 0.0f);
        std::fill(gradients.bias.begin(), gradients.bias.end(), 0.0f);
      }
      addTo(sum.size(), sum.data(), gradients.classes.data());
      addTo(bias.size(), bias.data(), gradients.bias.data());
      return;
    }
    // The embeddings, and the norms.
    if (!add) {
      std::fill(gradients.positions.begin(), gradients.positions.end(), 0.0f);
      std::fill(gradients.types.begin(), gradients.types.end(), 0.0f);
    }
    for (size_t t = 0; t < tokens; ++t) {
      const float *g = embeddingHat_.data() + t * width;
      addTo(width, g, &gradients.positions[batch.positions[t] * width]);
      if (!gradients.types.empty())
        addTo(width, g, gradients.types.data());
      uint32_t slot = gradients.slot[batch.ids[t]];
      float *word = &gradients.words[slot * width];
      if (!gradients.isTouched[slot]) {
        gradients.isTouched[slot] = true;
        gradients.touched.push_back(slot);
        std::fill_n(word, width, 0.0f);
      }
      addTo(width, g, word);
    }
    std::vector<float *> norms{gradients.embeddingNorm.gain.data(),
                               gradients.embeddingNorm.bias.data()};
    for (Block &block : gradients.blocks)
      for (Norm *norm : {&block.attentionNorm, &block.outputNorm}) {
        norms.push_back(norm->gain.data());
        norms.push_back(norm->bias.data());
      }
    for (size_t n = 0; n < norms.size(); ++n) {
      if (!add)
        std::fill_n(norms[n], width, 0.0f);
      for (const Group &group : groups)
        addTo(width, group.norms.data() + n * width, norms[n]);
    }
  });
  gradients.empty = false;
  double loss = 0;
  for (const Group &group : groups)
    loss += group.loss;
  return loss;
}

} // namespace semdns::encoder
