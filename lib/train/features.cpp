#include "lib/train/features.h"

#include "kernels/tokenise.h"

#include <algorithm>
#include <cstring>

namespace semdns::train {

Extractor::Extractor(const FeatureShape &shape, std::span<const uint8_t> textSection)
    : shape_(shape), text_((textSection.size() + 7) / 8), words_(SEMDNS_MAX_WORDS),
      features_(SEMDNS_MAX_FEATURES) {
  std::memcpy(text_.data(), textSection.data(), textSection.size());
}

void Extractor::extract(std::string_view text, Tokens &out) {
  uk_counts counts;
  uk_tokenise(reinterpret_cast<const uint8_t *>(text_.data()),
              reinterpret_cast<const uint8_t *>(text.data()), text.size(), shape_.wordNgramMax,
              shape_.charNgramMin, shape_.charNgramMax, shape_.punct, words_.data(),
              features_.data(), &counts);
  out.words.assign(words_.begin(), words_.begin() + counts.words);
  out.features.assign(features_.begin(), features_.begin() + counts.features);
  out.chars = counts.chars;
  out.unigrams = counts.unigrams;
}

namespace {

struct Occurrence {
  uint64_t hash;
  uint32_t kind; // 0 n-gram of words, 1 characters, 2 word
};

} // namespace

Vocabulary buildVocabulary(std::span<const Tokens> texts, uint32_t minTexts, size_t limit) {
  std::unordered_map<uint64_t, std::pair<uint32_t, uint32_t>> seen; // hash -> (texts, kind)
  std::vector<Occurrence> own;
  for (const Tokens &tokens : texts) {
    own.clear();
    for (size_t i = 0; i < tokens.features.size(); ++i)
      own.push_back({tokens.features[i], i < tokens.chars                     ? 1u
                                         : i < tokens.chars + tokens.unigrams ? 2u
                                                                              : 0u});
    std::sort(own.begin(), own.end(),
              [](const Occurrence &a, const Occurrence &b) { return a.hash < b.hash; });
    for (size_t i = 0; i < own.size(); ++i)
      if (i == 0 || own[i].hash != own[i - 1].hash) {
        auto &entry = seen[own[i].hash];
        ++entry.first;
        entry.second = own[i].kind;
      }
  }
  struct Item {
    uint64_t hash;
    uint32_t count, kind;
  };
  std::vector<Item> items;
  for (const auto &[hash, entry] : seen)
    if (entry.first >= minTexts)
      items.push_back({hash, entry.first, entry.second});
  std::sort(items.begin(), items.end(), [](const Item &a, const Item &b) {
    return a.count != b.count ? a.count > b.count : a.hash < b.hash;
  });
  if (items.size() > limit)
    items.resize(limit);
  Vocabulary v;
  v.texts = texts.size();
  v.index.reserve(items.size());
  for (const Item &item : items) {
    v.index.emplace(item.hash, uint32_t(v.hashes.size()));
    v.hashes.push_back(item.hash);
    v.documentCount.push_back(item.count);
    v.isChars.push_back(item.kind == 1);
    v.isUnigram.push_back(item.kind == 2);
  }
  return v;
}

Counts countFeatures(const Tokens &tokens, const Vocabulary &vocabulary) {
  Counts counts;
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < tokens.features.size(); ++i) {
    auto it = vocabulary.index.find(tokens.features[i]);
    if (it != vocabulary.index.end())
      ids.push_back(it->second);
    else if (i >= tokens.chars && i < tokens.chars + tokens.unigrams)
      ++counts.unknownUnigrams;
  }
  std::sort(ids.begin(), ids.end());
  for (uint32_t id : ids) {
    if (!counts.known.empty() && counts.known.back().first == id)
      ++counts.known.back().second;
    else
      counts.known.push_back({id, 1});
  }
  return counts;
}

} // namespace semdns::train
