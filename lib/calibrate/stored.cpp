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
  return rules;
}

std::optional<std::string> replaceRules(std::string_view file, const Rules &rules,
                                        const std::map<std::string, std::string> &meta,
                                        uint64_t serial, std::string &error) {
  Open open;
  if (!open.open(file, error))
    return std::nullopt;
  if (rules.embedding.threshold.size() != open.contents.acceptance.header->zone_count) {
    error = "the rules are for another number of zones";
    return std::nullopt;
  }
  std::map<std::string, std::string> pairs = meta;
  std::string_view key, value;
  for (uint64_t cursor = 0; open.contents.meta.next(cursor, key, value);)
    if (key.substr(0, 5) != "risk.")
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
    writer.add(entry.tag, entry.target, entry.version, entry.flags, entry.layout, entry.alignment,
               bytes);
  }
  return writer.finish();
}

} // namespace semdns::calibrate
