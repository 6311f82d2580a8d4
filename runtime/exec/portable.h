/// \file The data-only kernel: what every compiled kernel computes, in plain C++.
#pragma once

#include "semdns/kernel.h"

namespace semdns::exec {

/// A semdns_kernel_route_fn that reads everything, dimensions included, from the sections.
/// Bit-equal to every compiled kernel (docs/architecture.md, "Arithmetic"). Re-entrant; allocates
/// nothing. The tables must have passed the reader's validation.
void routePortable(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                   const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer);

} // namespace semdns::exec
