#include "lib/pack/beam_plan.h"

#include <algorithm>

namespace semdns::pack {
namespace {

/// What a node chooses between: the classes below a zone, or the zone's own class.
struct Item {
  uint32_t zone = 0;
  bool own = false;             ///< the zone's own class alone
  uint32_t first = 0, last = 0; ///< group: items [first, last) of the planner's pool
  bool group = false;
};

class Planner {
public:
  Planner(std::span<const uint32_t> parents, std::span<const uint32_t> subtreeEnd,
          std::span<const uint32_t> classZone, const BeamShape &shape)
      : parents_(parents), subtreeEnd_(subtreeEnd), classZone_(classZone), shape_(shape) {}

  BeamModel run() {
    const size_t zones = parents_.size();
    out_.width = shape_.width;
    out_.spread = shape_.spread;
    out_.homes.assign(zones, {});
    out_.classEntry.assign(classZone_.size(), 0);
    classBegin_.resize(zones + 1);
    for (uint32_t z = 0, k = 0; z <= zones; ++z) {
      while (k < classZone_.size() && classZone_[k] < z)
        ++k;
      classBegin_[z] = k;
    }
    addNode({}, SEMDNS_NONE, SEMDNS_NONE);
    for (uint32_t node = 0; node < out_.nodes.size(); ++node)
      fill(node);
    for (uint32_t z = 0; z < zones; ++z)
      out_.homes[z].parent = z ? parents_[z] : SEMDNS_NONE;
    return std::move(out_);
  }

private:
  uint32_t classes(uint32_t zone) const {
    return classBegin_[subtreeEnd_[zone]] - classBegin_[zone];
  }
  bool hasOwn(uint32_t zone) const {
    return classBegin_[zone] < classZone_.size() && classZone_[classBegin_[zone]] == zone;
  }

  /// The zone's own class and its child zones with classes.
  std::vector<Item> children(uint32_t zone) const {
    std::vector<Item> items;
    if (hasOwn(zone))
      items.push_back({zone, true});
    for (uint32_t z = zone + 1; z < subtreeEnd_[zone]; z = subtreeEnd_[z])
      if (classes(z))
        items.push_back({z});
    return items;
  }

  void addNode(const Item &item, uint32_t parent, uint32_t parentEntry) {
    semdns_beam_node node = {};
    node.parent = parent;
    node.parent_entry = parentEntry;
    node.level = parent == SEMDNS_NONE ? 0 : out_.nodes[parent].level + 1;
    out_.nodes.push_back(node);
    items_.push_back(item);
  }

  bool canOpen(const Item &item) const {
    return !item.own && !item.group && classes(item.zone) > 1;
  }

  /// Opens the largest zones, in place, while there is room.
  void open(std::vector<Item> &items) const {
    std::vector<uint8_t> closed(items.size());
    while (items.size() < shape_.aim) {
      size_t best = items.size();
      for (size_t i = 0; i < items.size(); ++i)
        if (!closed[i] && canOpen(items[i]) &&
            (best == items.size() || classes(items[i].zone) > classes(items[best].zone)))
          best = i;
      if (best == items.size())
        return;
      std::vector<Item> inner = children(items[best].zone);
      if (items.size() + inner.size() - 1 > shape_.aim + shape_.aim / 2) {
        closed[best] = 1;
        continue;
      }
      const auto at = static_cast<ptrdiff_t>(best);
      items.erase(items.begin() + at);
      items.insert(items.begin() + at, inner.begin(), inner.end());
      closed.erase(closed.begin() + at);
      closed.insert(closed.begin() + at, inner.size(), 0);
    }
  }

  /// Consecutive children together, evenly, as long as they are too many.
  void group(std::vector<Item> &items) {
    if (items.size() <= shape_.most)
      return;
    const size_t groups =
        std::min<size_t>(shape_.most, (items.size() + shape_.aim - 1) / shape_.aim);
    std::vector<Item> grouped;
    for (size_t g = 0; g < groups; ++g) {
      Item item;
      item.group = true;
      item.first = static_cast<uint32_t>(pool_.size());
      pool_.insert(pool_.end(), items.begin() + static_cast<ptrdiff_t>(g * items.size() / groups),
                   items.begin() + static_cast<ptrdiff_t>((g + 1) * items.size() / groups));
      item.last = static_cast<uint32_t>(pool_.size());
      grouped.push_back(item);
    }
    items = std::move(grouped);
  }

  void fill(uint32_t node) {
    const Item from = items_[node];
    std::vector<Item> items =
        from.group ? std::vector<Item>(pool_.begin() + from.first, pool_.begin() + from.last)
                   : children(from.zone);
    group(items);
    open(items);
    const auto begin = static_cast<uint32_t>(out_.target.size());
    out_.nodes[node].entry_begin = begin;
    out_.nodes[node].entry_count = static_cast<uint32_t>(items.size());
    for (uint32_t i = 0; i < items.size(); ++i) {
      const Item &item = items[i];
      const uint32_t entry = begin + i;
      if (!item.group)
        spread(item, node, entry, from.group ? SEMDNS_NONE : from.zone);
      if (item.group || canOpen(item)) {
        out_.target.push_back(SEMDNS_BEAM_NODE | static_cast<uint32_t>(out_.nodes.size()));
        addNode(item, node, entry);
      } else {
        const uint32_t k = classBegin_[item.zone];
        out_.target.push_back(k);
        out_.classEntry[k] = entry;
      }
    }
    if (node == 0)
      out_.homes[0] = {0, begin, begin + static_cast<uint32_t>(items.size()), 0};
    out_.target.resize((out_.target.size() + SEMDNS_LANES - 1) / SEMDNS_LANES * SEMDNS_LANES,
                       SEMDNS_NONE);
    out_.bias.resize(begin + items.size());
    out_.bias.resize(out_.target.size(), SEMDNS_BEAM_PADDING);
  }

  /// Which zones the entry speaks for: its own, those that were opened above it up to `top`, and
  /// those of a chain that ends in its only class.
  void spread(const Item &item, uint32_t node, uint32_t entry, uint32_t top) {
    const auto add = [&](uint32_t zone) {
      semdns_beam_home &home = out_.homes[zone];
      if (home.begin == home.end)
        home = {node, entry, entry + 1, 0};
      else if (home.node == node && home.end == entry)
        home.end = entry + 1;
    };
    if (!item.own)
      add(item.zone);
    else if (item.zone != top)
      add(item.zone);
    if (!canOpen(item) && !item.own)
      for (uint32_t z = item.zone + 1; z < subtreeEnd_[item.zone]; ++z)
        if (classes(z))
          add(z);
    // Zones between the node's own and this one were opened here; others have their home above.
    for (uint32_t z = item.zone; z != 0 && z != top;) {
      z = parents_[z];
      if (z == top || z == 0)
        break;
      semdns_beam_home &home = out_.homes[z];
      if (home.begin != home.end && home.node != node)
        break;
      add(z);
    }
  }

  std::span<const uint32_t> parents_, subtreeEnd_, classZone_;
  BeamShape shape_;
  std::vector<uint32_t> classBegin_; ///< [zones + 1] first class at or behind the zone
  std::vector<Item> items_;          ///< [nodes] what each is about
  std::vector<Item> pool_;           ///< items of groups
  BeamModel out_;
};

} // namespace

BeamModel planBeam(std::span<const uint32_t> parents, std::span<const uint32_t> subtreeEnd,
                   std::span<const uint32_t> classZone, const BeamShape &shape) {
  return Planner(parents, subtreeEnd, classZone, shape).run();
}

uint32_t levelsOf(const BeamModel &beam) {
  uint32_t deepest = 0;
  for (const semdns_beam_node &node : beam.nodes)
    deepest = std::max(deepest, node.level);
  return deepest + 1;
}

uint32_t nodeRoomOf(const BeamModel &beam) {
  uint32_t most = 1;
  for (const semdns_beam_node &node : beam.nodes)
    most = std::max(most, node.entry_count);
  return (most + SEMDNS_LANES - 1) / SEMDNS_LANES * SEMDNS_LANES;
}

} // namespace semdns::pack
