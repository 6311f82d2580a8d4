/// \file PART sections: documents of a corpus on their way to the merge (semdns/format/patterns.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::patterns {

/// Writes a PART section document by document.
class PartialBuilder {
public:
  /// Documents of at most SEMDNS_PART_MAX_BLOCK / 2 bytes.
  void add(bool background, std::string_view owner, std::string_view text);
  /// The section. `covered`: numbers of the shards that are in, ascending.
  std::string finish(uint32_t shards, const std::vector<uint32_t> &covered);

private:
  void endBlock();
  std::string block_, blocks_;
  uint32_t blockCount_ = 0;
};

/// What a PART section covers.
struct PartialCover {
  uint32_t shards = 0;
  std::vector<uint32_t> covered;
};

/// Validates `bytes` as PART and hands out its documents (views live until `visit` returns; it
/// returns false to stop). False sets `error` to one line with the offset in the section; documents
/// before the fault were handed out.
bool parsePartial(std::string_view bytes, PartialCover &cover,
                  const std::function<bool(bool background, std::string_view owner,
                                           std::string_view text)> &visit,
                  std::string &error);

} // namespace semdns::patterns
