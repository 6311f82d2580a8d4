// route-to-vector: a routing program becomes one function on vectors, with every size, gain and
// small map a constant; thresholds are an argument. docs/architecture.md, "Arithmetic", says what
// each operation computes; the comments here say why it is computed this way.
#include "lib/passes/passes.h"

#include "dialects/route/route.h"
#include "semdns/kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <cstddef>

using namespace mlir;

namespace semdns::passes {
namespace {

constexpr int64_t kLanes = SEMDNS_LANES;
constexpr int64_t kFullQ16 = 65536;
constexpr int64_t kSlots = 8; ///< of a semdns_word_bucket

/// semdns_kernel_answer as 32-bit words.
#define SEMDNS_ANSWER_WORD(field) (offsetof(semdns_kernel_answer, field) / 4)
enum AnswerWord : int64_t {
  kSize = SEMDNS_ANSWER_WORD(size),
  kStage = SEMDNS_ANSWER_WORD(stage),
  kZone = SEMDNS_ANSWER_WORD(zone),
  kBestZone = SEMDNS_ANSWER_WORD(best_zone),
  kConfidence = SEMDNS_ANSWER_WORD(confidence),
  kBestConfidence = SEMDNS_ANSWER_WORD(best_confidence),
  kMargin = SEMDNS_ANSWER_WORD(margin),
  kFlags = SEMDNS_ANSWER_WORD(flags),
  kWordCount = SEMDNS_ANSWER_WORD(word_count),
  kFeatureCount = SEMDNS_ANSWER_WORD(feature_count),
  kRowCount = SEMDNS_ANSWER_WORD(row_count),
  kHitCount = SEMDNS_ANSWER_WORD(hit_count),
  kTopCount = SEMDNS_ANSWER_WORD(top_count),
  kVotes = SEMDNS_ANSWER_WORD(votes),
  kTotalWeight = SEMDNS_ANSWER_WORD(total_weight),
  kOdds = SEMDNS_ANSWER_WORD(odds),
  kGain = SEMDNS_ANSWER_WORD(gain),
  kTopClass = SEMDNS_ANSWER_WORD(top_class),
  kTopZone = SEMDNS_ANSWER_WORD(top_zone),
  kTopConfidence = SEMDNS_ANSWER_WORD(top_confidence),
  kAnswerWords = sizeof(semdns_kernel_answer) / 4,
};
#undef SEMDNS_ANSWER_WORD

/// The function's arguments, in order.
enum Argument : unsigned {
  kText,
  kTextSize,
  kStages,
  kTopK,
  kTextTable,
  kKeyw,
  kTerms,
  kBuckets,
  kRows,
  kNorms,
  kVectors,
  kOffsets,
  kExp2,
  kThresholds,
  kRootOdds,
  kWords,
  kFeatures,
  kRowIds,
  kHits,
  kVoteSums,
  kPool,
  kQuant,
  kScores,
  kWeights,
  kCounts,
  kAnswer,
  kBeam, ///< null without a search tree
  kClsf,
  kTrace,
  kArgumentCount
};

class Lowering {
public:
  Lowering(route::ProgramOp program, const RouteToVectorOptions &options)
      : b(program.getLoc(), program.getContext()), program(program), options(options),
        module(program->getParentOfType<ModuleOp>()), i8(b.getI8Type()), i32(b.getI32Type()),
        i64(b.getI64Type()) {}

  void run() {
    measure();
    declare();
    clearAnswer();
    SmallVector<route::StageOp> stages;
    for (Operation &op : program.getBody().getOps()) {
      if (auto tokenizer = dyn_cast<route::TokenizeOp>(op))
        tokenize(tokenizer);
      else if (auto stage = dyn_cast<route::StageOp>(op))
        stages.push_back(stage);
    }
    runStages(stages, Value());
    func::ReturnOp::create(b);
    program.erase();
  }

private:
  //===--------------------------------------------------------------------------------------===//
  // Small words for building
  //===--------------------------------------------------------------------------------------===//

  Value cIndex(int64_t v) { return arith::ConstantIndexOp::create(b, v); }
  Value c32(int64_t v) { return arith::ConstantIntOp::create(b, i32, static_cast<int32_t>(v)); }
  Value c64(int64_t v) { return arith::ConstantIntOp::create(b, i64, v); }
  VectorType vec(int64_t n, Type element) { return VectorType::get({n}, element); }
  Value splat(Value v, int64_t n = kLanes) {
    return vector::BroadcastOp::create(b, vec(n, v.getType()), v);
  }
  Value cVec(int64_t v, int64_t n = kLanes) {
    auto type = vec(n, i32);
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, static_cast<int32_t>(v)));
  }
  Value iota() {
    SmallVector<int32_t> lanes;
    for (int32_t i = 0; i < kLanes; ++i)
      lanes.push_back(i);
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vec(kLanes, i32), ArrayRef(lanes)));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, x, y); }
  Value udiv(Value x, Value y) { return arith::DivUIOp::create(b, x, y); }
  Value shru(Value x, Value y) { return arith::ShRUIOp::create(b, x, y); }
  Value land(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value lor(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value lnot(Value x) {
    return arith::XOrIOp::create(b, x, arith::ConstantIntOp::create(b, b.getI1Type(), 1));
  }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(b, c, x, y); }
  Value cmp(arith::CmpIPredicate p, Value x, Value y) { return arith::CmpIOp::create(b, p, x, y); }
  Value eq(Value x, Value y) { return cmp(arith::CmpIPredicate::eq, x, y); }
  Value ne(Value x, Value y) { return cmp(arith::CmpIPredicate::ne, x, y); }
  Value slt(Value x, Value y) { return cmp(arith::CmpIPredicate::slt, x, y); }
  Value sgt(Value x, Value y) { return cmp(arith::CmpIPredicate::sgt, x, y); }
  Value ult(Value x, Value y) { return cmp(arith::CmpIPredicate::ult, x, y); }
  Value ule(Value x, Value y) { return cmp(arith::CmpIPredicate::ule, x, y); }
  Value maxs(Value x, Value y) { return arith::MaxSIOp::create(b, x, y); }
  Value maxu(Value x, Value y) { return arith::MaxUIOp::create(b, x, y); }
  Value minu(Value x, Value y) { return arith::MinUIOp::create(b, x, y); }
  Value to64(Value v) { return arith::ExtUIOp::create(b, i64, v); }
  Value to32(Value v) { return arith::TruncIOp::create(b, i32, v); }
  Value toIndex(Value v) { return arith::IndexCastUIOp::create(b, b.getIndexType(), v); }
  Value fromIndex(Value v) { return arith::IndexCastUIOp::create(b, i32, v); }
  Value load(Value memref, Value index) { return memref::LoadOp::create(b, memref, index); }
  void store(Value v, Value memref, Value index) { memref::StoreOp::create(b, v, memref, index); }
  Value loadVec(int64_t n, Value memref, Value index) {
    Type element = cast<MemRefType>(memref.getType()).getElementType();
    return vector::LoadOp::create(b, vec(n, element), memref, index);
  }
  void storeVec(Value v, Value memref, Value index) {
    vector::StoreOp::create(b, v, memref, index);
  }
  void prefetch(Argument memref, Value index) {
    memref::PrefetchOp::create(b, arg(memref), index, /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
  }
  Value reduce(vector::CombiningKind kind, Value v) {
    return vector::ReductionOp::create(b, kind, v);
  }
  Value arg(Argument a) { return function.getArgument(a); }
  void answer(int64_t word, Value v) { store(v, arg(kAnswer), cIndex(word)); }

  /// `for i = from; i < to; i += step` with loop-carried values.
  SmallVector<Value> loop(Value from, Value to, int64_t step, ValueRange init,
                          function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    auto op = scf::ForOp::create(b, from, to, cIndex(step), init);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    SmallVector<Value> next = body(op.getInductionVar(), op.getRegionIterArgs());
    if (init.empty()) // ForOp has made the empty terminator
      return {};
    scf::YieldOp::create(b, next);
    return op.getResults();
  }

  /// `if`, with values; both branches yield as many.
  SmallVector<Value> branch(Value condition, TypeRange types,
                            function_ref<SmallVector<Value>()> yes,
                            function_ref<SmallVector<Value>()> no = {}) {
    auto op = scf::IfOp::create(b, types, condition, /*withElse=*/static_cast<bool>(no));
    auto fill = [&](Region &region, function_ref<SmallVector<Value>()> body) {
      OpBuilder::InsertionGuard guard(b);
      if (region.empty())
        region.emplaceBlock();
      Block &block = region.front();
      if (!block.empty())
        block.back().erase();
      b.setInsertionPointToEnd(&block);
      scf::YieldOp::create(b, body());
    };
    fill(op.getThenRegion(), yes);
    if (no)
      fill(op.getElseRegion(), no);
    return op.getResults();
  }

  /// A small map of the artifact as read-only data of the kernel.
  Value table(StringRef name, ArrayRef<int32_t> values) {
    auto type = MemRefType::get({static_cast<int64_t>(values.size())}, i32);
    if (!module.lookupSymbol(name)) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(function);
      auto data = DenseElementsAttr::get(
          RankedTensorType::get({static_cast<int64_t>(values.size())}, i32), values);
      memref::GlobalOp::create(b, name, b.getStringAttr("private"), type, data, /*constant=*/true,
                               b.getI64IntegerAttr(64));
    }
    return memref::GetGlobalOp::create(b, type, name);
  }

  //===--------------------------------------------------------------------------------------===//
  // The function
  //===--------------------------------------------------------------------------------------===//

  /// Sizes of the tables that the program reads.
  void measure() {
    program.walk([&](Operation *op) {
      if (auto lookup = dyn_cast<route::LookupOp>(op)) {
        rowCount = lookup.getRows();
        bucketCount = lookup.getBuckets();
      } else if (auto pool = dyn_cast<route::PoolOp>(op)) {
        dim = pool.getPool().getType().getSize();
      } else if (auto score = dyn_cast<route::ScoreOp>(op)) {
        classes = score.getScores().getType().getSize();
        layout = score.getLayout();
        int64_t group = kLanes * layout;
        padded = (classes + group - 1) / group * group;
      } else if (auto descent = dyn_cast<route::DescendOp>(op)) {
        descending = descent;
        padded = descent.getEntries();
      } else if (auto climb = dyn_cast<route::ClimbOp>(op)) {
        climbing = climb;
      } else if (auto select = dyn_cast<route::SelectOp>(op)) {
        classZone = select.getZones();
      }
    });
  }

  void declare() {
    auto memref = [](int64_t n, Type element) -> Type {
      return MemRefType::get({std::max<int64_t>(n, 1)}, element);
    };
    Type pointer = LLVM::LLVMPointerType::get(b.getContext());
    Type i16 = b.getIntegerType(16);
    SmallVector<Type> types(kArgumentCount);
    types[kText] = types[kTextTable] = types[kKeyw] = types[kWords] = pointer;
    types[kBeam] = types[kClsf] = types[kTrace] = pointer;
    types[kTextSize] = i64;
    types[kStages] = types[kTopK] = types[kRootOdds] = i32;
    types[kTerms] = memref(std::max<int64_t>(program.getTermCount(), 1) * 4, i32);
    types[kBuckets] = memref(bucketCount * 2 * kSlots, i32);
    types[kRows] = memref(rowCount * dim, i8);
    types[kNorms] = memref(rowCount, i16);
    types[kVectors] = memref(std::max<int64_t>(padded, 1) * dim, i8);
    types[kOffsets] = types[kScores] = types[kWeights] = memref(padded, i32);
    if (descending) {
      types[kScores] = memref(descending.getRoom(), i32);
      types[kWeights] = memref(
          int64_t{descending.getRoom()} * descending.getLevels() * descending.getWidth(), i32);
    }
    types[kExp2] = memref(256, i32);
    types[kFeatures] = memref(SEMDNS_MAX_FEATURES, i64);
    types[kRowIds] = memref(SEMDNS_MAX_FEATURES, i32);
    types[kHits] = memref(SEMDNS_MAX_HITS, i32);
    types[kThresholds] = types[kVoteSums] = memref(program.getZoneCount(), i32);
    types[kPool] = memref(dim, i32);
    types[kQuant] = memref(dim, i8);
    types[kCounts] = memref(5, i32);
    types[kAnswer] = memref(kAnswerWords, i32);

    b.setInsertionPoint(program);
    auto declareKernel = [&](StringRef name, TypeRange inputs, TypeRange results) {
      auto op = func::FuncOp::create(b, name, b.getFunctionType(inputs, results));
      op.setPrivate();
      return op;
    };
    tokenise = declareKernel(
        "uk_tokenise",
        {pointer, pointer, i64, i32, i32, i32, i32, pointer, types[kFeatures], types[kCounts]}, {});
    if (!program.getBody().getOps<route::StageOp>().empty())
      program.walk([&](route::MatchOp) {
        match = declareKernel("uk_match", {pointer, pointer, i32, types[kHits]}, {i32});
      });
    if (descending) {
      descend =
          declareKernel("uk_descend",
                        {pointer, pointer, types[kVectors], types[kOffsets], types[kQuant], i32,
                         i32, i32, i32, types[kScores], types[kWeights], pointer, types[kAnswer]},
                        {});
      scoreNode(types);
    }
    function = func::FuncOp::create(b, kRouteBody, b.getFunctionType(types, {}));
    b.setInsertionPointToStart(function.addEntryBlock());
  }

  void clearAnswer() {
    Value zero = cVec(0, 8);
    static_assert(kAnswerWords % 8 == 0);
    for (int64_t i = 0; i < kAnswerWords; i += 8)
      storeVec(zero, arg(kAnswer), cIndex(i));
    answer(kSize, c32(sizeof(semdns_kernel_answer)));
  }

  void tokenize(route::TokenizeOp op) {
    text = op;
    func::CallOp::create(b, tokenise,
                         ValueRange{arg(kTextTable), arg(kText), arg(kTextSize),
                                    c32(op.getWordNgramMax()), c32(op.getCharNgramMin()),
                                    c32(op.getCharNgramMax()), c32(op.getPunct() ? 1 : 0),
                                    arg(kWords), arg(kFeatures), arg(kCounts)});
    auto count = [&](int64_t i) { return load(arg(kCounts), cIndex(i)); };
    wordCount = count(0);
    charCount = count(1);
    unigramCount = count(2);
    featureCount = count(3);
    flags = count(4);
    answer(kWordCount, wordCount);
    answer(kFeatureCount, featureCount);
    answer(kFlags, flags);
  }

  /// The stages that are left. `winner` is stage 1's, if it has run: the best guess where no other
  /// stage runs.
  void runStages(ArrayRef<route::StageOp> stages, Value winner) {
    if (stages.empty()) {
      if (!winner)
        winner = c32(0);
      answer(kFlags, lor(flags, c32(SEMDNS_KERNEL_NO_EVIDENCE)));
      answer(kBestZone, winner);
      answer(kConfidence, c32(kFullQ16));
      answer(kBestConfidence, select(eq(winner, c32(0)), c32(kFullQ16), c32(0)));
      return;
    }
    route::StageOp stage = stages.front();
    Value wanted = ne(land(arg(kStages), c32(static_cast<int64_t>(stage.getKind()))), c32(0));
    if (stage.getKind() == route::StageKind::Embedding) {
      branch(
          wanted, {},
          [&] {
            embedding(stage);
            return SmallVector<Value>();
          },
          [&] {
            runStages(stages.drop_front(), winner);
            return SmallVector<Value>();
          });
      return;
    }
    SmallVector<Value> result = branch(
        wanted, {b.getI1Type(), i32}, [&] { return keywords(stage); },
        [&] { return SmallVector<Value>{constFalse(), c32(0)}; });
    branch(lnot(result[0]), {}, [&] {
      runStages(stages.drop_front(), result[1]);
      return SmallVector<Value>();
    });
  }

  Value constFalse() { return arith::ConstantIntOp::create(b, b.getI1Type(), 0); }

  //===--------------------------------------------------------------------------------------===//
  // Stage 1
  //===--------------------------------------------------------------------------------------===//

  /// Lowers the keyword stage; returns whether it has answered, and the winner (0: none).
  SmallVector<Value> keywords(route::StageOp stage) {
    Value hitCount, accepted = constFalse();
    SmallVector<Value> votes; // winner, its votes, total, its votes with its ancestors'
    for (Operation &op : stage.getBody().getOps()) {
      if (isa<route::MatchOp>(op)) {
        hitCount = func::CallOp::create(b, match,
                                        ValueRange{arg(kKeyw), arg(kWords), wordCount, arg(kHits)})
                       .getResult(0);
        answer(kHitCount, hitCount);
      } else if (auto vote = dyn_cast<route::VoteOp>(op)) {
        votes = branch(
            ne(hitCount, c32(0)), {i32, i32, i32, i32}, [&] { return count(vote, hitCount); },
            [&] { return SmallVector<Value>(4, c32(0)); });
        answer(kVotes, votes[1]);
      } else if (auto accept = dyn_cast<route::AcceptVotesOp>(op)) {
        accepted = ule(c32(accept.getAtLeast()), votes[1]);
        if (accept.getPurity() != 0)
          accepted = land(accepted, ule(mul(to64(votes[2]), c64(accept.getPurity())),
                                        mul(to64(votes[3]), c64(kFullQ16))));
      }
    }
    Value winner = votes[0];
    if (auto confidence = stage.answer().getConfidence())
      branch(accepted, {}, [&] {
        Value q16 = c32(*confidence);
        answer(kStage, c32(SEMDNS_KERNEL_STAGE_KEYWORD));
        answer(kZone, winner);
        answer(kBestZone, winner);
        for (int64_t word : {kConfidence, kBestConfidence, kMargin, kTopConfidence})
          answer(word, q16);
        answer(kTopCount, c32(1));
        answer(kTopClass, c32(SEMDNS_NONE));
        answer(kTopZone, winner);
        return SmallVector<Value>();
      });
    return {accepted, winner};
  }

  /// Adds up the hits' weights by zone. Only zones that were hit are read and cleared again, so the
  /// work does not depend on the number of zones.
  SmallVector<Value> count(route::VoteOp op, Value hitCount) {
    Value sums = arg(kVoteSums), zero = cIndex(0), end = toIndex(hitCount);
    auto termAt = [&](Value i) {
      return arith::MulIOp::create(b, toIndex(load(arg(kHits), i)),
                                   cIndex(sizeof(semdns_term) / 4));
    };
    auto zoneAt = [&](Value i) { return load(arg(kTerms), termAt(i)); };
    Value total = loop(zero, end, 1, {c32(0)}, [&](Value i, ValueRange carried) {
      Value term = termAt(i);
      Value zone = toIndex(load(arg(kTerms), term));
      Value weight = load(arg(kTerms), add(term, cIndex(1)));
      store(add(load(sums, zone), weight), sums, zone);
      return SmallVector<Value>{add(carried[0], weight)};
    })[0];
    SmallVector<Value> best =
        loop(zero, end, 1, {c32(0), c32(0)}, [&](Value i, ValueRange carried) {
          Value zone = zoneAt(i), votes = load(sums, toIndex(zone));
          Value better =
              lor(sgt(votes, carried[1]), land(eq(votes, carried[1]), ult(zone, carried[0])));
          return SmallVector<Value>{select(better, zone, carried[0]),
                                    select(better, votes, carried[1])};
        });
    Value agreeing = best[1];
    if (op.getParents()) {
      Value parents = table("vote_parents", *op.getParents());
      agreeing = climbVotes(best, parents, sums);
    }
    loop(zero, end, 1, {}, [&](Value i, ValueRange) {
      store(c32(0), sums, toIndex(zoneAt(i)));
      return SmallVector<Value>();
    });
    return {best[0], best[1], total, agreeing};
  }

  /// Votes of the winner and all its ancestors that have any.
  Value climbVotes(ArrayRef<Value> best, Value parents, Value sums) {
    Value first = load(parents, toIndex(best[0]));
    auto op = scf::WhileOp::create(
        b, TypeRange{i32, i32}, ValueRange{first, best[1]},
        [&](OpBuilder &, Location, ValueRange carried) {
          scf::ConditionOp::create(b, cmp(arith::CmpIPredicate::sge, carried[0], c32(0)), carried);
        },
        [&](OpBuilder &, Location, ValueRange carried) {
          Value zone = toIndex(carried[0]);
          scf::YieldOp::create(b,
                               ValueRange{load(parents, zone), add(carried[1], load(sums, zone))});
        });
    return op.getResult(1);
  }

  //===--------------------------------------------------------------------------------------===//
  // Stage 2
  //===--------------------------------------------------------------------------------------===//

  void embedding(route::StageOp stage) {
    for (Operation &op : stage.getBody().getOps()) {
      if (auto lookup = dyn_cast<route::LookupOp>(op))
        lookUp(lookup);
      else if (isa<route::PoolOp>(op))
        pool();
      else if (isa<route::QuantizeOp>(op))
        quantise();
      else if (isa<route::ScoreOp>(op))
        score();
      else if (auto weigh = dyn_cast<route::WeighOp>(op))
        weighAll(weigh);
      else if (isa<route::SelectOp>(op))
        selectTop();
      else if (isa<route::OddsOp>(op))
        measureOdds();
      else if (isa<route::ClimbOp>(op))
        climb();
      else if (auto descent = dyn_cast<route::DescendOp>(op))
        descendTree(descent);
    }
  }

  /// Where each feature's bucket starts, into `rowids`, and its line towards the cache: look-ups
  /// then find it there, however far apart the buckets lie.
  void findBuckets() {
    loop(cIndex(0), toIndex(featureCount), 1, {}, [&](Value i, ValueRange) {
      Value bucket = shru(mul(shru(load(arg(kFeatures), i), c64(32)), c64(bucketCount)), c64(32));
      Value line = mul(to32(bucket), c32(2 * kSlots));
      store(line, arg(kRowIds), i);
      prefetch(kBuckets, toIndex(line));
      return SmallVector<Value>();
    });
  }

  /// Features [from, to) to rows, which replace the buckets from the front of `rowids`. Returns how
  /// many are known by now, and the sum of their squared norms. No branch depends on the data: a
  /// miss gives row 0, whose norm is 0 and which the next store overwrites.
  SmallVector<Value> lookUpRange(Value from, Value to, Value known, Value n2) {
    return loop(toIndex(from), toIndex(to), 1, {known, n2}, [&](Value i, ValueRange carried) {
      Value fingerprint = maxu(to32(load(arg(kFeatures), i)), c32(1));
      Value line = toIndex(load(arg(kRowIds), i));
      Value equal = eq(loadVec(kSlots, arg(kBuckets), line), splat(fingerprint, kSlots));
      Value bits = vector::BitCastOp::create(b, vec(1, i8), equal);
      Value mask = arith::ExtUIOp::create(b, i32, vector::ExtractOp::create(b, bits, int64_t{0}));
      Value found = ne(mask, c32(0));
      // 8 set above the mask: slot 0 of a miss, and a defined count for the hardware.
      Value slot = land(math::CountTrailingZerosOp::create(b, lor(mask, c32(256))), c32(7));
      Value id = load(arg(kBuckets), add(line, add(toIndex(slot), cIndex(kSlots))));
      Value row = select(found, id, c32(0));
      store(row, arg(kRowIds), toIndex(carried[0]));
      // The row is wanted soon: all its lines, as far as that does not crowd out others.
      Value rowStart = mul(toIndex(row), cIndex(dim));
      for (int64_t part = 0; part < std::min<int64_t>(dim, 256); part += 64)
        prefetch(kRows, add(rowStart, cIndex(part)));
      Value rowNorm = to64(load(arg(kNorms), toIndex(row)));
      return SmallVector<Value>{add(carried[0], arith::ExtUIOp::create(b, i32, found)),
                                add(carried[1], mul(rowNorm, rowNorm))};
    });
  }

  void lookUp(route::LookupOp op) {
    findBuckets();
    Value known = c32(0), n2 = c64(0), charEnd = c32(0);
    auto range = [&](Value from, Value to) {
      SmallVector<Value> result = lookUpRange(from, to, known, n2);
      known = result[0];
      n2 = result[1];
    };
    // Unigrams have a loop of their own where an unknown one counts.
    bool hasChars = text.getCharNgramMax() != 0, hasPairs = text.getWordNgramMax() > 1;
    int64_t unknown = op.getUnknownNorm();
    if (unknown == 0) {
      range(c32(0), featureCount);
    } else {
      if (hasChars) {
        charEnd = charCount;
        range(c32(0), charEnd);
      }
      Value before = known, unigramEnd = add(charEnd, unigramCount);
      range(charEnd, unigramEnd);
      Value missing = sub(unigramCount, sub(known, before));
      if (hasPairs)
        range(unigramEnd, featureCount);
      n2 = add(n2, mul(to64(missing), c64(unknown * unknown)));
    }
    answer(kRowCount, known);
    knownRows = known;
    norm = maxu(isqrt(n2), c32(1));
  }

  /// Floor of the square root. The double is exact below 2^53 and its root rounded to nearest, so
  /// at most one off.
  Value isqrt(Value n) {
    Type f64 = b.getF64Type();
    Value root = arith::FPToSIOp::create(
        b, i64, math::SqrtOp::create(b, Value(arith::SIToFPOp::create(b, f64, n))));
    Value one = c64(1), zero = c64(0);
    root = sub(root, select(sgt(mul(root, root), n), one, zero));
    Value next = add(root, one);
    root = select(sgt(mul(next, next), n), root, next);
    return to32(root);
  }

  /// Pools dimensions [first, first + width) of all known rows. 16-bit sums hold 256 rows of at
  /// most 127, so twice as many lanes work; what they hold moves to 32 bits every 256 rows.
  void poolBlock(Value first, int64_t width) {
    constexpr int64_t kChunk = 256;
    int64_t lanes = width % 32 == 0 ? 32 : 16;
    Type i16 = b.getIntegerType(16);
    auto part = [&](int64_t p) { return add(first, cIndex(p)); };
    auto wide = [&](Value narrow) { return arith::ExtSIOp::create(b, vec(kLanes, i32), narrow); };
    SmallVector<Value> totals;
    for (int64_t p = 0; p < width; p += kLanes)
      totals.push_back(wide(loadVec(kLanes, arg(kRows), part(p))));
    Value end = toIndex(knownRows);
    totals = loop(cIndex(0), end, kChunk, totals, [&](Value chunk, ValueRange before) {
      Value zero =
          arith::ConstantOp::create(b, DenseElementsAttr::get(vec(lanes, i16), int16_t{0}));
      SmallVector<Value> init(static_cast<size_t>(width / lanes), zero);
      Value chunkEnd = minu(add(chunk, cIndex(kChunk)), end);
      SmallVector<Value> sums = loop(chunk, chunkEnd, 1, init, [&](Value i, ValueRange carried) {
        Value row = mul(toIndex(load(arg(kRowIds), i)), cIndex(dim));
        SmallVector<Value> next;
        for (int64_t p = 0; p < width; p += lanes) {
          Value bytes = loadVec(lanes, arg(kRows), add(row, part(p)));
          next.push_back(add(carried[static_cast<size_t>(p / lanes)],
                             arith::ExtSIOp::create(b, vec(lanes, i16), bytes)));
        }
        return next;
      });
      // Halves as wide as what later loops load: LLVM takes other sizes apart element by element.
      SmallVector<Value> after;
      for (int64_t p = 0; p < width; p += kLanes) {
        Value sum = sums[static_cast<size_t>(p / lanes)];
        if (lanes != kLanes)
          sum = vector::ExtractStridedSliceOp::create(b, sum, ArrayRef<int64_t>{p % lanes},
                                                      ArrayRef<int64_t>{kLanes},
                                                      ArrayRef<int64_t>{1});
        after.push_back(add(before[static_cast<size_t>(p / kLanes)], wide(sum)));
      }
      return after;
    });
    for (int64_t p = 0; p < width; p += kLanes)
      storeVec(totals[static_cast<size_t>(p / kLanes)], arg(kPool), part(p));
  }

  void pool() {
    int64_t block = std::max<int64_t>(options.poolBlock / 32 * 32, 32);
    int64_t whole = dim / block * block;
    if (whole == block) {
      poolBlock(cIndex(0), block);
    } else if (whole != 0) {
      loop(cIndex(0), cIndex(whole), block, {}, [&](Value first, ValueRange) {
        poolBlock(first, block);
        return SmallVector<Value>();
      });
    }
    if (dim % 32 != 0 && dim - whole > kLanes) {
      poolBlock(cIndex(whole), dim - whole - kLanes);
      whole = dim - kLanes;
    }
    if (dim != whole)
      poolBlock(cIndex(whole), dim - whole);
  }

  void quantise() {
    Value end = cIndex(dim);
    Value peaks = loop(cIndex(0), end, kLanes, {cVec(0)}, [&](Value d, ValueRange carried) {
      Value p = loadVec(kLanes, arg(kPool), d);
      return SmallVector<Value>{maxs(carried[0], maxs(p, sub(cVec(0), p)))};
    })[0];
    peak = reduce(vector::CombiningKind::MAXSI, peaks);
    // With peak 0 all values are 0 and any scale will do.
    Value scale = splat(udiv(c32(INT64_C(127) << 24), maxu(peak, c32(1))));
    loop(cIndex(0), end, kLanes, {}, [&](Value d, ValueRange) {
      Value p = loadVec(kLanes, arg(kPool), d);
      Value q = arith::ShRSIOp::create(b, add(mul(p, scale), cVec(1 << 23)), cVec(24));
      storeVec(arith::TruncIOp::create(b, vec(kLanes, i8), q), arg(kQuant), d);
      return SmallVector<Value>();
    });
  }

  /// The numbers of the 16 classes from `first` on, and, where classes are padded, which exist.
  Value classNumbers(Value first) { return add(splat(fromIndex(first)), iota()); }
  Value exists(Value numbers) { return ult(numbers, cVec(classes)); }

  /// Scores of all classes. On the way each lane keeps its two best and the number of the best, so
  /// that nothing later has to search the scores.
  void score() {
    int64_t quads = dim / 4, lines = layout;
    Value lowest = cVec(INT32_MIN);
    SmallVector<Value> best = loop(
        cIndex(0), cIndex(padded), kLanes * lines, {lowest, cVec(-1), lowest},
        [&](Value group, ValueRange carried) {
          SmallVector<Value> init;
          for (int64_t u = 0; u < lines; ++u)
            init.push_back(options.lhsBias == 0
                               ? cVec(0)
                               : loadVec(kLanes, arg(kOffsets), add(group, cIndex(u * kLanes))));
          Value base = mul(group, cIndex(dim));
          SmallVector<Value> sums =
              loop(cIndex(0), cIndex(quads), 1, init, [&](Value quad, ValueRange acc) {
                Value four = loadVec(4, arg(kQuant), mul(quad, cIndex(4)));
                Value word = vector::ExtractOp::create(
                    b, Value(vector::BitCastOp::create(b, vec(1, i32), four)), int64_t{0});
                Value lhs = vector::BitCastOp::create(b, vec(4 * kLanes, i8), splat(word));
                Value stream = add(base, mul(quad, cIndex(64 * lines)));
                SmallVector<Value> next;
                for (int64_t u = 0; u < lines; ++u) {
                  Value rhs = loadVec(4 * kLanes, arg(kVectors), add(stream, cIndex(64 * u)));
                  next.push_back(route::Dot4Op::create(b, acc[static_cast<size_t>(u)].getType(),
                                                       acc[static_cast<size_t>(u)], lhs, rhs,
                                                       static_cast<uint32_t>(options.lhsBias)));
                }
                return next;
              });
          Value first = carried[0], number = carried[1], second = carried[2];
          for (int64_t u = 0; u < lines; ++u) {
            Value at = add(group, cIndex(u * kLanes)), s = sums[static_cast<size_t>(u)];
            storeVec(s, arg(kScores), at);
            Value numbers = classNumbers(at);
            if (padded != classes)
              s = select(exists(numbers), s, lowest);
            Value better = sgt(s, first); // strictly: ties stay with the lower class
            second = maxs(second, arith::MinSIOp::create(b, s, first));
            number = select(better, numbers, number);
            first = maxs(first, s);
          }
          return SmallVector<Value>{first, number, second};
        });
    topScore = reduce(vector::CombiningKind::MAXSI, best[0]);
    Value holders = select(eq(best[0], splat(topScore)), best[1], cVec(INT32_MAX));
    topClass = reduce(vector::CombiningKind::MINUI, holders);
    if (classes > 1)
      secondScore = reduce(vector::CombiningKind::MAXSI,
                           select(eq(best[1], splat(topClass)), best[2], best[0]));
  }

  /// How far `score` lies behind the top, in 1/256 bit: one score, or a vector of them.
  Value distance(Value score, bool scalar = false) {
    auto spread = [&](Value v) { return scalar ? v : splat(v); };
    Value behind = minu(sub(spread(topScore), score), spread(limit));
    return shru(mul(behind, spread(gain)), spread(c32(16)));
  }

  /// func.func @semdns_score_node: the scores of a node's entries, blocks of 16 from `first` on.
  /// A node is one stream, and its blocks are independent sums; uk_descend calls it.
  void scoreNode(ArrayRef<Type> types) {
    OpBuilder::InsertionGuard guard(b);
    auto node = func::FuncOp::create(
        b, kScoreNode,
        b.getFunctionType(
            {types[kVectors], types[kOffsets], types[kQuant], i32, i32, types[kScores]}, {}));
    b.setInsertionPointToStart(node.addEntryBlock());
    Value vectors = node.getArgument(0), offsets = node.getArgument(1), quant = node.getArgument(2),
          first = toIndex(node.getArgument(3)), count = toIndex(node.getArgument(4)),
          scores = node.getArgument(5);
    loop(cIndex(0), count, kLanes, {}, [&](Value at, ValueRange) {
      Value entry = add(first, at);
      Value sum = options.lhsBias == 0 ? cVec(0) : loadVec(kLanes, offsets, entry);
      Value base = mul(entry, cIndex(dim));
      for (int64_t quad = 0; quad < dim / 4; ++quad) {
        Value four = loadVec(4, quant, cIndex(4 * quad));
        Value word = vector::ExtractOp::create(
            b, Value(vector::BitCastOp::create(b, vec(1, i32), four)), int64_t{0});
        Value lhs = vector::BitCastOp::create(b, vec(4 * kLanes, i8), splat(word));
        Value rhs = loadVec(4 * kLanes, vectors, add(base, cIndex(64 * quad)));
        sum = route::Dot4Op::create(b, sum.getType(), sum, lhs, rhs,
                                    static_cast<uint32_t>(options.lhsBias));
      }
      storeVec(sum, scores, at);
      return SmallVector<Value>();
    });
    func::ReturnOp::create(b);
  }

  /// The descent is uk_descend's; scoring is this program's own (scoreNode).
  void descendTree(route::DescendOp op) {
    measureGain(op.getGain());
    func::CallOp::create(b, descend,
                         ValueRange{arg(kBeam), arg(kClsf), arg(kVectors), arg(kOffsets),
                                    arg(kQuant), c32(dim), gain, arg(kTopK), knownRows,
                                    arg(kScores), arg(kWeights), arg(kTrace), arg(kAnswer)});
  }

  void measureGain(int64_t sharpness) {
    Value wide = udiv(mul(to64(peak), c64(sharpness)), to64(norm));
    gain = to32(minu(wide, c64((1 << 24) - 1)));
  }

  void weighAll(route::WeighOp op) {
    measureGain(op.getGain());
    limit = udiv(c32(INT32_MAX), maxu(gain, c32(1)));
    answer(kGain, gain);
    Value sums =
        loop(cIndex(0), cIndex(padded), kLanes, {cVec(0)}, [&](Value at, ValueRange carried) {
          Value x = distance(loadVec(kLanes, arg(kScores), at));
          Value shift = shru(x, cVec(8));
          Value live = ule(shift, cVec(16));
          if (padded != classes)
            live = land(live, exists(classNumbers(at)));
          // Most classes are far behind: a look-up for nobody is skipped.
          Value bits = vector::BitCastOp::create(b, vec(1, b.getIntegerType(kLanes)), live);
          Value any = ne(vector::ExtractOp::create(b, bits, int64_t{0}),
                         arith::ConstantIntOp::create(b, b.getIntegerType(kLanes), 0));
          Value w = branch(
              any, {vec(kLanes, i32)},
              [&] {
                // All lanes look up: x & 255 is always within the table, and a gather under a mask
                // becomes 16 branches where the hardware has no good one.
                Value all = arith::ConstantOp::create(
                    b, DenseElementsAttr::get(vec(kLanes, b.getI1Type()), true));
                Value mantissa =
                    vector::GatherOp::create(b, vec(kLanes, i32), arg(kExp2), ValueRange{cIndex(0)},
                                             land(x, cVec(255)), all, cVec(0));
                Value shifted = shru(mantissa, land(shift, cVec(31)));
                return SmallVector<Value>{select(live, shifted, cVec(0))};
              },
              [&] { return SmallVector<Value>{cVec(0)}; })[0];
          storeVec(w, arg(kWeights), at);
          return SmallVector<Value>{add(carried[0], w)};
        })[0];
    totalWeight = reduce(vector::CombiningKind::ADD, sums);
    answer(kTotalWeight, totalWeight);
  }

  /// `weight` as a Q16 share of all weights.
  Value share(Value weight) {
    return to32(udiv(mul(to64(weight), c64(kFullQ16)), to64(totalWeight)));
  }
  Value weightOf(Value number) { return load(arg(kWeights), toIndex(number)); }

  Value zoneOf(Value number) {
    // A tree whose every zone has a class needs no table.
    bool affine = true;
    for (size_t k = 0; k < classZone.size(); ++k)
      affine &= classZone[k] == classZone[0] + static_cast<int32_t>(k);
    if (affine)
      return classZone[0] == 0 ? number : add(number, c32(classZone[0]));
    return load(table("class_zone", classZone), toIndex(number));
  }

  /// The class that follows (score, number) in the order of candidates. There must be one.
  SmallVector<Value> following(Value score, Value number) {
    Value scores = splat(score), numbers = splat(number), lowest = cVec(INT32_MIN);
    SmallVector<Value> best =
        loop(cIndex(0), cIndex(padded), kLanes, {lowest, cVec(INT32_MAX)},
             [&](Value at, ValueRange carried) {
               Value s = loadVec(kLanes, arg(kScores), at), n = classNumbers(at);
               Value behind = lor(slt(s, scores),
                                  land(eq(s, scores), cmp(arith::CmpIPredicate::ugt, n, numbers)));
               if (padded != classes)
                 behind = land(behind, exists(n));
               s = select(behind, s, lowest);
               Value better = sgt(s, carried[0]);
               return SmallVector<Value>{maxs(carried[0], s), select(better, n, carried[1])};
             });
    Value top = reduce(vector::CombiningKind::MAXSI, best[0]);
    Value holders = select(eq(best[0], splat(top)), best[1], cVec(INT32_MAX));
    return {top, reduce(vector::CombiningKind::MINUI, holders)};
  }

  void selectTop() {
    Value topWeight = weightOf(topClass);
    topShare = share(topWeight);
    if (classes == 1) {
      answer(kMargin, c32(kFullQ16));
    } else {
      Value x = distance(secondScore, /*scalar=*/true);
      Value shift = shru(x, c32(8));
      Value second = shru(load(arg(kExp2), toIndex(land(x, c32(255)))), minu(shift, c32(31)));
      second = select(ule(shift, c32(16)), second, c32(0));
      answer(kMargin, share(sub(topWeight, second)));
    }
    auto candidate = [&](Value place, Value number, Value q16) {
      store(number, arg(kAnswer), add(place, cIndex(kTopClass)));
      store(zoneOf(number), arg(kAnswer), add(place, cIndex(kTopZone)));
      store(q16, arg(kAnswer), add(place, cIndex(kTopConfidence)));
    };
    candidate(cIndex(0), topClass, topShare);
    int64_t most = std::min<int64_t>(SEMDNS_KERNEL_TOP_MAX, classes);
    Value wanted = minu(maxu(arg(kTopK), c32(1)), c32(most));
    answer(kTopCount, wanted);
    if (most > 1)
      loop(cIndex(1), toIndex(wanted), 1, {topScore, topClass}, [&](Value i, ValueRange carried) {
        SmallVector<Value> next = following(carried[0], carried[1]);
        candidate(i, next[1], share(weightOf(next[1])));
        return next;
      });

    // The root's own class is no best guess.
    guess = topClass;
    guessScore = topScore;
    guessShare = topShare;
    if (classZone[0] == 0 && classes > 1) {
      SmallVector<Value> best = branch(
          eq(topClass, c32(0)), {i32, i32, i32},
          [&] {
            SmallVector<Value> next = following(topScore, topClass);
            return SmallVector<Value>{next[1], next[0], share(weightOf(next[1]))};
          },
          [&] { return SmallVector<Value>{topClass, topScore, topShare}; });
      guess = best[0];
      guessScore = best[1];
      guessShare = best[2];
    }
    odds = Value();
  }

  /// Differences of scores fit 25 bits, so their magnitude needs no care.
  void measureOdds() {
    Value lead = sub(guessScore, load(arg(kScores), cIndex(0)));
    Value ahead = cmp(arith::CmpIPredicate::sge, lead, c32(0));
    Value size = shru(mul(minu(select(ahead, lead, sub(c32(0), lead)), limit), gain), c32(16));
    odds = select(ahead, size, sub(c32(0), size));
  }

  /// Confidence of a zone: its classes' share of all weights.
  Value confidence(Value zone) {
    return branch(
        eq(zone, c32(0)), {i32}, [&] { return SmallVector<Value>{c32(kFullQ16)}; },
        [&] {
          Value begin = load(table("class_begin", climbing.getClassBegin()), toIndex(zone));
          Value end = load(table("class_end", climbing.getClassEnd()), toIndex(zone));
          Value sum =
              loop(toIndex(begin), toIndex(end), 1, {c32(0)}, [&](Value k, ValueRange carried) {
                return SmallVector<Value>{add(carried[0], load(arg(kWeights), k))};
              })[0];
          return SmallVector<Value>{share(sum)};
        })[0];
  }

  Value threshold(Value zone) { return load(arg(kThresholds), toIndex(zone)); }

  void climb() {
    // The guess's own confidence needs no sum where classes belong to leaves.
    bool leaves = llvm::all_of(classZone, [&](int32_t zone) {
      return zone == 0 || climbing.getClassEnd()[zone] - climbing.getClassBegin()[zone] == 1;
    });
    bool rootOnly = classZone[0] == 0 && classes == 1;
    Value bestZone = rootOnly ? c32(0) : zoneOf(guess);
    Value bestConfidence = rootOnly ? c32(kFullQ16) : leaves ? guessShare : confidence(bestZone);
    answer(kBestZone, bestZone);
    answer(kBestConfidence, bestConfidence);
    answer(kOdds, odds ? odds : c32(INT32_MAX));
    branch(
        eq(knownRows, c32(0)), {},
        [&] {
          answer(kFlags, lor(flags, c32(SEMDNS_KERNEL_NO_EVIDENCE)));
          answer(kConfidence, c32(kFullQ16));
          return SmallVector<Value>();
        },
        [&] {
          Value start = bestZone, sureness = bestConfidence;
          if (odds) {
            Value rejected = slt(odds, arg(kRootOdds));
            start = select(rejected, c32(0), start);
            sureness = select(rejected, c32(kFullQ16), sureness);
          }
          SmallVector<Value> settled = settle(start, sureness);
          answer(kStage, c32(SEMDNS_KERNEL_STAGE_EMBEDDING));
          answer(kZone, settled[0]);
          answer(kConfidence, settled[1]);
          return SmallVector<Value>();
        });
  }

  /// Where the climb from `zone` ends, with its confidence.
  SmallVector<Value> settle(Value zone, Value q16) {
    bool rootOnly = classZone[0] == 0 && classes == 1;
    if (climbing.getSteps() == 0 || rootOnly)
      return {zone, q16};
    // All classes belong to zones right below the root (or to the root, whose threshold is 0).
    if (climbing.getSteps() == 1) {
      Value stay = ule(threshold(zone), q16);
      return {select(stay, zone, c32(0)), select(stay, q16, c32(kFullQ16))};
    }
    Value parents = table("parents", climbing.getParents());
    auto op = scf::WhileOp::create(
        b, TypeRange{i32, i32}, ValueRange{zone, q16},
        [&](OpBuilder &, Location, ValueRange carried) {
          Value unsure = ult(carried[1], threshold(carried[0]));
          scf::ConditionOp::create(b, land(ne(carried[0], c32(0)), unsure), carried);
        },
        [&](OpBuilder &, Location, ValueRange carried) {
          Value parent = load(parents, toIndex(carried[0]));
          scf::YieldOp::create(b, ValueRange{parent, confidence(parent)});
        });
    return op.getResults();
  }

  ImplicitLocOpBuilder b;
  route::ProgramOp program;
  RouteToVectorOptions options;
  ModuleOp module;
  Type i8, i32, i64;

  int64_t rowCount = 1, bucketCount = 1, dim = SEMDNS_DIM_ALIGN, classes = 0, padded = 0,
          layout = 1;
  ArrayRef<int32_t> classZone;
  route::ClimbOp climbing;
  route::DescendOp descending; ///< null where all classes are scored
  route::TokenizeOp text;
  func::FuncOp function, tokenise, match, descend;

  // What earlier operations leave to later ones.
  Value wordCount, charCount, unigramCount, featureCount, flags;
  Value knownRows, norm, peak, topScore, topClass, secondScore, gain, limit, totalWeight;
  Value topShare, guess, guessScore, guessShare;
  Value odds; ///< null where there is nothing to compare
};

struct RouteToVector : PassWrapper<RouteToVector, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RouteToVector)
  RouteToVector() = default;
  explicit RouteToVector(const RouteToVectorOptions &options) {
    lhsBias = options.lhsBias;
    poolBlock = options.poolBlock;
  }
  RouteToVector(const RouteToVector &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "route-to-vector"; }
  StringRef getDescription() const final {
    return "Lower the module's route.program to one function on vectors and route.dot4";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect, math::MathDialect,
                    memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto programs = module.getOps<route::ProgramOp>();
    if (!llvm::hasSingleElement(programs)) {
      module.emitError() << "route-to-vector needs exactly one route.program";
      return signalPassFailure();
    }
    if (lhsBias != 0 && lhsBias != 128) {
      module.emitError() << "route-to-vector: lhs-bias is " << lhsBias.getValue()
                         << ", must be 0 or 128";
      return signalPassFailure();
    }
    Lowering(*programs.begin(), {lhsBias, poolBlock}).run();
  }

  Option<int> lhsBias{*this, "lhs-bias", llvm::cl::desc("0, or 128 for unsigned by signed bytes"),
                      llvm::cl::init(0)};
  Option<unsigned> poolBlock{*this, "pool-block",
                             llvm::cl::desc("dimensions that pooling keeps in registers"),
                             llvm::cl::init(128)};
};

} // namespace

std::unique_ptr<Pass> createRouteToVectorPass(const RouteToVectorOptions &options) {
  return std::make_unique<RouteToVector>(options);
}

} // namespace semdns::passes
