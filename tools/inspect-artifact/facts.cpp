#include "tools/inspect-artifact/facts.h"

#include "kernels/tokenise.h"
#include "kernels/wordpiece.h"
#include "lib/pack/overlap.h"
#include "lib/pack/reach.h"
#include "semdns/semdns.hpp"
#ifdef SEMDNS_HAVE_REFERENCE
#include "lib/reference/encoder.h"
#include "lib/reference/route.h"
#endif

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>

namespace semdns::inspect {
namespace {

constexpr size_t kLines = 20, kRandomTexts = 512, kTermsPerZone = 16;

/// Adds a line, or at the limit that there are more.
void add(Fact &fact, std::string line) {
  if (fact.lines.size() < kLines)
    fact.lines.push_back(std::move(line));
  else if (fact.lines.size() == kLines)
    fact.lines.push_back("...");
}

std::string number(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t at = digits.size(); at > 3; at -= 3)
    digits.insert(at - 3, ",");
  return digits;
}

/// The artifact, open and ready to be asked.
struct Asked {
  Error error;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;
  Answer answer;

  explicit Asked(const File &file)
      : artifact(Artifact::openMemory(file.reader->data(), file.reader->size(), {}, error)) {
    if (artifact)
      resolver = Resolver(artifact, error);
    if (resolver)
      scratch = Scratch(resolver, error);
  }
  bool ask(std::string_view text, uint32_t stages = 0) {
    semdns_query query = Resolver::query(text);
    query.stages = stages;
    return scratch && resolver.resolve(scratch, query, answer) == SEMDNS_OK;
  }
};

Fact totality(const File &file, Asked &asked) {
  const Contents &c = *file.contents;
  Fact fact{"totality", "proved", "", {}};
  // What the validators have checked: each parent comes before its child, the root's threshold is
  // 0.
  std::mt19937_64 random(1);
  size_t answered = 0;
  for (size_t i = 0; i < kRandomTexts; ++i) {
    std::string text(random() % (i % 16 ? 200 : 20000), '\0');
    for (char &byte : text)
      byte = static_cast<char>(i % 2 ? random() : 'a' + random() % 32);
    answered += asked.ask(text) && asked.answer.zone().index < c.zones.header->zone_count &&
                asked.answer->chain[asked.answer->chain_count - 1].index == 0;
  }
  fact.text = "every byte string ends at a zone: a climb takes at most " +
              std::to_string(SEMDNS_MAX_DEPTH) +
              " steps, each to a lower number, and the root needs no confidence; " +
              std::to_string(answered) + " of " + std::to_string(kRandomTexts) +
              " random byte strings answered";
  if (answered != kRandomTexts)
    fact.state = "violated";
  return fact;
}

Fact work(const File &file) {
  const Contents &c = *file.contents;
  const semdns_tokv_header &t = *c.features.header;
  const uint64_t classes =
      c.hasBeam ? uint64_t{c.beam.header->node_room} * c.beam.header->width * c.beam.header->levels
                : c.centroids.header->padded_count;
  // Code points that one may become, each of which may start all lengths of n-grams.
  uint64_t expansion = 1;
  for (uint64_t i = 0; i < uint64_t{c.text.header->block_count} * SEMDNS_TEXT_BLOCK_SIZE; ++i) {
    const uint32_t length = SEMDNS_TEXT_LENGTH(c.text.blocks[i]);
    if (length != SEMDNS_TEXT_IDENTITY)
      expansion = std::max<uint64_t>(expansion, length);
  }
  // A symbol starts an n-gram of each length and ends at most one word with its n-grams.
  const uint64_t perSymbol =
      (t.char_ngram_max ? 2 * (t.char_ngram_max - t.char_ngram_min + 1) : 0) + t.word_ngram_max;
  Fact fact{"work",
            "proved",
            "whatever its size, a text costs at most the figures below, plus what moving it costs",
            {}};
  add(fact, "read: " + number(SEMDNS_HEAD_BYTES + SEMDNS_TAIL_BYTES) + " bytes, " +
                number(SEMDNS_MAX_WORDS) + " words; the tree is climbed once, " +
                std::to_string(SEMDNS_MAX_DEPTH) + " steps");
  add(fact, "keywords: " + number(SEMDNS_MAX_WORDS) + " look-ups, failure links followed " +
                number(SEMDNS_MAX_WORDS) + " times in all, " + number(SEMDNS_MAX_HITS) + " hits");
  add(fact, "features: " + std::to_string(perSymbol) + " a symbol, a code point becomes up to " +
                std::to_string(expansion) + " of them; " + number(SEMDNS_MAX_FEATURES) +
                " look-ups and " + number(uint64_t{SEMDNS_MAX_FEATURES} * t.dim) + " additions");
  add(fact, "classes: " + number(classes * t.dim) + " products");
  if (c.hasEncoder) {
    const semdns_encm_header &e = *c.encoder.header;
    const uint64_t tokens = e.max_tokens, room = uint64_t{e.heads} * e.head_room;
    const uint64_t layer = tokens * (4 * room * e.width + 2 * uint64_t{e.inner} * e.width) +
                           2 * tokens * tokens * room;
    add(fact, "encoder: " + std::to_string(tokens) + " tokens, " + number(layer * e.layer_count) +
                  " products in " + std::to_string(e.layer_count) + " layers, " +
                  number(uint64_t{c.head.header->padded_count} * c.head.header->padded_width) +
                  " in the head");
  }
  return fact;
}

/// Texts that speak for each zone: its terms, its name, golden queries that it has answered.
std::vector<std::vector<std::string>> textsByZone(const Contents &c) {
  std::vector<std::vector<std::string>> texts(c.zones.header->zone_count);
  for (uint32_t i = 0; i < c.keywords.header->term_count; ++i)
    if (std::vector<std::string> &own = texts[c.keywords.terms[i].zone]; own.size() < kTermsPerZone)
      own.emplace_back(c.keywords.text(i));
  for (uint32_t z = 1; z < texts.size(); ++z) {
    std::string all;
    for (const std::string &term : texts[z])
      all += (all.empty() ? "" : " ") + term;
    if (!all.empty())
      texts[z].push_back(all);
    std::string path(c.zones.path(z));
    std::replace(path.begin(), path.end(), '_', ' ');
    std::replace(path.begin(), path.end(), '-', ' ');
    const std::string label = path.substr(path.rfind('/') + 1);
    std::replace(path.begin(), path.end(), '/', ' ');
    texts[z].push_back(label);
    texts[z].push_back(path);
    if (!all.empty())
      texts[z].push_back(label + " " + all);
  }
  if (c.hasGold)
    for (uint32_t i = 0; i < c.gold.header->count; ++i)
      texts[c.gold.entries[i].answer_zone].emplace_back(c.gold.query(i));
  return texts;
}

Fact reachability(const File &file, Asked &asked) {
  const Contents &c = *file.contents;
  const std::vector<pack::Unreachable> proofs = pack::unreachableZones(c);
  const auto texts = textsByZone(c);
  const uint32_t zones = c.zones.header->zone_count;
  std::vector<bool> reached(zones, false);
  std::vector<std::string> tries;
  for (uint32_t z = 1; z < zones; ++z) {
    if (!proofs[z].why.empty())
      continue;
    tries = texts[z];
    // For a zone that is climbed to: texts about two of its zones.
    std::vector<uint32_t> below;
    for (uint32_t b = z + 1; b < c.zones.zones[z].subtree_end && below.size() < 6; ++b)
      if (c.zones.zones[b].subtree_end == b + 1)
        below.push_back(b);
    for (uint32_t a : below)
      for (uint32_t b : below)
        if (a < b && !texts[a].empty() && !texts[b].empty())
          tries.push_back(texts[a].back() + " " + texts[b].back());
    for (const std::string &text : tries)
      if (asked.ask(text)) {
        reached[asked.answer.zone().index] = true; // whichever it is
        if (reached[z])
          break;
      }
  }
  uint32_t shown = 0, proved = 0, open = 0;
  Fact fact{"reachability", "", "", {}};
  for (uint32_t z = 1; z < zones; ++z) {
    const std::string name(c.zones.name(z));
    if (!proofs[z].why.empty()) {
      ++proved;
      add(fact, name + " is never answered: " + proofs[z].why);
    } else if (reached[z]) {
      ++shown;
    } else {
      ++open;
      add(fact, name + ": no witness among its keywords and name, and no proof that none exists");
    }
  }
  fact.state = open ? "open" : proved ? "proved" : "shown";
  fact.text = "of " + std::to_string(zones - 1) + " zones below the root " + std::to_string(shown) +
              " answer a text made of their keywords or name, " + std::to_string(proved) +
              " provably answer none, " + std::to_string(open) + " are open";
  if (const char *build = asked.artifact ? asked.artifact.meta("facts.zones.reached") : nullptr)
    fact.text += "; the build, which had the examples, reached " + std::string(build);
  return fact;
}

Fact keywords(const File &file) {
  const Contents &c = *file.contents;
  const uint32_t count = c.keywords.header->term_count;
  std::vector<pack::TermWords> terms(count);
  std::vector<uint64_t> words(SEMDNS_MAX_WORDS), features(SEMDNS_MAX_FEATURES);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view text = c.keywords.text(i);
    uk_counts counts;
    uk_tokenise(reinterpret_cast<const uint8_t *>(c.text.header),
                reinterpret_cast<const uint8_t *>(text.data()), text.size(), 1, 0, 0, 0,
                words.data(), features.data(), &counts);
    terms[i] = {{words.begin(), words.begin() + counts.words}, c.keywords.terms[i].zone};
  }
  std::vector<uint32_t> ends(c.zones.header->zone_count);
  for (uint32_t z = 0; z < ends.size(); ++z)
    ends[z] = c.zones.zones[z].subtree_end;
  size_t same = 0, contained = 0;
  Fact fact{"keywords", "shown", "", {}};
  for (const pack::Overlap &o : pack::findOverlaps(terms, ends)) {
    ++(o.same ? same : contained);
    const auto one = static_cast<uint32_t>(o.term), other = static_cast<uint32_t>(o.other);
    add(fact, "'" + std::string(c.keywords.text(one)) + "' of " +
                  std::string(c.zones.name(terms[one].zone)) +
                  (o.same ? " is a term of "
                          : " contains '" + std::string(c.keywords.text(other)) + "' of ") +
                  std::string(c.zones.name(terms[other].zone)) + (o.same ? " too" : ""));
  }
  fact.text = std::to_string(count) + " terms: " + std::to_string(same) + " stand in two zones, " +
              std::to_string(contained) + " times one contains another zone's";
  return fact;
}

#ifdef SEMDNS_HAVE_REFERENCE
/// What the reference interpreter decides, stage 3 included.
semdns_kernel_answer decide(const File &file, std::string_view text) {
  const Contents &c = *file.contents;
  const auto section = [&](uint32_t tag) {
    const artifact::Span span = file.reader->get(tag);
    return std::string_view(reinterpret_cast<const char *>(span.data), span.size);
  };
  const reference::Sections sections{section(SEMDNS_TAG_KEYW), section(SEMDNS_TAG_TOKV),
                                     section(SEMDNS_TAG_CENT), section(SEMDNS_TAG_CLSF),
                                     c.hasBeam ? section(SEMDNS_TAG_BEAM) : std::string_view()};
  semdns_kernel_answer k = reference::route(sections, text, 3, 1);
  if (!c.hasEncoder || k.stage == SEMDNS_KERNEL_STAGE_KEYWORD || !k.word_count)
    return k;
  const semdns_clsf_header &clsf = *c.acceptance.header;
  if (k.stage == SEMDNS_KERNEL_STAGE_EMBEDDING) {
    if (k.best_confidence >= clsf.guard_confidence && k.odds >= clsf.guard_odds) {
      k.zone = k.best_zone;
      k.confidence = k.best_confidence;
      return k;
    }
    if (k.odds < clsf.reject_odds) {
      k.zone = 0;
      k.confidence = 65536;
      return k;
    }
  }
  uint32_t ids[SEMDNS_ENCODER_MAX_TOKENS], flags = 0;
  const uint32_t tokens = uk_window(reinterpret_cast<const uint8_t *>(c.wordpiece.header), nullptr,
                                    0, reinterpret_cast<const uint8_t *>(text.data()), text.size(),
                                    c.encoder.header->max_tokens, ids, &flags);
  if (tokens <= 2)
    return k;
  const reference::Embedding e = reference::encode(section(SEMDNS_TAG_ENCM), {ids, tokens});
  return reference::decideEncoded(sections, section(SEMDNS_TAG_HEAD), text, e.q.data(), e.peak, 1);
}
#endif

Fact decision(const File &file, Asked &asked) {
  const Contents &c = *file.contents;
  const uint32_t count = c.hasGold ? c.gold.header->count : 0;
  Fact fact{"decision", "shown", "", {}};
#ifdef SEMDNS_HAVE_REFERENCE
  const char *against = "the reference interpreter";
#else
  const char *against = "the build's recorded answers";
#endif
  uint32_t same = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view text = c.gold.query(i);
    bool equal = asked.ask(text);
    const semdns_gold_entry &e = c.gold.entries[i];
    const Answer &a = asked.answer;
    equal = equal && a->stage == e.stage && a.zone().index == e.answer_zone &&
            a.zone().confidence == e.confidence;
#ifdef SEMDNS_HAVE_REFERENCE
    const semdns_kernel_answer k = decide(file, text);
    equal = equal && a->stage == k.stage && a.zone().index == k.zone &&
            a.zone().confidence == k.confidence;
#endif
    same += equal;
    if (!equal)
      add(fact, "differs: " + std::string(text.substr(0, 60)));
  }
  fact.text = std::to_string(same) + " of " + std::to_string(count) +
              " golden queries are decided as by " + against;
  fact.state = same != count ? "violated" : count ? "shown" : "open";
  if (!count)
    fact.text = "no golden queries: write test {} blocks";
  return fact;
}

} // namespace

std::vector<Fact> factsOf(const File &file) {
  Asked asked(file);
  return {totality(file, asked), work(file), reachability(file, asked), keywords(file),
          decision(file, asked)};
}

std::string factsText(const File &file, const std::vector<Fact> &facts) {
  std::string out = file.path + ": facts\n";
  for (const Fact &fact : facts) {
    out += "\n" + fact.name + " (" + fact.state + "): " + printable(fact.text, 400) + "\n";
    for (const std::string &line : fact.lines)
      out += "  " + printable(line) + "\n";
  }
  return out;
}

std::string factsJson(const File &file, const std::vector<Fact> &facts) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Fact &fact : facts)
    list.push_back(
        {{"fact", fact.name}, {"state", fact.state}, {"text", fact.text}, {"details", fact.lines}});
  const Json out = {{"file", file.path}, {"facts", std::move(list)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace semdns::inspect
