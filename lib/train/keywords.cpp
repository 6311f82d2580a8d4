#include "lib/train/keywords.h"

#include "kernels/hash.h"
#include "lib/text/words.h"
#include "lib/train/numeric.h"
#include "semdns/format/keywords.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <unordered_map>

namespace semdns::train {

namespace {

constexpr uint32_t kMinedWords = 2; // longest mined phrase: longer ones answer less, and err more
constexpr uint32_t kMinedTexts = 3; // fewest texts of its zone
constexpr double kMinedPurity = 0.6;
constexpr double kLeastPrecision = 0.98; // of stage 1's answers, by Wilson's lower bound
constexpr double kLeastHarmless = 0.995; // share on which stage 1 does not spoil stage 2's answer

uint64_t extend(uint64_t h, uint64_t word) { return semdns_hash_mix(h * 31 + word); }

bool isPunct(uint64_t word) { return word & 1; }

std::string_view asString(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

/// Wilson's lower bound of a proportion at 95 % (z = 1.96).
double wilsonLower(double right, double n) {
  constexpr double z2 = 1.96 * 1.96;
  double p = right / n;
  return (p + z2 / (2 * n) - 1.96 * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n);
}

} // namespace

std::vector<pack::Term> mineTerms(std::span<const KeywordText> texts,
                                  std::span<const Example *const> sources,
                                  std::span<const uint8_t> textSection, size_t limit) {
  struct Seen {
    uint64_t hash;
    uint32_t zone, text, position, length;
  };
  std::vector<Seen> seen; // one per text and phrase
  std::vector<Seen> own;
  for (uint32_t t = 0; t < texts.size(); ++t) {
    own.clear();
    std::span<const uint64_t> words =
        texts[t].words.first(std::min<size_t>(texts[t].words.size(), 64));
    for (uint32_t i = 0; i < words.size(); ++i) {
      uint64_t h = 0;
      for (uint32_t n = 1; n <= kMinedWords && i + n <= words.size(); ++n) {
        if (isPunct(words[i + n - 1]))
          break;
        h = extend(h, words[i + n - 1]);
        own.push_back({h, texts[t].zone, t, i, n});
      }
    }
    std::sort(own.begin(), own.end(), [](const Seen &a, const Seen &b) {
      return std::tie(a.hash, a.position) < std::tie(b.hash, b.position);
    });
    for (size_t i = 0; i < own.size(); ++i)
      if (i == 0 || own[i].hash != own[i - 1].hash)
        seen.push_back(own[i]);
  }
  std::sort(seen.begin(), seen.end(), [](const Seen &a, const Seen &b) {
    return std::tie(a.hash, a.zone, a.text) < std::tie(b.hash, b.zone, b.text);
  });

  struct Candidate {
    Seen first;
    uint32_t inZone, all, weight;
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < seen.size();) {
    size_t end = i;
    while (end < seen.size() && seen[end].hash == seen[i].hash)
      ++end;
    size_t best = i, bestCount = 0;
    for (size_t j = i; j < end;) {
      size_t k = j;
      while (k < end && seen[k].zone == seen[j].zone)
        ++k;
      if (seen[j].zone != 0 && k - j > bestCount) {
        best = j;
        bestCount = k - j;
      }
      j = k;
    }
    double all = double(end - i), inZone = double(bestCount);
    if (bestCount >= kMinedTexts && inZone >= kMinedPurity * all) {
      // 100 times the base-2 log-odds, smoothed so that rare phrases stay modest.
      double odds = (inZone + 0.1) / (all - inZone + 0.5);
      double weight = 100 * log2Of(odds) + 0.5;
      if (weight >= 1)
        candidates.push_back({seen[best], uint32_t(bestCount), uint32_t(end - i),
                              uint32_t(std::min(weight, double(kWrittenWeight)))});
    }
    i = end;
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) {
    return a.inZone != b.inZone ? a.inZone > b.inZone : a.first.hash < b.first.hash;
  });
  if (candidates.size() > limit)
    candidates.resize(limit);
  std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) {
    return std::tie(a.first.text, a.first.position, a.first.length) <
           std::tie(b.first.text, b.first.position, b.first.length);
  });

  std::vector<pack::Term> terms;
  std::vector<text::Word> spelling;
  uint32_t spelled = UINT32_MAX;
  for (const Candidate &c : candidates) {
    if (spelled != c.first.text)
      spelling = text::splitWords(asString(textSection), sources[c.first.text]->text);
    spelled = c.first.text;
    pack::Term term;
    term.zone = c.first.zone;
    term.weight = c.weight;
    for (uint32_t n = 0; n < c.first.length; ++n) {
      uint64_t word = texts[c.first.text].words[c.first.position + n];
      term.words.push_back(word);
      term.text += n ? " " : "";
      if (c.first.position + n < spelling.size() && spelling[c.first.position + n].hash == word)
        term.text += spelling[c.first.position + n].text;
    }
    terms.push_back(std::move(term));
  }
  return terms;
}

std::vector<pack::Term> termsOf(std::span<const Keyword> keywords,
                                std::span<const uint8_t> textSection, Diagnostics &diags) {
  std::vector<pack::Term> terms;
  for (const Keyword &keyword : keywords) {
    pack::Term term;
    term.text = keyword.text;
    term.zone = keyword.zone;
    uint32_t weight = keyword.weight ? keyword.weight : kWrittenWeight;
    term.weight = std::clamp<uint32_t>(weight, 1, SEMDNS_MAX_TERM_WEIGHT);
    for (const text::Word &word : text::splitWords(asString(textSection), keyword.text))
      term.words.push_back(word.hash);
    if (term.words.empty() || term.words.size() > SEMDNS_MAX_TERM_WORDS) {
      if (keyword.written)
        diags.warning({},
                      "keyword '" + keyword.text + "' has " + std::to_string(term.words.size()) +
                          " words and is ignored",
                      "a keyword has 1 to " + std::to_string(SEMDNS_MAX_TERM_WORDS) + " words");
      continue;
    }
    terms.push_back(std::move(term));
  }
  // The same words may point to one zone once; the heavier wins.
  std::sort(terms.begin(), terms.end(), [](const pack::Term &a, const pack::Term &b) {
    return std::tie(a.zone, a.words, b.weight, a.text) <
           std::tie(b.zone, b.words, a.weight, b.text);
  });
  auto same = [](const pack::Term &a, const pack::Term &b) {
    return a.zone == b.zone && a.words == b.words;
  };
  terms.erase(std::unique(terms.begin(), terms.end(), same), terms.end());
  return terms;
}

TermMatcher::TermMatcher(std::span<const pack::Term> terms, std::span<const Zone> zones)
    : terms_(terms), zones_(zones) {
  for (uint32_t t = 0; t < terms.size(); ++t) {
    uint64_t h = 0;
    for (uint64_t word : terms[t].words)
      h = extend(h, word);
    index_.push_back({h, t});
    lengths_.push_back(uint32_t(terms[t].words.size()));
  }
  std::sort(index_.begin(), index_.end());
  std::sort(lengths_.begin(), lengths_.end());
  lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
}

Verdict TermMatcher::match(std::span<const uint64_t> words) const {
  Verdict v;
  std::vector<std::pair<uint32_t, uint64_t>> votes; // few: (zone, votes)
  uint32_t hits = 0;
  for (size_t i = 0; i < words.size() && !lengths_.empty(); ++i) {
    uint64_t h = 0;
    for (uint32_t n = 1; n <= lengths_.back() && i + n <= words.size(); ++n) {
      h = extend(h, words[i + n - 1]);
      auto it = std::lower_bound(index_.begin(), index_.end(), std::pair<uint64_t, uint32_t>(h, 0));
      for (; it != index_.end() && it->first == h && hits < SEMDNS_MAX_HITS; ++it, ++hits) {
        const pack::Term &term = terms_[it->second];
        auto vote = std::find_if(votes.begin(), votes.end(),
                                 [&](const auto &entry) { return entry.first == term.zone; });
        if (vote == votes.end())
          vote = votes.insert(vote, {term.zone, 0});
        vote->second += term.weight;
        v.total += term.weight;
      }
    }
  }
  for (auto [zone, count] : votes)
    if (count > v.votes || (count == v.votes && zone < v.zone)) {
      v.votes = count;
      v.zone = zone;
    }
  for (auto [zone, count] : votes)
    if (zone <= v.zone && v.zone < zones_[zone].subtreeEnd) // the winner and its ancestors
      v.allied += count;
  return v;
}

std::pair<uint32_t, uint32_t> chooseAcceptance(std::span<const Trial> trials,
                                               pack::KeywordModel &model) {
  model.acceptVotes = SEMDNS_NEVER;
  model.acceptPurity = 65536;
  model.confidence = 0;
  uint32_t bestAnswered = 0, bestWrong = 0;
  for (uint32_t purity : {58982u, 52429u, 45875u}) {
    std::vector<const Trial *> order;
    for (const Trial &trial : trials)
      if (trial.verdict.accepted(1, purity))
        order.push_back(&trial);
    std::sort(order.begin(), order.end(), [](const Trial *a, const Trial *b) {
      return a->verdict.votes > b->verdict.votes; // equal votes stay together, in any order
    });
    uint32_t wrong = 0, wrongThere = 0, harm = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      wrong += order[i]->verdict.zone != order[i]->zone;
      wrongThere += !order[i]->embeddingRight;
      harm += order[i]->verdict.zone != order[i]->zone && order[i]->embeddingRight;
      if (i + 1 < order.size() && order[i + 1]->verdict.votes == order[i]->verdict.votes)
        continue; // a threshold cannot part equal votes
      uint32_t answered = uint32_t(i + 1);
      if (answered > bestAnswered && wrong <= wrongThere &&
          wilsonLower(answered - wrong, answered) >= kLeastPrecision &&
          (harm == 0 || wilsonLower(answered - harm, answered) >= kLeastHarmless)) {
        bestAnswered = answered;
        bestWrong = wrong;
        model.acceptVotes = uint32_t(std::min<uint64_t>(order[i]->verdict.votes, SEMDNS_NEVER - 1));
        model.acceptPurity = purity;
      }
    }
  }
  if (bestAnswered)
    model.confidence = uint32_t((bestAnswered - bestWrong + 0.5) / (bestAnswered + 1.0) * 65536);
  return {bestAnswered, bestWrong};
}

} // namespace semdns::train
