/// \file The data-only kernel: what every compiled kernel computes, in plain C++.
#pragma once

#include "semdns/kernel.h"

namespace semdns::exec {

/// A semdns_kernel_route_fn that reads everything, dimensions included, from the sections.
/// Bit-equal to every compiled kernel (docs/architecture.md, "Arithmetic"). Re-entrant; allocates
/// nothing. The tables must have passed the reader's validation.
void routePortable(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                   const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer);

/// Most dimensions that scoreClasses takes: a sentence encoder's (format/head.h).
inline constexpr uint32_t kMaxScoredDim = 2048;

/// scores[k] = sum over d of query[d] * vectors(k, d), for class vectors in CENT's `layout`
/// (format/classes.h): `padded` classes of `dim` dimensions, a multiple of 4 up to kMaxScoredDim.
void scoreClasses(const int8_t *vectors, uint32_t padded, uint32_t dim, uint32_t layout,
                  const int8_t *query, int32_t *scores);

} // namespace semdns::exec
