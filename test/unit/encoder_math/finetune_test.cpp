#include "lib/encoder/finetune.h"

#include "lib/encoder/backward.h"
#include "lib/encoder/forward.h"
#include "lib/support/files.h"
#include "reference.h"

#include <gmock/gmock.h>

#include <cstring>

using namespace semdns::encoder;
using namespace semdns::encoder::reference;

namespace {

using Sequences = std::vector<std::vector<uint32_t>>;

Model modelOf(const Parameters &parameters) {
  Model model;
  model.shape = parameters.shape;
  model.weights = parameters.weights;
  for (const Block &block : parameters.blocks)
    model.weights.layers.push_back(layerOf(block));
  return model;
}

/// `share` * sum of the rows' losses, in double precision.
double lossOf(const Parameters &parameters, const Sequences &rows,
              const std::vector<uint32_t> &labels, double share, double smoothing,
              double consistency = 0) {
  Model model = modelOf(parameters);
  const Head &head = parameters.head;
  double loss = 0;
  Rows logs; // of the probabilities
  for (size_t i = 0; i < rows.size(); ++i) {
    Vector e = reference::embed(model, rows[i]), scores(head.count);
    double total = 0;
    for (uint32_t k = 0; k < head.count; ++k) {
      double dot = 0, squares = 0;
      for (size_t d = 0; d < e.size(); ++d) {
        double c = head.classes[k * e.size() + d];
        dot += c * e[d];
        squares += c * c;
      }
      scores[k] = head.scale * (head.cosine ? dot / std::sqrt(squares) : dot) +
                  (head.cosine ? 0.0 : double(head.bias[k]));
      total += std::exp(scores[k]);
    }
    for (double &score : scores)
      score -= std::log(total);
    logs.push_back(scores);
    for (uint32_t k = 0; k < head.count; ++k)
      loss -= share * scores[k] * (smoothing / head.count + (k == labels[i] ? 1 - smoothing : 0));
  }
  for (size_t i = 0; i + 1 < rows.size() && consistency > 0; i += 2)
    for (uint32_t k = 0; k < head.count; ++k)
      loss += share * consistency * (std::exp(logs[i][k]) - std::exp(logs[i + 1][k])) *
              (logs[i][k] - logs[i + 1][k]);
  return loss;
}

struct Case {
  Pooling pooling = Pooling::Mean;
  Activation activation = Activation::Gelu;
  bool cosine = false;
  float consistency = 0;
};

struct Setting {
  Parameters parameters;
  Sequences rows;
  std::vector<uint32_t> labels, used;

  explicit Setting(const Case &c) {
    Model model = randomModel(2, 48, 2, 64, 12, 20, 11);
    model.shape.pooling = c.pooling;
    model.shape.activation = c.activation;
    rows = randomSequences(model, 14, 20, 12);
    parameters = {model.shape, model.weights, {}, {}};
    for (const Layer &layer : model.weights.layers)
      parameters.blocks.push_back(blockOf(layer));
    parameters.weights.layers.clear();
    parameters.head.count = 5;
    parameters.head.cosine = c.cosine;
    parameters.head.scale = 3;
    std::mt19937 bits(13);
    std::normal_distribution<double> normal;
    parameters.head.classes.resize(5 * 48);
    for (float &v : parameters.head.classes)
      v = float(normal(bits) * 0.3);
    parameters.head.bias = std::vector<float>(padded16(5), 0.0f);
    for (size_t k = 0; k < 5 && !c.cosine; ++k)
      parameters.head.bias[k] = float(normal(bits));
    for (size_t i = 0; i < rows.size(); ++i)
      labels.push_back(uint32_t(i % 5));
    for (uint32_t id = 0; id < 12; ++id)
      used.push_back(id);
  }
  static size_t padded16(size_t n) { return (n + 15) / 16 * 16; }

  Batch batch(size_t begin = 0, size_t end = 14) const {
    Batch result;
    for (size_t i = begin; i < end; ++i)
      result.add(rows[i]);
    return result;
  }
};

struct Family {
  const char *name;
  std::vector<float> *value;
  const std::vector<float> *gradient;
};

std::vector<Family> families(Parameters &p, const Gradients &g) {
  std::vector<Family> all = {
      {"words", &p.weights.words, &g.words},
      {"positions", &p.weights.positions, &g.positions},
      {"types", &p.weights.types, &g.types},
      {"embeddingNorm.gain", &p.weights.embeddingNorm.gain, &g.embeddingNorm.gain},
      {"embeddingNorm.bias", &p.weights.embeddingNorm.bias, &g.embeddingNorm.bias},
      {"classes", &p.head.classes, &g.classes},
      {"bias", &p.head.bias, &g.bias}};
  for (size_t l = 0; l < p.blocks.size(); ++l) {
    Block &b = p.blocks[l];
    const Block &d = g.blocks[l];
    std::vector<Family> more = {
        {"qkv.weight", &b.qkv.weight, &d.qkv.weight},
        {"qkv.bias", &b.qkv.bias, &d.qkv.bias},
        {"output.weight", &b.output.weight, &d.output.weight},
        {"output.bias", &b.output.bias, &d.output.bias},
        {"attentionNorm.gain", &b.attentionNorm.gain, &d.attentionNorm.gain},
        {"attentionNorm.bias", &b.attentionNorm.bias, &d.attentionNorm.bias},
        {"up.weight", &b.up.weight, &d.up.weight},
        {"up.bias", &b.up.bias, &d.up.bias},
        {"down.weight", &b.down.weight, &d.down.weight},
        {"down.bias", &b.down.bias, &d.down.bias},
        {"outputNorm.gain", &b.outputNorm.gain, &d.outputNorm.gain},
        {"outputNorm.bias", &b.outputNorm.bias, &d.outputNorm.bias}};
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

/// Central difference of `loss` by one parameter.
template <typename Loss> double slope(float &value, float step, Loss &&loss) {
  float middle = value;
  value = middle + step;
  double high = value, above = loss();
  value = middle - step;
  double low = value, below = loss();
  value = middle;
  return (above - below) / (high - low);
}

TEST(Backward, GradientsAreTheLossesSlopes) {
  std::vector<Case> cases = {{Pooling::Mean, Activation::Gelu, false, 0.7f},
                             {Pooling::Cls, Activation::GeluTanh, true, 0.5f},
                             {Pooling::Max, Activation::Gelu, false, 0},
                             {Pooling::Mean, Activation::Relu, true, 0}};
  for (const Case &c : cases) {
    Setting s(c);
    Gradients gradients(s.parameters, s.used);
    Backward backward;
    double loss = backward.accumulate(s.parameters, s.batch(), s.labels, 0.5f, 0.1f, c.consistency,
                                      nullptr, 2, gradients);
    double expected = lossOf(s.parameters, s.rows, s.labels, 0.5, 0.1, c.consistency);
    EXPECT_NEAR(0.5 * loss, expected, 1e-4);
    std::mt19937 bits(14);
    for (const Family &family : families(s.parameters, gradients)) {
      ASSERT_EQ(family.value->size(), family.gradient->size()) << family.name;
      for (int i = 0; i < 4; ++i) {
        size_t at = bits() % family.value->size();
        // Small: rectifiers and maxima have kinks.
        double measured = slope((*family.value)[at], 1e-4f, [&] {
          return lossOf(s.parameters, s.rows, s.labels, 0.5, 0.1, c.consistency);
        });
        EXPECT_NEAR((*family.gradient)[at], measured, 2e-5 + 2e-4 * std::abs(measured))
            << family.name << " " << at;
      }
    }
  }
}

/// Forward and backward must drop the same elements.
TEST(Backward, GradientsUnderDropout) {
  Setting s({});
  Gradients gradients(s.parameters, s.used), scratch(s.parameters, s.used);
  Backward backward;
  Dropout dropout{0.25f, 99, 7};
  auto loss = [&] {
    scratch.clear();
    return backward.accumulate(s.parameters, s.batch(), s.labels, 1, 0, 0.5f, &dropout, 1, scratch);
  };
  double dropped =
      backward.accumulate(s.parameters, s.batch(), s.labels, 1, 0, 0.5f, &dropout, 1, gradients);
  EXPECT_GT(std::abs(dropped - lossOf(s.parameters, s.rows, s.labels, 1, 0)), 1e-3);
  for (const Family &family : families(s.parameters, gradients)) {
    // Along the gradient itself, so that float's rounding is small against the change.
    double squares = 0;
    for (float g : *family.gradient)
      squares += double(g) * g;
    double length = std::sqrt(squares);
    ASSERT_GT(length, 1e-3) << family.name;
    std::vector<float> before = *family.value;
    auto lossAt = [&](double step) {
      for (size_t i = 0; i < before.size(); ++i)
        (*family.value)[i] = float(before[i] + step * (*family.gradient)[i] / length);
      return loss();
    };
    double measured = (lossAt(4e-3) - lossAt(-4e-3)) / 8e-3;
    *family.value = before;
    EXPECT_NEAR(measured, length, 5e-3 + 1e-2 * length) << family.name;
  }
}

TEST(Backward, TurnsAddUpAndThreadsDoNotMatter) {
  Setting s({});
  Dropout dropout{0.1f, 5, 0};
  auto flat = [&](unsigned threads) {
    Gradients gradients(s.parameters, s.used);
    Backward backward;
    backward.accumulate(s.parameters, s.batch(), s.labels, 1, 0.1f, 1, &dropout, threads,
                        gradients);
    std::vector<float> all;
    for (const Family &family : families(s.parameters, gradients))
      all.insert(all.end(), family.gradient->begin(), family.gradient->end());
    return all;
  };
  EXPECT_EQ(flat(1), flat(5));

  Gradients whole(s.parameters, s.used), parts(s.parameters, s.used);
  Backward backward;
  backward.accumulate(s.parameters, s.batch(), s.labels, 1, 0, 0, nullptr, 1, whole);
  backward.accumulate(s.parameters, s.batch(0, 5), s.labels, 1, 0, 0, nullptr, 1, parts);
  backward.accumulate(s.parameters, s.batch(5, 14), std::span(s.labels).subspan(5), 1, 0, 0,
                      nullptr, 1, parts);
  auto a = families(s.parameters, whole), b = families(s.parameters, parts);
  for (size_t f = 0; f < a.size(); ++f)
    for (size_t i = 0; i < a[f].gradient->size(); ++i)
      if (std::strcmp(a[f].name, "words") != 0) // their slots hold what was touched
        ASSERT_NEAR((*a[f].gradient)[i], (*b[f].gradient)[i], 1e-4) << a[f].name;
}

TEST(Dropout, DropsTheShareAsked) {
  std::vector<float> row(4096, 1.0f);
  size_t dropped = 0;
  double sum = 0;
  for (size_t r = 0; r < 50; ++r) {
    std::fill(row.begin(), row.end(), 1.0f);
    Dropout{0.1f, 42, 3}.apply(row.data(), row.size(), 5, r);
    for (float v : row) {
      dropped += v == 0;
      sum += v;
    }
  }
  EXPECT_NEAR(double(dropped) / (50 * 4096), 0.1, 0.004);
  EXPECT_NEAR(sum / (50 * 4096), 1.0, 0.01);
  std::vector<float> same(64, 1.0f), other(64, 1.0f);
  Dropout{0.5f, 42, 1}.apply(same.data(), 64, 5, 2); // row 3 of the step either way
  Dropout{0.5f, 42, 3}.apply(other.data(), 64, 5, 0);
  EXPECT_EQ(same, other);
  Dropout{0.5f, 42, 3}.apply(other.data(), 64, 6, 0);
  EXPECT_NE(same, other);
}

/// Rows whose label is the parity of a token's id in the middle.
struct Task {
  Model model = randomModel(2, 32, 2, 64, 40, 12, 21, 0.3);
  Sequences rows;
  std::vector<uint32_t> labels;
  FinetuneOptions options;

  Task() {
    rows = randomSequences(model, 120, 8, 22);
    for (auto &row : rows) {
      for (uint32_t &id : row)
        id = 10 + id % 30;
      row.insert(row.begin(), uint32_t(labels.size() * 7 % 10));
      labels.push_back(row[0] % 2);
    }
    options.epochs = 20;
    options.batch = 16;
    options.rate = 1e-3f;
    options.headRate = 1e-2f;
  }
};

bool sameModel(const Finetuned &a, const Finetuned &b) {
  bool same = a.classes == b.classes && a.bias == b.bias && a.losses == b.losses &&
              a.model.digest == b.model.digest && a.model.weights.words == b.model.weights.words;
  for (size_t l = 0; l < a.model.weights.layers.size(); ++l)
    same = same && a.model.weights.layers[l].down.weight == b.model.weights.layers[l].down.weight;
  return same;
}

TEST(Finetune, LearnsAndRepeats) {
  Task task;
  for (bool cosine : {false, true}) {
    task.options.cosine = cosine;
    auto tuned = finetune(task.model, task.rows, task.labels, 2, task.options);
    ASSERT_TRUE(tuned);
    EXPECT_LT(tuned->losses.back(), tuned->losses.front() / 2);
    size_t correct = 0;
    std::vector<float> rows = embed(tuned->model, task.rows, 1);
    for (size_t i = 0; i < task.rows.size(); ++i) {
      float score[2] = {tuned->bias[0], tuned->bias[1]};
      for (size_t k = 0; k < 2; ++k)
        for (size_t d = 0; d < 32; ++d)
          score[k] += tuned->scale * rows[i * 32 + d] * tuned->classes[k * 32 + d];
      correct += (score[1] > score[0]) == (task.labels[i] == 1);
    }
    EXPECT_GE(correct, 114u);

    task.options.threads = 3;
    auto again = finetune(task.model, task.rows, task.labels, 2, task.options);
    ASSERT_TRUE(again);
    EXPECT_TRUE(sameModel(*tuned, *again));
    task.options.threads = 1;
    task.options.seed = 2;
    auto other = finetune(task.model, task.rows, task.labels, 2, task.options);
    EXPECT_NE(tuned->model.digest, other->model.digest);
    task.options.seed = 1;
  }
  // What no row mentions stays as it was.
  auto tuned = finetune(task.model, std::span(task.rows).first(3), std::span(task.labels).first(3),
                        2, task.options);
  std::vector<bool> used(40);
  for (size_t i = 0; i < 3; ++i)
    for (uint32_t id : task.rows[i])
      used[id] = true;
  for (size_t id = 0; id < 40; ++id) {
    bool same =
        std::equal(&task.model.weights.words[id * 32], &task.model.weights.words[id * 32] + 32,
                   &tuned->model.weights.words[id * 32]);
    EXPECT_EQ(same, !used[id]) << id;
  }
}

TEST(Finetune, OddInput) {
  Task task;
  task.options.epochs = 1;
  task.rows[3].clear();
  task.rows[4].assign(30, 2); // longer than the positions
  task.rows[5] = {1000000};
  EXPECT_TRUE(finetune(task.model, task.rows, task.labels, 5, task.options)); // three classes empty
  task.options.cosine = true;
  auto cosine = finetune(task.model, task.rows, task.labels, 5, task.options);
  ASSERT_TRUE(cosine);
  for (float v : cosine->classes)
    EXPECT_TRUE(std::isfinite(v));
  EXPECT_FALSE(finetune(task.model, task.rows, task.labels, 1, task.options));
  EXPECT_FALSE(finetune(task.model, {}, {}, 5, task.options));
  task.labels[7] = 9;
  EXPECT_FALSE(finetune(task.model, task.rows, task.labels, 5, task.options));
  task.labels[7] = 0;
  for (auto change : std::vector<void (*)(FinetuneOptions &)>{
           [](FinetuneOptions &o) { o.epochs = 0; }, [](FinetuneOptions &o) { o.batch = 0; },
           [](FinetuneOptions &o) { o.rate = NAN; }, [](FinetuneOptions &o) { o.dropout = 1; },
           [](FinetuneOptions &o) { o.smoothing = -1; }, [](FinetuneOptions &o) { o.scale = 0; }}) {
    FinetuneOptions bad = task.options;
    change(bad);
    EXPECT_FALSE(finetune(task.model, task.rows, task.labels, 5, bad));
  }
}

TEST(Finetune, IsKept) {
  Task task;
  task.options.epochs = 1;
  // What a file may hold has limits: a model with every piece of its vocabulary.
  task.model.tokeniser.unknown = 0;
  for (uint32_t i = 0; i < 40; ++i)
    task.model.tokeniser.pieces.push_back("p" + std::to_string(i));
  task.model.tokeniser.cls = 1;
  task.model.tokeniser.sep = 2;
  task.model.tokeniser.pad = 3;
  auto tuned = finetune(task.model, task.rows, task.labels, 2, task.options);
  ASSERT_TRUE(tuned);
  std::string path = testing::TempDir() + "tuned", error;
  ASSERT_TRUE(saveFinetuned(*tuned, path, error)) << error;
  auto again = loadFinetuned(path, error);
  ASSERT_TRUE(again) << error;
  again->losses = tuned->losses;
  EXPECT_TRUE(sameModel(*tuned, *again));
  EXPECT_EQ(again->scale, tuned->scale);

  std::string head = *semdns::readFile(path + ".head", error);
  auto refused = [&](const std::string &bytes, const char *why) {
    EXPECT_TRUE(semdns::writeFileAtomically(path + ".head", bytes, true, error));
    EXPECT_FALSE(loadFinetuned(path, error));
    EXPECT_THAT(error, testing::HasSubstr(why));
  };
  for (size_t at = 0; at < head.size(); at += 37) {
    std::string bad = head;
    bad[at] ^= 1;
    refused(bad, ".head'");
    refused(head.substr(0, at), ".head'");
  }
  std::string other = head.substr(0, head.size() - 64);
  other[8] = other[8] == 'a' ? 'b' : 'a';
  refused(other + semdns::sha256Hex(other), "another model");
  other = head.substr(0, head.size() - 64) + "1234";
  refused(other + semdns::sha256Hex(other), "another size");
}

TEST(Finetune, LessWorkForMoreTokens) {
  Sequences rows(1000, std::vector<uint32_t>(300));
  EXPECT_EQ(describe(optionsFor(rows)), describe(FinetuneOptions()));
  rows.resize(1001, rows[0]);
  EXPECT_EQ(optionsFor(rows).consistency, 0);
  EXPECT_EQ(optionsFor(rows).epochs, FinetuneOptions().epochs);
  rows.resize(1700, rows[0]);
  EXPECT_LT(optionsFor(rows).epochs, FinetuneOptions().epochs);
}

TEST(Finetune, KeyNamesTheInputs) {
  Task task;
  auto key = [&] { return finetuneKey(task.model, task.rows, task.labels, 2, task.options); };
  std::string first = key();
  EXPECT_EQ(first.size(), 64u);
  task.options.threads = 7;
  EXPECT_EQ(key(), first);
  task.options.dropout = 0.2f;
  EXPECT_NE(key(), first);
  EXPECT_THAT(describe(task.options), testing::HasSubstr("dropout=0.2 "));
  task.options.dropout = 0.1f;
  task.rows[0][0] ^= 1;
  EXPECT_NE(key(), first);
  task.rows[0][0] ^= 1;
  task.labels[0] ^= 1;
  EXPECT_NE(key(), first);
}

} // namespace
