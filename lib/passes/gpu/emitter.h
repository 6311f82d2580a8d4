/// \file Short names for the operations that the GPU kernel is made of.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace semdns::gpu {

/// Emits 32-bit integer code for one thread. Values are i32 unless a name says otherwise.
class Emitter {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  explicit Emitter(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}

  mlir::ImplicitLocOpBuilder &b;
  mlir::Type i8() { return b.getI8Type(); }
  mlir::Type i16() { return b.getI16Type(); }
  mlir::Type i32() { return b.getI32Type(); }
  mlir::Type i64() { return b.getI64Type(); }
  mlir::Type ptr() { return mlir::LLVM::LLVMPointerType::get(b.getContext()); }

  Value constant(int64_t value) { return constant(value, i32()); }
  Value constant(int64_t value, mlir::Type type) {
    return mlir::arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
  }
  Value add(Value x, Value y) { return mlir::arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return mlir::arith::SubIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return mlir::arith::MulIOp::create(b, x, y); }
  Value divU(Value x, Value y) { return mlir::arith::DivUIOp::create(b, x, y); }
  Value remU(Value x, Value y) { return mlir::arith::RemUIOp::create(b, x, y); }
  Value andI(Value x, Value y) { return mlir::arith::AndIOp::create(b, x, y); }
  Value orI(Value x, Value y) { return mlir::arith::OrIOp::create(b, x, y); }
  Value minS(Value x, Value y) { return mlir::arith::MinSIOp::create(b, x, y); }
  Value maxS(Value x, Value y) { return mlir::arith::MaxSIOp::create(b, x, y); }
  Value minU(Value x, Value y) { return mlir::arith::MinUIOp::create(b, x, y); }
  Value maxU(Value x, Value y) { return mlir::arith::MaxUIOp::create(b, x, y); }
  Value shl(Value x, int64_t n) {
    return mlir::arith::ShLIOp::create(b, x, constant(n, x.getType()));
  }
  Value shrU(Value x, int64_t n) {
    return mlir::arith::ShRUIOp::create(b, x, constant(n, x.getType()));
  }
  Value shrU(Value x, Value n) { return mlir::arith::ShRUIOp::create(b, x, n); }
  Value shrS(Value x, int64_t n) {
    return mlir::arith::ShRSIOp::create(b, x, constant(n, x.getType()));
  }
  Value wide(Value x) { return mlir::arith::ExtUIOp::create(b, i64(), x); } ///< to i64, unsigned
  Value narrow(Value x) { return mlir::arith::TruncIOp::create(b, i32(), x); }
  Value signExtend(Value x) { return mlir::arith::ExtSIOp::create(b, i32(), x); }
  Value zeroExtend(Value x) { return mlir::arith::ExtUIOp::create(b, i32(), x); }
  Value compare(mlir::arith::CmpIPredicate p, Value x, Value y) {
    return mlir::arith::CmpIOp::create(b, p, x, y);
  }
  Value eq(Value x, Value y) { return compare(mlir::arith::CmpIPredicate::eq, x, y); }
  Value ne(Value x, Value y) { return compare(mlir::arith::CmpIPredicate::ne, x, y); }
  Value ltS(Value x, Value y) { return compare(mlir::arith::CmpIPredicate::slt, x, y); }
  Value ltU(Value x, Value y) { return compare(mlir::arith::CmpIPredicate::ult, x, y); }
  Value geU(Value x, Value y) { return compare(mlir::arith::CmpIPredicate::uge, x, y); }
  Value select(Value c, Value x, Value y) { return mlir::arith::SelectOp::create(b, c, x, y); }

  /// base[index] of an array in device memory; `index` is i32 (unsigned) or i64.
  Value address(Value base, Value index, mlir::Type element) {
    if (index.getType().isInteger(32))
      index = wide(index);
    return mlir::LLVM::GEPOp::create(b, ptr(), element, base,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{index});
  }
  Value load(Value base, Value index, mlir::Type element, unsigned alignment = 0) {
    return mlir::LLVM::LoadOp::create(b, element, address(base, index, element), alignment);
  }
  /// The same from tables that nobody writes while the kernel runs.
  Value loadConstant(Value base, Value index, mlir::Type element, unsigned alignment = 0) {
    auto op = mlir::LLVM::LoadOp::create(b, element, address(base, index, element), alignment);
    op.setInvariant(true);
    return op;
  }
  void store(Value value, Value base, Value index) {
    mlir::LLVM::StoreOp::create(b, value, address(base, index, value.getType()));
  }

  /// base[index] of i32s in any memory; `type` i32 or a vector of them, aligned to its size.
  Value loadWords(Value base, Value index, mlir::Type type, unsigned alignment = 4) {
    return mlir::LLVM::LoadOp::create(b, type, wordAddress(base, index), alignment);
  }
  void storeWords(Value value, Value base, Value index, unsigned alignment = 4) {
    mlir::LLVM::StoreOp::create(b, value, wordAddress(base, index), alignment);
  }
  Value wordAddress(Value base, Value index) {
    return mlir::LLVM::GEPOp::create(b, base.getType(), i32(), base,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{index});
  }
  mlir::Type words(int64_t n) { return mlir::VectorType::get(n, i32()); }
  Value extract(Value vector, int64_t i) {
    return mlir::LLVM::ExtractElementOp::create(b, vector, constant(i));
  }
  Value pack(mlir::ValueRange values) {
    Value vector = mlir::LLVM::PoisonOp::create(b, words(int64_t(values.size())));
    for (auto [i, value] : llvm::enumerate(values))
      vector = mlir::LLVM::InsertElementOp::create(b, vector, value, constant(int64_t(i)));
    return vector;
  }

  void barrier() { mlir::NVVM::Barrier0Op::create(b); } ///< of the block
  void barrierOfWarp() { mlir::NVVM::SyncWarpOp::create(b, constant(-1)); }
  /// Lane `from`'s value; with `Bfly` that of the lane whose number differs in those bits.
  Value shuffle(Value x, Value from, mlir::NVVM::ShflKind kind = mlir::NVVM::ShflKind::idx) {
    return mlir::NVVM::ShflOp::create(b, i32(), constant(-1), x, from, constant(31), kind, nullptr);
  }
  /// Reduces over the lanes of a warp.
  Value redux(mlir::NVVM::ReduxKind kind, Value x) {
    return mlir::NVVM::ReduxOp::create(b, i32(), x, kind, constant(-1));
  }

  /// 16 x 8 accumulators of bytes from 16 x 32 times 32 x 8, as the hardware spreads them over a
  /// warp: a[4] and c[4] by rows lane / 4 and + 8, b[2] by column lane / 4.
  Values mma(mlir::ValueRange a, mlir::ValueRange bs, mlir::ValueRange c) {
    auto type =
        mlir::LLVM::LLVMStructType::getLiteral(b.getContext(), {i32(), i32(), i32(), i32()});
    Values arguments(a);
    arguments.append(bs.begin(), bs.end());
    arguments.append(c.begin(), c.end());
    Value all = mlir::LLVM::CallIntrinsicOp::create(
                    b, type, b.getStringAttr("llvm.nvvm.mma.m16n8k32.row.col.s8"), arguments)
                    .getResult(0);
    Values parts;
    for (int64_t i = 0; i < 4; ++i)
      parts.push_back(mlir::LLVM::ExtractValueOp::create(b, all, llvm::ArrayRef<int64_t>{i}));
    return parts;
  }

  /// acc + the sum of four signed byte products; `x` and `y` hold four bytes each.
  Value dp4a(Value x, Value y, Value acc) {
    auto bytes = mlir::VectorType::get(4, i8());
    auto kind = mlir::NVVM::DotAccumulateType::SIGNED;
    return mlir::NVVM::DotAccumulate4WayOp::create(
        b, i32(), mlir::LLVM::BitcastOp::create(b, bytes, x), kind,
        mlir::LLVM::BitcastOp::create(b, bytes, y), kind, acc);
  }

  /// for (i = begin; i < end; i += step): signed i32, `end - 1 + step` must not overflow.
  Values loop(Value begin, Value end, Value step, mlir::ValueRange inits,
              llvm::function_ref<Values(Value, mlir::ValueRange)> body) {
    auto op = mlir::scf::ForOp::create(
        b, begin, end, step, inits,
        [&](mlir::OpBuilder &, mlir::Location, Value iv, mlir::ValueRange carried) {
          // The builder of the callback is positioned as `b` must be.
          mlir::OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(iv.getParentBlock());
          mlir::scf::YieldOp::create(b, body(iv, carried));
        });
    return Values(op.getResults());
  }
  void ifThen(Value condition, llvm::function_ref<void()> then) {
    auto op = mlir::scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(op.thenBlock()->getTerminator());
    then();
  }
  /// Values of `then()` where the condition holds, else `otherwise`.
  Values ifElse(Value condition, llvm::function_ref<Values()> then, Values otherwise) {
    auto op = mlir::scf::IfOp::create(b, mlir::ValueRange(otherwise).getTypes(), condition,
                                      /*withElseRegion=*/true);
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(op.thenBlock());
    mlir::scf::YieldOp::create(b, then());
    b.setInsertionPointToEnd(op.elseBlock());
    mlir::scf::YieldOp::create(b, otherwise);
    return Values(op.getResults());
  }
};

} // namespace semdns::gpu
