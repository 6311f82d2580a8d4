#include "lib/spec/tree.h"

#include "semdns/format/zones.h"

#include <algorithm>
#include <cmath>

namespace semdns::spec {
namespace {

void collect(const ZoneSpec &zone, std::vector<const ZoneSpec *> &out) {
  for (const ZoneSpec &each : zone.zones) {
    out.push_back(&each);
    collect(each, out);
  }
}

std::vector<std::string> paths(const std::vector<FileRef> &files) {
  std::vector<std::string> out;
  for (const FileRef &file : files)
    out.push_back(file.path);
  return out;
}

void fill(const ZoneSpec &from, const ZoneTree &tree, Zone &zone) {
  const Zone *parent = zone.parent == kNone ? nullptr : &tree.zones[zone.parent];
  zone.levels = from.levels;
  zone.name = formatName(from.levels);
  zone.ttl = from.ttl ? *from.ttl : parent ? parent->ttl : kDefaultTtl;
  zone.flags = (from.restricted ? SEMDNS_ZONE_RESTRICTED : 0u) |
               (from.shareable ? SEMDNS_ZONE_SHAREABLE : 0u) |
               (parent ? parent->flags & SEMDNS_ZONE_RESTRICTED : 0u);
  auto add = [&](const EngineUse &use) {
    auto at = std::lower_bound(
        tree.engines.begin(), tree.engines.end(), use.engine,
        [](const Engine &engine, const std::string &name) { return engine.name < name; });
    if (at != tree.engines.end() && at->name == use.engine)
      zone.engines.push_back({uint32_t(at - tree.engines.begin()), use.weight});
  };
  for (const EngineUse &use : from.engines)
    add(use);
  for (const EngineUse &use : from.shares)
    add(use);
  if (from.fallback)
    add(*from.fallback);
  if (zone.engines.empty() && parent)
    zone.engines = parent->engines;
  for (const Text &keyword : from.keywords)
    zone.keywords.push_back(keyword.text);
  zone.patterns = paths(from.patterns);
  zone.corpora = paths(from.corpora);
  zone.description = from.description;
  zone.where = from.where;
}

} // namespace

ZoneTree buildTree(const Spec &spec) {
  ZoneTree tree;
  for (const EngineSpec &engine : spec.engines)
    tree.engines.push_back({engine.name, engine.region, engine.tier, engine.maxContext,
                            uint64_t(std::llround(engine.costPerMtok * 1e9))});
  std::sort(tree.engines.begin(), tree.engines.end(),
            [](const Engine &a, const Engine &b) { return a.name < b.name; });

  // Sorted by levels, root to leaf, is preorder with sorted siblings. The order is that of the
  // escaped levels, which is what a reader of the artifact sees in the names.
  std::vector<const ZoneSpec *> zones;
  collect(spec.root, zones);
  std::vector<std::pair<Levels, const ZoneSpec *>> order;
  for (const ZoneSpec *zone : zones) {
    Levels key;
    for (const std::string &level : zone->levels)
      key.push_back(formatLevel(level));
    order.emplace_back(std::move(key), zone);
  }
  std::sort(order.begin(), order.end(),
            [](const auto &a, const auto &b) { return a.first < b.first; });

  std::vector<std::string> spelling{""};
  tree.zones.emplace_back();
  fill(spec.root, tree, tree.zones[0]);
  std::vector<uint32_t> open{0}; // the zones on the path to the last one
  for (const auto &[key, each] : order) {
    const Levels &levels = each->levels;
    if (levels.empty() || levels == tree.zones.back().levels)
      continue; // declared twice
    auto holds = [&](uint32_t zone) {
      const Levels &outer = tree.zones[zone].levels;
      return outer.size() < levels.size() && std::equal(outer.begin(), outer.end(), levels.begin());
    };
    while (!holds(open.back()))
      open.pop_back();
    if (tree.zones[open.back()].levels.size() + 1 != levels.size())
      continue; // no parent
    Zone zone;
    zone.parent = open.back();
    zone.depth = uint32_t(levels.size());
    fill(*each, tree, zone);
    open.push_back(uint32_t(tree.zones.size()));
    tree.zones.push_back(std::move(zone));
    spelling.push_back(each->label);
  }
  for (size_t i = tree.zones.size(); i-- > 0;) {
    Zone &zone = tree.zones[i];
    zone.subtreeEnd = std::max(zone.subtreeEnd, uint32_t(i) + 1);
    if (zone.parent != kNone)
      tree.zones[zone.parent].subtreeEnd =
          std::max(tree.zones[zone.parent].subtreeEnd, zone.subtreeEnd);
  }
  spellPaths(tree, spelling);
  return tree;
}

void spellPaths(ZoneTree &tree, const std::vector<std::string> &spelling) {
  for (size_t i = 1; i < tree.zones.size(); ++i) {
    Zone &zone = tree.zones[i];
    const std::string &level = spelling[i].empty() ? zone.levels.back() : spelling[i];
    zone.path = zone.parent == 0 ? level : tree.zones[zone.parent].path + "/" + level;
  }
}

ZoneIndex::ZoneIndex(const ZoneTree &tree) {
  byPath_.reserve(tree.zones.size());
  for (size_t i = 0; i < tree.zones.size(); ++i)
    byPath_.emplace(joinPath(tree.zones[i].levels), uint32_t(i));
}

uint32_t ZoneIndex::find(const Levels &levels) const {
  auto at = byPath_.find(joinPath(levels));
  return at == byPath_.end() ? kNone : at->second;
}

uint32_t ZoneIndex::findName(std::string_view name) const {
  NameError ignored;
  const std::optional<Levels> levels = parseName(name, ignored);
  return levels ? find(*levels) : kNone;
}

} // namespace semdns::spec
