#include "lib/passes/gpu/emitter.h"
#include "lib/passes/gpu/passes.h"

#include "dialects/route/route.h"
#include "semdns/format/gpu.h"
#include "semdns/kernel.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstddef>

namespace semdns::gpu {
namespace {

using namespace mlir;
using Values = Emitter::Values;

static_assert(kThreads % 32 == 0 && kThreads <= 1024 && kThreads * 4 >= SEMDNS_MAX_DIM);
constexpr int64_t kWarps = kThreads / 32;

/// The operations of the embedding stage, one of each.
struct Stage {
  route::LookupOp lookup;
  route::PoolOp pool;
  route::QuantizeOp quantize;
  route::ScoreOp score;
  route::WeighOp weigh;
  route::SelectOp select;
  route::ClimbOp climb;

  static FailureOr<Stage> find(route::ProgramOp program) {
    Stage stage;
    bool twice = false;
    auto take = [&](auto &slot, auto op) {
      twice |= bool(slot);
      slot = op;
    };
    program.walk([&](route::LookupOp op) { take(stage.lookup, op); });
    program.walk([&](route::PoolOp op) { take(stage.pool, op); });
    program.walk([&](route::QuantizeOp op) { take(stage.quantize, op); });
    program.walk([&](route::ScoreOp op) { take(stage.score, op); });
    program.walk([&](route::WeighOp op) { take(stage.weigh, op); });
    program.walk([&](route::SelectOp op) { take(stage.select, op); });
    program.walk([&](route::ClimbOp op) { take(stage.climb, op); });
    if (!stage.lookup || !stage.pool || !stage.quantize || !stage.score || !stage.weigh ||
        !stage.select || !stage.climb)
      return program.emitError("has no complete embedding stage, so there is nothing for a GPU");
    if (twice)
      return program.emitError("has more than one embedding stage");
    return stage;
  }
};

/// Emits the kernel's body. Every thread of a block runs it; `uniform` values are the same in all.
class Kernel : public Emitter {
public:
  Kernel(ImplicitLocOpBuilder &builder, Stage stage, ::mlir::gpu::GPUModuleOp module)
      : Emitter(builder), stage_(stage), module_(module),
        dim_(stage.pool.getPool().getType().getSize()),
        classes_(stage.score.getScores().getType().getSize()), layout_(stage.score.getLayout()),
        padded_((classes_ + 16 * layout_ - 1) / (16 * layout_) * (16 * layout_)) {}

  void emit() {
    makeFunction();
    tid_ = NVVM::ThreadIdXOp::create(b, i32());
    lane_ = andI(tid_, constant(31));
    warp_ = shrU(tid_, 5);
    block_ = NVVM::BlockIdXOp::create(b, i32());
    first_ = eq(tid_, constant(0));
    Value scoresBase = address(scores_, mul(wide(block_), constant(padded_, i64())), i32());
    Value weightsBase = address(weights_, mul(wide(block_), constant(padded_, i64())), i32());
    scores_ = scoresBase;
    weights_ = weightsBase;
    answer_ = address(answers_, mul(wide(block_), constant(kAnswerWords, i64())), i32());
    readQuery();
    startPool();
    lookupAndPool();
    quantize();
    score();
    weigh();
    selectAndClimb();
    ::mlir::gpu::ReturnOp::create(b);
  }

private:
  static constexpr int64_t kAnswerWords = sizeof(semdns_kernel_answer) / 4;
#define FIELD(member) int64_t(offsetof(semdns_kernel_answer, member) / 4)

  void makeFunction() {
    SmallVector<Type> arguments(12, ptr());
    auto function =
        ::mlir::gpu::GPUFuncOp::create(b, SEMDNS_GPU_KERNEL, b.getFunctionType(arguments, {}));
    function->setAttr(::mlir::gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    function.setKnownBlockSize(ArrayRef<int32_t>{int32_t(kThreads), 1, 1});
    for (unsigned i = 0; i < arguments.size(); ++i)
      function.setArgAttr(i, "llvm.noalias", b.getUnitAttr());
    b.setInsertionPointToStart(&function.getBody().front());
    Value *slots[] = {&features_, &queries_,    &buckets_,  &rows_,   &norms_,   &vectors_,
                      &exp2_,     &thresholds_, &rootOdds_, &scores_, &weights_, &answers_};
    for (auto [slot, argument] : llvm::zip(slots, function.getArguments()))
      *slot = argument;
    // The sum of rows; the quantised query, 4 values a word; a tile of rows; the warps' results.
    sharedPool_ = shared("pool", dim_);
    sharedQuant_ = shared("quant", dim_ / 4);
    sharedRows_ = shared("rows", kThreads);
    sharedWarps_ = shared("warps", kWarps);
  }

  /// An array of the image in an address space: 1 global, 3 shared.
  Value array(StringRef name, int64_t size, unsigned space, Attribute data) {
    LLVM::GlobalOp global;
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module_.getBody());
      global = LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(i32(), size),
                                      /*isConstant=*/bool(data), LLVM::Linkage::Internal,
                                      ("semdns_" + name).str(), data, /*alignment=*/4, space);
    }
    return LLVM::AddressOfOp::create(b, global);
  }
  Value shared(StringRef name, int64_t size) { return array(name, size, 3, {}); }
  /// A map of the zone tree.
  Value table(StringRef name, ArrayRef<int32_t> values) {
    auto type = RankedTensorType::get({int64_t(values.size())}, i32());
    Value address = array(name, int64_t(values.size()), 1, DenseElementsAttr::get(type, values));
    return LLVM::AddrSpaceCastOp::create(b, ptr(), address);
  }

  //===--- Over all threads of the block -----------------------------------------------------===//

  Value redux(NVVM::ReduxKind kind, Value x) {
    return NVVM::ReduxOp::create(b, i32(), x, kind, constant(-1));
  }
  /// Reduces `x` over the block; the result is uniform. `identity` changes nothing under `kind`.
  Value reduce(NVVM::ReduxKind kind, Value x, int64_t identity) {
    Value part = redux(kind, x);
    barrier(); // the slots may still be being read from the last time
    ifThen(eq(lane_, constant(0)), [&] { storeShared(part, sharedWarps_, warp_); });
    barrier();
    Value inside = ltU(lane_, constant(kWarps));
    Value slot = select(inside, lane_, constant(0));
    Value all = select(inside, loadShared(sharedWarps_, slot), constant(identity));
    return redux(kind, all);
  }
  Value sum(Value x) { return reduce(NVVM::ReduxKind::ADD, x, 0); }
  Value largest(Value x) { return reduce(NVVM::ReduxKind::MAX, x, INT32_MIN); }
  Value leastU(Value x) { return reduce(NVVM::ReduxKind::UMIN, x, -1); }

  /// The classes of this thread: tid, tid + kThreads, ...
  Values eachClass(ValueRange inits, llvm::function_ref<Values(Value, ValueRange)> body) {
    return loop(tid_, constant(classes_), constant(kThreads), inits, body);
  }

  //===--- The stage, in its order -----------------------------------------------------------===//

  void readQuery() {
    Value base =
        address(queries_, mul(wide(block_), constant(sizeof(semdns_gpu_query), i64())), i8());
    auto word = [&](size_t offset) {
      return loadConstant(base, constant(int64_t(offset / 4)), i32());
    };
    Value begin = loadConstant(base, constant(0), i64());
    features_ = address(features_, begin, i64());
    wordCount_ = word(offsetof(semdns_gpu_query, words));
    chars_ = word(offsetof(semdns_gpu_query, chars));
    unigrams_ = word(offsetof(semdns_gpu_query, unigrams));
    featureCount_ = word(offsetof(semdns_gpu_query, features));
    flags_ = word(offsetof(semdns_gpu_query, flags));
    topK_ = minS(maxS(word(offsetof(semdns_gpu_query, top_k)), constant(1)),
                 constant(SEMDNS_KERNEL_TOP_MAX));
  }

  /// The sum starts at the bias row.
  void startPool() {
    loop(tid_, constant(dim_), constant(kThreads), {}, [&](Value d, ValueRange) -> Values {
      storeShared(signExtend(loadConstant(rows_, d, i8())), sharedPool_, d);
      return {};
    });
  }

  /// The row of a feature, or 0. As kernels/lookup.h: all slots are compared, the largest id
  /// counts.
  Value lookup(Value hash) {
    Value bucket = shrU(mul(shrU(hash, 32), constant(stage_.lookup.getBuckets(), i64())), 32);
    Value low = narrow(hash);
    Value fingerprint = select(eq(low, constant(0)), constant(1), low);
    Value line = address(buckets_, mul(bucket, constant(64, i64())), i8());
    auto four = VectorType::get(4, i32());
    Value row = constant(0);
    for (int64_t half = 0; half < 2; ++half) {
      Value keys = loadConstant(line, constant(half), four, 16);
      Value ids = loadConstant(line, constant(half + 2), four, 16);
      for (int64_t i = 0; i < 4; ++i) {
        Value key = LLVM::ExtractElementOp::create(b, keys, constant(i));
        Value id = LLVM::ExtractElementOp::create(b, ids, constant(i));
        row = maxU(row, select(eq(key, fingerprint), id, constant(0)));
      }
    }
    return row;
  }

  /// Tiles of kThreads features: each thread looks one up, then dim/4 threads a row add the rows of
  /// the tile, four dimensions a thread, as many rows at a time as threads suffice for. Integer
  /// sums do not depend on the order.
  void lookupAndPool() {
    int64_t words = dim_ / 4, groups = kThreads / words;
    Value word = remU(tid_, constant(words)), group = divU(tid_, constant(words));
    Value adds = ltU(tid_, constant(groups * words));
    Value zero = constant(0), zeroWide = constant(0, i64());
    Value unknown = constant(
        int64_t(stage_.lookup.getUnknownNorm()) * int64_t(stage_.lookup.getUnknownNorm()), i64());
    Values result = loop(
        zero, featureCount_, constant(kThreads), {zero, zero, zero, zero, zeroWide, zero},
        [&](Value base, ValueRange carried) -> Values {
          Value i = add(base, tid_);
          Values found = ifElse(ltS(i, featureCount_),
                                [&]() -> Values {
                                  Value row = lookup(loadConstant(features_, i, i64()));
                                  Value norm = wide(zeroExtend(loadConstant(norms_, row, i16())));
                                  Value known = ne(row, zero);
                                  Value isWord = ltU(sub(i, chars_), unigrams_);
                                  Value square = select(known, mul(norm, norm),
                                                        select(isWord, unknown, zeroWide));
                                  return {row, square};
                                },
                                {zero, zeroWide});
          Value row = found[0];
          storeShared(row, sharedRows_, tid_);
          barrier();
          Value count = minS(sub(featureCount_, base), constant(kThreads));
          Values sums = ifElse(
              adds,
              [&]() -> Values {
                return loop(
                    group, count, constant(groups), carried.take_front(4),
                    [&](Value j, ValueRange partial) -> Values {
                      Value r = loadShared(sharedRows_, j);
                      return ifElse(
                          ne(r, zero),
                          [&]() -> Values {
                            Value at = add(mul(wide(r), constant(words, i64())), wide(word));
                            Value four = loadConstant(rows_, at, i32());
                            Values next;
                            for (int64_t k = 0; k < 4; ++k) // one byte of the four
                              next.push_back(dp4a(four, constant(int64_t(1) << 8 * k), partial[k]));
                            return next;
                          },
                          Values(partial));
                    });
              },
              Values(carried.take_front(4)));
          barrier(); // before the next tile overwrites the rows
          sums.push_back(add(carried[4], found[1]));
          sums.push_back(add(carried[5], select(ne(row, zero), constant(1), zero)));
          return sums;
        });
    barrier(); // the bias is in place, also when there was no feature
    ifThen(adds, [&] {
      for (int64_t k = 0; k < 4; ++k)
        addShared(result[k], sharedPool_, add(shl(word, 2), constant(k)));
    });
    rowCount_ = sum(result[5]);
    // A thread's squares are below 2^6 * 2^32, so both halves' sums fit 32 bits.
    Value low = sum(narrow(andI(result[4], constant(0xffffff, i64()))));
    Value high = sum(narrow(shrU(result[4], 24)));
    Value square = add(wide(low), shl(wide(high), 24));
    // isqrt: n2 is below 2^47, where rounding cannot lift the root of k^2 - 1 to k, so cutting the
    // correctly rounded root is exact.
    Value root = LLVM::CallIntrinsicOp::create(
                     b, b.getF64Type(), b.getStringAttr("llvm.nvvm.sqrt.rn.d"),
                     ValueRange{arith::UIToFPOp::create(b, b.getF64Type(), square).getResult()})
                     .getResult(0);
    Value n = arith::FPToUIOp::create(b, i32(), root);
    norm_ = maxU(n, constant(1));
  }

  void quantize() {
    // sum() above ended behind a barrier that all additions to the pool precede.
    int64_t words = dim_ / 4;
    Value mine = ltU(tid_, constant(words));
    Value zero = constant(0);
    Values p = ifElse(mine,
                      [&]() -> Values {
                        Values four;
                        for (int64_t k = 0; k < 4; ++k)
                          four.push_back(loadShared(sharedPool_, add(shl(tid_, 2), constant(k))));
                        return four;
                      },
                      {zero, zero, zero, zero});
    Value peak = zero;
    for (Value x : p)
      peak = maxS(peak, maxS(x, sub(zero, x)));
    peak_ = largest(peak);
    Value ratio = divU(constant(int64_t(127) << 24), maxS(peak_, constant(1)));
    Value packed = zero;
    for (int64_t k = 0; k < 4; ++k) { // peak 0: every p is 0, and so is q
      Value q = shrS(add(mul(p[k], ratio), constant(int64_t(1) << 23)), 24);
      packed = orI(packed, shl(andI(q, constant(255)), 8 * k));
    }
    ifThen(mine, [&] { storeShared(packed, sharedQuant_, tid_); });
    barrier();
  }

  void score() {
    int64_t words = dim_ / 4;
    Value zero = constant(0), one = constant(1);
    Values best = eachClass({constant(INT32_MIN)}, [&](Value c, ValueRange carried) -> Values {
      Value line = divU(c, constant(16)), lane = remU(c, constant(16));
      Value group = divU(line, constant(layout_)), part = remU(line, constant(layout_));
      // Word of (class, 4w..4w+3): ((group * words + w) * layout + part) * 16 + lane.
      Value begin = add(mul(add(mul(group, constant(words * layout_)), part), constant(16)), lane);
      Value s = loop(zero, constant(words), one, {zero}, [&](Value w, ValueRange acc) -> Values {
        Value at = add(begin, mul(w, constant(16 * layout_)));
        return {dp4a(loadShared(sharedQuant_, w), loadConstant(vectors_, at, i32()), acc[0])};
      })[0];
      store(s, scores_, c);
      return {maxS(carried[0], s)};
    });
    top_ = largest(best[0]);
  }

  /// Q16 weight of a score: 2^-x for x = difference to the best in 1/256 bit.
  Value weightOf(Value s) {
    Value x = shrU(mul(minS(sub(top_, s), limit_), gain_), 16);
    Value bits = shrU(x, 8);
    Value fraction = loadConstant(exp2_, andI(x, constant(255)), i32());
    Value far = ltU(constant(16), bits);
    return select(far, constant(0), shrU(fraction, select(far, constant(0), bits)));
  }
  Value share(Value weight) { return narrow(divU(shl(wide(weight), 16), wide(total_))); }

  void weigh() {
    Value product = mul(constant(stage_.weigh.getGain(), i64()), wide(peak_));
    Value quotient = divU(product, wide(norm_));
    Value most = constant((int64_t(1) << 24) - 1, i64());
    gain_ = narrow(minU(quotient, most));
    limit_ = divU(constant(INT32_MAX), maxU(gain_, constant(1)));
    Value part = eachClass({constant(0)}, [&](Value c, ValueRange carried) -> Values {
      Value w = weightOf(load(scores_, c, i32()));
      store(w, weights_, c);
      return {add(carried[0], w)};
    })[0];
    total_ = sum(part);
  }

  /// Q16 share of the classes of a zone (uniform).
  Value confidence(Value zone, Value classBegin, Value classEnd) {
    Value begin = loadConstant(classBegin, zone, i32());
    Value end = loadConstant(classEnd, zone, i32());
    Value part = eachClass({constant(0)}, [&](Value c, ValueRange carried) -> Values {
      Value inside = ltU(sub(c, begin), sub(end, begin));
      return {add(carried[0], select(inside, load(weights_, c, i32()), constant(0)))};
    })[0];
    return share(sum(part));
  }

  void selectAndClimb() {
    Value zero = constant(0), one = constant(1);
    ArrayRef<int32_t> zones = stage_.select.getZones();
    int64_t rootClass = !zones.empty() && zones[0] == 0 ? 1 : 0;
    Value classZone = table("class_zone", zones);
    auto field = [&](int64_t at, Value value) { store(value, answer_, constant(at)); };

    // Fields that nothing is written to are 0.
    ifThen(ltU(tid_, constant(kAnswerWords)), [&] { store(zero, answer_, tid_); });
    barrier();

    // The classes in order of (score descending, number ascending), one after the other: the next
    // is the largest behind the last. At least two, for the margin.
    int64_t least = classes_ < 2 ? classes_ : 2;
    Value wanted = minS(topK_, constant(classes_));
    Value rounds = maxS(wanted, constant(least));
    Value none = constant(-1);
    Values picked =
        loop(zero, rounds, one, {constant(INT32_MAX), none, zero, none, zero, none, zero, zero},
             [&](Value i, ValueRange carried) -> Values {
               Value lastScore = carried[0], lastClass = carried[1];
               Values mine =
                   eachClass({constant(INT32_MIN), none}, [&](Value c, ValueRange held) -> Values {
                     Value s = load(scores_, c, i32());
                     // Class numbers ascend, so among equal scores the first one met stays.
                     Value behind = orI(
                         ltS(s, lastScore),
                         andI(eq(s, lastScore), compare(arith::CmpIPredicate::sgt, c, lastClass)));
                     Value better = andI(behind, ltS(held[0], s));
                     return {select(better, s, held[0]), select(better, c, held[1])};
                   });
               Value s = largest(mine[0]);
               Value k = leastU(select(eq(mine[0], s), mine[1], none));
               Value w = weightOf(s);
               ifThen(andI(first_, ltS(i, wanted)), [&] {
                 field2(FIELD(top_class), i, k);
                 field2(FIELD(top_zone), i, loadConstant(classZone, k, i32()));
                 field2(FIELD(top_confidence), i, share(w));
               });
               Value isFirst = eq(i, zero), isSecond = eq(i, one);
               return {s,
                       k,
                       select(isFirst, w, carried[2]),
                       select(isFirst, k, carried[3]),
                       select(isSecond, w, carried[4]),
                       select(isSecond, k, carried[5]),
                       select(isFirst, s, carried[6]),
                       select(isSecond, s, carried[7])};
             });
    Value firstWeight = picked[2], firstClass = picked[3], secondWeight = picked[4],
          secondClass = picked[5];

    Value margin = classes_ == 1 ? constant(65536) : share(sub(firstWeight, secondWeight));
    // The root's own class is no best guess.
    Value best = firstClass;
    if (rootClass)
      best = select(eq(firstClass, zero), secondClass, firstClass);
    Value bestZone = classes_ == rootClass ? zero : loadConstant(classZone, best, i32());

    Value classBegin = table("class_begin", stage_.climb.getClassBegin());
    Value classEnd = table("class_end", stage_.climb.getClassEnd());
    Value parent = table("parent", stage_.climb.getParents());
    Value sure = constant(65536);
    Value isRoot = eq(bestZone, zero);
    Value bestConfidence = select(isRoot, sure, confidence(bestZone, classBegin, classEnd));

    // Differences of scores fit 25 bits.
    Value odds = constant(INT32_MAX);
    Value accepted = ne(rowCount_, zero), evidence = accepted;
    if (rootClass && classes_ > rootClass) {
      Value bestScore = select(eq(firstClass, zero), picked[7], picked[6]);
      Value lead = sub(bestScore, load(scores_, zero, i32()));
      Value behind = ltS(lead, zero);
      Value size = shrU(mul(minS(select(behind, sub(zero, lead), lead), limit_), gain_), 16);
      odds = select(behind, sub(zero, size), size);
      Value enough = loadConstant(rootOdds_, zero, i32());
      accepted = andI(evidence, compare(arith::CmpIPredicate::sge, odds, enough));
    }
    Value start = select(accepted, bestZone, zero);
    Value startConfidence = select(accepted, bestConfidence, sure);
    Values answer = loop(zero, constant(stage_.climb.getSteps()), one, {start, startConfidence},
                         [&](Value, ValueRange carried) -> Values {
                           Value zone = carried[0], sureness = carried[1];
                           Value unsure = ltU(sureness, loadConstant(thresholds_, zone, i32()));
                           Value moves = andI(ne(zone, zero), unsure);
                           // Uniform in the block, so that the reductions inside are reached by all
                           // threads.
                           return ifElse(moves,
                                         [&]() -> Values {
                                           Value up = loadConstant(parent, zone, i32());
                                           Value there = confidence(up, classBegin, classEnd);
                                           return {up, select(eq(up, zero), sure, there)};
                                         },
                                         {zone, sureness});
                         });

    ifThen(first_, [&] {
      field(FIELD(size), constant(sizeof(semdns_kernel_answer)));
      field(FIELD(stage), select(evidence, constant(SEMDNS_KERNEL_STAGE_EMBEDDING),
                                 constant(SEMDNS_KERNEL_STAGE_NONE)));
      field(FIELD(zone), answer[0]);
      field(FIELD(best_zone), bestZone);
      field(FIELD(confidence), answer[1]);
      field(FIELD(best_confidence), bestConfidence);
      field(FIELD(margin), margin);
      field(FIELD(flags), orI(flags_, select(evidence, zero, constant(SEMDNS_KERNEL_NO_EVIDENCE))));
      field(FIELD(word_count), wordCount_);
      field(FIELD(feature_count), featureCount_);
      field(FIELD(row_count), rowCount_);
      field(FIELD(top_count), wanted);
      field(FIELD(total_weight), total_);
      field(FIELD(odds), odds);
      field(FIELD(gain), gain_);
    });
  }
  void field2(int64_t at, Value offset, Value value) {
    store(value, answer_, add(offset, constant(at)));
  }
#undef FIELD

  Stage stage_;
  ::mlir::gpu::GPUModuleOp module_;
  int64_t dim_, classes_, layout_, padded_;

  Value features_, queries_, buckets_, rows_, norms_, vectors_, exp2_, thresholds_, rootOdds_,
      scores_, weights_, answers_;
  Value sharedPool_, sharedQuant_, sharedRows_, sharedWarps_;
  Value tid_, lane_, warp_, block_, first_, answer_;
  // Uniform.
  Value wordCount_, chars_, unigrams_, featureCount_, flags_, topK_;
  Value rowCount_, norm_, peak_, top_, gain_, limit_, total_;
};

struct RouteToGpuPass : PassWrapper<RouteToGpuPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RouteToGpuPass)

  StringRef getArgument() const override { return "route-to-gpu"; }
  StringRef getDescription() const override {
    return "Add a GPU kernel for the embedding stage of a routing program";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, ::mlir::gpu::GPUDialect, LLVM::LLVMDialect,
                    NVVM::NVVMDialect, scf::SCFDialect>();
    registerGpuTranslations(registry); // for gpu-module-to-binary later on
  }
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto programs = llvm::to_vector(module.getOps<route::ProgramOp>());
    if (programs.size() != 1) {
      module.emitError("expected one route.program, found ") << programs.size();
      return signalPassFailure();
    }
    auto stage = Stage::find(programs.front());
    if (failed(stage))
      return signalPassFailure();
    ImplicitLocOpBuilder b(programs.front().getLoc(), &getContext());
    b.setInsertionPointToEnd(module.getBody());
    auto gpuModule = ::mlir::gpu::GPUModuleOp::create(b, "semdns_gpu");
    module->setAttr(::mlir::gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
    b.setInsertionPointToEnd(gpuModule.getBody());
    Kernel(b, *stage, gpuModule).emit();
  }
};

} // namespace

std::unique_ptr<mlir::Pass> createRouteToGpuPass() { return std::make_unique<RouteToGpuPass>(); }

} // namespace semdns::gpu
