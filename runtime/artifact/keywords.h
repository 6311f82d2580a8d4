/// \file KEYW: the keyword automaton of stage 1.
#pragma once

#include "runtime/artifact/zones.h"
#include "semdns/format/keywords.h"

namespace semdns::artifact {

/// View of a validated KEYW section; pointers into its bytes.
struct Keywords {
  const semdns_keyw_header *header = nullptr;
  const semdns_word_bucket *words = nullptr; ///< [word_buckets]
  const uint32_t *roots = nullptr;           ///< [word_count + 1]
  const semdns_keyw_state *states = nullptr; ///< [state_count + 1]
  const semdns_keyw_edge *edges = nullptr;   ///< [edge_count]
  const uint32_t *outputs = nullptr;         ///< [output_count]
  const semdns_term *terms = nullptr;        ///< [term_count]
  const char *strings = nullptr;             ///< [string_bytes]

  /// Validates `span` by the rules of format/keywords.h; zones must be those of `zones`.
  static bool parse(Span span, const Zones &zones, Keywords &out, base::Error &error);

  std::string_view text(uint32_t term) const {
    return {strings + terms[term].text_offset, terms[term].text_size};
  }
};

/// Checks the slots of a table of semdns_word_bucket (KEYW's words, TOKV's features): free slots
/// are zero, ids lie in 1..maxId, no fingerprint stands twice in a bucket. `at` is the table's
/// offset.
bool checkWordBuckets(uint32_t tag, const semdns_word_bucket *buckets, uint32_t count,
                      uint32_t maxId, uint64_t at, base::Error &error);

} // namespace semdns::artifact
