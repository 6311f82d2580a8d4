// The whole arithmetic, in order, for two levels with a class of the root's own.
// RUN: semdns-opt %s -route-to-vector -canonicalize -cse | FileCheck %s
// RUN: semdns-opt %s -route-to-vector=lhs-bias=128 -canonicalize -cse | FileCheck %s --check-prefix=BIAS
// RUN: semdns-opt %s -route-to-vector=pool-block=32 -canonicalize -cse | FileCheck %s --check-prefix=BLOCK

// Small maps are constants of the kernel, big tables arguments.
// CHECK-DAG: func.func private @uk_tokenise(!llvm.ptr, !llvm.ptr, i64, i32, i32, i32, i32, !llvm.ptr, memref<16384xi64>, memref<5xi32>)
// CHECK-DAG: func.func private @uk_match(!llvm.ptr, !llvm.ptr, i32, memref<64xi32>) -> i32
// CHECK-DAG: memref.global "private" constant @vote_parents : memref<21xi32> = dense<[-1, -1, 1, -1,
// CHECK-DAG: memref.global "private" constant @class_zone : memref<20xi32> = dense<[0, 2, 3,
// CHECK-DAG: memref.global "private" constant @parents : memref<21xi32> = dense<[0, 0, 1, 1, 0,
// CHECK-DAG: memref.global "private" constant @class_begin : memref<21xi32>
// CHECK-DAG: memref.global "private" constant @class_end : memref<21xi32>
// CHECK-NOT: memref.global

// The argument list is a contract with kernels/entry.cpp.
// CHECK-LABEL: func.func @semdns_route_body(
// CHECK-SAME: %arg0: !llvm.ptr, %arg1: i64, %arg2: i32, %arg3: i32, %arg4: !llvm.ptr, %arg5: !llvm.ptr, %arg6: memref<8xi32>, %arg7: memref<320xi32>, %arg8: memref<4800xi8>, %arg9: memref<100xi16>, %arg10: memref<1536xi8>, %arg11: memref<32xi32>, %arg12: memref<256xi32>, %arg13: memref<21xi32>, %arg14: i32, %arg15: !llvm.ptr, %arg16: memref<16384xi64>, %arg17: memref<16384xi32>, %arg18: memref<64xi32>, %arg19: memref<21xi32>, %arg20: memref<48xi32>, %arg21: memref<48xi8>, %arg22: memref<32xi32>, %arg23: memref<32xi32>, %arg24: memref<5xi32>, %arg25: memref<48xi32>, %arg26: !llvm.ptr, %arg27: !llvm.ptr, %arg28: !llvm.ptr)

// The tokeniser's options are constants, so that inlining specialises it.
// CHECK: call @uk_tokenise(%arg4, %arg0, %arg1, %c2_i32, %c3_i32, %c5_i32, %c0_i32, %arg15, %arg16, %arg24)

// Stage 1: vote, find the winner, add up its ancestors' votes, clear.
// CHECK: %[[HITS:.*]] = func.call @uk_match(%arg5, %arg15, %{{.*}}, %arg18)
// CHECK: scf.if {{.*}} -> (i32, i32, i32, i32)
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.get_global @vote_parents
// CHECK: scf.while
// CHECK: scf.for
// CHECK: memref.store %c0_i32, %arg19
// CHECK: arith.cmpi uge, %{{.*}}, %c2_i32 : i32
// CHECK: arith.muli %{{.*}}, %c40000_i64

// Look-up: character n-grams, unigrams, bigrams; one bucket line each, no branch on the data.
// CHECK-COUNT-3: vector.load %arg7{{.*}} vector<8xi32>
// CHECK: math.sqrt

// Pooling: 32 dimensions, then 16, in 16-bit lanes for 256 rows at a time.
// CHECK: scf.for %{{.*}} step %c256
// CHECK-NEXT: arith.addi
// CHECK-NEXT: arith.minui
// CHECK-NEXT: scf.for {{.*}} -> (vector<32xi16>)
// CHECK: scf.for %{{.*}} step %c256
// CHECK: scf.for {{.*}} -> (vector<16xi16>)

// Quantising: (127 << 24) / peak, rounded.
// CHECK: vector.reduction <maxsi>
// CHECK: arith.divui %c2130706432_i32
// CHECK: arith.trunci %{{.*}} : vector<16xi32> to vector<16xi8>

// Scoring: one broadcast of four dimensions serves both lines of the group.
// CHECK: scf.for %{{.*}} = %c0 to %c12 step %c1 iter_args(%{{.*}} = %cst{{.*}}, %{{.*}} = %cst{{.*}}) -> (vector<16xi32>, vector<16xi32>)
// CHECK: vector.load %arg21{{.*}} vector<4xi8>
// CHECK-COUNT-2: route.dot4 %{{.*}} : vector<16xi32>, vector<64xi8>
// CHECK-NOT: route.dot4
// 20 classes in 32 lanes: the last 12 never win.
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xi32>
// CHECK: vector.reduction <maxsi>
// CHECK: vector.reduction <minui>
// CHECK: vector.reduction <maxsi>

// Weights.
// CHECK: arith.muli %{{.*}}, %c5000_i64
// CHECK: arith.divui %c2147483647_i32
// CHECK: vector.gather %arg12
// CHECK: vector.reduction <add>

// Class 0 is the root's: when it leads, the guess is the next. Then the climb, table by table.
// CHECK: memref.get_global @class_zone
// CHECK: scf.if {{.*}} -> (i32, i32, i32)
// Its odds against class 0 decide first.
// CHECK: memref.load %arg22[%c0]
// CHECK: arith.cmpi slt, %{{.*}}, %arg14
// CHECK: memref.get_global @parents
// CHECK-NEXT: scf.while
// CHECK: memref.load %arg13
// CHECK: memref.get_global @class_begin

// Where the left side is biased, sums start at the offsets.
// BIAS-LABEL: func.func @semdns_route_body(
// BIAS: vector.load %arg11{{.*}} vector<16xi32>
// BIAS: vector.load %arg11{{.*}} vector<16xi32>
// BIAS-COUNT-2: route.dot4 {{.*}} {lhs_bias = 128 : i32}

// Smaller blocks: a loop over them, then the rest.
// BLOCK-LABEL: func.func @semdns_route_body(
// BLOCK: -> (vector<32xi16>)
// BLOCK: -> (vector<16xi16>)
route.program @two_levels zones 21 terms 2 {
  %words, %features = route.tokenize word_ngrams 2 char_ngrams 3 to 5
  route.stage keyword {
    %hits = route.match %words
    %votes = route.vote %hits parents [-1, -1, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]
    %ok = route.accept_votes %votes at_least 2 purity 40000
    route.answer %votes if %ok confidence 64000 : !route.votes
  }
  route.stage embedding {
    %rows = route.lookup %features buckets 20 rows 100 unknown_norm 900
    %pool = route.pool %rows : !route.pool<48>
    %query = route.quantize %pool : !route.pool<48> -> !route.query<48>
    %scores = route.score %query layout 2 : !route.query<48> -> !route.scores<20>
    %weights = route.weigh %scores by %query gain 5000 : !route.scores<20>, !route.query<48> -> !route.weights<20>
    %top = route.select %scores zones [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20] : !route.scores<20>
    %accept = route.acceptance
    %odds = route.odds %top with %weights : !route.weights<20>
    %zone = route.climb %top with %weights on %rows by %accept odds %odds steps 2
      parents [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      classes [0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
      to [20, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20] : !route.weights<20>
    route.answer %zone : !route.zone
  }
  route.root
}
