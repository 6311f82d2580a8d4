/// \file The queue of waiting queries, and who takes how many of them next. Knows no clock and no
/// device: the caller says what time it is and does the work, so that it runs in virtual time too.
#pragma once

#include "lib/schedule/costs.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace semdns::schedule {

struct Request {
  uint64_t id;
  uint32_t scope;  ///< tenant: scopes share what there is evenly, by cost
  uint32_t bytes;  ///< of text
  double arrival;  ///< ns
  double deadline; ///< ns, on the same clock
};

enum class Policy {
  CpuOnly,     ///< the first device, a query at a time
  GpuOnly,     ///< the second, with whatever waits when it is free
  AlwaysBatch, ///< the second, when a batch is full or its oldest query has waited long
  Ours,        ///< as the costs say
};

/// A batch that a device should start on now.
struct Batch {
  size_t device;
  std::vector<Request> requests;
  double predicted; ///< ns that it will take
  std::string why;  ///< for people
};

/// Decides greedily whenever a lane is free. `Ours`: a GPU takes what waits as soon as that is
/// quicker than having the cores do it one by one; they take single queries while it is busy or a
/// batch is not worth its launch, and first of all queries that a batch would finish too late. A
/// batch is cut where that lets its most urgent query meet its deadline. Scopes share by predicted
/// cost: the one that has had the least goes first, a newcomer counts as having had as much as the
/// least of those that wait; within a scope the earliest deadline goes first. Costs are corrected
/// by what batches really took (a factor a device, between a quarter and four).
class Scheduler {
public:
  explicit Scheduler(std::vector<Device> devices, Policy policy = Policy::Ours);

  void add(const Request &request);
  size_t waiting() const { return waiting_; }
  /// The next batch to start at `now`, if any. Its lane is busy until done().
  bool next(double now, Batch &batch);
  /// A batch of `device` has taken so long.
  void done(size_t device, double predicted, double taken);
  /// When to call next() again although nothing arrives or ends; infinity: no need.
  double wake() const { return wake_; }

  double predict(size_t device, uint64_t texts, uint64_t bytes) const {
    return devices_[device].predict(texts, bytes) * correction_[device];
  }

private:
  struct Scope {
    std::multimap<double, Request> queue; ///< by deadline, equal ones by arrival
    double served = 0;
  };
  bool free(size_t device) const { return busy_[device] < devices_[device].lanes; }
  double urgent() const;
  void take(size_t device, size_t count, Batch &batch);
  bool ours(double now, Batch &batch);

  std::vector<Device> devices_;
  Policy policy_;
  std::vector<double> correction_;
  std::vector<uint32_t> busy_;
  std::map<uint32_t, Scope> scopes_;
  size_t waiting_ = 0;
  uint64_t bytes_ = 0; ///< of all that wait
  double wake_ = 0;
};

} // namespace semdns::schedule
