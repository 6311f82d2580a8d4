/// \file Codec tables on their way from pattern libraries, and from earlier artifacts, into a
/// build.
#pragma once

#include "lib/spec/load.h"

#include <cstdint>
#include <string>
#include <vector>

namespace semdns::driver {

/// A DICT, PHRS, TOKM or BYTM section.
struct CodecSection {
  uint32_t tag = 0, target = 0, version = 0;
  std::string bytes;
};

/// The tables of every zone's libraries (of several libraries of a zone, the first that has a
/// mode's), then those of the artifacts in `keep` that are none of these, as earlier ones: frames
/// made with them stay readable. In the order of the file. Problems go into `diags`.
std::vector<CodecSection> gatherCodecs(const spec::Input &input,
                                       const std::vector<std::string> &keep, Diagnostics &diags);

/// Opens the artifact's tables as the runtime does; false sets `why`.
bool checkCodecs(const std::string &artifact, std::string &why);

} // namespace semdns::driver
