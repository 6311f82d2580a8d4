/// \file What a batch costs on a device: fitted once, corrected while it runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semdns::schedule {

/// A device as the scheduler sees it. Times are nanoseconds.
struct Device {
  std::string name;   ///< "cpu", "cuda:0"
  double launch = 0;  ///< of a batch, however small
  double perText = 0; ///< of a text in it
  double perByte = 0; ///< of a byte of text
  uint32_t lanes = 1; ///< batches that it works on at once: cores of a CPU
  uint32_t most = 1;  ///< texts of a batch
  double price = 1;   ///< of a nanosecond of one lane, against a core's 1

  double predict(uint64_t texts, uint64_t bytes) const {
    return launch + perText * static_cast<double>(texts) + perByte * static_cast<double>(bytes);
  }
};

/// A measured batch.
struct Sample {
  uint64_t texts, bytes;
  double nanoseconds;
};

/// launch, perText and perByte, none negative, of least squared relative error over `samples` (so
/// that small batches count as much as large ones). Needs three samples that differ in texts; where
/// bytes are as good as proportional to texts, perByte is 0.
std::optional<Device> fit(const std::string &name, const std::vector<Sample> &samples);

/// {"devices":[{"name":...,"launch_ns":...,"per_text_ns":...,"per_byte_ns":...,"lanes":...,
/// "most":...,"price":...}]}: what `bench-artifact --fit-costs` writes beside an artifact.
std::string writeCosts(const std::vector<Device> &devices);
std::optional<std::vector<Device>> readCosts(const std::string &json, std::string &error);

} // namespace semdns::schedule
