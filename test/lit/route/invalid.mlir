// RUN: semdns-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{zones is 0, must be 1..131072}}
route.program @p zones 0 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.root
}

// -----

// expected-error @+1 {{terms is 1048577, must be 0..1048576}}
route.program @p zones 2 terms 1048577 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.root
}

// -----

route.program @p zones 1 terms 0 {
  // expected-error @+1 {{block with no terminator}}
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  // expected-error @+1 {{occurs twice in one program}}
  %x, %y = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  // expected-error @+1 {{word_ngrams is 4, must be 1..3}}
  %w, %f = route.tokenize word_ngrams 4 char_ngrams 0 to 0
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  // expected-error @+1 {{char_ngrams are 1 to 3, must be 0 to 0 or within 2 to 6}}
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 1 to 3
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  // expected-error @+1 {{'keyword' is out of order: keyword comes before embedding, each once}}
  route.stage keyword {
    %h = route.match %w
    %v = route.vote %h
    %a = route.accept_votes %v at_least 1 purity 0
    route.answer %v if %a confidence 1 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    // expected-error @+1 {{block with no terminator}}
    %h = route.match %w
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    // expected-error @+1 {{does not belong into stage 'embedding'}}
    %h = route.match %w
    %v = route.vote %h
    route.answer %v never : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    %v = route.vote %h
    %a = route.accept_votes %v at_least 1 purity 0
    // expected-error @+1 {{needs either `if` or `never` with votes, and neither with a zone}}
    route.answer %v : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    %v = route.vote %h
    %a = route.accept_votes %v at_least 1 purity 0
    // expected-error @+1 {{confidence is 65537, must be 0..65536}}
    route.answer %v if %a confidence 65537 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    // expected-error @+1 {{parents has 3 entries, the program has 2 zones}}
    %v = route.vote %h parents [-1, -1, 0]
    %a = route.accept_votes %v at_least 1 purity 0
    route.answer %v if %a confidence 1 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    // expected-error @+1 {{parents of zone 1 is 1, must be -1 or a zone before it}}
    %v = route.vote %h parents [-1, 1]
    %a = route.accept_votes %v at_least 1 purity 0
    route.answer %v if %a confidence 1 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    %v = route.vote %h
    // expected-error @+1 {{at_least is 0, must be 1..4294967294}}
    %a = route.accept_votes %v at_least 0 purity 0
    route.answer %v if %a confidence 1 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage keyword {
    %h = route.match %w
    %v = route.vote %h
    // expected-error @+1 {{purity is 70000, must be 0..65536}}
    %a = route.accept_votes %v at_least 1 purity 70000
    route.answer %v if %a confidence 1 : !route.votes
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    // expected-error @+1 {{rows is 16777217, must be 1..16777216}}
    %r = route.lookup %f buckets 1 rows 16777217 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    // expected-error @+1 {{buckets is 0, must be 1..16777216}}
    %r = route.lookup %f buckets 0 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    // expected-error @+1 {{unknown_norm is 65536, must be 0..65535}}
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 65536
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    // expected-error @+1 {{dimension is 1040, must be a multiple of 16 up to 1024}}
    %p = route.pool %r : !route.pool<1040>
    %q = route.quantize %p : !route.pool<1040> -> !route.query<1040>
    %s = route.score %q layout 1 : !route.query<1040> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<1040> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    // expected-error @+1 {{dimension is 40, must be a multiple of 16 up to 1024}}
    %p = route.pool %r : !route.pool<40>
    %q = route.quantize %p : !route.pool<40> -> !route.query<40>
    %s = route.score %q layout 1 : !route.query<40> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<40> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    // expected-error @+1 {{turns 64 dimensions into 32}}
    %q = route.quantize %p : !route.pool<64> -> !route.query<32>
    %s = route.score %q layout 1 : !route.query<32> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<32> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    // expected-error @+1 {{layout is 3, must be 1, 2 or 4}}
    %s = route.score %q layout 3 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    // expected-error @+1 {{number of classes is 16385, must be 1..16384}}
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<16385>
    %g = route.weigh %s by %q gain 1 : !route.scores<16385>, !route.query<64> -> !route.weights<16385>
    %t = route.select %s zones [1] : !route.scores<16385>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<16385>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

// A query that no pool of legal size can give: the proof does not rest on the pool's check alone.
func.func @score(%q: !route.query<1041>) -> !route.scores<1> {
  // expected-error @+1 {{may overflow: a score can reach 16790289, the limit is 16777215}}
  %s = route.score %q layout 1 : !route.query<1041> -> !route.scores<1>
  return %s : !route.scores<1>
}

// -----

func.func @weigh(%s: !route.scores<40000>, %q: !route.query<16>) -> !route.weights<40000> {
  // expected-error @+1 {{may overflow: the sum of all weights can reach 2621440000, the limit is 2147483647}}
  %w = route.weigh %s by %q gain 1 : !route.scores<40000>, !route.query<16> -> !route.weights<40000>
  return %w : !route.weights<40000>
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    // expected-error @+1 {{gain is 16777217, must be 1..16777216}}
    %g = route.weigh %s by %q gain 16777217 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    // expected-error @+1 {{has zones for 2 classes, the scores have 1}}
    %t = route.select %s zones [0, 1] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    // expected-error @+1 {{zone 2 of class 0 does not ascend, or is not a zone of the program}}
    %t = route.select %s zones [2] : !route.scores<1>
    %accept = route.acceptance
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    // expected-error @+1 {{parent of zone 1 is 1, must be a zone before it (0 for the root)}}
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 1] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    // expected-error @+1 {{zone 1 has the classes 0 to 2, which are not within 0 to 1}}
    %z = route.climb %t with %g on %r by %accept steps 1 parents [0, 0] classes [0, 0] to [1, 2] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

route.program @p zones 2 terms 1 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %r = route.lookup %f buckets 1 rows 1 unknown_norm 0
    %p = route.pool %r : !route.pool<64>
    %q = route.quantize %p : !route.pool<64> -> !route.query<64>
    %s = route.score %q layout 1 : !route.query<64> -> !route.scores<1>
    %g = route.weigh %s by %q gain 1 : !route.scores<1>, !route.query<64> -> !route.weights<1>
    %t = route.select %s zones [1] : !route.scores<1>
    %accept = route.acceptance
    // expected-error @+1 {{steps is 17, must be 0..16}}
    %z = route.climb %t with %g on %r by %accept steps 17 parents [0, 0] classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %z : !route.zone
  }
  route.root
}

// -----

func.func @dot4(%a: vector<16xi32>, %b: vector<32xi8>) -> vector<16xi32> {
  // expected-error @+1 {{needs 4 bytes a lane: 16 lanes, 32 bytes}}
  %0 = route.dot4 %a, %b, %b : vector<16xi32>, vector<32xi8>
  return %0 : vector<16xi32>
}

// -----

func.func @dot4(%a: vector<16xi32>, %b: vector<64xi8>) -> vector<16xi32> {
  // expected-error @+1 {{lhs_bias is 64, must be 0 or 128}}
  %0 = route.dot4 %a, %b, %b {lhs_bias = 64 : i32} : vector<16xi32>, vector<64xi8>
  return %0 : vector<16xi32>
}

// -----

route.program @p zones 3 terms 0 {
  %w, %f = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %rows = route.lookup %f buckets 20 rows 100 unknown_norm 900
    %pool = route.pool %rows : !route.pool<16>
    %query = route.quantize %pool : !route.pool<16> -> !route.query<16>
    %accept = route.acceptance
    // expected-error @+1 {{width is 9, must be 1..8}}
    %z = route.descend %query on %rows by %accept classes 20 entries 48 nodes 3 levels 2 room 16 width 9 spread 5 gain 5000 : !route.query<16>
    route.answer %z : !route.zone
  }
  route.root
}
