/// \file A made-up language with enough regularity for a model to learn: shared by test and fuzzer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::codec {

inline std::vector<std::string> syntheticDocuments(size_t count, size_t sentences, uint64_t seed) {
  uint64_t state = seed;
  auto draw = [&](uint64_t n) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % n;
  };
  const char *syllables[] = {"ba", "ne", "tor", "il", "ques", "mar", "dun", "ex", "vio", "st"};
  std::vector<std::string> words;
  uint64_t keep = state;
  state = 99; // the vocabulary is the same for every seed
  for (int w = 0; w < 300; ++w) {
    std::string word;
    for (uint64_t s = 0, n = 1 + draw(3); s <= n; ++s)
      word += syllables[draw(10)];
    words.push_back(word);
  }
  state = keep;
  std::vector<std::string> documents;
  for (size_t d = 0; d < count; ++d) {
    std::string text;
    for (size_t s = 0; s < sentences; ++s) {
      uint64_t word = draw(300);
      for (uint64_t w = 0, n = 4 + draw(9); w < n; ++w) {
        text += w ? " " : "";
        text += words[word];
        // Each word has three that follow it; now and then a number or any word.
        const uint64_t next = draw(20);
        if (next == 0)
          text += " " + std::to_string(draw(1000));
        word = next == 1 ? draw(300) : (word * 7 + draw(3) * 31) % 300;
      }
      text += draw(5) ? ". " : ".\n";
    }
    documents.push_back(text);
  }
  return documents;
}

} // namespace semdns::codec
