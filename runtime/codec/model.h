/// \file Views of a TOKM or BYTM section, for the coders `fast` and `max` (coder.h).
#pragma once

#include "runtime/codec/coder.h"
#include "runtime/codec/model_predict.h"

namespace semdns::codec {

struct ModelTables {
  model::View view;
  bool wide; ///< this CPU runs x86-64-v3 code: the same arithmetic, eight lanes at a time
};

} // namespace semdns::codec
