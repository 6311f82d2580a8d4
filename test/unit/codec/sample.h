/// \file A small artifact whose zone "legal." has tables of zstd and turbo, learnt from text made
/// here.
#pragma once

#include "lib/codec/phrases.h"
#include "test/unit/artifact/sample.h"

#include <string>
#include <vector>

namespace semdns::test {

/// Sentences put together from a few words by a counter: as much text as wanted, the same each
/// time.
inline std::string sampleText(uint32_t seed, size_t size) {
  static const char *const kWords[] = {
      "the ",    "tenant ", "landlord ", "shall ", "pay ", "rent ",   "monthly ", "lease ",
      "notice ", "party ",  "agreement", ", ",     ".\n",  "thirty ", "days ",    "of "};
  std::string text;
  for (uint32_t state = seed * 2654435761u + 1; text.size() < size;) {
    state = state * 1664525u + 1013904223u;
    text += kWords[state >> 28];
  }
  text.resize(size);
  return text;
}

inline std::vector<uint8_t> samplePhrases() {
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < 12; ++i)
    texts.push_back(sampleText(i, 3000));
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  std::vector<uint32_t> owners;
  for (uint32_t i = 0; i < documents.size(); ++i)
    owners.push_back(i);
  std::string why;
  return codec::buildPhrases(documents, owners, {}, why);
}

inline constexpr uint32_t kCodecZone = 2;

inline std::string codecArtifact() {
  Sample sample;
  const auto phrases = samplePhrases();
  sample.sections[{SEMDNS_TAG_DICT, kCodecZone}] = sampleText(99, 2000); // raw content serves too
  sample.sections[{SEMDNS_TAG_PHRS, kCodecZone}] =
      std::string(reinterpret_cast<const char *>(phrases.data()), phrases.size());
  return sample.finish();
}

} // namespace semdns::test
