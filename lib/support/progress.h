/// \file Progress on stderr: a bar with rate and ETA on a terminal, nothing elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace semdns {

/// Shows how far a long job is. Draws only when stderr is a terminal, at most ten times a second.
/// Not thread-safe: update from one thread.
class Progress {
public:
  /// `unit` is what is counted: "B" is shown as kB/MB/GB, anything else as a plain number.
  Progress(std::string title, uint64_t total, std::string unit);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void update(uint64_t done);
  /// Removes the bar; the destructor does so too.
  void finish();

private:
  std::string title_, unit_;
  uint64_t total_;
  std::chrono::steady_clock::time_point start_, lastDraw_;
  bool enabled_, drawn_ = false;
};

} // namespace semdns
