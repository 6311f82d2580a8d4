#include "lib/passes/target/passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"

namespace semdns::target {
namespace {

using namespace mlir;

bool isDot4(Operation *op) { return op && op->getName().getStringRef() == "route.dot4"; }

/// A loop that does nothing but add up: each carried value is the accumulator of one route.dot4,
/// used by nothing else, whose result is what the loop yields in its place.
bool onlyAccumulates(scf::ForOp loop) {
  Block *body = loop.getBody();
  auto yield = cast<scf::YieldOp>(body->getTerminator());
  if (loop.getNumResults() == 0)
    return false;
  for (auto [carried, yielded] : llvm::zip(loop.getRegionIterArgs(), yield.getOperands())) {
    Operation *dot = yielded.getDefiningOp();
    if (!isDot4(dot) || dot->getBlock() != body || dot->getOperand(0) != carried ||
        !carried.hasOneUse() || !yielded.hasOneUse())
      return false;
  }
  return true;
}

/// Turns `for i: acc = dot4(acc, a(i), b(i))` into `factor` such sums over every factor-th i, added
/// up behind the loop. Sums are modulo 2^32 and in any case the same: no bit changes.
void split(scf::ForOp loop, int64_t factor, int64_t step) {
  ImplicitLocOpBuilder b(loop.getLoc(), loop);
  unsigned sums = loop.getNumResults();
  SmallVector<Value> inits(loop.getInitArgs());
  for (int64_t k = 1; k < factor; ++k)
    for (Value init : loop.getInitArgs())
      inits.push_back(arith::ConstantOp::create(b, b.getZeroAttr(init.getType())));
  Value wide =
      arith::ConstantOp::create(b, b.getIntegerAttr(loop.getStep().getType(), step * factor));
  auto wider = scf::ForOp::create(b, loop.getLowerBound(), loop.getUpperBound(), wide, inits);
  b.setInsertionPointToStart(wider.getBody());
  SmallVector<Value> results;
  for (int64_t k = 0; k < factor; ++k) {
    IRMapping map;
    Value i = wider.getInductionVar();
    if (k)
      i = arith::AddIOp::create(
          b, i, arith::ConstantOp::create(b, b.getIntegerAttr(i.getType(), k * step)));
    map.map(loop.getInductionVar(), i);
    for (unsigned s = 0; s < sums; ++s)
      map.map(loop.getRegionIterArg(s), wider.getRegionIterArg(unsigned(k) * sums + s));
    for (Operation &op : loop.getBody()->without_terminator())
      b.clone(op, map);
    for (Value yielded : loop.getBody()->getTerminator()->getOperands())
      results.push_back(map.lookup(yielded));
  }
  scf::YieldOp::create(b, results);
  b.setInsertionPointAfter(wider);
  for (unsigned s = 0; s < sums; ++s) {
    Value total = wider.getResult(s);
    for (int64_t k = 1; k < factor; ++k)
      total = arith::AddIOp::create(b, total, wider.getResult(unsigned(k) * sums + s));
    loop.getResult(s).replaceAllUsesWith(total);
  }
  loop.erase();
}

struct SplitDot4ChainsPass : PassWrapper<SplitDot4ChainsPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SplitDot4ChainsPass)

  SplitDot4ChainsPass() = default;
  explicit SplitDot4ChainsPass(unsigned number) { chains = number; }
  SplitDot4ChainsPass(const SplitDot4ChainsPass &other) : PassWrapper(other) {
    chains = other.chains;
  }

  StringRef getArgument() const override { return "route-split-dot4-chains"; }
  StringRef getDescription() const override {
    return "Give loops of route.dot4 enough independent sums to hide its latency";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, scf::SCFDialect>();
  }
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation()->walk([&](scf::ForOp loop) {
      if (onlyAccumulates(loop))
        loops.push_back(loop);
    });
    for (scf::ForOp loop : loops) {
      auto begin = getConstantIntValue(loop.getLowerBound());
      auto end = getConstantIntValue(loop.getUpperBound());
      auto step = getConstantIntValue(loop.getStep());
      if (!begin || !end || !step || *step <= 0 || *end <= *begin)
        continue;
      int64_t rounds = (*end - *begin + *step - 1) / *step;
      int64_t factor = 1; // a power of two that divides the rounds
      while (factor * loop.getNumResults() < chains && rounds % (2 * factor) == 0)
        factor *= 2;
      if (factor > 1)
        split(loop, factor, *step);
    }
  }

  Option<unsigned> chains{*this, "chains", llvm::cl::desc("independent sums wanted"),
                          llvm::cl::init(8)};
};

} // namespace

std::unique_ptr<mlir::Pass> createSplitDot4ChainsPass(unsigned chains) {
  return std::make_unique<SplitDot4ChainsPass>(chains);
}

} // namespace semdns::target
