/// \file The slow oracle: stages 1 and 2 as docs/architecture.md, "Arithmetic", defines them. Every
/// kernel, compiled or portable, must give its answers bit for bit.
#pragma once

#include "semdns/format/head.h"
#include "semdns/kernel.h"

#include <string_view>

namespace semdns::reference {

/// Sections of one artifact, validated (runtime/artifact). TEXT is not among them: the reference
/// asks ICU, so that a wrong table shows.
struct Sections {
  std::string_view keyw, tokv, cent, clsf; ///< at least 8-byte aligned
  std::string_view beam = {};              ///< empty: all classes are scored
};

/// Routes one text (any bytes) through the stages of the mask `stages`; topK 1..8. Fills every
/// field of the answer. All sums have 64 bits or more; a claimed bound that does not hold aborts
/// the process with a message. Thread-safe, slow.
semdns_kernel_answer route(const Sections &sections, std::string_view text, uint32_t stages,
                           uint32_t topK);

/// Stage 3's decision over the embedding `query` (head's width, in units of `peak` / 127, `peak` in
/// Q16) and stage 2's scores of the same text, as route gives them. `head` is a HEAD section,
/// validated against the same CLSF. The file must have a class.
semdns_kernel_answer decideEncoded(const Sections &sections, std::string_view head,
                                   std::string_view text, const int8_t *query, uint32_t peak,
                                   uint32_t topK);

} // namespace semdns::reference
