#include "lib/pack/classes_build.h"

#include "lib/pack/features_build.h"
#include "lib/pack/section_bytes.h"
#include "lib/pack/zones_build.h"
#include "semdns/format/beam.h"

#include <algorithm>

namespace semdns::pack {
namespace {

/// Largest r with r * r <= x.
uint64_t squareRoot(unsigned __int128 x) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 63; bit; bit >>= 1) {
    unsigned __int128 with = root | bit;
    if (with * with <= x)
      root |= bit;
  }
  return root;
}

uint32_t padded(uint32_t classCount, uint32_t layout) {
  uint32_t group = SEMDNS_LANES * layout;
  return (classCount + group - 1) / group * group;
}

} // namespace

uint32_t chooseLayout(uint32_t classCount) {
  if (classCount >= 64 && padded(classCount, 4) - classCount <= classCount / 8)
    return 4;
  uint32_t best = 4;
  for (uint32_t layout : {2u, 1u})
    if (padded(classCount, layout) < padded(classCount, best))
      best = layout;
  return best;
}

std::array<uint32_t, 256> exp2Table() {
  // 2^(-2^b/256) with 60 fractional bits for b = 8 (one half) down to 0, each the root of the one
  // before; then products by the bits of i. The error stays below 2^-55.
  std::array<uint64_t, 9> power;
  power[8] = uint64_t{1} << 59;
  for (uint32_t b = 8; b-- > 0;)
    power[b] = squareRoot(static_cast<unsigned __int128>(power[b + 1]) << 60);
  std::array<uint32_t, 256> table;
  for (uint32_t i = 0; i < 256; ++i) {
    uint64_t value = uint64_t{1} << 60;
    for (uint32_t b = 0; b < 8; ++b)
      if (i >> b & 1)
        value = static_cast<uint64_t>((static_cast<unsigned __int128>(value) * power[b]) >> 60);
    table[i] = static_cast<uint32_t>((value + (uint64_t{1} << 43)) >> 44);
  }
  return table;
}

std::optional<std::string> buildCentroidsSection(const EmbeddingModel &model, uint32_t layout,
                                                 std::string &error) {
  uint32_t dim = packedDim(model);
  size_t classes = model.classes.size() / dim;
  if (model.classes.size() % dim || (layout != 1 && layout != 2 && layout != 4)) {
    error = "class vectors do not fit the dimension, or the layout is not 1, 2 or 4";
    return std::nullopt;
  }
  if (classes > SEMDNS_BEAM_MAX_ENTRIES) {
    error = std::to_string(classes) + " class vectors; the limit is " +
            std::to_string(SEMDNS_BEAM_MAX_ENTRIES);
    return std::nullopt;
  }
  if (std::find(model.classes.begin(), model.classes.end(), INT8_MIN) != model.classes.end()) {
    error = "a class vector has the value -128";
    return std::nullopt;
  }
  semdns_cent_header header = {};
  header.class_count = static_cast<uint32_t>(classes);
  header.padded_count = padded(header.class_count, layout);
  header.dim = dim;
  header.layout = layout;
  std::vector<int8_t> vectors(size_t{header.padded_count} * dim);
  std::vector<int32_t> offsets(header.padded_count);
  for (uint32_t c = 0; c < classes; ++c) {
    uint32_t group = c / (SEMDNS_LANES * layout), b = c / SEMDNS_LANES % layout,
             lane = c % SEMDNS_LANES;
    int32_t sum = 0;
    for (uint32_t d = 0; d < dim; ++d) {
      int8_t value = model.classes[size_t{c} * dim + d];
      size_t line = (size_t{group} * (dim / 4) + d / 4) * layout + b;
      vectors[line * 64 + lane * 4 + d % 4] = value;
      sum += value;
    }
    offsets[c] = -128 * sum;
  }
  SectionBytes bytes(sizeof header);
  header.vectors_offset = bytes.append(vectors);
  header.offsets_offset = bytes.append(offsets);
  return bytes.finish(header);
}

bool validAcceptance(const Acceptance &acceptance, const spec::ZoneTree &tree, std::string &error) {
  if (acceptance.threshold.size() != tree.zones.size() || acceptance.threshold[0] != 0) {
    error = "the thresholds do not fit the zone tree";
    return false;
  }
  for (uint32_t threshold : acceptance.threshold)
    if (threshold > 65536 && threshold != SEMDNS_NONE) {
      error = "threshold " + std::to_string(threshold) + " is neither within 0..65536 nor never";
      return false;
    }
  return true;
}

std::optional<std::string> buildAcceptanceSection(const RoutingModel &model,
                                                  const spec::ZoneTree &tree, std::string &error) {
  auto ranges = classRanges(model, tree, error);
  if (!ranges)
    return std::nullopt;
  if (model.embedding.gain < 1 || model.embedding.gain > 1u << 24) {
    error = "gain " + std::to_string(model.embedding.gain) + " is outside 1..2^24";
    return std::nullopt;
  }
  if (!validAcceptance(model.acceptance, tree, error))
    return std::nullopt;
  if (model.guard.confidence > SEMDNS_GUARD_NEVER) {
    error = "guard confidence " + std::to_string(model.guard.confidence) + " is outside 0..65537";
    return std::nullopt;
  }
  semdns_clsf_header header = {};
  header.class_count = static_cast<uint32_t>(model.classZone.size());
  header.zone_count = static_cast<uint32_t>(tree.zones.size());
  header.root_class = !model.classZone.empty() && model.classZone[0] == 0;
  header.gain = model.embedding.gain;
  header.root_odds = model.acceptance.rootOdds;
  header.guard_confidence = model.guard.confidence;
  header.guard_odds = model.guard.odds;
  header.reject_odds = model.guard.rejectOdds;
  std::vector<uint32_t> parent;
  for (const spec::Zone &zone : tree.zones)
    parent.push_back(zone.parent);
  auto table = exp2Table();
  SectionBytes bytes(sizeof header);
  header.exp2_offset = bytes.append(table.data(), table.size());
  header.class_zone_offset = bytes.append(model.classZone);
  header.zone_parent_offset = bytes.append(parent);
  header.zone_class_begin_offset = bytes.append(ranges->begin);
  header.zone_class_end_offset = bytes.append(ranges->end);
  header.zone_threshold_offset = bytes.append(model.acceptance.threshold);
  return bytes.finish(header);
}

} // namespace semdns::pack
