/// parseLeniently: the located field tree becomes a Spec, and is checked without opening files.
#include "lib/spec/hierarchy.pb.h"
#include "lib/spec/spec.h"
#include "lib/spec/text_tree.h"
#include "lib/support/files.h"
#include "semdns/format/zones.h"
#include "semdns/semdns.h"

#include <algorithm>
#include <map>
#include <set>

namespace semdns::spec {
namespace {

constexpr uint64_t kMaxSpecBytes = 64u << 20;
constexpr uint32_t kMaxTtl = 86400;
constexpr double kMaxCost = 1e9; // fits 64-bit nano-units with room

bool isBlank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\t'; });
}

bool hasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

std::string at(const Location &where) {
  return "line " + std::to_string(where.line) + ", column " + std::to_string(where.column);
}

class Converter {
public:
  Converter(const std::string &file, Diagnostics &diags) : diags_(diags) { spec_.file = file; }

  Spec run(const std::vector<TextField> &fields) {
    for (const TextField &field : fields)
      top(field);
    if (spec_.name.empty())
      spec_.name = stem(spec_.file);
    checkEngines();
    checkZones();
    checkTests();
    return std::move(spec_);
  }

private:
  void error(const Location &where, std::string message, std::string help = {}) {
    diags_.error(where, std::move(message), std::move(help));
  }

  static std::string stem(const std::string &file) {
    const size_t slash = file.rfind('/');
    std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
    if (const size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0)
      name.resize(dot);
    return name.empty() || name == "-" || hasControls(name) ? "hierarchy" : name;
  }

  void top(const TextField &field) {
    const std::string &name = field.fieldName();
    if (name == "name") {
      if (isBlank(field.text) || hasControls(field.text) ||
          field.text.find('/') != std::string::npos || field.text.size() > 255)
        error(field.value, "bad artifact name '" + field.text + "'",
              "1 to 255 bytes without '/' and control characters, such as \"demo\"");
      spec_.name = field.text;
    } else if (name == "serial") {
      spec_.serial = field.integer == 0 ? 1 : field.integer;
    } else if (name == "risk") {
      for (const TextField &each : field.fields) {
        if (each.fieldName() == "per_zone") {
          spec_.perZone = each.integer != 0;
          continue;
        }
        const bool inside = each.real > 0.0 && each.real < 1.0;
        if (!inside)
          error(each.value, "'" + each.fieldName() + "' is outside (0, 1)",
                each.fieldName() == "alpha"
                    ? "alpha is the misroute rate to stay below, such as 0.05"
                    : "delta is the chance to be wrong about it, such as 0.05");
        else
          (each.fieldName() == "alpha" ? spec_.alpha : spec_.delta) = each.real;
      }
    } else if (name == "encoder") {
      encoder(field);
    } else if (name == "engine") {
      engine(field);
    } else if (name == "zone") {
      zone(field, nullptr, spec_.root.zones);
    } else if (name == "test") {
      test(field);
    } else if (name == "targets") {
      spec_.targets.push_back({field.text, field.value});
    } else if (name == "examples") {
      addFile(field, spec_.root.examples);
    } else if (name == "unlabelled") {
      addFile(field, spec_.unlabelled);
    } else if (name == "calibration") {
      addFile(field, spec_.calibration);
    } else if (name == "root_label") {
      NameError bad;
      if (!splitLabel(field.text, bad))
        error(field.value, "bad root label: " + bad.message, bad.help);
      spec_.rootLabel = field.text;
      spec_.rootLabelWhere = field.value;
    }
  }

  void encoder(const TextField &block) {
    for (const TextField &field : block.fields) {
      if (field.fieldName() == "path") {
        std::vector<FileRef> folder;
        addFile(field, folder);
        if (!folder.empty())
          spec_.encoder.folder = folder.front();
      } else if (field.fieldName() == "layers") {
        spec_.encoder.layers = uint32_t(field.integer);
      } else {
        spec_.encoder.finetune = field.integer != 0;
      }
    }
    if (!spec_.encoder.folder)
      error(block.name, "encoder without a path",
            "write encoder { path: \"folder\" } with the folder that `./dev encoder` prints");
  }

  void engine(const TextField &block) {
    EngineSpec engine;
    engine.where = block.name;
    bool named = false;
    for (const TextField &field : block.fields) {
      const std::string &name = field.fieldName();
      if (name == "name") {
        named = true;
        engine.name = field.text;
        engine.where = field.value;
        if (isBlank(field.text) || hasControls(field.text) || field.text.size() > 255)
          error(field.value, "bad engine name '" + field.text + "'",
                "1 to 255 bytes without control characters, such as \"legal-7b\"");
      } else if (name == "tier") {
        engine.tier = Tier(field.integer);
      } else if (name == "max_context") {
        engine.maxContext = uint32_t(field.integer);
      } else if (name == "cost_per_mtok") {
        if (!(field.real >= 0.0 && field.real <= kMaxCost))
          error(field.value, "'cost_per_mtok' is out of range",
                "currency units per million tokens, from 0 to 1e9");
        else
          engine.costPerMtok = field.real;
      } else if (name == "region") {
        engine.region = field.text;
      }
    }
    if (!named)
      return error(block.name, "engine without a name", "write engine { name: \"...\" ... }");
    spec_.engines.push_back(std::move(engine));
  }

  void addFile(const TextField &field, std::vector<FileRef> &out) {
    if (field.text.empty() || hasControls(field.text))
      return error(field.value, "'" + field.fieldName() + "' is no usable path",
                   "write a path relative to this file, without control characters");
    out.push_back({field.text, resolveBeside(spec_.file, field.text), field.value});
  }

  void zone(const TextField &block, const Levels *enclosing, std::vector<ZoneSpec> &out) {
    ZoneSpec zone;
    zone.where = block.name;
    bool named = false, valid = false;
    const TextField *label = nullptr;
    std::vector<const TextField *> nested;
    for (const TextField &field : block.fields) {
      const std::string &name = field.fieldName();
      if (name == "name") {
        named = true;
        zone.where = field.value;
        valid = zoneName(field, enclosing, zone.levels);
      } else if (name == "ttl") {
        if (field.integer > kMaxTtl)
          error(field.value, "'ttl' is " + std::to_string(field.integer) + " seconds",
                "at most 86400, one day");
        else
          zone.ttl = uint32_t(field.integer);
      } else if (name == "engine") {
        zone.engines.push_back({field.text, 1, field.value});
      } else if (name == "share") {
        share(field, zone.shares);
      } else if (name == "fallback") {
        zone.fallback = EngineUse{field.text, 1, field.value};
      } else if (name == "patterns") {
        addFile(field, zone.patterns);
      } else if (name == "corpus") {
        addFile(field, zone.corpora);
      } else if (name == "examples") {
        addFile(field, zone.examples);
      } else if (name == "keyword") {
        if (isBlank(field.text) || hasControls(field.text))
          error(field.value, "'keyword' is blank or holds control characters",
                "write a word or phrase, such as \"indemnity\"");
        else
          zone.keywords.push_back({field.text, field.value});
      } else if (name == "description") {
        zone.description = field.text;
      } else if (name == "restricted") {
        zone.restricted = field.integer != 0;
      } else if (name == "shareable") {
        zone.shareable = field.integer != 0;
      } else if (name == "label") {
        label = &field;
      } else if (name == "zone") {
        nested.push_back(&field);
      }
    }
    if (!named)
      error(block.name, "zone without a name", "write zone { name: \"contracts.legal.\" ... }");
    if (label && valid) {
      NameError bad;
      if (!zone.levels.empty() && mapLevel(label->text) == zone.levels.back() &&
          splitLabel(label->text, bad))
        zone.label = label->text;
      else
        error(label->value,
              "label '" + label->text + "' is no spelling of zone '" + formatName(zone.levels) +
                  "'",
              "it is the last level as label files write it: lower case, with '-' for space and "
              "'_', it must give the name's first level");
    }
    // Zones inside one whose name is wrong are still read, but not held against that name.
    const bool isRoot = valid && zone.levels.empty();
    for (const TextField *each : nested)
      this->zone(*each, valid ? &zone.levels : nullptr, isRoot ? spec_.root.zones : zone.zones);
    if (isRoot)
      return root(std::move(zone));
    if (valid)
      out.push_back(std::move(zone));
    else // their names are right, so other zones may lie in them and tests may name them
      std::move(zone.zones.begin(), zone.zones.end(), std::back_inserter(out));
  }

  /// A top zone named "." describes the root itself.
  void root(ZoneSpec zone) {
    if (haveRoot_)
      return error(zone.where, "zone '.' is given twice", "the root is described at most once");
    haveRoot_ = true;
    zone.zones = std::move(spec_.root.zones);
    zone.examples.insert(zone.examples.begin(), spec_.root.examples.begin(),
                         spec_.root.examples.end());
    spec_.root = std::move(zone);
  }

  bool zoneName(const TextField &field, const Levels *enclosing, Levels &levels) {
    NameError bad;
    std::optional<Levels> parsed = parseName(field.text, bad);
    if (!parsed) {
      // The usual slip inside a zone: the name without its parent, or without the final dot.
      std::string help = bad.help;
      NameError ignored;
      if (enclosing && !field.text.empty() && field.text.find('.') == std::string::npos)
        if (auto leaf = parseName(field.text + ".", ignored)) {
          Levels full = *enclosing;
          full.push_back(leaf->front());
          help = "names are written in full: did you mean '" + formatName(full) + "'?";
        }
      error(field.value, bad.message, help);
      return false;
    }
    if (enclosing && (parsed->size() <= enclosing->size() ||
                      !std::equal(enclosing->begin(), enclosing->end(), parsed->begin()))) {
      std::string help = "move it into the zone its name says";
      if (!parsed->empty()) {
        Levels full = *enclosing;
        full.push_back(parsed->back());
        help += "; or did you mean '" + formatName(full) + "'?";
      }
      error(field.value,
            "zone '" + formatName(*parsed) + "' is outside its parent '" + formatName(*enclosing) +
                "'",
            help);
      return false;
    }
    levels = std::move(*parsed);
    return true;
  }

  void share(const TextField &block, std::vector<EngineUse> &out) {
    EngineUse use;
    use.where = block.name;
    bool named = false;
    for (const TextField &field : block.fields) {
      if (field.fieldName() == "engine") {
        named = true;
        use.engine = field.text;
        use.where = field.value;
      } else if (field.integer == 0) {
        error(field.value, "'weight' is 0",
              "weights are whole numbers from 1; remove the share of an engine that gets none");
      } else {
        use.weight = uint32_t(field.integer);
      }
    }
    if (!named)
      return error(block.name, "share without an engine",
                   "write share { engine: \"...\" weight: 1 }");
    out.push_back(std::move(use));
  }

  void test(const TextField &block) {
    TestSpec test;
    test.where = block.name;
    test.zoneWhere = block.name;
    bool query = false, zone = false;
    for (const TextField &field : block.fields) {
      if (field.fieldName() == "query") {
        query = true;
        test.query = field.text;
      } else {
        zone = true;
        test.zone = field.text;
        test.zoneWhere = field.value;
      }
    }
    if (!query || !zone)
      return error(block.name, std::string("test without a ") + (query ? "zone" : "query"),
                   "write test { query: \"...\" zone: \"contracts.legal.\" }");
    spec_.tests.push_back(std::move(test));
  }

  void checkEngines() {
    std::map<std::string, Location> first;
    for (const EngineSpec &engine : spec_.engines) {
      auto [it, fresh] = first.emplace(engine.name, engine.where);
      if (!fresh)
        error(engine.where, "engine '" + engine.name + "' is declared twice",
              "the first is at " + at(it->second));
    }
    for (const auto &each : first)
      engineNames_.push_back(each.first);
    if (spec_.engines.size() > SEMDNS_MAX_ENGINES)
      error({spec_.file, 0, 0}, std::to_string(spec_.engines.size()) + " engines are too many",
            "at most " + std::to_string(SEMDNS_MAX_ENGINES));
    checkUses(spec_.root);
  }

  void checkUses(const ZoneSpec &zone) {
    std::set<std::string> used;
    auto check = [&](const EngineUse &use) {
      if (!std::binary_search(engineNames_.begin(), engineNames_.end(), use.engine)) {
        std::string help = didYouMean(use.engine, engineNames_);
        if (help.empty())
          help = "declare it at the top: engine { name: \"" + use.engine + "\" ... }";
        error(use.where, "unknown engine '" + use.engine + "'", help);
      } else if (!used.insert(use.engine).second) {
        error(use.where,
              "engine '" + use.engine + "' is named twice in zone '" + formatName(zone.levels) +
                  "'",
              "name it once; its share can have a larger weight");
      }
    };
    for (const EngineUse &use : zone.engines)
      check(use);
    for (const EngineUse &use : zone.shares)
      check(use);
    if (zone.fallback)
      check(*zone.fallback);
    if (used.size() > SEMDNS_ENGINES_MAX)
      error(zone.where,
            "zone '" + formatName(zone.levels) + "' names " + std::to_string(used.size()) +
                " engines",
            "an answer carries at most " + std::to_string(SEMDNS_ENGINES_MAX));
    for (const ZoneSpec &each : zone.zones)
      checkUses(each);
  }

  void collect(const ZoneSpec &zone) {
    for (const ZoneSpec &each : zone.zones) {
      auto [it, fresh] = zones_.emplace(each.levels, each.where);
      if (!fresh)
        error(each.where, "zone '" + formatName(each.levels) + "' is declared twice",
              "the first is at " + at(it->second) + "; put both into one block");
      order_.push_back(&each);
      collect(each);
    }
  }

  void checkZones() {
    collect(spec_.root);
    for (const ZoneSpec *zone : order_) {
      Levels parent(zone->levels.begin(), zone->levels.end() - 1);
      if (!parent.empty() && !zones_.count(parent)) {
        Location where = zone->where;
        error(where,
              "zone '" + formatName(zone->levels) + "' has no parent: there is no zone '" +
                  formatName(parent) + "'",
              "declare zone { name: \"" + formatName(parent) + "\" } around it");
        zones_.emplace(std::move(parent), std::move(where)); // say it once
      }
    }
    if (order_.empty() && !diags_.hasErrors())
      error({spec_.file, 0, 0}, "the hierarchy has no zones",
            "write at least zone { name: \"legal.\" keyword: \"contract\" }, or use "
            "--from-examples to derive zones from labels");
    if (order_.size() + 1 > SEMDNS_MAX_ZONES)
      error({spec_.file, 0, 0}, std::to_string(order_.size()) + " zones are too many",
            "at most " + std::to_string(SEMDNS_MAX_ZONES - 1) + " fit below the root");
    if (!spec_.rootLabel.empty()) {
      NameError ignored;
      auto levels = splitLabel(spec_.rootLabel, ignored);
      if (levels && !levels->empty() && zones_.count(mapLevels(*levels)))
        error(spec_.rootLabelWhere,
              "root label '" + spec_.rootLabel + "' names zone '" + formatName(mapLevels(*levels)) +
                  "'",
              "its rows belong to the root: remove the zone, or the root label");
    }
  }

  void checkTests() {
    std::vector<std::string> names;
    for (const TestSpec &test : spec_.tests) {
      NameError bad;
      auto levels = parseName(test.zone, bad);
      if (levels && (levels->empty() || zones_.count(*levels)))
        continue;
      if (names.empty()) {
        names.push_back(".");
        for (const auto &each : zones_)
          names.push_back(formatName(each.first));
      }
      std::string help = didYouMean(test.zone, names);
      if (help.empty()) // "legal/contracts"
        if (auto path = splitLabel(test.zone, bad); path && zones_.count(mapLevels(*path)))
          help = "did you mean '" + formatName(mapLevels(*path)) + "'?";
      if (help.empty())
        help = "zones are named leaf first with final dot, such as '" +
               (names.size() > 1 ? names[1] : std::string("contracts.legal.")) + "'";
      error(test.zoneWhere, "test expects zone '" + test.zone + "', which does not exist", help);
    }
    for (const TestSpec &test : spec_.tests)
      if (test.query.size() > UINT32_MAX / 4)
        error(test.where, "test query is too long", "queries have at most 1 GiB");
  }

  Spec spec_;
  Diagnostics &diags_;
  bool haveRoot_ = false;
  std::vector<std::string> engineNames_; // sorted
  std::map<Levels, Location> zones_;
  std::vector<const ZoneSpec *> order_;
};

} // namespace

std::optional<Spec> parseLeniently(std::string_view text, const std::string &fileName,
                                   Diagnostics &diags) {
  if (text.size() > kMaxSpecBytes) {
    diags.error({fileName, 0, 0}, "the file is larger than 64 MiB",
                "keep examples and corpora in files of their own");
    return std::nullopt;
  }
  if (auto bad = firstInvalidUtf8(text)) {
    const auto line = uint32_t(std::count(text.begin(), text.begin() + ptrdiff_t(*bad), '\n') + 1);
    const size_t start = text.rfind('\n', *bad ? *bad - 1 : 0);
    const size_t column = *bad - (start == std::string_view::npos || *bad == 0 ? 0 : start + 1) + 1;
    diags.error({fileName, line, uint32_t(column)},
                "not valid UTF-8 at byte " + std::to_string(*bad + 1),
                "a hierarchy is protobuf text in UTF-8");
    return std::nullopt;
  }
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    diags.error({fileName, 0, 0}, "holds a NUL at byte " + std::to_string(nul + 1) + ": binary?",
                "a hierarchy is protobuf text in UTF-8");
    return std::nullopt;
  }
  std::string blanked;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") { // a byte order mark; spaces keep the columns right
    blanked = "   " + std::string(text.substr(3));
    text = blanked;
  }
  const std::vector<TextField> fields =
      parseTextTree(text, fileName, *schema::Hierarchy::descriptor(), diags);
  return Converter(fileName, diags).run(fields);
}

std::optional<Spec> parseSpec(std::string_view text, const std::string &fileName,
                              Diagnostics &diags) {
  const size_t before = diags.errorCount();
  std::optional<Spec> spec = parseLeniently(text, fileName, diags);
  return diags.errorCount() == before ? std::move(spec) : std::nullopt;
}

std::optional<Spec> parseSpecFile(const std::string &path, Diagnostics &diags) {
  std::string problem;
  std::optional<std::string> text = readFile(path, problem, kMaxSpecBytes + 1);
  if (!text) {
    diags.error({path, 0, 0}, problem);
    return std::nullopt;
  }
  return parseSpec(*text, path, diags);
}

} // namespace semdns::spec
