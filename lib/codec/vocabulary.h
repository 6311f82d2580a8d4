/// \file The vocabulary of the token model: words with the space before them, numbers, runs of
/// punctuation and white space, and pieces for what is rare; with codes of about their information.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::codec {

/// The token areas of format/model.h.
struct Vocabulary {
  std::vector<uint32_t> offsets, codes;
  std::vector<uint16_t> children, parents, firsts;
  std::vector<uint8_t> lengths, bytes;

  uint32_t size() const { return uint32_t(lengths.size()); }
};

/// The tokens, ascending; every single byte is among them. `minDocuments`: in so many documents at
/// least a longer one must occur.
std::vector<std::string> chooseTokens(std::span<const std::string_view> documents,
                                      uint32_t maxTokens, uint32_t minDocuments);

/// The areas of those tokens but codes and tree.
Vocabulary tabulate(const std::vector<std::string> &tokens);

/// Codes and tree by how often each token occurs.
void assignCodes(Vocabulary &vocabulary, const std::vector<std::string> &tokens,
                 const std::vector<uint64_t> &counts);

} // namespace semdns::codec
