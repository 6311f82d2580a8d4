#include "lib/train/train.h"

#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"
#include "lib/train/augment.h"
#include "lib/train/embedding.h"
#include "lib/train/head.h"
#include "lib/train/keywords.h"
#include "lib/train/numeric.h"
#include "lib/train/snippets.h"
#include "lib/train/teacher.h"
#include "semdns/format/features.h"
#include "semdns/format/keywords.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>

#include <gtest/gtest.h>

using namespace semdns;
using namespace semdns::train;

namespace {

std::span<const uint8_t> textSection() {
  static const std::string text = text::buildTextSection();
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

/// root, law (contracts, tax), music
TrainingData smallTree() {
  TrainingData data;
  data.zones = {{0, 0, 5, "."},
                {0, 1, 4, "law."},
                {1, 2, 3, "contracts.law."},
                {1, 2, 4, "tax.law."},
                {0, 1, 5, "music."}};
  return data;
}

void add(TrainingData &data, uint32_t zone, std::initializer_list<const char *> texts) {
  for (const char *text : texts)
    data.examples.push_back({text, zone, ExampleKind::Labelled});
}

TrainingData smallData() {
  TrainingData data = smallTree();
  add(data, 1, {"who is my lawyer", "find a lawyer near me", "law office hours"});
  add(data, 2, {"sign the contract", "is this contract valid", "contract with a supplier"});
  add(data, 3, {"how much income tax do I owe", "file my tax return", "tax deduction for rent"});
  add(data, 4, {"play a song", "turn up the music", "next song by this band"});
  return data;
}

/// What stage 2 answers: the best zone and its confidence.
std::pair<uint32_t, uint32_t> guess(const pack::RoutingModel &model, std::string_view text) {
  const pack::EmbeddingModel &e = model.embedding;
  Vocabulary rows;
  std::vector<uint32_t> rowOf(e.hashes.size());
  for (uint32_t r = 1; r < e.hashes.size(); ++r) {
    rows.index.emplace(e.hashes[r], r);
    rowOf[r] = r;
  }
  Extractor extractor({e.wordNgramMax, e.charNgramMin, e.charNgramMax, e.punct}, textSection());
  Tokens tokens;
  extractor.extract(text, tokens);
  Pooled p = scoreInteger(e, rowOf, countFeatures(tokens, rows));
  size_t first = model.classZone[0] == 0 && model.classZone.size() > 1 ? 1 : 0;
  size_t k = size_t(std::max_element(p.scores.begin() + ptrdiff_t(first), p.scores.end()) -
                    p.scores.begin());
  std::vector<uint32_t> weights;
  uint64_t sum = softWeights(p, e.gain, weights);
  return {model.classZone[k], uint32_t(uint64_t(weights[k]) * 65536 / sum)};
}

void expectWellFormed(const pack::RoutingModel &m, size_t zones) {
  const pack::EmbeddingModel &e = m.embedding;
  ASSERT_EQ(m.acceptance.threshold.size(), zones);
  EXPECT_EQ(m.acceptance.threshold[0], 0u);
  EXPECT_TRUE(std::is_sorted(m.classZone.begin(), m.classZone.end()));
  if (!m.classZone.empty()) {
    EXPECT_EQ(e.dim % SEMDNS_DIM_ALIGN, 0u);
    EXPECT_GT(e.dim, 0u);
    EXPECT_EQ(e.classes.size(), m.classZone.size() * e.dim);
    EXPECT_EQ(e.rows.size(), e.hashes.size() * e.dim);
    EXPECT_EQ(e.norms.size(), e.hashes.size());
    EXPECT_EQ(e.norms[0], 0);
    EXPECT_GE(e.gain, 1u);
    EXPECT_LT(e.gain, 1u << 24);
    EXPECT_EQ(std::count(e.rows.begin(), e.rows.end(), int8_t(-128)), 0);
    EXPECT_EQ(std::count(e.classes.begin(), e.classes.end(), int8_t(-128)), 0);
    std::vector<uint64_t> hashes(e.hashes.begin() + 1, e.hashes.end());
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
  }
  for (const pack::Term &term : m.keywords.terms) {
    EXPECT_GE(term.words.size(), 1u);
    EXPECT_LE(term.words.size(), SEMDNS_MAX_TERM_WORDS);
    EXPECT_NE(term.zone, 0u);
    EXPECT_LT(term.zone, zones);
    EXPECT_GE(term.weight, 1u);
    EXPECT_LE(term.weight, SEMDNS_MAX_TERM_WEIGHT);
  }
}

TEST(Train, ThreeExamplesAZone) {
  Diagnostics diags;
  pack::RoutingModel model = train::train(smallData(), {}, textSection(), diags);
  EXPECT_TRUE(diags.all().empty());
  expectWellFormed(model, 5);
  EXPECT_EQ(model.classZone, (std::vector<uint32_t>{1, 2, 3, 4}));
  EXPECT_EQ(guess(model, "is the contract signed?").first, 2u);
  EXPECT_EQ(guess(model, "INCOME TAX return").first, 3u);
  EXPECT_EQ(guess(model, "which song is this").first, 4u);
  EXPECT_EQ(guess(model, "a good lawyer").first, 1u);
}

TEST(Train, SureTextsAreSurerThanStrangeOnes) {
  Diagnostics diags;
  pack::RoutingModel model = train::train(smallData(), {}, textSection(), diags);
  EXPECT_GT(guess(model, "file my tax return").second, 32768u);
  EXPECT_LT(guess(model, "zebras graze quietly beside volcanoes").second, 32768u);
}

TEST(Train, OneClassAndTwo) {
  TrainingData data;
  data.zones = {{0, 0, 3, "."}, {0, 1, 2, "a."}, {0, 1, 3, "b."}};
  add(data, 1, {"red apples", "green apples", "apples and pears"});
  Diagnostics diags;
  pack::RoutingModel one = train::train(data, {}, textSection(), diags);
  expectWellFormed(one, 3);
  EXPECT_EQ(guess(one, "apples").first, 1u);
  add(data, 2, {"fast cars", "old cars", "cars and trains"});
  pack::RoutingModel two = train::train(data, {}, textSection(), diags);
  expectWellFormed(two, 3);
  EXPECT_EQ(guess(two, "apples").first, 1u);
  EXPECT_EQ(guess(two, "a slow car").first, 2u);
  EXPECT_FALSE(diags.hasErrors());
}

TEST(Train, RootLabelIsAClassThatIsNoGuess) {
  TrainingData data = smallData();
  add(data, 0, {"why is the sky blue", "tell me about whales", "who won the game"});
  Diagnostics diags;
  pack::RoutingModel model = train::train(data, {}, textSection(), diags);
  expectWellFormed(model, 5);
  EXPECT_EQ(model.classZone, (std::vector<uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_NE(guess(model, "why is the sky blue").first, 0u);
  EXPECT_LT(guess(model, "why is the sky blue").second, 16384u);
}

TEST(Train, KeywordsAlone) {
  TrainingData data = smallTree();
  data.keywords = {{"contract", 2, 0, true},
                   {"indemnity clause", 2, 0, true},
                   {"income tax", 3, 0, true},
                   {"guitar", 4, 0, true}};
  Diagnostics diags;
  pack::RoutingModel model = train::train(data, {}, textSection(), diags);
  EXPECT_FALSE(diags.hasErrors());
  expectWellFormed(model, 5);
  ASSERT_EQ(model.keywords.terms.size(), 4u);
  EXPECT_NE(model.keywords.acceptVotes, SEMDNS_NEVER);
  EXPECT_GT(model.keywords.confidence, 0u);
  EXPECT_EQ(guess(model, "which indemnity clauses apply").first, 2u);
  EXPECT_EQ(guess(model, "guitars").first, 4u);

  Extractor extractor({}, textSection());
  TermMatcher matcher(model.keywords.terms, data.zones);
  auto says = [&](const char *text) {
    Tokens tokens;
    extractor.extract(text, tokens);
    Verdict v = matcher.match(tokens.words);
    return v.accepted(model.keywords.acceptVotes, model.keywords.acceptPurity) ? v.zone : 0u;
  };
  EXPECT_EQ(says("My INCOME  tax"), 3u);
  EXPECT_EQ(says("income, tax"), 0u);       // another word sequence: punctuation lies between
  EXPECT_EQ(says("a guitar contract"), 0u); // undecided
  EXPECT_EQ(says("nothing of the kind"), 0u);
}

TEST(Train, NothingToLearnFrom) {
  TrainingData data = smallTree();
  Diagnostics diags;
  pack::RoutingModel model = train::train(data, {}, textSection(), diags);
  EXPECT_FALSE(diags.hasErrors());
  EXPECT_TRUE(model.classZone.empty());
  EXPECT_EQ(model.acceptance.threshold.size(), 5u);
  add(data, 2, {"", "?!", "\xff\xfe"}); // no words: U+FFFD is punctuation
  model = train::train(data, {}, textSection(), diags);
  EXPECT_FALSE(diags.hasErrors());
  EXPECT_TRUE(model.classZone.empty());
}

TEST(Train, RefusesWhatIsNoTree) {
  for (int which = 0; which < 4; ++which) {
    TrainingData data = smallData();
    if (which == 0)
      data.examples[0].zone = 5;
    if (which == 1)
      data.keywords.push_back({"x", 0, 1, true});
    if (which == 2)
      data.zones[2].parent = 2;
    if (which == 3)
      data.zones.clear();
    Diagnostics diags;
    pack::RoutingModel model = train::train(data, {}, textSection(), diags);
    EXPECT_TRUE(diags.hasErrors()) << which;
    EXPECT_TRUE(model.classZone.empty());
  }
}

TEST(Train, WarnsAboutKeywordsThatCannotBeTerms) {
  TrainingData data = smallData();
  data.keywords = {{"one two three four five six seven eight nine", 2, 0, true},
                   {"  ", 3, 0, true},
                   {"mined and much too long to be any use as a term", 3, 5, false}};
  Diagnostics diags;
  pack::RoutingModel model = train::train(data, {}, textSection(), diags);
  EXPECT_EQ(diags.all().size(), 2u);
  EXPECT_FALSE(diags.hasErrors());
  expectWellFormed(model, 5);
}

bool sameAcceptance(const pack::Acceptance &a, const pack::Acceptance &b) {
  return a.threshold == b.threshold && a.rootOdds == b.rootOdds;
}

bool sameModel(const pack::RoutingModel &a, const pack::RoutingModel &b) {
  auto sameTerm = [](const pack::Term &s, const pack::Term &t) {
    return s.words == t.words && s.text == t.text && s.zone == t.zone && s.weight == t.weight;
  };
  return a.embedding.hashes == b.embedding.hashes && a.embedding.rows == b.embedding.rows &&
         a.embedding.norms == b.embedding.norms && a.embedding.classes == b.embedding.classes &&
         a.embedding.gain == b.embedding.gain && a.embedding.dim == b.embedding.dim &&
         a.embedding.unknownNorm == b.embedding.unknownNorm && a.classZone == b.classZone &&
         sameAcceptance(a.acceptance, b.acceptance) && a.guard.confidence == b.guard.confidence &&
         a.guard.odds == b.guard.odds && a.guard.rejectOdds == b.guard.rejectOdds &&
         a.head.width == b.head.width && a.head.classes == b.head.classes &&
         a.head.bias == b.head.bias && a.head.gain == b.head.gain && a.head.mix == b.head.mix &&
         sameAcceptance(a.head.acceptance, b.head.acceptance) &&
         a.keywords.acceptVotes == b.keywords.acceptVotes &&
         a.keywords.acceptPurity == b.keywords.acceptPurity &&
         a.keywords.confidence == b.keywords.confidence &&
         std::equal(a.keywords.terms.begin(), a.keywords.terms.end(), b.keywords.terms.begin(),
                    b.keywords.terms.end(), sameTerm);
}

/// Forty zones of made-up words; big enough to calibrate and to split among threads.
TrainingData madeUp() {
  TrainingData data;
  data.zones.push_back({0, 0, 41, "."});
  Random random(9);
  auto word = [&](uint64_t n) {
    std::string w;
    for (n = n * 7919 + 12345; n; n /= 20)
      w += "bcdfghjklmnpqrstvwxz"[n % 20], w += "aeiou"[n % 5];
    return w;
  };
  for (uint32_t z = 1; z <= 40; ++z) {
    data.zones.push_back({0, 1, z + 1, "z" + std::to_string(z) + "."});
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (int n = 0; n < 6; ++n)
        text += word(random.below(3) ? random.below(200) : 1000 + z * 8 + random.below(8)) + " ";
      data.examples.push_back({text, z, ExampleKind::Labelled});
    }
  }
  return data;
}

TEST(Train, SameModelForAnyThreadCountAndAgain) {
  TrainingData data = madeUp();
  Diagnostics diags;
  TrainOptions options;
  TrainReport report;
  pack::RoutingModel one = train::train(data, options, textSection(), diags, &report);
  expectWellFormed(one, 41);
  EXPECT_GT(report.heldOut, 100u);
  EXPECT_GT(report.bestCorrect, report.inScope / 2);
  EXPECT_TRUE(sameModel(one, train::train(data, options, textSection(), diags)));
  for (unsigned threads : {2u, 5u}) {
    options.threads = threads;
    EXPECT_TRUE(sameModel(one, train::train(data, options, textSection(), diags))) << threads;
  }
}

/// Embeds texts as sums of their words' seeded random directions, with a share of each word's first
/// two letters' direction: similar words lie close.
std::vector<float> standInEmbeddings(std::span<const std::string> texts) {
  constexpr size_t kWidth = 32;
  std::vector<float> out;
  for (const std::string &text : texts) {
    std::vector<float> sum(kWidth, 1e-3f);
    auto addWord = [&](std::string_view word, float share) {
      uint64_t hash = 7;
      for (char c : word)
        hash = hash * 1099511628211u + uint8_t(c);
      Random random(hash);
      for (float &v : sum)
        v += share * float(random.normal());
    };
    for (size_t i = 0; i < text.size();) {
      size_t end = std::min(text.find(' ', i), text.size());
      addWord(std::string_view(text).substr(i, end - i), 1);
      addWord(std::string_view(text).substr(i, std::min<size_t>(2, end - i)), 0.3f);
      i = end + 1;
    }
    double square = 0;
    for (float v : sum)
      square += double(v) * double(v);
    for (float v : sum)
      out.push_back(float(double(v) / std::sqrt(square)));
  }
  return out;
}

TEST(Train, SameModelWithATeacher) {
  TrainingData data = madeUp();
  for (int i = 0; i < 60; ++i) // the root's own class
    data.examples.push_back(
        {"nothing word" + std::to_string(i * i) + " of the kind", 0, ExampleKind::Labelled});
  data.teacher.width = 32;
  data.teacher.embed = standInEmbeddings;
  data.unlabelled = {"some other text", "and one more"};
  splitExamples(data, 1, true);
  Diagnostics diags;
  TrainOptions options;
  options.variations = 1500;
  TrainReport report;
  pack::RoutingModel one = train::train(data, options, textSection(), diags, &report);
  expectWellFormed(one, 41);
  EXPECT_EQ(report.variations, 1500u);
  EXPECT_EQ(report.unlabelled, 2u);
  EXPECT_GT(report.bestCorrect, report.inScope / 2);
  EXPECT_GT(report.headCorrect, report.inScope / 2);
  EXPECT_EQ(one.head.width, 32u);
  EXPECT_EQ(one.head.classes.size(), 41u * 32);
  EXPECT_EQ(one.head.bias.size(), 41u);
  EXPECT_EQ(one.head.acceptance.threshold.size(), 41u);
  EXPECT_EQ(std::count(one.head.classes.begin(), one.head.classes.end(), int8_t(-128)), 0);
  EXPECT_LE(one.head.mix, 16u * 65536);
  EXPECT_LE(one.guard.confidence, 65537u);
  for (unsigned threads : {2u, 5u}) {
    options.threads = threads;
    EXPECT_TRUE(sameModel(one, train::train(data, options, textSection(), diags))) << threads;
  }
}

TEST(Train, DescribedZonesAreKnownThroughTheEncoder) {
  TrainingData data = madeUp();
  data.zones.push_back({0, 1, 42, "described."});
  data.zones[0].subtreeEnd = 42;
  data.examples.push_back({"translate sentences between languages", 41, ExampleKind::Pattern});
  data.teacher.width = 32;
  data.teacher.embed = standInEmbeddings;
  Diagnostics diags;
  TrainOptions options;
  options.variations = 500;
  TrainReport report;
  pack::RoutingModel model = train::train(data, options, textSection(), diags, &report);
  expectWellFormed(model, 42);
  ASSERT_EQ(model.classZone.size(), 41u);
  std::vector<int32_t> silent(41); // stage 2 has no opinion
  uint32_t found = 0;
  for (const char *text : {"translate languages", "translate these sentences",
                           "between languages translate please", "which languages translate"}) {
    std::vector<float> e = standInEmbeddings(std::vector<std::string>{text});
    std::vector<int32_t> x = headLogits(model.head, codeEmbedding(e), silent);
    found += std::max_element(x.begin(), x.end()) - x.begin() == 40;
  }
  EXPECT_GE(found, 3u);
  EXPECT_GT(report.headCorrect, report.inScope / 2);
}

TEST(Train, CalibratePartIsNotRead) {
  TrainingData data = madeUp();
  splitExamples(data, 1, true);
  Diagnostics diags;
  pack::RoutingModel with = train::train(data, {}, textSection(), diags);
  std::erase_if(data.examples, [](const Example &e) { return e.part == Part::Calibrate; });
  EXPECT_LT(data.examples.size(), 800u);
  EXPECT_TRUE(sameModel(with, train::train(data, {}, textSection(), diags)));
}

TEST(Split, PartsAreSeededAndLeaveEnough) {
  TrainingData data = madeUp();
  for (int i = 0; i < 5; ++i) // a zone of few rows, and rows of the same words
    data.examples[size_t(i)].text = "Few rows, number " + std::to_string(i);
  data.examples.resize(data.examples.size() - 15);
  for (int i = 0; i < 30; ++i)
    data.examples.push_back(
        {i % 2 ? "The SAME words" : "the same, words!", 20, ExampleKind::Labelled});
  splitExamples(data, 3, true);
  auto partsOf = [](const TrainingData &d) {
    std::vector<Part> parts;
    for (const Example &example : d.examples)
      parts.push_back(example.part);
    return parts;
  };
  std::vector<Part> parts = partsOf(data);
  splitExamples(data, 3, true);
  EXPECT_EQ(parts, partsOf(data));
  splitExamples(data, 4, true);
  EXPECT_NE(parts, partsOf(data));
  size_t count[3] = {};
  std::map<uint32_t, size_t> kept;
  for (const Example &example : data.examples) {
    ++count[size_t(example.part)];
    kept[example.zone] += example.part == Part::Train;
  }
  EXPECT_NEAR(double(count[2]), 0.1 * double(data.examples.size()), 5);
  EXPECT_NEAR(double(count[1]), 0.15 * double(data.examples.size()), 8);
  for (const auto &[zone, rows] : kept)
    EXPECT_GE(rows, 4u) << zone;
  size_t same[3] = {};
  for (size_t i = data.examples.size() - 30; i < data.examples.size(); ++i)
    if (data.examples[i].text.find(',') == std::string::npos)
      ++same[size_t(data.examples[i].part)];
  EXPECT_EQ(std::count(same, same + 3, 0u), 2); // all in one part

  splitExamples(data, 3, false);
  for (const Example &example : data.examples)
    EXPECT_NE(example.part, Part::Calibrate);
}

TEST(Split, FewRowsGiveNoCalibratePart) {
  TrainingData data = smallData();
  splitExamples(data, 1, true);
  for (const Example &example : data.examples)
    EXPECT_EQ(example.part, Part::Train);
}

TEST(Augment, VariationsAreValidAndSeeded) {
  std::vector<std::string_view> texts = {"wie heiß ist es draußen in münchen",
                                         "what is the weather like",
                                         "größere überweisung tätigen bitte schön",
                                         "transfer money to my savings account",
                                         "x",
                                         "",
                                         "日本語 の テキスト です か"};
  std::vector<uint32_t> group = {0, 0, 1, 1, 2, 2, 3};
  AugmentOptions options;
  options.count = 500;
  options.maxBytes = 1 << 20;
  std::vector<Variation> a = augment(texts, group, options), b = augment(texts, group, options);
  ASSERT_EQ(a.size(), 500u);
  ASSERT_EQ(b.size(), 500u);
  size_t mixed = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].text, b[i].text);
    EXPECT_FALSE(a[i].text.empty());
    EXPECT_NE(a[i].text, texts[a[i].source]);
    EXPECT_EQ(firstInvalidUtf8(a[i].text), std::nullopt) << a[i].text;
    EXPECT_TRUE(a[i].group == kMixed || a[i].group == group[a[i].source]);
    mixed += a[i].group == kMixed;
  }
  EXPECT_GT(mixed, 10u);
  EXPECT_LT(mixed, 150u);
  options.seed = 2;
  EXPECT_NE(augment(texts, group, options)[0].text + augment(texts, group, options)[1].text,
            a[0].text + a[1].text);
  options.maxBytes = 1000;
  EXPECT_LT(augment(texts, group, options).size(), 100u);
  EXPECT_TRUE(augment({}, {}, options).empty());
}

TEST(Head, LogitsFollowTheFloatHead) {
  DenseHead head;
  head.width = 32;
  head.classes = 5;
  Random random(3);
  for (int i = 0; i < 5 * 32; ++i)
    head.vectors.push_back(float(random.normal()) * 4);
  for (int k = 0; k < 5; ++k)
    head.bias.push_back(float(random.normal()));
  std::vector<float> e = standInEmbeddings(std::vector<std::string>{"one text"});
  pack::EncoderHead coded = quantiseHead(head, 0.7, 0.5);
  std::vector<int32_t> relative = {0, -100, -256, -1000, -(1 << 20)};
  std::vector<int32_t> x = headLogits(coded, codeEmbedding(e), relative);
  std::vector<float> want = scoreDense(head, e, 1);
  for (size_t k = 0; k < 5; ++k)
    EXPECT_NEAR(x[k], double(want[k]) * 0.7 * 256 * 1.442695 + relative[k] * 0.5, 40) << k;
  std::vector<uint32_t> weights;
  uint64_t sum = logitWeights(x, weights);
  EXPECT_EQ(*std::max_element(weights.begin(), weights.end()), 65536u);
  EXPECT_EQ(weights[4], 0u);
  EXPECT_GE(sum, 65536u);
}

TEST(Train, LimitsAreKept) {
  Diagnostics diags;
  TrainOptions options;
  options.maxRows = 300;
  options.maxDim = 32;
  pack::RoutingModel model = train::train(madeUp(), options, textSection(), diags);
  expectWellFormed(model, 41);
  EXPECT_LE(model.embedding.hashes.size(), 300u);
  EXPECT_EQ(model.embedding.dim, 32u);
}

TEST(Train, ManyClasses) { // more than the full-rank classifier takes
  TrainingData data;
  data.zones.push_back({0, 0, 1201, "."});
  for (uint32_t z = 1; z <= 1200; ++z) {
    data.zones.push_back({0, 1, z + 1, "z" + std::to_string(z) + "."});
    for (const char *frame : {"where is the ", "show me a ", "tell me about one "})
      data.examples.push_back({frame + std::string("thing") + std::to_string(z * 7919) + "x", z,
                               ExampleKind::Labelled});
  }
  Diagnostics diags;
  TrainOptions options;
  options.threads = 2;
  options.beamWidth = 0; // trees that are searched: e2e/trees_test.py
  pack::RoutingModel model = train::train(data, options, textSection(), diags);
  expectWellFormed(model, 1201);
  uint32_t right = 0;
  for (uint32_t z = 50; z <= 1200; z += 50)
    right += guess(model, "is there a thing" + std::to_string(z * 7919) + "x").first == z;
  EXPECT_GE(right, 23u);
}

TEST(Train, WrittenKeywordsDecideBesideCorpora) {
  TrainingData data = smallTree();
  Random random(4);
  for (uint32_t z = 1; z <= 4; ++z)
    for (int i = 0; i < 100; ++i) {
      std::string text;
      for (int n = 0; n < 6; ++n)
        text += "word" + std::to_string(z * 100 * random.below(2) + random.below(40)) + " ";
      data.examples.push_back({text, z, ExampleKind::Snippet});
    }
  data.keywords = {{"indemnity", 2, 0, true}, {"guitar solo", 4, 0, true}, {"word7", 4, 90, false}};
  Diagnostics diags;
  pack::RoutingModel model = train::train(data, {}, textSection(), diags);
  ASSERT_EQ(model.keywords.terms.size(), 2u);
  EXPECT_EQ(model.keywords.acceptVotes, kWrittenWeight);
  EXPECT_EQ(diags.all().size(), 0u);
}

TEST(Keywords, MinedTermsAreTelling) {
  std::vector<Example> examples;
  for (int i = 0; i < 5; ++i) {
    examples.push_back({"please play the song " + std::to_string(i), 1, ExampleKind::Labelled});
    examples.push_back({"please pay the bill " + std::to_string(i), 2, ExampleKind::Labelled});
  }
  Extractor extractor({}, textSection());
  std::vector<Tokens> tokens(examples.size());
  std::vector<KeywordText> texts;
  std::vector<const Example *> sources;
  for (size_t i = 0; i < examples.size(); ++i) {
    extractor.extract(examples[i].text, tokens[i]);
    texts.push_back({tokens[i].words, examples[i].zone});
    sources.push_back(&examples[i]);
  }
  std::map<std::string, uint32_t> found;
  for (const pack::Term &term : mineTerms(texts, sources, textSection(), 1000))
    found[term.text] = term.zone;
  EXPECT_EQ(found["song"], 1u);
  EXPECT_EQ(found["the bill"], 2u);
  EXPECT_EQ(found.count("please"), 0u);
  EXPECT_EQ(found.count("the"), 0u);
}

TEST(Keywords, AcceptanceNeedsPrecision) {
  std::vector<Trial> trials(300);
  for (size_t i = 0; i < trials.size(); ++i) {
    bool strong = i < 250;
    trials[i].verdict = {1, strong ? 500u : 100u, strong ? 500u : 100u, strong ? 500u : 100u};
    trials[i].zone = strong ? 1 : 2;
    trials[i].embeddingRight = true;
  }
  pack::KeywordModel model;
  auto [answered, wrong] = chooseAcceptance(trials, model);
  EXPECT_EQ(answered, 250u);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(model.acceptVotes, 500u);
  EXPECT_GT(model.confidence, 65000u);
  trials.resize(100); // right throughout, but too few to be sure
  EXPECT_EQ(chooseAcceptance(trials, model).first, 0u);
  EXPECT_EQ(model.acceptVotes, SEMDNS_NEVER);
}

TEST(Snippets, SampleIsDeterministicAndBounded) {
  std::string path = std::filesystem::temp_directory_path() /
                     ("semdns-snippets-" + std::to_string(getpid()) + ".txt");
  {
    std::ofstream out(path);
    for (int i = 0; i < 400; ++i)
      out << "Sentence number " << i << " says something. Short one.\n";
    out << "\nThe same words again.\nThe same words again.\n";
  }
  SnippetOptions options;
  options.count = 50;
  Diagnostics diags;
  std::vector<Example> a, b;
  EXPECT_EQ(sampleSnippets({path}, 3, options, a, diags), 50u);
  EXPECT_EQ(sampleSnippets({path}, 3, options, b, diags), 50u);
  ASSERT_EQ(a.size(), b.size());
  std::map<std::string, int> distinct;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].text, b[i].text);
    EXPECT_EQ(a[i].zone, 3u);
    EXPECT_EQ(a[i].kind, ExampleKind::Snippet);
    EXPECT_EQ(a[i].text.find("Short one"), std::string::npos);
    ++distinct[a[i].text];
  }
  EXPECT_EQ(distinct.size(), a.size());
  options.count = 100000;
  a.clear();
  EXPECT_EQ(sampleSnippets({path}, 3, options, a, diags), 401u); // repeated text counts once
  EXPECT_FALSE(diags.hasErrors());
  std::filesystem::remove(path);
  sampleSnippets({path}, 3, options, a, diags);
  EXPECT_TRUE(diags.hasErrors());
}

TEST(Train, RealIntents) {
  const char *folder = std::getenv("SEMDNS_DATA");
  std::string base = std::string(folder ? folder : "") + "/routing/hwu64.";
  if (!folder || !std::filesystem::exists(base + "train.jsonl"))
    GTEST_SKIP() << "no data: SEMDNS_DATA/routing/hwu64.*.jsonl";
  Diagnostics diags;
  TrainingData data;
  data.zones.push_back({0, 0, 1, "."});
  std::vector<LabelledText> rows = readJsonLines(base + "train.jsonl", true, diags);
  std::map<std::string, uint32_t> zoneOf;
  for (const LabelledText &row : rows)
    zoneOf[*row.label];
  for (auto &[label, zone] : zoneOf) {
    zone = uint32_t(data.zones.size());
    data.zones.push_back({0, 1, zone + 1, label});
  }
  data.zones[0].subtreeEnd = uint32_t(data.zones.size());
  for (const LabelledText &row : rows)
    data.examples.push_back({row.text, zoneOf[*row.label], ExampleKind::Labelled});
  TrainOptions options;
  options.threads = 2;
  pack::RoutingModel model = train::train(data, options, textSection(), diags);
  expectWellFormed(model, data.zones.size());
  std::vector<LabelledText> test = readJsonLines(base + "test.jsonl", true, diags);
  const pack::EmbeddingModel &e = model.embedding;
  Vocabulary vocabulary;
  std::vector<uint32_t> rowOf(e.hashes.size());
  for (uint32_t r = 1; r < e.hashes.size(); ++r) {
    vocabulary.index.emplace(e.hashes[r], r);
    rowOf[r] = r;
  }
  Extractor extractor({e.wordNgramMax, e.charNgramMin, e.charNgramMax, e.punct}, textSection());
  uint32_t right = 0;
  for (const LabelledText &row : test) {
    Tokens tokens;
    extractor.extract(row.text, tokens);
    Pooled p = scoreInteger(e, rowOf, countFeatures(tokens, vocabulary));
    size_t k = size_t(std::max_element(p.scores.begin(), p.scores.end()) - p.scores.begin());
    right += model.classZone[k] == zoneOf[*row.label];
  }
  EXPECT_GE(double(right) / double(test.size()), 0.89);
}

} // namespace
