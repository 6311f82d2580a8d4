/// \file zstd dictionaries, of nothing that only one author wrote.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::mine {

/// Bytes of a window of text that commonRuns looks at.
inline constexpr size_t kCommonWindow = 16;

/// Text of which every window of kCommonWindow bytes stands in texts of at least `owners` owners:
/// of each text the runs of such windows, one behind the other. `ownerOf[i]` is the owner of
/// `texts[i]`. The same for any number of threads.
std::vector<std::string> commonRuns(std::span<const std::string_view> texts,
                                    std::span<const uint32_t> ownerOf, uint32_t owners,
                                    unsigned threads);

/// So much text is worth giving to trainDictionary (zstd's advice: a hundred times the size).
inline uint64_t dictionaryText(uint64_t dictionarySize) { return dictionarySize * 100; }
/// Of a text only the beginning serves to train.
inline constexpr size_t kMaxSampleBytes = size_t(64) << 10;

/// A dictionary of at most `size` bytes, less for little text, or "" when there is too little to
/// train one; `why` then says so. Depends on the order of the samples: sort them.
std::string trainDictionary(std::span<const std::string> samples, uint64_t size, std::string &why);

} // namespace semdns::mine
