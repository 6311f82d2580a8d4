#include "lib/schedule/scheduler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace semdns::schedule {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
/// AlwaysBatch: a full batch, and how long its oldest query may wait for one.
constexpr uint32_t kFull = 4096;
constexpr double kPatience = 1e6;

} // namespace

Scheduler::Scheduler(std::vector<Device> devices, Policy policy)
    : devices_(std::move(devices)), policy_(policy), correction_(devices_.size(), 1),
      busy_(devices_.size(), 0), wake_(kNever) {}

void Scheduler::add(const Request &request) {
  Scope &scope = scopes_[request.scope];
  if (scope.queue.empty()) { // does not collect claims while it asks for nothing
    double least = kNever;
    for (const auto &[number, other] : scopes_)
      if (!other.queue.empty())
        least = std::min(least, other.served);
    if (least != kNever)
      scope.served = std::max(scope.served, least);
  }
  scope.queue.emplace(request.deadline, request);
  ++waiting_;
  bytes_ += request.bytes;
}

/// The earliest deadline of all that wait.
double Scheduler::urgent() const {
  double earliest = kNever;
  for (const auto &[number, scope] : scopes_)
    if (!scope.queue.empty())
      earliest = std::min(earliest, scope.queue.begin()->first);
  return earliest;
}

/// Moves `count` waiting queries into a batch of `device`, which is busy from now on.
void Scheduler::take(size_t device, size_t count, Batch &batch) {
  batch.device = device;
  batch.requests.clear();
  uint64_t bytes = 0;
  const double base = predict(device, 0, 0) / static_cast<double>(count);
  while (batch.requests.size() < count && waiting_) {
    Scope *least = nullptr;
    for (auto &[number, scope] : scopes_)
      if (!scope.queue.empty() && (!least || scope.served < least->served))
        least = &scope;
    const auto first = least->queue.begin();
    const Request request = first->second;
    least->queue.erase(first);
    least->served += base + predict(device, 1, request.bytes) - predict(device, 0, 0);
    --waiting_;
    bytes_ -= request.bytes;
    bytes += request.bytes;
    batch.requests.push_back(request);
  }
  batch.predicted = predict(device, batch.requests.size(), bytes);
  ++busy_[device];
}

bool Scheduler::ours(double now, Batch &batch) {
  const double each = static_cast<double>(bytes_) / static_cast<double>(waiting_);
  const auto timeOf = [&](size_t device, size_t texts) {
    return predict(device, texts, static_cast<uint64_t>(each * static_cast<double>(texts)));
  };
  // The single-query device and the quickest free batch device for what waits.
  size_t core = devices_.size(), gpu = devices_.size();
  for (size_t d = 0; d < devices_.size(); ++d) {
    if (devices_[d].most == 1) {
      core = core == devices_.size() ? d : core;
    } else if (free(d)) {
      const size_t texts = std::min<size_t>(waiting_, devices_[d].most);
      if (gpu == devices_.size() ||
          timeOf(d, texts) * devices_[d].price < timeOf(gpu, texts) * devices_[gpu].price)
        gpu = d;
    }
  }
  const bool haveCore = core < devices_.size(), haveGpu = gpu < devices_.size();
  const bool coreFree = haveCore && free(core);
  if (!haveGpu && !coreFree)
    return false;
  size_t texts = haveGpu ? std::min<size_t>(waiting_, devices_[gpu].most) : 0;
  double batchTime = haveGpu ? timeOf(gpu, texts) : kNever;
  const double one = haveCore ? timeOf(core, 1) : kNever;
  const double rounds =
      haveCore ? std::ceil(static_cast<double>(waiting_) / devices_[core].lanes) : 0;
  const double slack = urgent() - now;
  char why[160];
  if (haveGpu && (!haveCore || batchTime < rounds * one)) {
    if (coreFree && slack < batchTime && slack >= one) {
      take(core, 1, batch);
      std::snprintf(why, sizeof why, "due in %.1f us: a batch takes %.1f, a core %.1f", slack / 1e3,
                    batchTime / 1e3, one / 1e3);
    } else {
      if (slack < batchTime) { // as many as the most urgent one can wait for, if that is any
        const double least = timeOf(gpu, 1);
        if (slack > 2 * least && texts > 1) {
          const double share = (slack - least) / (batchTime - least);
          texts = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(texts)));
          batchTime = timeOf(gpu, texts);
        }
      }
      take(gpu, texts, batch);
      std::snprintf(why, sizeof why, "%zu in %.1f us, cores would take %.1f", texts,
                    batchTime / 1e3, rounds * one / 1e3);
    }
  } else if (coreFree) {
    take(core, 1, batch);
    std::snprintf(why, sizeof why,
                  haveGpu ? "%.1f us, a batch would take %.1f" : "%.1f us, no GPU is free",
                  one / 1e3, batchTime / 1e3);
  } else {
    return false; // a core is free again sooner than a batch would be done
  }
  batch.why = devices_[batch.device].name + ": " + why;
  return true;
}

bool Scheduler::next(double now, Batch &batch) {
  wake_ = kNever;
  if (!waiting_)
    return false;
  if (policy_ == Policy::Ours)
    return ours(now, batch);
  const size_t device = policy_ == Policy::CpuOnly ? 0 : 1;
  if (device >= devices_.size() || !free(device))
    return false;
  const size_t most = std::min<size_t>(waiting_, devices_[device].most);
  if (policy_ == Policy::AlwaysBatch && waiting_ < std::min(kFull, devices_[device].most)) {
    double oldest = kNever;
    for (const auto &[number, scope] : scopes_)
      if (!scope.queue.empty())
        oldest = std::min(oldest, scope.queue.begin()->second.arrival);
    if (now < oldest + kPatience) {
      wake_ = oldest + kPatience;
      return false;
    }
  }
  take(device, most, batch);
  batch.why = devices_[device].name + ": fixed";
  return true;
}

void Scheduler::done(size_t device, double predicted, double taken) {
  --busy_[device];
  if (!(predicted > 0) || !(taken > 0))
    return;
  // A sixteenth of the way to what would have been right.
  const double ratio = std::clamp(taken / predicted, 0.25, 4.0);
  correction_[device] = std::clamp(correction_[device] * (1 + (ratio - 1) / 16), 0.25, 4.0);
}

} // namespace semdns::schedule
