// RUN: semdns-opt %s -zone-to-route -split-input-file | FileCheck %s --implicit-check-not=zone.zone --implicit-check-not=zone.hierarchy

// Both stages, two levels.
// CHECK-LABEL: route.program @full zones 6 terms 5 {
// CHECK-NEXT: %[[W:.*]], %[[F:.*]] = route.tokenize word_ngrams 2 char_ngrams 3 to 5
// CHECK-NEXT: route.stage keyword {
// CHECK-NEXT:   %[[H:.*]] = route.match %[[W]]
// Zone 2's votes count for zone 1's purity; zone 4 has no ancestor with keywords.
// CHECK-NEXT:   %[[V:.*]] = route.vote %[[H]] parents [-1, -1, 1, -1, -1, -1]
// CHECK-NEXT:   %[[A:.*]] = route.accept_votes %[[V]] at_least 2 purity 40000
// CHECK-NEXT:   route.answer %[[V]] if %[[A]] confidence 64000 : !route.votes
// CHECK-NEXT: }
// CHECK-NEXT: route.stage embedding {
// CHECK-NEXT:   route.lookup %[[F]] buckets 20 rows 100 unknown_norm 900
// CHECK-NEXT:   route.pool
// CHECK-NEXT:   route.quantize
// CHECK-NEXT:   route.score %{{.*}} layout 1 : !route.query<64> -> !route.scores<3>
// CHECK-NEXT:   route.weigh %{{.*}} by %{{.*}} gain 5000
// CHECK-NEXT:   route.select %{{.*}} zones [2, 3, 5]
// Thresholds come from the artifact. Zones 4 and 5 have the same class, but nobody knows which of
// them needs more confidence.
// CHECK-NEXT:   %[[T:.*]] = route.acceptance
// CHECK-NEXT:   route.climb {{.*}} by %[[T]] steps 2 parents [0, 0, 1, 1, 0, 4] classes [0, 0, 0, 1, 2, 2] to [3, 2, 1, 2, 3, 3]
// CHECK-NEXT:   route.answer
// CHECK-NEXT: }
// CHECK-NEXT: route.root
zone.hierarchy @full serial 7 zones 6 {
  zone.features dim 64 rows 100 buckets 20 word_ngrams 2 char_ngrams 3 to 5 unknown_norm 900
  zone.classifier 3 layout 1 gain 5000
  zone.acceptance terms 5 votes 2 purity 40000 confidence 64000
  zone.zone "" index 0 ttl 3600 {
    zone.zone "legal" index 1 ttl 3600 {
      zone.keyword "court" weight 1
      zone.zone "contracts" index 2 class 0 ttl 60 {
        zone.keyword "nda" weight 2
      }
      zone.zone "torts" index 3 class 1 ttl 60 {}
    }
    zone.zone "med" index 4 ttl 60 {
      zone.keyword "clinic" weight 2
      zone.zone "cardio" index 5 class 2 ttl 60 {}
    }
  }
}

// -----

// The root's own class: the best of the others must lead it.
// CHECK-LABEL: route.program @outside
// CHECK: %[[TOP:.*]] = route.select %{{.*}} zones [0, 1]
// CHECK: %[[O:.*]] = route.odds %[[TOP]] with
// CHECK-NEXT: route.climb %[[TOP]] {{.*}} odds %[[O]] steps 1
zone.hierarchy @outside serial 7 zones 2 {
  zone.features dim 16 rows 2 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  zone.classifier 2 layout 1 gain 1
  zone.zone "" index 0 class 0 ttl 3600 {
    zone.zone "a" index 1 class 1 ttl 60 {}
  }
}

// -----

// No keywords, no character n-grams.
// CHECK-LABEL: route.program @embedding zones 2 terms 0 {
// CHECK-NEXT: route.tokenize word_ngrams 1 char_ngrams 0 to 0
// CHECK-NEXT: route.stage embedding
// CHECK-NOT: route.match
// CHECK: steps 1
// CHECK: route.root
zone.hierarchy @embedding serial 7 zones 2 {
  zone.features dim 16 rows 2 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  zone.classifier 1 layout 1 gain 1
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 class 0 ttl 60 {}
  }
}

// -----

// Keywords alone.
// CHECK-LABEL: route.program @keywords zones 2 terms 3 {
// CHECK-NEXT: route.tokenize word_ngrams 1 char_ngrams 0 to 0
// CHECK-NEXT: route.stage keyword
// CHECK: route.answer %{{.*}} if
// CHECK-NEXT: }
// CHECK-NEXT: route.root
zone.hierarchy @keywords serial 7 zones 2 {
  zone.acceptance terms 3 votes 2 purity 0 confidence 64000
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 ttl 60 {
      zone.terms 3
    }
  }
}

// -----

// Stage 1 never answers: its winner is counted, no acceptance is computed.
// CHECK-LABEL: route.program @never
// CHECK: route.vote %{{[0-9]+$}}
// CHECK-NEXT: route.answer %{{.*}} never
// CHECK-NOT: accept_votes
zone.hierarchy @never serial 7 zones 3 {
  zone.acceptance terms 3 purity 65536 confidence 0
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 ttl 60 {
      zone.keyword "a" weight 1
      zone.zone "b" index 2 ttl 60 {
        zone.keyword "b" weight 1
      }
    }
  }
}

// -----

// A search tree: the stage goes down in one operation, and no map of zones enters the program.
// CHECK-LABEL: route.program @descends
// CHECK:   route.quantize
// CHECK-NEXT: %[[T:.*]] = route.acceptance
// CHECK-NEXT: route.descend %{{.*}} on %{{.*}} by %[[T]] classes 2 entries 48 nodes 3 levels 2 room 16 width 4 spread 5 gain 5000
// CHECK-NEXT: route.answer
// CHECK-NOT: route.score
zone.hierarchy @descends serial 7 zones 4 {
  zone.features dim 64 rows 100 buckets 20 word_ngrams 2 char_ngrams 3 to 5 unknown_norm 900
  zone.classifier 2 layout 1 gain 5000 beam 4 spread 5 entries 48 nodes 3 levels 2 room 16
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 ttl 60 {
      zone.zone "b" index 2 class 0 ttl 60 {}
      zone.zone "c" index 3 class 1 ttl 60 {}
    }
  }
}
