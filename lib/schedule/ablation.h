/// \file The scheduler against fixed choices, in virtual time: the same arrivals, the same devices.
#pragma once

#include "lib/schedule/scheduler.h"

namespace semdns::schedule {

struct Outcome {
  double offered = 0;      ///< queries a second that arrive
  double throughput = 0;   ///< queries a second that are answered, to the last answer
  double p50 = 0, p99 = 0; ///< ns from arrival to answer
  double inTime = 0;       ///< share answered by their deadline
  double batch = 0;        ///< mean queries a batch
  double onFirst = 0;      ///< share that the first device answered
};

/// Runs `arrivals` (by arrival, each with its deadline) through a scheduler. Batches take what the
/// devices' costs say, times a factor between 0.9 and 1.1 drawn by `seed`.
Outcome simulate(const std::vector<Device> &devices, Policy policy,
                 const std::vector<Request> &arrivals, uint64_t seed);

/// `count` arrivals of a Poisson process of `rate` queries a second, of four scopes, the first of
/// which asks half; texts of 20 to 60 bytes; due `patience` ns after they arrive.
std::vector<Request> poisson(double rate, size_t count, double patience, uint64_t seed);

/// The same with gaps between arrivals (in any unit, as recorded) scaled to `rate` and repeated.
std::vector<Request> recorded(const std::vector<double> &gaps, double rate, size_t count,
                              double patience, uint64_t seed);

/// Gaps of a trace in CSV whose first column is "YYYY-MM-DD HH:MM:SS.fraction"; empty: `error`.
std::vector<double> readGaps(const std::string &path, std::string &error);

} // namespace semdns::schedule
