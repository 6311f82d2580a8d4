#include "lib/pack/wordpiece_build.h"

#include "lib/pack/section_bytes.h"
#include "semdns/format/wordpiece.h"

#include <algorithm>
#include <utility>

namespace semdns::pack {
namespace {

/// The double array while it grows.
class DoubleArray {
public:
  DoubleArray() { reserveUnits(kRoots); }

  static constexpr uint32_t kRoots = 2; ///< units 0 and 1: the states that begin and continue words

  /// Places the tree of `pieces` (sorted by bytes, distinct) below `root`. False: too many units.
  bool add(const std::vector<WordPieceModel::Piece> &pieces, uint32_t root) {
    struct Node {
      uint32_t state;
      size_t begin, end; ///< of pieces that begin with this node's path
    };
    std::vector<Node> level = {{root, 0, pieces.size()}}, below;
    for (size_t depth = 0; !level.empty(); ++depth) {
      below.clear();
      for (Node node : level) {
        if (node.begin < node.end && pieces[node.begin].bytes.size() == depth) {
          ids[node.state] = pieces[node.begin].id;
          ++node.begin;
        }
        steps_.clear();
        for (size_t i = node.begin; i < node.end; ++i) {
          auto byte = static_cast<uint8_t>(pieces[i].bytes[depth]);
          if (steps_.empty() || steps_.back().first != byte)
            steps_.emplace_back(byte, i);
        }
        if (steps_.empty())
          continue;
        uint32_t base = place();
        if (base > SEMDNS_WPCE_MAX_UNITS - 512)
          return false;
        units[node.state].base = base;
        for (size_t s = 0; s < steps_.size(); ++s) {
          uint32_t to = base + steps_[s].first;
          units[to].owner = node.state;
          below.push_back(
              {to, steps_[s].second, s + 1 < steps_.size() ? steps_[s + 1].second : node.end});
        }
      }
      level.swap(below);
    }
    return true;
  }

  /// Room behind the last unit, so that no step leads out of the array.
  void close() {
    uint32_t highest = 0;
    for (const semdns_wpce_unit &unit : units)
      highest = std::max(highest, unit.base);
    size_t used = units.size();
    while (used > kRoots && units[used - 1].owner == SEMDNS_WPCE_NONE)
      --used;
    size_t size = std::max<size_t>(used, size_t{highest} + 256);
    units.resize(size, {0, SEMDNS_WPCE_NONE});
    ids.resize(size, SEMDNS_WPCE_NONE);
  }

  std::vector<semdns_wpce_unit> units;
  std::vector<uint32_t> ids;

private:
  bool isFree(uint32_t unit) const {
    return unit >= units.size() || (unit >= kRoots && units[unit].owner == SEMDNS_WPCE_NONE);
  }

  void reserveUnits(size_t size) {
    if (size > units.size()) {
      units.resize(size, {0, SEMDNS_WPCE_NONE});
      ids.resize(size, SEMDNS_WPCE_NONE);
    }
  }

  /// The first base at which all of steps_ fall on free units. Where a start of the array is nearly
  /// full, later searches begin behind it.
  uint32_t place() {
    while (!isFree(firstFree_))
      ++firstFree_;
    uint32_t tried = 0;
    for (uint32_t at = std::max<uint32_t>(firstFree_, steps_[0].first);; ++at) {
      if (!isFree(at))
        continue;
      uint32_t base = at - steps_[0].first;
      bool fits = true;
      for (size_t s = 1; fits && s < steps_.size(); ++s)
        fits = isFree(base + steps_[s].first);
      if (fits) {
        reserveUnits(size_t{base} + 256);
        return base;
      }
      if (++tried == kPatience && steps_.size() > 1)
        firstFree_ = at; // the rest of the holes stay empty
    }
  }

  static constexpr uint32_t kPatience = 512;
  uint32_t firstFree_ = kRoots;
  std::vector<std::pair<uint8_t, size_t>> steps_; ///< byte, first piece with it
};

const char *fault(const WordPieceModel &m) {
  if (m.vocabulary < 1 || m.vocabulary > SEMDNS_WPCE_MAX_VOCABULARY)
    return "the vocabulary is empty, or larger than 2^20";
  if (std::max({m.unknown, m.cls, m.sep, m.pad}) >= m.vocabulary)
    return "a special token is outside the vocabulary";
  if (m.maxWordChars < 1 || m.maxWordChars > SEMDNS_WPCE_MAX_WORD_CHARS)
    return "words are cut at 1 to 256 characters";
  if (m.stage1.size() != SEMDNS_WPCE_STAGE1_SIZE || m.blocks.empty() ||
      m.blocks.size() % SEMDNS_WPCE_BLOCK_SIZE ||
      m.blocks.size() / SEMDNS_WPCE_BLOCK_SIZE > SEMDNS_WPCE_MAX_BLOCKS ||
      m.pool.size() > SEMDNS_WPCE_MAX_POOL)
    return "the normaliser's table has an impossible size";
  for (const auto *pieces : {&m.start, &m.next})
    for (const WordPieceModel::Piece &piece : *pieces)
      if (piece.bytes.empty() || piece.id >= m.vocabulary)
        return "a piece is empty, or its id outside the vocabulary";
  return nullptr;
}

} // namespace

std::optional<std::string> buildWordPieceSection(const WordPieceModel &model, std::string &error) {
  if (const char *what = fault(model)) {
    error = std::string("tokeniser: ") + what;
    return std::nullopt;
  }
  DoubleArray array;
  uint32_t root = 0;
  for (const auto *pieces : {&model.start, &model.next}) {
    std::vector<WordPieceModel::Piece> sorted = *pieces;
    std::sort(sorted.begin(), sorted.end(),
              [](const auto &a, const auto &b) { return a.bytes < b.bytes; });
    for (size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i].bytes == sorted[i - 1].bytes) {
        error = "tokeniser: the piece '" + sorted[i].bytes + "' stands twice";
        return std::nullopt;
      }
    if (!array.add(sorted, root++)) {
      error = "tokeniser: the vocabulary is too large for one trie";
      return std::nullopt;
    }
  }
  array.close();

  semdns_wpce_header header = {};
  header.vocabulary = model.vocabulary;
  header.unknown = model.unknown;
  header.cls = model.cls;
  header.sep = model.sep;
  header.pad = model.pad;
  header.max_word_chars = model.maxWordChars;
  header.flags = model.flags;
  header.block_count = static_cast<uint32_t>(model.blocks.size() / SEMDNS_WPCE_BLOCK_SIZE);
  header.pool_count = static_cast<uint32_t>(model.pool.size());
  header.unit_count = static_cast<uint32_t>(array.units.size());
  header.start_state = 0;
  header.next_state = 1;
  SectionBytes bytes(sizeof header);
  header.stage1_offset = bytes.append(model.stage1);
  header.blocks_offset = bytes.append(model.blocks);
  header.pool_offset = bytes.append(model.pool);
  header.units_offset = bytes.append(array.units);
  header.ids_offset = bytes.append(array.ids);
  return bytes.finish(header);
}

} // namespace semdns::pack
