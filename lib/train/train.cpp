#include "lib/train/train.h"

#include "lib/support/progress.h"
#include "lib/train/embedding.h"
#include "lib/train/features.h"
#include "lib/train/keywords.h"
#include "lib/train/linear.h"
#include "lib/train/numeric.h"
#include "lib/train/parallel.h"
#include "lib/train/refine.h"
#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/zones.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <unordered_map>

namespace semdns::train {

namespace {

// Chosen by measurement on clinc150, banking77 and hwu64 (docs/architecture.md, "Training").
constexpr size_t kFewSteps = 20000;      // rows seen by a training stage, at least
constexpr size_t kManySteps = 2000000;   // and at most, unless three passes need more
constexpr size_t kTableBytes = 5000000;  // of rows and their buckets, when maxRows does not say
constexpr size_t kRowOverhead = 14;      // bytes a row takes beside its values
constexpr double kHeldOutShare = 0.15;   // of each zone's texts
constexpr uint32_t kHeldOutLeast = 4;    // texts that a zone has when it gives any away
constexpr uint32_t kCalibrateLeast = 30; // held-out texts needed to calibrate on
constexpr double kDefaultSharpness = 0.5;
constexpr uint32_t kDefaultThreshold = 32768; // Q16
constexpr uint32_t kLowestThreshold = 32768;  // Q16: an answer is right more likely than not
constexpr uint32_t kWrittenPurity = 43691;    // Q16: two thirds
constexpr size_t kMaxMinedTerms = 4096;       // or 16 a class
constexpr size_t kMaxFeatures = size_t(1) << 21;
constexpr size_t kMaxWeightCells = size_t(1) << 28; // features * classes of one classifier
constexpr size_t kMaxLinearClasses = 1024; // beyond, a classifier of full rank takes too long
constexpr size_t kMaxHeldScores = size_t(1) << 26; // scores of held-out texts kept at a time
constexpr size_t kManyTexts = 50000; // from here on features of a single text are left out

/// One training text.
struct Text {
  const Example *source = nullptr; ///< null for a keyword's pseudo-text
  std::string_view bytes;
  uint32_t zone = 0, group = 0; ///< group: its class
  ExampleKind kind = ExampleKind::Labelled;
  bool heldOut = false;
  std::vector<uint64_t> words;
  float weight = 1;
};

/// A held-out text and what stage 2 says to it.
struct Held {
  const Text *text;
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
  void holdOut();
  size_t dimension() const;
  Quantised fit(bool withHeldOut);
  std::vector<pack::Term> allTerms(bool withHeldOut);
  void calibrate(const Quantised &model, pack::RoutingModel &out);
  void chooseKeywords(std::span<const Held> held, pack::RoutingModel &out);
  uint32_t gainOf(const Quantised &model) const;

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
  SparseRows x_;
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
  for (const Example &example : data_.examples) {
    Text text;
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
  size_t limit =
      classZone_.size() <= kMaxLinearClasses ? kMaxWeightCells / classZone_.size() : kMaxFeatures;
  limit = std::min(limit, kMaxFeatures);
  vocabulary_ = buildVocabulary(tokens, kept >= kManyTexts ? 2 : 1, limit);
  weights_ = weighFeatures(vocabulary_);
  counts_.resize(kept);
  parallelFor((kept + kChunk - 1) / kChunk, options_.threads, [&](size_t chunk) {
    for (size_t i = chunk * kChunk; i < std::min(kept, (chunk + 1) * kChunk); ++i) {
      counts_[i] = countFeatures(tokens[i], vocabulary_);
      tokens[i] = {};
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

void Trainer::holdOut() {
  std::vector<std::vector<uint32_t>> byClass(classZone_.size());
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].kind != ExampleKind::Pattern)
      byClass[texts_[i].group].push_back(i);
  for (size_t k = 0; k < byClass.size(); ++k) {
    if (byClass[k].size() < kHeldOutLeast)
      continue;
    std::vector<uint32_t> order =
        permutation(byClass[k].size(), options_.seed * 1000003 + classZone_[k]);
    size_t count = size_t(double(byClass[k].size()) * kHeldOutShare + 0.5);
    for (size_t j = 0; j < std::max<size_t>(count, 1); ++j)
      texts_[byClass[k][order[j]]].heldOut = true;
  }
  // A text that is also trained on would flatter every figure.
  std::unordered_map<std::string_view, bool> trained;
  auto key = [](const Text &text) {
    return std::string_view(reinterpret_cast<const char *>(text.words.data()),
                            text.words.size() * 8);
  };
  for (const Text &text : texts_)
    if (!text.heldOut)
      trained.emplace(key(text), true);
  for (Text &text : texts_)
    if (text.heldOut && trained.count(key(text)))
      text.heldOut = false;
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

Quantised Trainer::fit(bool withHeldOut) {
  size_t classes = classZone_.size(), features = vocabulary_.hashes.size();
  std::vector<uint32_t> label(texts_.size());
  std::vector<float> weight(texts_.size());
  std::vector<double> prior(classes);
  double total = 0;
  for (size_t i = 0; i < texts_.size(); ++i) {
    label[i] = texts_[i].group;
    weight[i] = texts_[i].heldOut && !withHeldOut ? 0 : texts_[i].weight;
    prior[label[i]] += double(weight[i]);
    total += double(weight[i]);
  }
  for (double &p : prior)
    p /= total;
  if (classZone_[0] == 0 && classes > 1)
    prior[0] = 0; // the root is no guess
  // Small data need more passes for as many steps.
  size_t live = size_t(std::count_if(weight.begin(), weight.end(), [](float w) { return w > 0; }));
  auto passes = [&](size_t least, size_t most) {
    size_t count = std::clamp(kFewSteps / std::max<size_t>(live, 1), least, most);
    return uint32_t(std::min(count, std::max<size_t>(kManySteps / std::max<size_t>(live, 1), 3)));
  };
  Factors factors;
  if (classes <= kMaxLinearClasses) {
    SoftmaxOptions softmax;
    softmax.epochs = passes(softmax.epochs, 60);
    softmax.threads = options_.threads;
    softmax.seed = options_.seed;
    BlockWeights linear = trainSoftmax(x_, features, label, weight, classes, softmax);
    factors = factorise(linear, x_, dimension(), options_.threads);
  } else {
    factors = projectCentroids(x_, features, label, weight, classes, dimension());
  }
  RefineOptions joint;
  joint.epochs = passes(joint.epochs, 40);
  joint.seed = options_.seed;
  refine(factors, x_, label, weight, joint);
  size_t rows = options_.maxRows ? options_.maxRows : kTableBytes / (factors.dim + kRowOverhead);
  return quantise(factors, vocabulary_, weights_, shape_, std::max<size_t>(rows, 2), prior);
}

std::vector<pack::Term> Trainer::allTerms(bool withHeldOut) {
  std::vector<pack::Term> all = ownTerms_;
  if (!options_.mineKeywords)
    return all;
  std::vector<KeywordText> texts;
  std::vector<const Example *> sources;
  for (const Text &text : texts_)
    if (text.kind == ExampleKind::Labelled && (withHeldOut || !text.heldOut)) {
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

void Trainer::calibrate(const Quantised &model, pack::RoutingModel &out) {
  uint32_t firstReal = classZone_[0] == 0 ? 1 : 0;
  std::vector<uint32_t> rows;
  for (uint32_t i = 0; i < texts_.size(); ++i)
    if (texts_[i].heldOut)
      rows.push_back(i);
  size_t most = std::max<size_t>(kMaxHeldScores / classZone_.size(), 1000);
  if (rows.size() > most) {
    for (size_t i = 0; i < most; ++i)
      rows[i] = rows[i * rows.size() / most];
    rows.resize(most);
  }
  std::vector<Held> held(rows.size());
  parallelFor(rows.size(), options_.threads, [&](size_t i) {
    held[i].text = &texts_[rows[i]];
    held[i].pooled = scoreInteger(model.model, model.rowOf, counts_[rows[i]]);
    const std::vector<int32_t> &s = held[i].pooled.scores;
    held[i].best =
        uint32_t(std::max_element(
                     s.begin() + std::min<ptrdiff_t>(firstReal, ptrdiff_t(s.size()) - 1), s.end()) -
                 s.begin());
  });
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
  if (inScope < kCalibrateLeast)
    return;

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

  // One threshold for all zones: the lowest that keeps the misroute rate at alpha. Confidences of
  // inner zones are sums of their classes', so that it means the same at every depth.
  uint32_t gain = gainOf(model);
  struct Climb {
    uint32_t truth;
    std::vector<std::pair<uint32_t, uint32_t>> chain; // (zone, confidence), leaf first
  };
  std::vector<Climb> climbs;
  for (const Held &h : held) {
    if (h.text->zone == 0)
      continue;
    uint64_t sum = softWeights(h.pooled, gain, weights);
    Climb climb{h.text->zone, {}};
    for (uint32_t z = classZone_[h.best]; z != 0; z = data_.zones[z].parent) {
      uint64_t inside = 0;
      for (size_t k = 0; k < classZone_.size(); ++k)
        if (classZone_[k] >= z && classZone_[k] < data_.zones[z].subtreeEnd)
          inside += weights[k];
      climb.chain.push_back({z, uint32_t(inside * 65536 / sum)});
    }
    climbs.push_back(std::move(climb));
  }
  uint32_t threshold = kLowestThreshold, answered = 0, misrouted = 0;
  for (;; threshold += 512) {
    answered = misrouted = 0;
    for (const Climb &climb : climbs) {
      auto it = std::find_if(climb.chain.begin(), climb.chain.end(),
                             [&](const auto &link) { return link.second >= threshold; });
      if (it == climb.chain.end())
        continue;
      ++answered;
      misrouted += !(it->first <= climb.truth && climb.truth < data_.zones[it->first].subtreeEnd);
    }
    if (double(misrouted) <= options_.alpha * double(climbs.size()) || threshold + 512 > 65536)
      break;
  }
  if (double(misrouted) > options_.alpha * double(climbs.size()))
    diags_.warning({},
                   "no threshold keeps the misroute rate on held-out texts at " +
                       std::to_string(options_.alpha) + "; the strictest one misroutes " +
                       std::to_string(misrouted) + " of " + std::to_string(climbs.size()),
                   "more or cleaner examples, or a larger alpha");
  std::fill(out.acceptance.threshold.begin() + 1, out.acceptance.threshold.end(), threshold);
  if (report_) {
    report_->answered = answered;
    report_->misrouted = misrouted;
  }

  chooseKeywords(held, out);
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
  if (classZone_.size() > SEMDNS_MAX_CLASSES) {
    diags_.error({},
                 std::to_string(classZone_.size()) + " zones have training texts; at most " +
                     std::to_string(SEMDNS_MAX_CLASSES) + " can",
                 "split the tree, or leave the smallest zones to their parents");
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
    progress.update(1);
    holdOut();
    bool any = std::any_of(texts_.begin(), texts_.end(), [](const Text &t) { return t.heldOut; });
    if (any)
      calibrate(fit(false), out);
    progress.update(2);
    Quantised model = fit(true);
    progress.update(3);
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
