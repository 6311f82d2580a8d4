/// \file The trainer of all stages' models: labelled texts, corpus snippets, keywords and an
/// encoder's embeddings in, the routing model in its final integer form out.
///
/// Method (docs/architecture.md, "Training"): weighted words, word pairs and character trigrams; a
/// multinomial logistic regression; a low-rank factorisation of its weights into feature rows and
/// class vectors; joint training of both with random features left out, on labels or on what the
/// encoder's classifier thinks of the texts and of variations of them; pruning and int8
/// quantisation. The Tune part sets the confidences' sharpness, first thresholds, stage 3's mix,
/// the guard between stages 2 and 3, and whether stage 1 may answer.
///
/// Deterministic: the same data, options and TEXT table give the same model for any thread count
/// and host (elementwise float arithmetic in a fixed order, no libm transcendental).
#pragma once

#include "lib/pack/model.h"
#include "lib/support/diagnostics.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace semdns::train {

/// One zone, in preorder; zone 0 is the root (its `parent` is ignored).
struct Zone {
  uint32_t parent = 0;     ///< below this zone's own number
  uint32_t depth = 0;      ///< 0 for the root, else the parent's + 1
  uint32_t subtreeEnd = 1; ///< one past the last zone of the subtree
  std::string name;        ///< for diagnostics only
};

enum class ExampleKind : uint8_t {
  Labelled, ///< a row of an examples file: trains, calibrates, and is mined for stage 1
  Snippet,  ///< a piece of a corpus (lib/train/snippets.h): trains and calibrates
  Pattern,  ///< a pattern of a library: a short pseudo-text, trains only
};

/// What an example is used for. Train: fits the model. Tune: chooses sharpness, mix, guards and
/// grids; may be trained on afterwards where that leaves the choice sound. Calibrate: untouched by
/// train(), which must not read it; lib/calibrate alone does.
enum class Part : uint8_t { Train, Tune, Calibrate };

struct Example {
  std::string text;
  uint32_t zone = 0; ///< zone 0: texts that belong to no zone below the root (`--root-label`)
  ExampleKind kind = ExampleKind::Labelled;
  Part part = Part::Train;
};

/// The encoder as training sees it: texts in, embeddings out.
struct Teacher {
  uint32_t width = 0; ///< 0: no encoder; stages 1 and 2 learn from labels alone
  /// [texts][width], each of unit length; cached by the caller (lib/encoder/cache.h).
  /// Deterministic.
  std::function<std::vector<float>(std::span<const std::string> texts)> embed;
  /// Class vectors to start stage 3's head from (of a fine-tuned encoder): [classes][width],
  /// classes in the order of their zones, each zone with a training text being one; empty: none.
  std::vector<float> head;
};

/// A term of stage 1, from the spec (`keyword:`) or from a pattern library. It is also a
/// pseudo-text for stage 2, so that trees of keywords alone have a best guess for every query.
struct Keyword {
  std::string text;
  uint32_t zone = 0;    ///< never the root
  uint32_t weight = 0;  ///< 1..1000 of a mined term (how telling it is); written ones: 0 = default
  bool written = false; ///< by hand in the spec
};

struct TrainingData {
  std::vector<Zone> zones;
  std::vector<Example> examples;
  std::vector<Keyword> keywords;
  std::vector<std::string>
      unlabelled; ///< `--unlabelled=F` and corpora: texts for the teacher to judge
  Teacher teacher;
};

/// Marks Labelled examples Calibrate (a tenth, at most 750; none below 200 rows) or Tune (7 to 15
/// %, at most 750) by seed; Snippets are marked Tune where a zone has no labelled rows. Every zone
/// keeps four rows for training, and rows that share 70 % of their words are in one part. train()
/// cuts Tune itself from examples that nobody marked. `calibrate` false: the user brings
/// `--calibration=F`, only Tune is cut.
void splitExamples(TrainingData &data, uint64_t seed, bool calibrate);

struct TrainOptions {
  unsigned threads = 1; ///< changes the time, never the result
  uint64_t seed = 1;
  double alpha = 0.05;         ///< misroute rate that the thresholds aim at on the held-out slice
  uint32_t maxDim = 128;       ///< upper bound of the embedding's dimension, a multiple of 16
  uint32_t maxRows = 0;        ///< upper bound of the embedding's rows; 0: what fits into 5 MB
  bool mineKeywords = true;    ///< look for stage 1 terms in the labelled examples
  uint32_t flatClasses = 1024; ///< with more, stage 2 goes down a search tree
                               ///< (lib/pack/beam_plan.h), unless there is an encoder
  uint32_t beamWidth = 3;      ///< nodes of a level that it follows, 1..8; 0: it scores all classes
  uint32_t variations = 60000; ///< variations of the examples for the teacher to judge, at most
};

/// What the held-out slice said, for reports and META. All zero when there was too little data.
struct TrainReport {
  uint32_t examples = 0, heldOut = 0;   ///< texts trained on; texts of the held-out slice
  uint32_t inScope = 0;                 ///< held-out texts whose zone is not the root
  uint32_t bestCorrect = 0;             ///< of those: stage 2's best class is right
  uint32_t answered = 0, misrouted = 0; ///< of those: answered below the root; answered wrongly
  uint32_t keywordAnswered = 0, keywordWrong = 0; ///< of all held-out texts: stage 1 alone
  uint32_t rows = 0, dim = 0, classes = 0, terms = 0;
  uint32_t variations = 0, unlabelled = 0;      ///< texts that the teacher alone judged
  uint32_t teacherCorrect = 0, headCorrect = 0; ///< of inScope: the teacher's, stage 3's best class
  uint32_t guarded = 0;                         ///< of heldOut: stage 2 answers by itself
};

/// Trains the model of a tree. `textSection` is the TEXT section's bytes, 64-byte aligned or not
/// (text::buildTextSection()): the one that the artifact will carry.
///
/// Keywords that cannot be terms and thresholds that cannot reach alpha are warnings (what the
/// labels themselves show, lib/spec says). Errors (an empty model is returned): more than
/// SEMDNS_MAX_CLASSES (where all are scored: SEMDNS_MAX_FLAT_CLASSES) zones with training texts, an
/// example or keyword outside `zones`, a keyword for the root, more data than the 32-bit model can
/// hold. Data without any text gives a model without classes. Thread-safe for different `diags`.
pack::RoutingModel train(const TrainingData &data, const TrainOptions &options,
                         std::span<const uint8_t> textSection, Diagnostics &diags,
                         TrainReport *report = nullptr);

} // namespace semdns::train
