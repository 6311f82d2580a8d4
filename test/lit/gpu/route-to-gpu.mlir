// A routing program as two GPU kernels: bytes to rows, and rows to answers. Integers only.
// RUN: semdns-opt %s --route-to-gpu | FileCheck %s

// CHECK: module attributes {gpu.container_module}
// The program itself stays as it was.
// CHECK: route.program @demo
// CHECK: gpu.module @semdns_gpu
// CHECK-NOT: semdns_threshold
// Maps of the tree are constants of the image, thresholds are not.
// CHECK-DAG: llvm.mlir.global internal constant @semdns_class_zone(dense<[1, 2, 3]>
// CHECK-DAG: llvm.mlir.global internal constant @semdns_parent(dense<[0, 0, 1, 0]>
// CHECK-DAG: llvm.mlir.global external @semdns_shared() {addr_space = 3 : i32, alignment = 16 : i64}
// CHECK: gpu.func @semdns_kernel_read_gpu
// CHECK-SAME: kernel attributes {known_block_size = array<i32: 128, 1, 1>}
// The text with the program's options: word and character n-grams, punctuation, keywords, room.
// CHECK: llvm.call @uk_gpu_read
// CHECK: gpu.func @semdns_kernel_answer_gpu
// CHECK-SAME: kernel attributes {known_block_size = array<i32: 256, 1, 1>}
// Rows of eight features at once, four dimensions a lane and word.
// CHECK: nvvm.shfl.sync
// CHECK: nvvm.dot.accumulate.4way
// 16 texts against 32 classes and 64 dimensions a step: four tiles of classes, two halves of the
// dimensions.
// CHECK-COUNT-8: llvm.call_intrinsic "llvm.nvvm.mma.m16n8k32.row.col.s8"
// CHECK: nvvm.redux.sync max
// CHECK: gpu.return
// CHECK-NOT: llvm.atomicrmw
// CHECK-NOT: math.

route.program @demo zones 4 terms 0 {
  %words, %features = route.tokenize word_ngrams 2 char_ngrams 0 to 0
  route.stage embedding {
    %rows = route.lookup %features buckets 4 rows 10 unknown_norm 7
    %pool = route.pool %rows : !route.pool<16>
    %query = route.quantize %pool : !route.pool<16> -> !route.query<16>
    %scores = route.score %query layout 1 : !route.query<16> -> !route.scores<3>
    %weights = route.weigh %scores by %query gain 4096
      : !route.scores<3>, !route.query<16> -> !route.weights<3>
    %best = route.select %scores zones [1, 2, 3] : !route.scores<3>
    %accept = route.acceptance
    %zone = route.climb %best with %weights on %rows by %accept steps 2 parents [0, 0, 1, 0]
      classes [0, 0, 1, 2] to [3, 2, 2, 3] : !route.weights<3>
    route.answer %zone : !route.zone
  }
  route.root
}
