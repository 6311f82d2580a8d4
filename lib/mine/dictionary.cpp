#include "lib/mine/dictionary.h"

#include <algorithm>

#include <zdict.h>

namespace semdns::mine {

namespace {
constexpr size_t kMaxSample = size_t(64) << 10;
constexpr uint64_t kMinText = 8; // times the dictionary's size
constexpr uint64_t kMinSize = 1024;
} // namespace

DictionarySampler::DictionarySampler(uint64_t dictionarySize)
    : size_(dictionarySize), budget_(dictionarySize * 100) {}

void DictionarySampler::add(std::string_view text, const uint8_t digest[32]) {
  if (size_ == 0)
    return;
  text = text.substr(0, kMaxSample);
  Sample sample{std::string(reinterpret_cast<const char *>(digest), 32), {}};
  if (held_ >= budget_ && heap_.front() < sample)
    return;
  sample.text = text;
  held_ += text.size();
  heap_.push_back(std::move(sample));
  std::push_heap(heap_.begin(), heap_.end());
  // Drop the largest digests as long as what remains fills the budget: what is kept is a function
  // of the set of documents alone.
  while (held_ - heap_.front().text.size() >= budget_) {
    held_ -= heap_.front().text.size();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
  }
}

std::string DictionarySampler::train(std::string &why) {
  if (size_ == 0) {
    why = "--dict-size=0";
    return {};
  }
  std::sort(heap_.begin(), heap_.end());
  heap_.erase(std::unique(heap_.begin(), heap_.end(),
                          [](const Sample &a, const Sample &b) { return a.digest == b.digest; }),
              heap_.end());
  std::string text;
  std::vector<size_t> sizes;
  for (const Sample &sample : heap_) {
    text += sample.text;
    sizes.push_back(sample.text.size());
  }
  // A dictionary as large as the text would be the text.
  const uint64_t size = std::min<uint64_t>(size_, text.size() / kMinText);
  if (size < kMinSize) {
    why = std::to_string(text.size()) + " bytes of text are too few to train one (at least " +
          std::to_string(kMinSize * kMinText) + ")";
    return {};
  }
  std::string dictionary(size, '\0');
  const size_t got = ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), text.data(),
                                           sizes.data(), unsigned(sizes.size()));
  if (ZDICT_isError(got)) {
    why = std::string("zstd could not train one: ") + ZDICT_getErrorName(got);
    return {};
  }
  dictionary.resize(got);
  return dictionary;
}

} // namespace semdns::mine
