#include "lib/pack/gold_build.h"

#include "lib/pack/section_bytes.h"
#include "semdns/format/gold.h"

namespace semdns::pack {

std::optional<std::string> buildGoldSection(const std::vector<GoldQuery> &queries,
                                            std::string &error) {
  if (queries.size() > SEMDNS_GOLD_MAX_ENTRIES) {
    error = std::to_string(queries.size()) + " test queries; the limit is " +
            std::to_string(SEMDNS_GOLD_MAX_ENTRIES);
    return std::nullopt;
  }
  std::vector<semdns_gold_entry> entries;
  std::string text;
  for (const GoldQuery &query : queries) {
    if (text.size() + query.text.size() > UINT32_MAX) {
      error = "test queries have more than 4 GiB of text";
      return std::nullopt;
    }
    entries.push_back({static_cast<uint32_t>(text.size()), static_cast<uint32_t>(query.text.size()),
                       query.expectedZone, query.answerZone, query.bestZone, query.stage,
                       query.confidence, 0});
    text += query.text;
  }
  semdns_gold_header header = {};
  header.count = static_cast<uint32_t>(entries.size());
  header.text_bytes = static_cast<uint32_t>(text.size());
  SectionBytes bytes(sizeof header);
  bytes.appendPacked(entries.data(), entries.size());
  bytes.appendPacked(text.data(), text.size());
  return bytes.finish(header);
}

} // namespace semdns::pack
