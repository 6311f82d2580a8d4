#include "lib/passes/target/passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

#include "llvm/ADT/SmallVector.h"

namespace semdns::target {
namespace {

using namespace mlir;

/// Emits the expansion of one `route.dot4`. All values are 1-D vectors.
class Dot4Emitter {
public:
  Dot4Emitter(OpBuilder &b, Location loc) : b_(b), loc_(loc) {}

  /// acc[i] + sum over k < 4 of (a[4i+k] + bias) * b[4i+k], in plain arithmetic.
  Value generic(Value acc, Value a, Value b, int32_t bias) {
    int64_t lanes = lanesOf(acc);
    for (int64_t k = 0; k < 4; ++k) {
      SmallVector<int64_t> mask;
      for (int64_t i = 0; i < lanes; ++i)
        mask.push_back(4 * i + k);
      auto wide = VectorType::get(lanes, b_.getI32Type());
      Value x = arith::ExtSIOp::create(b_, loc_, wide, shuffle(a, a, mask));
      Value y = arith::ExtSIOp::create(b_, loc_, wide, shuffle(b, b, mask));
      if (bias)
        x = arith::AddIOp::create(b_, loc_, x, splat(wide, bias));
      acc = arith::AddIOp::create(b_, loc_, acc, arith::MulIOp::create(b_, loc_, x, y));
    }
    return acc;
  }

  /// The same by a level's instructions, cut into pieces of the level's vector width.
  Value forIsa(const IsaTraits &isa, Value acc, Value a, Value b, int32_t bias) {
    int64_t lanes = lanesOf(acc);
    int64_t piece = isa.vectorBytes / 4;
    while (piece > 4 && lanes % piece != 0)
      piece /= 2;
    if (lanes % piece != 0)
      return generic(acc, a, b, bias);
    SmallVector<Value> parts;
    for (int64_t i = 0; i < lanes; i += piece)
      parts.push_back(dot(isa, slice(acc, i, piece), slice(a, 4 * i, 4 * piece),
                          slice(b, 4 * i, 4 * piece), bias));
    return concat(parts);
  }

private:
  static int64_t lanesOf(Value v) { return cast<VectorType>(v.getType()).getNumElements(); }

  Value splat(VectorType type, int64_t value) {
    return arith::ConstantOp::create(
        b_, loc_, DenseElementsAttr::get(type, b_.getIntegerAttr(type.getElementType(), value)));
  }
  Value shuffle(Value x, Value y, ArrayRef<int64_t> mask) {
    return vector::ShuffleOp::create(b_, loc_, x, y, mask);
  }
  Value slice(Value v, int64_t begin, int64_t size) {
    if (size == lanesOf(v))
      return v;
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < size; ++i)
      mask.push_back(begin + i);
    return shuffle(v, v, mask);
  }
  Value concat(ArrayRef<Value> parts) {
    Value all = parts.front();
    for (Value part : parts.drop_front()) { // vector.shuffle takes operands of different lengths
      SmallVector<int64_t> mask;
      for (int64_t i = 0, n = lanesOf(all) + lanesOf(part); i < n; ++i)
        mask.push_back(i);
      all = shuffle(all, part, mask);
    }
    return all;
  }
  Value call(StringRef intrinsic, Type result, ValueRange args) {
    return LLVM::CallIntrinsicOp::create(b_, loc_, result, b_.getStringAttr(intrinsic), args)
        .getResult(0);
  }

  /// |a| as u8: at most 127, because operands are at least -127.
  Value magnitude(Value a) {
    auto type = cast<VectorType>(a.getType());
    Value negated = arith::SubIOp::create(b_, loc_, splat(type, 0), a);
    return arith::MaxSIOp::create(b_, loc_, a, negated);
  }
  /// b with the sign of a: |a| * signed(b, a) == a * b. Where a is 0 any value of b will do.
  Value signedBy(Value b, Value a) {
    auto type = cast<VectorType>(b.getType());
    if (lanesOf(b) == 16)
      return call("llvm.x86.ssse3.psign.b.128", type, {b, a});
    if (lanesOf(b) == 32)
      return call("llvm.x86.avx2.psign.b", type, {b, a});
    // AVX-512 has no psign: negate under a mask.
    Value zero = splat(type, 0);
    Value negative = arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::slt, a, zero);
    return arith::SelectOp::create(b_, loc_, negative, arith::SubIOp::create(b_, loc_, zero, b), b);
  }
  /// Sums of four u8 x s8 products as i32. Exact while pairs stay below 2^15: 2 * 128 * 127.
  Value multiplyAdd(Value u, Value s) {
    int64_t bytes = lanesOf(u);
    auto words = VectorType::get(bytes / 2, b_.getI16Type());
    auto sums = VectorType::get(bytes / 4, b_.getI32Type());
    StringRef ub = bytes == 16   ? "llvm.x86.ssse3.pmadd.ub.sw.128"
                   : bytes == 32 ? "llvm.x86.avx2.pmadd.ub.sw"
                                 : "llvm.x86.avx512.pmaddubs.w.512";
    StringRef wd = bytes == 16   ? "llvm.x86.sse2.pmadd.wd"
                   : bytes == 32 ? "llvm.x86.avx2.pmadd.wd"
                                 : "llvm.x86.avx512.pmaddw.d.512";
    return call(wd, sums, {call(ub, words, {u, s}), splat(words, 1)});
  }

  /// One piece: 4, 8 or 16 lanes.
  Value dot(const IsaTraits &isa, Value acc, Value a, Value b, int32_t bias) {
    auto bytes = cast<VectorType>(a.getType());
    if (isa.isa == SEMDNS_ISA_X86_64_V4_VNNI && bytes.getNumElements() == 64) {
      // a + 128 as u8 is a with its top bit flipped.
      Value u =
          bias ? arith::XOrIOp::create(b_, loc_, a, splat(bytes, -128)).getResult() : magnitude(a);
      Value s = bias ? b : signedBy(b, a);
      return call("llvm.x86.avx512.vpdpbusd.512", acc.getType(), {acc, u, s});
    }
    Value sum = multiplyAdd(magnitude(a), signedBy(b, a));
    if (bias)
      sum = arith::AddIOp::create(b_, loc_, sum, multiplyAdd(splat(bytes, -128), b));
    return arith::AddIOp::create(b_, loc_, acc, sum);
  }

  OpBuilder &b_;
  Location loc_;
};

struct LowerDot4 : RewritePattern {
  LowerDot4(MLIRContext *context, const IsaTraits *traits)
      : RewritePattern("route.dot4", 1, context), isa(traits) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    int32_t bias = 0;
    if (auto attr = op->getAttrOfType<IntegerAttr>("lhs_bias"))
      bias = static_cast<int32_t>(attr.getInt());
    if (bias != 0 && bias != 128)
      return op->emitOpError("lhs_bias must be 0 or 128");
    Dot4Emitter emit(rewriter, op->getLoc());
    Value acc = op->getOperand(0), a = op->getOperand(1), b = op->getOperand(2);
    rewriter.replaceOp(op,
                       isa ? emit.forIsa(*isa, acc, a, b, bias) : emit.generic(acc, a, b, bias));
    return success();
  }

  const IsaTraits *isa;
};

struct LowerDot4Pass : PassWrapper<LowerDot4Pass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerDot4Pass)

  LowerDot4Pass() = default;
  explicit LowerDot4Pass(StringRef name) { isa = name.str(); }
  LowerDot4Pass(const LowerDot4Pass &other) : PassWrapper(other) { isa = other.isa; }

  StringRef getArgument() const override { return "route-lower-dot4"; }
  StringRef getDescription() const override {
    return "Replace route.dot4 by the instructions of one CPU level";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, vector::VectorDialect, LLVM::LLVMDialect>();
  }
  void runOnOperation() override {
    const IsaTraits *traits = findIsa(StringRef(isa));
    if (!traits && isa != "generic") {
      getOperation()->emitError("unknown CPU level '") << isa << "'";
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerDot4>(&getContext(), traits);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    bool left = false;
    getOperation()->walk(
        [&](Operation *op) { left |= op->getName().getStringRef() == "route.dot4"; });
    if (left)
      signalPassFailure();
  }

  Option<std::string> isa{*this, "isa", llvm::cl::desc("CPU level, or generic"),
                          llvm::cl::init("generic")};
};

} // namespace

std::unique_ptr<mlir::Pass> createLowerDot4Pass(llvm::StringRef isa) {
  return std::make_unique<LowerDot4Pass>(isa);
}

} // namespace semdns::target
