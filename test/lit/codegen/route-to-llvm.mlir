// Down to the LLVM dialect: plain pointers for static memrefs, nothing of other dialects left.
// RUN: semdns-opt %s --route-to-llvm=isa=x86-64-v4+vnni | FileCheck %s

// CHECK: llvm.func @dot(%arg0: !llvm.ptr, %arg1: !llvm.ptr, %arg2: !llvm.ptr)
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK-NOT: {{(arith|vector|memref|scf|cf|func|builtin)\.[a-z_]+}} 
// CHECK: llvm.return
func.func @dot(%q: memref<64xi8>, %v: memref<64xi8>, %out: memref<16xi32>) {
  %c0 = arith.constant 0 : index
  %acc = vector.load %out[%c0] : memref<16xi32>, vector<16xi32>
  %a = vector.load %q[%c0] : memref<64xi8>, vector<64xi8>
  %b = vector.load %v[%c0] : memref<64xi8>, vector<64xi8>
  %r = route.dot4 %acc, %a, %b {lhs_bias = 128 : i32} : vector<16xi32>, vector<64xi8>
  vector.store %r, %out[%c0] : memref<16xi32>, vector<16xi32>
  return
}
