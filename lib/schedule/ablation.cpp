#include "lib/schedule/ablation.h"

#include "lib/support/files.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <queue>
#include <random>

namespace semdns::schedule {
namespace {

struct Ending {
  double at, taken;
  Batch batch;
  bool operator>(const Ending &other) const { return at > other.at; }
};

double uniform(std::mt19937_64 &random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

Request makeRequest(std::mt19937_64 &random, uint64_t id, double at, double patience) {
  const uint64_t dice = random();
  Request request;
  request.id = id;
  request.scope = dice % 2 ? 0 : 1 + static_cast<uint32_t>(dice / 2 % 3);
  request.bytes = 20 + static_cast<uint32_t>(dice / 8 % 41);
  request.arrival = at;
  request.deadline = at + patience;
  return request;
}

} // namespace

Outcome simulate(const std::vector<Device> &devices, Policy policy,
                 const std::vector<Request> &arrivals, uint64_t seed) {
  Outcome outcome;
  if (arrivals.empty())
    return outcome;
  std::mt19937_64 random(seed);
  Scheduler scheduler(devices, policy);
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> running;
  std::vector<double> latency;
  latency.reserve(arrivals.size());
  size_t next = 0, inTime = 0, batches = 0, onFirst = 0;
  double now = 0, last = 0;
  while (next < arrivals.size() || !running.empty() || scheduler.waiting()) {
    double at = std::numeric_limits<double>::infinity();
    if (next < arrivals.size())
      at = arrivals[next].arrival;
    if (!running.empty())
      at = std::min(at, running.top().at);
    at = std::min(at, std::max(now, scheduler.wake()));
    if (at == std::numeric_limits<double>::infinity())
      break; // nobody will ever take what waits: no such device
    now = at;
    while (!running.empty() && running.top().at <= now) {
      const Ending &end = running.top();
      scheduler.done(end.batch.device, end.batch.predicted, end.taken);
      for (const Request &request : end.batch.requests) {
        latency.push_back(now - request.arrival);
        inTime += now <= request.deadline;
        onFirst += end.batch.device == 0;
      }
      last = now;
      running.pop();
    }
    while (next < arrivals.size() && arrivals[next].arrival <= now)
      scheduler.add(arrivals[next++]);
    for (Batch batch; scheduler.next(now, batch);) {
      uint64_t bytes = 0;
      for (const Request &request : batch.requests)
        bytes += request.bytes;
      const double taken = devices[batch.device].predict(batch.requests.size(), bytes) *
                           (0.9 + 0.2 * uniform(random));
      ++batches;
      running.push({now + taken, taken, std::move(batch)});
    }
  }
  const auto n = static_cast<double>(arrivals.size());
  const double first = arrivals.front().arrival;
  outcome.offered = 1e9 * n / std::max(1.0, arrivals.back().arrival - first);
  outcome.throughput = 1e9 * static_cast<double>(latency.size()) / std::max(1.0, last - first);
  outcome.inTime = static_cast<double>(inTime) / n;
  outcome.onFirst = static_cast<double>(onFirst) / n;
  outcome.batch = batches ? static_cast<double>(latency.size()) / static_cast<double>(batches) : 0;
  if (!latency.empty()) {
    std::sort(latency.begin(), latency.end());
    outcome.p50 = latency[(latency.size() - 1) / 2];
    outcome.p99 = latency[(latency.size() - 1) * 99 / 100];
  }
  return outcome;
}

std::vector<Request> poisson(double rate, size_t count, double patience, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Request> out;
  double at = 0;
  for (size_t i = 0; i < count; ++i) {
    at += -std::log1p(-uniform(random)) * 1e9 / rate;
    out.push_back(makeRequest(random, i, at, patience));
  }
  return out;
}

std::vector<Request> recorded(const std::vector<double> &gaps, double rate, size_t count,
                              double patience, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Request> out;
  double sum = 0;
  for (double gap : gaps)
    sum += gap;
  if (gaps.empty() || !(sum > 0))
    return out;
  const double scale = static_cast<double>(gaps.size()) / sum * 1e9 / rate;
  double at = 0;
  for (size_t i = 0; i < count; ++i) {
    at += gaps[i % gaps.size()] * scale;
    out.push_back(makeRequest(random, i, at, patience));
  }
  return out;
}

std::vector<double> readGaps(const std::string &path, std::string &error) {
  const auto bytes = readFile(path, error);
  std::vector<double> gaps;
  if (!bytes)
    return gaps;
  double previous = -1;
  for (size_t begin = 0; begin < bytes->size();) {
    const size_t end = std::min(bytes->find('\n', begin), bytes->size());
    int year, month, day, hour, minute;
    double second;
    if (std::sscanf(bytes->substr(begin, end - begin).c_str(), "%d-%d-%d %d:%d:%lf", &year, &month,
                    &day, &hour, &minute, &second) == 6) {
      const double at = 86400.0 * day + 3600.0 * hour + 60.0 * minute + second;
      if (previous >= 0)
        gaps.push_back(std::max(0.0, at - previous));
      previous = at;
    }
    begin = end + 1;
  }
  if (gaps.empty())
    error = "'" + path + "' has no two lines that begin with a time";
  return gaps;
}

} // namespace semdns::schedule
