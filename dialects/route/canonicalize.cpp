#include "dialects/route/route.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace semdns::route {

/// Where no zone has an ancestor with votes, the winner stands alone in the purity test.
LogicalResult VoteOp::canonicalize(VoteOp vote, PatternRewriter &rewriter) {
  if (!vote.getParents() || llvm::any_of(*vote.getParents(), [](int32_t p) { return p >= 0; }))
    return failure();
  rewriter.modifyOpInPlace(vote, [&] { vote.removeParentsAttr(); });
  return success();
}

/// Where no class's zone needs any confidence, the best guess stands.
LogicalResult ClimbOp::canonicalize(ClimbOp climb, PatternRewriter &rewriter) {
  if (climb.getSteps() == 0)
    return failure();
  auto select = climb.getCandidates().getDefiningOp<SelectOp>();
  if (!select || llvm::any_of(select.getZones(),
                              [&](int32_t zone) { return climb.getThresholds()[zone] != 0; }))
    return failure();
  rewriter.modifyOpInPlace(climb, [&] { climb.setSteps(0); });
  return success();
}

} // namespace semdns::route
