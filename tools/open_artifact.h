/// \file How tools open an artifact for resolving: one message, one exit code.
#pragma once

#include "lib/support/exit_codes.h"
#include "semdns/semdns.hpp"

#include <cstdio>
#include <string>

namespace semdns::tools {

/// The exit code that docs/tools.md promises for a status of the library.
inline int exitCodeFor(semdns_status status) {
  switch (status) {
  case SEMDNS_OK:
    return kDone;
  case SEMDNS_ERROR_VERSION:
  case SEMDNS_ERROR_KIND:
  case SEMDNS_ERROR_FEATURE:
    return kIncompatible;
  case SEMDNS_ERROR_ISA:
    return kUsage;
  case SEMDNS_ERROR_ARGUMENT:
  case SEMDNS_ERROR_SCRATCH:
    return kInternal;
  default:
    return kRejected;
  }
}

/// "PATH: [SECTION+OFFSET: ]message" on stderr; the exit code for it.
inline int reportError(const std::string &path, const Error &error) {
  std::string where;
  if (*error.section())
    where = std::string(error.section()) + ": ";
  if (error.offset())
    where = "byte " + std::to_string(error.offset()) + ": " + where;
  std::fprintf(stderr, "%s: error: %s%s\n", path.c_str(), where.c_str(), error.message());
  return exitCodeFor(error.status());
}

/// `--stages=1,2` as a mask of SEMDNS_STAGE_*; 0 if the list is wrong.
inline uint32_t parseStages(const std::string &list) {
  uint32_t mask = 0;
  for (size_t i = 0; i < list.size(); i += 2) {
    if (list[i] < '1' || list[i] > '3' || (i + 1 < list.size() && list[i + 1] != ',') ||
        i + 2 == list.size())
      return 0;
    mask |= 1u << (list[i] - '1');
  }
  return mask;
}

} // namespace semdns::tools
