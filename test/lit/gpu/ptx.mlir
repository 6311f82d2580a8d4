// PTX without any CUDA, and without a call: twice the same bytes, but for the time that MLIR notes.
// Without keywords everything stays in registers and shared memory.
// RUN: opt -passes=forceattrs -force-attribute=alwaysinline %gpu_micro_kernels -o %t.bc
// RUN: semdns-opt %S/route-to-gpu.mlir --pass-pipeline='builtin.module(route-to-gpu,gpu-to-ptx{l=%t.bc})' | sed 's/ISATimeInMs = [0-9]*//' > %t.1
// RUN: semdns-opt %S/route-to-gpu.mlir --pass-pipeline='builtin.module(route-to-gpu,gpu-to-ptx{l=%t.bc})' | sed 's/ISATimeInMs = [0-9]*//' > %t.2
// RUN: cmp %t.1 %t.2
// RUN: FileCheck %s < %t.1
// RUN: not grep -E "call|[.]extern [.]func|__nv_|[.]local" %t.1

// CHECK: gpu.binary @semdns_gpu
// CHECK-SAME: .version 8.0
// CHECK-SAME: .target sm_80
// CHECK-SAME: .visible .entry semdns_kernel_read_gpu(
// CHECK-SAME: .maxntid 128, 1, 1
// CHECK-SAME: sqrt.rn.f64
// CHECK-SAME: .visible .entry semdns_kernel_answer_gpu(
// CHECK-SAME: .maxntid 256, 1, 1
// CHECK-SAME: ld.global.nc
// CHECK-SAME: dp4a.s32.s32
// CHECK-SAME: mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32
// CHECK-SAME: redux.sync.max.s32
// CHECK-SAME: ret;
