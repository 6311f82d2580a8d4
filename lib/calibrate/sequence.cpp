#include "lib/calibrate/calibrate.h"
#include "semdns/format/zones.h"

#include <algorithm>
#include <charconv>

namespace semdns::calibrate {

namespace {

constexpr uint32_t kNever = SEMDNS_NONE;
constexpr size_t kPoints = 56;    ///< from the Tune rows
constexpr size_t kStart = 200;    ///< Tune rows that the first point accepts
constexpr uint32_t kFull = 65536; ///< Q16

uint32_t maxDepth(const Tree &tree) {
  return *std::max_element(tree.depth.begin(), tree.depth.end());
}

/// Inner zones ask for more, the more so the nearer the root: an answer there is worth less, so
/// that it should use up less of the risk. With confidence read as the probability to be right,
/// answering at depth d of D where 1 - confidence <= (1 - leaf threshold) * d / D buys depth at one
/// price.
Point pointAt(uint32_t leaf, uint32_t guard, uint32_t depth) {
  Point point;
  point.leaf = leaf;
  point.guard = guard;
  point.inner.assign(std::max(depth, 1u), 0);
  for (uint32_t d = 1; d < depth; ++d)
    point.inner[d] = leaf == kNever ? kNever : kFull - uint32_t(uint64_t{kFull - leaf} * d / depth);
  return point;
}

/// Thresholds from strict to loose: those that the Tune scores give, then some below them all,
/// since other texts than the Tune rows score lower.
std::vector<uint32_t> thresholds(std::vector<uint32_t> scores) {
  std::vector<uint32_t> out;
  std::sort(scores.rbegin(), scores.rend());
  const size_t count = scores.size();
  if (count) {
    const size_t first = count >= 2 * kStart ? kStart : (count + 1) / 2;
    // The share that is left out falls geometrically: steps are fine where most is accepted.
    double left = double(count - first) + 1;
    double ratio = 1;
    for (double low = 0.5, high = 1;;) { // ratio^kPoints * left = 1 by bisection, without libm
      ratio = (low + high) / 2;
      double product = left;
      for (size_t i = 0; i < kPoints; ++i)
        product *= ratio;
      if (high - low < 1e-9)
        break;
      (product > 1 ? high : low) = ratio;
    }
    for (size_t i = 0; i <= kPoints; ++i, left *= ratio) {
      const size_t accepted = count - std::min(count, size_t(left - 1 + 0.5));
      if (accepted)
        out.push_back(std::min(scores[accepted - 1], kFull));
    }
  } else {
    // Nothing to go by: odds that double from one to the next, 2^16 to 1 down to 1 to 2^8.
    for (uint32_t step = 0; step <= 48; ++step) {
      const uint64_t third = step % 3 == 0 ? 65536 : step % 3 == 1 ? 52016 : 41285; // 2^(-i/3)
      const uint64_t odds = (third << 16) >> (step / 3); // Q16 of right to wrong, times 2^16
      out.push_back(uint32_t((odds << 16) / (odds + 65536)));
    }
  }
  for (uint32_t last = out.back(); last;)
    out.push_back(last = last < 64 ? 0 : last * 3 / 4);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace

Sequence fixSequence(const Tree &tree, std::span<const Sample> tune, const Options &options) {
  const uint32_t depth = maxDepth(tree);
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
  for (uint32_t threshold : thresholds(std::move(light)))
    sequence.light.push_back(pointAt(threshold, 65537, depth));
  if (options.encoder)
    for (uint32_t threshold : thresholds(std::move(cascade)))
      // A guard is a threshold of stage 2: where the whole is strict, it is no laxer.
      sequence.cascade.push_back(pointAt(threshold, std::max(guard.confidence, threshold), depth));
  return sequence;
}

Rules rulesOf(const Tree &tree, const Rules &base, const Point *light, const Point *cascade) {
  Rules rules = base;
  auto fill = [&](const Point *point, pack::Acceptance &acceptance) {
    acceptance.threshold.assign(tree.size(), kNever);
    acceptance.threshold[0] = 0;
    for (uint32_t zone = 1; point && zone < tree.size(); ++zone)
      acceptance.threshold[zone] =
          tree.subtreeEnd[zone] == zone + 1 ? point->leaf : point->inner[tree.depth[zone]];
  };
  fill(light, rules.embedding);
  fill(cascade, rules.encoder);
  rules.guard.confidence = cascade ? cascade->guard : 65537;
  return rules;
}

std::string formatSequence(const Sequence &sequence) {
  std::string text;
  auto add = [&](char kind, const std::vector<Point> &points) {
    for (const Point &point : points) {
      text += (text.empty() ? "" : " ") + std::string(1, kind) + std::to_string(point.guard) + "," +
              std::to_string(point.leaf);
      for (size_t d = 1; d < point.inner.size(); ++d)
        text += "," + std::to_string(point.inner[d]);
    }
  };
  add('c', sequence.cascade);
  add('l', sequence.light);
  return text;
}

std::optional<Sequence> parseSequence(std::string_view text, const Tree &tree) {
  const size_t inner = std::max(maxDepth(tree), 1u);
  Sequence sequence;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty() || (item[0] != 'c' && item[0] != 'l'))
      return std::nullopt;
    std::vector<Point> &points = item[0] == 'c' ? sequence.cascade : sequence.light;
    std::vector<uint32_t> numbers;
    const char *at = item.data() + 1, *stop = item.data() + item.size();
    for (;;) {
      uint32_t value = 0;
      auto [next, code] = std::from_chars(at, stop, value);
      if (code != std::errc() || numbers.size() > inner + 1 || (value > 65537 && value != kNever))
        return std::nullopt;
      numbers.push_back(value);
      if (next == stop)
        break;
      if (*next != ',')
        return std::nullopt;
      at = next + 1;
    }
    if (numbers.size() != inner + 1 || numbers[0] > 65537 || points.size() >= 1024)
      return std::nullopt;
    for (size_t i = 1; i < numbers.size(); ++i)
      if (numbers[i] == 65537)
        return std::nullopt;
    Point point{numbers[0], numbers[1], {0}};
    point.inner.insert(point.inner.end(), numbers.begin() + 2, numbers.end());
    points.push_back(std::move(point));
  }
  if (sequence.light.empty())
    return std::nullopt;
  return sequence;
}

} // namespace semdns::calibrate
