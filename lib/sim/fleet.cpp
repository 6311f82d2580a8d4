#include "lib/sim/fleet.h"

#include <algorithm>

namespace semdns::sim {

uint32_t KvCache::held(std::span<const uint64_t> blocks) const {
  uint32_t count = 0;
  while (count < blocks.size() && where_.count(blocks[count]))
    ++count;
  return count;
}

void KvCache::unlink(uint32_t node) {
  const Node &n = nodes_[node];
  (n.newer == kNone ? newest_ : nodes_[n.newer].older) = n.older;
  (n.older == kNone ? oldest_ : nodes_[n.older].newer) = n.newer;
}

void KvCache::pushNewest(uint32_t node) {
  nodes_[node].newer = kNone;
  nodes_[node].older = newest_;
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = node;
  newest_ = node;
}

void KvCache::use(std::span<const uint64_t> blocks) {
  for (size_t i = blocks.size(); i-- > 0 && !nodes_.empty();) {
    const auto [at, fresh] = where_.try_emplace(blocks[i], used_);
    if (!fresh) {
      unlink(at->second);
    } else if (used_ < nodes_.size()) {
      nodes_[used_++].block = blocks[i];
    } else {
      const uint32_t victim = oldest_;
      unlink(victim);
      at->second = victim;
      where_.erase(nodes_[victim].block);
      nodes_[victim].block = blocks[i];
    }
    pushNewest(at->second);
  }
}

Service SimulatedEndpoint::serve(uint64_t now, std::span<const uint64_t> blocks,
                                 uint32_t outputTokens, const ServiceModel &model) {
  Service out;
  out.hit = cache_.held(blocks);
  cache_.use(blocks);
  out.start = std::max(now, freeAt_);
  freeAt_ = out.end =
      out.start + (blocks.size() - out.hit) * model.perBlock + outputTokens * model.perOutputToken;
  return out;
}

} // namespace semdns::sim
