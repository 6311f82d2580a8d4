#include "lib/eval/suggest.h"

#include "lib/calibrate/binomial.h"
#include "lib/eval/leakage.h"
#include "lib/eval/order.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace semdns::eval {
namespace {

constexpr double kOne = 65536.0; // of Q16
constexpr double kSure = 0.5, kHopeless = 0.1, kAlike = 0.25, kWorse = 0.01;
constexpr size_t kAdditionsPerZone = 5;

double confidenceOf(const Result &r, uint32_t zone) {
  for (uint32_t k = 0; k < r.candidateCount; ++k)
    if (r.candidates[k].zone == zone)
      return r.candidates[k].confidence / kOne;
  return 0;
}

std::string inWords(double confidence) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f", confidence);
  return text;
}

} // namespace

Suggestions suggest(const Subject &subject, const Rows &rows, const std::vector<Result> &results) {
  const Tree tree(subject.zones);
  const auto path = [&](uint32_t zone) { return subject.zones[zone].path; };
  const auto labelled = [&](const Result &r) { return rows.rows[r.row].label.has_value(); };
  Suggestions out;

  struct Mean {
    double sum = 0;
    uint64_t count = 0;
  };
  std::map<uint32_t, Mean> typical;
  for (const Result &r : results)
    if (labelled(r) && r.truth.known && r.truth.zone) {
      Mean &mean = typical[r.truth.zone];
      mean.sum += confidenceOf(r, r.truth.zone);
      ++mean.count;
    }
  std::vector<bool> suspect(rows.rows.size());
  for (const Result &r : results) {
    const uint32_t best = r.candidateCount ? r.candidates[0].zone : 0;
    const auto mean = typical.find(best);
    // Keywords alone convince nobody: the embedding must think the same.
    if (!labelled(r) || !r.truth.known || mean == typical.end() || best != r.outcome.best)
      continue;
    if (tree.within(best, r.truth.zone) ? r.truth.zone != 0 : tree.within(r.truth.zone, best))
      continue; // above or below its own label; below the root is elsewhere
    const double sure = r.candidates[0].confidence / kOne,
                 own = r.truth.zone ? confidenceOf(r, r.truth.zone) : 0;
    const double needs = std::max(kSure, mean->second.sum / double(mean->second.count));
    if (sure < needs || own >= kHopeless || (r.truth.zone == 0 && r.outcome.zone != best))
      continue;
    suspect[r.row] = true;
    out.list.push_back({r.row, "relabel", path(best), *rows.rows[r.row].label,
                        path(best) + " with confidence " + inWords(sure) + " (typical of it: " +
                            inWords(needs) + "), its own label " + inWords(own),
                        sure - own});
  }
  stableSort(out.list, [](const Suggestion &a, const Suggestion &b) { return a.score > b.score; });

  std::map<uint32_t, std::vector<const Result *>> lost; // by zone that should have answered
  for (const Result &r : results) {
    const uint32_t zone = labelled(r) ? r.truth.zone : r.outcome.best;
    if (zone && r.truth.known && !suspect[r.row] && tree.depth(r.outcome.zone) < tree.depth(zone))
      lost[zone].push_back(&r);
    else if (zone && labelled(r) && r.truth.known && !suspect[r.row] &&
             !tree.within(zone, r.outcome.zone))
      lost[zone].push_back(&r);
  }
  std::vector<Suggestion> additions;
  for (const auto &[zone, list] : lost) {
    std::vector<std::string_view> texts;
    for (const Result *r : list)
      texts.push_back(rows.rows[r->row].text);
    const std::vector<uint32_t> leader = groupTexts(texts, kAlike);
    std::map<uint32_t, size_t> sizes;
    for (uint32_t of : leader)
      ++sizes[of];
    std::vector<std::pair<uint32_t, size_t>> groups(sizes.begin(), sizes.end());
    stableSort(groups, [](const auto &a, const auto &b) { return a.second > b.second; });
    groups.resize(std::min(groups.size(), kAdditionsPerZone));
    for (const auto &[of, size] : groups) {
      const Result &r = *list[of];
      const bool climbed = tree.within(zone, r.outcome.zone);
      std::string why = std::string(climbed ? "climbs to " : "goes to ") + path(r.outcome.zone) +
                        ", best guess " + path(r.outcome.best) + " " +
                        inWords(r.bestConfidence / kOne);
      if (size > 1)
        why += ", with " + std::to_string(size - 1) + " like it";
      why += "; " + std::to_string(list.size()) + " such rows of this zone";
      if (!labelled(r))
        why += "; the label is a guess: check it";
      additions.push_back({r.row, "add", path(zone), "", why, double(size)});
    }
  }
  stableSort(additions, [](const Suggestion &a, const Suggestion &b) { return a.score > b.score; });
  out.list.insert(out.list.end(), additions.begin(), additions.end());

  std::map<uint32_t, NeedsData> needs;
  std::map<uint32_t, std::map<uint32_t, uint64_t>> elsewhere;
  uint64_t total = 0, right = 0;
  for (const Result &r : results) {
    if (!labelled(r) || !r.truth.known || !r.truth.zone)
      continue;
    NeedsData &zone = needs[r.truth.zone];
    const bool hit = r.outcome.best == r.truth.zone;
    ++zone.rows, ++total;
    zone.right += hit, right += hit;
    if (!hit)
      ++elsewhere[r.truth.zone][r.outcome.best];
    if (!tree.within(r.truth.zone, r.outcome.zone))
      ++zone.misrouted;
    else if (r.outcome.zone != r.truth.zone)
      ++zone.climbed;
  }
  for (auto &[id, zone] : needs) {
    if (calibrate::binomialTail(zone.rows, double(right) / double(total), zone.right) >= kWorse)
      continue;
    zone.zone = id;
    uint64_t most = 0;
    for (const auto &[other, count] : elsewhere[id])
      if (count > most) {
        most = count;
        zone.mostly = path(other);
      }
    out.zones.push_back(zone);
  }
  stableSort(out.zones, [](const NeedsData &a, const NeedsData &b) {
    return a.rows - a.right > b.rows - b.right;
  });
  return out;
}

std::string suggestionLines(const Suggestions &suggestions, const Rows &rows) {
  std::string out;
  for (const Suggestion &s : suggestions.list) {
    nlohmann::ordered_json line = {
        {"text", rows.rows[s.row].text}, {"label", s.label}, {"suggestion", s.kind}};
    if (!s.was.empty())
      line["was"] = s.was;
    line["why"] = s.why;
    line["from"] = rows.place(s.row);
    out += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return out;
}

} // namespace semdns::eval
