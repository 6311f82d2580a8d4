#include "dialects/route/route.h"

#include "semdns/format/beam.h"
#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/keywords.h"
#include "semdns/format/zones.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wshadow" // in what TableGen writes
#include "dialects/route/route_dialect.cpp.inc"
#include "dialects/route/route_enums.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/route/route_types.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/route/route_ops.cpp.inc"
#pragma clang diagnostic pop

using namespace mlir;

namespace semdns::route {

void RouteDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/route/route_types.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/route/route_ops.cpp.inc"
      >();
}

namespace {

constexpr uint32_t kFullQ16 = 65536;
constexpr uint64_t kInt32Max = INT32_MAX;

LogicalResult inRange(Operation *op, StringRef what, uint32_t value, uint32_t lo, uint32_t hi) {
  if (value >= lo && value <= hi)
    return success();
  return op->emitOpError() << what << " is " << value << ", must be " << lo << ".." << hi;
}

/// The overflow proof: `bound` is the largest magnitude that the accumulator `what` of `op` can
/// reach at the input limits, `limit` what the arithmetic leaves it.
LogicalResult bounded(Operation *op, StringRef what, uint64_t bound, uint64_t limit) {
  if (bound <= limit)
    return success();
  return op->emitOpError() << "may overflow: " << what << " can reach " << bound
                           << ", the limit is " << limit;
}

uint32_t zoneCount(Operation *op) {
  auto program = op->getParentOfType<ProgramOp>();
  return program ? program.getZoneCount() : 0;
}

LogicalResult perZone(Operation *op, StringRef what, ArrayRef<int32_t> table) {
  uint32_t zones = zoneCount(op);
  if (zones == 0 || table.size() == zones)
    return success();
  return op->emitOpError() << what << " has " << table.size() << " entries, the program has "
                           << zones << " zones";
}

} // namespace

//===----------------------------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------------------------===//

LogicalResult ProgramOp::verifyRegions() {
  if (failed(inRange(*this, "zones", getZoneCount(), 1, SEMDNS_MAX_ZONES)) ||
      failed(inRange(*this, "terms", getTermCount(), 0, SEMDNS_MAX_TERMS)))
    return failure();
  Block &body = getBody().front();
  if (body.empty() || !isa<RootOp>(body.back()))
    return emitOpError() << "must end with route.root";
  uint32_t last = 0;
  unsigned tokenizers = 0;
  for (Operation &op : body.without_terminator()) {
    if (isa<TokenizeOp>(op) && ++tokenizers > 1)
      return op.emitOpError() << "occurs twice in one program";
    if (auto stage = dyn_cast<StageOp>(op)) {
      auto kind = static_cast<uint32_t>(stage.getKind());
      if (kind <= last)
        return stage.emitOpError()
               << "'" << stringifyStageKind(stage.getKind())
               << "' is out of order: keyword comes before embedding, each once";
      last = kind;
    } else if (!isa<TokenizeOp>(op)) {
      return op.emitOpError() << "does not belong into route.program";
    }
  }
  // Sums over what one text can have, with the format's limits.
  if (failed(bounded(*this, "the sum of all votes",
                     uint64_t{SEMDNS_MAX_HITS} * SEMDNS_MAX_TERM_WEIGHT, kInt32Max >> 8)))
    return failure();
  return success();
}

AnswerOp StageOp::answer() { return cast<AnswerOp>(getBody().front().back()); }

LogicalResult StageOp::verifyRegions() {
  Block &body = getBody().front();
  if (body.empty() || !isa<AnswerOp>(body.back()))
    return emitOpError() << "must end with route.answer";
  bool keyword = getKind() == StageKind::Keyword;
  for (Operation &op : body.without_terminator()) {
    bool fits =
        keyword ? isa<MatchOp, VoteOp, AcceptVotesOp>(op) || op.hasTrait<OpTrait::ConstantLike>()
                : isa<LookupOp, PoolOp, QuantizeOp, ScoreOp, WeighOp, SelectOp, OddsOp,
                      AcceptanceOp, ClimbOp, DescendOp>(op);
    if (!fits)
      return op.emitOpError() << "does not belong into stage '" << stringifyStageKind(getKind())
                              << "'";
  }
  if (isa<VotesType>(answer().getValue().getType()) != keyword)
    return answer().emitOpError() << "of stage '" << stringifyStageKind(getKind()) << "' must give "
                                  << (keyword ? "votes" : "a zone");
  return success();
}

LogicalResult AnswerOp::verify() {
  bool votes = isa<VotesType>(getValue().getType());
  bool accepts = static_cast<bool>(getAccepted());
  if (votes ? accepts == getNever() : accepts || getNever())
    return emitOpError() << "needs either `if` or `never` with votes, and neither with a zone";
  if (accepts != getConfidence().has_value())
    return emitOpError() << "needs a confidence with `if`, and none without";
  if (getConfidence())
    return inRange(*this, "confidence", *getConfidence(), 0, kFullQ16);
  return success();
}

//===----------------------------------------------------------------------------------------===//
// Text and stage 1
//===----------------------------------------------------------------------------------------===//

LogicalResult TokenizeOp::verify() {
  if (failed(inRange(*this, "word_ngrams", getWordNgramMax(), 1, 3)))
    return failure();
  uint32_t lo = getCharNgramMin(), hi = getCharNgramMax();
  if ((lo != 0 || hi != 0) && (lo < 2 || hi < lo || hi > 6))
    return emitOpError() << "char_ngrams are " << lo << " to " << hi
                         << ", must be 0 to 0 or within 2 to 6";
  return success();
}

LogicalResult VoteOp::verify() {
  if (!getParents())
    return success();
  if (failed(perZone(*this, "parents", *getParents())))
    return failure();
  for (auto [zone, parent] : llvm::enumerate(*getParents()))
    if (parent < -1 || parent >= static_cast<int64_t>(zone))
      return emitOpError() << "parents of zone " << zone << " is " << parent
                           << ", must be -1 or a zone before it";
  return success();
}

LogicalResult AcceptVotesOp::verify() {
  if (failed(inRange(*this, "at_least", getAtLeast(), 1, SEMDNS_NEVER - 1)))
    return failure();
  return inRange(*this, "purity", getPurity(), 0, kFullQ16);
}

//===----------------------------------------------------------------------------------------===//
// Stage 2
//===----------------------------------------------------------------------------------------===//

LogicalResult LookupOp::verify() {
  if (failed(inRange(*this, "buckets", getBuckets(), 1, SEMDNS_MAX_ROWS)) ||
      failed(inRange(*this, "rows", getRows(), 1, SEMDNS_MAX_ROWS)) ||
      failed(inRange(*this, "unknown_norm", getUnknownNorm(), 0, 65535)))
    return failure();
  // n2: a known feature adds its norm squared, an unknown unigram unknown_norm squared.
  return bounded(*this, "the squared norm", uint64_t{SEMDNS_MAX_FEATURES} * 65535 * 65535,
                 (uint64_t{1} << 52) - 1);
}

LogicalResult PoolOp::verify() {
  unsigned dim = getPool().getType().getSize();
  if (dim == 0 || dim > SEMDNS_MAX_DIM || dim % SEMDNS_DIM_ALIGN != 0)
    return emitOpError() << "dimension is " << dim << ", must be a multiple of " << SEMDNS_DIM_ALIGN
                         << " up to " << SEMDNS_MAX_DIM;
  // Quantising multiplies by (127 << 24) / peak in 32 bits, which is exact for any peak; the bound
  // here is what weighing relies on.
  return bounded(*this, "a pooled value", (uint64_t{SEMDNS_MAX_FEATURES} + 1) * 127,
                 (uint64_t{1} << 21) - 1);
}

LogicalResult QuantizeOp::verify() {
  if (getPool().getType().getSize() != getQuery().getType().getSize())
    return emitOpError() << "turns " << getPool().getType().getSize() << " dimensions into "
                         << getQuery().getType().getSize();
  return success();
}

LogicalResult ScoreOp::verify() {
  if (getLayout() != 1 && getLayout() != 2 && getLayout() != 4)
    return emitOpError() << "layout is " << getLayout() << ", must be 1, 2 or 4";
  unsigned classes = getScores().getType().getSize();
  if (failed(inRange(*this, "number of classes", classes, 1, SEMDNS_MAX_FLAT_CLASSES)))
    return failure();
  // With the left side biased to 0..255 the accumulator passes 2 * 128 * 127 a dimension.
  uint64_t dim = getQuery().getType().getSize();
  if (failed(bounded(*this, "a biased score", dim * 255 * 127 + dim * 128 * 127, kInt32Max)))
    return failure();
  return bounded(*this, "a score", dim * 127 * 127, (uint64_t{1} << 24) - 1);
}

LogicalResult WeighOp::verify() {
  unsigned classes = getScores().getType().getSize();
  if (getWeights().getType().getSize() != classes)
    return emitOpError() << "turns " << classes << " scores into "
                         << getWeights().getType().getSize() << " weights";
  if (failed(inRange(*this, "gain", getGain(), 1, 1u << 24)))
    return failure();
  return bounded(*this, "the sum of all weights", uint64_t{classes} * kFullQ16, kInt32Max);
}

LogicalResult SelectOp::verify() {
  unsigned classes = getScores().getType().getSize();
  if (getZones().size() != classes)
    return emitOpError() << "has zones for " << getZones().size() << " classes, the scores have "
                         << classes;
  uint32_t zones = zoneCount(*this);
  int64_t last = -1;
  for (auto [k, zone] : llvm::enumerate(getZones())) {
    if (zone <= last || (zones != 0 && zone >= static_cast<int64_t>(zones)))
      return emitOpError() << "zone " << zone << " of class " << k
                           << " does not ascend, or is not a zone of the program";
    last = zone;
  }
  return success();
}

LogicalResult ClimbOp::verify() {
  if (failed(perZone(*this, "parents", getParents())) ||
      failed(perZone(*this, "class_begin", getClassBegin())) ||
      failed(perZone(*this, "class_end", getClassEnd())))
    return failure();
  size_t zones = getParents().size();
  if (zones == 0 || getClassBegin().size() != zones || getClassEnd().size() != zones)
    return emitOpError() << "needs three tables of one size";
  auto classes = static_cast<int32_t>(getWeights().getType().getSize());
  for (size_t zone = 0; zone < zones; ++zone) {
    int64_t parent = getParents()[zone];
    if (parent < 0 || parent >= static_cast<int64_t>(std::max<size_t>(zone, 1)))
      return emitOpError() << "parent of zone " << zone << " is " << parent
                           << ", must be a zone before it (0 for the root)";
    int32_t begin = getClassBegin()[zone], end = getClassEnd()[zone];
    if (begin < 0 || end < begin || end > classes)
      return emitOpError() << "zone " << zone << " has the classes " << begin << " to " << end
                           << ", which are not within 0 to " << classes;
  }
  return inRange(*this, "steps", getSteps(), 0, SEMDNS_MAX_DEPTH);
}

LogicalResult DescendOp::verify() {
  uint32_t room = getRoom();
  if (failed(inRange(*this, "number of classes", getClasses(), 1, SEMDNS_MAX_CLASSES)) ||
      failed(inRange(*this, "number of entries", getEntries(), SEMDNS_LANES,
                     SEMDNS_BEAM_MAX_ENTRIES)) ||
      failed(inRange(*this, "number of nodes", getNodes(), 1, getEntries() / SEMDNS_LANES)) ||
      failed(inRange(*this, "number of levels", getLevels(), 1, SEMDNS_BEAM_MAX_LEVELS)) ||
      failed(inRange(*this, "room", room, SEMDNS_LANES, SEMDNS_BEAM_MAX_NODE)) ||
      failed(inRange(*this, "width", getWidth(), 1, SEMDNS_BEAM_MAX_WIDTH)) ||
      failed(inRange(*this, "spread", getSpread(), 0, 31)) ||
      failed(inRange(*this, "gain", getGain(), 1, 1u << 24)))
    return failure();
  if (room % SEMDNS_LANES != 0 || getEntries() % SEMDNS_LANES != 0)
    return emitOpError() << "has " << getEntries() << " entries and room for " << room
                         << ", must be multiples of " << SEMDNS_LANES;
  uint64_t dim = getQuery().getType().getSize();
  if (failed(bounded(*this, "a biased score", dim * 255 * 127 + dim * 128 * 127, kInt32Max)) ||
      failed(bounded(*this, "a score", dim * 127 * 127, (uint64_t{1} << 24) - 1)) ||
      failed(bounded(*this, "a logit", (uint64_t{1} << 15) + SEMDNS_BEAM_MAX_BIAS, kInt32Max)))
    return failure();
  return bounded(*this, "the sum of a node's weights", uint64_t{room} * kFullQ16, kInt32Max);
}

//===----------------------------------------------------------------------------------------===//
// dot4
//===----------------------------------------------------------------------------------------===//

LogicalResult Dot4Op::verify() {
  auto acc = cast<VectorType>(getAcc().getType()), lhs = cast<VectorType>(getLhs().getType());
  if (lhs.getNumElements() != 4 * acc.getNumElements())
    return emitOpError() << "needs 4 bytes a lane: " << acc.getNumElements() << " lanes, "
                         << lhs.getNumElements() << " bytes";
  if (getLhsBias() != 0 && getLhsBias() != 128)
    return emitOpError() << "lhs_bias is " << getLhsBias() << ", must be 0 or 128";
  return success();
}

} // namespace semdns::route
