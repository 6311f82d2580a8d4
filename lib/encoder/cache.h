/// \file Embeddings kept between builds: a rebuild with ten new examples costs ten embeddings.
#pragma once

#include "lib/support/diagnostics.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace semdns::encoder {

/// $XDG_CACHE_HOME/semdns, else $HOME/.cache/semdns; empty when neither variable says where.
std::string defaultCacheFolder();

/// One file of float32 rows for one model, keyed by SHA-256 of (model digest, token ids). Rows have
/// checksums; damaged, cut-off and foreign ones count as missing. Several processes may read and
/// append at a time (flock). Not thread-safe.
class EmbeddingCache {
public:
  using Ids = std::vector<uint32_t>;
  /// Embeds sequences: [count][width].
  using Embed = std::function<std::vector<float>(std::span<const Ids>)>;

  /// `folder` is made if need be; empty: nothing is kept. `modelDigest` names the model and
  /// whatever else decides the embeddings (the instruction set that computed them); any string. A
  /// folder or file that cannot be read or written is a warning, and nothing is kept.
  EmbeddingCache(const std::string &folder, const std::string &modelDigest, uint32_t width,
                 Diagnostics &diags);

  /// [sequences][width]: cached rows as they are, the others from `embedMissing`, which is called
  /// once, with every missing sequence once, in order of first appearance, or not at all. New rows
  /// are appended before this returns.
  std::vector<float> embed(std::span<const Ids> sequences, const Embed &embedMissing);

  uint64_t hits() const { return hits_; }           ///< sequences answered from the file, so far
  uint64_t misses() const { return misses_; }       ///< sequences embedded, so far
  const std::string &path() const { return path_; } ///< of the file; empty: nothing is kept

private:
  using Key = std::array<uint8_t, 32>;

  Key keyOf(const Ids &ids) const;
  size_t rowBytes() const;
  void load();
  void append(std::span<const Key> keys, const float *rows);
  void giveUp(const std::string &what);

  std::string path_, digest_;
  uint32_t width_;
  Diagnostics &diags_;
  std::map<Key, uint64_t> offsets_; ///< of good rows in the file
  uint64_t hits_ = 0, misses_ = 0;
};

} // namespace semdns::encoder
