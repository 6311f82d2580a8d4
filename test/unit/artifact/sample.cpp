#include "test/unit/artifact/sample.h"

#include "kernels/hash.h"
#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "runtime/artifact/reader.h"
#include "runtime/base/sha256.h"
#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/gold.h"
#include "semdns/format/keywords.h"
#include "semdns/format/meta.h"
#include "semdns/format/patterns.h"
#include "semdns/format/text.h"
#include "semdns/format/zones.h"

#include <vector>

namespace semdns::test {

namespace {

template <typename T> void append(std::string &out, const T &record) {
  out.append(reinterpret_cast<const char *>(&record), sizeof record);
}
template <typename T> uint64_t appendArray(std::string &out, const std::vector<T> &values) {
  out.resize((out.size() + 63) / 64 * 64, '\0');
  uint64_t at = out.size();
  out.append(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
  return at;
}
template <typename T> void setHeader(std::string &out, const T &header) {
  memcpy(out.data(), &header, sizeof header);
}

struct Strings {
  std::string bytes;
  uint32_t add(const std::string &text) {
    uint32_t at = static_cast<uint32_t>(bytes.size());
    bytes += text;
    return at;
  }
};

std::string ztre() {
  struct Row {
    const char *name, *path;
    uint32_t parent, depth, end, classBegin, classEnd, own, engineBegin, engines;
  };
  const uint32_t none = SEMDNS_NONE;
  const Row rows[Sample::kZones] = {
      {".", "/", none, 0, 4, 0, 2, none, 0, 1},
      {"cooking.", "Cooking", 0, 1, 2, 0, 1, 0, 1, 0},
      {"legal.", "legal", 0, 1, 4, 1, 2, none, 1, 1},
      {"contracts.legal.", "legal/Contracts", 2, 2, 4, 1, 2, 1, 2, 0},
  };
  Strings strings;
  std::string out, engines;
  semdns_ztre_header header{};
  header.zone_count = Sample::kZones;
  header.class_count = Sample::kClasses;
  header.engine_count = 2;
  header.engine_ref_count = 2;
  append(out, header);
  for (const Row &r : rows) {
    semdns_zone z{};
    z.parent = r.parent;
    z.depth = r.depth;
    z.subtree_end = r.end;
    z.class_begin = r.classBegin;
    z.class_end = r.classEnd;
    z.own_class = r.own;
    z.ttl = 3600;
    z.engine_begin = r.engineBegin;
    z.engine_count = r.engines;
    z.name_size = static_cast<uint32_t>(strlen(r.name));
    z.name_offset = strings.add(r.name);
    z.path_size = static_cast<uint32_t>(strlen(r.path));
    z.path_offset = strings.add(r.path);
    append(out, z);
  }
  for (const char *name : {"general-70b", "legal-13b"}) {
    semdns_engine e{};
    e.name_size = static_cast<uint32_t>(strlen(name));
    e.name_offset = strings.add(name);
    e.region_size = 2;
    e.region_offset = strings.add("eu");
    e.max_context = 32768;
    e.cost_per_mtok_nano = 400000000;
    append(out, e);
  }
  append(out, semdns_engine_ref{0, 1});
  append(out, semdns_engine_ref{1, 1});
  header.string_bytes = static_cast<uint32_t>(strings.bytes.size());
  setHeader(out, header);
  return out + strings.bytes;
}

// ASCII only: letters and digits are words, capitals fold, U+00DF maps through the pool to "ss".
std::string text() {
  auto entry = [](uint32_t value, uint32_t cls, uint32_t length = 0) {
    return value | cls << 21 | length << 24;
  };
  std::vector<uint16_t> stage1(SEMDNS_TEXT_STAGE1_SIZE, 2);
  stage1[0] = 0;
  stage1[1] = 1;
  std::vector<uint32_t> blocks(3 * SEMDNS_TEXT_BLOCK_SIZE);
  for (uint32_t c = 0; c < blocks.size(); ++c) {
    const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
    const bool digit = c >= '0' && c <= '9';
    if (upper || lower || digit)
      blocks[c] = entry(upper ? c + 32 : c, SEMDNS_CHAR_WORD);
    else
      blocks[c] = entry(c, c > 0x20 && c < 0x7f ? SEMDNS_CHAR_PUNCT : SEMDNS_CHAR_SPACE);
  }
  blocks[0xdf] = entry(0, SEMDNS_CHAR_WORD, 2);
  std::vector<uint32_t> pool(2, entry('s', SEMDNS_CHAR_WORD));
  semdns_text_header header{};
  header.block_count = 3;
  header.pool_count = 2;
  header.unicode_version = 15 << 16;
  std::string out(sizeof header, '\0');
  header.stage1_offset = appendArray(out, stage1);
  header.blocks_offset = appendArray(out, blocks);
  header.pool_offset = appendArray(out, pool);
  setHeader(out, header);
  return out;
}

uint64_t wordHash(const char *word) {
  uint64_t h = SEMDNS_HASH_SEED;
  for (; *word; ++word)
    h = semdns_hash_step(h, static_cast<uint8_t>(*word));
  return semdns_word_hash(h, 0);
}

std::string keyw() {
  semdns_keyw_header header{};
  header.word_count = 1;
  header.word_buckets = 1;
  header.state_count = 3;
  header.edge_count = 1;
  header.output_count = 2;
  header.term_count = 1;
  header.string_bytes = 9;
  header.accept_votes = 10;
  header.accept_purity = 40000;
  header.confidence = 60000;
  semdns_word_bucket words{};
  words.fingerprint[0] = semdns_fingerprint(wordHash("indemnity"));
  words.id[0] = 1;
  // The word once, and twice in a row.
  const std::vector<semdns_keyw_state> states = {
      {0, 0, 0, 0}, {0, 0, 0, 1}, {1, 1, 1, 2}, {1, 2, 0, 0}};
  std::string out(sizeof header, '\0');
  header.words_offset = appendArray(out, std::vector{words});
  header.roots_offset = appendArray(out, std::vector<uint32_t>{0, 1});
  header.states_offset = appendArray(out, states);
  header.edges_offset = appendArray(out, std::vector{semdns_keyw_edge{1, 2}});
  header.outputs_offset = appendArray(out, std::vector<uint32_t>{0, 0});
  header.terms_offset = appendArray(out, std::vector{semdns_term{3, 20, 0, 9}});
  header.strings_offset =
      appendArray(out, std::vector<char>{'i', 'n', 'd', 'e', 'm', 'n', 'i', 't', 'y'});
  setHeader(out, header);
  return out;
}

std::string tokv() {
  semdns_tokv_header header{};
  header.dim = Sample::kDim;
  header.row_count = Sample::kRows;
  header.bucket_count = 1;
  header.word_ngram_max = 2;
  header.char_ngram_min = 3;
  header.char_ngram_max = 4;
  header.unknown_norm = 100;
  semdns_word_bucket bucket{};
  bucket.fingerprint[0] = semdns_fingerprint(semdns_feature_word(wordHash("recipe")));
  bucket.id[0] = 1;
  bucket.fingerprint[1] = semdns_fingerprint(semdns_feature_word(wordHash("lease")));
  bucket.id[1] = 2;
  std::vector<int8_t> rows(Sample::kRows * Sample::kDim);
  for (uint32_t d = 0; d < Sample::kDim; ++d) {
    rows[Sample::kDim + d] = static_cast<int8_t>(d % 2 ? 100 : 0);
    rows[2 * Sample::kDim + d] = static_cast<int8_t>(d % 2 ? 0 : -100);
  }
  std::string out(sizeof header, '\0');
  header.buckets_offset = appendArray(out, std::vector{bucket});
  header.rows_offset = appendArray(out, rows);
  header.norms_offset = appendArray(out, std::vector<uint16_t>{0, 100, 100});
  setHeader(out, header);
  return out;
}

std::string cent() {
  semdns_cent_header header{};
  header.class_count = Sample::kClasses;
  header.padded_count = SEMDNS_LANES;
  header.dim = Sample::kDim;
  header.layout = Sample::kLayout;
  std::vector<int8_t> vectors(SEMDNS_LANES * Sample::kDim);
  std::vector<int32_t> offsets(SEMDNS_LANES);
  for (uint32_t c = 0; c < Sample::kClasses; ++c)
    for (uint32_t d = 0; d < Sample::kDim; ++d) {
      int8_t value = static_cast<int8_t>(c ? (d % 2 ? 0 : -90) : (d % 2 ? 90 : 0));
      vectors[d / 4 * 64 + c * 4 + d % 4] = value;
      offsets[c] -= 128 * value;
    }
  std::string out(sizeof header, '\0');
  header.vectors_offset = appendArray(out, vectors);
  header.offsets_offset = appendArray(out, offsets);
  setHeader(out, header);
  return out;
}

std::string clsf() {
  semdns_clsf_header header{};
  header.class_count = Sample::kClasses;
  header.zone_count = Sample::kZones;
  header.gain = 1000;
  header.root_odds = header.guard_odds = header.reject_odds = INT32_MIN;
  header.guard_confidence = SEMDNS_GUARD_NEVER;
  // 2^(-i/256) in 2^-62 by 256 multiplications with 2^(-1/256) = 0.99729605608547012...
  std::vector<uint32_t> exp2(256);
  unsigned __int128 x = static_cast<unsigned __int128>(1) << 62;
  const uint64_t factor = 4599216278082138665u;
  for (uint32_t &e : exp2) {
    e = static_cast<uint32_t>((static_cast<uint64_t>(x) + (uint64_t{1} << 45)) >> 46);
    x = (x * factor) >> 62;
  }
  const uint32_t none = SEMDNS_NONE;
  std::string out(sizeof header, '\0');
  header.exp2_offset = appendArray(out, exp2);
  header.class_zone_offset = appendArray(out, std::vector<uint32_t>{1, 3});
  header.zone_parent_offset = appendArray(out, std::vector<uint32_t>{none, 0, 0, 2});
  header.zone_class_begin_offset = appendArray(out, std::vector<uint32_t>{0, 0, 1, 1});
  header.zone_class_end_offset = appendArray(out, std::vector<uint32_t>{2, 1, 2, 2});
  header.zone_threshold_offset = appendArray(out, std::vector<uint32_t>{0, 40000, 30000, 50000});
  setHeader(out, header);
  return out;
}

std::string gold() {
  const std::string query = "Is this indemnity clause enforceable?";
  semdns_gold_header header{1, static_cast<uint32_t>(query.size()), {0, 0}};
  std::string out;
  append(out, header);
  append(out, semdns_gold_entry{0, static_cast<uint32_t>(query.size()), 3, 3, 3, 1, 60000, 0});
  return out + query;
}

size_t rank(uint32_t tag) {
  constexpr uint32_t kOrder[] = {SEMDNS_TAG_META, SEMDNS_TAG_ZTRE, SEMDNS_TAG_TEXT, SEMDNS_TAG_KEYW,
                                 SEMDNS_TAG_TOKV, SEMDNS_TAG_CENT, SEMDNS_TAG_CLSF, SEMDNS_TAG_DICT,
                                 SEMDNS_TAG_PHRS, SEMDNS_TAG_KCPU, SEMDNS_TAG_KGPU, SEMDNS_TAG_DBUG,
                                 SEMDNS_TAG_GOLD};
  size_t i = 0;
  while (i < std::size(kOrder) && kOrder[i] != tag)
    ++i;
  return i;
}

} // namespace

Sample::Sample() {
  std::string error;
  sections[{SEMDNS_TAG_META, 0}] =
      pack::buildMeta({{"name", "sample"}, {"tool.version", "0.1.0"}}, error);
  sections[{SEMDNS_TAG_ZTRE, 0}] = ztre();
  sections[{SEMDNS_TAG_TEXT, 0}] = text();
  sections[{SEMDNS_TAG_KEYW, 0}] = keyw();
  sections[{SEMDNS_TAG_TOKV, 0}] = tokv();
  sections[{SEMDNS_TAG_CENT, 0}] = cent();
  sections[{SEMDNS_TAG_CLSF, 0}] = clsf();
  sections[{SEMDNS_TAG_DBUG, 0}] = std::string(5000, 'x');
  sections[{SEMDNS_TAG_GOLD, 0}] = gold();
}

std::string Sample::finish() const {
  std::map<std::pair<size_t, uint32_t>, std::pair<uint32_t, const std::string *>> ordered;
  for (const auto &[key, bytes] : sections)
    ordered[{rank(key.first), key.second}] = {key.first, &bytes};
  pack::ArtifactWriter writer(SEMDNS_KIND_HIERARCHY, serial);
  for (const auto &[key, value] : ordered) {
    const uint32_t tag = value.first;
    const bool code = tag == SEMDNS_TAG_KCPU;
    uint32_t flags = SEMDNS_SECTION_CRITICAL;
    if (code)
      flags = SEMDNS_SECTION_CODE;
    else if (tag == SEMDNS_TAG_DBUG)
      flags = SEMDNS_SECTION_ZSTD;
    const bool kernel = code || tag == SEMDNS_TAG_KGPU;
    writer.add(tag, key.second, artifact::knownVersion(tag), flags, kernel ? kLayout : 0,
               code ? SEMDNS_CODE_ALIGN : SEMDNS_SECTION_ALIGN, *value.second);
  }
  return writer.finish();
}

std::string samplePatterns() {
  std::string error;
  pack::ArtifactWriter writer(SEMDNS_KIND_PATTERNS, 7);
  writer.add(SEMDNS_TAG_META, 0, SEMDNS_META_VERSION, SEMDNS_SECTION_CRITICAL, 0,
             SEMDNS_SECTION_ALIGN, pack::buildMeta({{"name", "patterns"}}, error));
  std::string pats;
  semdns_pats_header header{};
  header.pattern_count = 2;
  header.string_bytes = 13;
  header.document_count = 5;
  header.word_count = 100;
  header.byte_count = 600;
  header.distinct_words = 40;
  header.contrast = SEMDNS_CONTRAST_RESIDUAL_IDF;
  append(pats, header);
  append(pats, semdns_pattern{SEMDNS_PATTERN_NGRAM, 1, 9, 4, 0, 65536, 0, 5});
  append(pats, semdns_pattern{SEMDNS_PATTERN_PHRASE, 2, 3, 2, 0, 65536, 5, 8});
  pats += "herontall owl";
  writer.add(SEMDNS_TAG_PATS, 0, SEMDNS_PATS_VERSION, SEMDNS_SECTION_CRITICAL, 0,
             SEMDNS_SECTION_ALIGN, pats);
  writer.add(SEMDNS_TAG_DBUG, 0, 1, SEMDNS_SECTION_ZSTD, 0, SEMDNS_SECTION_ALIGN,
             std::string(300, 'p'));
  return writer.finish();
}

void reseal(std::string &file) {
  auto header = get<semdns_header>(file, 0);
  for (uint32_t i = 0; i < header.section_count; ++i) {
    const size_t at = header.table_offset + i * size_t{header.entry_size};
    auto entry = get<semdns_section>(file, at);
    if (entry.offset <= file.size() && entry.stored_size <= file.size() - entry.offset) {
      base::sha256(file.data() + entry.offset, entry.stored_size, entry.sha256);
      put(file, at, entry);
    }
  }
  memset(header.root_digest, 0, sizeof header.root_digest);
  put(file, 0, header);
  base::sha256(file.data(), header.table_offset + header.section_count * size_t{header.entry_size},
               header.root_digest);
  put(file, 0, header);
}

} // namespace semdns::test
