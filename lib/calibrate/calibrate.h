/// \file Thresholds with a proven bound: fixed-sequence Learn-then-Test for the whole cascade.
///
/// The promise, for texts drawn like the calibration rows: with probability at least 1 - delta over
/// the drawing of those rows, at most a share alpha of all in-scope texts is misrouted, that is,
/// answered by a zone that is neither the true one nor an ancestor of it. It says nothing about
/// texts from another source or in another mix, nor about texts made to mislead.
///
/// Method (Angelopoulos et al., Learn then Test, arXiv:2110.01052; answering with an ancestor when
/// unsure is the climbing of arXiv:2405.11533): a sequence of operating points, from strict to
/// loose, is fixed on other rows; point j is tested with the exact binomial tail
/// p_j = P(Bin(n, alpha) <= misroutes at j), n = all in-scope calibration rows; testing stops at
/// the first p_j > delta, and the last point that passed is used. Because tests end at the first
/// failure, the probability that any point was passed wrongly is at most delta however long the
/// sequence is. Where none passes, every query climbs to the root.
///
/// The build uses it like this (and `recalibrate` likewise, with `options.sequence` from META):
///
///     calibrate::Options options;
///     options.alpha = ..., options.delta = ..., options.perZone = ...; options.threads = ...;
///     options.base = {model.guard, model.acceptance, model.head.acceptance};   // train()'s choice
///     options.encoder = model.head.present();
///     options.where = [&](uint32_t zone) { return tree.zones[zone].where; };
///     options.source = {specFile, 0, 0};
///     std::vector<calibrate::Row> rows;    // of data.examples: Tune and Calibrate, Labelled only
///     auto result = calibrate::calibrateArtifact(assemble({}), rows, options, diags);
///     model.guard = result->rules.guard; model.acceptance = result->rules.embedding;
///     model.head.acceptance = result->rules.encoder;
///     meta.merge(result->meta);            // keys risk.*
///     ... pack CLSF, HEAD and META again: no kernel changes.
#pragma once

#include "lib/calibrate/replay.h"
#include "lib/support/diagnostics.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::calibrate {

/// Tune rows fix the sequence, Calibrate rows test it. Neither may be a training row; Tune rows
/// that are cost coverage, Calibrate rows that are void the promise.
enum class Part : uint8_t { Tune, Calibrate };

struct Row {
  std::string text;
  uint32_t zone = 0; ///< 0: out of scope; counts for the accepted-oos share only
  Part part = Part::Calibrate;
};

/// A row after the artifact has looked at it.
struct Sample {
  semdns_evidence evidence = {};
  uint32_t zone = 0;
};

/// The operating points of two cascades, from strict to loose, each by the threshold of zones
/// without zones below them, in Q16; rulesOf gives the rest. `cascade` is for all stages (empty
/// without a stage 3), `light` for stages 1 and 2 alone.
struct Sequence {
  std::vector<uint32_t> cascade, light;
  uint32_t guard = 65537; ///< of the loosest point; guardAt gives the others
};
constexpr uint32_t kClimb = 0xffffffffu; ///< a threshold that nothing meets: the root answers

/// What was promised, and what the calibration rows showed at the point in use.
struct Promise {
  double alpha = 0.05, delta = 0.05;
  bool holds = false; ///< the bound is proven. false: `reason` says why not
  std::string reason;
  uint32_t n = 0, errors = 0;        ///< in-scope calibration rows; misroutes among them
  uint32_t answered = 0;             ///< of n: answered below the root
  uint32_t covered = 0;              ///< of n: answered at the true zone's depth or deeper
  uint32_t right = 0;                ///< of n: answered by the true zone
  uint32_t oos = 0, oosAnswered = 0; ///< out-of-scope calibration rows; answered below the root
  uint32_t index = 0, length = 0;    ///< point in use, of so many; index == length: always climb
  double pValue = 1;                 ///< of the point in use
  double best = 0;     ///< coverage of the loosest point whose empirical risk is at most alpha
  uint64_t needed = 0; ///< rows that would prove that point at its empirical risk; 0: none would
};

/// One group of zones with a promise of its own (`risk { per_zone: true }`), or a zone that stands
/// out.
struct GroupPromise {
  std::vector<uint32_t> zones; ///< its zones of depth 1 (by the deciding stage's best guess)
  Promise promise;
};

struct Options {
  double alpha = 0.05, delta = 0.05; ///< in (0, 1)
  bool perZone = false; ///< also bound the risk of each top zone's queries (by best guess)
  bool encoder = false; ///< the artifact has stage 3
  bool keepBase = true; ///< too few rows for any promise: keep base's thresholds, else climb always
  Rules base; ///< root_odds, reject_odds and the guard's odds stay; guard.confidence is that of the
              ///< loosest point (65537: stage 3 is always asked); thresholds are replaced
  Sequence sequence;                            ///< fixed before; empty: fix it on the Tune rows
  unsigned threads = 1;                         ///< changes the time, never the result
  std::function<Location(uint32_t zone)> where; ///< a zone's place in the spec; may be empty
  Location source;                              ///< what diagnostics about the whole set name
};

struct Result {
  Rules rules;
  Sequence sequence;
  Promise light;                           ///< stages 1 and 2 alone
  std::optional<Promise> cascade;          ///< all stages, where there is a stage 3
  std::vector<GroupPromise> groups;        ///< with perZone, of the cascade in use
  std::map<std::string, std::string> meta; ///< `risk.*`: everything above, see docs/format.md
  /// The promise of a query that asks for all stages.
  const Promise &main() const { return cascade ? *cascade : light; }
};

/// Opens `artifact` (bytes of a .sdna file), measures all rows with it and calibrates. nullopt
/// after an error (a file that the runtime refuses). What cannot be promised is a warning.
std::optional<Result> calibrateArtifact(std::string_view artifact, std::span<const Row> rows,
                                        const Options &options, Diagnostics &diags);

/// The same on evidence that is there already. Deterministic; thread-safe for different `diags`.
Result calibrateSamples(const Tree &tree, std::span<const Sample> tune,
                        std::span<const Sample> calibration, const Options &options,
                        Diagnostics &diags);

/// Runs all stages on `texts` (semdns_measure). nullopt with `error` when the runtime refuses.
std::optional<std::vector<semdns_evidence>> measure(semdns_artifact *artifact,
                                                    std::span<const std::string_view> texts,
                                                    unsigned threads, std::string &error);

/// The sequence that the Tune rows give, a few hundred points long; the first accepts at least 200
/// of them (of few: half). Without Tune rows, the same for any data. See docs/architecture.md,
/// "Calibration".
Sequence fixSequence(const Tree &tree, std::span<const Sample> tune, const Options &options);

/// The rules at one point: thresholds of stage 2 from `light`, of stage 3 from `cascade` (kClimb:
/// always climb to the root), with this guard.
Rules rulesOf(const Tree &tree, const Rules &base, uint32_t light, uint32_t cascade,
              uint32_t guard);
/// The guard at a point of the cascade.
uint32_t guardAt(const Sequence &sequence, uint32_t cascade);

/// META's value of a sequence ("risk.sequence"), and back; nullopt for anything that is none.
std::string formatSequence(const Sequence &sequence);
std::optional<Sequence> parseSequence(std::string_view text);

/// One line for people: "misroutes at most 5 % (...)" or why there is no promise.
std::string describe(const Promise &promise);

/// SHA-256 over texts and zones of the Calibrate rows, in their order.
std::string rowsDigest(std::span<const Row> rows, const Tree &tree);

} // namespace semdns::calibrate
