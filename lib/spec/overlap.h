/// \file Keywords of different zones that get in each other's way.
#pragma once

#include "lib/spec/tree.h"

#include <string_view>

namespace semdns::spec {

/// Warns, with both places, where a keyword of the spec stands in two zones and where it contains
/// another zone's keyword (unless one zone lies below the other): each text with it votes for both.
/// Compared as stage 1 reads them, word by word, with the TEXT section `textSection`. At most 20
/// warnings, the last says how many more there are.
void warnAboutKeywordOverlaps(const Spec &spec, const ZoneTree &tree, std::string_view textSection,
                              Diagnostics &diags);

} // namespace semdns::spec
