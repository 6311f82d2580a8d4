#include "tools/bench-artifact/costs.h"

#include "lib/schedule/ablation.h"
#include "lib/support/command_line.h"
#include "lib/support/exit_codes.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "semdns/gpu.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

namespace semdns {
namespace {

using schedule::Device;
using schedule::Policy;

struct CloseGpu {
  void operator()(semdns_gpu *gpu) const { semdns_gpu_close(gpu); }
};

/// The rows again and again, `count` of them from `first` on.
struct Texts {
  std::string bytes;
  std::vector<uint64_t> offsets{0};
  Texts(const std::vector<LabelledText> &rows, size_t first, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      bytes += rows[(first + i) % rows.size()].text;
      offsets.push_back(bytes.size());
    }
  }
};

/// The fastest of a few runs over texts of `rows`, ns.
schedule::Sample timeBatch(semdns_gpu *gpu, const std::vector<LabelledText> &rows, size_t count) {
  const Texts texts(rows, count, count);
  std::vector<semdns_bulk_answer> answers(count);
  double best = 1e300;
  for (int round = 0; round < 7; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    semdns_gpu_resolve_many(gpu, texts.bytes.data(), texts.offsets.data(), count, answers.data(),
                            nullptr);
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return {count, texts.bytes.size(), std::max(1.0, best)};
}

bool fitDevice(const Artifact &artifact, const std::vector<LabelledText> &rows, uint32_t stages,
               int32_t number, std::vector<Device> &devices, std::string &reason) {
  semdns_gpu_options options = {};
  options.size = sizeof options;
  options.device = number;
  options.stages = stages;
  semdns_gpu *raw = nullptr;
  semdns_error error = {};
  error.size = sizeof error;
  if (semdns_gpu_open(artifact.raw(), &options, &raw, &error) != SEMDNS_OK) {
    reason = error.message;
    return false;
  }
  const std::unique_ptr<semdns_gpu, CloseGpu> gpu(raw);
  const bool cpu = number == SEMDNS_GPU_NONE;
  semdns_gpu_info info = {};
  info.size = sizeof info;
  semdns_gpu_get_info(gpu.get(), &info);
  if (!cpu && !info.device_count) {
    reason = info.reason;
    return false;
  }
  std::vector<schedule::Sample> samples;
  for (size_t count = cpu ? 8 : 1; count <= (cpu ? 4096u : 131072u); count *= 4)
    samples.push_back(timeBatch(gpu.get(), rows, count));
  auto device = schedule::fit(cpu ? "cpu" : "cuda:" + std::to_string(number), samples);
  if (!device) {
    reason = "the times do not fit any cost";
    return false;
  }
  device->lanes = cpu ? threadsFor(0) : 1;
  device->most = cpu ? 1 : 131072;
  double worst = 0;
  for (const schedule::Sample &s : samples)
    worst = std::max(worst, std::fabs(device->predict(s.texts, s.bytes) / s.nanoseconds - 1));
  std::printf(
      "%-10s %10.0f ns a batch, %8.2f a text, %6.3f a byte; worst of %zu sizes %.0f %% off\n",
      device->name.c_str(), device->launch, device->perText, device->perByte, samples.size(),
      100 * worst);
  devices.push_back(*device);
  return true;
}

/// The batch from which on the GPU is quicker than all cores.
void printBreakEven(const std::vector<Device> &devices, double bytes) {
  for (size_t d = 1; d < devices.size(); ++d)
    for (double n = 1; n <= devices[d].most; n *= 1.1) {
      const auto texts = static_cast<uint64_t>(n);
      const double one = devices[0].predict(1, static_cast<uint64_t>(bytes));
      if (devices[d].predict(texts, static_cast<uint64_t>(bytes * n)) <
          std::ceil(n / devices[0].lanes) * one) {
        std::printf("%s is quicker than %u cores from %llu texts on, than one from %.0f on\n",
                    devices[d].name.c_str(), devices[0].lanes,
                    static_cast<unsigned long long>(texts),
                    std::ceil(devices[d].launch / std::max(1e-9, one - devices[d].perText)));
        break;
      }
    }
}

void printAblation(const std::vector<Device> &devices, const std::vector<double> &gaps) {
  // The better single device's capacity; due ten of its full batches' launches later.
  double capacity = 0, patience = 1e6;
  for (const Device &d : devices) {
    const double batch = d.predict(d.most, 40ull * d.most);
    capacity = std::max(capacity, d.lanes * d.most / batch * 1e9);
    patience = std::max(patience, 10 * d.launch);
  }
  std::printf("\nin virtual time; due %.1f ms after arrival; load: of %.2f M/s, the better single "
              "device's capacity\n%-9s %6s %-13s %9s %9s %9s %9s %9s %7s\n",
              patience / 1e6, capacity / 1e6, "arrivals", "load", "choice", "M/s", "p50 us",
              "p99 us", "in time", "batch", "cores");
  const struct {
    Policy policy;
    const char *name;
  } policies[] = {{Policy::CpuOnly, "CPU only"},
                  {Policy::GpuOnly, "GPU only"},
                  {Policy::AlwaysBatch, "always batch"},
                  {Policy::Ours, "ours"}};
  for (int kind = 0; kind < (gaps.empty() ? 1 : 2); ++kind)
    for (double load : {0.001, 0.01, 0.1, 0.3, 0.5, 0.8}) {
      const size_t count = 100000;
      const auto arrivals = kind ? schedule::recorded(gaps, load * capacity, count, patience, 2)
                                 : schedule::poisson(load * capacity, count, patience, 2);
      for (const auto &p : policies) {
        if (devices.size() < 2 && (p.policy == Policy::GpuOnly || p.policy == Policy::AlwaysBatch))
          continue;
        const schedule::Outcome o = schedule::simulate(devices, p.policy, arrivals, 3);
        std::printf("%-9s %6.3f %-13s %9.3f %9.1f %9.1f %8.3f%% %9.1f %6.1f%%\n",
                    kind ? "trace" : "Poisson", load, p.name, o.throughput / 1e6, o.p50 / 1e3,
                    o.p99 / 1e3, 100 * o.inTime, o.batch, 100 * o.onFirst);
      }
    }
}

} // namespace

int fitCosts(const Artifact &artifact, const std::vector<LabelledText> &rows, uint32_t stages,
             const CostOptions &options) {
  std::vector<Device> devices;
  std::string reason;
  if (!fitDevice(artifact, rows, stages, SEMDNS_GPU_NONE, devices, reason)) {
    std::fprintf(stderr, "bench-artifact: error: %s\n", reason.c_str());
    return kRejected;
  }
  for (int32_t number = 0; number < static_cast<int32_t>(SEMDNS_GPU_DEVICES_MAX); ++number)
    if (!fitDevice(artifact, rows, stages, number, devices, reason)) {
      if (!number)
        std::fprintf(stderr, "bench-artifact: note: the CPU alone: %s\n", reason.c_str());
      break;
    }
  const Texts all(rows, 0, rows.size());
  printBreakEven(devices, static_cast<double>(all.bytes.size()) / static_cast<double>(rows.size()));
  std::string error;
  if (!writeFileAtomically(options.output, schedule::writeCosts(devices), true, error)) {
    std::fprintf(stderr, "bench-artifact: error: %s\n", error.c_str());
    return kRejected;
  }
  std::vector<double> gaps;
  if (!options.trace.empty() && (gaps = schedule::readGaps(options.trace, error)).empty()) {
    std::fprintf(stderr, "bench-artifact: error: %s\n", error.c_str());
    return kRejected;
  }
  if (options.ablation)
    printAblation(devices, gaps);
  return endOutput("bench-artifact", kDone);
}

} // namespace semdns
