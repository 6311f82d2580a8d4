#include "lib/calibrate/draws.h"

#include "lib/calibrate/binomial.h"
#include "semdns/format/classes.h"

#include <algorithm>

namespace semdns::calibrate {

namespace {

/// splitmix64.
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t bound) {
    uint64_t z = state_ += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return uint64_t((static_cast<unsigned __int128>(z) * bound) >> 64);
  }

private:
  uint64_t state_;
};

} // namespace

DrawReport tryGuarantee(const Tree &tree, std::span<const Sample> population,
                        const Sequence &sequence, const Rules &base, bool cascade,
                        const DrawOptions &options) {
  const std::vector<uint32_t> &points = cascade ? sequence.cascade : sequence.light;
  const uint32_t mask = cascade ? SEMDNS_STAGES_ALL : SEMDNS_STAGE_KEYWORD | SEMDNS_STAGE_EMBEDDING;
  // wrong[row * settings + j]: setting 0 is "always climb", j the point j - 1.
  const size_t settings = points.size() + 1, rows = population.size();
  std::vector<uint8_t> wrong(rows * settings);
  std::vector<double> covered(settings), answered(settings), oos(settings), risk(settings),
      encoder(settings);
  DrawReport report;
  report.draws = options.draws;
  for (const Sample &sample : population)
    ++(sample.zone ? report.inScope : report.outOfScope);
  for (size_t j = 0; j < settings; ++j) {
    const uint32_t point = j ? points[j - 1] : kClimb;
    const Rules rules = rulesOf(tree, base, cascade ? kClimb : point, cascade ? point : kClimb,
                                cascade ? guardAt(sequence, point) : SEMDNS_GUARD_NEVER);
    uint32_t errors = 0, deep = 0, below = 0, strays = 0, right = 0, asked = 0;
    for (size_t i = 0; i < rows; ++i) {
      const Decision decision = replay(population[i].evidence, rules, mask);
      const uint32_t truth = population[i].zone, answer = decision.zone;
      asked += decision.stage == SEMDNS_STAGE_ENCODER;
      if (!truth) {
        strays += answer != 0;
        continue;
      }
      wrong[i * settings + j] = tree.misroutes(answer, truth);
      errors += wrong[i * settings + j];
      deep += tree.depth[answer] >= tree.depth[truth];
      below += answer != 0;
      right += answer == truth;
    }
    const double n = std::max(report.inScope, 1u);
    risk[j] = errors / n;
    covered[j] = deep / n;
    answered[j] = below / n;
    oos[j] = strays / double(std::max(report.outOfScope, 1u));
    encoder[j] = asked / double(std::max<size_t>(rows, 1));
    report.points.push_back(
        {point, risk[j], covered[j], right / n, answered[j], oos[j], encoder[j]});
    if (risk[j] <= options.alpha)
      report.oracle = std::max(report.oracle, covered[j]);
  }
  report.fullRisk = risk[settings - 1];

  Random random(options.seed);
  const size_t drawn = options.rows ? options.rows : rows;
  std::vector<uint32_t> errors(settings);
  auto note = [&](DrawRule &rule, size_t j) {
    rule.broken += risk[j] > options.alpha;
    rule.coverage += covered[j] / options.draws;
    rule.risk += risk[j] / options.draws;
    rule.answered += answered[j] / options.draws;
    rule.oos += oos[j] / options.draws;
    rule.encoder += encoder[j] / options.draws;
  };
  for (uint32_t draw = 0; draw < options.draws && rows; ++draw) {
    std::fill(errors.begin(), errors.end(), 0);
    uint32_t n = 0;
    for (size_t i = 0; i < drawn; ++i) {
      const size_t row = random.below(rows);
      if (!population[row].zone)
        continue;
      ++n;
      const uint8_t *from = &wrong[row * settings];
      for (size_t j = 0; j < settings; ++j)
        errors[j] += from[j];
    }
    const int64_t allowed = allowedErrors(n, options.alpha, options.delta);
    size_t chosen = 0, naive = 0;
    while (chosen + 1 < settings && int64_t(errors[chosen + 1]) <= allowed)
      ++chosen;
    for (size_t j = 1; j < settings; ++j)
      if (double(errors[j]) <= options.alpha * n)
        naive = j;
    report.nonePassed += chosen == 0;
    note(report.tested, chosen);
    note(report.naive, naive);
  }
  return report;
}

} // namespace semdns::calibrate
