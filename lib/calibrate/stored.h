/// \file The rules as a file stores them (CLSF, and HEAD of stage 3): read, and replaced in place.
#pragma once

#include "lib/calibrate/replay.h"
#include "lib/pack/gold_build.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace semdns::calibrate {

/// The guards and thresholds of a .sdna file. nullopt with `error` when it is none.
std::optional<Rules> readRules(std::string_view file, std::string &error);

/// The test queries of a .sdna file (GOLD), with the answers that it stores.
std::optional<std::vector<pack::GoldQuery>> readGold(std::string_view file, std::string &error);

/// The file with other rules, other META pairs under `risk.`, another serial and, unless `gold` is
/// empty, another GOLD section; every other section has the bytes that it had. `meta` replaces all
/// pairs whose keys begin with "risk."; those with "facts.", which were found under the old
/// thresholds, go. nullopt with `error` when the file is none or the rules do
/// not fit it.
std::optional<std::string> replaceRules(std::string_view file, const Rules &rules,
                                        const std::map<std::string, std::string> &meta,
                                        const std::string &gold, uint64_t serial,
                                        std::string &error);

} // namespace semdns::calibrate
