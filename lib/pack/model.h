/// \file What training yields and packing and compilation consume: the model of stages 1 and 2, and
/// the acceptance data, before any byte layout. Everything is in its final integer form: packing
/// and compiling only rearrange it.
#pragma once

#include "semdns/format/beam.h"

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::pack {

/// One written or mined term of stage 1. `words` are word hashes (kernels/hash.h) of the term's
/// tokens as the tokeniser sees them, 1..SEMDNS_MAX_TERM_WORDS.
struct Term {
  std::vector<uint64_t> words;
  std::string text;
  uint32_t zone = 0;   ///< never the root
  uint32_t weight = 0; ///< 1..SEMDNS_MAX_TERM_WEIGHT
};

struct KeywordModel {
  std::vector<Term> terms;
  uint32_t acceptVotes = 0xffffffffu; ///< SEMDNS_NEVER: stage 1 does not answer
  uint32_t acceptPurity = 65536;      ///< Q16
  uint32_t confidence = 0;            ///< Q16
};

/// Stage 2. Row 0 is the bias and has no hash (hashes[0] is unused).
struct EmbeddingModel {
  uint32_t dim = 0; ///< multiple of 16
  bool punct = false;
  uint32_t wordNgramMax = 1, charNgramMin = 0, charNgramMax = 0;
  uint32_t unknownNorm = 0;
  std::vector<uint64_t> hashes; ///< [rows] feature hashes, distinct
  std::vector<int8_t> rows;     ///< [rows][dim], -127..127
  std::vector<uint16_t> norms;  ///< [rows], norms[0] = 0
  std::vector<int8_t> classes;  ///< [classes, or the beam's entries][dim] row-major, -127..127
  uint32_t gain = 1;            ///< see docs/architecture.md, "Arithmetic"
};

/// What a stage's scores must reach ("Arithmetic", Acceptance). Set by calibration; data, not code.
struct Acceptance {
  std::vector<uint32_t> threshold; ///< [zones] Q16; threshold[0] = 0
  int32_t rootOdds = INT32_MIN;    ///< 1/256 bit; below it the root answers. INT32_MIN: never
};

/// When stage 2 answers by itself although there is a stage 3.
struct Guard {
  uint32_t confidence = 65537;    ///< Q16 of the best zone; 65537: never
  int32_t odds = INT32_MIN;       ///< and at least these odds against the root's class
  int32_t rejectOdds = INT32_MIN; ///< odds below it: the root answers. INT32_MIN: never
};

/// Stage 3's head over [the encoder's embedding, stage 2's logits].
struct EncoderHead {
  uint32_t width = 0;          ///< of the encoder's embedding; 0: no stage 3
  std::vector<int8_t> classes; ///< [classes][width] row-major, -127..127
  std::vector<int32_t> bias;   ///< [classes] 1/256 bit
  uint32_t gain = 1;           ///< 1..2^24-1, see docs/architecture.md, "Arithmetic"
  uint32_t mix = 0;            ///< Q16 weight of stage 2's logits, at most 16 * 65536
  Acceptance acceptance;
  bool present() const { return width != 0; }
};

/// The search tree of stage 2 where classes are too many to score them all (semdns/format/beam.h):
/// which zones stand beside each other, and what training found for them.
struct BeamModel {
  uint32_t width = 0;  ///< 0: no beam, every class is scored
  uint32_t spread = 0; ///< nodes with less than 2^-spread of the best one's mass are dropped
  std::vector<semdns_beam_node> nodes;
  std::vector<uint32_t> target;        ///< [entries]
  std::vector<int32_t> bias;           ///< [entries] 1/256 bit
  std::vector<uint32_t> classEntry;    ///< [classes]
  std::vector<semdns_beam_home> homes; ///< [zones]
  bool present() const { return width != 0; }
  size_t entries() const { return target.size(); }
};

/// The whole routing model of a tree with zones in preorder (spec::ZoneTree).
struct RoutingModel {
  KeywordModel keywords;
  EmbeddingModel embedding;
  BeamModel beam;
  std::vector<uint32_t> classZone; ///< [classes] ascending zone numbers; 0: the root's class only
  Acceptance acceptance;           ///< of stage 2 where it has the last word
  Guard guard;
  EncoderHead head;
};

} // namespace semdns::pack
