// The reference on cases worked out by hand, and against the runtime's data-only kernel on random
// models, random texts and hostile bytes.
#include "kernels/hash.h"
#include "lib/reference/route.h"
#include "lib/reference/tokens.h"

#include "lib/pack/classes_build.h"
#include "lib/pack/features_build.h"
#include "lib/pack/keywords_build.h"
#include "lib/pack/zones_build.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"
#include "lib/text/words.h"
#include "runtime/exec/portable.h"
#include "test/unit/kernels/aligned.h"
#include "test/unit/runtime/make_artifact.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <iomanip>
#include <map>
#include <sstream>

namespace semdns {
namespace {

using test::Aligned;

const std::string &textSection() {
  static const std::string bytes = text::buildTextSection();
  return bytes;
}

constexpr uint32_t kBoth = SEMDNS_KERNEL_STAGE_KEYWORD | SEMDNS_KERNEL_STAGE_EMBEDDING;

/// The sections of one model, the reference and the portable kernel over them.
class Subject {
public:
  Subject(const pack::RoutingModel &model, const spec::ZoneTree &tree, uint32_t layout)
      : text_(textSection()),
        keyw_(need(pack::buildKeywordsSection(model.keywords,
                                              static_cast<uint32_t>(tree.zones.size()), error_))),
        tokv_(need(pack::buildFeaturesSection(model.embedding, error_))),
        cent_(need(pack::buildCentroidsSection(model.embedding, layout, error_))),
        clsf_(need(pack::buildAcceptanceSection(model, tree, error_))),
        zones_(static_cast<uint32_t>(tree.zones.size())) {}

  semdns_kernel_answer reference(std::string_view text, uint32_t stages = kBoth,
                                 uint32_t topK = 3) const {
    return reference::route({keyw_.view(), tokv_.view(), cent_.view(), clsf_.view()}, text, stages,
                            topK);
  }

  semdns_kernel_answer portable(std::string_view text, uint32_t stages = kBoth, uint32_t topK = 3) {
    const auto &cent = *reinterpret_cast<const semdns_cent_header *>(cent_.data());
    words_.resize(SEMDNS_MAX_WORDS);
    features_.resize(SEMDNS_MAX_FEATURES);
    rows_.resize(SEMDNS_MAX_FEATURES);
    hits_.resize(SEMDNS_MAX_HITS);
    votes_.resize(zones_);
    pool_.resize(cent.dim);
    quant_.resize(cent.dim);
    scores_.resize(cent.padded_count);
    weights_.resize(cent.padded_count);
    semdns_kernel_tables tables = {};
    tables.size = sizeof tables;
    tables.abi = SEMDNS_KERNEL_ABI;
    tables.text = text_.data();
    tables.keyw = keyw_.data();
    tables.tokv = tokv_.data();
    tables.cent = cent_.data();
    tables.clsf = clsf_.data();
    semdns_kernel_query query = {};
    query.size = sizeof query;
    query.stages = stages;
    query.top_k = topK;
    query.text = reinterpret_cast<const uint8_t *>(text.data());
    query.text_size = text.size();
    semdns_kernel_scratch scratch = {};
    scratch.size = sizeof scratch;
    scratch.words = words_.data();
    scratch.features = features_.data();
    scratch.rows = rows_.data();
    scratch.hits = hits_.data();
    scratch.votes = votes_.data();
    scratch.pool = pool_.data();
    scratch.quant = quant_.data();
    scratch.scores = scores_.data();
    scratch.weights = weights_.data();
    semdns_kernel_answer answer;
    exec::routePortable(&tables, &query, &scratch, &answer);
    return answer;
  }

private:
  std::string need(std::optional<std::string> bytes) {
    EXPECT_TRUE(bytes) << error_;
    return bytes.value_or(std::string(128, '\0'));
  }

  std::string error_;
  Aligned text_, keyw_, tokv_, cent_, clsf_;
  uint32_t zones_;
  std::vector<uint64_t> words_, features_;
  std::vector<uint32_t> rows_, hits_, weights_;
  std::vector<int32_t> votes_, pool_, scores_;
  std::vector<int8_t> quant_;
};

std::string show(const semdns_kernel_answer &answer) {
  const auto *fields = reinterpret_cast<const uint32_t *>(&answer);
  std::ostringstream out;
  for (size_t i = 0; i < sizeof answer / 4; ++i)
    out << (i ? " " : "") << fields[i];
  return out.str();
}

void expectEqual(Subject &subject, std::string_view text) {
  for (auto [stages, topK] : {std::pair<uint32_t, uint32_t>{kBoth, 3},
                              {SEMDNS_KERNEL_STAGE_EMBEDDING, 1},
                              {SEMDNS_KERNEL_STAGE_KEYWORD, 8},
                              {SEMDNS_KERNEL_STAGE_EMBEDDING, 8},
                              {0, 2}})
    ASSERT_EQ(show(subject.portable(text, stages, topK)),
              show(subject.reference(text, stages, topK)))
        << "stages " << stages << ", top " << topK << ", " << text.size() << " bytes";
}

/// Zones "." > "law." > "tax.law."; "food." beside; classes at tax (1), food (2).
void handTree(spec::ZoneTree &tree, pack::RoutingModel &model) {
  tree.zones.resize(4);
  tree.zones[0].subtreeEnd = 4;
  auto zone = [&](uint32_t i, uint32_t parent, uint32_t depth, uint32_t end, const char *name,
                  const char *path) {
    tree.zones[i].parent = parent;
    tree.zones[i].depth = depth;
    tree.zones[i].subtreeEnd = end;
    tree.zones[i].name = name;
    tree.zones[i].path = path;
  };
  zone(1, 0, 1, 2, "food.", "food");
  zone(2, 0, 1, 4, "law.", "law");
  zone(3, 2, 2, 4, "tax.law.", "law/tax");
  model.classZone = {1, 3};
  model.acceptance.threshold = {0, 35000, 40000, 65000};
}

uint64_t word(std::string_view text) { return text::splitWords(textSection(), text).at(0).hash; }

pack::RoutingModel handModel(spec::ZoneTree &tree) {
  pack::RoutingModel model;
  handTree(tree, model);
  pack::EmbeddingModel &e = model.embedding;
  e.dim = 16;
  e.hashes = {0, semdns_feature_word(word("soup")), semdns_feature_word(word("levy"))};
  e.rows.assign(3 * 16, 0);
  e.rows[16] = 100;        // soup: (100, 0, ...)
  e.rows[2 * 16 + 1] = 50; // levy: (0, 50, ...)
  e.norms = {0, 30, 40};
  e.classes.assign(2 * 16, 0);
  e.classes[0] = 100;  // food
  e.classes[17] = 100; // tax
  e.gain = 256;
  e.unknownNorm = 20;
  return model;
}

TEST(Reference, StageTwoByHand) {
  spec::ZoneTree tree;
  pack::RoutingModel model = handModel(tree);
  Subject subject(model, tree, 1);

  // "Soup!": p = (100, 0), n = 30, m = 100, q0 = 127; scores 12700 and 0.
  // g = 256 * 100 / 30 = 853; x = 12700 * 853 >> 16 = 165; w = 65536 and exp2[165].
  semdns_kernel_answer a = subject.reference("Soup!");
  uint32_t other = pack::exp2Table()[165];
  EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_EMBEDDING));
  EXPECT_EQ(a.total_weight, 65536 + other);
  EXPECT_EQ(a.best_zone, 1u);
  EXPECT_EQ(a.best_confidence, uint64_t{65536} * 65536 / (65536 + other));
  EXPECT_EQ(a.zone, 1u);
  EXPECT_EQ(a.margin, uint64_t{65536 - other} * 65536 / (65536 + other));
  EXPECT_EQ(a.word_count, 2u);
  EXPECT_EQ(a.feature_count, 1u); // punctuation does not count
  EXPECT_EQ(a.row_count, 1u);
  EXPECT_EQ(a.top_count, 2u);
  EXPECT_EQ(a.top_class[0], 0u);
  EXPECT_EQ(a.top_zone[1], 3u);
  EXPECT_EQ(a.flags, 0u);

  // "levy zzz": n = isqrt(1600 + 400) = 44, m = 50, q1 = 127; g = 290, x = 12700 * 290 >> 16 = 56;
  // confidence 65536 / (65536 + exp2[56]) = 0.54: not enough for tax, nor for law.
  a = subject.reference("levy zzz");
  other = pack::exp2Table()[56];
  EXPECT_EQ(a.best_zone, 3u);
  EXPECT_EQ(a.best_confidence, uint64_t{65536} * 65536 / (65536 + other));
  ASSERT_LT(a.best_confidence, 40000u);
  EXPECT_EQ(a.zone, 0u); // law has no other class: the same confidence
  EXPECT_EQ(a.confidence, 65536u);
  EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_EMBEDDING));

  // No known feature: the bias (zero) leaves equal scores; the lowest class is the guess.
  for (const char *text : {"", "zzz"}) {
    a = subject.reference(text);
    EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_NONE));
    EXPECT_EQ(a.flags, SEMDNS_KERNEL_NO_EVIDENCE);
    EXPECT_EQ(a.zone, 0u);
    EXPECT_EQ(a.confidence, 65536u);
    EXPECT_EQ(a.best_zone, 1u);
    EXPECT_EQ(a.best_confidence, 32768u);
    EXPECT_EQ(a.margin, 0u);
  }
  for (const char *text : {"Soup!", "levy zzz", "", "zzz"})
    expectEqual(subject, text);
}

TEST(Reference, StageOneByHand) {
  spec::ZoneTree tree;
  pack::RoutingModel model = handModel(tree);
  model.keywords.terms = {{{word("soup")}, "soup", 1, 10},
                          {{word("tax"), word("law")}, "tax law", 3, 20},
                          {{word("law")}, "law", 2, 5},
                          {{word("law")}, "law", 1, 5}};
  model.keywords.acceptVotes = 20;
  model.keywords.acceptPurity = 50000;
  model.keywords.confidence = 60000;
  Subject subject(model, tree, 1);

  // Hits 1, 2, 3: tax 20, law 5, food 5. A = 25 of T = 30: purity 54613.
  semdns_kernel_answer a = subject.reference("Tax law");
  EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_KEYWORD));
  EXPECT_EQ(a.hit_count, 3u);
  EXPECT_EQ(a.votes, 20u);
  EXPECT_EQ(a.zone, 3u);
  EXPECT_EQ(a.best_zone, 3u);
  EXPECT_EQ(a.confidence, 60000u);
  EXPECT_EQ(a.margin, 60000u);
  EXPECT_EQ(a.top_count, 1u);
  EXPECT_EQ(a.top_zone[0], 3u);
  // One soup more: A = 25 of T = 40, not pure enough; stage 2 sees soup.
  a = subject.reference("tax law soup");
  EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_EMBEDDING));
  EXPECT_EQ(a.hit_count, 4u);
  EXPECT_EQ(a.votes, 20u);
  // Too few votes; without stage 2 the root answers and stage 1's winner is the guess.
  a = subject.reference("soup", SEMDNS_KERNEL_STAGE_KEYWORD);
  EXPECT_EQ(a.stage, static_cast<uint32_t>(SEMDNS_KERNEL_STAGE_NONE));
  EXPECT_EQ(a.best_zone, 1u);
  EXPECT_EQ(a.zone, 0u);
  EXPECT_EQ(a.flags, SEMDNS_KERNEL_NO_EVIDENCE);
  // "tax, law": punctuation is a word, so the phrase does not match. Votes 5 and 5: the lowest
  // zone.
  a = subject.reference("tax, law", SEMDNS_KERNEL_STAGE_KEYWORD);
  EXPECT_EQ(a.hit_count, 2u);
  EXPECT_EQ(a.best_zone, 1u);
  for (const char *text : {"Tax law", "tax law soup", "soup", "tax, law", ""})
    expectEqual(subject, text);
}

TEST(Reference, AgreesWithThePortableKernelOnRandomModels) {
  std::mt19937_64 random(20261123);
  std::map<uint32_t, int> stages;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    test::ModelOptions options;
    options.seed = seed;
    options.domains = 1 + seed % 7;
    options.leaves = seed % 6;
    options.innerClasses = seed & 1;
    options.rootClass = seed & 2;
    options.embedding = seed % 9 != 0;
    options.dim = 16 * (1 + seed % 9);
    options.wordNgramMax = 1 + seed % 3;
    if (seed % 4) {
      options.charMin = 2 + seed % 3;
      options.charMax = options.charMin + seed % 2 + 1;
    }
    options.punct = seed & 4;
    options.gain = seed % 10 == 0 ? 1u << 24 : 1u << seed % 16;
    test::TestModel model = test::makeModel(options, textSection());
    for (uint32_t layout : {1u, 2u, 4u}) {
      Subject subject(model.model, model.tree, layout);
      for (uint32_t i = 0; i < 25; ++i) {
        std::string text = i % 4 == 3 ? test::hostileText(random, random() % 500)
                                      : test::randomText(random, model, 1 + random() % 30);
        expectEqual(subject, text);
        if (HasFatalFailure())
          FAIL() << "seed " << seed << ", layout " << layout;
        ++stages[subject.reference(text).stage];
      }
      expectEqual(subject, test::hostileText(random, 20000));
      expectEqual(subject, test::randomText(random, model, 5000));
    }
  }
  // The comparison means something only when every stage had its say.
  EXPECT_GT(stages[SEMDNS_KERNEL_STAGE_NONE], 20);
  EXPECT_GT(stages[SEMDNS_KERNEL_STAGE_KEYWORD], 20);
  EXPECT_GT(stages[SEMDNS_KERNEL_STAGE_EMBEDDING], 20);
}

TEST(Reference, ExtremeModelsStayWithinTheBounds) {
  // Every value at its limit and as many features as there can be: a bound that does not hold
  // aborts inside the reference, a kernel that overflows differs from it.
  for (int sign : {1, -1}) {
    spec::ZoneTree tree;
    pack::RoutingModel model;
    handTree(tree, model);
    pack::EmbeddingModel &e = model.embedding;
    e.dim = SEMDNS_MAX_DIM;
    e.wordNgramMax = 3;
    e.charNgramMin = 2;
    e.charNgramMax = 6;
    e.hashes = {0};
    // One letter repeated has few distinct n-grams, so all of them can have a row.
    reference::TokenOptions options{3, 2, 6, false};
    std::string text;
    while (text.size() < 8190)
      text += "aaaaaaaa ";
    for (uint64_t hash : reference::tokenise(text, options).features)
      if (std::find(e.hashes.begin(), e.hashes.end(), hash) == e.hashes.end())
        e.hashes.push_back(hash);
    e.rows.assign(e.hashes.size() * e.dim, static_cast<int8_t>(127 * sign));
    e.norms.assign(e.hashes.size(), 65535);
    e.norms[0] = 0;
    e.classes.assign(size_t{2} * e.dim, 127);
    std::fill(e.classes.begin() + e.dim, e.classes.end(), static_cast<int8_t>(-127));
    e.gain = 1u << 24;
    e.unknownNorm = 65535;
    Subject subject(model, tree, 4);
    semdns_kernel_answer a = subject.reference(text);
    EXPECT_GT(a.row_count, 8000u);
    EXPECT_EQ(a.best_zone, sign > 0 ? 1u : 3u);
    expectEqual(subject, text);
  }
}

TEST(Reference, AgreesOnTheRoutingSets) {
  const char *data = std::getenv("SEMDNS_DATA");
  std::filesystem::path folder = std::filesystem::path(data ? data : "") / "routing";
  if (!data || !std::filesystem::is_directory(folder))
    GTEST_SKIP() << "no routing sets: set SEMDNS_DATA to the folder that holds routing/";
  test::ModelOptions options;
  options.charMin = 3;
  options.charMax = 5;
  test::TestModel model = test::makeModel(options, textSection());
  // Words of the sets themselves, so that texts have known features.
  Diagnostics diags;
  std::vector<std::string> texts;
  for (const char *name : {"clinc150.test.jsonl", "banking77.test.jsonl", "hwu64.test.jsonl",
                           "newsgroups20.test.jsonl", "medmcqa.test.jsonl"})
    for (LabelledText &row : readJsonLines((folder / name).string(), false, diags))
      texts.push_back(std::move(row.text));
  ASSERT_FALSE(diags.hasErrors());
  pack::EmbeddingModel &e = model.model.embedding;
  std::mt19937_64 random(5);
  std::map<uint64_t, bool> known;
  for (uint64_t hash : e.hashes)
    known[hash] = true;
  for (size_t i = 0; i < texts.size(); i += 20)
    for (uint64_t hash : reference::tokenise(texts[i], {2, 3, 5, false}).features) {
      if (e.hashes.size() > 20000 || !known.emplace(hash, true).second)
        continue;
      e.hashes.push_back(hash);
      e.norms.push_back(static_cast<uint16_t>(random() % 2000));
      for (uint32_t d = 0; d < e.dim; ++d)
        e.rows.push_back(static_cast<int8_t>(static_cast<int>(random() % 255) - 127));
    }
  Subject subject(model.model, model.tree, pack::chooseLayout(16));
  for (size_t i = 0; i < texts.size(); i += 3) {
    ASSERT_EQ(show(subject.portable(texts[i])), show(subject.reference(texts[i]))) << texts[i];
  }
}

} // namespace
} // namespace semdns
