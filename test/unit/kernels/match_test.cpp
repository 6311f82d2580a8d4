// Stage 1: the automaton against a naive search, and the builder against the validator.
#include "kernels/match.h"

#include "lib/pack/keywords_build.h"
#include "lib/pack/zones_build.h"
#include "runtime/artifact/keywords.h"
#include "runtime/artifact/zones.h"
#include "test/unit/kernels/aligned.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

namespace semdns {
namespace {

using pack::KeywordModel;
using test::Aligned;

constexpr uint32_t kZones = 5;

/// A root and four zones below it.
std::string zonesSection() {
  spec::ZoneTree tree;
  for (uint32_t i = 0; i < kZones; ++i) {
    spec::Zone zone;
    if (i) {
      zone.parent = 0;
      zone.depth = 1;
      zone.name = std::string(1, static_cast<char>('a' + i)) + ".";
      zone.path = zone.name.substr(0, 1);
    }
    zone.subtreeEnd = i ? i + 1 : kZones;
    tree.zones.push_back(zone);
  }
  pack::RoutingModel model;
  model.acceptance.threshold.assign(kZones, 0);
  std::string error;
  auto bytes = pack::buildZonesSection(model, tree, error);
  EXPECT_TRUE(bytes) << error;
  return *bytes;
}

uint64_t wordHash(uint32_t n) { return semdns_word_hash(semdns_hash_step(SEMDNS_HASH_SEED, n), 0); }

Aligned build(const KeywordModel &model) {
  std::string error;
  auto bytes = pack::buildKeywordsSection(model, kZones, error);
  EXPECT_TRUE(bytes) << error;
  EXPECT_EQ(bytes, pack::buildKeywordsSection(model, kZones, error));
  Aligned section(*bytes), zones(zonesSection());
  artifact::Zones tree;
  artifact::Keywords keywords;
  base::Error fault{};
  EXPECT_TRUE(artifact::Zones::parse(zones.span(), tree, fault)) << fault.message;
  EXPECT_TRUE(artifact::Keywords::parse(section.span(), tree, keywords, fault)) << fault.message;
  return section;
}

/// At each word, the terms that end there: longest first, then by number.
std::vector<uint32_t> naive(const KeywordModel &model, const std::vector<uint64_t> &words) {
  std::vector<uint32_t> hits;
  for (size_t end = 1; end <= words.size(); ++end)
    for (size_t length = SEMDNS_MAX_TERM_WORDS; length > 0; --length)
      for (uint32_t t = 0; t < model.terms.size(); ++t) {
        const std::vector<uint64_t> &term = model.terms[t].words;
        if (term.size() == length && length <= end &&
            std::equal(term.begin(), term.end(), words.begin() + (end - length)))
          hits.push_back(t);
      }
  if (hits.size() > SEMDNS_MAX_HITS)
    hits.resize(SEMDNS_MAX_HITS);
  return hits;
}

std::vector<uint32_t> match(const Aligned &section, const std::vector<uint64_t> &words) {
  std::vector<uint32_t> hits(SEMDNS_MAX_HITS);
  hits.resize(
      uk_match(section.data(), words.data(), static_cast<uint32_t>(words.size()), hits.data()));
  return hits;
}

TEST(Match, RandomOverlappingTerms) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 300; ++round) {
    uint32_t alphabet = 1 + random() % 6;
    KeywordModel model;
    for (size_t t = random() % 60; t > 0; --t) {
      pack::Term term;
      for (size_t w = 1 + random() % SEMDNS_MAX_TERM_WORDS; w > 0; --w)
        term.words.push_back(wordHash(1 + random() % alphabet));
      term.text = "t" + std::to_string(t);
      term.zone = 1 + random() % (kZones - 1);
      term.weight = 1 + random() % SEMDNS_MAX_TERM_WEIGHT;
      model.terms.push_back(term);
    }
    Aligned section = build(model);
    for (int text = 0; text < 20; ++text) {
      std::vector<uint64_t> words;
      for (size_t w = random() % 40; w > 0; --w)
        words.push_back(wordHash(1 + random() % (alphabet + 1))); // one word is in no term
      ASSERT_EQ(match(section, words), naive(model, words)) << "round " << round;
    }
  }
}

TEST(Match, NoTerms) {
  Aligned section = build({});
  EXPECT_TRUE(match(section, {wordHash(1), wordHash(2)}).empty());
  EXPECT_TRUE(match(section, {}).empty());
}

TEST(Match, ManyTermsStaySmall) {
  // 20,000 two-word terms over 3,000 words: with every transition of the automaton stored, the step
  // table would have 60 million entries, a gigabyte at least.
  std::mt19937_64 random(4);
  KeywordModel model;
  for (uint32_t t = 0; t < 20000; ++t)
    model.terms.push_back({{wordHash(1 + random() % 3000), wordHash(1 + random() % 3000)},
                           "t",
                           1 + t % 4,
                           1 + t % 100});
  Aligned section = build(model);
  EXPECT_LT(section.span().size, 64u << 20);
  for (int text = 0; text < 50; ++text) {
    std::vector<uint64_t> words;
    for (int w = 0; w < 30; ++w)
      words.push_back(wordHash(1 + random() % 3000));
    ASSERT_EQ(match(section, words), naive(model, words));
  }
}

TEST(Match, BuilderSaysWhatIsWrong) {
  auto refusal = [](const pack::Term &term) {
    KeywordModel model;
    model.terms.push_back(term);
    std::string error;
    EXPECT_FALSE(pack::buildKeywordsSection(model, kZones, error));
    return error;
  };
  EXPECT_EQ(refusal({{}, "x", 1, 1}), "keyword 'x' has no word, or more than 8");
  EXPECT_EQ(refusal({std::vector<uint64_t>(9, 1), "x", 1, 1}),
            "keyword 'x' has no word, or more than 8");
  EXPECT_EQ(refusal({{1}, "x", 0, 1}), "keyword 'x' belongs to no zone below the root");
  EXPECT_EQ(refusal({{1}, "x", kZones, 1}), "keyword 'x' belongs to no zone below the root");
  EXPECT_EQ(refusal({{1}, "x", 1, 0}), "keyword 'x' has a weight outside 1..65535");
  EXPECT_EQ(refusal({{1}, "x", 1, 65536}), "keyword 'x' has a weight outside 1..65535");
}

} // namespace
} // namespace semdns
