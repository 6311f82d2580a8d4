#include "lib/eval/evaluate.h"

#include "lib/support/progress.h"

namespace semdns::eval {

std::vector<ZoneInfo> zonesOf(const Artifact &artifact) {
  std::vector<ZoneInfo> zones(artifact.info().zone_count);
  for (size_t i = 0; i < zones.size(); ++i) {
    const semdns_zone_ref ref = artifact.zone(uint32_t(i));
    zones[i] = {artifact.zoneParent(uint32_t(i)), ref.name, ref.path};
  }
  return zones;
}

semdns_status evaluate(Resolver &resolver, Scratch &scratch, const std::vector<LabelledText> &rows,
                       const Settings &settings, Tally &tally) {
  const Labels labels(tally.zoneInfos(), settings.rootLabel);
  Progress progress("evaluate", rows.size(), "queries");
  uint64_t done = 0, ignored = 0;
  for (const LabelledText &row : rows) {
    if ((++done & 255) == 0)
      progress.update(done);
    const Truth truth = labels.find(*row.label);
    if (!truth.known && settings.ignoreUnknown) {
      ++ignored;
      continue;
    }
    semdns_query query = Resolver::query(row.text);
    query.stages = settings.stages;
    Answer answer;
    if (const semdns_status status = resolver.resolve(scratch, query, answer); status != SEMDNS_OK)
      return status;
    tally.add(*row.label, truth,
              {answer->zone.index, answer->best.index, answer->stage, answer->status});
  }
  if (settings.ignored)
    *settings.ignored = ignored;
  return SEMDNS_OK;
}

} // namespace semdns::eval
