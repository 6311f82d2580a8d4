/// \file The `zone` dialect: what is routed. See zone.td and docs/dialects.md.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"

namespace semdns::zone {
class ZoneOp;
}

#include "dialects/zone/zone_enums.h.inc"

#include "dialects/zone/zone_dialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/zone/zone_ops.h.inc"
