/// \file WPCE: the encoder's tokeniser (semdns/format/wordpiece.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::pack {

/// A WordPiece tokeniser before any byte layout.
struct WordPieceModel {
  struct Piece {
    std::string bytes; ///< as in a normalised word, UTF-8, at least one byte
    uint32_t id = 0;
  };
  std::vector<Piece> start; ///< pieces that begin a word; distinct
  std::vector<Piece> next;  ///< pieces that continue one, without the prefix; distinct
  uint32_t vocabulary = 0, unknown = 0, cls = 0, sep = 0, pad = 0;
  uint32_t maxWordChars = 100;
  uint32_t flags = 0;           ///< SEMDNS_WPCE_*
  std::vector<uint16_t> stage1; ///< [SEMDNS_WPCE_STAGE1_SIZE]
  std::vector<uint32_t> blocks; ///< [n * SEMDNS_WPCE_BLOCK_SIZE]
  std::vector<uint32_t> pool;   ///< final entries
};

/// Bytes of the section. The tree is placed first-fit, in breadth-first order (Aoe, "An Efficient
/// Digital Search Algorithm by Using a Double-Array Structure", 1989). On failure (a piece that is
/// empty or stands twice, ids or sizes out of range) nullopt and `error`. Thread-safe,
/// deterministic.
std::optional<std::string> buildWordPieceSection(const WordPieceModel &model, std::string &error);

} // namespace semdns::pack
