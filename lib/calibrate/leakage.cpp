#include "lib/calibrate/leakage.h"

#include "lib/text/similar.h"

#include <string>

namespace semdns::calibrate {

Leakage findLeakage(std::span<const std::string_view> rows,
                    std::span<const std::string_view> training, unsigned threads) {
  const std::vector<text::Twin> twins = text::findTwins(rows, training, threads);
  Leakage leakage;
  for (bool same : {true, false})
    for (uint32_t i = 0; i < twins.size(); ++i)
      if (twins[i].known != UINT32_MAX && twins[i].exact == same) {
        ++(same ? leakage.same : leakage.near);
        if (leakage.examples.size() < 5)
          leakage.examples.emplace_back(i, twins[i].known);
      }
  return leakage;
}

void warnAboutLeakage(const Leakage &leakage, std::span<const std::string_view> rows,
                      std::span<const std::string_view> training, const Location &source,
                      Diagnostics &diags) {
  if (leakage.same + leakage.near == 0)
    return;
  auto quote = [](std::string_view text) {
    std::string out(text.substr(0, 80));
    while (!out.empty() && out.size() < text.size() && (text[out.size()] & 0xc0) == 0x80)
      out.pop_back(); // not within a code point
    for (char &c : out)
      if (static_cast<unsigned char>(c) < 0x20)
        c = ' ';
    return "\"" + out + (out.size() < text.size() ? "..." : "") + "\"";
  };
  std::string examples;
  for (auto [row, known] : leakage.examples)
    examples +=
        (examples.empty() ? "" : "; ") + quote(rows[row]) + " is like " + quote(training[known]);
  diags.warning(source,
                "leakage: of " + std::to_string(rows.size()) + " calibration rows " +
                    std::to_string(leakage.same) + " have the words of a training row and " +
                    std::to_string(leakage.near) +
                    " more nearly so; texts that training has seen are easier than new ones",
                "take them out of one of the two; for example " + examples);
}

} // namespace semdns::calibrate
