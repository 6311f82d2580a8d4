#include "lib/pack/features_build.h"

#include "lib/pack/section_bytes.h"
#include "semdns/format/features.h"

#include <algorithm>

namespace semdns::pack {
namespace {

/// What is wrong with the model, or nullptr.
const char *fault(const EmbeddingModel &m) {
  size_t rows = m.hashes.size();
  if (m.dim % SEMDNS_DIM_ALIGN || m.dim > SEMDNS_MAX_DIM)
    return "the dimension is not a multiple of 16 up to 1024";
  if (rows == 0 || rows > SEMDNS_MAX_ROWS)
    return "there are no rows, or more than 2^24";
  if (m.rows.size() != rows * m.dim || m.norms.size() != rows || m.norms[0] != 0)
    return "hashes, rows and norms do not fit together";
  if (std::find(m.rows.begin(), m.rows.end(), INT8_MIN) != m.rows.end())
    return "a row has the value -128";
  if (m.wordNgramMax < 1 || m.wordNgramMax > 3)
    return "word n-grams are 1..3 long";
  if (m.charNgramMin == 0
          ? m.charNgramMax != 0
          : m.charNgramMin < 2 || m.charNgramMax < m.charNgramMin || m.charNgramMax > 6)
    return "character n-grams are 2..6 long, or there are none (0, 0)";
  if (m.unknownNorm > 65535)
    return "the norm of unknown words is above 65535";
  return nullptr;
}

} // namespace

uint32_t packedDim(const EmbeddingModel &model) { return model.dim ? model.dim : SEMDNS_DIM_ALIGN; }

std::optional<std::string> buildFeaturesSection(const EmbeddingModel &model, std::string &error) {
  if (model.dim == 0) {
    EmbeddingModel bias;
    bias.dim = packedDim(model);
    bias.hashes = {0};
    bias.rows.assign(bias.dim, 0);
    bias.norms = {0};
    return buildFeaturesSection(bias, error);
  }
  if (const char *what = fault(model)) {
    error = std::string("embedding model: ") + what;
    return std::nullopt;
  }
  auto buckets = buildBuckets(model.hashes, 1);
  if (!buckets) {
    error = "embedding model: feature hashes collide: no table size tells them apart";
    return std::nullopt;
  }
  semdns_tokv_header header = {};
  header.tokeniser = SEMDNS_TOKENISER_WORDS;
  header.flags = model.punct ? SEMDNS_FEATURE_PUNCT : 0;
  header.dim = model.dim;
  header.row_count = static_cast<uint32_t>(model.hashes.size());
  header.bucket_count = static_cast<uint32_t>(buckets->size());
  header.word_ngram_max = model.wordNgramMax;
  header.char_ngram_min = model.charNgramMin;
  header.char_ngram_max = model.charNgramMax;
  header.unknown_norm = model.unknownNorm;
  SectionBytes bytes(sizeof header);
  header.buckets_offset = bytes.append(*buckets);
  header.rows_offset = bytes.append(model.rows);
  header.norms_offset = bytes.append(model.norms);
  return bytes.finish(header);
}

} // namespace semdns::pack
