// RUN: semdns-opt %s -canonicalize -split-input-file | FileCheck %s

// No zone has an ancestor with votes of its own: no table.
// CHECK-LABEL: @flat_votes
route.program @flat_votes zones 3 terms 1 {
  %words, %features = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %hits = route.match %words
    // CHECK: route.vote %{{[0-9]+$}}
    %votes = route.vote %hits parents [-1, -1, -1]
    %ok = route.accept_votes %votes at_least 1 purity 5
    route.answer %votes if %ok confidence 64000 : !route.votes
  }
  route.root
}

// -----

// What nobody reads goes.
// CHECK-LABEL: @unused
route.program @unused zones 3 terms 0 {
  %words, %features = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %rows = route.lookup %features buckets 1 rows 1 unknown_norm 0
    %pool = route.pool %rows : !route.pool<16>
    %query = route.quantize %pool : !route.pool<16> -> !route.query<16>
    // CHECK: = route.score
    // CHECK-NOT: = route.score
    %unused = route.score %query layout 2 : !route.query<16> -> !route.scores<1>
    %scores = route.score %query layout 1 : !route.query<16> -> !route.scores<1>
    %weights = route.weigh %scores by %query gain 1 : !route.scores<1>, !route.query<16> -> !route.weights<1>
    %top = route.select %scores zones [2] : !route.scores<1>
    // CHECK: route.climb
    %accept = route.acceptance
    %zone = route.climb %top with %weights on %rows by %accept steps 2 parents [0, 0, 1] classes [0, 0, 0] to [1, 1, 1] : !route.weights<1>
    route.answer %zone : !route.zone
  }
  route.root
}
