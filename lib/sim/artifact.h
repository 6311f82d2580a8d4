/// \file Artifacts of a few zones and keywords, made in memory, for scenarios: stage 1 decides, and
/// stage 3 if there is one; ASCII text only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::sim {

struct EngineText {
  std::string name, region;
  uint32_t tier = 0, maxContext = 0;
  uint64_t costNano = 0; ///< of a million tokens, in 1e-9 of the currency's unit; 0: not stated
};

struct ZoneText {
  std::string name; ///< DNS name, leaf first; "." is the root
  uint32_t ttl = 3600;
  bool restricted = false, shareable = false;
  std::vector<std::pair<std::string, uint32_t>> engines; ///< with weights; empty: the parent's
  std::vector<std::string> keywords;                     ///< one decides for the zone
};

/// Stage 3, asked for every text without a keyword.
struct EncoderText {
  std::string zone;  ///< that it always says; empty: there is no stage 3
  uint64_t cost = 0; ///< ns that it is said to take
};

/// Zones in any order; missing ancestors are an error. Empty with `error` on failure. The same
/// input gives the same bytes.
std::string makeArtifact(std::vector<EngineText> engines, const std::vector<ZoneText> &zones,
                         uint64_t serial, std::string &error, const EncoderText &encoder = {});

} // namespace semdns::sim
