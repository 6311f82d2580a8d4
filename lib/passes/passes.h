/// \file The target-independent passes: zone -> route -> one function on vectors.
#pragma once

#include "mlir/Pass/Pass.h"

#include <memory>

namespace semdns::passes {

/// Name of the function that route-to-vector makes; kernels/entry.cpp calls it.
inline constexpr char kRouteBody[] = "semdns_route_body";
/// And of the one that scores a node of the search tree, where the program descends.
inline constexpr char kScoreNode[] = "semdns_score_node";

struct RouteToVectorOptions {
  /// 0, or 128 where the hardware multiplies unsigned by signed bytes (target/isa.h).
  int lhsBias = 0;
  /// Dimensions that pooling keeps in registers at a time: a multiple of 32.
  unsigned poolBlock = 128;
};

/// `zone-to-route`, on a module: replaces each zone.hierarchy by the route.program that routes
/// texts over it and holds nothing that the hierarchy cannot need. Run canonicalisation before it:
/// dead zones and chains should be gone.
std::unique_ptr<mlir::Pass> createZoneToRoutePass();

/// `route-to-vector{lhs-bias=N pool-block=N}`, on a module with one route.program: replaces it by
/// func.func @semdns_route_body (the argument list is in kernels/entry.cpp) in func, arith, scf,
/// vector, memref and route.dot4, the declarations of the micro-kernels it calls, and the small
/// maps (class to zone, parents, thresholds) as constants. Fails on more or fewer programs.
std::unique_ptr<mlir::Pass> createRouteToVectorPass(const RouteToVectorOptions &options = {});

/// Registers both by name, for semdns-opt.
void registerPasses();

} // namespace semdns::passes
