#include "runtime/exec/portable.h"

#include "kernels/accept.h"
#include "kernels/beam.h"
#include "kernels/lookup.h"
#include "kernels/match.h"
#include "kernels/tokenise.h"

#include <string.h>

namespace semdns::exec {
namespace {

template <typename T> const T *at(const uint8_t *section, uint64_t offset) {
  return reinterpret_cast<const T *>(section + offset);
}

uint32_t isqrt(uint64_t n) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t(1) << ((63 - __builtin_clzll(n | 1)) & ~1); bit; bit >>= 2) {
    if (n >= root + bit) {
      n -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return static_cast<uint32_t>(root);
}

typedef int8_t Int8x16 __attribute__((vector_size(16)));
typedef int16_t Int16x4 __attribute__((vector_size(8)));
typedef int16_t Int16x16 __attribute__((vector_size(32)));
typedef int32_t Int32x8 __attribute__((vector_size(32)));
typedef int32_t Int32x16 __attribute__((vector_size(64)));

/// Products of neighbours, added in pairs: one instruction on x86, few elsewhere.
inline __attribute__((always_inline)) Int32x8 addPairs(Int16x16 a, Int16x16 b) {
  const Int32x16 products =
      __builtin_convertvector(a, Int32x16) * __builtin_convertvector(b, Int32x16);
  return __builtin_shufflevector(products, products, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(products, products, 1, 3, 5, 7, 9, 11, 13, 15);
}

struct Kernel {
  const semdns_keyw_header &keyw;
  const semdns_tokv_header &tokv;
  const semdns_cent_header &cent;
  const semdns_clsf_header &clsf;
  const semdns_kernel_tables &tables;
  const semdns_kernel_query &query;
  const semdns_kernel_scratch &scratch;
  semdns_kernel_answer &answer;
  uk_counts counts;

  const uint32_t *parents() const { return at<uint32_t>(tables.clsf, clsf.zone_parent_offset); }

  /// Leaves the votes of all zones in scratch.votes; returns the sum of the hits' weights.
  uint64_t vote(uint32_t &winner) {
    const auto *terms = at<semdns_term>(tables.keyw, keyw.terms_offset);
    int32_t *votes = scratch.votes;
    uint64_t total = 0;
    for (uint32_t i = 0; i < answer.hit_count; ++i) {
      const semdns_term &term = terms[scratch.hits[i]];
      votes[term.zone] += static_cast<int32_t>(term.weight);
      total += term.weight;
    }
    uint32_t best = 0;
    for (uint32_t i = 0; i < answer.hit_count; ++i) {
      const uint32_t zone = terms[scratch.hits[i]].zone;
      const auto v = static_cast<uint32_t>(votes[zone]);
      if (v > best || (v == best && zone < winner)) {
        best = v;
        winner = zone;
      }
    }
    answer.votes = best;
    return total;
  }

  void clearVotes() {
    const auto *terms = at<semdns_term>(tables.keyw, keyw.terms_offset);
    for (uint32_t i = 0; i < answer.hit_count; ++i)
      scratch.votes[terms[scratch.hits[i]].zone] = 0;
  }

  /// Stage 1. True when it answers; `winner` is its best guess either way (0: no votes).
  bool keywords(uint32_t &winner) {
    answer.hit_count = uk_match(tables.keyw, scratch.words, counts.words, scratch.hits);
    if (!answer.hit_count)
      return false;
    const uint64_t total = vote(winner);
    uint64_t agreeing = 0;
    for (uint32_t z = winner;; z = parents()[z]) {
      agreeing += static_cast<uint32_t>(scratch.votes[z]);
      if (!z)
        break;
    }
    clearVotes();
    if (keyw.accept_votes == SEMDNS_NEVER || answer.votes < keyw.accept_votes ||
        agreeing * 65536 < total * keyw.accept_purity)
      return false;
    answer.stage = SEMDNS_KERNEL_STAGE_KEYWORD;
    answer.zone = answer.best_zone = winner;
    answer.confidence = answer.best_confidence = answer.margin = keyw.confidence;
    answer.top_count = 1;
    answer.top_class[0] = SEMDNS_NONE;
    answer.top_zone[0] = winner;
    answer.top_confidence[0] = keyw.confidence;
    return true;
  }

  /// Sums the rows of the known features into scratch.pool; returns n, the text's norm.
  uint32_t pool() {
    const auto *buckets = at<semdns_word_bucket>(tables.tokv, tokv.buckets_offset);
    const auto *rows = at<int8_t>(tables.tokv, tokv.rows_offset);
    const auto *norms = at<uint16_t>(tables.tokv, tokv.norms_offset);
    const uint64_t unknown = uint64_t(tokv.unknown_norm) * tokv.unknown_norm;
    const uint32_t dim = tokv.dim;
    int32_t *__restrict sums = scratch.pool;
    uint64_t n2 = 0;
    uint32_t known = 0;
    for (uint32_t f = 0; f < counts.features; ++f) {
      const uint32_t row = uk_lookup(buckets, tokv.bucket_count, scratch.features[f]);
      if (row) {
        scratch.rows[known++] = row;
        n2 += uint64_t(norms[row]) * norms[row];
      } else if (f - counts.chars < counts.unigrams) {
        n2 += unknown;
      }
    }
    answer.row_count = known;
    // Blocks of 32 dimensions stay in registers while the rows stream by.
    for (uint32_t d = 0; d < dim; d += 32) {
      const uint32_t width = dim - d < 32 ? 16 : 32;
      int16_t low[32];
      int32_t wide[32];
      for (uint32_t i = 0; i < width; ++i)
        wide[i] = rows[d + i];
      // 128 rows of |value| <= 127 fit 16 bits.
      for (uint32_t begin = 0; begin < known; begin += 128) {
        const uint32_t end = begin + 128 < known ? begin + 128 : known;
        memset(low, 0, sizeof low);
        for (uint32_t r = begin; r < end; ++r) {
          const int8_t *__restrict row = rows + uint64_t(scratch.rows[r]) * dim + d;
          if (width == 32)
            for (uint32_t i = 0; i < 32; ++i)
              low[i] = static_cast<int16_t>(low[i] + row[i]);
          else
            for (uint32_t i = 0; i < 16; ++i)
              low[i] = static_cast<int16_t>(low[i] + row[i]);
        }
        for (uint32_t i = 0; i < width; ++i)
          wide[i] += low[i];
      }
      memcpy(sums + d, wide, width * sizeof(int32_t));
    }
    const uint32_t n = isqrt(n2);
    return n ? n : 1;
  }

  /// Scales scratch.pool to scratch.quant; returns m, the largest magnitude.
  uint32_t quantise() {
    const uint32_t dim = tokv.dim;
    const int32_t *__restrict sums = scratch.pool;
    int8_t *__restrict quant = scratch.quant;
    int32_t largest = 0;
    for (uint32_t d = 0; d < dim; ++d) {
      const int32_t magnitude = sums[d] < 0 ? -sums[d] : sums[d];
      largest = largest < magnitude ? magnitude : largest;
    }
    const int64_t scale = largest ? (INT64_C(127) << 24) / largest : 0;
    for (uint32_t d = 0; d < dim; ++d)
      quant[d] = static_cast<int8_t>((sums[d] * scale + (1 << 23)) >> 24);
    return static_cast<uint32_t>(largest);
  }

  /// Stage 2. Without known features its guess stands but the root answers.
  void embedding(uint32_t topK) {
    const uint32_t n = pool();
    const uint32_t m = quantise();
    const auto *vectors = at<int8_t>(tables.cent, cent.vectors_offset);
    const uint64_t sharpness = uint64_t(clsf.gain) * m / n;
    const auto gain =
        static_cast<uint32_t>(sharpness < (1u << 24) - 1 ? sharpness : (1u << 24) - 1);
    const uk_acceptance acceptance = uk_acceptance_of(tables.clsf);
    if (tables.beam) {
      const uk_beam beam = uk_beam_of(tables.beam);
      uk_descend(&beam, &acceptance, vectors, cent.dim, gain, topK, answer.row_count,
                 scratch.scores, scratch.weights, scratch.trace, &answer,
                 [&](uint32_t first, uint32_t padded, int32_t *scores) {
                   scoreClasses(vectors + uint64_t(first) * cent.dim, padded, cent.dim, cent.layout,
                                scratch.quant, scores);
                 });
      return;
    }
    scoreClasses(vectors, cent.padded_count, cent.dim, cent.layout, scratch.quant, scratch.scores);
    uk_accept(&acceptance, scratch.scores, gain, topK, scratch.weights, &answer);
    if (answer.row_count) {
      answer.stage = SEMDNS_KERNEL_STAGE_EMBEDDING;
      return;
    }
    answer.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
    answer.zone = 0;
    answer.confidence = 65536;
  }

  void route() {
    uk_tokenise(tables.text, query.text, query.text_size, tokv.word_ngram_max, tokv.char_ngram_min,
                tokv.char_ngram_max, tokv.flags & SEMDNS_FEATURE_PUNCT, scratch.words,
                scratch.features, &counts);
    answer.flags = counts.flags;
    answer.word_count = counts.words;
    answer.feature_count = counts.features;
    uint32_t winner = 0;
    if ((query.stages & SEMDNS_KERNEL_STAGE_KEYWORD) && keywords(winner))
      return;
    if ((query.stages & SEMDNS_KERNEL_STAGE_EMBEDDING) && clsf.class_count) {
      embedding(query.top_k < 1                       ? 1
                : query.top_k > SEMDNS_KERNEL_TOP_MAX ? SEMDNS_KERNEL_TOP_MAX
                                                      : query.top_k);
      return;
    }
    answer.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
    answer.best_zone = winner;
    answer.confidence = 65536;
    answer.best_confidence = winner ? 0 : 65536;
  }
};

} // namespace

void scoreClasses(const int8_t *vectors, uint32_t padded, uint32_t dim, uint32_t layout,
                  const int8_t *query, int32_t *scores) {
  const uint32_t quads = dim / 4;
  int16_t quant[kMaxScoredDim];
  for (uint32_t d = 0; d < dim; ++d)
    quant[d] = query[d];
  // One block of 16 classes at a time: a line of 64 bytes per four dimensions, `layout` lines on
  // from the one before.
  for (uint32_t block = 0; block < padded / 16; ++block) {
    const int8_t *line =
        vectors + uint64_t(block / layout) * quads * layout * 64 + uint64_t(block % layout) * 64;
    Int32x8 sums[4] = {};
    for (uint32_t quad = 0; quad < quads; ++quad, line += layout * 64) {
      Int16x4 q;
      memcpy(&q, quant + 4 * quad, sizeof q);
      const Int16x16 all =
          __builtin_shufflevector(q, q, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
      for (uint32_t part = 0; part < 4; ++part) {
        Int8x16 bytes;
        memcpy(&bytes, line + 16 * part, sizeof bytes);
        sums[part] += addPairs(__builtin_convertvector(bytes, Int16x16), all);
      }
    }
    for (uint32_t lane = 0; lane < 16; ++lane)
      scores[16 * block + lane] =
          sums[lane / 4][2 * (lane % 4)] + sums[lane / 4][2 * (lane % 4) + 1];
  }
}

void routePortable(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                   const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer) {
  memset(answer, 0, sizeof *answer);
  answer->size = sizeof *answer;
  Kernel kernel{*at<semdns_keyw_header>(tables->keyw, 0),
                *at<semdns_tokv_header>(tables->tokv, 0),
                *at<semdns_cent_header>(tables->cent, 0),
                *at<semdns_clsf_header>(tables->clsf, 0),
                *tables,
                *query,
                *scratch,
                *answer,
                {}};
  kernel.route();
}

} // namespace semdns::exec
