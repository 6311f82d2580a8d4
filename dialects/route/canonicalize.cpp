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

} // namespace semdns::route
