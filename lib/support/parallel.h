/// \file A parallel loop. Results must be the same for any thread count: the body of one index may
/// read anything but writes only what belongs to its index (or to its worker).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <type_traits>
#include <vector>

namespace semdns {

/// `requested`, or all cores where it is 0 (`-j`).
inline unsigned threadsFor(unsigned requested) {
  return requested ? requested : std::max(1u, std::thread::hardware_concurrency());
}

/// Calls body(i) or body(i, worker) for each i in [0, count), on up to `threads` threads, the
/// caller's (worker 0) included.
template <typename Body> void parallelFor(size_t count, unsigned threads, Body &&body) {
  std::atomic<size_t> next{0};
  auto run = [&](size_t worker) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
      if constexpr (std::is_invocable_v<Body &, size_t, size_t>)
        body(i, worker);
      else
        body(i);
  };
  std::vector<std::thread> pool;
  for (size_t t = 1; t < std::min<size_t>(std::max(threads, 1u), count); ++t)
    pool.emplace_back(run, t);
  run(0);
  for (std::thread &thread : pool)
    thread.join();
}

} // namespace semdns
