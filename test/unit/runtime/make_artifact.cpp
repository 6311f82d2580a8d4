#include "test/unit/runtime/make_artifact.h"

#include "semdns/format/gpu.h"

#include "kernels/tokenise.h"
#include "lib/pack/beam_build.h"
#include "lib/pack/beam_plan.h"
#include "lib/pack/classes_build.h"
#include "lib/pack/features_build.h"
#include "lib/pack/head_build.h"
#include "lib/pack/keywords_build.h"
#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "lib/pack/zones_build.h"
#include "semdns/format/encoder.h"
#include "semdns/format/head.h"
#include "semdns/format/meta.h"
#include "semdns/format/wordpiece.h"
#include "semdns/kernel.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

namespace semdns::test {
namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "make_artifact: %s\n", why.c_str());
  std::abort();
}

template <typename T> T need(std::optional<T> value, const std::string &error) {
  if (!value)
    die(error);
  return std::move(*value);
}

// Distributions of the standard library differ between implementations; plain modulo does not.
uint32_t below(std::mt19937_64 &random, uint32_t limit) {
  return static_cast<uint32_t>(random() % limit);
}

std::string makeWord(std::mt19937_64 &random) {
  static constexpr const char *kSyllables[] = {"ba", "ce", "di", "fo", "gu", "ha", "ke", "li",
                                               "mo", "nu", "pa", "re", "si", "to", "vu", "za"};
  std::string word;
  for (uint32_t n = 2 + below(random, 3); n > 0; --n)
    word += kSyllables[below(random, 16)];
  return word;
}

void addZone(spec::ZoneTree &tree, uint32_t parent, const std::string &label) {
  spec::Zone zone;
  const spec::Zone &above = tree.zones[parent];
  zone.parent = parent;
  zone.depth = above.depth + 1;
  zone.name = label + (parent ? "." + above.name : ".");
  std::string spelled = label;
  spelled[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(spelled[0])));
  zone.path = parent ? above.path + "/" + spelled : spelled;
  zone.levels = above.levels;
  zone.levels.push_back(label);
  zone.ttl = 60 * (1 + static_cast<uint32_t>(tree.zones.size() % 1000));
  zone.engines = above.engines;
  tree.zones.push_back(zone);
}

void closeSubtrees(spec::ZoneTree &tree) {
  for (uint32_t i = static_cast<uint32_t>(tree.zones.size()); i-- > 0;) {
    tree.zones[i].subtreeEnd = std::max(tree.zones[i].subtreeEnd, i + 1);
    if (i)
      tree.zones[tree.zones[i].parent].subtreeEnd =
          std::max(tree.zones[tree.zones[i].parent].subtreeEnd, tree.zones[i].subtreeEnd);
  }
}

std::string label(char first, uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%c%03u", first, number);
  return text;
}

struct Tokens {
  std::vector<uint64_t> words, features;
};

Tokens tokenise(const TestModel &model, const std::string &text) {
  // TEXT must lie aligned for its tables to be read.
  const std::unique_ptr<uint8_t, void (*)(void *)> table(
      static_cast<uint8_t *>(std::aligned_alloc(64, (model.text.size() + 63) / 64 * 64)),
      std::free);
  std::memcpy(table.get(), model.text.data(), model.text.size());
  Tokens tokens{std::vector<uint64_t>(SEMDNS_MAX_WORDS),
                std::vector<uint64_t>(SEMDNS_MAX_FEATURES)};
  const pack::EmbeddingModel &e = model.model.embedding;
  uk_counts counts;
  uk_tokenise(table.get(), reinterpret_cast<const uint8_t *>(text.data()), text.size(),
              e.wordNgramMax, e.charNgramMin, e.charNgramMax, e.punct, tokens.words.data(),
              tokens.features.data(), &counts);
  tokens.words.resize(counts.words);
  tokens.features.resize(counts.features);
  return tokens;
}

int8_t clampByte(int32_t value) { return static_cast<int8_t>(std::clamp(value, -127, 127)); }

void makeEmbedding(TestModel &out, std::mt19937_64 &random) {
  const ModelOptions &o = out.options;
  pack::EmbeddingModel &e = out.model.embedding;
  const auto classes = static_cast<uint32_t>(out.model.classZone.size());
  e.dim = o.dim;
  e.gain = o.gain;
  e.unknownNorm = 60;
  for (uint32_t i = 0; i < classes * o.dim; ++i)
    e.classes.push_back(clampByte(static_cast<int32_t>(below(random, 255)) - 127));

  const auto addRow = [&](uint64_t hash, uint32_t owner, int32_t strength) {
    e.hashes.push_back(hash);
    uint64_t n2 = 0;
    for (uint32_t d = 0; d < o.dim; ++d) {
      const int32_t noise = static_cast<int32_t>(below(random, 81)) - 40;
      const int32_t signal = owner < classes ? e.classes[owner * o.dim + d] * strength / 256 : 0;
      const int8_t value = clampByte(signal + noise);
      e.rows.push_back(value);
      n2 += static_cast<uint64_t>(value * value);
    }
    uint32_t norm = 0;
    while (uint64_t(norm + 1) * (norm + 1) <= n2)
      ++norm;
    e.norms.push_back(static_cast<uint16_t>(norm));
  };
  addRow(0, UINT32_MAX, 0); // the bias
  e.norms[0] = 0;
  // Most features of sample texts of each class are known, so that unknown ones occur as well.
  std::set<uint64_t> seen;
  for (uint32_t c = 0; c < classes; ++c) {
    for (uint32_t text = 0; text < 4; ++text) {
      std::string sample;
      for (uint32_t w = 0; w < o.wordsPerClass; ++w)
        sample += out.vocabulary[c * o.wordsPerClass + below(random, o.wordsPerClass)] + " ";
      for (const uint64_t hash : tokenise(out, sample).features)
        if (below(random, 10) < 8 && seen.insert(hash).second)
          addRow(hash, c, 60 + static_cast<int32_t>(below(random, 120)));
    }
  }
}

/// A search tree over the classes: an entry that leads to a node looks like a class below it.
void makeBeam(TestModel &out, std::mt19937_64 &random) {
  std::vector<uint32_t> parents, subtreeEnd;
  for (const spec::Zone &zone : out.tree.zones) {
    parents.push_back(zone.parent);
    subtreeEnd.push_back(zone.subtreeEnd);
  }
  pack::BeamShape shape;
  shape.width = out.options.beamWidth;
  shape.spread = 1 + below(random, 8);
  shape.aim = out.options.beamAim;
  shape.most = 2 * out.options.beamAim;
  pack::RoutingModel &model = out.model;
  model.beam = pack::planBeam(parents, subtreeEnd, model.classZone, shape);
  const uint32_t dim = out.options.dim;
  std::vector<int8_t> entries(model.beam.entries() * dim);
  for (size_t n = model.beam.nodes.size(); n-- > 0;)
    for (uint32_t i = 0; i < model.beam.nodes[n].entry_count; ++i) {
      const uint32_t e = model.beam.nodes[n].entry_begin + i, to = model.beam.target[e];
      const int8_t *from =
          to & SEMDNS_BEAM_NODE
              ? &entries[size_t{model.beam.nodes[to & ~SEMDNS_BEAM_NODE].entry_begin} * dim]
              : &model.embedding.classes[size_t{to} * dim];
      for (uint32_t d = 0; d < dim; ++d)
        entries[size_t{e} * dim + d] =
            clampByte(from[d] + static_cast<int32_t>(below(random, 41)) - 20);
      model.beam.bias[e] = static_cast<int32_t>(below(random, 600)) - 300;
    }
  model.embedding.classes = std::move(entries);
}

/// Stage 3's head, with guards that let each stage decide now and then.
void makeHead(TestModel &out, std::mt19937_64 &random) {
  pack::EncoderHead &head = out.model.head;
  const auto classes = static_cast<uint32_t>(out.model.classZone.size());
  head.width = out.options.encoderWidth;
  for (uint32_t i = 0; i < classes * head.width; ++i)
    head.classes.push_back(clampByte(static_cast<int32_t>(below(random, 255)) - 127));
  for (uint32_t k = 0; k < classes; ++k)
    head.bias.push_back(static_cast<int32_t>(below(random, 800)) - 400);
  head.gain = 4000 + below(random, 8000);
  head.mix = below(random, 3 * 65536);
  for (size_t z = 0; z < out.tree.zones.size(); ++z)
    head.acceptance.threshold.push_back(z ? 5000 + below(random, 50000) : 0);
  head.acceptance.rootOdds = static_cast<int32_t>(below(random, 600)) - 300;
  out.model.guard.confidence = 20000 + below(random, 40000);
  out.model.guard.odds = static_cast<int32_t>(below(random, 300)) - 150;
  out.model.guard.rejectOdds = -static_cast<int32_t>(below(random, 1500)) - 300;
}

} // namespace

std::string asciiTextSection() {
  semdns_text_header header{};
  const auto roundUp = [](uint64_t n) { return (n + 63) / 64 * 64; };
  header.block_count = 2;
  header.stage1_offset = 64;
  header.blocks_offset = roundUp(64 + 2 * SEMDNS_TEXT_STAGE1_SIZE);
  header.pool_offset = header.blocks_offset + 4 * 2 * SEMDNS_TEXT_BLOCK_SIZE;
  std::string bytes(header.pool_offset, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  for (uint32_t i = 1; i < SEMDNS_TEXT_STAGE1_SIZE; ++i)
    bytes[header.stage1_offset + 2 * i] = 1;
  for (uint32_t i = 0; i < 2 * SEMDNS_TEXT_BLOCK_SIZE; ++i) {
    uint32_t kind = SEMDNS_CHAR_WORD, value = i;
    if (i >= 0x80)
      value = 0xe9;
    else if (i <= 0x20 || i == 0x7f)
      kind = SEMDNS_CHAR_SPACE;
    else if (i >= 'A' && i <= 'Z')
      value = i + 32;
    else if (!(i >= '0' && i <= '9') && !(i >= 'a' && i <= 'z'))
      kind = SEMDNS_CHAR_PUNCT;
    const uint32_t entry = value | kind << 21;
    std::memcpy(bytes.data() + header.blocks_offset + 4 * i, &entry, 4);
  }
  return bytes;
}

TestModel makeModel(const ModelOptions &options, std::string textSection) {
  TestModel out;
  out.options = options;
  out.text = textSection.empty() ? asciiTextSection() : std::move(textSection);
  std::mt19937_64 random(options.seed);

  spec::ZoneTree &tree = out.tree;
  tree.zones.emplace_back();
  if (options.engines) {
    for (const char *name : {"engine-a", "engine-b", "engine-c"}) {
      spec::Engine engine;
      engine.name = name;
      engine.region = name[7] == 'b' ? "eu" : "";
      engine.tier = spec::Tier::Domain;
      engine.maxContext = 8192;
      engine.costPerMtokNano = 400000000;
      tree.engines.push_back(engine);
    }
    tree.zones[0].engines = {{0, 1}};
  }
  for (uint32_t d = 0; d < options.domains; ++d) {
    const auto domain = static_cast<uint32_t>(tree.zones.size());
    addZone(tree, 0, label('d', d));
    if (options.engines && d % 2)
      tree.zones[domain].engines = {{2, 3}, {1, 1}};
    for (uint32_t l = 0; l < options.leaves; ++l) {
      const auto leaf = static_cast<uint32_t>(tree.zones.size());
      addZone(tree, domain, label('l', l));
      if (d % 2 && l == 0) {
        addZone(tree, leaf, label('s', 0));
        addZone(tree, leaf, label('s', 1));
      }
    }
  }
  closeSubtrees(tree);
  const auto zones = static_cast<uint32_t>(tree.zones.size());

  pack::RoutingModel &model = out.model;
  if (options.embedding)
    for (uint32_t z = 0; z < zones; ++z) {
      const bool leaf = tree.zones[z].subtreeEnd == z + 1 && z;
      if (leaf || (z == 0 ? options.rootClass : options.innerClasses))
        model.classZone.push_back(z);
    }
  for (uint32_t z = 0; z < zones; ++z)
    model.acceptance.threshold.push_back(z ? 15000 + below(random, 40000) : 0);
  model.acceptance.rootOdds = static_cast<int32_t>(below(random, 600)) - 300;

  std::set<std::string> words;
  const size_t wanted = std::max<size_t>(model.classZone.size(), 4) * options.wordsPerClass;
  while (out.vocabulary.size() < wanted)
    if (const std::string word = makeWord(random); words.insert(word).second)
      out.vocabulary.push_back(word);

  pack::EmbeddingModel &e = model.embedding;
  e.punct = options.punct;
  e.wordNgramMax = options.wordNgramMax;
  e.charNgramMin = options.charMin;
  e.charNgramMax = options.charMax;
  if (options.embedding)
    makeEmbedding(out, random);
  if (options.beamWidth && options.embedding)
    makeBeam(out, random);
  out.layout = out.model.beam.present() ? 1
               : options.layout ? options.layout
                                : pack::chooseLayout(static_cast<uint32_t>(model.classZone.size()));

  pack::KeywordModel &k = model.keywords;
  std::set<std::vector<uint64_t>> taken;
  while (k.terms.size() < options.terms && zones > 1) {
    pack::Term term;
    for (uint32_t n = 1 + below(random, 3); n > 0; --n)
      term.text += (term.text.empty() ? "" : " ") +
                   out.vocabulary[below(random, static_cast<uint32_t>(out.vocabulary.size()))];
    term.words = tokenise(out, term.text).words;
    term.zone = 1 + below(random, zones - 1);
    term.weight = 1 + below(random, 5);
    if (taken.insert(term.words).second)
      k.terms.push_back(term);
  }
  if (options.encoderWidth && options.embedding)
    makeHead(out, random);
  if (!k.terms.empty()) {
    k.acceptVotes = 4;
    k.acceptPurity = 45000;
    k.confidence = 62000;
  }
  return out;
}

SectionBytes packSections(const TestModel &m) {
  std::string error;
  SectionBytes out;
  out.ztre = need(pack::buildZonesSection(m.model, m.tree, error), error);
  out.keyw = need(pack::buildKeywordsSection(m.model.keywords,
                                             static_cast<uint32_t>(m.tree.zones.size()), error),
                  error);
  out.tokv = need(pack::buildFeaturesSection(m.model.embedding, error), error);
  out.cent = need(pack::buildCentroidsSection(m.model.embedding, m.layout, error), error);
  if (m.model.beam.present())
    out.beam = need(pack::buildBeamSection(m.model, m.tree, error), error);
  out.clsf = need(pack::buildAcceptanceSection(m.model, m.tree, error), error);
  if (m.model.head.present())
    out.head = need(pack::buildHeadSection(m.model, m.tree, error), error);
  return out;
}

std::string packArtifact(const TestModel &m, const std::vector<KernelSection> &kernels,
                         uint64_t serial, const std::string &gpu) {
  std::string error;
  const SectionBytes s = packSections(m);
  const std::string meta = pack::buildMeta({{"name", "random"}, {"tool.version", "test"}}, error);
  if (meta.empty())
    die(error);
  pack::ArtifactWriter writer(SEMDNS_KIND_HIERARCHY, serial);
  const auto add = [&](uint32_t tag, uint32_t version, const std::string &bytes) {
    writer.add(tag, 0, version, SEMDNS_SECTION_CRITICAL, 0, SEMDNS_SECTION_ALIGN, bytes);
  };
  writer.add(SEMDNS_TAG_META, 0, SEMDNS_META_VERSION, 0, 0, SEMDNS_SECTION_ALIGN, meta);
  add(SEMDNS_TAG_ZTRE, SEMDNS_ZTRE_VERSION, s.ztre);
  add(SEMDNS_TAG_TEXT, SEMDNS_TEXT_VERSION, m.text);
  add(SEMDNS_TAG_KEYW, SEMDNS_KEYW_VERSION, s.keyw);
  add(SEMDNS_TAG_TOKV, SEMDNS_TOKV_VERSION, s.tokv);
  add(SEMDNS_TAG_CENT, SEMDNS_CENT_VERSION, s.cent);
  if (!s.beam.empty())
    add(SEMDNS_TAG_BEAM, SEMDNS_BEAM_VERSION, s.beam);
  if (!m.wpce.empty())
    add(SEMDNS_TAG_WPCE, SEMDNS_WPCE_VERSION, m.wpce);
  if (!m.encm.empty())
    add(SEMDNS_TAG_ENCM, SEMDNS_ENCM_VERSION, m.encm);
  add(SEMDNS_TAG_CLSF, SEMDNS_CLSF_VERSION, s.clsf);
  if (!s.head.empty())
    add(SEMDNS_TAG_HEAD, SEMDNS_HEAD_VERSION, s.head);
  for (const KernelSection &kernel : kernels)
    writer.add(SEMDNS_TAG_KCPU, kernel.isa, SEMDNS_KERNEL_ABI, SEMDNS_SECTION_CODE, m.layout,
               SEMDNS_CODE_ALIGN, kernel.elf);
  if (!gpu.empty())
    writer.add(SEMDNS_TAG_KGPU, 0, SEMDNS_KGPU_VERSION, 0, m.layout, SEMDNS_SECTION_ALIGN, gpu);
  return writer.finish();
}

std::string randomText(std::mt19937_64 &random, const TestModel &m, uint32_t words) {
  const uint32_t perClass = m.options.wordsPerClass;
  const auto vocabulary = static_cast<uint32_t>(m.vocabulary.size());
  const uint32_t home = below(random, vocabulary / perClass);
  std::string text;
  for (uint32_t w = 0; w < words; ++w) {
    const uint32_t dice = below(random, 20);
    std::string word = dice < 12   ? m.vocabulary[home * perClass + below(random, perClass)]
                       : dice < 16 ? m.vocabulary[below(random, vocabulary)]
                       : dice < 18 ? "unheard" + std::to_string(below(random, 1000))
                                   : makeWord(random);
    if (below(random, 12) == 0)
      word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
    text += word;
    static constexpr const char *kBreaks[] = {" ", " ",  " ",  " ",  ", ",
                                              "-", "\n", "  ", "! ", "\t"};
    text += kBreaks[below(random, 10)];
  }
  return text;
}

std::string hostileText(std::mt19937_64 &random, uint32_t size) {
  static const std::string kPieces[] = {std::string("\0", 1),
                                        "\xff",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x92",
                                        "\xed\xa0\x80",
                                        "\xc0\xaf",
                                        "\xf4\x90\x80\x80",
                                        "\xef\xbf\xbd",
                                        "\xcc\x81",
                                        "e\xcc\x81",
                                        "\xef\xb7\xba",
                                        "\xe2\x80\x8d",
                                        "\xf0\x9f\x92\xa9",
                                        "\xe6\x88\x91",
                                        "\x7f",
                                        " ",
                                        "a",
                                        "Z",
                                        "\xc4\xb0",
                                        "\xef\xbb\xbf",
                                        "-"};
  std::string text;
  while (text.size() < size) {
    if (below(random, 4) == 0) {
      text += static_cast<char>(below(random, 256));
    } else {
      const std::string &piece = kPieces[below(random, std::size(kPieces))];
      for (uint32_t n = below(random, 16) ? 1 : below(random, 200); n > 0; --n)
        text += piece;
    }
  }
  text.resize(size);
  return text;
}

} // namespace semdns::test
