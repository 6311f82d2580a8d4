/// \file A finished file proves itself before it is written: opened by the runtime's own loader, it
/// must give the same answers on every instruction set that this machine runs, and pass its tests.
#pragma once

#include "lib/pack/gold_build.h"
#include "lib/spec/load.h"

#include <string>
#include <string_view>
#include <vector>

namespace semdns::driver {

/// Opens `bytes` and answers each query with the kernel level `isa`. False with `error` when the
/// runtime refuses the file.
bool answerQueries(std::string_view bytes, const std::string &isa,
                   const std::vector<std::string> &queries, std::vector<pack::GoldQuery> &answers,
                   std::string &error);

/// answerQueries with every level of the file that runs here; false with `error` naming level and
/// query when two levels differ in any field. `answers` are the portable kernel's.
bool answersAgree(std::string_view bytes, const std::vector<std::string> &queries,
                  std::vector<pack::GoldQuery> &answers, std::string &error);

} // namespace semdns::driver
