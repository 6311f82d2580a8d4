/// \file zstd dictionaries out of a stream of documents, the same for any order of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::mine {

/// Keeps the documents with the smallest SHA-256, so many that a dictionary of `dictionarySize`
/// bytes can be trained well (zstd's advice: a hundred times as much), and each text once.
class DictionarySampler {
public:
  explicit DictionarySampler(uint64_t dictionarySize);
  /// `digest`: SHA-256 of `text`.
  void add(std::string_view text, const uint8_t digest[32]);
  /// The dictionary, smaller than asked for when there is little text, or "" when there is too
  /// little to train one; `why` then says so.
  std::string train(std::string &why);

private:
  struct Sample {
    std::string digest, text;
    bool operator<(const Sample &other) const { return digest < other.digest; }
  };
  uint64_t size_, budget_, held_ = 0;
  std::vector<Sample> heap_; // largest digest on top
};

} // namespace semdns::mine
