#include "lib/reference/tokens.h"

#include "kernels/hash.h"
#include "lib/text/freeze.h"
#include "semdns/format/features.h"

#include <string>
#include <unicode/utf8.h>
#include <unordered_map>

namespace semdns::reference {
namespace {

struct Character {
  uint32_t value;
  semdns_char_class kind;
};

struct ReferenceWord {
  std::vector<uint32_t> letters;
  bool punct = false;
};

/// N of one code point by ICU, remembered because ICU is slow and texts repeat themselves.
const std::vector<Character> &characters(uint32_t codePoint) {
  thread_local std::unordered_map<uint32_t, std::vector<Character>> known;
  auto [it, isNew] = known.try_emplace(codePoint);
  if (isNew)
    for (uint32_t value : text::normalise(codePoint))
      it->second.push_back({value, text::classOf(value)});
  return it->second;
}

/// The window: one part, or two with a word break between.
std::vector<std::string_view> window(std::string_view text) {
  if (text.size() <= SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES)
    return {text};
  // Walks the whole text, because then "the code point that straddles a cut" needs no cleverness.
  size_t headEnd = SEMDNS_HEAD_BYTES, tailStart = text.size() - SEMDNS_TAIL_BYTES;
  size_t head = headEnd, tail = tailStart;
  for (size_t pos = 0; pos < text.size();) {
    size_t begin = pos;
    UChar32 c;
    U8_NEXT(text.data(), pos, text.size(), c);
    if (c < 0)
      continue;
    if (begin < headEnd && pos > headEnd)
      head = begin;
    if (begin < tailStart && pos > tailStart)
      tail = pos;
  }
  return {text.substr(0, head), text.substr(tail)};
}

std::vector<ReferenceWord> words(std::string_view text, bool &repaired) {
  std::vector<ReferenceWord> result;
  bool open = false;
  for (size_t pos = 0; pos < text.size();) {
    UChar32 c;
    U8_NEXT(text.data(), pos, text.size(), c);
    repaired |= c < 0;
    for (Character character : characters(c < 0 ? 0xfffd : static_cast<uint32_t>(c))) {
      switch (character.kind) {
      case SEMDNS_CHAR_DROP:
        break;
      case SEMDNS_CHAR_SPACE:
        open = false;
        break;
      case SEMDNS_CHAR_WORD:
        if (!open)
          result.push_back({});
        open = true;
        result.back().letters.push_back(character.value);
        break;
      case SEMDNS_CHAR_IDEO:
      case SEMDNS_CHAR_PUNCT:
        open = false;
        result.push_back({{character.value}, character.kind == SEMDNS_CHAR_PUNCT});
        break;
      }
    }
  }
  return result;
}

uint64_t hashOf(const std::vector<uint32_t> &letters) {
  uint64_t hash = SEMDNS_HASH_SEED;
  for (uint32_t letter : letters)
    hash = semdns_hash_step(hash, letter);
  return hash;
}

} // namespace

Tokens tokenise(std::string_view text, const TokenOptions &options) {
  Tokens tokens;
  std::vector<std::string_view> parts = window(text);
  tokens.truncated = parts.size() > 1;
  std::vector<ReferenceWord> all;
  for (std::string_view part : parts)
    for (ReferenceWord &word : words(part, tokens.repaired))
      all.push_back(std::move(word));
  if (all.size() > SEMDNS_MAX_WORDS) {
    all.resize(SEMDNS_MAX_WORDS);
    tokens.truncated = true;
  }

  std::vector<uint64_t> charFeatures, wordFeatures, counted;
  for (const ReferenceWord &word : all) {
    uint64_t hash = semdns_word_hash(hashOf(word.letters), word.punct);
    tokens.words.push_back(hash);
    if (options.punct || !word.punct)
      counted.push_back(hash);
    if (word.punct || options.charNgramMin == 0)
      continue;
    std::vector<uint32_t> symbols{SEMDNS_MARK_BEGIN};
    symbols.insert(symbols.end(), word.letters.begin(), word.letters.end());
    symbols.push_back(SEMDNS_MARK_END);
    for (size_t start = 0; start < symbols.size(); ++start)
      for (uint32_t n = options.charNgramMin; n <= options.charNgramMax; ++n)
        if (start + n <= symbols.size())
          charFeatures.push_back(semdns_feature_chars(&symbols[start], n));
  }
  if (charFeatures.size() > SEMDNS_MAX_FEATURES / 2) {
    charFeatures.resize(SEMDNS_MAX_FEATURES / 2);
    tokens.truncated = true;
  }

  for (uint64_t word : counted)
    wordFeatures.push_back(semdns_feature_word(word));
  if (options.wordNgramMax >= 2)
    for (size_t i = 0; i + 1 < counted.size(); ++i)
      wordFeatures.push_back(semdns_feature_bigram(counted[i], counted[i + 1]));
  if (options.wordNgramMax >= 3)
    for (size_t i = 0; i + 2 < counted.size(); ++i)
      wordFeatures.push_back(semdns_feature_trigram(counted[i], counted[i + 1], counted[i + 2]));

  tokens.chars = static_cast<uint32_t>(charFeatures.size());
  tokens.unigrams = static_cast<uint32_t>(counted.size());
  tokens.features = charFeatures;
  tokens.features.insert(tokens.features.end(), wordFeatures.begin(), wordFeatures.end());
  if (tokens.features.size() > SEMDNS_MAX_FEATURES) {
    tokens.features.resize(SEMDNS_MAX_FEATURES);
    tokens.truncated = true;
  }
  return tokens;
}

} // namespace semdns::reference
