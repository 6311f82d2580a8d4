#include "lib/spec/overlap.h"

#include "lib/pack/overlap.h"
#include "lib/text/words.h"

namespace semdns::spec {
namespace {

constexpr size_t kMaxReported = 20;

struct Written {
  const Text *keyword;
  uint32_t zone;
};

void collect(const ZoneSpec &zone, const ZoneIndex &index, std::vector<Written> &out) {
  const uint32_t at = zone.levels.empty() ? 0 : index.find(zone.levels);
  if (at != kNone)
    for (const Text &keyword : zone.keywords)
      out.push_back({&keyword, at});
  for (const ZoneSpec &each : zone.zones)
    collect(each, index, out);
}

std::string place(const Location &where) {
  return where.file + ":" + std::to_string(where.line) + ":" + std::to_string(where.column);
}

} // namespace

void warnAboutKeywordOverlaps(const Spec &spec, const ZoneTree &tree, std::string_view textSection,
                              Diagnostics &diags) {
  std::vector<Written> written;
  collect(spec.root, ZoneIndex(tree), written);
  std::vector<pack::TermWords> terms;
  for (const Written &each : written) {
    pack::TermWords &term = terms.emplace_back();
    term.zone = each.zone;
    for (const text::Word &word : text::splitWords(textSection, each.keyword->text))
      term.words.push_back(word.hash);
  }
  std::vector<uint32_t> subtreeEnd;
  for (const Zone &zone : tree.zones)
    subtreeEnd.push_back(zone.subtreeEnd);
  const std::vector<pack::Overlap> overlaps = pack::findOverlaps(terms, subtreeEnd);
  for (size_t i = 0; i < overlaps.size() && i < kMaxReported; ++i) {
    const Written &one = written[overlaps[i].term], &other = written[overlaps[i].other];
    const std::string &name = tree.zones[one.zone].name, &otherName = tree.zones[other.zone].name;
    std::string more = overlaps.size() > kMaxReported && i + 1 == kMaxReported
                           ? " (and " + std::to_string(overlaps.size() - kMaxReported) +
                                 " more overlaps of keywords)"
                           : "";
    if (overlaps[i].same)
      diags.warning(one.keyword->where,
                    "keyword '" + one.keyword->text + "' of zone '" + name +
                        "' is a keyword of zone '" + otherName + "' too, at " +
                        place(other.keyword->where) + more,
                    "it votes for both; keep it where it belongs, or make it longer");
    else
      diags.warning(one.keyword->where,
                    "keyword '" + one.keyword->text + "' of zone '" + name + "' contains '" +
                        other.keyword->text + "', a keyword of zone '" + otherName + "' at " +
                        place(other.keyword->where) + more,
                    "each text with it votes for both zones; purity may then leave it to stage 2");
  }
}

} // namespace semdns::spec
