/// \file The `route` dialect: how a text is routed. See route.td and docs/dialects.md.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/route/route_enums.h.inc"

#include "dialects/route/route_dialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/route/route_types.h.inc"

#define GET_OP_CLASSES
#include "dialects/route/route_ops.h.inc"
