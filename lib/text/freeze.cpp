#include "lib/text/freeze.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>
#include <unicode/uversion.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace semdns::text {
namespace {

const icu::Normalizer2 &normaliser(bool caseFold) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2 *result = caseFold ? icu::Normalizer2::getNFKCCasefoldInstance(status)
                                            : icu::Normalizer2::getNFDInstance(status);
  if (U_FAILURE(status) || !result) {
    std::fprintf(stderr, "semdns: ICU has no normalisation data: %s\n", u_errorName(status));
    std::abort();
  }
  return *result;
}

std::vector<uint32_t> normalise(const icu::UnicodeString &source) {
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeString folded, decomposed;
  normaliser(true).normalize(source, folded, status);
  normaliser(false).normalize(folded, decomposed, status);
  if (U_FAILURE(status)) {
    std::fprintf(stderr, "semdns: ICU cannot normalise: %s\n", u_errorName(status));
    std::abort();
  }
  std::vector<uint32_t> result;
  for (int32_t i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1)) {
    auto codePoint = static_cast<uint32_t>(decomposed.char32At(i));
    semdns_char_class kind = classOf(codePoint);
    if (kind != SEMDNS_CHAR_DROP)
      result.push_back(kind == SEMDNS_CHAR_SPACE ? ' ' : codePoint);
  }
  return result;
}

uint32_t finalEntry(uint32_t codePoint) {
  return codePoint | static_cast<uint32_t>(classOf(codePoint)) << 21;
}

void append(std::string &out, const void *data, size_t size) {
  out.append(static_cast<const char *>(data), size);
}

void align(std::string &out) { out.resize((out.size() + 63) / 64 * 64, '\0'); }

} // namespace

semdns_char_class classOf(uint32_t codePoint) {
  auto c = static_cast<UChar32>(codePoint);
  uint8_t combining = u_getCombiningClass(c);
  if (combining != 0 && (combining < 7 || combining > 9))
    return SEMDNS_CHAR_DROP;
  uint32_t category = U_GET_GC_MASK(c);
  if (category & U_GC_CF_MASK) // the few that NFKC_Casefold leaves, such as U+0600
    return SEMDNS_CHAR_DROP;
  if (category & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) {
    // With script extensions, so that the marks shared by the two kana scripts count.
    if (uscript_hasScript(c, USCRIPT_HAN) || uscript_hasScript(c, USCRIPT_HIRAGANA) ||
        uscript_hasScript(c, USCRIPT_KATAKANA))
      return SEMDNS_CHAR_IDEO;
    return SEMDNS_CHAR_WORD;
  }
  if (category & (U_GC_P_MASK | U_GC_S_MASK))
    return SEMDNS_CHAR_PUNCT;
  return SEMDNS_CHAR_SPACE;
}

std::vector<uint32_t> normalise(uint32_t codePoint) {
  return normalise(icu::UnicodeString(static_cast<UChar32>(codePoint)));
}

std::vector<uint32_t> normalise(std::string_view utf8) {
  icu::UnicodeString source;
  const char *bytes = utf8.data();
  for (size_t i = 0; i < utf8.size();) {
    UChar32 c;
    U8_NEXT_OR_FFFD(bytes, i, utf8.size(), c);
    source.append(c);
  }
  return normalise(source);
}

std::string buildTextSection() {
  using Block = std::array<uint32_t, SEMDNS_TEXT_BLOCK_SIZE>;
  std::vector<uint16_t> stage1;
  std::vector<Block> blocks;
  std::vector<uint32_t> pool;
  std::map<Block, uint16_t> blockNumbers;
  std::map<std::vector<uint32_t>, uint32_t> poolOffsets;

  Block block;
  for (uint32_t codePoint = 0; codePoint < 0x110000; ++codePoint) {
    std::vector<uint32_t> finals;
    auto c = static_cast<UChar32>(codePoint);
    semdns_char_class kind = classOf(codePoint);
    // Most code points are private, unassigned or inert; asking first saves most of the time.
    if (!normaliser(true).isInert(c) || !normaliser(false).isInert(c))
      finals = normalise(codePoint);
    else if (kind != SEMDNS_CHAR_DROP)
      finals = {kind == SEMDNS_CHAR_SPACE ? ' ' : codePoint};

    uint32_t entry;
    if (finals.empty()) {
      entry = static_cast<uint32_t>(SEMDNS_CHAR_DROP) << 21;
    } else if (finals.size() > 1) {
      auto size = static_cast<uint32_t>(finals.size());
      for (uint32_t &final : finals)
        final = finalEntry(final);
      auto [found, isNew] = poolOffsets.emplace(finals, static_cast<uint32_t>(pool.size()));
      if (isNew)
        pool.insert(pool.end(), finals.begin(), finals.end());
      entry = found->second | size << 24;
    } else if (finals[0] == codePoint && codePoint >= 0x80) {
      entry = static_cast<uint32_t>(kind) << 21 | SEMDNS_TEXT_IDENTITY << 24;
    } else {
      entry = finalEntry(finals[0]);
    }
    block[codePoint % SEMDNS_TEXT_BLOCK_SIZE] = entry;
    if (codePoint % SEMDNS_TEXT_BLOCK_SIZE == SEMDNS_TEXT_BLOCK_SIZE - 1) {
      auto [found, isNew] = blockNumbers.emplace(block, static_cast<uint16_t>(blocks.size()));
      if (isNew)
        blocks.push_back(block);
      stage1.push_back(found->second);
    }
  }

  UVersionInfo version;
  u_getUnicodeVersion(version);
  semdns_text_header header = {};
  header.block_count = static_cast<uint32_t>(blocks.size());
  header.pool_count = static_cast<uint32_t>(pool.size());
  header.unicode_version =
      static_cast<uint32_t>(version[0]) << 16 | static_cast<uint32_t>(version[1]) << 8 | version[2];
  std::string out(sizeof header, '\0');
  header.stage1_offset = out.size();
  append(out, stage1.data(), stage1.size() * sizeof stage1[0]);
  align(out);
  header.blocks_offset = out.size();
  append(out, blocks.data(), blocks.size() * sizeof blocks[0]);
  align(out);
  header.pool_offset = out.size();
  append(out, pool.data(), pool.size() * sizeof pool[0]);
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

} // namespace semdns::text
