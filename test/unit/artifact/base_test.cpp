// The floor: digests against FIPS 180-4 vectors and each other, UTF-8, checked arithmetic, META.
#include "lib/pack/meta_build.h"
#include "runtime/base/checked.h"
#include "runtime/base/sha256.h"
#include "runtime/base/utf8.h"

#include <gtest/gtest.h>
#include <string>

using namespace semdns;

namespace {

std::string hex(const uint8_t digest[32]) {
  std::string out;
  for (int i = 0; i < 32; ++i) {
    char two[3];
    snprintf(two, sizeof two, "%02x", digest[i]);
    out += two;
  }
  return out;
}

std::string sha(const std::string &bytes) {
  uint8_t digest[32];
  base::sha256(bytes.data(), bytes.size(), digest);
  return hex(digest);
}

TEST(Sha256, KnownVectors) {
  EXPECT_EQ(sha(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PathsAndPiecesAgree) {
  std::string bytes(700, '\0');
  uint32_t state = 1;
  for (char &c : bytes)
    c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    uint8_t portable[32], fast[32], pieces[32];
    ASSERT_TRUE(base::sha256With(base::Sha256Path::Portable, bytes.data(), size, portable));
    if (base::sha256With(base::Sha256Path::ShaNi, bytes.data(), size, fast))
      ASSERT_EQ(hex(portable), hex(fast)) << size;
    base::Sha256 sha;
    sha.update(bytes.data(), size / 3);
    sha.update(bytes.data() + size / 3, size - size / 3);
    sha.finish(pieces);
    ASSERT_EQ(hex(portable), hex(pieces)) << size;
  }
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  auto first = [](const std::string &s) { return base::firstInvalidUtf8(s.data(), s.size()); };
  EXPECT_EQ(first("plain"), 5u);
  EXPECT_EQ(first("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 9u);
  EXPECT_EQ(first("a\x80"), 1u);                // lone continuation
  EXPECT_EQ(first("ab\xc0\xaf"), 2u);           // overlong
  EXPECT_EQ(first("\xe0\x9f\xbf"), 0u);         // overlong
  EXPECT_EQ(first("x\xed\xa0\x80"), 1u);        // surrogate
  EXPECT_EQ(first("\xf4\x90\x80\x80"), 0u);     // beyond U+10FFFF
  EXPECT_EQ(first("abc\xe2\x82"), 3u);          // cut off
  EXPECT_EQ(first(std::string("a\0b", 3)), 3u); // NUL is a character
}

TEST(Checked, Overflows) {
  uint64_t out;
  EXPECT_TRUE(base::checkedAlign(65, 64, out));
  EXPECT_EQ(out, 128u);
  EXPECT_FALSE(base::checkedAlign(UINT64_MAX - 3, 64, out));
  EXPECT_FALSE(base::checkedMul(UINT64_MAX / 2, 3, out));
  EXPECT_FALSE(base::checkedAdd(UINT64_MAX, 1, out));
  EXPECT_TRUE(base::inBounds(10, 0, 10));
  EXPECT_FALSE(base::inBounds(11, 0, 10));
  EXPECT_FALSE(base::inBounds(5, UINT64_MAX, 10));
  uint8_t bytes[20] = {};
  EXPECT_EQ(base::firstNonZero(bytes, 20), 20u);
  bytes[17] = 1;
  EXPECT_EQ(base::firstNonZero(bytes, 20), 17u);
}

TEST(MetaBuild, RefusesWhatTheFormatForbids) {
  std::string error;
  EXPECT_NE(pack::buildMeta({{"a", ""}}, error), "");
  EXPECT_NE(pack::buildMeta({}, error), "");
  EXPECT_EQ(pack::buildMeta({{"", "x"}}, error), "");
  EXPECT_EQ(pack::buildMeta({{"a", "\xff"}}, error), "");
  EXPECT_EQ(error, "metadata 'a': value is not UTF-8");
  EXPECT_EQ(pack::buildMeta({{"a", std::string("x\0y", 3)}}, error), "");
  EXPECT_EQ(pack::buildMeta({{"a", std::string(70000, 'x')}}, error), "");
}

} // namespace
