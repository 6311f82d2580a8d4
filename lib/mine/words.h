/// \file Words as the tokeniser sees them, fast enough for whole corpora, and numbered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace semdns::mine {

/// Numbers for strings, from 1 in the order of their first coming; 0 is no word.
class Vocabulary {
public:
  Vocabulary();
  /// The number of `word`, given now if it has none.
  uint32_t intern(std::string_view word);
  std::string_view spelling(uint32_t id) const {
    return {bytes_.data() + begin_[id], begin_[id + 1] - begin_[id]};
  }
  /// The number of `word`, or 0.
  uint32_t find(std::string_view word) const;
  /// Numbers given so far, the unused 0 included.
  uint32_t size() const { return uint32_t(begin_.size() - 1); }

private:
  void grow();

  std::string bytes_;           // spellings one behind the other
  std::vector<uint64_t> begin_; // [id], and the end
  std::vector<uint32_t> slots_; // ids, 0 = free; a power of two of them
  std::vector<uint32_t> hashes_;
};

/// Splits text into normalised words by the rules of docs/architecture.md ("Words"; ICU says what a
/// code point maps to and is): the same words as the tokeniser's. Not thread-safe (it remembers
/// what ICU said).
class WordSplitter {
public:
  static constexpr uint32_t kGap = 0; ///< punctuation between words
  /// Longer words (encoded data, mostly) are counted but become a gap.
  static constexpr size_t kMaxWordBytes = 96;

  WordSplitter();
  ~WordSplitter();

  /// Replaces `out` by the numbers of the words of `text` (well-formed UTF-8); runs of punctuation
  /// are one kGap. Returns how many words there are.
  size_t split(std::string_view text, Vocabulary &vocabulary, std::vector<uint32_t> &out);
  /// The same, behind what `out` holds: text in pieces, cut where no word goes on. A gap at the end
  /// stays.
  size_t append(std::string_view text, Vocabulary &vocabulary, std::vector<uint32_t> &out);

private:
  struct Mapped; // what a code point becomes
  const Mapped &map(uint32_t codePoint);

  std::unordered_map<uint32_t, std::unique_ptr<Mapped>> mapped_;
  uint8_t asciiClass_[128];
  char asciiLower_[128];
};

} // namespace semdns::mine
