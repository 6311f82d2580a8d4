// Every operation and type of the route dialect prints as it is written, and generically as well.
// RUN: semdns-opt %s | semdns-opt | FileCheck %s
// RUN: semdns-opt %s --mlir-print-op-generic | semdns-opt | FileCheck %s

// CHECK-LABEL: route.program @demo zones 4 terms 2 {
route.program @demo zones 4 terms 2 {
  // CHECK-NEXT: %[[WORDS:.*]], %[[FEATURES:.*]] = route.tokenize word_ngrams 2 char_ngrams 3 to 5 punct
  %words, %features = route.tokenize word_ngrams 2 char_ngrams 3 to 5 punct
  // CHECK-NEXT: route.stage keyword {
  route.stage keyword {
    // CHECK-NEXT: %[[HITS:.*]] = route.match %[[WORDS]]
    %hits = route.match %words
    // CHECK-NEXT: %[[VOTES:.*]] = route.vote %[[HITS]] parents [-1, -1, 1, -1]
    %votes = route.vote %hits parents [-1, -1, 1, -1]
    // CHECK-NEXT: %[[OK:.*]] = route.accept_votes %[[VOTES]] at_least 2 purity 40000
    %ok = route.accept_votes %votes at_least 2 purity 40000
    // CHECK-NEXT: route.answer %[[VOTES]] if %[[OK]] confidence 64000 : !route.votes
    route.answer %votes if %ok confidence 64000 : !route.votes
  }
  // CHECK: route.stage embedding {
  route.stage embedding {
    // CHECK-NEXT: %[[ROWS:.*]] = route.lookup %[[FEATURES]] buckets 20 rows 100 unknown_norm 900
    %rows = route.lookup %features buckets 20 rows 100 unknown_norm 900
    // CHECK-NEXT: %[[POOL:.*]] = route.pool %[[ROWS]] : !route.pool<64>
    %pool = route.pool %rows : !route.pool<64>
    // CHECK-NEXT: %[[QUERY:.*]] = route.quantize %[[POOL]] : !route.pool<64> -> !route.query<64>
    %query = route.quantize %pool : !route.pool<64> -> !route.query<64>
    // CHECK-NEXT: %[[SCORES:.*]] = route.score %[[QUERY]] layout 1 : !route.query<64> -> !route.scores<3>
    %scores = route.score %query layout 1 : !route.query<64> -> !route.scores<3>
    // CHECK-NEXT: %[[WEIGHTS:.*]] = route.weigh %[[SCORES]] by %[[QUERY]] gain 5000 : !route.scores<3>, !route.query<64> -> !route.weights<3>
    %weights = route.weigh %scores by %query gain 5000 : !route.scores<3>, !route.query<64> -> !route.weights<3>
    // CHECK-NEXT: %[[TOP:.*]] = route.select %[[SCORES]] zones [1, 2, 3] : !route.scores<3>
    %top = route.select %scores zones [1, 2, 3] : !route.scores<3>
    // CHECK-NEXT: %[[ACCEPT:.*]] = route.acceptance
    %accept = route.acceptance
    // CHECK-NEXT: %[[ODDS:.*]] = route.odds %[[TOP]] with %[[WEIGHTS]] : !route.weights<3>
    %odds = route.odds %top with %weights : !route.weights<3>
    // CHECK-NEXT: %[[ZONE:.*]] = route.climb %[[TOP]] with %[[WEIGHTS]] on %[[ROWS]] by %[[ACCEPT]] odds %[[ODDS]] steps 2 parents [0, 0, 1, 0] classes [0, 0, 1, 2] to [3, 2, 2, 3] : !route.weights<3>
    %zone = route.climb %top with %weights on %rows by %accept odds %odds steps 2 parents [0, 0, 1, 0] classes [0, 0, 1, 2] to [3, 2, 2, 3] : !route.weights<3>
    // CHECK-NEXT: route.answer %[[ZONE]] : !route.zone
    route.answer %zone : !route.zone
  }
  // CHECK: route.root
  route.root
}

// CHECK-LABEL: route.program @descends
route.program @descends zones 5000 terms 0 {
  %words, %features = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %rows = route.lookup %features buckets 20 rows 100 unknown_norm 900
    %pool = route.pool %rows : !route.pool<64>
    %query = route.quantize %pool : !route.pool<64> -> !route.query<64>
    %accept = route.acceptance
    // CHECK: %[[ZONE:.*]] = route.descend %{{.*}} on %{{.*}} by %{{.*}} classes 4000 entries 4800 nodes 90 levels 3 room 80 width 4 spread 5 gain 5000 : !route.query<64>
    %zone = route.descend %query on %rows by %accept classes 4000 entries 4800 nodes 90 levels 3 room 80 width 4 spread 5 gain 5000 : !route.query<64>
    // CHECK-NEXT: route.answer %[[ZONE]] : !route.zone
    route.answer %zone : !route.zone
  }
  route.root
}

// CHECK-LABEL: route.program @guess
route.program @guess zones 2 terms 1 {
  %words, %features = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %hits = route.match %words
    // CHECK: %[[VOTES:.*]] = route.vote %{{[0-9]+$}}
    %votes = route.vote %hits
    // CHECK-NEXT: route.answer %[[VOTES]] never : !route.votes
    route.answer %votes never : !route.votes
  }
  route.root
}

// CHECK-LABEL: func.func @dot4
func.func @dot4(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> vector<16xi32> {
  // CHECK: route.dot4 %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<64xi8>
  %0 = route.dot4 %acc, %a, %b : vector<16xi32>, vector<64xi8>
  // CHECK: route.dot4 %{{.*}} {lhs_bias = 128 : i32} : vector<16xi32>, vector<64xi8>
  %1 = route.dot4 %0, %a, %b {lhs_bias = 128 : i32} : vector<16xi32>, vector<64xi8>
  return %1 : vector<16xi32>
}
