#include "lib/schedule/costs.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>

namespace semdns::schedule {
namespace {

constexpr int kTerms = 3;

/// Solves the normal equations of the terms in `use`; the others are 0.
std::array<double, kTerms> solve(const std::vector<Sample> &samples,
                                 const std::array<bool, kTerms> &use) {
  double a[kTerms][kTerms + 1] = {};
  for (const Sample &s : samples) {
    // Relative error: every row divided by what was measured.
    const double x[kTerms] = {1 / s.nanoseconds, static_cast<double>(s.texts) / s.nanoseconds,
                              static_cast<double>(s.bytes) / s.nanoseconds};
    for (int i = 0; i < kTerms; ++i) {
      for (int j = 0; j < kTerms; ++j)
        a[i][j] += x[i] * x[j];
      a[i][kTerms] += x[i];
    }
  }
  for (int i = 0; i < kTerms; ++i)
    if (!use[static_cast<size_t>(i)]) {
      for (int j = 0; j < kTerms; ++j)
        a[i][j] = a[j][i] = 0;
      a[i][i] = 1;
      a[i][kTerms] = 0;
    }
  std::array<double, kTerms> out = {};
  for (int i = 0; i < kTerms; ++i) { // positive definite: no pivoting
    if (a[i][i] <= 0)
      return out;
    for (int r = i + 1; r < kTerms; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (int c = i; c <= kTerms; ++c)
        a[r][c] -= factor * a[i][c];
    }
  }
  for (int i = kTerms - 1; i >= 0; --i) {
    double value = a[i][kTerms];
    for (int j = i + 1; j < kTerms; ++j)
      value -= a[i][j] * out[static_cast<size_t>(j)];
    out[static_cast<size_t>(i)] = value / a[i][i];
  }
  return out;
}

double errorOf(const std::vector<Sample> &samples, const std::array<double, kTerms> &x) {
  double sum = 0;
  for (const Sample &s : samples) {
    const double predicted =
        x[0] + x[1] * static_cast<double>(s.texts) + x[2] * static_cast<double>(s.bytes);
    const double relative = predicted / s.nanoseconds - 1;
    sum += relative * relative;
  }
  return sum;
}

} // namespace

std::optional<Device> fit(const std::string &name, const std::vector<Sample> &samples) {
  uint64_t different = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!(samples[i].nanoseconds > 0))
      return std::nullopt;
    bool seen = false;
    for (size_t j = 0; j < i; ++j)
      seen |= samples[j].texts == samples[i].texts;
    different += !seen;
  }
  if (different < 3)
    return std::nullopt;
  // Few terms: all subsets are tried, fewest first, and another term must be worth its while.
  std::array<double, kTerms> best = {};
  double least = 1e300;
  for (const std::array<bool, kTerms> &use :
       {std::array<bool, kTerms>{true, true, false}, std::array<bool, kTerms>{false, true, false},
        std::array<bool, kTerms>{true, false, true}, std::array<bool, kTerms>{true, true, true}}) {
    const auto x = solve(samples, use);
    if (x[0] < 0 || x[1] < 0 || x[2] < 0)
      continue;
    const double error = errorOf(samples, x);
    if (error < 0.9 * least) {
      least = error;
      best = x;
    }
  }
  if (least == 1e300)
    return std::nullopt;
  Device device;
  device.name = name;
  device.launch = best[0];
  device.perText = best[1];
  device.perByte = best[2];
  return device;
}

std::string writeCosts(const std::vector<Device> &devices) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Device &d : devices)
    list.push_back({{"name", d.name},
                    {"launch_ns", d.launch},
                    {"per_text_ns", d.perText},
                    {"per_byte_ns", d.perByte},
                    {"lanes", d.lanes},
                    {"most", d.most},
                    {"price", d.price}});
  return nlohmann::ordered_json{{"devices", list}}.dump(1) + "\n";
}

std::optional<std::vector<Device>> readCosts(const std::string &json, std::string &error) {
  const auto root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto refuse = [&](const std::string &what) {
    error = "costs: " + what + "; `bench-artifact --fit-costs` writes them";
    return std::nullopt;
  };
  if (!root.is_object() || !root.contains("devices") || !root["devices"].is_array() ||
      root["devices"].empty() || root["devices"].size() > 64)
    return refuse("expected an object with 1 to 64 \"devices\"");
  std::vector<Device> devices;
  for (const auto &entry : root["devices"]) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string())
      return refuse("a device without a \"name\"");
    Device d;
    d.name = entry["name"].get<std::string>();
    const auto number = [&](const char *key, double least, double most, double &out) {
      if (!entry.contains(key) || !entry[key].is_number())
        return false;
      out = entry[key].get<double>();
      return std::isfinite(out) && out >= least && out <= most;
    };
    double lanes = 0, batch = 0;
    if (!number("launch_ns", 0, 1e12, d.launch) || !number("per_text_ns", 0, 1e12, d.perText) ||
        !number("per_byte_ns", 0, 1e12, d.perByte) || !number("price", 0, 1e6, d.price) ||
        !number("lanes", 1, 4096, lanes) || !number("most", 1, 4194304, batch))
      return refuse("'" + d.name + "' lacks a number, or has one out of range");
    d.lanes = static_cast<uint32_t>(lanes);
    d.most = static_cast<uint32_t>(batch);
    if (d.launch + d.perText + d.perByte <= 0)
      return refuse("'" + d.name + "' costs nothing");
    devices.push_back(d);
  }
  return devices;
}

} // namespace semdns::schedule
