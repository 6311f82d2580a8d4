/// \file What the answers of one artifact to labelled rows amount to, beyond counts: agreement per
/// zone, risk against coverage, whether confidences mean what they say, and where it goes wrong.
#pragma once

#include "lib/eval/evaluate.h"

#include <optional>

namespace semdns::eval {

struct Estimate {
  double value = 0, low = 0, high = 0; ///< with a 95 % interval
};

/// A zone that is some row's true zone or best guess. The root counts where rows are out of scope.
struct ZoneScore {
  uint32_t zone = 0;
  uint64_t rows = 0;        ///< with this true zone
  Rate recall, precision;   ///< of best guesses, in-scope rows; the root: of answers
  std::optional<double> f1; ///< none where neither rows nor guesses are
  Rate covered, misroute;   ///< of its rows
  uint64_t intruders = 0;   ///< rows of elsewhere answered here or below
};

/// Answering the best guess of in-scope rows where its confidence reaches `threshold` (Q16).
struct CurvePoint {
  uint32_t threshold = 0;
  double coverage = 0;    ///< share of in-scope rows answered
  double risk = 0;        ///< misroutes of all in-scope rows
  double selective = 0;   ///< misroutes of answered in-scope rows
  double oosAccepted = 0; ///< share of out-of-scope rows answered; 0 where there are none
};

/// Confidences in [low, high): how often the true zone lies in the guessed one, all known rows.
struct Bin {
  double low = 0, high = 0, confidence = 0; ///< `confidence` is the bin's mean
  Rate right;
};

struct Reliability {
  std::vector<Bin> bins; ///< ten of equal width
  Estimate ece;          ///< expected calibration error over these bins (Naeini et al., 2015)
  double brier = 0;      ///< mean squared difference of confidence and outcome
};

struct ConfusedPair {
  std::string truth, answer; ///< paths
  uint64_t count = 0;
  std::vector<uint32_t> examples; ///< results, the surest first, at most kPairExamples
};
constexpr size_t kPairExamples = 3;

/// What the rows that a stage decided cost. Times are this machine's, and not reproducible.
struct StageCost {
  uint32_t stage = 0;
  Rate share;
  Rate best, misroute;    ///< of its in-scope rows
  double medianNs = 0;    ///< of its rows
  double shareOfTime = 0; ///< of the time of all rows
};

/// Out-of-scope recall where the root takes every row whose score is below a threshold that rejects
/// this share of in-scope rows. The score is the odds of the best guess against the root's own
/// class (semdns_measure, last stage that ran), or the best guess's confidence where the root has
/// no class.
struct OosPoint {
  double rejection = 0;
  Rate recall;
};

struct Analysis {
  Estimate macroF1;                   ///< of best guesses, in-scope rows, mean over true zones
  Estimate pathMacroF1;               ///< of answers, all rows, the root a class of its own
  std::vector<Estimate> depthMacroF1; ///< of best guesses cut at depth 1, 2, ...
  std::vector<ZoneScore> zones;       ///< by index
  std::vector<CurvePoint> curve;      ///< from strict to loose, at most 200 points
  double aurc = 0;                    ///< mean selective risk over coverages
  Reliability reliability;
  std::vector<ConfusedPair> pairs; ///< most frequent first, at most 50
  std::vector<StageCost> stages;   ///< by stage; those that decided rows
  std::vector<OosPoint> oos;       ///< at 1, 3 and 5 % rejection; empty without such rows
  std::optional<double> auroc;     ///< of that score, in against out of scope
  bool byOdds = false;             ///< which score it was
};

/// `seed` and `resamples` are the bootstrap's.
Analysis analyse(const Subject &subject, const Rows &rows, const std::vector<Result> &results,
                 uint64_t seed = 1, uint32_t resamples = 1000);

/// The guarantee that META states (risk.*, lib/calibrate), held against new labelled rows.
struct Guarantee {
  bool stated = false; ///< calibration proved one
  std::string reason;  ///< why not
  double alpha = 0, delta = 0;
  uint64_t rows = 0, errors = 0; ///< in scope, of the calibration
  Rate coverageThen;             ///< of the same rows
  Rate misroute, covered;        ///< now
  Rate selective;                ///< now: misroutes of in-scope rows answered below the root
  Rate oosAnswered;              ///< now: out-of-scope rows answered below the root
  double pValue = 1;             ///< P(at least so many misroutes | rate = alpha)
  bool violated = false;         ///< more than chance explains: pValue < 0.05
  std::string verdict;
  /// Zones with a promise of their own: rows whose best guess lies there. Violated below
  /// 0.05 / number of these.
  struct Zone {
    uint32_t zone = 0;
    Rate misroute;
    double pValue = 1;
    bool violated = false;
  };
  std::vector<Zone> zones;
};

/// `stages` is the mask that the results were taken with: without stage 3 the promise of stages 1
/// and 2 counts.
Guarantee checkGuarantee(const Subject &subject, const std::vector<Result> &results,
                         const Tally &tally, uint32_t stages = 0);

} // namespace semdns::eval
