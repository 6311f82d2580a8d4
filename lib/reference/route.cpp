#include "lib/reference/route.h"

#include "kernels/hash.h"
#include "lib/reference/tokens.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

namespace semdns::reference {
namespace {

/// A bound that the architecture claims; checked in every build type.
#define SEMDNS_BOUND(condition)                                                                    \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      std::fprintf(stderr, "semdns: reference: bound does not hold: %s\n", #condition);            \
      std::abort();                                                                                \
    }                                                                                              \
  } while (false)

constexpr uint32_t kOne = 65536; // Q16

template <typename T> const T &headerOf(std::string_view section) {
  return *reinterpret_cast<const T *>(section.data());
}

template <typename T> const T *arrayAt(std::string_view section, uint64_t offset) {
  return reinterpret_cast<const T *>(section.data() + offset);
}

uint32_t lookUp(const semdns_word_bucket *buckets, uint32_t count, uint64_t hash) {
  const semdns_word_bucket &bucket = buckets[semdns_bucket(hash, count)];
  for (uint32_t slot = 0; slot < 8; ++slot)
    if (bucket.fingerprint[slot] == semdns_fingerprint(hash))
      return bucket.id[slot];
  return 0;
}

/// Largest r with r * r <= x.
int64_t squareRoot(int64_t x) {
  int64_t low = 0, high = INT64_C(3037000499); // the root of 2^63 - 1
  while (low < high) {
    int64_t middle = low + (high - low + 1) / 2;
    if (middle * middle <= x)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

int64_t divideDown(int64_t a, int64_t b) { // b > 0
  int64_t quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

class Router {
public:
  Router(const Sections &sections, uint32_t topK)
      : s_(sections), topK_(topK), keyw_(headerOf<semdns_keyw_header>(sections.keyw)),
        tokv_(headerOf<semdns_tokv_header>(sections.tokv)),
        cent_(headerOf<semdns_cent_header>(sections.cent)),
        clsf_(headerOf<semdns_clsf_header>(sections.clsf)) {}

  semdns_kernel_answer route(std::string_view text, uint32_t stages) {
    answer_.size = sizeof answer_;
    TokenOptions options;
    options.wordNgramMax = tokv_.word_ngram_max;
    options.charNgramMin = tokv_.char_ngram_min;
    options.charNgramMax = tokv_.char_ngram_max;
    options.punct = tokv_.flags & SEMDNS_FEATURE_PUNCT;
    tokens_ = tokenise(text, options);
    answer_.word_count = static_cast<uint32_t>(tokens_.words.size());
    answer_.feature_count = static_cast<uint32_t>(tokens_.features.size());
    if (tokens_.truncated)
      answer_.flags |= SEMDNS_KERNEL_TRUNCATED;
    if (tokens_.repaired)
      answer_.flags |= SEMDNS_KERNEL_REPAIRED;

    uint32_t keywordWinner = 0;
    if ((stages & SEMDNS_KERNEL_STAGE_KEYWORD) && keywords(keywordWinner))
      return answer_;
    if ((stages & SEMDNS_KERNEL_STAGE_EMBEDDING) && clsf_.class_count > 0) {
      embedding();
      return answer_;
    }
    answer_.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
    answer_.confidence = kOne;
    answer_.best_zone = keywordWinner;
    answer_.best_confidence = keywordWinner ? 0 : kOne;
    return answer_;
  }

private:
  uint32_t parent(uint32_t zone) const {
    return arrayAt<uint32_t>(s_.clsf, clsf_.zone_parent_offset)[zone];
  }

  /// The automaton's next state: the first edge for `word` on the way along the failure links.
  uint32_t step(uint32_t state, uint32_t word) const {
    const auto *states = arrayAt<semdns_keyw_state>(s_.keyw, keyw_.states_offset);
    const auto *edges = arrayAt<semdns_keyw_edge>(s_.keyw, keyw_.edges_offset);
    while (state != 0) {
      for (uint32_t e = states[state].edge_begin; e < states[state + 1].edge_begin; ++e)
        if (edges[e].word == word)
          return edges[e].state;
      state = states[state].fail;
    }
    return arrayAt<uint32_t>(s_.keyw, keyw_.roots_offset)[word];
  }

  std::vector<uint32_t> hits() const {
    std::vector<uint32_t> result;
    const auto *table = arrayAt<semdns_word_bucket>(s_.keyw, keyw_.words_offset);
    const auto *states = arrayAt<semdns_keyw_state>(s_.keyw, keyw_.states_offset);
    const auto *outputs = arrayAt<uint32_t>(s_.keyw, keyw_.outputs_offset);
    uint32_t state = 0;
    for (uint64_t hash : tokens_.words) {
      uint32_t word = lookUp(table, keyw_.word_buckets, hash);
      state = word ? step(state, word) : 0;
      result.insert(result.end(), outputs + states[state].output_begin,
                    outputs + states[state + 1].output_begin);
    }
    if (result.size() > SEMDNS_MAX_HITS)
      result.resize(SEMDNS_MAX_HITS);
    return result;
  }

  /// Stage 1; true when it answers.
  bool keywords(uint32_t &winner) {
    const auto *terms = arrayAt<semdns_term>(s_.keyw, keyw_.terms_offset);
    std::map<uint32_t, int64_t> votes;
    int64_t total = 0;
    for (uint32_t term : hits()) {
      ++answer_.hit_count;
      votes[terms[term].zone] += terms[term].weight;
      total += terms[term].weight;
    }
    SEMDNS_BOUND(total <= int64_t{SEMDNS_MAX_HITS} * SEMDNS_MAX_TERM_WEIGHT);
    if (votes.empty())
      return false;
    int64_t largest = 0;
    for (auto [zone, vote] : votes) // ascending zones: the first of equals stays
      if (vote > largest) {
        largest = vote;
        winner = zone;
      }
    answer_.votes = static_cast<uint32_t>(largest);
    int64_t agreeing = largest;
    for (uint32_t zone = winner; zone != 0;) {
      zone = parent(zone);
      if (votes.count(zone))
        agreeing += votes[zone];
    }
    if (largest < keyw_.accept_votes || agreeing * kOne < total * keyw_.accept_purity)
      return false;
    answer_.stage = SEMDNS_KERNEL_STAGE_KEYWORD;
    answer_.zone = answer_.best_zone = winner;
    answer_.confidence = answer_.best_confidence = answer_.margin = keyw_.confidence;
    answer_.top_count = 1;
    answer_.top_class[0] = SEMDNS_NONE;
    answer_.top_zone[0] = winner;
    answer_.top_confidence[0] = keyw_.confidence;
    return true;
  }

  /// Stage 2's pooled vector; sets `norm` to n.
  std::vector<int64_t> pool(int64_t &norm) {
    const auto *buckets = arrayAt<semdns_word_bucket>(s_.tokv, tokv_.buckets_offset);
    const auto *rows = arrayAt<int8_t>(s_.tokv, tokv_.rows_offset);
    const auto *norms = arrayAt<uint16_t>(s_.tokv, tokv_.norms_offset);
    std::vector<int64_t> sums(rows, rows + tokv_.dim);
    int64_t squares = 0;
    for (size_t i = 0; i < tokens_.features.size(); ++i) {
      uint32_t row = lookUp(buckets, tokv_.bucket_count, tokens_.features[i]);
      if (row) {
        ++answer_.row_count;
        for (uint32_t d = 0; d < tokv_.dim; ++d)
          sums[d] += rows[size_t{row} * tokv_.dim + d];
        squares += int64_t{norms[row]} * norms[row];
      } else if (i >= tokens_.chars && i < tokens_.chars + tokens_.unigrams) {
        squares += int64_t{tokv_.unknown_norm} * tokv_.unknown_norm;
      }
    }
    for (int64_t sum : sums)
      SEMDNS_BOUND(std::llabs(sum) < INT64_C(1) << 21);
    norm = std::max<int64_t>(1, squareRoot(squares));
    return sums;
  }

  /// Scores of all classes, whose vectors are in CENT's `layout`.
  std::vector<int64_t> scores(const std::vector<int64_t> &quantised, const int8_t *vectors,
                              uint32_t dim, uint32_t layout) const {
    std::vector<int64_t> result;
    for (uint32_t c = 0; c < clsf_.class_count; ++c) {
      uint32_t group = c / (16 * layout), block = c / 16 % layout, lane = c % 16;
      int64_t score = 0;
      for (uint32_t d = 0; d < dim; ++d) {
        size_t line = (size_t{group} * (dim / 4) + d / 4) * layout + block;
        score += quantised[d] * vectors[line * 64 + lane * 4 + d % 4];
      }
      SEMDNS_BOUND(std::llabs(score) < INT64_C(1) << (dim > SEMDNS_MAX_DIM ? 25 : 24));
      result.push_back(score);
    }
    return result;
  }

  uint32_t confidenceOf(uint32_t zone, const std::vector<int64_t> &weights, int64_t total) const {
    if (zone == 0)
      return kOne;
    uint32_t begin = arrayAt<uint32_t>(s_.clsf, clsf_.zone_class_begin_offset)[zone];
    uint32_t end = arrayAt<uint32_t>(s_.clsf, clsf_.zone_class_end_offset)[zone];
    int64_t sum = 0;
    for (uint32_t c = begin; c < end; ++c)
      sum += weights[c];
    return static_cast<uint32_t>(sum * kOne / total);
  }

  void embedding() {
    int64_t norm;
    std::vector<int64_t> pooled = pool(norm);
    int64_t magnitude = 0;
    for (int64_t p : pooled)
      magnitude = std::max<int64_t>(magnitude, std::llabs(p));
    std::vector<int64_t> quantised(pooled.size(), 0);
    if (magnitude > 0) {
      int64_t scale = (INT64_C(127) << 24) / magnitude;
      SEMDNS_BOUND(scale < INT64_C(1) << 31);
      for (size_t d = 0; d < pooled.size(); ++d) {
        int64_t scaled = pooled[d] * scale + (INT64_C(1) << 23);
        SEMDNS_BOUND(scaled >= INT32_MIN && scaled <= INT32_MAX);
        quantised[d] = divideDown(scaled, INT64_C(1) << 24);
        SEMDNS_BOUND(quantised[d] >= -127 && quantised[d] <= 127);
      }
    }

    if (!s_.beam.empty()) {
      descend(quantised, std::min<int64_t>(int64_t{clsf_.gain} * magnitude / norm, (1 << 24) - 1));
      return;
    }
    score2_ =
        scores(quantised, arrayAt<int8_t>(s_.cent, cent_.vectors_offset), cent_.dim, cent_.layout);
    gain2_ = std::min<int64_t>(int64_t{clsf_.gain} * magnitude / norm, (1 << 24) - 1);
    accept(score2_, gain2_, arrayAt<uint32_t>(s_.clsf, clsf_.zone_threshold_offset),
           clsf_.root_odds);
    if (answer_.row_count == 0) {
      answer_.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
      answer_.zone = 0;
      answer_.confidence = kOne;
      return;
    }
    answer_.stage = SEMDNS_KERNEL_STAGE_EMBEDDING;
  }

  /// What the descent knows of the nodes that it has looked at: the mass of each of their entries
  /// and, for zones with several, weights and rate.
  struct Seen {
    int64_t rate = 0;
    std::vector<int64_t> weight;
  };

  int64_t massOf(uint32_t zone, const std::map<uint32_t, Seen> &seen) const {
    if (zone == 0)
      return SEMDNS_BEAM_ONE;
    const auto &beam = headerOf<semdns_beam_header>(s_.beam);
    const auto &home = arrayAt<semdns_beam_home>(s_.beam, beam.homes_offset)[zone];
    auto it = seen.find(home.node);
    if (it == seen.end())
      return 0;
    uint32_t first = arrayAt<semdns_beam_node>(s_.beam, beam.nodes_offset)[home.node].entry_begin;
    int64_t sum = 0;
    for (uint32_t e = home.begin; e < home.end; ++e)
      sum += it->second.weight[e - first];
    return divideDown(sum * it->second.rate, kOne);
  }

  /// Log2 in 1/256 bit, by the table of powers of two.
  int64_t log2Of(int64_t x) const {
    if (x == 0)
      return -32 * 256;
    const auto *exp2 = arrayAt<uint32_t>(s_.clsf, clsf_.exp2_offset);
    int64_t whole = 0;
    while (x >> (whole + 1))
      ++whole;
    int64_t q16 = whole >= 16 ? x >> (whole - 16) : x << (16 - whole), part = 0;
    for (int64_t i = 1; i < 256; ++i)
      if (2 * int64_t{exp2[256 - i]} <= q16)
        part = i;
    return whole * 256 + part;
  }

  /// Stage 2 down the search tree: "Arithmetic", Beam. Everything that is found is kept and sorted.
  void descend(const std::vector<int64_t> &quantised, int64_t gain) {
    const auto &beam = headerOf<semdns_beam_header>(s_.beam);
    const auto *nodes = arrayAt<semdns_beam_node>(s_.beam, beam.nodes_offset);
    const auto *target = arrayAt<uint32_t>(s_.beam, beam.target_offset);
    const auto *bias = arrayAt<int32_t>(s_.beam, beam.bias_offset);
    const auto *exp2 = arrayAt<uint32_t>(s_.clsf, clsf_.exp2_offset);
    const auto *vectors = arrayAt<int8_t>(s_.cent, cent_.vectors_offset);
    using Item = std::pair<int64_t, uint32_t>; // mass; node or class
    auto first = [](const Item &x, const Item &y) {
      return x.first != y.first ? x.first > y.first : x.second < y.second;
    };
    std::map<uint32_t, Seen> seen;
    std::vector<Item> level = {{SEMDNS_BEAM_ONE, 0}}, found;
    int64_t rootMass = 0;
    auto guess = [&]() -> Item {
      for (const Item &item : found)
        if (item.second >= clsf_.root_class)
          return item;
      return {0, SEMDNS_NONE};
    };
    while (!level.empty()) {
      std::vector<Item> next;
      for (const Item &from : level) {
        if (from.first <= guess().first)
          continue;
        const semdns_beam_node &node = nodes[from.second];
        std::vector<int64_t> score;
        for (uint32_t i = 0; i < node.entry_count; ++i) {
          const uint32_t e = node.entry_begin + i;
          int64_t sum = 0;
          for (uint32_t d = 0; d < cent_.dim; ++d)
            sum += quantised[d] *
                   vectors[(size_t{e / 16} * (cent_.dim / 4) + d / 4) * 64 + e % 16 * 4 + d % 4];
          SEMDNS_BOUND(std::llabs(sum) < INT64_C(1) << 24);
          score.push_back(sum);
        }
        const int64_t top = std::max<int64_t>(0, *std::max_element(score.begin(), score.end()));
        for (uint32_t i = 0; i < node.entry_count; ++i)
          score[i] = bias[node.entry_begin + i] - distance(top - score[i], gain);
        const int64_t best = *std::max_element(score.begin(), score.end());
        Seen own;
        int64_t total = 0;
        for (int64_t logit : score) {
          const int64_t x = best - logit;
          SEMDNS_BOUND(x >= 0 && x <= INT32_MAX);
          own.weight.push_back(x >> 8 > 16 ? 0 : exp2[x & 255] >> (x >> 8));
          total += own.weight.back();
        }
        SEMDNS_BOUND(total >= kOne && total <= INT32_MAX);
        own.rate = divideDown(from.first * kOne, total);
        for (uint32_t i = 0; i < node.entry_count; ++i) {
          const int64_t mass = divideDown(own.rate * own.weight[i], kOne);
          const uint32_t to = target[node.entry_begin + i];
          if (mass == 0)
            continue;
          if (to & SEMDNS_BEAM_NODE) {
            next.push_back({mass, to & ~SEMDNS_BEAM_NODE});
          } else {
            found.push_back({mass, to});
            if (to < clsf_.root_class)
              rootMass = mass;
          }
        }
        std::sort(found.begin(), found.end(), first);
        seen[from.second] = std::move(own);
      }
      std::sort(next.begin(), next.end(), first);
      if (next.size() > beam.width)
        next.resize(beam.width);
      level.clear();
      for (const Item &item : next)
        if (item.first >= next[0].first >> beam.spread)
          level.push_back(item);
    }

    auto q16 = [](int64_t mass) { return static_cast<uint32_t>(mass >> 15); };
    answer_.gain = static_cast<uint32_t>(gain);
    answer_.total_weight = kOne;
    if (!found.empty())
      answer_.margin = q16(found[0].first - (found.size() > 1 ? found[1].first : 0));
    const auto *classZone = arrayAt<uint32_t>(s_.clsf, clsf_.class_zone_offset);
    answer_.top_count = std::min<uint32_t>(topK_, static_cast<uint32_t>(found.size()));
    for (uint32_t i = 0; i < answer_.top_count; ++i) {
      answer_.top_class[i] = found[i].second;
      answer_.top_zone[i] = classZone[found[i].second];
      answer_.top_confidence[i] = q16(found[i].first);
    }
    const Item best = guess();
    uint32_t zone = best.second == SEMDNS_NONE ? 0 : classZone[best.second];
    answer_.best_zone = zone;
    answer_.best_confidence = q16(massOf(zone, seen));
    answer_.odds = INT32_MAX;
    if (clsf_.root_class == 1 && best.second != SEMDNS_NONE)
      answer_.odds = static_cast<int32_t>(log2Of(best.first) - log2Of(rootMass));
    answer_.confidence = kOne;
    if (answer_.row_count == 0) {
      answer_.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
      return;
    }
    answer_.stage = SEMDNS_KERNEL_STAGE_EMBEDDING;
    if (answer_.odds < clsf_.root_odds)
      zone = 0;
    const auto *threshold = arrayAt<uint32_t>(s_.clsf, clsf_.zone_threshold_offset);
    while (zone != 0 && q16(massOf(zone, seen)) < threshold[zone])
      zone = parent(zone);
    answer_.zone = zone;
    answer_.confidence = q16(massOf(zone, seen));
  }

  /// A difference of scores in 1/256 bit.
  static int64_t distance(int64_t difference, int64_t gain) {
    int64_t limit = INT64_C(0x7fffffff) / std::max<int64_t>(gain, 1);
    int64_t product = std::min(difference, limit) * gain;
    SEMDNS_BOUND(product >= 0 && product <= INT32_MAX);
    return product >> 16;
  }

  void accept(const std::vector<int64_t> &score, int64_t gain, const uint32_t *threshold,
              int32_t rootOdds) {
    int64_t top = *std::max_element(score.begin(), score.end());
    const auto *exp2 = arrayAt<uint32_t>(s_.clsf, clsf_.exp2_offset);
    std::vector<int64_t> weights;
    int64_t total = 0;
    for (int64_t s : score) {
      SEMDNS_BOUND(top - s <= INT32_MAX);
      int64_t x = distance(top - s, gain);
      int64_t weight = x >> 8 > 16 ? 0 : exp2[x & 255] >> (x >> 8);
      SEMDNS_BOUND(weight <= kOne);
      weights.push_back(weight);
      total += weight;
    }
    SEMDNS_BOUND(total >= kOne && total <= INT64_C(1) << 30);
    answer_.total_weight = static_cast<uint32_t>(total);
    answer_.gain = static_cast<uint32_t>(gain);

    const auto *classZone = arrayAt<uint32_t>(s_.clsf, clsf_.class_zone_offset);
    std::vector<uint32_t> ranking;
    for (uint32_t c = 0; c < clsf_.class_count; ++c)
      ranking.push_back(c);
    std::sort(ranking.begin(), ranking.end(), [&](uint32_t a, uint32_t b) {
      return score[a] != score[b] ? score[a] > score[b] : a < b;
    });
    answer_.margin =
        ranking.size() == 1
            ? kOne
            : static_cast<uint32_t>((weights[ranking[0]] - weights[ranking[1]]) * kOne / total);
    answer_.top_count = std::min<uint32_t>(topK_, clsf_.class_count);
    for (uint32_t i = 0; i < answer_.top_count; ++i) {
      answer_.top_class[i] = ranking[i];
      answer_.top_zone[i] = classZone[ranking[i]];
      answer_.top_confidence[i] = static_cast<uint32_t>(weights[ranking[i]] * kOne / total);
    }

    auto best = std::find_if(ranking.begin(), ranking.end(),
                             [&](uint32_t c) { return c >= clsf_.root_class; });
    uint32_t zone = best == ranking.end() ? 0 : classZone[*best];
    answer_.best_zone = zone;
    answer_.best_confidence = confidenceOf(zone, weights, total);
    answer_.odds = INT32_MAX;
    if (clsf_.root_class == 1 && best != ranking.end()) {
      int64_t lead = score[*best] - score[0], size = distance(std::llabs(lead), gain);
      answer_.odds = static_cast<int32_t>(lead >= 0 ? size : -size);
    }
    if (answer_.odds < rootOdds)
      zone = 0;
    while (zone != 0 && confidenceOf(zone, weights, total) < threshold[zone])
      zone = parent(zone);
    answer_.zone = zone;
    answer_.confidence = confidenceOf(zone, weights, total);
  }

public:
  /// Stage 3 over stage 2's scores.
  semdns_kernel_answer decideEncoded(std::string_view text, std::string_view headSection,
                                     const int8_t *query, uint32_t peak) {
    route(text, SEMDNS_KERNEL_STAGE_EMBEDDING);
    const auto &head = headerOf<semdns_head_header>(headSection);
    const auto *bias = arrayAt<int32_t>(headSection, head.bias_offset);
    std::vector<int64_t> padded(query, query + head.width);
    padded.resize(head.padded_width);
    std::vector<int64_t> score = scores(padded, arrayAt<int8_t>(headSection, head.vectors_offset),
                                        head.padded_width, head.layout);
    int64_t top2 = *std::max_element(score2_.begin(), score2_.end());
    int64_t gain = divideDown(int64_t{head.gain} * peak, 1 << 16);
    SEMDNS_BOUND(gain < 1 << 24);
    for (uint32_t c = 0; c < clsf_.class_count; ++c) {
      int64_t logit2 = -distance(top2 - score2_[c], gain2_);
      SEMDNS_BOUND(logit2 >= -(1 << 15));
      int64_t x =
          divideDown(score[c] * gain, 1 << 16) + divideDown(logit2 * head.mix, 1 << 16) + bias[c];
      score[c] = std::clamp<int64_t>(x, -(1 << 29), 1 << 29);
    }
    accept(score, kOne, arrayAt<uint32_t>(headSection, head.zone_threshold_offset), head.root_odds);
    answer_.stage = SEMDNS_KERNEL_STAGE_ENCODER;
    answer_.flags &= ~SEMDNS_KERNEL_NO_EVIDENCE;
    return answer_;
  }

private:
  const Sections &s_;
  uint32_t topK_;
  const semdns_keyw_header &keyw_;
  const semdns_tokv_header &tokv_;
  const semdns_cent_header &cent_;
  const semdns_clsf_header &clsf_;
  Tokens tokens_;
  std::vector<int64_t> score2_;
  int64_t gain2_ = 0;
  semdns_kernel_answer answer_ = {};
};

} // namespace

semdns_kernel_answer route(const Sections &sections, std::string_view text, uint32_t stages,
                           uint32_t topK) {
  topK = std::clamp<uint32_t>(topK, 1, SEMDNS_KERNEL_TOP_MAX);
  return Router(sections, topK).route(text, stages);
}

semdns_kernel_answer decideEncoded(const Sections &sections, std::string_view head,
                                   std::string_view text, const int8_t *query, uint32_t peak,
                                   uint32_t topK) {
  topK = std::clamp<uint32_t>(topK, 1, SEMDNS_KERNEL_TOP_MAX);
  return Router(sections, topK).decideEncoded(text, head, query, peak);
}

} // namespace semdns::reference
