// route.dot4 in each level's instructions, in pieces of its vector width.
// RUN: semdns-opt %s --route-lower-dot4=isa=generic | FileCheck %s --check-prefix=GENERIC
// RUN: semdns-opt %s --route-lower-dot4=isa=x86-64-v2 | FileCheck %s --check-prefix=V2
// RUN: semdns-opt %s --route-lower-dot4=isa=x86-64-v3 | FileCheck %s --check-prefix=V3
// RUN: semdns-opt %s --route-lower-dot4=isa=x86-64-v4 | FileCheck %s --check-prefix=V4
// RUN: semdns-opt %s --route-lower-dot4=isa=x86-64-v4+vnni | FileCheck %s --check-prefix=VNNI
// RUN: not semdns-opt %s --route-lower-dot4=isa=pdp-11 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: unknown CPU level 'pdp-11'

// GENERIC-LABEL: @signed
// GENERIC-COUNT-4: arith.muli
// GENERIC-NOT: llvm.call_intrinsic
// GENERIC-NOT: route.dot4
// V2-LABEL: @signed
// V2-COUNT-4: llvm.x86.ssse3.psign.b.128
// V2-NOT: avx
// V3-LABEL: @signed
// V3: llvm.x86.avx2.psign.b
// V3: llvm.x86.avx2.pmadd.ub.sw
// V3: llvm.x86.avx2.pmadd.wd
// V3: llvm.x86.avx2.psign.b
// V4-LABEL: @signed
// V4: %[[NEGATIVE:.*]] = arith.cmpi slt, %arg1
// V4: arith.select %[[NEGATIVE]]
// V4: llvm.x86.avx512.pmaddubs.w.512
// V4: llvm.x86.avx512.pmaddw.d.512
// Without the bias the hardware's unsigned side is the magnitude.
// VNNI-LABEL: @signed
// VNNI: %[[MAGNITUDE:.*]] = arith.maxsi
// VNNI: %[[SIGNED:.*]] = arith.select
// VNNI: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%arg0, %[[MAGNITUDE]], %[[SIGNED]])
func.func @signed(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> vector<16xi32> {
  %r = route.dot4 %acc, %a, %b : vector<16xi32>, vector<64xi8>
  return %r : vector<16xi32>
}

// GENERIC-LABEL: @biased
// GENERIC-COUNT-4: arith.addi {{.*}}, %cst
// With the bias a level without mixed-sign hardware adds 128 times the right side.
// V3-LABEL: @biased
// V3: arith.constant dense<-128> : vector<32xi8>
// V3: llvm.x86.avx2.pmadd.ub.sw
// V3: llvm.x86.avx2.pmadd.ub.sw
// VNNI-LABEL: @biased
// VNNI: %[[TOP:.*]] = arith.constant dense<-128> : vector<64xi8>
// VNNI: %[[UNSIGNED:.*]] = arith.xori %arg1, %[[TOP]]
// VNNI: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%arg0, %[[UNSIGNED]], %arg2)
func.func @biased(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> vector<16xi32> {
  %r = route.dot4 %acc, %a, %b {lhs_bias = 128 : i32} : vector<16xi32>, vector<64xi8>
  return %r : vector<16xi32>
}

// A width that is no multiple of four lanes has no instruction: plain arithmetic.
// V3-LABEL: @odd
// V3-NOT: llvm.call_intrinsic
// V3: return
func.func @odd(%acc: vector<3xi32>, %a: vector<12xi8>, %b: vector<12xi8>) -> vector<3xi32> {
  %r = route.dot4 %acc, %a, %b : vector<3xi32>, vector<12xi8>
  return %r : vector<3xi32>
}
