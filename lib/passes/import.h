/// \file From the trained model to the zone dialect: where the compiler starts.
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <string>

namespace semdns::passes {

struct ImportOptions {
  std::string name = "hierarchy"; ///< the artifact's name
  uint64_t serial = 1;
  uint32_t layout = 1;      ///< CENT's layout: 1, 2 or 4
  uint32_t bucketCount = 1; ///< TOKV's buckets, as the packer chose them
  /// Terms written out per zone; the rest is counted (they are in KEYW, the compiler needs none).
  uint32_t keywordsPerZone = 16;
};

/// Builds a module with one zone.hierarchy. `tree` and `model` must belong together: thresholds of
/// all zones, classes of zones that exist. Loads the zone dialect into `context`. Returns null
/// after emitting a diagnostic through `context` when they do not, or exceed a limit of the
/// formats.
mlir::OwningOpRef<mlir::ModuleOp> importModel(mlir::MLIRContext &context,
                                              const spec::ZoneTree &tree,
                                              const pack::RoutingModel &model,
                                              const ImportOptions &options);

} // namespace semdns::passes
