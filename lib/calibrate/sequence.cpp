#include "lib/calibrate/calibrate.h"
#include "semdns/format/classes.h"

#include <algorithm>
#include <charconv>

namespace semdns::calibrate {

namespace {

constexpr size_t kPoints = 128;   ///< from the Tune rows
constexpr size_t kStart = 200;    ///< Tune rows that the first point accepts
constexpr uint32_t kFull = 65536; ///< Q16
/// The loosest point. A guess that is wrong three times in four is no answer, even where alpha
/// would allow it: what scores so low is mostly out of scope (measured on clinc150, where alpha = 5
/// % binds nothing: 0.2 points of in-scope accuracy for 7 of out-of-scope recall).
constexpr uint32_t kLoosest = kFull / 4;

/// Confidences from 1 - 2^-16 down to kLoosest, eight to each doubling of the odds: fine enough
/// wherever the scores of texts that nobody has seen may lie.
std::vector<uint32_t> gridOf() {
  // 2^(-i/8) in Q16
  constexpr uint32_t kEighth[8] = {65536, 60097, 55109, 50535, 46341, 42495, 38968, 35734};
  std::vector<uint32_t> grid;
  for (uint32_t step = 0;; ++step) {
    const uint64_t odds = (uint64_t{kEighth[step % 8]} << 16) >> (step / 8); // right to wrong, Q16
    const uint32_t point = uint32_t((odds << 16) / (odds + kFull));
    grid.push_back(std::max(point, kLoosest));
    if (point <= kLoosest)
      return grid;
  }
}

/// Points by the scores of Tune rows: the first accepts kStart of them, and the share that is left
/// out falls geometrically, so that steps are fine where most is accepted. The grid fills in: new
/// texts score otherwise than Tune rows do. More points cost nothing, see calibrate.h.
std::vector<uint32_t> thresholds(std::vector<uint32_t> scores) {
  std::vector<uint32_t> points = gridOf();
  if (scores.empty())
    return points;
  std::sort(scores.rbegin(), scores.rend());
  const size_t count = scores.size();
  const size_t first = count >= 2 * kStart ? kStart : (count + 1) / 2;
  const uint32_t strictest = std::clamp(scores[first - 1], kFull / 2, kFull);
  std::erase_if(points, [&](uint32_t point) { return point > strictest; });
  uint64_t left = uint64_t{count - first} << 16; // rows left out, Q16
  for (size_t i = 0; i <= kPoints; ++i, left -= left / 16)
    points.push_back(std::clamp(scores[count - size_t(left >> 16) - 1], kLoosest, strictest));
  std::sort(points.rbegin(), points.rend());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

} // namespace

Sequence fixSequence(const Tree &tree, std::span<const Sample> tune, const Options &options) {
  const pack::Guard &guard = options.base.guard;
  std::vector<uint32_t> light, cascade;
  for (const Sample &sample : tune) {
    const semdns_stage_evidence &two = sample.evidence.embedding, &three = sample.evidence.encoder;
    if (!sample.zone || (sample.evidence.keyword.stage && sample.evidence.keyword.accepted))
      continue;
    if (two.stage && two.count && two.odds >= options.base.embedding.rootOdds)
      light.push_back(two.confidence[0]);
    if (!options.encoder)
      continue;
    if (two.stage && two.count && two.confidence[0] >= guard.confidence && two.odds >= guard.odds)
      cascade.push_back(two.confidence[0]);
    else if (three.stage && three.count && three.odds >= options.base.encoder.rootOdds)
      cascade.push_back(three.confidence[0]);
  }
  Sequence sequence;
  sequence.light = thresholds(std::move(light));
  if (options.encoder) {
    sequence.cascade = thresholds(std::move(cascade));
    sequence.guard = guard.confidence;
  }
  return sequence;
}

uint32_t guardAt(const Sequence &sequence, uint32_t cascade) {
  if (cascade == kClimb || sequence.guard > kFull)
    return SEMDNS_GUARD_NEVER;
  // The loosest point has the guard that training chose for speed. Where t rises, so must the
  // guard, and faster: what stage 2 lets through at a confidence is wrong more often than what
  // stage 3 does, and stage 3 would still have refused it. The square keeps the coverage of asking
  // stage 3 always (within 0.2 points on clinc150 at 1 and 2 %, banking77 at 5 %) and asks it for a
  // third or a fifth of the queries; a guard of t itself costs 1 to 2 points.
  uint64_t left = kFull - sequence.guard;
  for (int i = 0; i < 2; ++i)
    left = left * (kFull - std::clamp(cascade, kLoosest, kFull)) / (kFull - kLoosest);
  return std::max(kFull - uint32_t(left), cascade);
}

Rules rulesOf(const Tree &tree, const Rules &base, uint32_t light, uint32_t cascade,
              uint32_t guard) {
  const uint32_t depth = *std::max_element(tree.depth.begin(), tree.depth.end());
  // Inner zones ask for more, the more so the nearer the root: an answer there is worth less, so
  // that it should use up less of the risk. With confidence read as the probability to be right,
  // answering at depth d of D where 1 - confidence <= (1 - threshold) * d / D buys depth at one
  // price.
  auto fill = [&](uint32_t leaf, pack::Acceptance &acceptance) {
    acceptance.threshold.assign(tree.size(), leaf);
    for (uint32_t zone = 0; zone < tree.size(); ++zone)
      if (leaf != kClimb && tree.subtreeEnd[zone] != zone + 1)
        acceptance.threshold[zone] =
            kFull - uint32_t(uint64_t{kFull - leaf} * tree.depth[zone] / depth);
    acceptance.threshold[0] = 0;
  };
  Rules rules = base;
  fill(light, rules.embedding);
  if (!base.encoder.threshold.empty())
    fill(cascade, rules.encoder);
  rules.guard.confidence = guard;
  return rules;
}

std::string formatSequence(const Sequence &sequence) {
  std::string text = "light";
  for (uint32_t point : sequence.light)
    text += " " + std::to_string(point);
  if (sequence.cascade.empty())
    return text;
  text += " guard " + std::to_string(sequence.guard) + " cascade";
  for (uint32_t point : sequence.cascade)
    text += " " + std::to_string(point);
  return text;
}

std::optional<Sequence> parseSequence(std::string_view text) {
  Sequence sequence;
  std::vector<uint32_t> guard, *list = nullptr;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    uint32_t value = 0;
    const auto [stop, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (code == std::errc() && stop == word.data() + word.size()) {
      // From strict to loose: the order of the tests, fixed with the points.
      if (!list || list->size() >= 4096 || value > SEMDNS_GUARD_NEVER ||
          (!list->empty() && value >= list->back()))
        return std::nullopt;
      list->push_back(value);
    } else if (word == "light" && !list) {
      list = &sequence.light;
    } else if (word == "guard" && list == &sequence.light) {
      list = &guard;
    } else if (word == "cascade" && list == &guard) {
      list = &sequence.cascade;
    } else {
      return std::nullopt;
    }
  }
  if (sequence.light.empty() || guard.size() != (sequence.cascade.empty() ? 0 : 1))
    return std::nullopt;
  if (!guard.empty())
    sequence.guard = guard[0];
  return sequence;
}

} // namespace semdns::calibrate
