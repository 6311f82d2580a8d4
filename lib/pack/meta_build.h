/// \file META: key/values to bytes.
#pragma once

#include <map>
#include <string>

namespace semdns::pack {

/// The META section (include/semdns/format/meta.h) for `pairs`. On failure (a key that is empty, a
/// string with NUL, wrong UTF-8 or over a limit, too many pairs) returns "" and sets `error`.
std::string buildMeta(const std::map<std::string, std::string> &pairs, std::string &error);

} // namespace semdns::pack
