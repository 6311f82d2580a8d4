#include "lib/pack/head_build.h"

#include "lib/pack/classes_build.h"
#include "lib/pack/section_bytes.h"
#include "semdns/format/head.h"

#include <algorithm>

namespace semdns::pack {

std::optional<std::string> buildHeadSection(const RoutingModel &model, const spec::ZoneTree &tree,
                                            std::string &error) {
  const EncoderHead &head = model.head;
  const size_t classes = model.classZone.size();
  if (head.width < 1 || head.width > SEMDNS_HEAD_MAX_WIDTH || classes < 1 ||
      classes > SEMDNS_MAX_FLAT_CLASSES || head.classes.size() != classes * head.width ||
      head.bias.size() != classes) {
    error = "stage 3's class vectors do not fit the classes or the encoder's width";
    return std::nullopt;
  }
  if (head.gain < 1 || head.gain > SEMDNS_HEAD_MAX_GAIN || head.mix > SEMDNS_HEAD_MAX_MIX) {
    error = "stage 3's gain " + std::to_string(head.gain) + " or mix " + std::to_string(head.mix) +
            " is out of range";
    return std::nullopt;
  }
  if (std::find(head.classes.begin(), head.classes.end(), INT8_MIN) != head.classes.end()) {
    error = "a class vector of stage 3 has the value -128";
    return std::nullopt;
  }
  if (!validAcceptance(head.acceptance, tree, error))
    return std::nullopt;
  semdns_head_header header = {};
  header.class_count = static_cast<uint32_t>(classes);
  header.layout = chooseLayout(header.class_count);
  const uint32_t group = SEMDNS_LANES * header.layout;
  header.padded_count = (header.class_count + group - 1) / group * group;
  header.width = head.width;
  header.padded_width = (head.width + 15) / 16 * 16;
  header.zone_count = static_cast<uint32_t>(tree.zones.size());
  header.gain = head.gain;
  header.mix = head.mix;
  header.root_odds = head.acceptance.rootOdds;
  std::vector<int8_t> vectors(size_t{header.padded_count} * header.padded_width);
  for (uint32_t k = 0; k < classes; ++k)
    for (uint32_t d = 0; d < head.width; ++d) {
      size_t line = (size_t{k / group} * (header.padded_width / 4) + d / 4) * header.layout +
                    k / SEMDNS_LANES % header.layout;
      vectors[line * 64 + k % SEMDNS_LANES * 4 + d % 4] = head.classes[size_t{k} * head.width + d];
    }
  SectionBytes bytes(sizeof header);
  header.vectors_offset = bytes.append(vectors);
  header.bias_offset = bytes.append(head.bias);
  header.zone_threshold_offset = bytes.append(head.acceptance.threshold);
  return bytes.finish(header);
}

} // namespace semdns::pack
