/// \file A parallel loop. Every result in lib/train must be the same for any thread count: the body
/// of one index may read anything but writes only what belongs to its index.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace semdns::train {

/// Calls body(i) for each i in [0, count), on up to `threads` threads.
template <typename Body> void parallelFor(size_t count, unsigned threads, Body &&body) {
  size_t workers = std::min<size_t>(std::max(threads, 1u), count);
  if (workers <= 1) {
    for (size_t i = 0; i < count; ++i)
      body(i);
    return;
  }
  std::atomic<size_t> next{0};
  auto run = [&] {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
      body(i);
  };
  std::vector<std::thread> pool;
  for (size_t t = 1; t < workers; ++t)
    pool.emplace_back(run);
  run();
  for (std::thread &thread : pool)
    thread.join();
}

} // namespace semdns::train
