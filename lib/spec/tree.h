/// \file The zone tree in the artifact's order: what the trainer, the dialects and the packer read.
#pragma once

#include "lib/spec/spec.h"

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace semdns::spec {

constexpr uint32_t kNone = 0xffffffffu; ///< SEMDNS_NONE
constexpr uint32_t kDefaultTtl = 3600;  ///< seconds

struct EngineRef {
  uint32_t engine; ///< index into ZoneTree::engines
  uint32_t weight; ///< at least 1
};

struct Zone {
  uint32_t parent = kNone; ///< kNone for the root
  uint32_t depth = 0;
  uint32_t subtreeEnd = 1;        ///< one past the last zone of the subtree
  std::string name = ".";         ///< "contracts.legal."
  std::string path = "/";         ///< original spelling, "legal/contracts"
  Levels levels;                  ///< root to leaf, mapped; no level holds '/'
  uint32_t ttl = kDefaultTtl;     ///< seconds; its own, or the nearest ancestor's
  uint32_t flags = 0;             ///< SEMDNS_ZONE_*; restricted holds for the whole subtree
  std::vector<EngineRef> engines; ///< in order of preference; the nearest ancestor's if it has none
  std::vector<std::string> keywords;          ///< as written, non-blank
  std::vector<std::string> patterns, corpora; ///< paths to open
  std::string description;
  uint32_t exampleCount = 0; ///< rows whose label is this very zone
  Location where;            ///< in the spec
};

struct Engine {
  std::string name, region;
  Tier tier = Tier::Root;
  uint32_t maxContext = 0;      ///< tokens; 0 = not stated
  uint64_t costPerMtokNano = 0; ///< 1e-9 currency units per million tokens
};

struct ZoneTree {
  std::vector<Zone> zones;     ///< preorder, siblings sorted by formatLevel; [0] = root
  std::vector<Engine> engines; ///< sorted by name
};

/// Flattens a spec. Zones that are declared twice or whose parent is missing are left out, so that
/// a spec with errors still gives a tree to check labels against. Paths have the spelling that the
/// spec gives; loading examples refines it.
ZoneTree buildTree(const Spec &spec);

/// Recomputes every zone's path; `spelling[i]` is zone i's last level (empty: as in its name).
void spellPaths(ZoneTree &tree, const std::vector<std::string> &spelling);

/// Finds zones by their levels.
class ZoneIndex {
public:
  explicit ZoneIndex(const ZoneTree &tree);
  /// `levels` are mapped; kNone when there is no such zone.
  uint32_t find(const Levels &levels) const;
  /// A zone's text name, in any spelling that parseName takes.
  uint32_t findName(std::string_view name) const;

private:
  std::unordered_map<std::string, uint32_t> byPath_;
};

} // namespace semdns::spec
