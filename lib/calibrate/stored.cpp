#include "lib/calibrate/stored.h"

#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "runtime/artifact/contents.h"
#include "runtime/artifact/source.h"

#include <cstddef>
#include <cstring>

namespace semdns::calibrate {

namespace {

/// An open file: aligned bytes, reader and views, validated in full.
struct Open {
  artifact::Source source;
  artifact::Reader reader;
  artifact::Contents contents;

  bool open(std::string_view file, std::string &error) {
    base::Error why;
    if (source.openMemory(file.data(), file.size(), artifact::Source::Mode::Copy, why) &&
        reader.open(source.data(), source.size(), SEMDNS_KIND_HIERARCHY, artifact::Check::Full,
                    why) &&
        artifact::parseContents(reader, contents, why))
      return true;
    error = why.message;
    return false;
  }
};

/// CLSF's bytes with other guards and thresholds.
std::string acceptanceSection(artifact::Span span, const Rules &rules) {
  std::string bytes(reinterpret_cast<const char *>(span.data), span.size);
  semdns_clsf_header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.root_odds = rules.embedding.rootOdds;
  header.guard_confidence = rules.guard.confidence;
  header.guard_odds = rules.guard.odds;
  header.reject_odds = rules.guard.rejectOdds;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + header.zone_threshold_offset, rules.embedding.threshold.data(),
              size_t{4} * header.zone_count);
  return bytes;
}

/// HEAD's bytes with other thresholds.
std::string headSection(artifact::Span span, const Rules &rules) {
  std::string bytes(reinterpret_cast<const char *>(span.data), span.size);
  semdns_head_header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.root_odds = rules.encoder.rootOdds;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + header.zone_threshold_offset, rules.encoder.threshold.data(),
              size_t{4} * header.zone_count);
  return bytes;
}

} // namespace

std::optional<Rules> readRules(std::string_view file, std::string &error) {
  Open open;
  if (!open.open(file, error))
    return std::nullopt;
  const semdns_clsf_header &header = *open.contents.acceptance.header;
  Rules rules;
  rules.guard = {header.guard_confidence, header.guard_odds, header.reject_odds};
  rules.embedding.rootOdds = header.root_odds;
  const uint32_t *thresholds = open.contents.acceptance.zoneThreshold;
  rules.embedding.threshold.assign(thresholds, thresholds + header.zone_count);
  if (open.contents.hasEncoder) {
    const artifact::Head &head = open.contents.head;
    rules.encoder.rootOdds = head.header->root_odds;
    rules.encoder.threshold.assign(head.zoneThreshold, head.zoneThreshold + header.zone_count);
  }
  return rules;
}

std::optional<std::vector<pack::GoldQuery>> readGold(std::string_view file, std::string &error) {
  Open open;
  if (!open.open(file, error))
    return std::nullopt;
  std::vector<pack::GoldQuery> queries;
  for (uint32_t i = 0; open.contents.hasGold && i < open.contents.gold.header->count; ++i) {
    const semdns_gold_entry &entry = open.contents.gold.entries[i];
    queries.push_back({std::string(open.contents.gold.query(i)), entry.expected_zone,
                       entry.answer_zone, entry.best_zone, entry.stage, entry.confidence});
  }
  return queries;
}

std::optional<std::string> replaceRules(std::string_view file, const Rules &rules,
                                        const std::map<std::string, std::string> &meta,
                                        const std::string &gold, uint64_t serial,
                                        std::string &error) {
  Open open;
  if (!open.open(file, error))
    return std::nullopt;
  const size_t zones = open.contents.acceptance.header->zone_count;
  if (rules.embedding.threshold.size() != zones ||
      rules.encoder.threshold.size() != (open.contents.hasEncoder ? zones : 0)) {
    error = "the rules are for another tree or other stages";
    return std::nullopt;
  }
  std::map<std::string, std::string> pairs = meta;
  std::string_view key, value;
  for (uint64_t cursor = 0; open.contents.meta.next(cursor, key, value);)
    if (key.substr(0, 5) != "risk." && key.substr(0, 6) != "facts.")
      pairs.emplace(key, value);
  const std::string metaBytes = pack::buildMeta(pairs, error);
  if (metaBytes.empty())
    return std::nullopt;
  pack::ArtifactWriter writer(SEMDNS_KIND_HIERARCHY, serial);
  for (uint32_t i = 0; i < open.reader.sectionCount(); ++i) {
    const semdns_section entry = open.reader.entry(i);
    const artifact::Span span = open.reader.bytes(i);
    std::string bytes(reinterpret_cast<const char *>(span.data), span.size);
    if (entry.flags & SEMDNS_SECTION_ZSTD) {
      base::Error why;
      bytes.resize(entry.raw_size);
      if (!open.reader.decompress(i, bytes.data(), bytes.size(), why)) {
        error = why.message;
        return std::nullopt;
      }
    }
    if (entry.tag == SEMDNS_TAG_META)
      bytes = metaBytes;
    else if (entry.tag == SEMDNS_TAG_CLSF)
      bytes = acceptanceSection(span, rules);
    else if (entry.tag == SEMDNS_TAG_HEAD)
      bytes = headSection(span, rules);
    else if (entry.tag == SEMDNS_TAG_GOLD && !gold.empty())
      bytes = gold;
    writer.add(entry.tag, entry.target, entry.version, entry.flags, entry.layout, entry.alignment,
               bytes);
  }
  return writer.finish();
}

} // namespace semdns::calibrate
