#include "lib/eval/leakage.h"

#include <algorithm>

namespace semdns::eval {
namespace {

std::vector<std::string_view> textsOf(const Rows &rows) {
  std::vector<std::string_view> texts;
  for (const auto &row : rows.rows)
    texts.push_back(row.text);
  return texts;
}

} // namespace

Leakage findLeaks(const Rows &rows, const Rows &training, unsigned threads) {
  const std::vector<text::Twin> twins = text::findTwins(textsOf(rows), textsOf(training), threads);
  Leakage out;
  out.rows = rows.rows.size();
  out.trainingRows = training.rows.size();
  for (uint32_t i = 0; i < twins.size(); ++i) {
    if (twins[i].known == UINT32_MAX)
      continue;
    const Leak leak = {i, twins[i], rows.rows[i].label == training.rows[twins[i].known].label};
    ++(leak.twin.exact ? out.exact : out.near);
    out.otherLabel += !leak.sameLabel;
    out.leaks.push_back(leak);
  }
  return out;
}

std::vector<uint32_t> groupTexts(const std::vector<std::string_view> &texts, double least) {
  // Words and their beginnings: short texts share few 6-grams even when they say the same.
  std::vector<std::vector<uint64_t>> sets;
  for (std::string_view text : texts) {
    const std::string normal = text::comparable(text);
    std::vector<uint64_t> set = text::gramsOf(" " + normal + " ", 4);
    for (size_t begin = 0; begin < normal.size();) {
      const size_t end = std::min(normal.find(' ', begin), normal.size());
      set.push_back(text::hashOf(normal.substr(begin, end - begin)) ^ 1);
      begin = end + 1;
    }
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
    sets.push_back(std::move(set));
  }
  std::vector<uint32_t> leader(texts.size());
  std::vector<uint32_t> leaders;
  for (uint32_t i = 0; i < texts.size(); ++i) {
    leader[i] = i;
    double bestValue = least;
    for (uint32_t other : leaders)
      if (const double value = text::jaccard(sets[i], sets[other]); value >= bestValue) {
        if (leader[i] != i && value == bestValue)
          continue;
        bestValue = value;
        leader[i] = other;
      }
    if (leader[i] == i)
      leaders.push_back(i);
  }
  return leader;
}

} // namespace semdns::eval
