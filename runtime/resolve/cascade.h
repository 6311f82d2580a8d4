/// \file The cascade in two halves, for who keeps decisions: what stages 1 and 2 say costs little
/// more than a look-up, so only what stage 3 would be asked is worth waiting for.
#pragma once

#include "runtime/resolve/artifact.h"
#include "semdns/format/wordpiece.h"
#include "semdns/kernel.h"

namespace semdns::resolve {

/// Whether semdns_resolve takes the query.
bool valid(const semdns_query &query);

/// The stages of the query's mask that the artifact has.
uint32_t stagesOf(const semdns_artifact &artifact, const semdns_query &query);

/// A query on its way through the cascade.
struct Course {
  semdns_kernel_query kernel;
  semdns_kernel_answer answer; ///< so far
  uint32_t stages, topK;
  bool asks; ///< stage 3 is to decide
  /// The deadline keeps stage 3 away, without which the answer may be another: nothing to keep.
  bool hurried;
  bool missed; ///< and stage 2's guard would have asked stage 3
  bool late;   ///< the deadline has passed
};

/// Stages 1 and 2, after enter().
void runFirst(const semdns_scratch &scratch, const semdns_query &query, Course &course);

/// All that stage 3 and the decision after it read, besides the artifact: what runFirst() has left
/// in `course` and the scratch, and the window of tokens. Equal inputs, equal answers.
struct Inputs {
  uint32_t tokens[SEMDNS_WPCE_MAX_WINDOW];
  uint32_t tokenCount, tokenFlags;
  semdns_kernel_answer answer; ///< with its counts as 0 or 1
  const int32_t *scores;       ///< [scoreCount]
  uint32_t scoreCount;
};
void inputsOf(const semdns_scratch &scratch, const Course &course, Inputs &inputs);

/// Stage 3; `course.asks` holds.
void runEncoder(const semdns_scratch &scratch, Course &course);

/// What runFirst(), and runEncoder() where it asks, have decided.
void fillAnswer(const semdns_scratch &scratch, const Course &course, semdns_answer &answer);

/// An answer without what its artifact says of the zones.
struct Decision {
  uint32_t zone, confidence, best, bestConfidence, margin;
  uint8_t status, reason, stage, others;
  uint8_t truncated, repaired, spare[6];
  struct {
    uint32_t zone, confidence;
  } other[SEMDNS_TOP_MAX - 1]; ///< zones[1..]
};
static_assert(sizeof(Decision) == 88);

Decision decisionOf(const semdns_answer &answer);
/// The answer that decisionOf() was given, by the same artifact; `ttl` and `cached` are the
/// caller's.
void expand(const semdns_artifact &artifact, const Decision &decision, semdns_answer &answer);

} // namespace semdns::resolve
