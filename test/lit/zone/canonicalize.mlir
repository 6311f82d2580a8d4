// RUN: semdns-opt %s -canonicalize -split-input-file -verify-diagnostics | FileCheck %s

// Duplicate keywords become one with the sum of their weights, unless that is more than a term holds.
// CHECK-LABEL: @keywords
zone.hierarchy @keywords serial 1 zones 3 {
  zone.acceptance terms 7 votes 2 purity 0 confidence 60000
  zone.zone "" index 0 ttl 1 {
    // CHECK: zone.zone "a"
    zone.zone "a" index 1 ttl 1 {
      // CHECK-NEXT: zone.keyword "nda" weight 6
      // CHECK-NEXT: zone.keyword "lease" weight 1
      // CHECK-NEXT: zone.keyword "deed" weight 65535
      // CHECK-NEXT: zone.keyword "deed" weight 9
      // CHECK-NEXT: }
      zone.keyword "nda" weight 1
      zone.keyword "nda" weight 2
      zone.keyword "lease" weight 1
      zone.keyword "nda" weight 3
      zone.keyword "deed" weight 65535
      zone.keyword "deed" weight 9
    }
    // The same word in another zone is another vote.
    // CHECK: zone.keyword "nda" weight 1
    zone.zone "b" index 2 ttl 1 {
      zone.keyword "nda" weight 1
    }
  }
}

// -----

// Dead zones leave the program with a warning; the topmost one speaks for its subtree.
// CHECK-LABEL: @dead
zone.hierarchy @dead serial 1 zones 7 {
  zone.features dim 16 rows 1 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  zone.classifier 1 layout 1 gain 1
  zone.acceptance terms 5 votes 2 purity 0 confidence 60000
  // CHECK: zone.zone ""
  // CHECK-NEXT: zone.zone "alive" index 1
  // CHECK-NEXT: }
  // CHECK-NEXT: zone.zone "words" index 4
  // CHECK-NEXT: zone.terms 5
  // CHECK-NEXT: }
  // CHECK-NEXT: }
  zone.zone "" index 0 ttl 1 {
    zone.zone "alive" index 1 class 0 ttl 1 {
      // expected-warning @+1 {{zone 'leaf' (index 2) can never be answered}}
      zone.zone "leaf" index 2 ttl 1 {}
    }
    zone.zone "words" index 4 ttl 1 {
      zone.terms 5
    }
    // expected-warning @+1 {{zone 'top' (index 5) can never be answered}}
    zone.zone "top" index 5 ttl 1 {
      zone.zone "below" index 6 ttl 1 {}
    }
  }
}
