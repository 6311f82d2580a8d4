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

/// Emits 32-bit integer code for one thread of a block. Values are i32 unless a name says
/// otherwise.
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

  /// Shared memory of the block: an i32 array in address space 3.
  Value loadShared(Value memory, Value index) {
    return mlir::LLVM::LoadOp::create(b, i32(), sharedAddress(memory, index));
  }
  void storeShared(Value value, Value memory, Value index) {
    mlir::LLVM::StoreOp::create(b, value, sharedAddress(memory, index));
  }
  void addShared(Value value, Value memory, Value index) {
    mlir::LLVM::AtomicRMWOp::create(b, mlir::LLVM::AtomicBinOp::add, sharedAddress(memory, index),
                                    value, mlir::LLVM::AtomicOrdering::monotonic);
  }
  void barrier() { mlir::NVVM::Barrier0Op::create(b); }

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

private:
  Value sharedAddress(Value memory, Value index) {
    return mlir::LLVM::GEPOp::create(b, memory.getType(), i32(), memory,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{index});
  }
};

} // namespace semdns::gpu
