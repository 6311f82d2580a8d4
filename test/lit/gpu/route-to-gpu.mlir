// The embedding stage as one GPU kernel: whole blocks in lock step, integers only.
// RUN: semdns-opt %s --route-to-gpu | FileCheck %s

// CHECK: module attributes {gpu.container_module}
// The program itself stays as it was.
// CHECK: route.program @demo
// CHECK: gpu.module @semdns_gpu
// CHECK-NOT: semdns_threshold
// Maps of the tree are constants of the image, thresholds are not.
// CHECK-DAG: llvm.mlir.global internal constant @semdns_class_zone(dense<[1, 2, 3]>
// CHECK-DAG: llvm.mlir.global internal constant @semdns_parent(dense<[0, 0, 1, 0]>
// CHECK-DAG: llvm.mlir.global internal @semdns_pool() {addr_space = 3 : i32
// CHECK: gpu.func @semdns_kernel_route_gpu
// CHECK-SAME: kernel attributes {known_block_size = array<i32: 256, 1, 1>}
// Two look-ups' lines, four dimensions a thread, and the query against the classes.
// CHECK: nvvm.dot.accumulate.4way
// CHECK: llvm.atomicrmw add
// CHECK: nvvm.redux.sync add
// CHECK: nvvm.redux.sync max
// CHECK: gpu.return
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
