#include "lib/patterns/partial.h"

#include "lib/support/files.h"
#include "runtime/base/checked.h"
#include "semdns/format/patterns.h"

#include <zstd.h>

namespace semdns::patterns {

namespace {

constexpr size_t kBlockBytes = size_t(4) << 20;
constexpr size_t kRecordHead = 9;
constexpr int kLevel = 3;

void appendU32(std::string &out, uint32_t value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

} // namespace

void PartialBuilder::add(bool background, std::string_view owner, std::string_view text) {
  if (!block_.empty() && block_.size() + kRecordHead + owner.size() + text.size() > kBlockBytes)
    endBlock();
  block_ += char(background);
  appendU32(block_, uint32_t(owner.size()));
  appendU32(block_, uint32_t(text.size()));
  block_ += owner;
  block_ += text;
}

void PartialBuilder::endBlock() {
  std::string stored(ZSTD_compressBound(block_.size()), '\0');
  // Cannot fail: the buffer is large enough.
  stored.resize(ZSTD_compress(stored.data(), stored.size(), block_.data(), block_.size(), kLevel));
  appendU32(blocks_, uint32_t(block_.size()));
  appendU32(blocks_, uint32_t(stored.size()));
  blocks_ += stored;
  block_.clear();
  ++blockCount_;
}

std::string PartialBuilder::finish(uint32_t shards, const std::vector<uint32_t> &covered) {
  if (!block_.empty())
    endBlock();
  semdns_part_header header = {};
  header.shard_count = shards;
  header.covered = uint32_t(covered.size());
  header.block_count = blockCount_;
  std::string out(reinterpret_cast<const char *>(&header), sizeof header);
  for (const uint32_t shard : covered)
    appendU32(out, shard);
  return out + blocks_;
}

bool parsePartial(std::string_view bytes, PartialCover &cover,
                  const std::function<bool(bool background, std::string_view owner,
                                           std::string_view text)> &visit,
                  std::string &error) {
  const auto fail = [&](uint64_t offset, const std::string &what) {
    error = "PART: byte " + std::to_string(offset) + ": " + what;
    return false;
  };
  if (bytes.size() < sizeof(semdns_part_header))
    return fail(0, "the section ends within its header");
  const auto h = base::load<semdns_part_header>(bytes.data());
  if (h.shard_count < 1 || h.shard_count > SEMDNS_PART_MAX_SHARDS || h.covered < 1 ||
      h.covered > h.shard_count || h.reserved)
    return fail(0, std::to_string(h.covered) + " of " + std::to_string(h.shard_count) +
                       " shards are not possible");
  uint64_t at = sizeof h;
  if (bytes.size() - at < uint64_t(h.covered) * 4)
    return fail(at, "the section ends within the list of shards");
  cover.shards = h.shard_count;
  cover.covered.clear();
  for (uint32_t i = 0; i < h.covered; ++i, at += 4) {
    const auto shard = base::load<uint32_t>(bytes.data() + at);
    if (shard >= h.shard_count || (i && shard <= cover.covered.back()))
      return fail(at, "shard " + std::to_string(shard) + " is out of range or order");
    cover.covered.push_back(shard);
  }
  std::string raw;
  for (uint32_t b = 0; b < h.block_count; ++b) {
    if (bytes.size() - at < 8)
      return fail(at, "the section ends before block " + std::to_string(b));
    const auto rawSize = base::load<uint32_t>(bytes.data() + at);
    const auto stored = base::load<uint32_t>(bytes.data() + at + 4);
    if (rawSize < 1 || rawSize > SEMDNS_PART_MAX_BLOCK || stored > bytes.size() - at - 8)
      return fail(at, "block of " + std::to_string(rawSize) + " bytes in " +
                          std::to_string(stored) + " is not possible");
    const char *frame = bytes.data() + at + 8;
    if (ZSTD_getFrameContentSize(frame, stored) != rawSize)
      return fail(at + 8, "the frame is not one of " + std::to_string(rawSize) + " bytes");
    raw.resize(rawSize);
    if (ZSTD_decompress(raw.data(), raw.size(), frame, stored) != rawSize)
      return fail(at + 8, "zstd data is damaged");
    at += 8 + stored;
    for (uint64_t r = 0; r < rawSize;) {
      if (rawSize - r < kRecordHead)
        return fail(at, "a record ends within its head");
      const auto role = static_cast<unsigned char>(raw[r]);
      const auto owner = base::load<uint32_t>(raw.data() + r + 1);
      const auto text = base::load<uint32_t>(raw.data() + r + 5);
      r += kRecordHead;
      if (role > 1 || text < 1 || owner > rawSize - r || text > rawSize - r - owner)
        return fail(at, "a record reaches beyond its block, or has no text");
      const auto ownerName = std::string_view(raw).substr(r, owner);
      const auto content = std::string_view(raw).substr(r + owner, text);
      r += uint64_t(owner) + text;
      if (firstInvalidUtf8(ownerName) || firstInvalidUtf8(content))
        return fail(at, "a document is not UTF-8");
      if (!visit(role == 1, ownerName, content))
        return true;
    }
  }
  return at == bytes.size() || fail(at, "bytes behind the last block");
}

} // namespace semdns::patterns
