// A descent is the micro-kernel's, the scores of a node are the program's: one loop over blocks of 16
// entries, dot4 after dot4, that reads the query and one stream.
// RUN: semdns-opt %s -route-to-vector | FileCheck %s
// RUN: semdns-opt %s -route-to-vector=lhs-bias=128 | FileCheck %s --check-prefix=BIAS

// CHECK: func.func private @uk_descend(
// CHECK-LABEL: func.func @semdns_score_node(
// CHECK: scf.for
// CHECK-COUNT-4: route.dot4
// CHECK-NOT: route.dot4
// CHECK: vector.store
// CHECK-LABEL: func.func @semdns_route_body(
// CHECK-NOT: route.dot4
// CHECK: call @uk_descend(
// BIAS-LABEL: func.func @semdns_score_node(
// BIAS: vector.load %arg1{{.*}} vector<16xi32>
// BIAS-COUNT-4: route.dot4 {{.*}} {lhs_bias = 128 : i32}
route.program @descends zones 21 terms 0 {
  %words, %features = route.tokenize word_ngrams 2 char_ngrams 3 to 5
  route.stage embedding {
    %rows = route.lookup %features buckets 20 rows 100 unknown_norm 900
    %pool = route.pool %rows : !route.pool<16>
    %query = route.quantize %pool : !route.pool<16> -> !route.query<16>
    %accept = route.acceptance
    %zone = route.descend %query on %rows by %accept classes 20 entries 48 nodes 3 levels 2 room 16 width 2 spread 5 gain 5000 : !route.query<16>
    route.answer %zone : !route.zone
  }
  route.root
}
