/// \file A stage 3 that always says the same, for scenarios: what matters there is when it is
/// asked.
#pragma once

#include "lib/pack/model.h"

#include <cstdint>
#include <string>

namespace semdns::sim {

/// Sections WPCE and ENCM.
struct EncoderSections {
  std::string wpce, encm;
};

/// An encoder over letters with a stated cost of ns a query, and in `model` the classes, guard and
/// head by which it decides for `zone` (never the root) of `zones` whatever the text; stage 2 knows
/// nothing. False with `error` on failure.
bool addEncoder(pack::RoutingModel &model, uint32_t zones, uint32_t zone, uint64_t cost,
                EncoderSections &out, std::string &error);

} // namespace semdns::sim
