#include "lib/pack/overlap.h"

#include <algorithm>
#include <map>

namespace semdns::pack {

std::vector<Overlap> findOverlaps(const std::vector<TermWords> &terms,
                                  const std::vector<uint32_t> &subtreeEnd) {
  // The first term of each zone with these words.
  std::map<std::vector<uint64_t>, std::vector<size_t>> byWords;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].words.empty())
      continue;
    std::vector<size_t> &known = byWords[terms[i].words];
    if (std::none_of(known.begin(), known.end(),
                     [&](size_t k) { return terms[k].zone == terms[i].zone; }))
      known.push_back(i);
  }
  auto within = [&](uint32_t zone, uint32_t above) {
    return zone >= above && zone < subtreeEnd[above];
  };
  std::vector<Overlap> found;
  for (size_t i = 0; i < terms.size(); ++i) {
    const std::vector<uint64_t> &words = terms[i].words;
    for (size_t begin = 0; begin < words.size(); ++begin)
      for (size_t end = begin + 1; end <= words.size(); ++end) {
        auto at = byWords.find({words.begin() + static_cast<std::ptrdiff_t>(begin),
                                words.begin() + static_cast<std::ptrdiff_t>(end)});
        if (at == byWords.end())
          continue;
        const bool whole = end - begin == words.size();
        if (whole) {
          const size_t first = at->second.front();
          const bool mine = std::find(at->second.begin(), at->second.end(), i) != at->second.end();
          if (mine && first != i)
            found.push_back({i, first, true});
          continue;
        }
        for (size_t other : at->second) {
          const uint32_t a = terms[i].zone, b = terms[other].zone;
          if (!within(a, b) && !within(b, a))
            found.push_back({i, other, false});
        }
      }
  }
  return found;
}

} // namespace semdns::pack
