#include "lib/driver/recalibrate.h"

#include "lib/calibrate/leakage.h"
#include "lib/calibrate/stored.h"
#include "lib/driver/self_check.h"
#include "lib/eval/drift.h"
#include "lib/pack/gold_build.h"
#include "lib/pack/writer.h"
#include "lib/spec/names.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "lib/support/parallel.h"
#include "semdns/semdns.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace semdns::driver {

namespace {

constexpr size_t kMaxReported = 20;     ///< labels of one file without a zone
constexpr size_t kSelfCheckTexts = 256; ///< rows that every kernel of the new file is asked

/// Names and paths of an open artifact, as far as labels need them.
spec::ZoneTree zoneTreeOf(const semdns_artifact *artifact, const calibrate::Tree &tree) {
  spec::ZoneTree zones;
  spec::NameError ignored;
  for (uint32_t i = 0; i < tree.size(); ++i) {
    semdns_zone_ref ref = {};
    semdns_artifact_zone(artifact, i, &ref);
    spec::Zone zone;
    zone.parent = i ? tree.parent[i] : spec::kNone;
    zone.depth = tree.depth[i];
    zone.subtreeEnd = tree.subtreeEnd[i];
    zone.name = ref.name;
    zone.path = ref.path;
    if (i)
      zone.levels = spec::parseName(ref.name, ignored).value_or(spec::Levels{});
    zones.zones.push_back(std::move(zone));
  }
  return zones;
}

double metaNumber(const semdns_artifact *artifact, const char *key, double otherwise) {
  const char *value = semdns_artifact_meta(artifact, key);
  const double number = value ? strtod(value, nullptr) : otherwise;
  return number > 0 && number < 1 ? number : otherwise;
}

} // namespace

void readCalibration(const std::vector<spec::FileRef> &files, const spec::ZoneTree &tree,
                     const std::string &rootLabel, std::vector<calibrate::Row> &rows,
                     Diagnostics &diags) {
  const spec::ZoneIndex index(tree);
  std::vector<std::string> paths;
  for (const spec::Zone &zone : tree.zones)
    paths.push_back(zone.path);
  spec::NameError ignored;
  spec::Levels root;
  if (!rootLabel.empty())
    root = spec::mapLevels(spec::splitLabel(rootLabel, ignored).value_or(spec::Levels{}));
  for (const spec::FileRef &file : files) {
    std::map<std::string, uint32_t> known; // label -> zone
    size_t bad = 0;
    for (const LabelledText &row : readJsonLines(file.path, true, diags)) {
      auto [at, fresh] = known.emplace(*row.label, 0);
      if (fresh) {
        const auto levels = spec::splitLabel(*row.label, ignored);
        const spec::Levels mapped = levels ? spec::mapLevels(*levels) : spec::Levels{};
        const bool out = levels && (mapped.empty() || (!rootLabel.empty() && mapped == root));
        at->second = !levels ? spec::kNone : out ? 0 : index.find(mapped);
        if (at->second == spec::kNone && bad++ < kMaxReported)
          diags.error({file.path, row.line, 0}, "label '" + *row.label + "' has no zone",
                      didYouMean(*row.label, paths));
      }
      if (at->second != spec::kNone)
        rows.push_back({row.text, at->second, calibrate::Part::Calibrate});
    }
    if (bad > kMaxReported)
      diags.error({file.path, 0, 0},
                  std::to_string(bad - kMaxReported) + " more labels have no zone");
  }
}

void warnAboutLeakage(const std::vector<calibrate::Row> &rows,
                      const std::vector<std::string_view> &training, const Location &source,
                      unsigned threads, Diagnostics &diags) {
  std::vector<std::string_view> texts;
  for (const calibrate::Row &row : rows)
    if (row.part == calibrate::Part::Calibrate)
      texts.push_back(row.text);
  calibrate::warnAboutLeakage(calibrate::findLeakage(texts, training, threads), texts, training,
                              source, diags);
}

ExitCode recalibrate(const RecalibrateOptions &options) {
  Diagnostics diags;
  diags.setWarningsAreErrors(options.warningsAreErrors);
  const Location source{options.artifact, 0, 0};
  auto finish = [&](ExitCode code) {
    diags.print(stderr, options.jsonDiagnostics);
    return code;
  };
  std::string error;
  if (auto obstacle = outputObstacle(options.output, options.force)) {
    diags.error({}, *obstacle);
    return finish(kRejected);
  }
  auto old = readFile(options.artifact, error);
  if (!old) {
    diags.error(source, error);
    return finish(kRejected);
  }
  Error why;
  const Artifact artifact = Artifact::openMemory(old->data(), old->size(), {}, why);
  if (!artifact) {
    diags.error(source, why.message());
    return finish(why.status() >= SEMDNS_ERROR_VERSION ? kIncompatible : kRejected);
  }
  semdns_artifact *const raw = artifact.raw();
  auto rules = calibrate::readRules(*old, error);
  auto tests = calibrate::readGold(*old, error);
  if (!rules || !tests) {
    diags.error(source, error);
    return finish(kRejected);
  }

  const calibrate::Tree tree = calibrate::treeOf(raw);
  const char *label = semdns_artifact_meta(raw, "train.root_label");
  std::vector<spec::FileRef> files;
  for (const std::string &path : options.calibration)
    files.push_back({path, path, {"--calibration", 0, 0}});
  std::vector<calibrate::Row> rows;
  readCalibration(files, zoneTreeOf(raw, tree),
                  !options.rootLabel.empty() ? options.rootLabel
                  : label                    ? label
                                             : "",
                  rows, diags);
  if (diags.hasErrors())
    return finish(kRejected);

  calibrate::Options calibration;
  calibration.alpha =
      options.alpha.value_or(metaNumber(raw, "risk.alpha", metaNumber(raw, "train.alpha", 0.05)));
  calibration.delta = options.delta.value_or(metaNumber(raw, "risk.delta", 0.05));
  const char *perZone = semdns_artifact_meta(raw, "risk.per_zone");
  calibration.perZone = perZone && std::string(perZone) == "yes";
  calibration.encoder = !rules->encoder.threshold.empty();
  calibration.base = *rules;
  calibration.keepBase = false;
  calibration.threads = threadsFor(options.threads);
  calibration.source = files.empty() ? source : Location{files[0].path, 0, 0};
  // The sequence that the build fixed, so that every row can test it; a file without one gets the
  // one that needs no rows.
  if (const char *stored = semdns_artifact_meta(raw, "risk.sequence"))
    if (auto sequence = calibrate::parseSequence(stored))
      calibration.sequence = std::move(*sequence);
  auto result = calibrate::calibrateArtifact(*old, rows, calibration, diags);
  if (!result)
    return finish(kInternal);

  const semdns_artifact_info info = artifact.info();
  if (!options.serial && info.serial == UINT64_MAX) {
    diags.error(source, "its serial is the last one there is", "give --serial=N");
    return finish(kRejected);
  }
  const uint64_t serial = options.serial.value_or(info.serial + 1);
  auto bytes = calibrate::replaceRules(*old, result->rules, result->meta, {}, serial, error);
  if (!bytes) {
    diags.error(source, error);
    return finish(kInternal);
  }

  // What these rows look like in use, for `evaluate-hierarchy --drift` to compare with.
  std::vector<std::string_view> seen;
  for (const calibrate::Row &row : rows)
    seen.push_back(row.text);
  auto traffic = eval::trafficMeta(*bytes, seen, error);
  if (traffic) {
    result->meta.merge(*traffic);
    bytes = calibrate::replaceRules(*old, result->rules, result->meta, {}, serial, error);
  }
  if (!traffic || !bytes) {
    diags.error(source, error);
    return finish(kInternal);
  }

  // The new file proves itself: every kernel level answers alike, and as the replay of the evidence
  // says; the tests pass and go into GOLD with their new answers.
  std::vector<std::string> queries;
  for (const pack::GoldQuery &test : *tests)
    queries.push_back(test.text);
  const size_t step = std::max<size_t>(1, (rows.size() + kSelfCheckTexts - 1) / kSelfCheckTexts);
  for (size_t i = 0; i < rows.size(); i += step)
    queries.push_back(rows[i].text);
  std::vector<pack::GoldQuery> answers;
  if (!answersAgree(*bytes, queries, answers, error)) {
    diags.error(source, "internal error: the artifact does not prove itself: " + error);
    return finish(kInternal);
  }
  std::vector<std::string_view> texts(queries.begin(), queries.end());
  auto evidence = calibrate::measure(raw, texts, calibration.threads, error);
  for (size_t i = 0; evidence && i < queries.size(); ++i)
    if (calibrate::replay((*evidence)[i], result->rules).zone != answers[i].answerZone) {
      error = "\"" + queries[i] + "\" is answered otherwise than calibration saw it";
      evidence.reset();
    }
  if (!evidence) {
    diags.error(source, "internal error: the artifact does not prove itself: " + error);
    return finish(kInternal);
  }
  bool failed = false, changed = false;
  for (size_t i = 0; i < tests->size(); ++i) {
    pack::GoldQuery &test = (*tests)[i];
    changed |= test.answerZone != answers[i].answerZone || test.stage != answers[i].stage ||
               test.bestZone != answers[i].bestZone || test.confidence != answers[i].confidence;
    answers[i].expectedZone = test.expectedZone;
    if (tree.within(answers[i].answerZone, test.expectedZone))
      continue;
    failed = true;
    diags.error(source,
                "test fails: \"" + test.text + "\" is answered by " +
                    tree.name[answers[i].answerZone] + ", expected " + tree.name[test.expectedZone],
                "best guess was " + tree.name[answers[i].bestZone] +
                    "; alpha may be too low for it to pass its threshold");
  }
  if (failed)
    return finish(kNegative);
  if (changed) {
    answers.resize(tests->size());
    auto gold = pack::buildGoldSection(answers, error);
    if (gold)
      bytes = calibrate::replaceRules(*old, result->rules, result->meta, *gold, serial, error);
    if (!gold || !bytes) {
      diags.error(source, error);
      return finish(kInternal);
    }
  }
  if (diags.hasErrors())
    return finish(kRejected);
  if (!writeFileAtomically(options.output, *bytes, options.force, error)) {
    diags.error({options.output, 0, 0}, error);
    return finish(kRejected);
  }
  finish(kDone);
  if (!options.quiet) {
    fprintf(stderr, "%s: serial %llu; %s\n", options.output.c_str(),
            static_cast<unsigned long long>(serial), calibrate::describe(result->main()).c_str());
    if (result->cascade)
      fprintf(stderr, "stages 1 and 2 alone: %s\n", calibrate::describe(result->light).c_str());
    fprintf(stderr, "digest %s\n", pack::rootDigestHex(*bytes).c_str());
  }
  return kDone;
}

} // namespace semdns::driver
