#include "lib/train/train.h"

#include "lib/pack/beam_plan.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "lib/train/augment.h"
#include "lib/train/beam.h"
#include "lib/train/choose.h"
#include "lib/train/embedding.h"
#include "lib/train/features.h"
#include "lib/train/head.h"
#include "lib/train/keywords.h"
#include "lib/train/linear.h"
#include "lib/train/numeric.h"
#include "lib/train/refine.h"
#include "lib/train/teacher.h"
#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/zones.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <unordered_map>

namespace semdns::train {

namespace {

// Chosen by measurement on clinc150, banking77 and hwu64 (docs/architecture.md, "Training").
constexpr size_t kFewSteps = 20000;      // rows seen by a training stage, at least
constexpr size_t kManySteps = 2000000;   // and at most, unless three passes need more
constexpr size_t kTableBytes = 5000000;  // of rows and their buckets, when maxRows does not say
constexpr size_t kRowOverhead = 14;      // bytes a row takes beside its values
constexpr uint32_t kCalibrateLeast = 30; // held-out texts needed to calibrate on
constexpr double kDefaultSharpness = 0.5;
constexpr uint32_t kDefaultThreshold = 32768; // Q16
constexpr uint32_t kMinedLeast = 300; // held-out texts that mined terms must answer to be believed
constexpr uint32_t kWrittenPurity = 43691; // Q16: two thirds
constexpr size_t kMaxMinedTerms = 4096;    // or 16 a class
constexpr size_t kMaxFeatures = size_t(1) << 21;
constexpr size_t kMaxWeightCells = size_t(1) << 28; // features * classes of one classifier
constexpr size_t kMaxLinearClasses = 1024; // beyond, a classifier of full rank takes too long
constexpr size_t kMaxHeldScores = size_t(1) << 26; // scores of held-out texts kept at a time
constexpr size_t kManyTexts = 50000; // from here on features of a single text are left out
constexpr size_t kMaxSoftCells = size_t(1) << 25; // soft targets * classes
constexpr size_t kMaxVariationBytes = 6 << 20;
constexpr float kLabelShare = 0.5f; // of a training text's target; the rest is the teacher's
constexpr float kVariationLabelShare = 0.2f; // of a variation's, where it keeps the class
constexpr float kMoreWeight = 0.5f;          // of a text that only the teacher judges
constexpr size_t kStudentEpochs = 8;         // with a teacher
// A zone that is only described may take so many of the texts of other zones, all such zones so
// many.
constexpr double kTakenShare = 0.005, kTakenShareOfAll = 0.01;
constexpr size_t kDescribedSample = 2000, kTuneSample = 200;
constexpr double kFinishRate = 0.1;                  // of the last passes
constexpr size_t kBeamDim = 64;                      // where stage 2 descends: a row is one line
constexpr size_t kBeamTableBytes = size_t(16) << 20; // of its rows
constexpr size_t kBeamHeldOut = 4000;
constexpr double kDenseWork = 4e11; // multiplications that training the dense head may take

/// One training text.
struct Text {
  const Example *source = nullptr; ///< null for a keyword's pseudo-text
  std::string_view bytes;
  uint32_t zone = 0, group = 0; ///< group: its class
  ExampleKind kind = ExampleKind::Labelled;
  bool tune = false;
  std::vector<uint64_t> words;
  float weight = 1;
};

/// A text of the Tune part and what stage 2 says to it.
struct Held {
  const Text *text;
  uint32_t index; ///< in texts_
  Pooled pooled;
  uint32_t best; ///< class
};

class Trainer {
public:
  Trainer(const TrainingData &data, const TrainOptions &options,
          std::span<const uint8_t> textSection, Diagnostics &diags, TrainReport *report)
      : data_(data), options_(options), aligned_((textSection.size() + 7) / 8), diags_(diags),
        report_(report) {
    std::memcpy(aligned_.data(), textSection.data(), textSection.size());
    text_ = {reinterpret_cast<const uint8_t *>(aligned_.data()), textSection.size()};
  }

  pack::RoutingModel run();

private:
  bool validate();
  void collect();
  void readFeatures();
  void weighTexts();
  void markTune();
  size_t dimension() const;
  uint32_t passes(size_t live, size_t least, size_t most) const;
  std::vector<float> weightsWith(bool tune) const;
  void learnDense(std::span<const float> weight);
  std::vector<uint32_t> describedClasses() const;
  std::vector<uint32_t> sampleTexts() const;
  void describeZones();
  pack::EncoderHead headOver(const Quantised &model);
  void consultTeacher();
  void collectMore();
  void judge();
  void learnLexical();
  Quantised quantised() const;
  void fitStudent();
  void finish();
  bool descends() const;
  void holdOut();
  void fitBeam(pack::RoutingModel &out);
  std::vector<pack::Term> allTerms(bool withTune);
  std::vector<Held> askStage2(const Quantised &model) const;
  void chooseStage2(const Quantised &model, std::span<const Held> held, pack::RoutingModel &out);
  void chooseKeywords(std::span<const Held> held, pack::RoutingModel &out);
  void chooseStage3(const Quantised &model, std::span<const Held> held, pack::RoutingModel &out);
  uint32_t gainOf(const Quantised &model) const;
  bool hasTeacher() const { return data_.teacher.width != 0; }

  const TrainingData &data_;
  const TrainOptions &options_;
  std::vector<uint64_t> aligned_;
  std::span<const uint8_t> text_;
  Diagnostics &diags_;
  TrainReport *report_;

  FeatureShape shape_;
  std::vector<Text> texts_;
  std::vector<uint32_t> classZone_;
  std::vector<pack::Term> ownTerms_;     ///< of the data's keywords
  std::vector<pack::Term> writtenTerms_; ///< those of them that were written by hand
  Vocabulary vocabulary_;
  FeatureWeights weights_;
  std::vector<Counts> counts_;
  std::vector<uint32_t> label_; ///< [rows of x_] class; rows beyond texts_ have no label
  SparseRows x_;                ///< texts_, then the texts that only the teacher judges
  BlockWeights linear_;         ///< lexical classifier
  DenseHead dense_;             ///< the encoder's classifier
  Blend blend_;
  std::vector<float> denseLift_;    ///< [describedClasses()] bias of the encoder's classifier
  std::vector<int32_t> headLift_;   ///< and what stage 3's head adds
  double mix_ = 1;                  ///< of stage 2's logits in stage 3, against blend_.dense
  std::vector<float> embeddings_;   ///< [texts_][teacher.width]
  std::vector<float> soft_;         ///< [softRows][classes]
  std::vector<uint32_t> softRow_;   ///< [rows of x_]
  std::vector<std::string> more_;   ///< texts that only the teacher judges
  std::vector<uint32_t> moreGroup_; ///< class or kMixed
  std::vector<float> extraWeight_;
  Factors factors_;
  double sharpness_ = kDefaultSharpness; ///< of the scores, to make logits of them
};

bool Trainer::validate() {
  size_t zones = data_.zones.size();
  auto fail = [&](std::string message) {
    diags_.error({}, std::move(message));
    return false;
  };
  if (zones == 0 || zones > SEMDNS_MAX_ZONES)
    return fail("a tree has 1 to " + std::to_string(SEMDNS_MAX_ZONES) + " zones, not " +
                std::to_string(zones));
  for (size_t z = 0; z < zones; ++z) {
    const Zone &zone = data_.zones[z];
    if ((z > 0 && zone.parent >= z) || zone.subtreeEnd <= z || zone.subtreeEnd > zones)
      return fail("zone " + std::to_string(z) + " is not in preorder");
  }
  for (const Example &example : data_.examples)
    if (example.zone >= zones)
      return fail("an example belongs to zone " + std::to_string(example.zone) + " of " +
                  std::to_string(zones));
  for (const Keyword &keyword : data_.keywords)
    if (keyword.zone >= zones || keyword.zone == 0)
      return fail("keyword '" + keyword.text + "' belongs to no zone below the root");
  if (data_.examples.size() + data_.keywords.size() > (size_t(1) << 26))
    return fail("more than 2^26 training texts");
  return true;
}

void Trainer::collect() {
  texts_.reserve(data_.examples.size() + data_.keywords.size());
  // Examples that nobody split are split here, less a Calibrate part: nobody would use it.
  std::vector<Part> parts;
  auto isMarked = [](const Example &example) { return example.part != Part::Train; };
  if (std::none_of(data_.examples.begin(), data_.examples.end(), isMarked)) {
    TrainingData copy;
    copy.examples = data_.examples;
    splitExamples(copy, options_.seed, false);
    for (const Example &example : copy.examples)
      parts.push_back(example.part);
  } else {
    for (const Example &example : data_.examples)
      parts.push_back(example.part);
  }
  for (const Example &example : data_.examples) {
    Part part = parts[size_t(&example - data_.examples.data())];
    if (part == Part::Calibrate)
      continue;
    Text text;
    text.tune = part == Part::Tune;
    text.source = &example;
    text.bytes = example.text;
    text.zone = example.zone;
    text.kind = example.kind;
    texts_.push_back(text);
  }
  for (const Keyword &keyword : data_.keywords) {
    Text text;
    text.bytes = keyword.text;
    text.zone = keyword.zone;
    text.kind = ExampleKind::Pattern;
    texts_.push_back(text);
  }
}

void Trainer::readFeatures() {
  std::vector<Tokens> tokens(texts_.size());
  constexpr size_t kChunk = 1024;
  parallelFor((texts_.size() + kChunk - 1) / kChunk, options_.threads, [&](size_t chunk) {
    Extractor extractor(shape_, text_);
    for (size_t i = chunk * kChunk; i < std::min(texts_.size(), (chunk + 1) * kChunk); ++i) {
      extractor.extract(texts_[i].bytes, tokens[i]);
      texts_[i].words = std::move(tokens[i].words);
    }
  });
  // Texts without a word teach nothing; a zone with nothing else has no class.
  std::vector<uint32_t> zones;
  size_t kept = 0;
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (tokens[i].features.empty())
      continue;
    if (kept != i) {
      tokens[kept] = std::move(tokens[i]);
      texts_[kept] = std::move(texts_[i]);
    }
    zones.push_back(texts_[kept++].zone);
  }
  tokens.resize(kept);
  texts_.resize(kept);
  std::sort(zones.begin(), zones.end());
  zones.erase(std::unique(zones.begin(), zones.end()), zones.end());
  classZone_ = std::move(zones);
  for (Text &text : texts_)
    text.group = uint32_t(std::lower_bound(classZone_.begin(), classZone_.end(), text.zone) -
                          classZone_.begin());
  if (classZone_.empty())
    return;
  markTune();
  collectMore();
  std::vector<Tokens> moreTokens(more_.size());
  parallelFor((more_.size() + kChunk - 1) / kChunk, options_.threads, [&](size_t chunk) {
    Extractor extractor(shape_, text_);
    for (size_t i = chunk * kChunk; i < std::min(more_.size(), (chunk + 1) * kChunk); ++i)
      extractor.extract(more_[i], moreTokens[i]);
  });
  size_t limit =
      classZone_.size() <= kMaxLinearClasses ? kMaxWeightCells / classZone_.size() : kMaxFeatures;
  limit = std::min(limit, kMaxFeatures);
  vocabulary_ = buildVocabulary(tokens, kept >= kManyTexts ? 2 : 1, limit);
  weights_ = weighFeatures(vocabulary_);
  size_t all = kept + more_.size();
  counts_.resize(all);
  parallelFor((all + kChunk - 1) / kChunk, options_.threads, [&](size_t chunk) {
    for (size_t i = chunk * kChunk; i < std::min(all, (chunk + 1) * kChunk); ++i) {
      Tokens &own = i < kept ? tokens[i] : moreTokens[i - kept];
      counts_[i] = countFeatures(own, vocabulary_);
      own = {};
    }
  });
  x_ = vectorise(counts_, weights_);
}

void Trainer::weighTexts() {
  // A labelled text weighs 1. Corpora say what a zone talks about, not how users ask, and their
  // sizes say nothing about how often a zone is asked for: every corpus weighs as much as an
  // average one. Pseudo-texts weigh as much as a text only where there is nothing better.
  size_t classes = classZone_.size();
  std::vector<double> labelled(classes), snippets(classes), pseudo(classes);
  double snippetTotal = 0, snippetZones = 0, labelledTotal = 0;
  for (const Text &text : texts_) {
    (text.kind == ExampleKind::Labelled  ? labelled
     : text.kind == ExampleKind::Snippet ? snippets
                                         : pseudo)[text.group] += 1;
    snippetTotal += text.kind == ExampleKind::Snippet;
    labelledTotal += text.kind == ExampleKind::Labelled;
  }
  for (double count : snippets)
    snippetZones += count > 0;
  double average = snippetZones > 0 ? snippetTotal / snippetZones : 1;
  for (Text &text : texts_) {
    size_t k = text.group;
    if (text.kind == ExampleKind::Snippet)
      text.weight =
          float(std::clamp(average / snippets[k], 0.2, 5.0) * (labelledTotal > 0 ? 0.5 : 1));
    else if (text.kind == ExampleKind::Pattern)
      text.weight = labelled[k] + snippets[k] > 0 ? 0.3f : 1.0f;
  }
}

void Trainer::markTune() {
  // A text that is also trained on would flatter every figure.
  std::unordered_map<std::string_view, bool> trained;
  auto key = [](const Text &text) {
    return std::string_view(reinterpret_cast<const char *>(text.words.data()),
                            text.words.size() * 8);
  };
  for (const Text &text : texts_)
    if (!text.tune)
      trained.emplace(key(text), true);
  for (Text &text : texts_)
    if (text.tune && trained.count(key(text)))
      text.tune = false;
}

size_t Trainer::dimension() const {
  // Measured: beyond 64 little is won for 150 classes, and a row of 64 is one cache line.
  size_t classes = classZone_.size();
  size_t dim = classes <= 64
                   ? (classes + SEMDNS_DIM_ALIGN - 1) / SEMDNS_DIM_ALIGN * SEMDNS_DIM_ALIGN
               : classes <= 256 ? 64
               : classes <= 512 ? 96
                                : 128;
  size_t most = std::max<size_t>(options_.maxDim / SEMDNS_DIM_ALIGN, 1) * SEMDNS_DIM_ALIGN;
  return std::min(dim, most);
}

uint32_t Trainer::passes(size_t live, size_t least, size_t most) const {
  // Small data need more passes for as many steps.
  live = std::max<size_t>(live, 1);
  return uint32_t(
      std::min(std::clamp(kFewSteps / live, least, most), std::max<size_t>(kManySteps / live, 3)));
}

/// [rows of x_]: what each weighs, with the Tune part or without.
std::vector<float> Trainer::weightsWith(bool tune) const {
  std::vector<float> weight;
  for (const Text &text : texts_)
    weight.push_back(text.tune && !tune ? 0 : text.weight);
  weight.insert(weight.end(), extraWeight_.begin(), extraWeight_.end());
  weight.resize(x_.rows());
  return weight;
}

void Trainer::learnLexical() {
  std::vector<float> weight = weightsWith(false);
  SoftmaxOptions softmax;
  softmax.epochs =
      passes(size_t(std::count_if(weight.begin(), weight.end(), [](float w) { return w > 0; })),
             softmax.epochs, 60);
  softmax.threads = options_.threads;
  softmax.seed = options_.seed;
  linear_ = trainSoftmax(x_, vocabulary_.hashes.size(), label_, weight, classZone_.size(), softmax);
}

void Trainer::learnDense(std::span<const float> weight) {
  size_t classes = classZone_.size(), width = data_.teacher.width;
  double work = double(texts_.size()) * double(classes) * double(width) * 3;
  DenseOptions dense;
  dense.epochs = uint32_t(std::clamp(kDenseWork / work, 1.0, double(dense.epochs)));
  dense.seed = options_.seed;
  dense.threads = options_.threads;
  DenseHead start;
  if (data_.teacher.head.size() == classes * width) {
    start.width = width;
    start.classes = classes;
    start.vectors = data_.teacher.head;
    start.bias.assign(classes, 0);
  }
  dense_ = trainDense(embeddings_, width, std::span(label_).first(texts_.size()), weight, classes,
                      dense, start.classes ? &start : nullptr);
  describeZones();
}

/// Classes that have pseudo-texts alone (a description, keywords), where others have better. A
/// classifier would only learn that nobody asks for them: a text or two against thousands.
std::vector<uint32_t> Trainer::describedClasses() const {
  std::vector<uint8_t> better(classZone_.size());
  for (const Text &text : texts_)
    if (text.kind != ExampleKind::Pattern)
      better[text.group] = 1;
  std::vector<uint32_t> out;
  for (uint32_t k = 0; k < better.size(); ++k)
    if (!better[k])
      out.push_back(k);
  if (out.size() == better.size())
    out.clear();
  return out;
}

/// Up to 2000 texts that are no pseudo-texts, spread evenly: of the Tune part, where it has enough.
std::vector<uint32_t> Trainer::sampleTexts() const {
  std::vector<uint32_t> rows, tune;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].kind != ExampleKind::Pattern) {
      rows.push_back(i);
      if (texts_[i].tune)
        tune.push_back(i);
    }
  if (tune.size() >= kTuneSample)
    rows = std::move(tune);
  size_t most = std::min(rows.size(), kDescribedSample);
  for (size_t i = 0; i < most; ++i)
    rows[i] = rows[i * rows.size() / most];
  rows.resize(most);
  return rows;
}

/// What a described zone's score may gain: as much as takes hardly any text from the other zones.
/// `margins`: its score less the best of the others', by text.
template <typename T> T liftOf(std::vector<T> margins, size_t zones) {
  double share = std::min(kTakenShare, kTakenShareOfAll / double(zones));
  size_t rank = size_t(double(margins.size() - 1) * (1 - share));
  std::nth_element(margins.begin(), margins.begin() + ptrdiff_t(rank), margins.end());
  return -margins[rank];
}

/// Gives described zones the direction of their texts' mean embedding, as long as the other
/// classes' vectors are.
void Trainer::describeZones() {
  std::vector<uint32_t> described = describedClasses();
  if (described.empty())
    return;
  size_t classes = classZone_.size(), width = dense_.width;
  std::vector<double> all(width), square(classes);
  double length = 0, texts = 0;
  for (size_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].kind != ExampleKind::Pattern) {
      texts += 1;
      for (size_t w = 0; w < width; ++w)
        all[w] += double(embeddings_[i * width + w]);
    }
  std::vector<uint8_t> isDescribed(classes);
  for (uint32_t k : described)
    isDescribed[k] = 1;
  for (size_t k = 0; k < classes; ++k) {
    for (size_t w = 0; w < width; ++w)
      square[k] += double(dense_.vectors[k * width + w]) * double(dense_.vectors[k * width + w]);
    length += isDescribed[k] ? 0 : std::sqrt(square[k]) / double(classes - described.size());
  }
  for (uint32_t k : described) {
    std::vector<double> mean(width);
    double count = 0, own = 0;
    for (size_t i = 0; i < texts_.size(); ++i)
      if (label_[i] == k) {
        count += 1;
        for (size_t w = 0; w < width; ++w)
          mean[w] += double(embeddings_[i * width + w]);
      }
    for (size_t w = 0; w < width; ++w) {
      mean[w] = mean[w] / count - all[w] / texts;
      own += mean[w] * mean[w];
    }
    double scale = own > 0 ? length / std::sqrt(own) : 0;
    for (size_t w = 0; w < width; ++w)
      dense_.vectors[k * width + w] = float(mean[w] * scale);
    dense_.bias[k] = 0;
  }
  if (!denseLift_.empty()) { // chosen on texts that are now trained on
    for (size_t d = 0; d < described.size(); ++d)
      dense_.bias[described[d]] = denseLift_[d];
    return;
  }
  std::vector<uint32_t> rows = sampleTexts();
  std::vector<float> own;
  for (uint32_t i : rows)
    own.insert(own.end(), &embeddings_[i * width], &embeddings_[i * width] + width);
  std::vector<float> scores = scoreDense(dense_, own, options_.threads);
  std::vector<std::vector<float>> margins(described.size());
  for (size_t n = 0; n < rows.size(); ++n) {
    const float *z = &scores[n * classes];
    float top = -1e30f;
    for (size_t k = 0; k < classes; ++k)
      top = isDescribed[k] ? top : std::max(top, z[k]);
    for (size_t d = 0; d < described.size(); ++d)
      margins[d].push_back(z[described[d]] - top);
  }
  for (size_t d = 0; d < described.size(); ++d) {
    denseLift_.push_back(liftOf(margins[d], described.size()));
    dense_.bias[described[d]] = denseLift_[d];
  }
}

/// Stage 3's head from the classifier and what was chosen, without acceptance data.
pack::EncoderHead Trainer::headOver(const Quantised &model) {
  pack::EncoderHead head = quantiseHead(dense_, blend_.dense, mix_);
  std::vector<uint32_t> described = describedClasses();
  if (described.empty())
    return head;
  if (!headLift_.empty()) {
    for (size_t d = 0; d < described.size(); ++d)
      head.bias[described[d]] += headLift_[d];
    return head;
  }
  // Stage 2 knows little of these zones; what its logits cost them is made good here.
  std::vector<uint32_t> rows = sampleTexts();
  std::vector<std::vector<int32_t>> logits(rows.size());
  uint32_t gain = gainOf(model);
  size_t width = head.width;
  parallelFor(rows.size(), options_.threads, [&](size_t n) {
    Pooled pooled = scoreInteger(model.model, model.rowOf, counts_[rows[n]]);
    logits[n] = headLogits(head, codeEmbedding({&embeddings_[rows[n] * width], width}),
                           relativeLogits(pooled, gain));
  });
  std::vector<std::vector<int32_t>> margins(described.size());
  for (const std::vector<int32_t> &x : logits) {
    int32_t top = INT32_MIN;
    for (uint32_t k = 0, d = 0; k < x.size(); ++k) {
      if (d < described.size() && described[d] == k)
        ++d;
      else
        top = std::max(top, x[k]);
    }
    for (size_t d = 0; d < described.size(); ++d)
      margins[d].push_back(x[described[d]] - top);
  }
  for (size_t d = 0; d < described.size(); ++d) {
    headLift_.push_back(liftOf(margins[d], described.size()));
    head.bias[described[d]] += headLift_[d];
  }
  return head;
}

void Trainer::consultTeacher() {
  size_t classes = classZone_.size(), width = data_.teacher.width;
  std::vector<std::string> strings;
  for (const Text &text : texts_)
    strings.emplace_back(text.bytes);
  embeddings_ = data_.teacher.embed(strings);
  learnDense(weightsWith(false));
  if (linear_.blocks.empty())
    return;
  std::vector<uint32_t> tune, label;
  std::vector<float> own;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].tune) {
      tune.push_back(i);
      label.push_back(label_[i]);
      own.insert(own.end(), &embeddings_[i * width], &embeddings_[i * width] + width);
    }
  if (tune.size() < kCalibrateLeast)
    return;
  std::vector<float> lexical = scoreRows(x_, tune, linear_, options_.threads),
                     encoder = scoreDense(dense_, own, options_.threads);
  blend_ = chooseBlend(lexical, encoder, label, classes, options_.threads);
  if (report_)
    for (size_t i = 0; i < tune.size(); ++i) {
      size_t best = 0;
      auto score = [&](size_t k) {
        return blend_.lexical * double(lexical[i * classes + k]) +
               blend_.dense * double(encoder[i * classes + k]);
      };
      for (size_t k = 1; k < classes; ++k)
        if (score(k) > score(best))
          best = k;
      report_->teacherCorrect += best == label[i] && classZone_[best] != 0;
    }
}

/// What only the teacher judges: variations of the training texts, then unlabelled texts.
void Trainer::collectMore() {
  size_t classes = classZone_.size();
  if (!hasTeacher() || classes > kMaxLinearClasses)
    return;
  std::vector<std::string_view> sources;
  std::vector<uint32_t> group;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (!texts_[i].tune) {
      sources.push_back(texts_[i].bytes);
      group.push_back(texts_[i].group);
    }
  size_t room = kMaxSoftCells / classes;
  room -= std::min(room, texts_.size());
  AugmentOptions options;
  options.count = std::min<size_t>(room, options_.variations);
  options.maxBytes = kMaxVariationBytes;
  options.seed = options_.seed;
  for (Variation &v : augment(sources, group, options)) {
    more_.push_back(std::move(v.text));
    moreGroup_.push_back(v.group);
  }
  size_t variations = more_.size();
  for (const std::string &text : data_.unlabelled) {
    if (more_.size() >= room)
      break;
    more_.push_back(text);
    moreGroup_.push_back(kMixed);
  }
  if (report_) {
    report_->variations = uint32_t(variations);
    report_->unlabelled = uint32_t(more_.size() - variations);
  }
}

/// The teacher's distributions for all texts.
void Trainer::judge() {
  size_t classes = classZone_.size(), all = texts_.size() + more_.size();
  std::vector<float> embeddings = embeddings_;
  if (!more_.empty()) {
    std::vector<float> own = data_.teacher.embed(more_);
    embeddings.insert(embeddings.end(), own.begin(), own.end());
  }
  std::vector<uint32_t> rows(all);
  std::iota(rows.begin(), rows.end(), 0u);
  std::vector<float> lexical = scoreRows(x_, rows, linear_, options_.threads);
  soft_ = scoreDense(dense_, embeddings, options_.threads);
  for (size_t i = 0; i < soft_.size(); ++i)
    soft_[i] = float(blend_.dense) * soft_[i] + float(blend_.lexical) * lexical[i];
  softmaxRows(soft_, classes, options_.threads);
  softRow_ = rows;
  for (size_t i = 0; i < all; ++i) {
    uint32_t own = i < texts_.size() ? label_[i] : moreGroup_[i - texts_.size()];
    float share = i < texts_.size() ? kLabelShare : kVariationLabelShare;
    if (own == kMixed)
      continue;
    float *p = &soft_[i * classes];
    for (size_t k = 0; k < classes; ++k)
      p[k] *= 1 - share;
    p[own] += share;
  }
  extraWeight_.assign(more_.size(), kMoreWeight);
}

void Trainer::fitStudent() {
  size_t classes = classZone_.size(), features = vocabulary_.hashes.size();
  std::vector<float> weight = weightsWith(false);
  if (classes <= kMaxLinearClasses)
    factors_ = factorise(linear_, x_, dimension(), options_.threads);
  else
    factors_ = projectCentroids(x_, features, label_, weight, classes, dimension());
  RefineOptions joint;
  joint.epochs =
      passes(size_t(std::count_if(weight.begin(), weight.end(), [](float w) { return w > 0; })),
             extraWeight_.empty() ? joint.epochs : kStudentEpochs, 40);
  joint.seed = options_.seed;
  joint.threads = options_.threads;
  refine(factors_, x_, {label_, softRow_, soft_}, weight, joint);
}

/// A last, gentle pass with the Tune part.
void Trainer::finish() {
  std::vector<float> weight = weightsWith(true);
  RefineOptions joint;
  joint.epochs = passes(weight.size(), extraWeight_.empty() ? 4 : 2, 20);
  joint.rate = kFinishRate;
  joint.rescale = false;
  joint.seed = options_.seed + 1;
  joint.threads = options_.threads;
  refine(factors_, x_, {label_, softRow_, soft_}, weight, joint);
  if (hasTeacher())
    learnDense(weight);
}

Quantised Trainer::quantised() const {
  size_t classes = classZone_.size();
  std::vector<double> prior(classes);
  double total = 0;
  for (const Text &text : texts_) {
    prior[text.group] += double(text.weight);
    total += double(text.weight);
  }
  for (double &p : prior)
    p /= total;
  if (classZone_[0] == 0 && classes > 1)
    prior[0] = 0; // the root is no guess
  size_t rows = options_.maxRows ? options_.maxRows : kTableBytes / (factors_.dim + kRowOverhead);
  return quantise(factors_, vocabulary_, weights_, shape_, std::max<size_t>(rows, 2), prior);
}

/// Whether stage 2 goes down a search tree. Stage 3 needs the scores of all classes.
bool Trainer::descends() const {
  return !hasTeacher() && options_.beamWidth != 0 && classZone_.size() > options_.flatClasses;
}

/// Where no rows are kept for Tune (zones with a row or two each), a few texts are held out to
/// choose the sharpness on; a last pass trains on them too.
void Trainer::holdOut() {
  size_t tune =
      size_t(std::count_if(texts_.begin(), texts_.end(), [](const Text &t) { return t.tune; }));
  if (tune >= kCalibrateLeast)
    return;
  std::vector<uint32_t> order = permutation(texts_.size(), options_.seed * 1000 + 5);
  size_t held = std::min(texts_.size() / 20, kBeamHeldOut);
  for (size_t i = 0; i < held; ++i)
    texts_[order[i]].tune = texts_[order[i]].kind != ExampleKind::Pattern;
}

/// Stage 2 as a search tree, in place of factors and classes.
void Trainer::fitBeam(pack::RoutingModel &out) {
  std::vector<uint32_t> parents, subtreeEnd;
  for (const Zone &zone : data_.zones) {
    parents.push_back(zone.parent);
    subtreeEnd.push_back(zone.subtreeEnd);
  }
  pack::BeamShape shape;
  shape.width = options_.beamWidth;
  out.beam = pack::planBeam(parents, subtreeEnd, classZone_, shape);
  const size_t features = vocabulary_.hashes.size();
  std::vector<float> weight = weightsWith(false);
  size_t dim = std::min<size_t>(kBeamDim, std::max<uint32_t>(options_.maxDim, SEMDNS_DIM_ALIGN));
  BeamFactors model = startBeam(out.beam, features, label_, weight, dim, options_.seed);
  BeamOptions options;
  options.epochs = passes(texts_.size(), options.epochs, 40);
  options.seed = options_.seed;
  options.threads = options_.threads;
  trainBeam(model, out.beam, x_, label_, weight, options);

  std::vector<uint32_t> held;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].tune)
      held.push_back(i);
  sharpness_ = 1;
  if (held.size() >= kCalibrateLeast) {
    std::vector<double> grid;
    for (double s = 0.25; s < 2.01; s *= 1.0905077326652577) // an eighth of an octave
      grid.push_back(s);
    std::vector<double> loss = beamLoss(model, out.beam, x_, held, label_, grid, options_.threads);
    sharpness_ = grid[size_t(std::min_element(loss.begin(), loss.end()) - loss.begin())];
    weight = weightsWith(true);
    options.epochs = passes(weight.size(), 2, 20);
    options.rate *= kFinishRate;
    options.seed += 1;
    trainBeam(model, out.beam, x_, label_, weight, options);
  }

  const size_t rows = options_.maxRows ? options_.maxRows : kBeamTableBytes / (dim + kRowOverhead);
  // The bias row would only decide for texts without a known feature: biases do.
  const std::vector<double> prior(model.factors.classes);
  Quantised quantised = quantise(model.factors, vocabulary_, weights_, shape_, rows, prior);
  for (size_t e = 0; e < out.beam.entries(); ++e)
    if (out.beam.target[e] != SEMDNS_NONE)
      out.beam.bias[e] = int32_t(std::clamp(
          std::floor(sharpness_ * double(model.bias[e]) * 256 * 1.4426950408889634 + 0.5),
          -double(SEMDNS_BEAM_MAX_BIAS), double(SEMDNS_BEAM_MAX_BIAS)));
  quantised.model.gain = gainOf(quantised);
  out.embedding = std::move(quantised.model);
  out.classZone = classZone_;
  if (report_)
    report_->heldOut = uint32_t(held.size());
}

std::vector<pack::Term> Trainer::allTerms(bool withTune) {
  std::vector<pack::Term> all = ownTerms_;
  if (!options_.mineKeywords)
    return all;
  std::vector<KeywordText> texts;
  std::vector<const Example *> sources;
  for (const Text &text : texts_)
    if (text.kind == ExampleKind::Labelled && (withTune || !text.tune)) {
      texts.push_back({text.words, text.zone});
      sources.push_back(text.source);
    }
  size_t limit = std::max(kMaxMinedTerms, 16 * classZone_.size());
  // A term that the data brings already keeps its own weight.
  std::map<std::pair<uint32_t, std::vector<uint64_t>>, bool> have;
  for (const pack::Term &term : ownTerms_)
    have.emplace(std::pair(term.zone, term.words), true);
  for (pack::Term &term : mineTerms(texts, sources, text_, limit))
    if (!have.count({term.zone, term.words}))
      all.push_back(std::move(term));
  return all;
}

uint32_t Trainer::gainOf(const Quantised &model) const {
  // x = s * gain * m / (n * 65536) is to be 256 log2(e) logits.
  double gain = sharpness_ * model.scale * 256 * 1.4426950408889634 * 65536;
  return uint32_t(std::clamp(gain + 0.5, 1.0, double((1u << 24) - 1)));
}

std::vector<Held> Trainer::askStage2(const Quantised &model) const {
  uint32_t firstReal = classZone_[0] == 0 && classZone_.size() > 1 ? 1 : 0;
  std::vector<Held> held;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].tune)
      held.push_back({&texts_[i], i, {}, 0});
  size_t most = std::max<size_t>(kMaxHeldScores / classZone_.size(), 1000);
  if (held.size() > most) {
    for (size_t i = 0; i < most; ++i)
      held[i] = held[i * held.size() / most];
    held.resize(most);
  }
  parallelFor(held.size(), options_.threads, [&](size_t i) {
    held[i].pooled = scoreInteger(model.model, model.rowOf, counts_[held[i].index]);
    const std::vector<int32_t> &s = held[i].pooled.scores;
    held[i].best = uint32_t(std::max_element(s.begin() + firstReal, s.end()) - s.begin());
  });
  return held;
}

void Trainer::chooseStage2(const Quantised &model, std::span<const Held> held,
                           pack::RoutingModel &out) {
  // Sharpness: the smallest log loss over a grid of quarter octaves.
  std::vector<uint32_t> weights;
  double bestLoss = -1, bestSharpness = sharpness_, trial = 0x1p-6;
  for (int step = 0; step < 36; ++step, trial *= 1.189207115002721) {
    sharpness_ = trial;
    uint32_t gain = gainOf(model);
    double loss = 0;
    for (const Held &h : held) {
      uint64_t sum = softWeights(h.pooled, gain, weights);
      loss += log2Of(double(sum)) - log2Of(double(weights[h.text->group]) + 0.5);
    }
    if (bestLoss < 0 || loss < bestLoss) {
      bestLoss = loss;
      bestSharpness = trial;
    }
  }
  sharpness_ = bestSharpness;

  Classes classes{data_.zones, classZone_};
  std::vector<Opinion> opinions;
  std::vector<uint32_t> truths;
  uint32_t gain = gainOf(model);
  for (const Held &h : held) {
    uint64_t sum = softWeights(h.pooled, gain, weights);
    opinions.push_back(
        opinionOf(classes, weights, sum, h.best, oddsOf(h.pooled, gain, classes.hasRoot())));
    truths.push_back(h.text->zone);
  }
  Outcome outcome = chooseThresholds(classes, opinions, truths, options_.alpha, out.acceptance);
  if (double(outcome.misrouted) > options_.alpha * double(outcome.inScope))
    diags_.warning({},
                   "no threshold keeps the misroute rate on held-out texts at " +
                       std::to_string(options_.alpha) + "; the strictest one misroutes " +
                       std::to_string(outcome.misrouted) + " of " + std::to_string(outcome.inScope),
                   "more or cleaner examples, or a larger alpha");
  if (report_) {
    report_->answered = outcome.answered;
    report_->misrouted = outcome.misrouted;
  }
  chooseKeywords(held, out);
  if (hasTeacher())
    chooseStage3(model, held, out);
}

/// Stage 3's mix and gain by the smallest log loss, then its acceptance and stage 2's guard.
void Trainer::chooseStage3(const Quantised &model, std::span<const Held> held,
                           pack::RoutingModel &out) {
  size_t width = data_.teacher.width, n = held.size();
  Classes classes{data_.zones, classZone_};
  uint32_t gain = gainOf(model), firstReal = classes.hasRoot() && classZone_.size() > 1 ? 1 : 0;
  std::vector<CodedEmbedding> coded(n);
  std::vector<std::vector<int32_t>> relative(n);
  for (size_t i = 0; i < n; ++i) {
    coded[i] = codeEmbedding({&embeddings_[held[i].index * width], width});
    relative[i] = relativeLogits(held[i].pooled, gain);
  }
  constexpr double kDense[] = {0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8};
  constexpr double kMix[] = {0, 0.125, 0.25, 0.35, 0.5, 0.6, 0.7, 0.85, 1, 1.2, 1.4, 2};
  std::vector<double> loss(std::size(kDense) * std::size(kMix));
  parallelFor(loss.size(), options_.threads, [&](size_t cell) {
    pack::EncoderHead head =
        quantiseHead(dense_, kDense[cell / std::size(kMix)], kMix[cell % std::size(kMix)]);
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < n; ++i) {
      uint64_t sum = logitWeights(headLogits(head, coded[i], relative[i]), weights);
      loss[cell] += log2Of(double(sum)) - log2Of(double(weights[held[i].text->group]) + 0.5);
    }
  });
  size_t best = size_t(std::min_element(loss.begin(), loss.end()) - loss.begin());
  blend_.dense = kDense[best / std::size(kMix)];
  mix_ = kMix[best % std::size(kMix)];
  out.head = headOver(model);
  out.head.acceptance.threshold = out.acceptance.threshold;

  std::vector<Opinion> embedding, encoder;
  std::vector<double> regret;
  std::vector<uint32_t> truths, weights;
  uint32_t right = 0;
  for (size_t i = 0; i < n; ++i) {
    const Held &h = held[i];
    uint64_t sum = softWeights(h.pooled, gain, weights);
    embedding.push_back(
        opinionOf(classes, weights, sum, h.best, oddsOf(h.pooled, gain, classes.hasRoot())));
    std::vector<int32_t> x = headLogits(out.head, coded[i], relative[i]);
    sum = logitWeights(x, weights);
    auto top = std::max_element(x.begin() + firstReal, x.end());
    int32_t odds = firstReal ? *top - x[0] : INT32_MAX;
    encoder.push_back(opinionOf(classes, weights, sum, uint32_t(top - x.begin()), odds));
    regret.push_back((double(weights[encoder.back().best]) - double(weights[h.best])) /
                     double(sum));
    truths.push_back(h.text->zone);
    right += h.text->zone != 0 && encoder.back().best == h.text->group;
  }
  chooseThresholds(classes, encoder, truths, options_.alpha, out.head.acceptance);
  uint32_t guarded =
      chooseGuard(classes, embedding, encoder, regret, truths, out.head.acceptance.rootOdds,
                  describedClasses().empty() ? kGuardShare : kGuardShareDescribed, out.guard);
  if (report_) {
    report_->headCorrect = right;
    report_->guarded = guarded;
  }
}

/// Stage 1 answers where it is at least as good as stage 2: with all terms, mined ones included, if
/// that can be shown; else with the written keywords alone, unless they do worse than stage 2 on
/// labelled texts. (Corpora mention keywords of other zones far more often than users do: measured
/// on the demo, one in four snippets with a keyword was another zone's, one in thirty queries.)
void Trainer::chooseKeywords(std::span<const Held> held, pack::RoutingModel &out) {
  auto trialsOf = [&](std::span<const pack::Term> terms) {
    TermMatcher matcher(terms, data_.zones);
    std::vector<Trial> trials;
    for (const Held &h : held)
      trials.push_back({matcher.match(h.text->words), h.text->zone, h.best == h.text->group});
    return trials;
  };
  pack::KeywordModel all;
  all.terms = allTerms(false);
  auto [answered, wrong] = chooseAcceptance(trialsOf(all.terms), all);
  // Mined terms never stand in for the encoder, and few texts do not show that they are as good.
  if (hasTeacher() || answered < kMinedLeast) {
    all.acceptVotes = SEMDNS_NEVER;
    answered = wrong = 0;
  }
  if (answered)
    all.terms = allTerms(true);
  else
    all.terms.clear();
  if (!writtenTerms_.empty()) {
    uint32_t labelled = 0, answeredBy = 0, wrongBy = 0, wrongThere = 0;
    std::vector<Trial> trials = trialsOf(writtenTerms_);
    for (size_t i = 0; i < trials.size(); ++i) {
      if (held[i].text->kind != ExampleKind::Labelled)
        continue;
      ++labelled;
      if (!trials[i].verdict.accepted(kWrittenWeight, kWrittenPurity))
        continue;
      ++answeredBy;
      wrongBy += trials[i].verdict.zone != trials[i].zone;
      wrongThere += !trials[i].embeddingRight;
    }
    bool better = labelled == 0 || answeredBy >= answered;
    if (wrongBy <= wrongThere && better) {
      all.terms = writtenTerms_;
      all.acceptVotes = kWrittenWeight;
      all.acceptPurity = kWrittenPurity;
      // A few imagined answers of the usual quality, so that few real ones do not decide.
      all.confidence = uint32_t((answeredBy - wrongBy + 9.0) / (answeredBy + 10.0) * 65536);
      answered = answeredBy;
      wrong = wrongBy;
    } else if (wrongBy > wrongThere && better) {
      diags_.warning({},
                     "the written keywords are wrong on " + std::to_string(wrongBy) + " of the " +
                         std::to_string(answeredBy) +
                         " held-out texts that they decide, the classifier on " +
                         std::to_string(wrongThere) + ": they do not decide alone",
                     "keywords that only their own zone's texts have");
    }
  }
  out.keywords = std::move(all);
  if (report_) {
    report_->keywordAnswered = answered;
    report_->keywordWrong = wrong;
  }
}

pack::RoutingModel Trainer::run() {
  pack::RoutingModel out;
  if (!validate())
    return out;
  Progress progress("training", 4, "steps");
  collect();
  readFeatures();
  if (size_t most = descends() ? SEMDNS_MAX_CLASSES : SEMDNS_MAX_FLAT_CLASSES;
      classZone_.size() > most) {
    diags_.error({},
                 std::to_string(classZone_.size()) + " zones have training texts; at most " +
                     std::to_string(most) + " can",
                 descends()     ? "split the tree, or leave the smallest zones to their parents"
                 : hasTeacher() ? "with an encoder every class is scored: build without one"
                                : "without --flat, stage 2 goes down a search tree");
    return out;
  }
  out.acceptance.threshold.assign(data_.zones.size(), kDefaultThreshold);
  out.acceptance.threshold[0] = 0;
  ownTerms_ = termsOf(data_.keywords, text_, diags_);
  std::vector<Keyword> written;
  std::copy_if(data_.keywords.begin(), data_.keywords.end(), std::back_inserter(written),
               [](const Keyword &keyword) { return keyword.written; });
  Diagnostics said; // by the call above
  writtenTerms_ = termsOf(written, text_, said);
  if (!ownTerms_.empty()) {
    // Without texts to measure on: a written keyword, twice as heavy as all that speaks against it.
    out.keywords.terms = ownTerms_;
    out.keywords.acceptVotes = kWrittenWeight;
    out.keywords.acceptPurity = kWrittenPurity;
    out.keywords.confidence = 58982;
  }
  if (!classZone_.empty()) {
    weighTexts();
    for (const Text &text : texts_)
      label_.push_back(text.group);
    label_.resize(x_.rows());
  }
  if (!classZone_.empty() && descends()) {
    holdOut();
    fitBeam(out);
  } else if (!classZone_.empty()) {
    bool linear = classZone_.size() <= kMaxLinearClasses;
    if (linear)
      learnLexical();
    progress.update(1);
    if (hasTeacher()) {
      consultTeacher();
      if (linear)
        judge();
    }
    progress.update(2);
    fitStudent();
    progress.update(3);
    Quantised model = quantised();
    std::vector<Held> held = askStage2(model);
    uint32_t inScope = 0, right = 0;
    for (const Held &h : held) {
      inScope += h.text->zone != 0;
      right += h.text->zone != 0 && h.best == h.text->group;
    }
    if (report_) {
      report_->heldOut = uint32_t(held.size());
      report_->inScope = inScope;
      report_->bestCorrect = right;
    }
    if (inScope >= kCalibrateLeast) {
      chooseStage2(model, held, out);
    } else if (hasTeacher()) {
      out.head = headOver(model);
      out.head.acceptance = out.acceptance;
    }
    if (!held.empty()) {
      finish();
      model = quantised();
      if (hasTeacher()) {
        pack::EncoderHead head = headOver(model);
        head.acceptance = std::move(out.head.acceptance);
        out.head = std::move(head);
      }
    }
    model.model.gain = gainOf(model);
    out.embedding = std::move(model.model);
    out.classZone = classZone_;
  }
  if (report_) {
    report_->examples = uint32_t(texts_.size());
    report_->rows = uint32_t(out.embedding.hashes.size());
    report_->dim = out.embedding.dim;
    report_->classes = uint32_t(classZone_.size());
    report_->terms = uint32_t(out.keywords.terms.size());
  }
  return out;
}

} // namespace

pack::RoutingModel train(const TrainingData &data, const TrainOptions &options,
                         std::span<const uint8_t> textSection, Diagnostics &diags,
                         TrainReport *report) {
  if (report)
    *report = {};
  return Trainer(data, options, textSection, diags, report).run();
}

} // namespace semdns::train
