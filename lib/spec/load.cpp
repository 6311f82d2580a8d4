#include "lib/spec/load.h"

#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "semdns/format/zones.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace semdns::spec {
namespace {

constexpr size_t kMaxReported = 20; // bad labels of one file
constexpr uint32_t kFewExamples = 5;

/// Each examples file is read once, stdin included.
using Rows = std::map<std::string, std::vector<LabelledText>>;

struct Row {
  const std::string *file;
  uint32_t line;
};

std::string quote(std::string_view text, size_t limit = 60) {
  std::string out(text.substr(0, limit));
  while (firstInvalidUtf8(out))
    out.pop_back();
  for (char &c : out)
    if (static_cast<unsigned char>(c) < 0x20)
      c = ' ';
  return "'" + out + (text.size() > limit ? "...'" : "'");
}

/// The mapped levels of a root label; nullopt when there is none.
std::optional<Levels> mappedRootLabel(const std::string &rootLabel) {
  NameError ignored;
  std::optional<Levels> levels;
  if (!rootLabel.empty())
    levels = splitLabel(rootLabel, ignored);
  if (levels)
    levels = mapLevels(*levels);
  return levels;
}

class Loader {
public:
  Loader(Input &input, Rows &rows, Diagnostics &diags)
      : input_(input), tree_(input.tree), index_(input.tree), rows_(rows), diags_(diags),
        rootLabel_(mappedRootLabel(input.spec.rootLabel)), spelling_(tree_.zones.size()),
        unread_(tree_.zones.size(), false) {}

  void run() {
    const Spec &spec = input_.spec;
    spelling_[0].text = "/"; // never looked at
    readZone(spec.root);
    for (const FileRef &file : spec.unlabelled)
      checkFile(file, "unlabelled", true);
    for (const FileRef &file : spec.calibration)
      checkFile(file, "calibration", false);
    std::vector<std::string> spelled;
    for (const Text &each : spelling_)
      spelled.push_back(each.text);
    spellPaths(tree_, spelled);
    checkRootLabel();
    checkMaterial(spec.root);
    warnAboutFew();
    warnAboutContradictions();
    for (const TestSpec &test : spec.tests)
      if (uint32_t zone = index_.findName(test.zone); zone != kNone)
        input_.tests.push_back({test.query, zone, test.where});
  }

private:
  struct Resolved {
    uint32_t zone = kNone;
    size_t count = 0;       // rows with this label
    uint32_t firstLine = 0; // of the first of them
    std::string message, help;
  };

  void readZone(const ZoneSpec &zone) {
    const uint32_t at = zone.levels.empty() ? 0 : index_.find(zone.levels);
    if (at != kNone && at != 0 && !zone.label.empty() && spelling_[at].text.empty())
      spelling_[at] = {zone.label, zone.where};
    for (const FileRef &file : zone.examples)
      readExamples(file, at);
    for (const FileRef &file : zone.patterns)
      checkFile(file, "patterns", false);
    for (const FileRef &file : zone.corpora)
      checkFile(file, "corpus", true);
    std::vector<const ZoneSpec *> inner;
    for (const ZoneSpec &each : zone.zones)
      inner.push_back(&each);
    std::sort(inner.begin(), inner.end(),
              [](const ZoneSpec *a, const ZoneSpec *b) { return a->levels < b->levels; });
    for (const ZoneSpec *each : inner)
      readZone(*each);
  }

  void checkFile(const FileRef &file, const std::string &what, bool folderToo) {
    namespace fs = std::filesystem;
    std::error_code problem;
    const fs::file_status status = fs::status(file.path, problem);
    const std::string shown = what + " '" + file.written + "'";
    if (!fs::exists(status)) {
      diags_.error(file.where, shown + " does not exist",
                   "looked for '" + file.path + "'; paths are relative to the hierarchy file");
    } else if (fs::is_directory(status)) {
      if (!folderToo)
        diags_.error(file.where, shown + " is a folder", "name the file itself");
      else if (fs::directory_iterator(file.path, problem) == fs::directory_iterator() || problem)
        diags_.error(file.where, shown + " is an empty folder", "put text files into it");
    } else if (fs::is_regular_file(status) && fs::file_size(file.path, problem) == 0) {
      diags_.error(file.where, shown + " is empty");
    }
  }

  void readExamples(const FileRef &file, uint32_t zone) {
    auto [at, fresh] = rows_.try_emplace(file.path);
    if (fresh) {
      const size_t before = diags_.errorCount();
      at->second = readJsonLines(file.path, false, diags_);
      if (diags_.errorCount() != before && at->second.empty()) {
        diags_.note(file.where, "examples '" + file.written + "' are named here");
        rows_.erase(at);
        if (zone != kNone)
          std::fill(unread_.begin() + zone, unread_.begin() + tree_.zones[zone].subtreeEnd, true);
        return;
      }
    }
    if (zone == kNone)
      return; // a duplicate or a zone without parent, reported already
    const std::string &name = at->first;
    std::map<std::string, Resolved> labels;
    uint32_t unlabelled = 0, unlabelledLine = 0;
    for (const LabelledText &row : at->second) {
      if (!row.label) {
        if (zone != 0)
          take(row, zone, name);
        else if (unlabelled++ == 0)
          unlabelledLine = row.line;
        continue;
      }
      auto [it, isNew] = labels.try_emplace(*row.label);
      if (isNew) {
        it->second = resolve(*row.label, zone, {name, row.line, 0});
        it->second.firstLine = row.line;
      }
      ++it->second.count;
      if (it->second.zone != kNone)
        take(row, it->second.zone, name);
    }
    if (unlabelled)
      diags_.error({name, unlabelledLine, 0},
                   std::to_string(unlabelled) + (unlabelled == 1 ? " row has" : " rows have") +
                       " no label, in a file of the whole hierarchy",
                   "add \"label\": \"legal/contracts\" to each row, or name the file in a zone");
    reportLabels(labels, name, zone);
  }

  void take(const LabelledText &row, uint32_t zone, const std::string &file) {
    input_.examples.push_back({row.text, zone});
    origin_.push_back({&file, row.line});
    ++tree_.zones[zone].exampleCount;
  }

  bool inside(uint32_t zone, uint32_t outer) const {
    return zone >= outer && zone < tree_.zones[outer].subtreeEnd;
  }

  Resolved resolve(const std::string &label, uint32_t base, const Location &where) {
    Resolved result;
    NameError bad;
    const std::optional<Levels> original = splitLabel(label, bad);
    const Levels mapped = original ? mapLevels(*original) : Levels{};
    const uint32_t absolute = original ? index_.find(mapped) : kNone;
    uint32_t outside = absolute;
    if (original && rootLabel_ && mapped == *rootLabel_) {
      sawRootLabel_ = true;
      result.zone = outside = 0;
    } else if (absolute != kNone && inside(absolute, base)) {
      result.zone = absolute;
      spell(absolute, *original, where);
    } else if (original && base != 0) { // relative to the zone that names the file
      Levels levels = tree_.zones[base].levels;
      levels.insert(levels.end(), mapped.begin(), mapped.end());
      if (uint32_t found = index_.find(levels); found != kNone && !mapped.empty()) {
        result.zone = found;
        spell(found, *original, where);
      }
    }
    if (result.zone == kNone && label.size() > 1 && label.back() == '.') // a DNS name
      if (uint32_t found = index_.findName(label); found != kNone) {
        if (inside(found, base))
          result.zone = found;
        else
          outside = found;
      }
    if (result.zone != kNone && inside(result.zone, base))
      return result;
    result.zone = kNone;
    if (!original && outside == kNone) {
      result.message = bad.message;
      result.help = bad.help;
    } else if (outside != kNone) {
      result.message = "label " + quote(label) + " is outside zone '" + tree_.zones[base].name +
                       "', which names this file";
      result.help = "move its rows to the examples of '" + tree_.zones[outside].name +
                    "', or name the file at the top of the hierarchy";
    } else {
      result.message = "label " + quote(label) + " has no zone";
    }
    return result;
  }

  /// `levels` end in `zone`: each is an original spelling of that zone or an ancestor.
  void spell(uint32_t zone, const Levels &levels, const Location &where) {
    for (size_t i = levels.size(); i-- > 0; zone = tree_.zones[zone].parent) {
      Text &known = spelling_[zone];
      if (known.text.empty()) {
        known = {levels[i], where};
      } else if (known.text != levels[i] && !collided_[zone]) {
        collided_[zone] = true;
        diags_.error(where,
                     "labels " + quote(known.text) + " and " + quote(levels[i]) +
                         " collide: both are zone '" + tree_.zones[zone].name + "'",
                     "use one spelling; the other is at " + known.where.file + ":" +
                         std::to_string(known.where.line));
      }
    }
  }

  void reportLabels(const std::map<std::string, Resolved> &labels, const std::string &file,
                    uint32_t base) {
    std::vector<const std::pair<const std::string, Resolved> *> bad;
    for (const auto &each : labels)
      if (each.second.zone == kNone)
        bad.push_back(&each);
    std::sort(bad.begin(), bad.end(),
              [](auto *a, auto *b) { return a->second.firstLine < b->second.firstLine; });
    std::vector<std::string> paths;
    for (size_t i = 0; i < bad.size() && i < kMaxReported; ++i) {
      const Resolved &each = bad[i]->second;
      std::string message = each.message, help = each.help;
      if (each.count > 1)
        message += " (" + std::to_string(each.count) + " rows)";
      if (help.empty()) {
        if (paths.empty())
          for (uint32_t zone = base; zone < tree_.zones[base].subtreeEnd; ++zone)
            paths.push_back(joinPath(tree_.zones[zone].levels));
        help = didYouMean(bad[i]->first, paths);
        if (help.empty())
          help =
              "add a zone for it, or --root-label (root_label in the hierarchy) if such rows are "
              "out of scope";
      }
      diags_.error({file, each.firstLine, 0}, message, help);
    }
    if (bad.size() > kMaxReported)
      diags_.error({file, 0, 0},
                   std::to_string(bad.size() - kMaxReported) + " more labels have no zone");
  }

  void checkRootLabel() {
    const Spec &spec = input_.spec;
    if (!rootLabel_ || rootLabel_->empty() || sawRootLabel_ || rows_.empty())
      return;
    std::vector<std::string> paths;
    for (const Zone &zone : tree_.zones)
      paths.push_back(joinPath(zone.levels));
    std::string help = didYouMean(spec.rootLabel, paths);
    diags_.warning(spec.rootLabelWhere, "no example has the root label '" + spec.rootLabel + "'",
                   help.empty() ? "remove it, or add rows that are out of scope" : help);
  }

  /// Every zone needs something to be recognised by, itself or in its subtree. What to do about an
  /// inner zone without any is to do it for its leaves, so those are what is reported.
  void checkMaterial(const ZoneSpec &root) {
    std::vector<bool> has(tree_.zones.size(), false);
    markMaterial(root, has);
    for (size_t i = 1; i < tree_.zones.size(); ++i) {
      const Zone &zone = tree_.zones[i];
      if (has[i] || unread_[i] || zone.exampleCount || zone.subtreeEnd != i + 1)
        continue;
      diags_.error(zone.where,
                   "zone '" + zone.name +
                       "' has neither examples, corpus, patterns, keywords nor a "
                       "description",
                   "give it some, such as keyword: \"" + zone.levels.back() +
                       "\" or examples: \"rows.jsonl\", or rows with the label '" +
                       joinPath(zone.levels) + "'");
    }
  }

  void markMaterial(const ZoneSpec &zone, std::vector<bool> &has) {
    const uint32_t at = zone.levels.empty() ? 0 : index_.find(zone.levels);
    if (at != kNone)
      has[at] = has[at] || !zone.patterns.empty() || !zone.corpora.empty() ||
                !zone.keywords.empty() || !zone.description.empty();
    for (const ZoneSpec &each : zone.zones)
      markMaterial(each, has);
  }

  void warnAboutFew() {
    std::string list;
    size_t count = 0;
    const Zone *first = nullptr;
    for (size_t i = 1; i < tree_.zones.size(); ++i) {
      const Zone &zone = tree_.zones[i];
      if (zone.exampleCount == 0 || zone.exampleCount >= kFewExamples || !zone.keywords.empty() ||
          !zone.corpora.empty() || !zone.patterns.empty())
        continue;
      if (!first)
        first = &zone;
      if (count++ < 5)
        list += (list.empty() ? "'" : ", '") + zone.name + "' (" +
                std::to_string(zone.exampleCount) + ")";
    }
    if (count)
      diags_.warning(first->where,
                     std::to_string(count) + (count == 1 ? " zone has" : " zones have") +
                         " fewer than " + std::to_string(kFewExamples) + " examples: " + list +
                         (count > 5 ? ", ..." : ""),
                     "expect poor answers there; 20 and more a zone are a good start");
  }

  void warnAboutContradictions() {
    std::unordered_map<std::string_view, size_t> first;
    first.reserve(input_.examples.size());
    size_t count = 0;
    for (size_t i = 0; i < input_.examples.size(); ++i) {
      const LabelledExample &row = input_.examples[i];
      auto [at, fresh] = first.emplace(row.text, i);
      const LabelledExample &other = input_.examples[at->second];
      if (fresh || other.zone == row.zone)
        continue;
      if (++count <= 3)
        diags_.warning({*origin_[i].file, origin_[i].line, 0},
                       "text " + quote(row.text) + " is labelled '" + tree_.zones[row.zone].path +
                           "' here and '" + tree_.zones[other.zone].path + "' at " +
                           *origin_[at->second].file + ":" +
                           std::to_string(origin_[at->second].line),
                       "one of them can never be answered right");
    }
    if (count > 3)
      diags_.warning({input_.spec.file, 0, 0},
                     std::to_string(count) + " rows contradict another row's label; the first 3 "
                                             "are listed");
  }

  Input &input_;
  ZoneTree &tree_;
  ZoneIndex index_;
  Rows &rows_;
  Diagnostics &diags_;
  std::optional<Levels> rootLabel_;
  bool sawRootLabel_ = false;
  std::vector<Text> spelling_;
  std::map<uint32_t, bool> collided_;
  std::vector<bool> unread_; // its examples file could not be read
  std::vector<Row> origin_;  // of each example
};

std::optional<Input> load(std::optional<Spec> spec, Rows &rows, Diagnostics &diags,
                          size_t errorsBefore) {
  if (!spec)
    return std::nullopt;
  Input input;
  input.spec = std::move(*spec);
  input.tree = buildTree(input.spec);
  Loader(input, rows, diags).run();
  if (diags.errorCount() != errorsBefore)
    return std::nullopt;
  return input;
}

std::optional<Spec> derive(const std::vector<std::string> &paths, const std::string &rootLabel,
                           const std::string &name, Rows &rows, Diagnostics &diags) {
  const size_t before = diags.errorCount();
  const std::string commandLine = "--from-examples";
  const std::optional<Levels> rootLevels = mappedRootLabel(rootLabel);
  if (!rootLabel.empty() && !rootLevels) {
    NameError bad;
    splitLabel(rootLabel, bad);
    diags.error({"--root-label", 0, 0}, bad.message, bad.help);
  }
  Spec spec;
  spec.file = commandLine;
  spec.name = name;
  spec.rootLabel = rootLabel;
  spec.rootLabelWhere = {"--root-label", 0, 0};
  std::map<Levels, Text> zones; // original spelling and where it was seen first
  std::map<Levels, bool> collided;
  for (const std::string &path : paths) {
    spec.root.examples.push_back({path, path, {commandLine, 0, 0}});
    auto [file, fresh] = rows.try_emplace(path);
    if (!fresh) {
      diags.error({commandLine, 0, 0}, "'" + path + "' is given twice", "name each file once");
      continue;
    }
    file->second = readJsonLines(path, true, diags);
    std::map<std::string, bool> seen;
    size_t bad = 0;
    for (const LabelledText &row : file->second) {
      if (!row.label || !seen.emplace(*row.label, true).second)
        continue;
      const Location where{path, row.line, 0};
      NameError error;
      const std::optional<Levels> original = splitLabel(*row.label, error);
      if (!original) {
        if (++bad <= kMaxReported)
          diags.error(where, error.message, error.help);
        continue;
      }
      const Levels mapped = mapLevels(*original);
      if (rootLevels && mapped == *rootLevels)
        continue;
      for (size_t depth = 1; depth <= mapped.size(); ++depth) {
        const Levels zone(mapped.begin(), mapped.begin() + ptrdiff_t(depth));
        const std::string &spelled = (*original)[depth - 1];
        auto [known, isNew] = zones.try_emplace(zone, Text{spelled, where});
        if (isNew || known->second.text == spelled || collided[zone])
          continue;
        collided[zone] = true;
        diags.error(where,
                    "labels " + quote(known->second.text) + " and " + quote(spelled) +
                        " collide: both are zone '" + formatName(zone) + "'",
                    "use one spelling; the other is at " + known->second.where.file + ":" +
                        std::to_string(known->second.where.line));
      }
    }
    if (bad > kMaxReported)
      diags.error({path, 0, 0}, std::to_string(bad - kMaxReported) + " more labels are bad");
  }
  if (rootLevels && zones.count(*rootLevels))
    diags.error({"--root-label", 0, 0},
                "root label '" + rootLabel + "' has labels inside it, such as those of '" +
                    formatName(*rootLevels) + "'",
                "its rows belong to the root, so it can hold no zones");
  if (zones.empty() && diags.errorCount() == before)
    diags.error({commandLine, 0, 0}, "no row has a label other than the root's",
                "a hierarchy needs at least one zone");
  if (zones.size() + 1 > SEMDNS_MAX_ZONES)
    diags.error({commandLine, 0, 0}, std::to_string(zones.size()) + " zones are too many",
                "at most " + std::to_string(SEMDNS_MAX_ZONES - 1) + " fit below the root");
  if (diags.errorCount() != before)
    return std::nullopt;
  // The map is in preorder: each zone's parent is the last one above it.
  std::vector<ZoneSpec *> open{&spec.root};
  for (const auto &[levels, spelled] : zones) {
    open.resize(levels.size());
    ZoneSpec zone;
    zone.levels = levels;
    zone.label = spelled.text;
    zone.where = spelled.where;
    open.back()->zones.push_back(std::move(zone));
    open.push_back(&open.back()->zones.back());
  }
  return spec;
}

} // namespace

std::optional<Input> loadSpec(std::string_view text, const std::string &fileName,
                              Diagnostics &diags) {
  const size_t before = diags.errorCount();
  Rows rows;
  return load(parseLeniently(text, fileName, diags), rows, diags, before);
}

std::optional<Input> loadSpecFile(const std::string &path, Diagnostics &diags) {
  std::string problem;
  std::optional<std::string> text = readFile(path, problem, (64u << 20) + 1);
  if (!text) {
    diags.error({path, 0, 0}, problem);
    return std::nullopt;
  }
  return loadSpec(*text, path, diags);
}

std::optional<Input> loadFromExamples(const std::vector<std::string> &paths,
                                      const std::string &rootLabel, const std::string &name,
                                      Diagnostics &diags) {
  const size_t before = diags.errorCount();
  Rows rows;
  return load(derive(paths, rootLabel, name, rows, diags), rows, diags, before);
}

std::optional<Spec> specFromExamples(const std::vector<std::string> &paths,
                                     const std::string &rootLabel, const std::string &name,
                                     Diagnostics &diags) {
  Rows rows;
  return derive(paths, rootLabel, name, rows, diags);
}

} // namespace semdns::spec
