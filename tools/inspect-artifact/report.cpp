#include "tools/inspect-artifact/report.h"

#include "runtime/artifact/elf.h"
#include "runtime/exec/isa.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace semdns::inspect {

using Json = nlohmann::ordered_json;
using artifact::Reader;

namespace {

[[gnu::format(printf, 2, 3)]] void print(std::string &out, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int size = vsnprintf(nullptr, 0, format, args);
  va_end(args);
  const size_t at = out.size();
  out.resize(at + static_cast<size_t>(size) + 1);
  vsnprintf(out.data() + at, static_cast<size_t>(size) + 1, format, again);
  va_end(again);
  out.pop_back();
}

std::string hex(const uint8_t *bytes, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    print(out, "%02x", bytes[i]);
  return out;
}

std::string size(uint64_t bytes) {
  std::string out;
  if (bytes < 10000)
    print(out, "%llu B", static_cast<unsigned long long>(bytes));
  else if (bytes < 10000000)
    print(out, "%.1f kB", static_cast<double>(bytes) / 1e3);
  else
    print(out, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return out;
}

std::string tagOf(uint32_t tag) {
  char text[5];
  base::tagText(tag, text);
  return text;
}

std::vector<std::string> flagsOf(const semdns_section &s) {
  std::vector<std::string> names;
  if (s.flags & SEMDNS_SECTION_CRITICAL)
    names.push_back("critical");
  if (s.flags & SEMDNS_SECTION_ZSTD)
    names.push_back("zstd");
  if (s.flags & SEMDNS_SECTION_CODE)
    names.push_back("code");
  if (s.version != artifact::knownVersion(s.tag))
    names.push_back("skipped");
  return names;
}

const char *kindName(const File &file) { return file.isHierarchy() ? "hierarchy" : "patterns"; }

const char *tierName(uint32_t tier) {
  constexpr const char *kNames[] = {"ROOT", "DOMAIN", "SUBDOMAIN", "SPECIALIST"};
  return tier < 4 ? kNames[tier] : "?";
}

const char *patternKind(uint32_t kind) {
  switch (kind) {
  case SEMDNS_PATTERN_NGRAM:
    return "ngram";
  case SEMDNS_PATTERN_KEYWORD:
    return "keyword";
  case SEMDNS_PATTERN_PHRASE:
    return "phrase";
  case SEMDNS_PATTERN_TEMPLATE:
    return "template";
  case SEMDNS_PATTERN_CLUSTER:
    return "cluster";
  case SEMDNS_PATTERN_DOCUMENT:
    return "document";
  default:
    return "other";
  }
}

double fraction(uint32_t q16) { return q16 / 65536.0; }

/// Odds in bits.
std::string bits(int32_t odds) {
  std::string out;
  print(out, "%+.2f", odds / 256.0);
  return out;
}
std::string oddsText(int32_t least) {
  return least == INT32_MIN ? "at no odds" : "below odds " + bits(least);
}
/// A threshold as JSON: null is never.
Json thresholdJson(uint32_t q16) { return q16 > 65536 ? Json(nullptr) : Json(fraction(q16)); }
Json oddsJson(int32_t least) { return least == INT32_MIN ? Json(nullptr) : Json(least / 256.0); }

const char *codecName(uint32_t tag) {
  switch (tag) {
  case SEMDNS_TAG_DICT:
    return "zstd";
  case SEMDNS_TAG_PHRS:
    return "turbo";
  case SEMDNS_TAG_TOKM:
    return "fast";
  case SEMDNS_TAG_BYTM:
    return "max";
  default:
    return nullptr;
  }
}

bool isKernel(const semdns_section &s) {
  return s.tag == SEMDNS_TAG_KCPU || s.tag == SEMDNS_TAG_KGPU;
}

uint32_t depthOf(const artifact::Zones &zones) {
  uint32_t depth = 0;
  for (uint32_t z = 0; z < zones.header->zone_count; ++z)
    depth = std::max(depth, zones.zones[z].depth);
  return depth;
}

// Terms of each zone's own in stage 1.
std::vector<uint32_t> termsPerZone(const Contents &c) {
  std::vector<uint32_t> terms(c.zones.header->zone_count);
  for (uint32_t i = 0; i < c.keywords.header->term_count; ++i)
    ++terms[c.keywords.terms[i].zone];
  return terms;
}

void printZones(std::string &out, const Contents &c, bool all) {
  const artifact::Zones &zones = c.zones;
  const semdns_ztre_header &h = *zones.header;
  print(out, "\nZONES  %u, depth %u, %u with a class, %u engine%s\n", h.zone_count, depthOf(zones),
        h.class_count, h.engine_count, h.engine_count == 1 ? "" : "s");
  const std::vector<uint32_t> terms = termsPerZone(c);
  const uint32_t listed = all ? h.zone_count : std::min(h.zone_count, kZonesListed);
  print(out, "  %-44s %6s %6s %9s %6s  %s\n", "zone", "class", "terms", "threshold", "ttl", "path");
  for (uint32_t z = 0; z < listed; ++z) {
    const semdns_zone &zone = zones.zones[z];
    const std::string name = std::string(2 * zone.depth, ' ') + printable(zones.name(z), 80);
    std::string own = zone.own_class == SEMDNS_NONE ? "-" : std::to_string(zone.own_class);
    std::string threshold;
    if (c.acceptance.zoneThreshold[z] == SEMDNS_NONE)
      threshold = "never";
    else
      print(threshold, "%.4f", fraction(c.acceptance.zoneThreshold[z]));
    print(out, "  %-44s %6s %6u %9s %6u  %s", name.c_str(), own.c_str(), terms[z],
          threshold.c_str(), zone.ttl, printable(zones.path(z), 80).c_str());
    for (uint32_t e = 0; e < zone.engine_count; ++e) {
      const semdns_engine_ref &ref = zones.refs[zone.engine_begin + e];
      print(out, "%s%s", e ? ", " : "  -> ", printable(zones.engineName(ref.engine), 40).c_str());
      if (ref.weight != 1)
        print(out, "*%u", ref.weight);
    }
    out += '\n';
  }
  if (listed < h.zone_count)
    print(out, "  ... and %u more: --zones lists them all\n", h.zone_count - listed);
  if (h.engine_count)
    print(out, "\nENGINES\n");
  for (uint32_t e = 0; e < h.engine_count; ++e) {
    const semdns_engine &engine = zones.engines[e];
    print(out, "  %-24s %-10s max context %u, %.4g per million tokens%s%s\n",
          printable(zones.engineName(e), 60).c_str(), tierName(engine.tier), engine.max_context,
          static_cast<double>(engine.cost_per_mtok_nano) / 1e9, engine.region_size ? ", " : "",
          printable(zones.engineRegion(e), 60).c_str());
  }
}

void printStages(std::string &out, const Contents &c) {
  const semdns_keyw_header &k = *c.keywords.header;
  const semdns_tokv_header &t = *c.features.header;
  print(out, "\nSTAGES\n");
  print(out, "  keywords   %u terms, %u words, %u states, ", k.term_count, k.word_count,
        k.state_count);
  if (k.accept_votes == SEMDNS_NEVER)
    print(out, "never answers alone\n");
  else
    print(out, "answers from %u votes at purity %.3f, confidence %.4f\n", k.accept_votes,
          fraction(k.accept_purity), fraction(k.confidence));
  print(out, "  embedding  %u features of dimension %u, word n-grams to %u, ", t.row_count - 1,
        t.dim, t.word_ngram_max);
  if (t.char_ngram_min)
    print(out, "character n-grams %u to %u, ", t.char_ngram_min, t.char_ngram_max);
  print(out, "%u classes, gain %u\n", c.zones.header->class_count, c.acceptance.header->gain);
  if (c.hasBeam) {
    const semdns_beam_header &b = *c.beam.header;
    print(out,
          "search tree: %u nodes on %u levels, %u entries, up to %u in a node; of a level the best "
          "%u are followed, down to 2^-%u of the best one's mass\n",
          b.node_count, b.levels, b.entry_count, b.node_room, b.width, b.spread);
  }
  const semdns_clsf_header &a = *c.acceptance.header;
  if (a.root_class)
    print(out, "             the root answers %s\n", oddsText(a.root_odds).c_str());
  if (c.hasEncoder) {
    const semdns_encm_header &e = *c.encoder.header;
    const semdns_head_header &h = *c.head.header;
    print(out, "  guard      stage 2 answers ");
    if (a.guard_confidence > 65536)
      print(out, "nothing by itself");
    else
      print(out, "alone from confidence %.4f%s", fraction(a.guard_confidence),
            a.guard_odds == INT32_MIN ? "" : (" and odds " + bits(a.guard_odds)).c_str());
    print(out, ", the root %s\n", oddsText(a.reject_odds).c_str());
    print(
        out,
        "  encoder    %u layers of width %u, %u heads, %u WordPieces, windows of %u tokens; head: "
        "gain %u, mix %.3f\n",
        e.layer_count, e.width, e.heads, e.vocabulary, e.max_tokens, h.gain, fraction(h.mix));
    if (a.root_class)
      print(out, "             the root answers %s\n", oddsText(h.root_odds).c_str());
  }
  const uint32_t unicode = c.text.header->unicode_version;
  print(out, "  text       Unicode %u.%u.%u, frozen\n", unicode >> 16, unicode >> 8 & 255,
        unicode & 255);
}

void printKernels(std::string &out, const Reader &reader) {
  bool any = false;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (!isKernel(s))
      continue;
    if (!any)
      print(out, "\nKERNELS\n");
    any = true;
    print(out, "  %-24s %10s  layout %llu", sectionName(s).c_str(), size(s.stored_size).c_str(),
          static_cast<unsigned long long>(s.layout));
    if (s.tag == SEMDNS_TAG_KCPU)
      print(out, "%s", exec::isaRuns(s.target) ? "  runs here" : "");
    out += '\n';
  }
  if (!any)
    print(out, "\nKERNELS  none: the portable ones of the library answer\n");
}

/// What compress-context compresses with. The digest's first four bytes stand in every frame.
void printCodecs(std::string &out, const File &file) {
  const Reader &reader = *file.reader;
  bool any = false;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (!codecName(s.tag))
      continue;
    if (!any)
      print(out, "\nCODECS  tables of compress-context\n");
    any = true;
    const uint32_t zone = SEMDNS_CODEC_TARGET_ZONE(s.target),
                   age = SEMDNS_CODEC_TARGET_AGE(s.target);
    std::string whose = "this domain";
    if (age)
      whose = "earlier tables " + std::to_string(age) + " of what was zone " + std::to_string(zone);
    else if (file.isHierarchy())
      whose = printable(file.contents->zones.name(zone), 80);
    print(out, "  %-6s %10s  frames %s  %s\n", codecName(s.tag), size(s.stored_size).c_str(),
          hex(s.sha256, 4).c_str(), whose.c_str());
  }
}

/// What META says of a kind ("kind.NAME.WHAT"), or empty.
std::string_view kindMeta(const Contents &c, const char *kind, const char *what) {
  const std::string wanted = std::string("kind.") + kind + "." + what;
  uint64_t cursor = 0;
  for (std::string_view key, value; c.meta.next(cursor, key, value);)
    if (key == wanted)
      return value;
  return {};
}

/// "a/b/..." as numbers; fewer than `count` where the text is not that.
std::vector<double> numbersOf(std::string_view text, size_t count) {
  std::vector<double> all;
  for (size_t at = 0; at < text.size() && all.size() < count;) {
    const size_t end = std::min(text.find('/', at), text.size());
    all.push_back(std::strtod(std::string(text.substr(at, end - at)).c_str(), nullptr));
    at = end + 1;
  }
  return all;
}

/// One kind of patterns, with what the miner measured of it.
struct Kind {
  const char *name;
  std::vector<uint32_t> best; ///< the strongest few
  size_t count = 0;
  uint64_t bytes = 0;    ///< that they cost
  double covered = -1;   ///< share of the corpus; < 0: not known
  double saved = -1;     ///< share of zstd's output on held-out text
  double precision = -1; ///< on held-out documents
};

std::vector<Kind> kindsOf(const Contents &c) {
  const artifact::Patterns &p = c.patterns;
  std::vector<Kind> kinds;
  for (uint32_t begin = 0; begin < p.header->pattern_count;) {
    const uint32_t number = p.patterns[begin].kind;
    Kind kind;
    kind.name = patternKind(number);
    std::vector<uint32_t> order;
    for (; begin < p.header->pattern_count && p.patterns[begin].kind == number; ++begin) {
      order.push_back(begin);
      kind.bytes += sizeof(semdns_pattern) + p.patterns[begin].text_size;
    }
    const size_t shown = std::min<size_t>(order.size(), 8);
    std::partial_sort(order.begin(), order.begin() + static_cast<long>(shown), order.end(),
                      [&](uint32_t a, uint32_t b) {
                        const int32_t x = p.patterns[a].score, y = p.patterns[b].score;
                        return x != y ? x > y : a < b;
                      });
    kind.count = order.size();
    kind.best.assign(order.begin(), order.begin() + static_cast<long>(shown));
    if (const auto n = numbersOf(kindMeta(c, kind.name, "covered"), 2); n.size() == 2 && n[1] > 0)
      kind.covered = n[0] / n[1];
    if (const auto n = numbersOf(kindMeta(c, kind.name, "held_out"), 3); n.size() == 3 && n[1] > 0)
      kind.saved = (n[1] - n[0]) / n[1];
    if (const auto n = numbersOf(kindMeta(c, kind.name, "precision"), 1); n.size() == 1)
      kind.precision = n[0] / 65536.0;
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

void printPatterns(std::string &out, const Contents &c) {
  const artifact::Patterns &p = c.patterns;
  const semdns_pats_header &h = *p.header;
  print(out, "\nPATTERNS  %u out of %llu documents, %llu words, %s\n", h.pattern_count,
        static_cast<unsigned long long>(h.document_count),
        static_cast<unsigned long long>(h.word_count), size(h.byte_count).c_str());
  for (const Kind &kind : kindsOf(c)) {
    print(out, "  %-8s %8zu  costs %s", kind.name, kind.count, size(kind.bytes).c_str());
    if (kind.covered >= 0)
      print(out, ", covers %.1f %% of the words", kind.covered * 100);
    if (kind.saved >= 0)
      print(out, ", saves zstd %.1f %% of held-out text", kind.saved * 100);
    if (kind.precision >= 0)
      print(out, ", precision %.2f", kind.precision);
    out += "\n    ";
    for (size_t i = 0; i < kind.best.size(); ++i) {
      std::string text(p.text(kind.best[i]));
      for (size_t at = 0; (at = text.find('\n', at)) != text.npos;)
        text.replace(at, 1, " / ");
      print(out, "%s%s (%.1f)", i ? ", " : "", printable(text, 60).c_str(),
            p.patterns[kind.best[i]].score / 65536.0);
    }
    out += '\n';
  }
  for (const char *name : {"ngram", "template", "document"})
    if (const auto why = kindMeta(c, name, "dropped"); !why.empty())
      print(out, "  %-8s  dropped: it would cost %s\n", name, printable(why).c_str());
}

} // namespace

std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= limit)
      return out + "...";
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      print(out, "\\x%02x", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

std::string targetName(const semdns_section &entry) {
  if (entry.tag == SEMDNS_TAG_KCPU) {
    const char *name = exec::isaName(entry.target);
    return name ? name : "isa " + std::to_string(entry.target);
  }
  if (entry.tag == SEMDNS_TAG_KGPU)
    return entry.target ? "sm_" + std::to_string(entry.target) : "ptx";
  if (codecName(entry.tag)) {
    // A library's tables are nobody's in particular.
    const uint32_t age = SEMDNS_CODEC_TARGET_AGE(entry.target);
    const std::string zone = "zone " + std::to_string(SEMDNS_CODEC_TARGET_ZONE(entry.target));
    return age ? zone + " earlier " + std::to_string(age) : entry.target ? zone : std::string();
  }
  if (entry.target)
    return std::to_string(entry.target);
  return {};
}

std::string sectionName(const semdns_section &entry) {
  const std::string target = targetName(entry);
  return tagOf(entry.tag) + (target.empty() ? "" : ":" + target);
}

std::string textReport(const File &file, bool allZones, const std::optional<Verified> &verified) {
  const Reader &reader = *file.reader;
  const semdns_header &h = reader.header();
  std::string out;
  print(out, "%s: %s, format %u.%u, serial %llu, %s in %u sections\n", file.path.c_str(),
        kindName(file), h.major, h.minor, static_cast<unsigned long long>(h.serial),
        size(h.file_size).c_str(), h.section_count);
  print(out, "digest %s\n", hex(h.root_digest, 32).c_str());

  print(out, "\nMETA\n");
  size_t width = 0;
  uint64_t cursor = 0;
  for (std::string_view key, value; file.contents->meta.next(cursor, key, value);)
    width = std::max(width, std::min<size_t>(key.size(), 60));
  cursor = 0;
  for (std::string_view key, value; file.contents->meta.next(cursor, key, value);)
    print(out, "  %-*s  %s\n", static_cast<int>(width), printable(key).c_str(),
          printable(value).c_str());

  print(out, "\nSECTIONS\n  %-20s %3s %-14s %10s %10s %10s  %s\n", "section", "ver", "flags",
        "offset", "stored", "raw", "sha256");
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    std::string flags;
    for (const std::string &flag : flagsOf(s))
      flags += (flags.empty() ? "" : ",") + flag;
    print(out, "  %-20s %3u %-14s %10llu %10llu %10llu  %s...\n", sectionName(s).c_str(), s.version,
          flags.c_str(), static_cast<unsigned long long>(s.offset),
          static_cast<unsigned long long>(s.stored_size),
          static_cast<unsigned long long>(s.raw_size), hex(s.sha256, 6).c_str());
  }
  if (file.isHierarchy()) {
    printZones(out, *file.contents, allZones);
    printStages(out, *file.contents);
    printKernels(out, reader);
    if (file.contents->hasGold)
      print(out, "\nGOLD  %u queries with the build's answers\n",
            file.contents->gold.header->count);
  }
  if (file.contents->hasPatterns)
    printPatterns(out, *file.contents);
  printCodecs(out, file);

  print(out, "\nVERIFIED  root digest, %u section digests, padding, contents", h.section_count);
  if (verified) {
    if (verified->decompressed)
      print(out, ", %u compressed section%s", verified->decompressed,
            verified->decompressed == 1 ? "" : "s");
    if (verified->kernels)
      print(out, ", %u ELF image%s", verified->kernels, verified->kernels == 1 ? "" : "s");
    if (verified->queries)
      print(out, ", %u golden quer%s on %s", verified->queries,
            verified->queries == 1 ? "y" : "ies", verified->levels.c_str());
  } else {
    print(out, " (--verify adds code and golden queries)");
  }
  return out + "\n";
}

std::string jsonReport(const File &file, const std::optional<Verified> &verified) {
  const Reader &reader = *file.reader;
  const Contents &c = *file.contents;
  const semdns_header &h = reader.header();
  Json out;
  out["file"] = file.path;
  out["kind"] = kindName(file);
  out["format"] = std::to_string(h.major) + "." + std::to_string(h.minor);
  out["serial"] = h.serial;
  out["digest"] = hex(h.root_digest, 32);
  out["file_size"] = h.file_size;
  Json meta = Json::object();
  uint64_t cursor = 0;
  for (std::string_view key, value; c.meta.next(cursor, key, value);)
    meta[std::string(key)] = value;
  out["meta"] = std::move(meta);
  Json sections = Json::array();
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    Json section = {{"tag", tagOf(s.tag)},          {"target", s.target},
                    {"target_name", targetName(s)}, {"version", s.version},
                    {"flags", flagsOf(s)},          {"offset", s.offset},
                    {"stored_size", s.stored_size}, {"raw_size", s.raw_size},
                    {"alignment", s.alignment},     {"layout", s.layout},
                    {"sha256", hex(s.sha256, 32)}};
    if (s.tag == SEMDNS_TAG_KCPU)
      section["runs_here"] = exec::isaRuns(s.target);
    sections.push_back(std::move(section));
  }
  out["sections"] = std::move(sections);
  if (file.isHierarchy()) {
    const artifact::Zones &zones = c.zones;
    out["zone_count"] = zones.header->zone_count;
    out["class_count"] = zones.header->class_count;
    out["engine_count"] = zones.header->engine_count;
    out["depth"] = depthOf(zones);
    const std::vector<uint32_t> terms = termsPerZone(c);
    Json tree = Json::array();
    for (uint32_t z = 0; z < zones.header->zone_count; ++z) {
      const semdns_zone &zone = zones.zones[z];
      Json engines = Json::array();
      for (uint32_t e = 0; e < zone.engine_count; ++e) {
        const semdns_engine_ref &ref = zones.refs[zone.engine_begin + e];
        engines.push_back({{"name", zones.engineName(ref.engine)}, {"weight", ref.weight}});
      }
      Json row = {{"name", zones.name(z)}, {"path", zones.path(z)}, {"depth", zone.depth}};
      row["parent"] = z ? Json(zone.parent) : Json(nullptr);
      row["class"] = zone.own_class == SEMDNS_NONE ? Json(nullptr) : Json(zone.own_class);
      row["terms"] = terms[z];
      row["threshold"] = thresholdJson(c.acceptance.zoneThreshold[z]);
      if (c.hasEncoder)
        row["encoder_threshold"] = thresholdJson(c.head.zoneThreshold[z]);
      row["ttl"] = zone.ttl;
      row["engines"] = std::move(engines);
      tree.push_back(std::move(row));
    }
    out["zones"] = std::move(tree);
    Json engines = Json::array();
    for (uint32_t e = 0; e < zones.header->engine_count; ++e)
      engines.push_back(
          {{"name", zones.engineName(e)},
           {"region", zones.engineRegion(e)},
           {"tier", tierName(zones.engines[e].tier)},
           {"max_context", zones.engines[e].max_context},
           {"cost_per_mtok", static_cast<double>(zones.engines[e].cost_per_mtok_nano) / 1e9}});
    out["engines"] = std::move(engines);
    const semdns_keyw_header &k = *c.keywords.header;
    const semdns_tokv_header &t = *c.features.header;
    Json keywords = {{"terms", k.term_count}, {"words", k.word_count}, {"states", k.state_count}};
    keywords["accept_votes"] =
        k.accept_votes == SEMDNS_NEVER ? Json(nullptr) : Json(k.accept_votes);
    keywords["accept_purity"] = fraction(k.accept_purity);
    keywords["confidence"] = fraction(k.confidence);
    out["stages"] = {{"keywords", std::move(keywords)},
                     {"embedding",
                      {{"features", t.row_count - 1},
                       {"dim", t.dim},
                       {"word_ngram_max", t.word_ngram_max},
                       {"char_ngram_min", t.char_ngram_min},
                       {"char_ngram_max", t.char_ngram_max},
                       {"layout", c.centroids.header->layout},
                       {"gain", c.acceptance.header->gain},
                       {"root_odds", oddsJson(c.acceptance.header->root_odds)}}}};
    if (c.hasBeam) {
      const semdns_beam_header &b = *c.beam.header;
      out["stages"]["embedding"]["beam"] = {{"nodes", b.node_count},    {"levels", b.levels},
                                            {"entries", b.entry_count}, {"node_room", b.node_room},
                                            {"width", b.width},         {"spread", b.spread}};
    }
    if (c.hasEncoder) {
      const semdns_clsf_header &a = *c.acceptance.header;
      const semdns_encm_header &e = *c.encoder.header;
      const semdns_head_header &head = *c.head.header;
      out["stages"]["guard"] = {{"confidence", thresholdJson(a.guard_confidence)},
                                {"odds", oddsJson(a.guard_odds)},
                                {"reject_odds", oddsJson(a.reject_odds)}};
      out["stages"]["encoder"] = {
          {"layers", e.layer_count},    {"width", e.width},
          {"heads", e.heads},           {"vocabulary", e.vocabulary},
          {"max_tokens", e.max_tokens}, {"gain", head.gain},
          {"mix", fraction(head.mix)},  {"root_odds", oddsJson(head.root_odds)}};
    }
    out["golden_queries"] = c.hasGold ? c.gold.header->count : 0;
  }
  if (c.hasPatterns) {
    const semdns_pats_header &p = *c.patterns.header;
    Json kinds = Json::object();
    for (uint32_t i = 0; i < p.pattern_count; ++i) {
      Json &count = kinds[patternKind(c.patterns.patterns[i].kind)];
      count = (count.is_null() ? 0 : count.get<uint32_t>()) + 1;
    }
    out["patterns"] = {{"count", p.pattern_count},
                       {"documents", p.document_count},
                       {"words", p.word_count},
                       {"bytes", p.byte_count},
                       {"kinds", std::move(kinds)}};
    Json details = Json::object();
    for (const Kind &kind : kindsOf(c)) {
      Json examples = Json::array();
      for (const uint32_t pattern : kind.best)
        examples.push_back(c.patterns.text(pattern));
      const auto known = [](double value) { return value < 0 ? Json(nullptr) : Json(value); };
      details[kind.name] = {{"count", kind.count},
                            {"bytes", kind.bytes},
                            {"covered", known(kind.covered)},
                            {"saved", known(kind.saved)},
                            {"precision", known(kind.precision)},
                            {"examples", std::move(examples)}};
    }
    out["patterns"]["details"] = std::move(details);
  }
  Json checks = {{"digests", true}, {"contents", true}};
  if (verified) {
    checks["compressed_sections"] = verified->decompressed;
    checks["kernels"] = verified->kernels;
    checks["golden_queries"] = verified->queries;
    checks["levels"] = verified->levels;
  }
  out["verified"] = std::move(checks);
  return out.dump(2, ' ', false, decltype(out)::error_handler_t::replace) + "\n";
}

} // namespace semdns::inspect
