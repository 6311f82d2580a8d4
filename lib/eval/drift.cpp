#include "lib/eval/drift.h"

#include "lib/eval/stats.h"

#include <algorithm>
#include <charconv>

namespace semdns::eval {
namespace {

constexpr size_t kScoreBins = 20;
constexpr double kLevel = 0.01; // of all tests together
constexpr double kSmall = 0.1, kLarge = 0.25;

/// Zones of depth 1, in index order.
std::vector<uint32_t> topZones(const std::vector<ZoneInfo> &zones) {
  std::vector<uint32_t> top;
  for (uint32_t z = 1; z < zones.size(); ++z)
    if (zones[z].parent == 0)
      top.push_back(z);
  return top;
}

size_t stageNumber(uint32_t stage) {
  return stage == SEMDNS_STAGE_KEYWORD     ? 1
         : stage == SEMDNS_STAGE_EMBEDDING ? 2
         : stage == SEMDNS_STAGE_ENCODER   ? 3
                                           : 0;
}

std::string list(const std::vector<uint64_t> &counts) {
  std::string out;
  for (uint64_t count : counts)
    out += (out.empty() ? "" : ",") + std::to_string(count);
  return out;
}

/// Comma-separated counts; nullopt unless there are `size` of them with the sum `rows`.
std::optional<std::vector<uint64_t>> parseList(const std::string &text, size_t size,
                                               uint64_t rows) {
  std::vector<uint64_t> out;
  uint64_t sum = 0;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    uint32_t value; // sums of 2^32 counts cannot overflow
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (next != end && *next != ',') || out.size() == size)
      return std::nullopt;
    out.push_back(value);
    sum += value;
    at = next == end ? end : next + 1;
  }
  if (out.size() != size || sum != rows)
    return std::nullopt;
  return out;
}

void add(Profile &profile, const Tree &tree, const std::vector<uint32_t> &top, uint32_t stage,
         uint32_t status, uint32_t zone, uint32_t best, uint32_t bestConfidence) {
  ++profile.rows;
  ++profile.stages[stageNumber(stage)];
  ++profile.answers[status == SEMDNS_NOZONE ? 3 : zone == 0 ? 2 : zone == best ? 0 : 1];
  ++profile.scores[std::min<size_t>(kScoreBins - 1, size_t(bestConfidence) * kScoreBins / 65536)];
  const uint32_t under = tree.ancestorAt(best, 1);
  const auto at = std::lower_bound(top.begin(), top.end(), under);
  if (at != top.end() && *at == under)
    ++profile.mix[size_t(at - top.begin())];
}

Profile emptyProfile(size_t topCount) {
  Profile profile;
  profile.stages.resize(4);
  profile.answers.resize(4);
  profile.scores.resize(kScoreBins);
  profile.mix.resize(topCount);
  return profile;
}

} // namespace

Profile profileOf(const Subject &subject, const std::vector<Result> &results) {
  const Tree tree(subject.zones);
  const std::vector<uint32_t> top = topZones(subject.zones);
  Profile profile = emptyProfile(top.size());
  for (const Result &r : results)
    add(profile, tree, top, r.outcome.stage, r.outcome.status, r.outcome.zone, r.outcome.best,
        r.bestConfidence);
  return profile;
}

std::map<std::string, std::string> formatProfile(const Profile &profile) {
  return {{"risk.traffic.rows", std::to_string(profile.rows)},
          {"risk.traffic.stages", list(profile.stages)},
          {"risk.traffic.answers", list(profile.answers)},
          {"risk.traffic.scores", list(profile.scores)},
          {"risk.traffic.mix", list(profile.mix)}};
}

std::optional<Profile> statedProfile(const Subject &subject) {
  const std::string stated = subject.meta("risk.traffic.rows");
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(stated.data(), stated.data() + stated.size(), count);
  if (error != std::errc() || end != stated.data() + stated.size() || !count)
    return std::nullopt;
  auto stages = parseList(subject.meta("risk.traffic.stages"), 4, count);
  auto answers = parseList(subject.meta("risk.traffic.answers"), 4, count);
  auto scores = parseList(subject.meta("risk.traffic.scores"), kScoreBins, count);
  auto mix = parseList(subject.meta("risk.traffic.mix"), topZones(subject.zones).size(), count);
  if (!stages || !answers || !scores || !mix)
    return std::nullopt;
  return Profile{count, *stages, *answers, *scores, *mix};
}

std::optional<std::map<std::string, std::string>>
trafficMeta(std::string_view bytes, std::span<const std::string_view> texts, std::string &error) {
  Error why;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), OpenOptions{}, why);
  Subject subject;
  if (artifact)
    subject = Subject::of("", std::move(artifact), why);
  if (!subject.artifact) {
    error = why.message();
    return std::nullopt;
  }
  const Tree tree(subject.zones);
  const std::vector<uint32_t> top = topZones(subject.zones);
  Profile profile = emptyProfile(top.size());
  for (std::string_view text : texts) {
    Answer answer;
    const semdns_status status =
        subject.resolver.resolve(subject.scratch, Resolver::query(text), answer);
    if (status != SEMDNS_OK) {
      error = semdns_status_text(status);
      return std::nullopt;
    }
    add(profile, tree, top, answer->stage, answer->status, answer->zone.index, answer->best.index,
        answer->best.confidence);
  }
  return formatProfile(profile);
}

Drift compareProfiles(const Subject &subject, const Profile &before, const Profile &now,
                      const std::string &baseline) {
  Drift drift;
  drift.baseline = baseline;
  drift.before = before;
  drift.now = now;
  const auto test = [&](const char *name, const char *what, std::vector<std::string> categories,
                        const std::vector<uint64_t> &a, const std::vector<uint64_t> &b) {
    if (a.size() != b.size())
      return;
    DriftTest t{name, what, std::move(categories), a, b};
    t.stability = stabilityIndex(a, b);
    t.pValue = homogeneity(a, b);
    drift.tests.push_back(std::move(t));
  };
  test("stages", "which stage decides", {"none", "keyword", "embedding", "encoder"}, before.stages,
       now.stages);
  test("answers", "how the answer comes about",
       {"best guess", "climbed", "the root", "no evidence"}, before.answers, now.answers);
  std::vector<std::string> bins, tops;
  for (size_t i = 0; i < kScoreBins; ++i) {
    char text[16];
    std::snprintf(text, sizeof text, "%.2f", double(i) / kScoreBins);
    bins.push_back(text);
  }
  test("scores", "confidence of the best guess", bins, before.scores, now.scores);
  if (!drift.tests.empty())
    std::tie(drift.tests.back().gap, drift.tests.back().pValue) =
        kolmogorovSmirnov(before.scores, now.scores);
  for (uint32_t zone : topZones(subject.zones))
    tops.push_back(subject.zones[zone].path);
  test("mix", "top zone of the best guess", tops, before.mix, now.mix);

  std::string which;
  for (const DriftTest &t : drift.tests)
    if (t.pValue < kLevel / double(drift.tests.size())) {
      drift.beyondChance = true;
      drift.worst = std::max(drift.worst, t.stability);
      which += (which.empty() ? "" : ", ") + t.name;
    }
  drift.verdict = !drift.beyondChance ? "no drift beyond chance"
                                      : std::string("drift beyond chance, ") +
                                            (drift.worst < kSmall   ? "small"
                                             : drift.worst < kLarge ? "moderate"
                                                                    : "large") +
                                            ": " + which;
  return drift;
}

} // namespace semdns::eval
