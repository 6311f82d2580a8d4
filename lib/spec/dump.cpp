/// dumpSpec: a Spec as protobuf text.
#include "lib/spec/spec.h"

#include <charconv>
#include <filesystem>

namespace semdns::spec {
namespace {

namespace fs = std::filesystem;

std::string literal(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += '\\';
      out += static_cast<char>('0' + byte / 64);
      out += static_cast<char>('0' + byte / 8 % 8);
      out += static_cast<char>('0' + byte % 8);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Shortest decimal that reads back as the same double.
std::string number(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end.ptr);
}

class Dumper {
public:
  Dumper(const std::string &outputPath) {
    std::error_code ignored;
    const fs::path file = outputPath.empty() || outputPath == "-" ? "x" : outputPath;
    folder_ = fs::absolute(file, ignored).lexically_normal().parent_path();
  }

  std::string run(const Spec &spec) {
    line(0, "name: " + literal(spec.name) + "  serial: " + std::to_string(spec.serial));
    line(0, "risk { alpha: " + number(spec.alpha) + " delta: " + number(spec.delta) +
                (spec.perZone ? " per_zone: true }" : " }"));
    if (spec.encoder.folder) {
      std::string text = "encoder { path: " + literal(relative(*spec.encoder.folder));
      if (spec.encoder.layers)
        text += " layers: " + std::to_string(spec.encoder.layers);
      line(0, text + (spec.encoder.finetune ? " finetune: true }" : " }"));
    }
    for (const Text &target : spec.targets)
      line(0, "targets: " + literal(target.text));
    files(0, "examples", spec.root.examples);
    files(0, "unlabelled", spec.unlabelled);
    files(0, "calibration", spec.calibration);
    if (!spec.rootLabel.empty())
      line(0, "root_label: " + literal(spec.rootLabel));
    for (const EngineSpec &engine : spec.engines)
      this->engine(engine);
    ZoneSpec root = withoutZones(spec.root);
    const size_t before = out_.size();
    out_ += "zone { name: \".\"";
    const size_t empty = out_.size();
    body(root, 1);
    if (out_.size() == empty)
      out_.resize(before); // nothing to say about the root
    else
      out_ += " }\n";
    for (const ZoneSpec &each : spec.root.zones)
      zone(each, 0);
    for (const TestSpec &test : spec.tests)
      line(0, "test { query: " + literal(test.query) + " zone: " + literal(test.zone) + " }");
    return std::move(out_);
  }

private:
  void line(int indent, const std::string &text) {
    out_ += std::string(size_t(indent) * 2, ' ') + text + "\n";
  }

  std::string relative(const FileRef &file) const {
    if (file.path == "-")
      return file.path;
    std::error_code problem;
    const fs::path absolute = fs::absolute(file.path, problem).lexically_normal();
    const fs::path shown = absolute.lexically_relative(folder_);
    return problem || shown.empty() ? file.path : shown.string();
  }

  void files(int indent, const char *field, const std::vector<FileRef> &files) {
    for (const FileRef &file : files)
      line(indent, std::string(field) + ": " + literal(relative(file)));
  }

  void engine(const EngineSpec &engine) {
    static const char *const tiers[] = {"ROOT", "DOMAIN", "SUBDOMAIN", "SPECIALIST"};
    std::string text = "engine { name: " + literal(engine.name);
    text += std::string(" tier: ") + tiers[uint32_t(engine.tier)];
    if (engine.maxContext)
      text += " max_context: " + std::to_string(engine.maxContext);
    if (engine.costPerMtok != 0.0)
      text += " cost_per_mtok: " + number(engine.costPerMtok);
    if (!engine.region.empty())
      text += " region: " + literal(engine.region);
    line(0, text + " }");
  }

  static ZoneSpec withoutZones(const ZoneSpec &from) {
    ZoneSpec copy;
    copy.ttl = from.ttl;
    copy.engines = from.engines;
    copy.shares = from.shares;
    copy.fallback = from.fallback;
    copy.patterns = from.patterns;
    copy.corpora = from.corpora;
    copy.keywords = from.keywords;
    copy.description = from.description;
    copy.restricted = from.restricted;
    copy.shareable = from.shareable;
    return copy;
  }

  /// Appends the fields after the name, each with a space or on lines of their own.
  void body(const ZoneSpec &zone, int indent) {
    std::string head;
    if (!zone.label.empty() && zone.label != zone.levels.back())
      head += " label: " + literal(zone.label);
    if (zone.ttl)
      head += " ttl: " + std::to_string(*zone.ttl);
    if (zone.restricted)
      head += " restricted: true";
    if (zone.shareable)
      head += " shareable: true";
    for (const EngineUse &use : zone.engines)
      head += " engine: " + literal(use.engine);
    for (const EngineUse &use : zone.shares)
      head += " share { engine: " + literal(use.engine) + " weight: " + std::to_string(use.weight) +
              " }";
    if (zone.fallback)
      head += " fallback: " + literal(zone.fallback->engine);
    out_ += head;
    std::string rest;
    std::swap(rest, out_);
    if (!zone.description.empty())
      line(indent, "description: " + literal(zone.description));
    files(indent, "patterns", zone.patterns);
    files(indent, "corpus", zone.corpora);
    files(indent, "examples", zone.examples);
    for (const Text &keyword : zone.keywords)
      line(indent, "keyword: " + literal(keyword.text));
    for (const ZoneSpec &each : zone.zones)
      this->zone(each, indent);
    std::swap(rest, out_);
    if (!rest.empty()) {
      rest.pop_back(); // the closing brace follows on the last line
      out_ += "\n" + rest;
    }
  }

  void zone(const ZoneSpec &zone, int indent) {
    out_ +=
        std::string(size_t(indent) * 2, ' ') + "zone { name: " + literal(formatName(zone.levels));
    body(zone, indent + 1);
    out_ += " }\n";
  }

  fs::path folder_;
  std::string out_;
};

} // namespace

std::string dumpSpec(const Spec &spec, const std::string &outputPath) {
  return Dumper(outputPath).run(spec);
}

} // namespace semdns::spec
