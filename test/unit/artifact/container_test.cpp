// The container: what the writer writes the reader reads; everything else it refuses.
#include "lib/pack/writer.h"
#include "runtime/artifact/contents.h"
#include "runtime/artifact/reader.h"
#include "semdns/format/meta.h"
#include "test/unit/artifact/sample.h"

#include <gtest/gtest.h>
#include <set>

using namespace semdns;
using artifact::Check;
using artifact::Reader;
using test::get;
using test::put;
using test::reseal;
using test::Sample;

namespace {

constexpr size_t kTable = sizeof(semdns_header);
size_t entryAt(uint32_t i) { return kTable + i * sizeof(semdns_section); }

base::Error open(const std::string &file, uint32_t kind = 0, Check check = Check::Full) {
  Reader reader;
  base::Error error;
  bool ok = reader.open(file.data(), file.size(), kind, check, error);
  EXPECT_EQ(ok, error.code == SEMDNS_OK);
  if (!ok) {
    EXPECT_NE(error.message[0], 0);
    EXPECT_EQ(reader.size(), 0u);
  }
  return error;
}

TEST(Container, RoundTrip) {
  Sample sample;
  const std::string file = sample.finish();
  EXPECT_EQ(file, sample.finish()); // same calls, same bytes
  Reader reader;
  base::Error error;
  ASSERT_TRUE(reader.open(file.data(), file.size(), SEMDNS_KIND_HIERARCHY, Check::Full, error))
      << error.message;
  EXPECT_EQ(reader.header().serial, sample.serial);
  EXPECT_EQ(reader.sectionCount(), sample.sections.size());
  EXPECT_EQ(pack::rootDigestHex(file).size(), 64u);
  for (const auto &[key, bytes] : sample.sections) {
    int i = reader.find(key.first, key.second);
    ASSERT_GE(i, 0);
    std::string content(reader.entry(static_cast<uint32_t>(i)).raw_size, '?');
    ASSERT_TRUE(reader.decompress(static_cast<uint32_t>(i), content.data(), content.size(), error))
        << error.message;
    EXPECT_EQ(content, bytes);
    EXPECT_FALSE(
        reader.decompress(static_cast<uint32_t>(i), content.data(), content.size() - 1, error));
    EXPECT_EQ(error.code, SEMDNS_ERROR_ARGUMENT);
  }
  EXPECT_LT(reader.get(SEMDNS_TAG_DBUG).size, 100u); // compressed
  EXPECT_EQ(reader.find(SEMDNS_TAG_KCPU, 1), -1);
  EXPECT_EQ(reader.get(SEMDNS_TAG_KCPU, 1).data, nullptr);
}

TEST(Container, AnyAlignmentForVerification) {
  const std::string file = Sample().finish();
  for (size_t shift : {1, 3, 8}) {
    std::string shifted = std::string(shift, '#') + file;
    Reader reader;
    base::Error error;
    EXPECT_TRUE(reader.open(shifted.data() + shift, file.size(), 0, Check::Full, error))
        << error.message;
  }
}

TEST(Container, EveryBitOfHeaderAndTableCounts) {
  std::string file = Sample().finish();
  const size_t end = entryAt(get<semdns_header>(file, 0).section_count);
  for (size_t bit = 0; bit < end * 8; ++bit) {
    file[bit / 8] ^= static_cast<char>(1 << bit % 8);
    ASSERT_NE(open(file, 0, Check::Structure).code, SEMDNS_OK) << "bit " << bit;
    ASSERT_NE(open(file).code, SEMDNS_OK) << "bit " << bit;
    file[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
  EXPECT_EQ(open(file).code, SEMDNS_OK);
}

// Sections and padding: one bit in every seventh byte, each bit position in turn.
TEST(Container, OneBitElsewhere) {
  std::string file = Sample().finish();
  for (size_t at = entryAt(get<semdns_header>(file, 0).section_count); at < file.size(); at += 7) {
    file[at] ^= static_cast<char>(1 << at % 8);
    ASSERT_NE(open(file).code, SEMDNS_OK) << "byte " << at;
    file[at] ^= static_cast<char>(1 << at % 8);
  }
}

TEST(Container, Truncations) {
  const std::string file = Sample().finish();
  std::set<size_t> sizes;
  auto around = [&](size_t at) {
    for (size_t s : {at - 1, at, at + 1})
      if (s < file.size())
        sizes.insert(s);
  };
  const uint32_t count = get<semdns_header>(file, 0).section_count;
  for (size_t s = 0; s < entryAt(count) + 64; ++s)
    sizes.insert(s);
  for (uint32_t i = 0; i < count; ++i) {
    const auto e = get<semdns_section>(file, entryAt(i));
    around(e.offset);
    around(e.offset + e.stored_size);
  }
  sizes.insert(file.size() - 1);
  for (size_t s : sizes) {
    // A buffer of just that size, so that reading beyond it is seen by the address sanitizer.
    std::string cut(file, 0, s);
    cut.shrink_to_fit();
    base::Error error = open(cut);
    ASSERT_NE(error.code, SEMDNS_OK) << s;
    EXPECT_TRUE(error.code == SEMDNS_ERROR_TRUNCATED || s == 0) << s << ": " << error.message;
  }
  base::Error error = open(file + std::string(64, '\0'));
  EXPECT_EQ(error.code, SEMDNS_ERROR_STRUCTURE);
  EXPECT_EQ(error.offset, file.size());
}

TEST(Container, PaddingMustBeZero) {
  const std::string good = Sample().finish();
  const uint32_t count = get<semdns_header>(good, 0).section_count;
  size_t end = entryAt(count);
  size_t tried = 0;
  for (uint32_t i = 0; i <= count; ++i) {
    const size_t begin = i < count ? get<semdns_section>(good, entryAt(i)).offset : good.size();
    for (size_t at = end; at < begin; ++at, ++tried) {
      std::string file = good;
      file[at] = 1;
      base::Error error = open(file, 0, Check::Structure);
      ASSERT_EQ(error.code, SEMDNS_ERROR_STRUCTURE) << at;
      ASSERT_EQ(error.offset, at);
    }
    if (i < count) {
      const auto e = get<semdns_section>(good, entryAt(i));
      end = e.offset + e.stored_size;
    }
  }
  EXPECT_GT(tried, 100u);
}

TEST(Container, TextModeDamageIsNamed) {
  std::string file = Sample().finish();
  file[4] = '\n';
  base::Error error = open(file);
  EXPECT_EQ(error.code, SEMDNS_ERROR_MAGIC);
  EXPECT_NE(std::string(error.message).find("text-mode"), std::string::npos);
  EXPECT_EQ(open("not one of ours").code, SEMDNS_ERROR_MAGIC);
  EXPECT_EQ(open("").code, SEMDNS_ERROR_TRUNCATED);
}

TEST(Container, VersionKindFeature) {
  const std::string good = Sample().finish();
  std::string file = good;
  put<uint16_t>(file, offsetof(semdns_header, major), 2);
  for (bool sealed : {false, true}) { // told before the digest is looked at
    if (sealed)
      reseal(file);
    base::Error error = open(file);
    EXPECT_EQ(error.code, SEMDNS_ERROR_VERSION);
    EXPECT_STREQ(error.message, "format version 2.0; this build reads 1.x: use a newer semdns");
  }
  file = good;
  put<uint32_t>(file, offsetof(semdns_header, kind), 3);
  EXPECT_EQ(open(file).code, SEMDNS_ERROR_KIND);
  EXPECT_EQ(open(good, SEMDNS_KIND_PATTERNS).code, SEMDNS_ERROR_KIND);
  EXPECT_EQ(open(test::samplePatterns(), SEMDNS_KIND_PATTERNS).code, SEMDNS_OK);
  EXPECT_EQ(open(test::samplePatterns(), SEMDNS_KIND_HIERARCHY).code, SEMDNS_ERROR_KIND);
  file = good;
  put<uint64_t>(file, offsetof(semdns_header, required_features), 4);
  EXPECT_EQ(open(file).code, SEMDNS_ERROR_FEATURE);
}

// Changes one entry, seals the file again and says what the reader makes of it.
template <typename Change> base::Error withEntry(uint32_t tag, Change change) {
  std::string file = Sample().finish();
  const uint32_t count = get<semdns_header>(file, 0).section_count;
  for (uint32_t i = 0; i < count; ++i) {
    auto e = get<semdns_section>(file, entryAt(i));
    if (e.tag != tag)
      continue;
    change(e);
    put(file, entryAt(i), e);
  }
  reseal(file);
  return open(file);
}

TEST(Container, UnknownSections) {
  const uint32_t unknown = SEMDNS_TAG('X', 'T', 'R', 'A');
  base::Error error = withEntry(SEMDNS_TAG_GOLD, [&](semdns_section &e) { e.tag = unknown; });
  EXPECT_EQ(error.code, SEMDNS_ERROR_FEATURE);
  EXPECT_STREQ(error.section, "XTRA");
  error = withEntry(SEMDNS_TAG_GOLD, [&](semdns_section &e) {
    e.tag = unknown;
    e.flags &= ~SEMDNS_SECTION_CRITICAL;
    e.version = 9;
    e.target = 77;
  });
  EXPECT_EQ(error.code, SEMDNS_OK) << error.message;
  EXPECT_EQ(withEntry(SEMDNS_TAG_ZTRE, [](semdns_section &e) { e.version = 9; }).code,
            SEMDNS_ERROR_VERSION);
  // What 0.1 wrote.
  error = withEntry(SEMDNS_TAG_CLSF, [](semdns_section &e) { e.version = 1; });
  EXPECT_EQ(error.code, SEMDNS_ERROR_VERSION);
  EXPECT_STREQ(error.section, "CLSF");
  EXPECT_STREQ(error.message, "critical section has layout version 1; this build reads 2: "
                              "rebuild the file with this semdns");
}

// A later layout of a section that may be skipped: the section is not found.
TEST(Container, LaterVersionOfSkippableSection) {
  std::string file = Sample().finish();
  const uint32_t count = get<semdns_header>(file, 0).section_count;
  auto e = get<semdns_section>(file, entryAt(count - 2));
  ASSERT_EQ(e.tag, SEMDNS_TAG_DBUG);
  e.version = 2;
  put(file, entryAt(count - 2), e);
  reseal(file);
  Reader reader;
  base::Error error;
  ASSERT_TRUE(reader.open(file.data(), file.size(), 0, Check::Full, error)) << error.message;
  EXPECT_EQ(reader.find(SEMDNS_TAG_DBUG), -1);
}

TEST(Container, ImpossibleEntries) {
  auto code = [](uint32_t tag, auto change) { return withEntry(tag, change).code; };
  const uint32_t zone = SEMDNS_TAG_ZTRE;
  const int structure = SEMDNS_ERROR_STRUCTURE;
  EXPECT_EQ(code(zone,
                 [](semdns_section &e) {
                   e.tag = SEMDNS_TAG_META; // twice
                   e.version = SEMDNS_META_VERSION;
                 }),
            structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.tag = 0x31313131; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.flags |= 8; }), SEMDNS_ERROR_FEATURE);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.flags |= SEMDNS_SECTION_ZSTD; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.flags |= SEMDNS_SECTION_CODE; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.target = 1; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.layout = 1; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.alignment = 32; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.offset += 64; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.offset -= 64; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.stored_size = 0; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.stored_size = UINT64_MAX; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.raw_size += 1; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.reserved0 = 1; }), structure);
  EXPECT_EQ(code(zone, [](semdns_section &e) { e.reserved1 = 1; }), structure);
  const uint32_t dbug = SEMDNS_TAG_DBUG;
  EXPECT_EQ(code(dbug, [](semdns_section &e) { e.raw_size -= 1; }), structure);
  EXPECT_EQ(code(dbug, [](semdns_section &e) { e.raw_size = UINT64_MAX; }), structure);
  EXPECT_EQ(code(SEMDNS_TAG_GOLD, [](semdns_section &e) { e.stored_size -= 64; }), structure);
}

TEST(Container, ReservedHeaderFields) {
  for (size_t at : {52, 96, 127}) {
    std::string file = Sample().finish();
    file[at] = 1;
    reseal(file);
    base::Error error = open(file);
    EXPECT_EQ(error.code, SEMDNS_ERROR_STRUCTURE);
    EXPECT_EQ(error.offset, at);
  }
}

// A later minor may use reserved fields and grow header and entries; what is known is still read.
TEST(Container, LaterMinorIsRead) {
  const std::string good = Sample().finish();
  auto header = get<semdns_header>(good, 0);
  std::string file(4096, '\0');
  const uint32_t count = header.section_count;
  const uint64_t shift = 64 + 32 * count; // header 192, entries 128
  const uint64_t oldEnd = entryAt(count), newEnd = 192 + 128 * count;
  const uint64_t move = (newEnd + 63) / 64 * 64 - (oldEnd + 63) / 64 * 64;
  header.minor = 1;
  header.header_size = 192;
  header.entry_size = 128;
  header.table_offset = 192;
  header.reserved1[0] = 5;
  header.file_size += move;
  file.assign(good.size() + move, '\0');
  put(file, 0, header);
  file[150] = 9;
  for (uint32_t i = 0; i < count; ++i) {
    auto e = get<semdns_section>(good, entryAt(i));
    memcpy(file.data() + e.offset + move, good.data() + e.offset, e.stored_size);
    e.offset += move;
    e.reserved1 = 3;
    put(file, 192 + 128 * i, e);
    file[192 + 128 * i + 100] = 7;
  }
  reseal(file);
  EXPECT_GE(shift, move);
  base::Error error = open(file);
  EXPECT_EQ(error.code, SEMDNS_OK) << error.message;
  put<uint16_t>(file, offsetof(semdns_header, minor), 0);
  reseal(file);
  EXPECT_EQ(open(file).code, SEMDNS_ERROR_STRUCTURE);
}

TEST(Container, DamagedFrame) {
  std::string file = test::samplePatterns();
  const auto e = get<semdns_section>(file, entryAt(2));
  ASSERT_EQ(e.tag, SEMDNS_TAG_DBUG);
  for (uint64_t i = 0; i < e.stored_size; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[e.offset + i] ^= static_cast<char>(1 << bit);
      reseal(damaged);
      Reader reader;
      base::Error error;
      char out[300];
      if (reader.open(damaged.data(), damaged.size(), 0, Check::Full, error))
        reader.decompress(2, out, sizeof out,
                          error); // may succeed with other bytes, must not crash
    }
}

TEST(WriterDeath, WrongCallsAbort) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto add = [](pack::ArtifactWriter &w, uint32_t tag) {
    w.add(tag, 0, 1, 0, 0, SEMDNS_SECTION_ALIGN, "x");
  };
  EXPECT_DEATH(
      {
        pack::ArtifactWriter w(SEMDNS_KIND_HIERARCHY, 1);
        add(w, SEMDNS_TAG_ZTRE);
        add(w, SEMDNS_TAG_META);
      },
      "section META: out of order");
  EXPECT_DEATH(
      {
        pack::ArtifactWriter w(SEMDNS_KIND_HIERARCHY, 1);
        add(w, SEMDNS_TAG_META);
        add(w, SEMDNS_TAG_META);
      },
      "section META: out of order or twice");
}

} // namespace
