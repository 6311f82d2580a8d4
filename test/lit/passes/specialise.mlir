// Two hierarchies give two programs: what a hierarchy does not need is not there.
// RUN: semdns-opt %s -canonicalize -zone-to-route -canonicalize -route-to-vector -canonicalize -cse -split-input-file | FileCheck %s

// Two levels, keywords, all kinds of features.
// CHECK-DAG: @uk_match
// CHECK-DAG: memref.global {{.*}} @parents
// CHECK-LABEL: func.func @semdns_route_body(
// CHECK: call @uk_tokenise(%arg4, %arg0, %arg1, %c2_i32, %c3_i32, %c5_i32, %c0_i32
// CHECK: call @uk_match
// CHECK-COUNT-3: math.cttz
// CHECK-NOT: math.cttz
// CHECK: arith.muli %{{.*}}, %c5000_i64
// CHECK: scf.while
zone.hierarchy @deep serial 7 zones 5 {
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
    zone.zone "med" index 4 class 2 ttl 60 {}
  }
}

// -----

// One level, words only: no automaton, no table, no climb beyond one comparison, one look-up loop; nothing is left of padding where 16 classes fill 16 lanes.
// CHECK-NOT: @uk_match
// CHECK-NOT: memref.global
// CHECK-LABEL: func.func @semdns_route_body(
// CHECK: call @uk_tokenise(%arg4, %arg0, %arg1, %c1_i32, %c0_i32, %c0_i32, %c1_i32
// CHECK-COUNT-1: math.cttz
// CHECK-NOT: math.cttz
// CHECK-NOT: scf.while
// CHECK: memref.load %arg13
// CHECK-NEXT: arith.cmpi ule
// CHECK-NOT: scf.while
zone.hierarchy @flat serial 7 zones 17 {
  zone.features dim 16 rows 100 buckets 20 word_ngrams 1 char_ngrams 0 to 0 punct unknown_norm 0
  zone.classifier 16 layout 1 gain 77
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 class 0 ttl 60 {}
    zone.zone "b" index 2 class 1 ttl 60 {}
    zone.zone "c" index 3 class 2 ttl 60 {}
    zone.zone "d" index 4 class 3 ttl 60 {}
    zone.zone "e" index 5 class 4 ttl 60 {}
    zone.zone "f" index 6 class 5 ttl 60 {}
    zone.zone "g" index 7 class 6 ttl 60 {}
    zone.zone "h" index 8 class 7 ttl 60 {}
    zone.zone "i" index 9 class 8 ttl 60 {}
    zone.zone "j" index 10 class 9 ttl 60 {}
    zone.zone "k" index 11 class 10 ttl 60 {}
    zone.zone "l" index 12 class 11 ttl 60 {}
    zone.zone "m" index 13 class 12 ttl 60 {}
    zone.zone "n" index 14 class 13 ttl 60 {}
    zone.zone "o" index 15 class 14 ttl 60 {}
    zone.zone "p" index 16 class 15 ttl 60 {}
  }
}

// -----

// Keywords alone: nothing of stage 2 is left.
// CHECK-LABEL: func.func @semdns_route_body(
// CHECK: call @uk_match
// CHECK-NOT: route.dot4
// CHECK-NOT: vector.gather
// CHECK-NOT: math.cttz
// CHECK: return
zone.hierarchy @keywords serial 7 zones 2 {
  zone.acceptance terms 3 votes 2 purity 0 confidence 64000
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 ttl 60 {
      zone.terms 3
    }
  }
}
