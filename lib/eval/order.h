/// \file std::stable_sort without its temporary buffer, which the C++ library deprecates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace semdns::eval {

template <typename T, typename Less> void stableSort(std::vector<T> &values, Less less) {
  std::vector<uint32_t> order(values.size());
  for (uint32_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return less(values[a], values[b]) || (!less(values[b], values[a]) && a < b);
  });
  std::vector<T> sorted;
  sorted.reserve(values.size());
  for (uint32_t i : order)
    sorted.push_back(std::move(values[i]));
  values = std::move(sorted);
}

} // namespace semdns::eval
