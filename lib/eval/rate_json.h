/// \file A rate as every JSON report of evaluation gives it.
#pragma once

#include "lib/eval/tally.h"

#include <nlohmann/json.hpp>

namespace semdns::eval {

/// {value, hits, total, low, high}, with the Wilson interval of 95 %; value is null for a total of
/// 0.
inline nlohmann::ordered_json json(const Rate &rate) {
  const auto [low, high] = rate.interval();
  nlohmann::ordered_json value = nullptr;
  if (rate.value())
    value = *rate.value();
  return {
      {"value", value}, {"hits", rate.hits}, {"total", rate.total}, {"low", low}, {"high", high}};
}

} // namespace semdns::eval
