#include "lib/mine/words.h"

#include "lib/text/freeze.h"

#include <cstring>

namespace semdns::mine {

namespace {

uint64_t hashOf(std::string_view word) {
  uint64_t h = 0x243f6a8885a308d3u ^ word.size();
  size_t i = 0;
  for (; i + 8 <= word.size(); i += 8) {
    uint64_t chunk;
    std::memcpy(&chunk, word.data() + i, 8);
    h = (h ^ chunk) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  uint64_t rest = 0;
  if (i < word.size())
    std::memcpy(&rest, word.data() + i, word.size() - i);
  h = (h ^ rest) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}

void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += {char(0xc0 | c >> 6), char(0x80 | (c & 0x3f))};
  } else if (c < 0x10000) {
    out += {char(0xe0 | c >> 12), char(0x80 | (c >> 6 & 0x3f)), char(0x80 | (c & 0x3f))};
  } else {
    out += {char(0xf0 | c >> 18), char(0x80 | (c >> 12 & 0x3f)), char(0x80 | (c >> 6 & 0x3f)),
            char(0x80 | (c & 0x3f))};
  }
}

} // namespace

Vocabulary::Vocabulary() : begin_{0, 0}, slots_(1 << 12), hashes_{0} {}

uint32_t Vocabulary::intern(std::string_view word) {
  const uint64_t hash = hashOf(word);
  const size_t mask = slots_.size() - 1;
  size_t slot = (hash >> 20) & mask;
  for (; slots_[slot]; slot = (slot + 1) & mask)
    if (hashes_[slots_[slot]] == uint32_t(hash >> 20) && spelling(slots_[slot]) == word)
      return slots_[slot];
  const uint32_t id = size();
  bytes_ += word;
  begin_.push_back(bytes_.size());
  hashes_.push_back(uint32_t(hash >> 20));
  slots_[slot] = id;
  if (size_t(id) * 2 > slots_.size())
    grow();
  return id;
}

uint32_t Vocabulary::find(std::string_view word) const {
  const uint64_t hash = hashOf(word);
  const size_t mask = slots_.size() - 1;
  for (size_t slot = (hash >> 20) & mask; slots_[slot]; slot = (slot + 1) & mask)
    if (hashes_[slots_[slot]] == uint32_t(hash >> 20) && spelling(slots_[slot]) == word)
      return slots_[slot];
  return 0;
}

void Vocabulary::grow() {
  slots_.assign(slots_.size() * 2, 0);
  const size_t mask = slots_.size() - 1;
  for (uint32_t id = 1; id < size(); ++id) {
    size_t slot = hashes_[id] & mask;
    while (slots_[slot])
      slot = (slot + 1) & mask;
    slots_[slot] = id;
  }
}

struct WordSplitter::Mapped {
  struct Final {
    semdns_char_class kind;
    std::string utf8;
  };
  std::vector<Final> finals;
};

WordSplitter::WordSplitter() {
  for (uint32_t c = 0; c < 128; ++c) {
    // An ASCII code point maps to one ASCII code point: itself or its lower case.
    const auto finals = text::normalise(c);
    const uint32_t to = finals.empty() ? ' ' : finals[0];
    asciiLower_[c] = char(to);
    asciiClass_[c] = uint8_t(text::classOf(to));
  }
}
WordSplitter::~WordSplitter() = default;

const WordSplitter::Mapped &WordSplitter::map(uint32_t codePoint) {
  auto &entry = mapped_[codePoint];
  if (!entry) {
    entry = std::make_unique<Mapped>();
    for (const uint32_t c : text::normalise(codePoint)) {
      std::string utf8;
      appendUtf8(utf8, c);
      entry->finals.push_back({text::classOf(c), std::move(utf8)});
    }
  }
  return *entry;
}

size_t WordSplitter::split(std::string_view text, Vocabulary &vocabulary,
                           std::vector<uint32_t> &out) {
  out.clear();
  const size_t words = append(text, vocabulary, out);
  if (!out.empty() && out.back() == kGap)
    out.pop_back();
  return words;
}

size_t WordSplitter::append(std::string_view text, Vocabulary &vocabulary,
                            std::vector<uint32_t> &out) {
  size_t words = 0;
  std::string word;
  const auto gap = [&] {
    if (!out.empty() && out.back() != kGap)
      out.push_back(kGap);
  };
  const auto flush = [&] {
    if (word.empty())
      return;
    if (word.size() <= kMaxWordBytes)
      out.push_back(vocabulary.intern(word));
    else
      gap();
    ++words;
    word.clear();
  };
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      switch (asciiClass_[lead]) {
      case SEMDNS_CHAR_WORD:
        word += asciiLower_[lead];
        break;
      case SEMDNS_CHAR_PUNCT:
        flush();
        gap();
        break;
      default:
        flush();
      }
      ++i;
      continue;
    }
    const uint32_t more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    uint32_t code = lead & (0x3fu >> more);
    for (uint32_t k = 1; k <= more && i + k < text.size(); ++k)
      code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3fu);
    i += more + 1;
    for (const auto &final : map(code).finals) {
      switch (final.kind) {
      case SEMDNS_CHAR_WORD:
        word += final.utf8;
        break;
      case SEMDNS_CHAR_IDEO:
        flush();
        word = final.utf8;
        flush();
        break;
      case SEMDNS_CHAR_PUNCT:
        flush();
        gap();
        break;
      case SEMDNS_CHAR_DROP:
        break;
      case SEMDNS_CHAR_SPACE:
        flush();
      }
    }
  }
  flush();
  return words;
}

} // namespace semdns::mine
