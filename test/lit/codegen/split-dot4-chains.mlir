// Loops that only add up route.dot4 get independent sums; others stay.
// RUN: semdns-opt %s --route-split-dot4-chains=chains=4 | FileCheck %s

// CHECK-LABEL: @sums
// CHECK: %[[STEP:.*]] = arith.constant 8 : index
// CHECK: %[[R:.*]]:4 = scf.for %[[I:.*]] = %c0 to %c64 step %[[STEP]] iter_args(
// CHECK-SAME: %{{.*}} = %arg0, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK-COUNT-4: route.dot4
// CHECK: arith.addi %[[R]]#0, %[[R]]#1
// CHECK: arith.addi %{{.*}}, %[[R]]#2
// CHECK: arith.addi %{{.*}}, %[[R]]#3
func.func @sums(%acc: vector<16xi32>, %q: memref<64x64xi8>, %v: memref<64x64xi8>) -> vector<16xi32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c64 = arith.constant 64 : index
  %r = scf.for %i = %c0 to %c64 step %c2 iter_args(%sum = %acc) -> vector<16xi32> {
    %a = vector.load %q[%i, %c0] : memref<64x64xi8>, vector<64xi8>
    %b = vector.load %v[%i, %c0] : memref<64x64xi8>, vector<64xi8>
    %next = route.dot4 %sum, %a, %b : vector<16xi32>, vector<64xi8>
    scf.yield %next : vector<16xi32>
  }
  return %r : vector<16xi32>
}

// An accumulator that something else reads cannot be split.
// CHECK-LABEL: @watched
// CHECK-COUNT-1: route.dot4
// CHECK-NOT: route.dot4
func.func @watched(%acc: vector<16xi32>, %a: vector<64xi8>, %out: memref<8x16xi32>) -> vector<16xi32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %r = scf.for %i = %c0 to %c8 step %c1 iter_args(%sum = %acc) -> vector<16xi32> {
    vector.store %sum, %out[%i, %c0] : memref<8x16xi32>, vector<16xi32>
    %next = route.dot4 %sum, %a, %a : vector<16xi32>, vector<64xi8>
    scf.yield %next : vector<16xi32>
  }
  return %r : vector<16xi32>
}

// Seven rounds do not divide.
// CHECK-LABEL: @seven
// CHECK-COUNT-1: route.dot4
// CHECK-NOT: route.dot4
func.func @seven(%acc: vector<16xi32>, %a: vector<64xi8>) -> vector<16xi32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %r = scf.for %i = %c0 to %c7 step %c1 iter_args(%sum = %acc) -> vector<16xi32> {
    %next = route.dot4 %sum, %a, %a : vector<16xi32>, vector<64xi8>
    scf.yield %next : vector<16xi32>
  }
  return %r : vector<16xi32>
}
