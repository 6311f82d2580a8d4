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

/// The operations that the kernels are made of, one of each; `match` is null without stage 1.
struct Program {
  route::TokenizeOp tokenize;
  route::MatchOp match;
  route::LookupOp lookup;
  route::PoolOp pool;
  route::QuantizeOp quantize;
  route::ScoreOp score;
  route::WeighOp weigh;
  route::SelectOp select;
  route::ClimbOp climb;
  int64_t terms = 0;

  static FailureOr<Program> find(route::ProgramOp program) {
    Program found;
    bool twice = false;
    auto take = [&](auto &slot, auto op) {
      twice |= bool(slot);
      slot = op;
    };
    program.walk([&](route::TokenizeOp op) { take(found.tokenize, op); });
    program.walk([&](route::MatchOp op) { take(found.match, op); });
    program.walk([&](route::LookupOp op) { take(found.lookup, op); });
    program.walk([&](route::PoolOp op) { take(found.pool, op); });
    program.walk([&](route::QuantizeOp op) { take(found.quantize, op); });
    program.walk([&](route::ScoreOp op) { take(found.score, op); });
    program.walk([&](route::WeighOp op) { take(found.weigh, op); });
    program.walk([&](route::SelectOp op) { take(found.select, op); });
    program.walk([&](route::ClimbOp op) { take(found.climb, op); });
    if (!found.tokenize || !found.lookup || !found.pool || !found.quantize || !found.score ||
        !found.weigh || !found.select || !found.climb)
      return program.emitError("has no complete embedding stage, so there is nothing for a GPU");
    if (twice)
      return program.emitError("has more than one embedding stage");
    if (found.match)
      found.terms = program.getTermCount();
    return found;
  }
};

GpuShape shapeOf(Program program) {
  return shapeFor(program.pool.getPool().getType().getSize(),
                  program.score.getScores().getType().getSize(), program.tokenize.getCharNgramMin(),
                  program.tokenize.getCharNgramMax());
}

::mlir::gpu::GPUFuncOp makeKernel(Emitter &e, StringRef name, ArrayRef<Type> arguments,
                                  unsigned threads) {
  auto function = ::mlir::gpu::GPUFuncOp::create(e.b, name, e.b.getFunctionType(arguments, {}));
  function->setAttr(::mlir::gpu::GPUDialect::getKernelFuncAttrName(), e.b.getUnitAttr());
  function.setKnownBlockSize(ArrayRef<int32_t>{int32_t(threads), 1, 1});
  for (auto [i, type] : llvm::enumerate(arguments))
    if (isa<LLVM::LLVMPointerType>(type))
      function.setArgAttr(unsigned(i), "llvm.noalias", e.b.getUnitAttr());
  return function;
}

/// SEMDNS_GPU_READ: route.tokenize, .match, .vote and .lookup are the micro-kernel kernels/read.h,
/// which is linked in later, with the program's constants.
void emitRead(Emitter &e, const Program &program, const GpuShape &shape) {
  SmallVector<Type> types(10, e.ptr());
  types.append(2, e.i32());
  SmallVector<Type> all = types; // the text's number stands where the count does
  all.append(8, e.i32());
  LLVM::LLVMFuncOp::create(
      e.b, "uk_gpu_read",
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(e.b.getContext()), all));
  auto function = makeKernel(e, SEMDNS_GPU_READ, types, shape.readThreads);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(&function.getBody().front());
  auto arguments = function.getArguments();
  Value block = NVVM::BlockIdXOp::create(e.b, e.i32());
  Value thread = NVVM::ThreadIdXOp::create(e.b, e.i32());
  Value index = e.add(e.mul(block, e.constant(shape.readThreads)), thread);
  e.ifThen(e.ltU(index, arguments[10]), [&] {
    Values operands(arguments.take_front(10));
    operands.push_back(index);
    operands.push_back(arguments[11]);
    route::TokenizeOp tokenize = program.tokenize;
    route::LookupOp lookup = program.lookup;
    for (int64_t option :
         {int64_t(tokenize.getWordNgramMax()), int64_t(tokenize.getCharNgramMin()),
          int64_t(tokenize.getCharNgramMax()), int64_t(tokenize.getPunct()), program.terms,
          int64_t(shape.room), int64_t(lookup.getBuckets()), int64_t(lookup.getUnknownNorm())})
      operands.push_back(e.constant(option));
    LLVM::CallOp::create(e.b, TypeRange(), "uk_gpu_read", operands);
  });
  ::mlir::gpu::ReturnOp::create(e.b);
}

/// Emits SEMDNS_GPU_ANSWER. A block answers `tile` texts: its warps pool and quantise them, one
/// text after the other, into a matrix of bytes; tensor cores multiply that with the class vectors,
/// each warp 32 classes at a time; then each warp weighs, accepts and climbs for the texts that it
/// has pooled. All but the multiplication is uniform in a warp or goes by lanes; nothing is atomic.
class AnswerKernel : public Emitter {
public:
  AnswerKernel(ImplicitLocOpBuilder &builder, Program program, const GpuShape &shape,
               ::mlir::gpu::GPUModuleOp module)
      : Emitter(builder), program_(program), shape_(shape), module_(module),
        dim_(program.pool.getPool().getType().getSize()), words_(dim_ / 4),
        classes_(program.score.getScores().getType().getSize()), layout_(program.score.getLayout()),
        padded_((classes_ + 16 * layout_ - 1) / (16 * layout_) * (16 * layout_)) {}

  void emit() {
    SmallVector<Type> types(9, ptr());
    types.push_back(i32());
    auto function = makeKernel(*this, SEMDNS_GPU_ANSWER, types, shape_.threads);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&function.getBody().front());
    Value *slots[] = {&texts_,      &rows_,     &table_,  &vectors_, &exp2_,
                      &thresholds_, &rootOdds_, &scores_, &answers_, &count_};
    for (auto [slot, argument] : llvm::zip(slots, function.getArguments()))
      *slot = argument;
    tid_ = NVVM::ThreadIdXOp::create(b, i32());
    lane_ = andI(tid_, constant(31));
    warp_ = shrU(tid_, 5);
    Value block = NVVM::BlockIdXOp::create(b, i32());
    firstText_ = mul(block, constant(shape_.tile));
    sharedExp2_ = sharedMemory();
    sharedGain_ = wordAddress(sharedExp2_, constant(shape_.gainAt));
    sharedQuant_ = wordAddress(sharedExp2_, constant(shape_.quantAt));
    if (shape_.scoreWords)
      scores_ = address(scores_, mul(wide(firstText_), constant(shape_.scoreStride, i64())), i32());
    else
      scores_ = wordAddress(sharedExp2_, constant(shape_.scoresAt));
    loop(tid_, constant(256), constant(shape_.threads), {}, [&](Value i, ValueRange) -> Values {
      storeWords(loadConstant(exp2_, i, i32()), sharedExp2_, i);
      return {};
    });
    eachText([&](Value slot) { pool(slot); });
    barrier();
    score();
    barrier();
    eachText([&](Value slot) { answer(slot); });
    ::mlir::gpu::ReturnOp::create(b);
  }

private:
#define FIELD(member) int64_t(offsetof(semdns_gpu_answer, member) / 4)

  /// The dynamic shared memory of a block, as i32.
  Value sharedMemory() {
    LLVM::GlobalOp global;
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module_.getBody());
      global = LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(i32(), 0), /*isConstant=*/false,
                                      LLVM::Linkage::External, "semdns_shared", Attribute(),
                                      /*alignment=*/16, /*addrSpace=*/3);
    }
    return LLVM::AddressOfOp::create(b, global);
  }
  /// A map of the zone tree, constant data of the image.
  Value table(StringRef name, ArrayRef<int32_t> values) {
    auto type = RankedTensorType::get({int64_t(values.size())}, i32());
    LLVM::GlobalOp global;
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module_.getBody());
      global = LLVM::GlobalOp::create(
          b, LLVM::LLVMArrayType::get(i32(), int64_t(values.size())), /*isConstant=*/true,
          LLVM::Linkage::Internal, ("semdns_" + name).str(), DenseElementsAttr::get(type, values),
          /*alignment=*/4, /*addrSpace=*/1);
    }
    return LLVM::AddrSpaceCastOp::create(b, ptr(), LLVM::AddressOfOp::create(b, global));
  }

  Value sum(Value x) { return redux(NVVM::ReduxKind::ADD, x); }
  Value largest(Value x) { return redux(NVVM::ReduxKind::MAX, x); }
  Value leastU(Value x) { return redux(NVVM::ReduxKind::UMIN, x); }

  /// The texts of this warp, as numbers in the block's tile.
  void eachText(llvm::function_ref<void(Value)> body) {
    loop(warp_, constant(shape_.tile), constant(shape_.threads / 32), {},
         [&](Value slot, ValueRange) -> Values {
           body(slot);
           return {};
         });
  }

  //===--- Pooling ---------------------------------------------------------------------------===//

  /// One text: the bias row and the known features' rows, summed; scaled to bytes; the gain.
  /// `lanes` lanes a row, `vector` words each, one beside the other, or, where dim is no such
  /// multiple, `parts` words each, 32 apart; several rows at once where a row takes fewer lanes.
  void pool(Value slot) {
    Value zero = constant(0);
    Value text = add(firstText_, slot);
    Value exists = ltU(text, count_);
    Value record = loadConstant(texts_, select(exists, text, zero), words(4), 16);
    Value begin = extract(record, 0), rows = extract(record, 1), norm = extract(record, 2);
    Value done = orI(eq(exists, constant(0, b.getI1Type())), eq(rows, constant(-1)));
    rows = select(done, zero, rows);
    Value rowIds = address(rows_, begin, i32());

    int64_t lanes = 4;
    while (lanes < 32 && lanes < words_)
      lanes *= 2;
    const int64_t groups = 32 / lanes;
    const bool contiguous = words_ % 32 == 0 && llvm::is_contained({32, 64, 128}, words_);
    const int64_t parts = (words_ + lanes - 1) / lanes;
    Value column = andI(lane_, constant(lanes - 1)), group = shrU(lane_, llvm::Log2_64(lanes));
    auto wordAt = [&](int64_t part) {
      return contiguous ? add(mul(column, constant(parts)), constant(part))
                        : add(column, constant(part * lanes));
    };
    auto loadRow = [&](Value row) -> Values {
      Value base = address(table_, mul(wide(row), constant(dim_, i64())), i8());
      Values loaded;
      if (contiguous) {
        Value vector = loadConstant(address(base, mul(column, constant(parts * 4)), i8()), zero,
                                    parts == 1 ? i32() : words(parts), unsigned(parts * 4));
        for (int64_t part = 0; part < parts; ++part)
          loaded.push_back(parts == 1 ? vector : extract(vector, part));
      } else {
        // Lanes beyond the row read its last word, and what they sum is dropped below.
        for (int64_t part = 0; part < parts; ++part)
          loaded.push_back(loadConstant(base, minU(wordAt(part), constant(words_ - 1)), i32(), 4));
      }
      return loaded;
    };
    auto addWord = [&](Value four, MutableArrayRef<Value> sums) {
      for (int64_t k = 0; k < 4; ++k) // one byte of the four
        sums[k] = dp4a(four, constant(int64_t(1) << 8 * k), sums[k]);
    };

    // The sum starts at the bias row, in the first group.
    Values sums(size_t(4 * parts), zero);
    Value firstGroup = eq(group, zero);
    Values bias = loadRow(zero);
    for (int64_t part = 0; part < parts; ++part)
      addWord(select(firstGroup, bias[size_t(part)], zero),
              MutableArrayRef<Value>(sums).slice(size_t(4 * part), 4));
    // Batches of row numbers, 32 at most, one a lane; eight rows in flight.
    const int64_t together = std::max<int64_t>(1, 8 / groups);
    sums = loop(zero, rows, constant(32), sums, [&](Value base, ValueRange carried) -> Values {
      Value mine = add(base, lane_);
      Value id =
          ifElse(ltS(mine, rows), [&]() -> Values { return {loadConstant(rowIds, mine, i32())}; },
                 {constant(-1)})[0];
      Value many = minS(sub(rows, base), constant(32));
      return loop(zero, many, constant(together * groups), carried,
                  [&](Value j, ValueRange partial) -> Values {
                    SmallVector<Values> loaded;
                    Values known;
                    for (int64_t u = 0; u < together; ++u) {
                      Value from = add(add(j, constant(u * groups)), group);
                      Value row = shuffle(id, from);
                      known.push_back(ne(row, constant(-1)));
                      loaded.push_back(loadRow(select(known.back(), row, zero)));
                    }
                    Values next(partial);
                    for (int64_t u = 0; u < together; ++u)
                      for (int64_t part = 0; part < parts; ++part)
                        addWord(select(known[size_t(u)], loaded[size_t(u)][size_t(part)], zero),
                                MutableArrayRef<Value>(next).slice(size_t(4 * part), 4));
                    return next;
                  });
    });
    for (int64_t apart = lanes; apart < 32; apart *= 2)
      for (Value &x : sums)
        x = add(x, shuffle(x, constant(apart), NVVM::ShflKind::bfly));

    Value peak = zero;
    for (int64_t part = 0; part < parts; ++part) {
      Value inside = ltU(wordAt(part), constant(words_));
      for (int64_t k = 0; k < 4; ++k) {
        Value &x = sums[size_t(4 * part + k)];
        if (words_ % lanes)
          x = select(inside, x, zero);
        peak = maxS(peak, maxS(x, sub(zero, x)));
      }
    }
    peak = largest(peak);
    Value ratio = divU(constant(int64_t(127) << 24), maxS(peak, constant(1)));
    Value row = mul(slot, constant(shape_.quantStride));
    for (int64_t part = 0; part < parts; ++part) {
      Value packed = zero;
      for (int64_t k = 0; k < 4; ++k) { // peak 0: every sum is 0, and so is q
        Value p = sums[size_t(4 * part + k)];
        Value q = shrS(add(mul(p, ratio), constant(int64_t(1) << 23)), 24);
        packed = orI(packed, shl(andI(q, constant(255)), 8 * k));
      }
      Value writes = andI(firstGroup, ltU(wordAt(part), constant(words_)));
      ifThen(writes, [&] { storeWords(packed, sharedQuant_, add(row, wordAt(part))); });
    }
    const int64_t steps = (words_ + 15) / 16 * 16;
    if (steps > words_) // at most 12 words
      ifThen(ltU(lane_, constant(steps - words_)),
             [&] { storeWords(zero, sharedQuant_, add(row, add(lane_, constant(words_)))); });

    Value product = mul(constant(program_.weigh.getGain(), i64()), wide(peak));
    Value gain = narrow(minU(divU(product, wide(maxU(norm, constant(1)))),
                             constant((int64_t(1) << 24) - 1, i64())));
    ifThen(eq(lane_, zero), [&] { storeWords(gain, sharedGain_, slot); });
  }

  //===--- Scoring ---------------------------------------------------------------------------===//

  /// All texts of the tile against all classes, 32 classes a warp at a time and 64 dimensions a
  /// step. The hardware wants, of 32 dimensions, four here and four 16 further on from each lane;
  /// as sums do not mind the order, each lane takes 16 dimensions in a row, and of the classes four
  /// in a row, so that texts and classes come in 16 bytes a load.
  void score() {
    const int64_t halves = shape_.tile / 16;
    const int64_t steps = (words_ + 15) / 16, blocks = padded_ / 16;
    Value zero = constant(0);
    Value quarter = andI(lane_, constant(3)), row = shrU(lane_, 2);
    Value column = mul(quarter, constant(4)); // word of a step, and four on
    loop(warp_, constant((classes_ + 31) / 32), constant(shape_.threads / 32), {},
         [&](Value chunk, ValueRange) -> Values {
           // 16 classes are one line of CENT; a lane reads four of them.
           Value line = minU(add(shl(chunk, 1), shrU(row, 2)), constant(blocks - 1));
           Value lanes = mul(andI(row, constant(3)), constant(4));
           Value group = divU(line, constant(layout_)), part = remU(line, constant(layout_));
           Value begin =
               add(mul(add(mul(group, constant(words_ * layout_)), part), constant(16)), lanes);
           const int64_t lineWords = 16 * layout_; // from one word of a class to the next
           Value classBase = address(vectors_, begin, i32());
           Value textBase =
               wordAddress(sharedQuant_, add(mul(row, constant(shape_.quantStride)), column));
           auto takeStep = [&](Value step, ValueRange carried) -> Values {
             SmallVector<Value> classes, texts;
             Value first = add(mul(step, constant(16)), column);
             for (int64_t i = 0; i < 4; ++i) {
               Value word = add(first, constant(i));
               if (words_ % 16) // beyond the last dimension the texts are 0: any class will do
                 word = minU(word, constant(words_ - 1));
               classes.push_back(loadConstant(
                   address(classBase, mul(word, constant(lineWords)), i32()), zero, words(4), 16));
             }
             for (int64_t eight = 0; eight < 2 * halves; ++eight)
               texts.push_back(loadWords(
                   textBase, add(mul(step, constant(16)), constant(8 * eight * shape_.quantStride)),
                   words(4), 16));
             Values next(carried);
             for (int64_t k = 0; k < 4; k += 2)
               for (int64_t half = 0; half < halves; ++half) {
                 Value upper = texts[size_t(2 * half)], lower = texts[size_t(2 * half + 1)];
                 Values a = {extract(upper, k), extract(lower, k), extract(upper, k + 1),
                             extract(lower, k + 1)};
                 for (int64_t t = 0; t < 4; ++t) {
                   Values bs = {extract(classes[size_t(k)], t), extract(classes[size_t(k + 1)], t)};
                   auto slice = MutableArrayRef<Value>(next).slice(size_t(16 * half + 4 * t), 4);
                   llvm::copy(mma(a, bs, ValueRange(slice)), slice.begin());
                 }
               }
             return next;
           };
           Values accumulators(size_t(halves * 16), zero);
           if (steps <= 4)
             for (int64_t step = 0; step < steps; ++step)
               accumulators = takeStep(constant(step), accumulators);
           else
             accumulators = loop(zero, constant(steps), constant(1), accumulators, takeStep);
           // Of row r and r + 8 a lane holds eight classes in a row, one of each pair of tiles.
           for (int64_t half = 0; half < halves; ++half)
             for (int64_t lower = 0; lower < 2; ++lower)
               for (int64_t odd = 0; odd < 2; ++odd) {
                 Values four;
                 for (int64_t t = 0; t < 4; ++t)
                   four.push_back(accumulators[size_t(16 * half + 4 * t + 2 * lower + odd)]);
                 Value text = add(row, constant(16 * half + 8 * lower));
                 Value at = add(mul(text, constant(shape_.scoreStride)),
                                add(mul(chunk, constant(32)),
                                    add(mul(quarter, constant(8)), constant(4 * odd))));
                 storeWords(pack(four), scores_, at, 16);
               }
           return {};
         });
  }

  //===--- Answering -------------------------------------------------------------------------===//

  /// What a text's scores are seen through.
  struct Weighing {
    Value scores; ///< of this text
    Value top, gain;
    Value limit; ///< of "Arithmetic"
    Value near;  ///< beyond it every weight is 0, up to it no shift is by more than 31
    Value total;
  };
  /// Q16 weight of a score: 2^-x for x = difference to the best in 1/256 bit. Entries that are no
  /// class have the least of all scores: they weigh nothing but where gain is 0.
  Value weightOf(const Weighing &w, Value s) {
    Value x = shrU(mul(minU(sub(w.top, s), w.near), w.gain), 16);
    Value fraction = loadWords(sharedExp2_, andI(x, constant(255)), i32());
    return shrU(fraction, shrU(x, 8)); // at most 2^16: none left from 17 on
  }
  Value share(const Weighing &w, Value weight) {
    return narrow(divU(shl(wide(weight), 16), wide(w.total)));
  }
  /// Four scores at a time; `body` gets the first one's class and the scores.
  Values eachFour(const Weighing &w, ValueRange inits,
                  llvm::function_ref<Values(Value, ArrayRef<Value>, ValueRange)> body) {
    return loop(mul(lane_, constant(4)), constant(shape_.roundedClasses), constant(128), inits,
                [&](Value c, ValueRange carried) -> Values {
                  Value four = loadWords(w.scores, c, words(4), 16);
                  Values s;
                  for (int64_t i = 0; i < 4; ++i)
                    s.push_back(extract(four, i));
                  return body(c, s, carried);
                });
  }
  /// Q16 share of the classes of a zone (uniform).
  Value confidence(const Weighing &w, Value zone, Value classBegin, Value classEnd) {
    Value begin = loadConstant(classBegin, zone, i32());
    Value end = loadConstant(classEnd, zone, i32());
    Value part = loop(add(begin, lane_), end, constant(32), {constant(0)},
                      [&](Value c, ValueRange carried) -> Values {
                        return {add(carried[0], weightOf(w, loadWords(w.scores, c, i32())))};
                      })[0];
    return share(w, sum(part));
  }

  void answer(Value slot) {
    Value zero = constant(0), one = constant(1), none = constant(-1), least = constant(INT32_MIN);
    Value text = add(firstText_, slot);
    Value exists = ltU(text, count_);
    Value record = loadConstant(texts_, select(exists, text, zero), words(4), 16);
    Value rows = extract(record, 1), info = extract(record, 3);
    ifThen(andI(exists, ne(rows, none)), [&] {
      Weighing w;
      Value at = mul(slot, constant(shape_.scoreStride));
      if (shape_.scoreWords)
        at = wide(at);
      w.scores = wordAddress(scores_, at);
      // What the classes leave of their last 128.
      loop(add(lane_, constant(classes_)), constant(shape_.roundedClasses), constant(32), {},
           [&](Value c, ValueRange) -> Values {
             storeWords(least, w.scores, c);
             return {};
           });
      barrierOfWarp();
      w.gain = loadWords(sharedGain_, slot, i32());
      w.limit = divU(constant(INT32_MAX), maxU(w.gain, one));
      // As gain < 2^24, this times gain is above 31 * 2^24.
      w.near = divU(constant((int64_t(1) << 29) - 1), maxU(w.gain, one));
      // The best class and the two largest scores, of each lane and then of all.
      Values seen = eachFour(w, {least, none, least},
                             [&](Value c, ArrayRef<Value> s, ValueRange carried) -> Values {
                               Value best = carried[0], bestClass = carried[1], next = carried[2];
                               for (int64_t i = 0; i < 4; ++i) { // ties to the lowest class
                                 Value better = ltS(best, s[size_t(i)]);
                                 next = maxS(next, minS(best, s[size_t(i)]));
                                 bestClass = select(better, add(c, constant(i)), bestClass);
                                 best = select(better, s[size_t(i)], best);
                               }
                               return {best, bestClass, next};
                             });
      w.top = largest(seen[0]);
      Value holds = eq(seen[0], w.top);
      Value topClass = leastU(select(holds, seen[1], none));
      Value holders = sum(arith::ExtUIOp::create(b, i32(), holds));
      Value secondScore =
          select(ltU(one, holders), w.top, largest(select(holds, seen[2], seen[0])));
      Value total =
          sum(eachFour(w, {zero}, [&](Value, ArrayRef<Value> s, ValueRange carried) -> Values {
            Value part = carried[0];
            for (Value score : s)
              part = add(part, weightOf(w, score));
            return {part};
          })[0]);
      const int64_t others = (shape_.roundedClasses - classes_) * 65536;
      w.total = sub(total, select(eq(w.gain, zero), constant(others), zero));
      decide(w, text, rows, info, topClass, secondScore);
    });
  }

  void decide(const Weighing &w, Value text, Value rows, Value info, Value topClass,
              Value secondScore) {
    Value zero = constant(0), one = constant(1), none = constant(-1);
    ArrayRef<int32_t> zones = program_.select.getZones();
    const int64_t rootClass = !zones.empty() && zones[0] == 0 ? 1 : 0;
    Value classZone = table("class_zone", zones);
    Value classBegin = table("class_begin", program_.climb.getClassBegin());
    Value classEnd = table("class_end", program_.climb.getClassEnd());
    Value parent = table("parent", program_.climb.getParents());

    // The best class has weight 65536.
    Value margin =
        classes_ == 1 ? constant(65536) : share(w, sub(constant(65536), weightOf(w, secondScore)));
    // The root's own class is no best guess: then the first of those that come next.
    Value best = topClass, bestScore = w.top;
    if (rootClass && classes_ > rootClass) {
      Value rootLeads = eq(topClass, zero);
      bestScore = select(rootLeads, secondScore, w.top);
      best = ifElse(rootLeads,
                    [&]() -> Values {
                      Value mine = eachFour(
                          w, {none}, [&](Value c, ArrayRef<Value> s, ValueRange carried) -> Values {
                            Value first = carried[0];
                            for (int64_t i = 3; i >= 0; --i) {
                              Value k = add(c, constant(i));
                              Value found = andI(eq(s[size_t(i)], secondScore), ne(k, zero));
                              first = minU(first, select(found, k, none));
                            }
                            return {first};
                          })[0];
                      return {leastU(mine)};
                    },
                    {topClass})[0];
    }
    Value bestZone = classes_ == rootClass ? zero : loadConstant(classZone, best, i32());

    Value sure = constant(65536);
    Value bestConfidence =
        select(eq(bestZone, zero), sure, confidence(w, bestZone, classBegin, classEnd));
    // Differences of scores fit 25 bits.
    Value odds = constant(INT32_MAX);
    Value evidence = ne(rows, zero), accepted = evidence;
    if (rootClass && classes_ > rootClass) {
      Value lead = sub(bestScore, loadWords(w.scores, zero, i32()));
      Value behind = ltS(lead, zero);
      Value size = shrU(mul(minS(select(behind, sub(zero, lead), lead), w.limit), w.gain), 16);
      odds = select(behind, sub(zero, size), size);
      Value enough = loadConstant(rootOdds_, zero, i32());
      accepted = andI(evidence, compare(arith::CmpIPredicate::sge, odds, enough));
    }
    Values answer = loop(zero, constant(program_.climb.getSteps()), one,
                         {select(accepted, bestZone, zero), select(accepted, bestConfidence, sure)},
                         [&](Value, ValueRange carried) -> Values {
                           Value zone = carried[0], sureness = carried[1];
                           Value unsure = ltU(sureness, loadConstant(thresholds_, zone, i32()));
                           return ifElse(andI(ne(zone, zero), unsure),
                                         [&]() -> Values {
                                           Value up = loadConstant(parent, zone, i32());
                                           Value there = confidence(w, up, classBegin, classEnd);
                                           return {up, select(eq(up, zero), sure, there)};
                                         },
                                         {zone, sureness});
                         });
    Value noEvidence =
        constant(SEMDNS_KERNEL_STAGE_NONE | SEMDNS_KERNEL_NO_EVIDENCE << SEMDNS_GPU_FLAG_SHIFT);
    Value stage = select(evidence, constant(SEMDNS_KERNEL_STAGE_EMBEDDING), noEvidence);
    ifThen(eq(lane_, zero), [&] {
      static_assert(FIELD(zone) == 0 && FIELD(info) == 7);
      Value place = address(answers_, mul(wide(text), constant(8, i64())), i32());
      storeWords(pack({answer[0], bestZone, answer[1], bestConfidence}), place, zero, 16);
      storeWords(pack({margin, odds, topClass, orI(info, stage)}), place, constant(4), 16);
    });
  }
#undef FIELD

  Program program_;
  GpuShape shape_;
  ::mlir::gpu::GPUModuleOp module_;
  int64_t dim_, words_, classes_, layout_, padded_;

  Value texts_, rows_, table_, vectors_, exp2_, thresholds_, rootOdds_, scores_, answers_, count_;
  Value sharedExp2_, sharedGain_, sharedQuant_;
  Value tid_, lane_, warp_, firstText_;
};

struct RouteToGpuPass : PassWrapper<RouteToGpuPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RouteToGpuPass)

  StringRef getArgument() const override { return "route-to-gpu"; }
  StringRef getDescription() const override { return "Add the GPU kernels of a routing program"; }
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
    auto program = Program::find(programs.front());
    if (failed(program))
      return signalPassFailure();
    ImplicitLocOpBuilder b(programs.front().getLoc(), &getContext());
    b.setInsertionPointToEnd(module.getBody());
    auto gpuModule = ::mlir::gpu::GPUModuleOp::create(b, "semdns_gpu");
    module->setAttr(::mlir::gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
    b.setInsertionPointToEnd(gpuModule.getBody());
    GpuShape shape = shapeOf(*program);
    Emitter emitter(b);
    emitRead(emitter, *program, shape);
    AnswerKernel(b, *program, shape, gpuModule).emit();
  }
};

} // namespace

GpuShape shapeFor(int64_t dim, int64_t classes, int64_t charMin, int64_t charMax) {
  GpuShape shape;
  const int64_t words = dim / 4, steps = (words + 15) / 16 * 16;
  shape.room = unsigned(std::max<int64_t>(3, charMax ? charMax - charMin + 1 : 0));
  shape.quantStride = steps % 32 == 0 ? steps + 16 : steps; // rows of a warp meet in no bank
  shape.roundedClasses = (classes + 127) / 128 * 128;
  shape.scoreStride = shape.roundedClasses + 4;
  shape.gainAt = 256;
  auto layOut = [&](int64_t tile, bool scoresInside) {
    shape.tile = tile;
    shape.quantAt = shape.gainAt + tile;
    shape.scoresAt = shape.quantAt + tile * shape.quantStride;
    shape.scoreWords = scoresInside ? 0 : shape.scoreStride;
    shape.sharedBytes = 4 * (shape.scoresAt + (scoresInside ? tile * shape.scoreStride : 0));
    return shape.sharedBytes <= kMostShared;
  };
  // Class vectors that the first cache holds may be read twice as often, for blocks half as large
  // of which more run side by side.
  const bool small = classes * dim <= (64 << 10);
  shape.threads = small ? 256 : 512;
  if ((small || !layOut(32, true)) && !layOut(16, true))
    layOut(16, false);
  return shape;
}

std::unique_ptr<mlir::Pass> createRouteToGpuPass() { return std::make_unique<RouteToGpuPass>(); }

} // namespace semdns::gpu
