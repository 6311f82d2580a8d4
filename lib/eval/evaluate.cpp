#include "lib/eval/evaluate.h"

#include "lib/support/progress.h"

#include <algorithm>
#include <chrono>

namespace semdns::eval {
namespace {

/// How the best guess stands against the root's own class, by the last stage that has evidence;
/// INT32_MIN where none has. A keyword that answers needs no odds.
int32_t oddsOf(const semdns_evidence &e, const Result &result) {
  if (result.outcome.stage == SEMDNS_STAGE_KEYWORD)
    return INT32_MAX;
  if (result.outcome.stage == SEMDNS_STAGE_ENCODER)
    return e.encoder.odds;
  return e.embedding.stage ? e.embedding.odds : INT32_MIN;
}

} // namespace

std::vector<ZoneInfo> zonesOf(const Artifact &artifact) {
  std::vector<ZoneInfo> zones(artifact.info().zone_count);
  for (size_t i = 0; i < zones.size(); ++i) {
    const semdns_zone_ref ref = artifact.zone(uint32_t(i));
    zones[i] = {artifact.zoneParent(uint32_t(i)), ref.name, ref.path};
  }
  return zones;
}

Subject Subject::open(const std::string &file, const OpenOptions &options, Error &error) {
  Artifact artifact = Artifact::open(file.c_str(), options, error);
  return artifact ? of(file, std::move(artifact), error) : Subject();
}

Subject Subject::of(const std::string &file, Artifact artifact, Error &error) {
  Subject subject;
  subject.file = file;
  subject.resolver = Resolver(artifact, error);
  if (!subject.resolver)
    return {};
  subject.scratch = Scratch(subject.resolver, error);
  if (!subject.scratch)
    return {};
  subject.zones = zonesOf(artifact);
  subject.artifact = std::move(artifact);
  return subject;
}

std::string Subject::meta(const char *key) const {
  const char *value = artifact.meta(key);
  return value ? value : "";
}

void Rows::read(const std::string &file, bool requireLabel, Diagnostics &diagnostics) {
  std::vector<LabelledText> more = readJsonLines(file, requireLabel, diagnostics);
  fileOf.insert(fileOf.end(), more.size(), uint32_t(files.size()));
  files.push_back(file);
  std::move(more.begin(), more.end(), std::back_inserter(rows));
}

std::string Rows::place(uint32_t row) const {
  return files[fileOf[row]] + ":" + std::to_string(rows[row].line);
}

std::string Rows::names() const {
  std::string all;
  for (const std::string &file : files)
    all += (all.empty() ? "" : ", ") + file;
  return all;
}

semdns_status resolveAll(Subject &subject, const Rows &rows, const Settings &settings,
                         std::vector<Result> &results) {
  using Clock = std::chrono::steady_clock;
  const Labels labels(subject.zones, settings.rootLabel);
  Progress progress("evaluate", rows.rows.size(), "queries");
  uint64_t ignored = 0;
  results.clear();
  for (uint32_t i = 0; i < rows.rows.size(); ++i) {
    if ((i & 255) == 255)
      progress.update(i);
    const LabelledText &row = rows.rows[i];
    Result result;
    result.row = i;
    if (row.label)
      result.truth = labels.find(*row.label);
    if (!result.truth.known && settings.ignoreUnknown) {
      ++ignored;
      continue;
    }
    semdns_query query = Resolver::query(row.text);
    query.stages = settings.stages;
    query.top_k = SEMDNS_TOP_MAX;
    Answer answer;
    result.nanoseconds = UINT32_MAX;
    for (uint32_t pass = 0; pass < settings.passes; ++pass) {
      const Clock::time_point begin = Clock::now();
      if (const semdns_status status = subject.resolver.resolve(subject.scratch, query, answer);
          status != SEMDNS_OK)
        return status;
      const auto ns =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
      result.nanoseconds = std::min(result.nanoseconds, uint32_t(std::min<int64_t>(ns, 1 << 30)));
    }
    result.outcome = {answer->zone.index, answer->best.index, answer->stage, answer->status};
    result.confidence = answer->zone.confidence;
    result.bestConfidence = answer->best.confidence;
    result.margin = answer->margin;
    semdns_evidence evidence = {};
    evidence.size = sizeof evidence;
    // As decided: stage 3's evidence where it decided, else that of the stages before it.
    query.top_k = SEMDNS_TOP_MAX;
    const uint32_t asked = settings.stages ? settings.stages : SEMDNS_STAGES_ALL;
    if (result.outcome.stage != SEMDNS_STAGE_ENCODER && (asked & ~SEMDNS_STAGE_ENCODER))
      query.stages = asked & ~SEMDNS_STAGE_ENCODER;
    if (const semdns_status status =
            semdns_measure(subject.resolver.raw(), subject.scratch.raw(), &query, &evidence);
        status != SEMDNS_OK)
      return status;
    result.odds = oddsOf(evidence, result);
    result.candidateCount = evidence.candidate_count;
    for (uint32_t k = 0; k < evidence.candidate_count; ++k)
      result.candidates[k] = {evidence.candidates[k].index, evidence.candidates[k].confidence};
    results.push_back(result);
  }
  if (settings.ignored)
    *settings.ignored = ignored;
  return SEMDNS_OK;
}

Tally tallyOf(const Subject &subject, const Rows &rows, const std::vector<Result> &results,
              const std::vector<bool> *keep) {
  Tally tally(subject.zones);
  for (const Result &result : results)
    if (!keep || (*keep)[result.row])
      tally.add(rows.rows[result.row].label.value_or("/"), result.truth, result.outcome);
  return tally;
}

} // namespace semdns::eval
