/// \file Runs labelled rows through the cascade, by the public ABI, and says how it did.
#pragma once

#include "lib/eval/tally.h"
#include "lib/support/json_lines.h"
#include "semdns/semdns.hpp"

#include <string>
#include <vector>

namespace semdns::eval {

/// The artifact's zones in index order.
std::vector<ZoneInfo> zonesOf(const Artifact &artifact);

struct Settings {
  uint32_t stages = 0;         ///< mask of SEMDNS_STAGE_*; 0 = all that the artifact has
  std::string rootLabel;       ///< rows with it belong to the root; empty: only "/" does
  bool ignoreUnknown = false;  ///< leave out rows whose label no zone has
  uint64_t *ignored = nullptr; ///< how many those were; may be null
};

/// Resolves all rows (each has a label) on one thread. Returns SEMDNS_OK or the library's refusal.
semdns_status evaluate(Resolver &resolver, Scratch &scratch, const std::vector<LabelledText> &rows,
                       const Settings &settings, Tally &tally);

/// What a report says besides the tally.
struct Header {
  std::string artifact; ///< its path
  std::string name, digest, isa;
  uint64_t serial = 0;
  std::string queries; ///< files, joined by ", "
  uint64_t ignored = 0;
};

/// For people: some thirty lines.
std::string textReport(const Header &header, const Tally &tally);
/// One JSON object with everything, ending in a newline. Rates are {value, hits, total, low, high}
/// with the Wilson interval of 95 %; value is null when total is 0.
std::string jsonReport(const Header &header, const Tally &tally);

} // namespace semdns::eval
