#include "lib/calibrate/replay.h"

#include <algorithm>

namespace semdns::calibrate {

namespace {

/// Acceptance of one stage ("Arithmetic"): the root's class first, then up the chain to the first
/// zone whose threshold is met. The root's threshold is always met.
Decision climb(const semdns_stage_evidence &stage, const pack::Acceptance &rule) {
  Decision d{0, stage.stage, stage.count ? stage.zone[0] : 0};
  if (stage.odds < rule.rootOdds)
    return d;
  for (uint32_t i = 0; i < stage.count; ++i)
    if (!stage.zone[i] || stage.confidence[i] >= rule.threshold[stage.zone[i]]) {
      d.zone = stage.zone[i];
      break;
    }
  return d;
}

} // namespace

Tree treeOf(const semdns_artifact *artifact) {
  semdns_artifact_info info = {};
  info.size = sizeof info;
  semdns_artifact_get_info(artifact, &info);
  Tree tree;
  for (uint32_t zone = 0; zone < info.zone_count; ++zone) {
    semdns_zone_ref ref = {};
    semdns_artifact_zone(artifact, zone, &ref);
    const uint32_t parent = zone ? semdns_artifact_zone_parent(artifact, zone) : 0;
    tree.parent.push_back(parent);
    tree.depth.push_back(zone ? tree.depth[parent] + 1 : 0);
    tree.subtreeEnd.push_back(zone + 1);
    tree.name.push_back(ref.name);
  }
  for (uint32_t zone = info.zone_count; zone-- > 1;)
    tree.subtreeEnd[tree.parent[zone]] =
        std::max(tree.subtreeEnd[tree.parent[zone]], tree.subtreeEnd[zone]);
  return tree;
}

Decision replay(const semdns_evidence &evidence, const Rules &rules, uint32_t stages) {
  if (!stages)
    stages = SEMDNS_STAGES_ALL;
  const semdns_stage_evidence &one = evidence.keyword, &two = evidence.embedding,
                              &three = evidence.encoder;
  if ((stages & SEMDNS_STAGE_KEYWORD) && one.stage && one.accepted)
    return {one.zone[0], SEMDNS_STAGE_KEYWORD, one.zone[0]};
  const bool second = (stages & SEMDNS_STAGE_EMBEDDING) && two.stage;
  if ((stages & SEMDNS_STAGE_ENCODER) && !rules.encoder.threshold.empty()) {
    if (second) {
      if (two.confidence[0] >= rules.guard.confidence && two.odds >= rules.guard.odds)
        return {two.zone[0], SEMDNS_STAGE_EMBEDDING, two.zone[0]};
      if (two.odds < rules.guard.rejectOdds)
        return {0, SEMDNS_STAGE_EMBEDDING, two.zone[0]};
    }
    if (three.stage)
      return climb(three, rules.encoder);
  }
  if (second)
    return climb(two, rules.embedding);
  return {};
}

} // namespace semdns::calibrate
