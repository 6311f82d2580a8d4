/// \file Terms of different zones that get in each other's way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace semdns::pack {

/// A term of stage 1 as its words' hashes, in order.
struct TermWords {
  std::vector<uint64_t> words;
  uint32_t zone = 0;
};

struct Overlap {
  size_t term = 0, other = 0; ///< indices; the zones differ
  bool same = false;          ///< the same words; else `term` contains `other`
};

/// Pairs of terms of different zones where each text that holds `term` holds `other` too, so that
/// both zones get its votes. Of terms with the same words each names the first one alone; of
/// containments those are left out where one zone lies in the other's subtree (`subtreeEnd` by
/// zone, preorder): votes for an ancestor do not count against its descendant. In the order of
/// `terms`, then of places in the term.
std::vector<Overlap> findOverlaps(const std::vector<TermWords> &terms,
                                  const std::vector<uint32_t> &subtreeEnd);

} // namespace semdns::pack
