/// \file Simulated endpoints: one server each with a queue, and a KV cache of prompt blocks.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace semdns::sim {

/// A cache of prompt blocks that drops the longest unused one. A prompt's blocks are used from its
/// end to its start, so that a prefix goes from its end on, as inference engines have it.
class KvCache {
public:
  explicit KvCache(uint32_t capacity) : nodes_(capacity) { where_.reserve(capacity); }
  /// Leading blocks that are there.
  uint32_t held(std::span<const uint64_t> blocks) const;
  void use(std::span<const uint64_t> blocks);

private:
  struct Node {
    uint64_t block = 0;
    uint32_t newer = 0, older = 0;
  };
  void unlink(uint32_t node);
  void pushNewest(uint32_t node);

  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, uint32_t> where_;
  uint32_t used_ = 0, newest_ = kNone, oldest_ = kNone;
  static constexpr uint32_t kNone = 0xffffffffu;
};

/// How long a request keeps an endpoint.
struct ServiceModel {
  uint64_t perBlock = 50000000;     ///< ns for a prompt block that is not in the cache
  uint64_t perOutputToken = 500000; ///< ns
};

/// What became of one request.
struct Service {
  uint32_t hit = 0; ///< blocks found in the cache
  uint64_t start = 0, end = 0;
};

/// First come, first served; one at a time.
class SimulatedEndpoint {
public:
  explicit SimulatedEndpoint(uint32_t blocks) : cache_(blocks) {}
  Service serve(uint64_t now, std::span<const uint64_t> blocks, uint32_t outputTokens,
                const ServiceModel &model);

private:
  KvCache cache_;
  uint64_t freeAt_ = 0;
};

} // namespace semdns::sim
