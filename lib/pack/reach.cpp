#include "lib/pack/reach.h"

#include <map>

namespace semdns::pack {
namespace {

using artifact::Contents;

/// Class vectors in CENT's layout, one after the other.
std::vector<std::string> vectorsOf(const int8_t *vectors, uint32_t classes, uint32_t dim,
                                   uint32_t layout) {
  std::vector<std::string> out(classes);
  for (uint32_t c = 0; c < classes; ++c) {
    const uint32_t group = c / (SEMDNS_LANES * layout), block = c / SEMDNS_LANES % layout;
    for (uint32_t quad = 0; quad < dim / 4; ++quad) {
      const size_t line = (size_t{group} * (dim / 4) + quad) * layout + block;
      out[c].append(reinterpret_cast<const char *>(vectors) + line * 64 + c % SEMDNS_LANES * 4, 4);
    }
  }
  return out;
}

/// A stage that scores classes and climbs.
struct Stage {
  const uint32_t *threshold;
  std::vector<int64_t> beatenBy; ///< by class: one that is never behind it, or -1
};

Stage embeddingStage(const Contents &c) {
  const uint32_t classes = c.centroids.header->class_count;
  if (c.hasBeam) // entries compete within their nodes: nothing is said of them
    return {c.acceptance.zoneThreshold, std::vector<int64_t>(c.beam.header->class_count, -1)};
  Stage stage{c.acceptance.zoneThreshold, std::vector<int64_t>(classes, -1)};
  const auto vectors =
      vectorsOf(c.centroids.vectors, classes, c.centroids.header->dim, c.centroids.header->layout);
  std::map<std::string_view, uint32_t> first;
  // The root's own class does not compete for the best guess. Ties go to the lowest class.
  for (uint32_t k = c.acceptance.header->root_class; k < classes; ++k)
    if (auto [at, fresh] = first.try_emplace(vectors[k], k); !fresh)
      stage.beatenBy[k] = at->second;
  return stage;
}

Stage encoderStage(const Contents &c, const Stage &two) {
  const semdns_head_header &h = *c.head.header;
  Stage stage{c.head.zoneThreshold, std::vector<int64_t>(h.class_count, -1)};
  const auto vectors = vectorsOf(c.head.vectors, h.class_count, h.padded_width, h.layout);
  std::map<std::string_view, uint32_t> first;
  for (uint32_t k = c.acceptance.header->root_class; k < h.class_count; ++k) {
    auto [at, fresh] = first.try_emplace(vectors[k], k);
    const uint32_t other = at->second;
    if (!fresh && c.head.bias[other] >= c.head.bias[k] &&
        (!h.mix || two.beatenBy[k] == static_cast<int64_t>(other)))
      stage.beatenBy[k] = other;
  }
  return stage;
}

class Prover {
public:
  explicit Prover(const Contents &contents)
      : c_(contents), zones_(contents.zones), hasTerm_(zones_.header->zone_count, false) {
    for (uint32_t i = 0; i < c_.keywords.header->term_count; ++i)
      hasTerm_[c_.keywords.terms[i].zone] = true;
  }

  std::vector<Unreachable> run() {
    std::vector<Stage> stages;
    if (c_.centroids.header->class_count) {
      stages.push_back(embeddingStage(c_));
      if (c_.hasEncoder)
        stages.push_back(encoderStage(c_, stages[0]));
    }
    const uint32_t count = zones_.header->zone_count;
    std::vector<std::vector<bool>> visited;
    for (const Stage &stage : stages)
      visited.push_back(visitedBy(stage));
    std::vector<Unreachable> proofs(count);
    for (uint32_t zone = 1; zone < count; ++zone) {
      if (hasTerm_[zone] && c_.keywords.header->accept_votes != SEMDNS_NEVER)
        continue;
      const semdns_zone &z = zones_.zones[zone];
      Unreachable &proof = proofs[zone];
      if (z.class_begin == z.class_end) {
        proof.why = hasTerm_[zone]
                        ? "it has keywords alone, and stage 1 never answers"
                        : "neither it nor a zone below it has examples, and it has no keywords";
        continue;
      }
      // The guard lets stage 2's best zone answer whatever thresholds say.
      if (c_.hasEncoder && c_.acceptance.header->guard_confidence < SEMDNS_GUARD_NEVER &&
          alive(zone, stages[0]))
        continue;
      proof.between = z.own_class == SEMDNS_NONE && !hasTerm_[zone];
      for (size_t i = 0; i < stages.size(); ++i) {
        const std::string why = impossible(zone, stages[i], visited[i]);
        if (why.empty()) {
          proof = {};
          break;
        }
        if (proof.why.empty())
          proof.why = why;
      }
    }
    return proofs;
  }

private:
  std::string nameOf(uint32_t zone) const {
    std::string name = "'";
    return name.append(zones_.name(zone)) + "'";
  }

  bool alive(uint32_t zone, const Stage &stage) const {
    const uint32_t own = zones_.zones[zone].own_class;
    return own != SEMDNS_NONE && stage.beatenBy[own] < 0;
  }

  /// The zones that a climb may come by: those of best guesses, and the parents of zones that may
  /// not be sure enough.
  std::vector<bool> visitedBy(const Stage &stage) const {
    std::vector<bool> visited(zones_.header->zone_count, false);
    for (uint32_t zone = zones_.header->zone_count; zone-- > 1;) { // children before parents
      if (alive(zone, stage))
        visited[zone] = true;
      if (visited[zone] && stage.threshold[zone] > 0)
        visited[zones_.zones[zone].parent] = true;
    }
    return visited;
  }

  std::string impossible(uint32_t zone, const Stage &stage,
                         const std::vector<bool> &visited) const {
    const semdns_zone &z = zones_.zones[zone];
    if (stage.threshold[zone] == SEMDNS_NONE)
      return "its threshold says never";
    if (!visited[zone]) {
      for (uint32_t k = z.class_begin; k < z.class_end; ++k)
        if (stage.beatenBy[k] < 0)
          return "the zones below it are sure enough at any confidence";
      return "its classes have the same vectors as others, such as that of " +
             nameOf(c_.acceptance.classZone[stage.beatenBy[z.class_begin]]);
    }
    if (alive(zone, stage))
      return {};
    // A climb comes from a child. With the same classes it has the same confidence.
    for (uint32_t child = zone + 1; child < z.subtree_end;
         child = zones_.zones[child].subtree_end) {
      const semdns_zone &below = zones_.zones[child];
      if (below.class_begin == z.class_begin && below.class_end == z.class_end &&
          stage.threshold[child] <= stage.threshold[zone])
        return "it needs no less confidence than " + nameOf(child) + ", which has the same classes";
    }
    return {};
  }

  const Contents &c_;
  const artifact::Zones &zones_;
  std::vector<bool> hasTerm_;
};

} // namespace

std::vector<Unreachable> unreachableZones(const artifact::Contents &contents) {
  return Prover(contents).run();
}

} // namespace semdns::pack
