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
