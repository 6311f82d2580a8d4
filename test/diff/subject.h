/// \file A test model with its tables and working memory laid out as the runtime has them.
#pragma once

#include "kernels/tokenise.h"
#include "semdns/kernel.h"
#include "test/unit/runtime/make_artifact.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace semdns::diff {

/// Bytes aligned as a mapped section is.
class Aligned {
public:
  explicit Aligned(size_t size)
      : size_(size),
        data_(static_cast<uint8_t *>(std::aligned_alloc(64, (size + 127) / 64 * 64)), std::free) {}
  explicit Aligned(const std::string &bytes) : Aligned(bytes.size()) {
    std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  uint8_t *data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::string_view view() const { return {reinterpret_cast<char *>(data()), size_}; }

private:
  size_t size_;
  std::unique_ptr<uint8_t, void (*)(void *)> data_;
};

/// Working memory with a pattern in it, so that what a kernel leaves untouched compares equal and
/// what it reads without having written differs.
class Scratch {
public:
  /// `weightCount` 0: as many as scores.
  Scratch(uint32_t zones, uint32_t dim, uint32_t scoreCount, uint32_t weightCount = 0)
      : words(SEMDNS_MAX_WORDS * 8), features(SEMDNS_MAX_FEATURES * 8),
        rows(SEMDNS_MAX_FEATURES * 4), hits(SEMDNS_MAX_HITS * 4), votes(zones * 4), pool(dim * 4),
        quant(dim), scores(scoreCount * 4), weights((weightCount ? weightCount : scoreCount) * 4),
        trace(sizeof(semdns_kernel_trace)) {
    for (Aligned *area : {&words, &features, &rows, &hits})
      std::memset(area->data(), 0x5a, area->size());
    std::memset(votes.data(), 0, votes.size());
    abi.size = sizeof abi;
    abi.words = reinterpret_cast<uint64_t *>(words.data());
    abi.features = reinterpret_cast<uint64_t *>(features.data());
    abi.rows = reinterpret_cast<uint32_t *>(rows.data());
    abi.hits = reinterpret_cast<uint32_t *>(hits.data());
    abi.votes = reinterpret_cast<int32_t *>(votes.data());
    abi.pool = reinterpret_cast<int32_t *>(pool.data());
    abi.quant = reinterpret_cast<int8_t *>(quant.data());
    abi.scores = reinterpret_cast<int32_t *>(scores.data());
    abi.weights = reinterpret_cast<uint32_t *>(weights.data());
    abi.trace = reinterpret_cast<semdns_kernel_trace *>(trace.data());
  }
  /// Before each call: what stage 2 writes, if it runs at all.
  void poison() {
    for (Aligned *area : {&pool, &quant, &scores, &weights, &trace})
      std::memset(area->data(), 0x5a, area->size());
  }
  Aligned words, features, rows, hits, votes, pool, quant, scores, weights, trace;
  semdns_kernel_scratch abi = {};
};

/// A model's sections in memory.
struct Tables {
  explicit Tables(const test::TestModel &model) : Tables(model, test::packSections(model)) {}
  Tables(const test::TestModel &model, const test::SectionBytes &sections)
      : text(model.text), keyw(sections.keyw), tokv(sections.tokv), cent(sections.cent),
        clsf(sections.clsf), beam(sections.beam),
        features(*reinterpret_cast<const semdns_tokv_header *>(tokv.data())),
        classes(*reinterpret_cast<const semdns_cent_header *>(cent.data())) {
    abi.size = sizeof abi;
    abi.abi = SEMDNS_KERNEL_ABI;
    abi.text = text.data();
    abi.keyw = keyw.data();
    abi.tokv = tokv.data();
    abi.cent = cent.data();
    abi.clsf = clsf.data();
    abi.beam = sections.beam.empty() ? nullptr : beam.data();
    scoreCount = weightCount = std::max(1u, classes.padded_count);
    if (abi.beam) {
      const auto &h = *reinterpret_cast<const semdns_beam_header *>(abi.beam);
      scoreCount = h.node_room;
      weightCount = h.node_room * h.levels * h.width;
    }
  }
  Aligned text, keyw, tokv, cent, clsf, beam;
  uint32_t scoreCount, weightCount; ///< of the scratch
  semdns_tokv_header features;
  semdns_cent_header classes;
  semdns_kernel_tables abi = {};
};

/// Words and features of a text into `scratch`.
inline uk_counts tokenise(const Tables &tables, std::string_view text, Scratch &scratch) {
  const semdns_tokv_header &t = tables.features;
  uk_counts counts;
  uk_tokenise(tables.text.data(), reinterpret_cast<const uint8_t *>(text.data()), text.size(),
              t.word_ngram_max, t.char_ngram_min, t.char_ngram_max,
              t.flags & SEMDNS_FEATURE_PUNCT ? 1 : 0, scratch.abi.words, scratch.abi.features,
              &counts);
  return counts;
}

} // namespace semdns::diff
