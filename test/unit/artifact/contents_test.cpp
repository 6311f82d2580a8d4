// Section validators: the sample passes, each broken rule is named, nothing crashes.
#include "runtime/artifact/contents.h"
#include "semdns/kernel.h"
#include "test/unit/artifact/sample.h"

#include <gtest/gtest.h>

using namespace semdns;
using artifact::Check;
using artifact::Contents;
using artifact::Reader;
using test::get;
using test::put;
using test::Sample;

namespace {

// File bytes at a 64-byte aligned address, in a block of just their size.
class Aligned {
public:
  explicit Aligned(const std::string &bytes) : size_(bytes.size()) {
    data_ = static_cast<uint8_t *>(aligned_alloc(64, (size_ + 63) / 64 * 64));
    memcpy(data_, bytes.data(), size_);
  }
  ~Aligned() { free(data_); }
  const uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

private:
  uint8_t *data_;
  size_t size_;
};

base::Error parse(const std::string &file) {
  Aligned aligned(file);
  Reader reader;
  Contents contents;
  base::Error error;
  if (reader.open(aligned.data(), aligned.size(), 0, Check::Full, error))
    artifact::parseContents(reader, contents, error);
  return error;
}

// What the validators say when the bytes of section `tag` are changed.
template <typename Change> base::Error with(uint32_t tag, Change change) {
  Sample sample;
  change(sample.section(tag));
  return parse(sample.finish());
}
template <typename T> base::Error withValue(uint32_t tag, size_t at, T value) {
  return with(tag, [&](std::string &s) { put(s, at, value); });
}

TEST(Contents, SampleIsValid) {
  const Aligned file(Sample().finish());
  Reader reader;
  Contents c;
  base::Error error;
  ASSERT_TRUE(reader.open(file.data(), file.size(), 0, Check::Full, error)) << error.message;
  ASSERT_TRUE(artifact::parseContents(reader, c, error)) << error.section << error.message;
  EXPECT_EQ(c.meta.find("name"), "sample");
  EXPECT_EQ(c.meta.find("nam").data(), nullptr);
  EXPECT_EQ(c.meta.count(), 2u);
  EXPECT_EQ(c.zones.name(3), "contracts.legal.");
  EXPECT_EQ(c.zones.path(3), "legal/Contracts");
  EXPECT_EQ(c.zones.engineName(1), "legal-13b");
  EXPECT_EQ(c.keywords.text(0), "indemnity");
  EXPECT_TRUE(c.hasGold);
  EXPECT_EQ(c.gold.query(0), "Is this indemnity clause enforceable?");
  EXPECT_EQ(parse(test::samplePatterns()).code, SEMDNS_OK);
}

TEST(Contents, EverySectionIsNeeded) {
  for (uint32_t tag : {SEMDNS_TAG_META, SEMDNS_TAG_ZTRE, SEMDNS_TAG_TEXT, SEMDNS_TAG_KEYW,
                       SEMDNS_TAG_TOKV, SEMDNS_TAG_CENT, SEMDNS_TAG_CLSF}) {
    Sample sample;
    sample.sections.erase({tag, 0});
    EXPECT_EQ(parse(sample.finish()).code, SEMDNS_ERROR_STRUCTURE);
  }
  Sample sample;
  sample.sections.erase({SEMDNS_TAG_GOLD, 0});
  EXPECT_EQ(parse(sample.finish()).code, SEMDNS_OK);
}

TEST(Contents, NeedsAlignedMemory) {
  const std::string file = Sample().finish();
  Aligned shifted(std::string(8, '#') + file);
  Reader reader;
  Contents contents;
  base::Error error;
  ASSERT_TRUE(reader.open(shifted.data() + 8, file.size(), 0, Check::Full, error));
  EXPECT_FALSE(artifact::parseContents(reader, contents, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_ARGUMENT);
}

TEST(Contents, ErrorsCarryFileOffsets) {
  base::Error error =
      withValue<uint32_t>(SEMDNS_TAG_ZTRE, 32 + 64 + 32 - 4, 90000); // ttl of zone 1
  EXPECT_EQ(error.code, SEMDNS_ERROR_SECTION);
  EXPECT_STREQ(error.section, "ZTRE");
  EXPECT_STREQ(error.message, "zone 1: ttl 90000; the limit is 86400");
  const std::string file = Sample().finish();
  const auto e = get<semdns_section>(file, sizeof(semdns_header) + sizeof(semdns_section));
  EXPECT_EQ(error.offset, e.offset + 32 + 64);
}

TEST(Contents, Meta) {
  const uint32_t tag = SEMDNS_TAG_META;
  const int bad = SEMDNS_ERROR_SECTION;
  EXPECT_EQ(withValue<uint32_t>(tag, 0, 1).code, bad);          // bytes left over
  EXPECT_EQ(withValue<uint32_t>(tag, 0, 3).code, bad);          // ends too early
  EXPECT_EQ(withValue<uint32_t>(tag, 0, UINT32_MAX).code, bad); // limit
  EXPECT_EQ(withValue<uint32_t>(tag, 4, 1).code, bad);
  EXPECT_EQ(withValue<uint32_t>(tag, 8, 0).code, bad); // empty key
  EXPECT_EQ(withValue<uint32_t>(tag, 12, 60000).code, bad);
  EXPECT_EQ(withValue<char>(tag, 16, 'z').code, bad);    // order
  EXPECT_EQ(withValue<char>(tag, 20, '\xff').code, bad); // UTF-8
  EXPECT_EQ(withValue<char>(tag, 20, '\0').code, bad);
  EXPECT_EQ(with(tag, [](std::string &s) { s.resize(4); }).code, bad);
}

TEST(Contents, Zones) {
  const uint32_t tag = SEMDNS_TAG_ZTRE;
  const int bad = SEMDNS_ERROR_SECTION;
  auto zone = [&](uint32_t z, size_t field, uint32_t value) {
    return withValue<uint32_t>(tag, 32 + 64 * z + field, value).code;
  };
  for (size_t field = 0; field < 32; field += 4)
    for (uint32_t value : {9u, UINT32_MAX})
      EXPECT_EQ(withValue<uint32_t>(tag, field, value).code, bad) << field;
  EXPECT_EQ(zone(3, offsetof(semdns_zone, parent), 3), bad); // its own parent
  EXPECT_EQ(zone(3, offsetof(semdns_zone, parent), 1), bad);
  EXPECT_EQ(zone(2, offsetof(semdns_zone, parent), 3), bad); // cycle
  EXPECT_EQ(zone(1, offsetof(semdns_zone, depth), 2), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, subtree_end), 3), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, subtree_end), 0), bad);
  EXPECT_EQ(zone(0, offsetof(semdns_zone, subtree_end), 3), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, class_begin), 1), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, class_end), 2), bad);
  EXPECT_EQ(zone(2, offsetof(semdns_zone, class_end), 1), bad);
  EXPECT_EQ(zone(3, offsetof(semdns_zone, own_class), 0), bad);
  EXPECT_EQ(zone(3, offsetof(semdns_zone, own_class), SEMDNS_NONE), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, reserved0), 1), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, flags), 4), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, engine_begin), 0), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, engine_count), 5), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, name_offset), 4000), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, name_size), 0), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, name_size), UINT32_MAX), bad);
  EXPECT_EQ(zone(3, offsetof(semdns_zone, name_size), 15), bad); // no final dot
  EXPECT_EQ(zone(3, offsetof(semdns_zone, path_size), 5), bad);
  EXPECT_EQ(zone(1, offsetof(semdns_zone, reserved), 1), bad);
  const size_t engines = 32 + 64 * Sample::kZones, refs = engines + 2 * 32;
  EXPECT_EQ(withValue<uint32_t>(tag, engines + 16, 4).code, bad); // tier
  EXPECT_EQ(withValue<uint32_t>(tag, engines, 5000).code, bad);   // name
  EXPECT_EQ(withValue<uint32_t>(tag, refs, 2).code, bad);         // engine
  EXPECT_EQ(withValue<uint32_t>(tag, refs + 4, 0).code, bad);     // weight
}

TEST(Contents, Gold) {
  const uint32_t tag = SEMDNS_TAG_GOLD;
  for (size_t field = 0; field < 16 + 32; field += 4) {
    const base::Error error = withValue<uint32_t>(tag, field, UINT32_MAX);
    EXPECT_EQ(error.code, SEMDNS_ERROR_SECTION) << field;
  }
}

TEST(Contents, TextHeaderAndEntries) {
  const uint32_t tag = SEMDNS_TAG_TEXT;
  const int bad = SEMDNS_ERROR_SECTION;
  const Sample sample;
  const auto h = get<semdns_text_header>(sample.sections.at({tag, 0}), 0);
  for (size_t field : {0, 4, 12, 16, 24, 32, 40, 60})
    EXPECT_EQ(withValue<uint32_t>(tag, field, UINT32_MAX).code, bad) << field;
  EXPECT_EQ(withValue<uint32_t>(tag, 0, 0).code, bad);
  EXPECT_EQ(withValue<uint16_t>(tag, h.stage1_offset + 2, 3).code, bad);
  EXPECT_EQ(withValue<uint32_t>(tag, h.blocks_offset, 0x1fffff).code, bad);     // value
  EXPECT_EQ(withValue<uint32_t>(tag, h.blocks_offset, 5u << 21).code, bad);     // class
  EXPECT_EQ(withValue<uint32_t>(tag, h.blocks_offset + 4, 3u << 24).code, bad); // range
  EXPECT_EQ(withValue<uint32_t>(tag, h.blocks_offset + 4, 1u << 24 | 1u).code, SEMDNS_OK);
  EXPECT_EQ(withValue<uint32_t>(tag, h.pool_offset, 1u << 24).code, bad); // not final
}

TEST(Contents, Keywords) {
  const uint32_t tag = SEMDNS_TAG_KEYW;
  const int bad = SEMDNS_ERROR_SECTION;
  const Sample sample;
  const auto h = get<semdns_keyw_header>(sample.sections.at({tag, 0}), 0);
  auto value = [&](uint64_t at, uint32_t v) { return withValue<uint32_t>(tag, at, v).code; };
  for (size_t field = 4; field < 128; field += 4)
    if (field != offsetof(semdns_keyw_header, accept_votes))
      EXPECT_EQ(value(field, UINT32_MAX), bad) << field;
  EXPECT_EQ(value(0, 0), bad); // word 1 of 0
  EXPECT_EQ(value(h.words_offset + 32, 2), bad);
  EXPECT_EQ(value(h.words_offset + 36, 1), bad);  // id without fingerprint
  EXPECT_EQ(value(h.roots_offset, 1), bad);       // no word
  EXPECT_EQ(value(h.roots_offset + 4, 3), bad);   // no state
  EXPECT_EQ(value(h.roots_offset + 4, 2), bad);   // depth 2
  EXPECT_EQ(value(h.states_offset + 16, 1), bad); // edges of the initial state
  EXPECT_EQ(value(h.states_offset + 20, 1), bad); // outputs of the initial state
  EXPECT_EQ(value(h.states_offset + 24, 2), bad); // fails to a deeper state
  EXPECT_EQ(value(h.states_offset + 24, 1), bad); // fails to itself
  EXPECT_EQ(value(h.states_offset + 28, 0), bad); // depth
  EXPECT_EQ(value(h.states_offset + 44, 9), bad);
  EXPECT_EQ(value(h.states_offset + 40, 3), bad);
  EXPECT_EQ(value(h.states_offset + 36, 3), bad); // outputs fall
  EXPECT_EQ(value(h.states_offset + 48, 0), bad); // end of the edges
  EXPECT_EQ(value(h.states_offset + 60, 1), bad); // depth of the end
  EXPECT_EQ(value(h.edges_offset, 2), bad);       // word
  EXPECT_EQ(value(h.edges_offset + 4, 1), bad);   // not one deeper
  EXPECT_EQ(value(h.edges_offset + 4, 3), bad);   // no state
  EXPECT_EQ(value(h.outputs_offset, 1), bad);
  EXPECT_EQ(value(h.terms_offset, 0), bad); // the root
  EXPECT_EQ(value(h.terms_offset, 4), bad);
  EXPECT_EQ(value(h.terms_offset + 4, 0), bad);
  EXPECT_EQ(value(h.terms_offset + 4, 65536), bad);
  EXPECT_EQ(value(h.terms_offset + 8, 1), bad);
  EXPECT_EQ(withValue<char>(tag, h.strings_offset, '\xff').code, bad);
}

TEST(Contents, Features) {
  const uint32_t tag = SEMDNS_TAG_TOKV;
  const int bad = SEMDNS_ERROR_SECTION;
  const Sample sample;
  const auto h = get<semdns_tokv_header>(sample.sections.at({tag, 0}), 0);
  auto value = [&](uint64_t at, uint32_t v) { return withValue<uint32_t>(tag, at, v).code; };
  EXPECT_EQ(value(0, 1), SEMDNS_ERROR_FEATURE);
  EXPECT_EQ(value(4, 2), SEMDNS_ERROR_FEATURE);
  EXPECT_EQ(value(4, 1), SEMDNS_OK);
  for (size_t field = 8; field < 128; field += 4)
    EXPECT_EQ(value(field, UINT32_MAX), bad) << field;
  EXPECT_EQ(value(8, 8), bad);
  EXPECT_EQ(value(8, 32), bad);
  EXPECT_EQ(value(20, 4), bad); // word n-grams
  EXPECT_EQ(value(24, 5), bad); // min > max
  EXPECT_EQ(value(24, 0), bad); // max without min
  EXPECT_EQ(value(h.buckets_offset + 32, 3), bad);
  EXPECT_EQ(withValue<int8_t>(tag, h.rows_offset + 5, -128).code, bad);
  EXPECT_EQ(withValue<uint16_t>(tag, h.norms_offset, 1).code, bad);
  // Twice the same fingerprint in a bucket.
  EXPECT_EQ(with(tag,
                 [&](std::string &s) {
                   put(s, h.buckets_offset + 4, get<uint32_t>(s, h.buckets_offset));
                 })
                .code,
            bad);
}

TEST(Contents, Classes) {
  const int bad = SEMDNS_ERROR_SECTION;
  const Sample sample;
  uint32_t tag = SEMDNS_TAG_CENT;
  const auto c = get<semdns_cent_header>(sample.sections.at({tag, 0}), 0);
  auto value = [&](uint64_t at, uint32_t v) { return withValue<uint32_t>(tag, at, v).code; };
  for (size_t field = 0; field < 64; field += 4)
    EXPECT_EQ(value(field, UINT32_MAX), bad) << field;
  EXPECT_EQ(value(0, 3), bad); // not ZTRE's
  EXPECT_EQ(value(12, 3), bad);
  EXPECT_EQ(withValue<int8_t>(tag, c.vectors_offset, -128).code, bad);
  EXPECT_EQ(withValue<int8_t>(tag, c.vectors_offset, 3).code, bad); // offset differs
  EXPECT_EQ(with(tag,
                 [&](std::string &s) { // padding that is not zero, with a zero sum
                   put<int8_t>(s, c.vectors_offset + 4 * 15, 1);
                   put<int8_t>(s, c.vectors_offset + 4 * 15 + 1, -1);
                 })
                .code,
            bad);

  tag = SEMDNS_TAG_CLSF;
  const auto a = get<semdns_clsf_header>(sample.sections.at({tag, 0}), 0);
  const size_t odds[] = {offsetof(semdns_clsf_header, root_odds),
                         offsetof(semdns_clsf_header, guard_odds),
                         offsetof(semdns_clsf_header, reject_odds)}; // any value
  for (size_t field = 0; field < 128; field += 4)
    EXPECT_EQ(value(field, UINT32_MAX),
              std::find(odds, odds + 3, field) == odds + 3 ? bad : SEMDNS_OK)
        << field;
  EXPECT_EQ(value(offsetof(semdns_clsf_header, guard_confidence), 65538), bad);
  EXPECT_EQ(value(8, 1), bad);  // root class
  EXPECT_EQ(value(12, 0), bad); // gain
  EXPECT_EQ(value(a.exp2_offset, 65535), bad);
  EXPECT_EQ(value(a.exp2_offset + 40, 65536), bad);
  EXPECT_EQ(value(a.exp2_offset + 1020, 32768), bad);
  EXPECT_EQ(value(a.class_zone_offset, 2), bad);
  EXPECT_EQ(value(a.zone_parent_offset + 12, 1), bad);
  EXPECT_EQ(value(a.zone_class_begin_offset + 4, 1), bad);
  EXPECT_EQ(value(a.zone_class_end_offset + 4, 2), bad);
  EXPECT_EQ(value(a.zone_threshold_offset, 1), bad); // the root always answers
  EXPECT_EQ(value(a.zone_threshold_offset + 4, 65537), bad);
  EXPECT_EQ(value(a.zone_threshold_offset + 4, SEMDNS_NONE), SEMDNS_OK);
}

TEST(Contents, Patterns) {
  const std::string good = test::samplePatterns();
  ASSERT_EQ(parse(good).code, SEMDNS_OK);
  const auto e = get<semdns_section>(good, sizeof(semdns_header) + sizeof(semdns_section));
  ASSERT_EQ(e.tag, SEMDNS_TAG_PATS);
  auto code = [&](size_t at, uint32_t value) {
    std::string file = good;
    put(file, e.offset + at, value);
    test::reseal(file);
    return parse(file).code;
  };
  const size_t second = sizeof(semdns_pats_header) + sizeof(semdns_pattern);
  const int bad = SEMDNS_ERROR_SECTION;
  for (size_t at : {0, 4, 40, 48, 52, 60})
    EXPECT_EQ(code(at, UINT32_MAX), bad) << at;
  EXPECT_EQ(code(8, 1), bad);                 // fewer documents than a pattern is in
  EXPECT_EQ(code(second, 6), bad);            // reserved kind
  EXPECT_EQ(code(second, 1), SEMDNS_OK);      // still sorted
  EXPECT_EQ(code(second - 32, 3), SEMDNS_OK); // "heron", then "tall owl"
  EXPECT_EQ(code(second + 4, 3), bad);        // words
  EXPECT_EQ(code(second + 12, 4), bad);       // documents > count
  EXPECT_EQ(code(second + 16, 1), bad);       // background
  EXPECT_EQ(code(second + 24, 4), bad);       // gap
  EXPECT_EQ(code(second + 28, 7), bad);       // rest
  EXPECT_EQ(code(second + 32, 0xff), bad);    // UTF-8
}

TEST(Contents, GpuKernel) {
  Sample sample;
  semdns_kgpu_header h{};
  h.abi = SEMDNS_GPU_ABI;
  h.threads = 128;
  h.layout = Sample::kLayout;
  h.dim = Sample::kDim;
  h.class_count = Sample::kClasses;
  h.padded_count = 16;
  h.zone_count = Sample::kZones;
  h.row_count = Sample::kRows;
  h.bucket_count = 1;
  h.minimum_chip = 80;
  h.read_threads = 128;
  h.tile = 32;
  h.room = 3;
  h.image_offset = sizeof h;
  h.image_size = 5;
  const std::string good =
      std::string(reinterpret_cast<const char *>(&h), sizeof h) + std::string(".ptx\0", 5);
  auto code = [&](size_t at, uint32_t value) {
    std::string bytes = good;
    put(bytes, at, value);
    sample.sections[{SEMDNS_TAG_KGPU, 0}] = bytes;
    return parse(sample.finish()).code;
  };
  EXPECT_EQ(code(0, SEMDNS_GPU_ABI), SEMDNS_OK);
  for (size_t at = 0; at < sizeof h; at += 4)
    if (at != offsetof(semdns_kgpu_header, minimum_chip))
      EXPECT_EQ(code(at, UINT32_MAX), SEMDNS_ERROR_SECTION) << at;
  EXPECT_EQ(code(sizeof h, 0), SEMDNS_ERROR_SECTION); // NUL within
}

// Deterministic mutations of sealed files: whatever the validators say, they must survive it, and
// what they accept must hold together. The fuzz target does the same with coverage.
TEST(Contents, RandomMutationsAreSurvived) {
  const Sample sample;
  uint64_t state = 42;
  auto random = [&](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  size_t accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    Sample mutated = sample;
    auto it = mutated.sections.begin();
    std::advance(it, static_cast<long>(random(mutated.sections.size())));
    std::string &bytes = it->second;
    for (uint64_t n = 1 + random(3); n; --n) {
      const size_t limit = random(2) ? bytes.size() : std::min<size_t>(bytes.size(), 512);
      const size_t at = random(limit);
      if (random(2))
        bytes[at] ^= static_cast<char>(1 << random(8));
      else
        for (size_t i = at; i < std::min(bytes.size(), at + 4); ++i)
          bytes[i] = static_cast<char>(random(3) - 1);
    }
    if (random(16) == 0)
      bytes.resize(1 + random(bytes.size()));
    accepted += parse(mutated.finish()).code == SEMDNS_OK;
  }
  EXPECT_LT(accepted, 2500u);
}

} // namespace
