// Every operation of the zone dialect prints as it is written, and generically as well.
// RUN: semdns-opt %s | semdns-opt | FileCheck %s
// RUN: semdns-opt %s --mlir-print-op-generic | semdns-opt | FileCheck %s

// CHECK-LABEL: zone.hierarchy @demo serial 2026112301 zones 4 {
zone.hierarchy @demo serial 2026112301 zones 4 {
  // CHECK-NEXT: zone.engine @general tier root context 0 cost 0{{$}}
  zone.engine @general tier root context 0 cost 0
  // CHECK-NEXT: zone.engine @"legal-7b" tier subdomain context 32768 cost 400000000 region "eu"
  zone.engine @"legal-7b" tier subdomain context 32768 cost 400000000 region "eu"
  // CHECK-NEXT: zone.features dim 64 rows 100 buckets 20 word_ngrams 2 char_ngrams 3 to 5 punct unknown_norm 900
  zone.features dim 64 rows 100 buckets 20 word_ngrams 2 char_ngrams 3 to 5 punct unknown_norm 900
  // CHECK-NEXT: zone.classifier 3 layout 1 gain 5000
  zone.classifier 3 layout 1 gain 5000
  // CHECK-NEXT: zone.acceptance terms 13 votes 2 purity 40000 confidence 64000
  zone.acceptance terms 13 votes 2 purity 40000 confidence 64000
  // CHECK-NEXT: zone.zone "" index 0 class 0 ttl 3600 engines [@general] weights [1] {
  zone.zone "" index 0 class 0 ttl 3600 engines [@general] weights [1] {
    // CHECK-NEXT: zone.zone "legal" index 1 ttl 3600 engines [@"legal-7b", @general] weights [3, 1] {
    zone.zone "legal" index 1 ttl 3600 engines [@"legal-7b", @general] weights [3, 1] {
      // CHECK-NEXT: zone.zone "contracts" index 2 class 1 ttl 60 {
      zone.zone "contracts" index 2 class 1 ttl 60 {
        // CHECK-NEXT: zone.keyword "indemnity" weight 2
        zone.keyword "indemnity" weight 2
        // CHECK-NEXT: zone.terms 12
        zone.terms 12
      }
      // Escaped and non-ASCII bytes as DNS text has them; a folded chain has several labels.
      // CHECK: zone.zone "\\045x\\.1.t\C3\BCrts" index 3 class 2 ttl 0 {
      zone.zone "\\045x\\.1.türts" index 3 class 2 ttl 0 {
      }
    }
  }
}

// A stage 1 that never answers, and no stage 2.
// CHECK-LABEL: zone.hierarchy @keywords serial 1 zones 2 {
zone.hierarchy @keywords serial 1 zones 2 {
  // CHECK-NEXT: zone.acceptance terms 1 purity 65536 confidence 0
  zone.acceptance terms 1 purity 65536 confidence 0
  zone.zone "" index 0 ttl 3600 {
    zone.zone "a" index 1 ttl 3600 {
      zone.keyword "alpha" weight 1
    }
  }
}
