// Canonicalisations of zones. They change the routing program only: ZTRE keeps every zone, and
// every zone that stays keeps its index.
#include "dialects/zone/zone.h"

#include "semdns/format/keywords.h"

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace semdns::zone {
namespace {

/// The same word twice in a zone votes twice: one keyword with the sum of weights does the same.
struct MergeKeywords : OpRewritePattern<ZoneOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ZoneOp zone, PatternRewriter &rewriter) const override {
    llvm::StringMap<KeywordOp> first;
    for (KeywordOp keyword : zone.getBody().getOps<KeywordOp>()) {
      auto [it, isNew] = first.try_emplace(keyword.getText(), keyword);
      if (isNew)
        continue;
      KeywordOp kept = it->second;
      uint32_t weight = kept.getWeight() + keyword.getWeight();
      if (weight > SEMDNS_MAX_TERM_WEIGHT)
        continue;
      rewriter.modifyOpInPlace(kept, [&] { kept.setWeight(weight); });
      rewriter.eraseOp(keyword);
      return success();
    }
    return failure();
  }
};

/// A zone without a class and without keywords, with nothing below it that has any, can never be
/// answered nor climbed through.
struct RemoveDeadZone : OpRewritePattern<ZoneOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ZoneOp zone, PatternRewriter &rewriter) const override {
    if (zone.isRoot())
      return failure();
    bool alive = false;
    zone.walk([&](Operation *op) {
      auto inner = dyn_cast<ZoneOp>(op);
      alive |= inner ? inner.getClassId().has_value() : true;
    });
    if (alive)
      return failure();
    // At the location alone: the op's own text as a note would print the whole hierarchy.
    emitWarning(zone.getLoc())
        << "zone '" << zone.getLabel() << "' (index " << zone.number()
        << ") can never be answered: neither it nor a zone below it has examples or "
           "keywords; left out of the routing program";
    rewriter.eraseOp(zone);
    return success();
  }
};

} // namespace

void ZoneOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeKeywords, RemoveDeadZone>(context);
}

} // namespace semdns::zone
