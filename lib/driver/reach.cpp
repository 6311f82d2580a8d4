#include "lib/driver/reach.h"

#include "lib/pack/reach.h"
#include "semdns/semdns.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace semdns::driver {
namespace {

constexpr size_t kTextsPerZone = 64, kOwnTexts = 24, kNamed = 5;

/// Texts that speak for each zone itself: labels and keywords first, then examples, spread over all
/// there are.
std::vector<std::vector<std::string>> textsByZone(const spec::Input &input) {
  const auto &zones = input.tree.zones;
  std::vector<std::vector<std::string>> texts(zones.size());
  std::vector<std::vector<const std::string *>> examples(zones.size());
  for (const spec::LabelledExample &example : input.examples)
    examples[example.zone].push_back(&example.text);
  for (size_t z = 1; z < zones.size(); ++z) {
    std::vector<std::string> &own = texts[z];
    const size_t step = std::max<size_t>(1, examples[z].size() / kOwnTexts);
    for (size_t i = 0; i < examples[z].size() && own.size() < kOwnTexts; i += step)
      own.push_back(*examples[z][i]);
    std::string all;
    for (const std::string &keyword : zones[z].keywords) {
      if (own.size() < kOwnTexts)
        own.push_back(keyword);
      all += (all.empty() ? "" : " ") + keyword;
    }
    if (!all.empty())
      own.push_back(all);
    std::string label = zones[z].levels.empty() ? "" : zones[z].levels.back();
    std::replace(label.begin(), label.end(), '-', ' ');
    own.push_back(label);
    if (!zones[z].description.empty())
      own.push_back(zones[z].description);
  }
  return texts;
}

/// What to try for a zone: its own texts, then for an inner zone texts about two of its zones.
std::vector<std::string> candidates(const spec::ZoneTree &tree, uint32_t zone,
                                    const std::vector<std::vector<std::string>> &texts) {
  std::vector<std::string> out = texts[zone];
  std::vector<uint32_t> below;
  for (uint32_t z = zone + 1; z < tree.zones[zone].subtreeEnd && below.size() < 8; ++z)
    if (tree.zones[z].subtreeEnd == z + 1 && !texts[z].empty())
      below.push_back(z);
  for (size_t round = 0; round < 4; ++round)
    for (size_t a = 0; a < below.size(); ++a)
      for (size_t b = a + 1; b < below.size() && out.size() < kTextsPerZone; ++b) {
        const auto &one = texts[below[a]], &two = texts[below[b]];
        out.push_back(one[round % one.size()] + " " + two[round % two.size()]);
      }
  if (below.size() == 1)
    out.insert(out.end(), texts[below[0]].begin(), texts[below[0]].end());
  return out;
}

/// Proofs need the sections in aligned memory.
std::vector<pack::Unreachable> proofsOf(std::string_view bytes) {
  std::unique_ptr<void, void (*)(void *)> memory(
      std::aligned_alloc(64, (bytes.size() + 63) / 64 * 64), std::free);
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  artifact::Reader reader;
  artifact::Contents contents;
  base::Error error;
  if (!reader.open(static_cast<const uint8_t *>(memory.get()), bytes.size(), SEMDNS_KIND_HIERARCHY,
                   artifact::Check::Structure, error) ||
      !artifact::parseContents(reader, contents, error))
    return {};
  return pack::unreachableZones(contents);
}

} // namespace

Reach checkReach(std::string_view artifact, const spec::Input &input, Diagnostics &diags) {
  Reach reach;
  Error error;
  Artifact opened = Artifact::openMemory(artifact.data(), artifact.size(), {}, error);
  Resolver resolver;
  Scratch scratch;
  if (opened)
    resolver = Resolver(opened, error);
  if (resolver)
    scratch = Scratch(resolver, error);
  const std::vector<pack::Unreachable> proofs = proofsOf(artifact);
  const auto &zones = input.tree.zones;
  if (!scratch || proofs.size() != zones.size())
    return reach;
  const auto texts = textsByZone(input);
  Answer answer;
  std::vector<uint32_t> open;
  for (uint32_t zone = 1; zone < zones.size(); ++zone) {
    ++reach.zones;
    if (const pack::Unreachable &proof = proofs[zone]; !proof.why.empty()) {
      ++reach.proved;
      if (proof.why.rfind("neither", 0) != 0 && !proof.between) // the dialect has said the first
        diags.warning(zones[zone].where,
                      "zone '" + zones[zone].name + "' is never answered: " + proof.why);
      continue;
    }
    bool found = false;
    for (const std::string &text : candidates(input.tree, zone, texts)) {
      found = resolver.resolve(scratch, Resolver::query(text), answer) == SEMDNS_OK &&
              answer.zone().index == zone;
      if (found)
        break;
    }
    reach.reached += found;
    // Where a climb never ends is worth a line in the facts, not a warning.
    if (!found && (zones[zone].exampleCount || !zones[zone].keywords.empty()))
      open.push_back(zone);
  }
  if (!open.empty()) {
    std::string names;
    for (size_t i = 0; i < open.size() && i < kNamed; ++i)
      names += (i ? ", '" : "'") + zones[open[i]].name + "'";
    diags.warning(zones[open[0]].where,
                  std::to_string(open.size()) + (open.size() == 1 ? " zone is" : " zones are") +
                      " answered for none of the texts at hand (examples, keywords, labels): " +
                      names + (open.size() > kNamed ? ", ..." : ""),
                  "their thresholds may be out of reach: see inspect-artifact --facts");
  }
  return reach;
}

} // namespace semdns::driver
