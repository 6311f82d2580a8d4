#include "lib/text/words.h"

#include "kernels/tokenise.h"

namespace semdns::text {
namespace {

void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

} // namespace

std::vector<Word> splitWords(std::string_view textSection, std::string_view text) {
  const auto *table = reinterpret_cast<const uint8_t *>(textSection.data());
  const auto *header = reinterpret_cast<const semdns_text_header *>(table);
  const auto *stage1 = reinterpret_cast<const uint16_t *>(table + header->stage1_offset);
  const auto *blocks = reinterpret_cast<const uint32_t *>(table + header->blocks_offset);
  const auto *pool = reinterpret_cast<const uint32_t *>(table + header->pool_offset);
  const auto *bytes = reinterpret_cast<const uint8_t *>(text.data());

  std::vector<Word> words;
  bool open = false; // words.back() is still being read; its hash is the raw one
  auto close = [&] {
    if (open)
      words.back().hash = semdns_word_hash(words.back().hash, 0);
    open = false;
  };
  for (size_t pos = 0; pos < text.size();) {
    uint32_t taken, repaired = 0;
    uint32_t code = uk_decode(bytes + pos, text.size() - pos, &taken, &repaired);
    size_t begin = pos, end = pos + taken;
    pos = end;
    uint32_t entry = blocks[stage1[code >> 7] * SEMDNS_TEXT_BLOCK_SIZE + (code & 127u)];
    uint32_t length = SEMDNS_TEXT_LENGTH(entry);
    if (length == SEMDNS_TEXT_IDENTITY) {
      entry |= code;
      length = 0;
    }
    const uint32_t *finals = length ? pool + SEMDNS_TEXT_VALUE(entry) : &entry;
    for (uint32_t i = 0; i < (length ? length : 1); ++i) {
      uint32_t kind = SEMDNS_TEXT_CLASS(finals[i]);
      uint32_t value = SEMDNS_TEXT_VALUE(finals[i]);
      if (kind == SEMDNS_CHAR_DROP)
        continue;
      if (kind != SEMDNS_CHAR_WORD)
        close();
      if (kind == SEMDNS_CHAR_SPACE)
        continue;
      if (!open) {
        words.push_back({{}, SEMDNS_HASH_SEED, kind == SEMDNS_CHAR_PUNCT, begin, end});
        open = true;
      }
      Word &word = words.back();
      appendUtf8(word.text, value);
      word.hash = semdns_hash_step(word.hash, value);
      word.end = end;
      if (kind == SEMDNS_CHAR_PUNCT) {
        word.hash = semdns_word_hash(word.hash, 1);
        open = false;
      } else if (kind == SEMDNS_CHAR_IDEO) {
        close();
      }
    }
  }
  close();
  return words;
}

} // namespace semdns::text
