#include "lib/sim/artifact.h"

#include "kernels/tokenise.h"
#include "lib/pack/classes_build.h"
#include "lib/pack/features_build.h"
#include "lib/pack/head_build.h"
#include "lib/pack/keywords_build.h"
#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "lib/pack/zones_build.h"
#include "lib/sim/encoder.h"
#include "semdns/format/encoder.h"
#include "semdns/format/head.h"
#include "semdns/format/meta.h"
#include "semdns/format/text.h"
#include "semdns/format/wordpiece.h"
#include "semdns/format/zones.h"
#include "semdns/kernel.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace semdns::sim {
namespace {

/// TEXT for ASCII as ICU has it; every other code point is one letter.
std::string asciiTable() {
  semdns_text_header header{};
  const auto roundUp = [](uint64_t n) { return (n + 63) / 64 * 64; };
  header.block_count = 2;
  header.stage1_offset = 64;
  header.blocks_offset = static_cast<uint32_t>(roundUp(64 + 2 * SEMDNS_TEXT_STAGE1_SIZE));
  header.pool_offset = header.blocks_offset + 4 * 2 * SEMDNS_TEXT_BLOCK_SIZE;
  std::string bytes(header.pool_offset, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  for (uint32_t i = 1; i < SEMDNS_TEXT_STAGE1_SIZE; ++i)
    bytes[header.stage1_offset + 2 * i] = 1;
  for (uint32_t c = 0; c < 2 * SEMDNS_TEXT_BLOCK_SIZE; ++c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool word = upper || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c >= 0x80;
    const uint32_t kind = word                     ? SEMDNS_CHAR_WORD
                          : c <= 0x20 || c == 0x7f ? SEMDNS_CHAR_SPACE
                                                   : SEMDNS_CHAR_PUNCT;
    const uint32_t entry = (c >= 0x80 ? 0xe9 : upper ? c + 32 : c) | kind << 21;
    std::memcpy(bytes.data() + header.blocks_offset + 4 * c, &entry, 4);
  }
  return bytes;
}

std::vector<uint64_t> wordsOf(const std::string &table, const std::string &text) {
  // The table must lie aligned.
  const std::unique_ptr<uint8_t, void (*)(void *)> aligned(
      static_cast<uint8_t *>(std::aligned_alloc(64, (table.size() + 63) / 64 * 64)), std::free);
  std::memcpy(aligned.get(), table.data(), table.size());
  std::vector<uint64_t> words(SEMDNS_MAX_WORDS), features(SEMDNS_MAX_FEATURES);
  uk_counts counts;
  uk_tokenise(aligned.get(), reinterpret_cast<const uint8_t *>(text.data()), text.size(), 1, 0, 0,
              false, words.data(), features.data(), &counts);
  words.resize(counts.words);
  return words;
}

/// "contracts.legal." -> {"legal", "contracts"}; "." -> {}.
spec::Levels levelsOf(const std::string &name) {
  spec::Levels levels;
  for (size_t end = name.size(); end > 1;) {
    const size_t dot = name.rfind('.', end - 2);
    const size_t begin = dot == std::string::npos ? 0 : dot + 1;
    levels.push_back(name.substr(begin, end - 1 - begin));
    end = begin;
  }
  return levels;
}

struct Draft {
  spec::Levels levels;
  ZoneText text;
};

} // namespace

std::string makeArtifact(std::vector<EngineText> engines, const std::vector<ZoneText> &zones,
                         uint64_t serial, std::string &error, const EncoderText &encoder) {
  spec::ZoneTree tree;
  std::sort(engines.begin(), engines.end(),
            [](const EngineText &a, const EngineText &b) { return a.name < b.name; });
  for (const EngineText &e : engines) {
    spec::Engine engine;
    engine.name = e.name;
    engine.region = e.region;
    engine.tier = static_cast<spec::Tier>(e.tier);
    engine.maxContext = e.maxContext;
    engine.costPerMtokNano = e.costNano;
    tree.engines.push_back(engine);
  }
  std::vector<Draft> drafts;
  for (const ZoneText &zone : zones)
    drafts.push_back({levelsOf(zone.name), zone});
  if (std::none_of(drafts.begin(), drafts.end(), [](const Draft &d) { return d.levels.empty(); }))
    drafts.push_back({{}, {".", 3600, false, false, {}, {}}});
  // Sorted by levels this is the preorder.
  std::sort(drafts.begin(), drafts.end(),
            [](const Draft &a, const Draft &b) { return a.levels < b.levels; });
  const std::string table = asciiTable();
  pack::RoutingModel model;
  for (const Draft &draft : drafts) {
    spec::Zone zone;
    zone.depth = static_cast<uint32_t>(draft.levels.size());
    zone.levels = draft.levels;
    zone.name = draft.text.name;
    zone.ttl = draft.text.ttl;
    zone.path = draft.levels.empty() ? "/" : "";
    for (const std::string &level : draft.levels)
      zone.path += (zone.path.empty() ? "" : "/") + level;
    if (zone.depth) {
      spec::Levels above = draft.levels;
      above.pop_back();
      for (uint32_t i = 0; i < tree.zones.size(); ++i)
        if (tree.zones[i].levels == above)
          zone.parent = i;
      if (zone.parent == spec::kNone) {
        error = "zone '" + zone.name + "' has no parent";
        return {};
      }
      zone.engines = tree.zones[zone.parent].engines;
      zone.flags = tree.zones[zone.parent].flags & SEMDNS_ZONE_RESTRICTED;
    }
    zone.flags |= (draft.text.restricted ? SEMDNS_ZONE_RESTRICTED : 0) |
                  (draft.text.shareable ? SEMDNS_ZONE_SHAREABLE : 0);
    if (!draft.text.engines.empty())
      zone.engines.clear();
    for (const auto &[name, weight] : draft.text.engines) {
      uint32_t number = 0;
      while (number < engines.size() && engines[number].name != name)
        ++number;
      if (number == engines.size()) {
        error = "zone '" + zone.name + "' names an unknown engine '" + name + "'";
        return {};
      }
      zone.engines.push_back({number, weight});
    }
    for (const std::string &keyword : draft.text.keywords)
      model.keywords.terms.push_back(
          {wordsOf(table, keyword), keyword, static_cast<uint32_t>(tree.zones.size()), 1});
    tree.zones.push_back(zone);
  }
  for (size_t i = tree.zones.size(); i-- > 0;) {
    spec::Zone &zone = tree.zones[i];
    zone.subtreeEnd = std::max(zone.subtreeEnd, static_cast<uint32_t>(i + 1));
    if (i)
      tree.zones[zone.parent].subtreeEnd =
          std::max(tree.zones[zone.parent].subtreeEnd, zone.subtreeEnd);
  }
  model.acceptance.threshold.assign(tree.zones.size(), 0);
  model.keywords.acceptVotes = model.keywords.terms.empty() ? 0xffffffffu : 1;
  model.keywords.confidence = model.keywords.terms.empty() ? 0 : 62000;

  EncoderSections stageThree;
  if (!encoder.zone.empty()) {
    uint32_t zone = 1;
    while (zone < tree.zones.size() && tree.zones[zone].name != encoder.zone)
      ++zone;
    if (zone >= tree.zones.size()) {
      error = "the encoder's zone '" + encoder.zone + "' is not below the root";
      return {};
    }
    if (!addEncoder(model, static_cast<uint32_t>(tree.zones.size()), zone, encoder.cost, stageThree,
                    error))
      return {};
  }

  const auto ztre = pack::buildZonesSection(model, tree, error);
  const auto keyw =
      pack::buildKeywordsSection(model.keywords, static_cast<uint32_t>(tree.zones.size()), error);
  const auto tokv = pack::buildFeaturesSection(model.embedding, error);
  const auto cent = pack::buildCentroidsSection(
      model.embedding, pack::chooseLayout(static_cast<uint32_t>(model.classZone.size())), error);
  const auto clsf = pack::buildAcceptanceSection(model, tree, error);
  const std::string meta =
      pack::buildMeta({{"name", "scenario"}, {"tool.version", "scenario"}}, error);
  std::string head;
  if (model.head.present()) {
    const auto built = pack::buildHeadSection(model, tree, error);
    if (!built)
      return {};
    head = *built;
  }
  if (!ztre || !keyw || !tokv || !cent || !clsf || meta.empty())
    return {};
  pack::ArtifactWriter writer(SEMDNS_KIND_HIERARCHY, serial);
  const auto add = [&](uint32_t tag, uint32_t version, const std::string &bytes,
                       uint32_t flags = SEMDNS_SECTION_CRITICAL) {
    writer.add(tag, 0, version, flags, 0, SEMDNS_SECTION_ALIGN, bytes);
  };
  add(SEMDNS_TAG_META, SEMDNS_META_VERSION, meta, 0);
  add(SEMDNS_TAG_ZTRE, SEMDNS_ZTRE_VERSION, *ztre);
  add(SEMDNS_TAG_TEXT, SEMDNS_TEXT_VERSION, table);
  add(SEMDNS_TAG_KEYW, SEMDNS_KEYW_VERSION, *keyw);
  add(SEMDNS_TAG_TOKV, SEMDNS_TOKV_VERSION, *tokv);
  add(SEMDNS_TAG_CENT, SEMDNS_CENT_VERSION, *cent);
  if (!head.empty()) {
    add(SEMDNS_TAG_WPCE, SEMDNS_WPCE_VERSION, stageThree.wpce);
    add(SEMDNS_TAG_ENCM, SEMDNS_ENCM_VERSION, stageThree.encm);
  }
  add(SEMDNS_TAG_CLSF, SEMDNS_CLSF_VERSION, *clsf);
  if (!head.empty())
    add(SEMDNS_TAG_HEAD, SEMDNS_HEAD_VERSION, head);
  return writer.finish();
}

} // namespace semdns::sim
