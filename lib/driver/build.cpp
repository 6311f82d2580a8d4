#include "lib/driver/build.h"

#include "lib/calibrate/calibrate.h"
#include "lib/driver/codecs.h"
#include "lib/driver/compile.h"
#include "lib/driver/encoder.h"
#include "lib/driver/gate.h"
#include "lib/driver/reach.h"
#include "lib/driver/recalibrate.h"
#include "lib/driver/self_check.h"
#include "lib/driver/training_data.h"
#include "lib/eval/drift.h"
#include "lib/pack/beam_build.h"
#include "lib/pack/classes_build.h"
#include "lib/pack/features_build.h"
#include "lib/pack/gold_build.h"
#include "lib/pack/head_build.h"
#include "lib/pack/keywords_build.h"
#include "lib/pack/meta_build.h"
#include "lib/pack/writer.h"
#include "lib/pack/zones_build.h"
#include "lib/spec/load.h"
#include "lib/spec/overlap.h"
#include "lib/support/diagnostics.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "lib/text/freeze.h"
#include "lib/train/train.h"
#include "semdns/format/encoder.h"
#include "semdns/format/features.h"
#include "semdns/format/gold.h"
#include "semdns/format/gpu.h"
#include "semdns/format/head.h"
#include "semdns/format/meta.h"
#include "semdns/format/wordpiece.h"
#include "semdns/kernel.h"
#include "semdns/semdns.h"

#include "llvm/Config/llvm-config.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <sys/stat.h>

namespace semdns::driver {

namespace {

/// Training texts that the self-check replays on every kernel beside the spec's tests.
constexpr size_t kSelfCheckTexts = 256;

std::string fileStem(const std::string &path) {
  std::string name = path.substr(path.rfind('/') + 1);
  size_t dot = name.find('.');
  return dot == 0 || dot == std::string::npos ? name : name.substr(0, dot);
}

std::string join(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string percent(uint32_t part, uint32_t whole) {
  char text[32];
  snprintf(text, sizeof text, "%.1f %%", 100.0 * part / whole);
  return text;
}

/// All data sections of an artifact, in file order.
struct Sections {
  std::string meta, zones, text, keywords, features, centroids, beam, acceptance;
  std::string wordpiece, encoder, head; ///< empty without stage 3
  uint32_t layout = 1;
};

class Builder {
public:
  explicit Builder(const BuildOptions &options) : options_(options) {
    diags_.setWarningsAreErrors(options.warningsAreErrors);
  }

  ExitCode run();

private:
  bool chooseTargets();
  bool load();
  bool emitSpec();
  bool loadEncoder();
  bool trainModel();
  bool packSections();
  /// The sections that calibration changes: META, CLSF, HEAD.
  bool packAcceptance();
  bool compile();
  bool calibrate();
  /// The file with these sections; `gold` may be empty.
  std::string assemble(const std::string &gold) const;
  ExitCode proveAndWrite();
  unsigned threads() const;
  void warnAboutSerial(const std::string &bytes);
  void summarise(const std::string &bytes);
  ExitCode finish(ExitCode code) {
    diags_.print(stderr, options_.jsonDiagnostics);
    return code;
  }
  ExitCode rejected() { return finish(kRejected); }
  /// Ends a phase: its time is known, and so is whether it added errors.
  bool phase(const char *name) {
    auto now = std::chrono::steady_clock::now();
    time(name, std::chrono::duration<double>(now - phaseStart_).count());
    phaseStart_ = now;
    return !diags_.hasErrors();
  }
  void time(const std::string &name, double seconds) { times_.emplace_back(name, seconds); }
  void error(std::string message, std::string help = {}) {
    diags_.error({sourceName_, 0, 0}, std::move(message), std::move(help));
  }

  const BuildOptions &options_;
  Diagnostics diags_;
  std::string sourceName_; ///< the spec, or the first examples file: what errors name
  std::string specDigest_;
  std::vector<std::string> targets_;
  spec::Input input_;
  train::TrainingData data_;
  std::unique_ptr<EncoderStage> encoder_;   ///< null without an encoder
  std::vector<calibrate::Row> calibration_; ///< of the files that the user brings
  std::optional<calibrate::Result> promise_;
  Reach reach_;                               ///< of the calibrated artifact
  std::map<std::string, std::string> inputs_; ///< META pairs about what went in
  train::TrainReport report_;
  pack::RoutingModel model_;
  Sections sections_;
  std::vector<KernelSection> kernels_;
  std::vector<CodecSection> codecs_;
  std::vector<std::pair<std::string, double>> times_;
  std::chrono::steady_clock::time_point phaseStart_ = std::chrono::steady_clock::now();
};

bool Builder::chooseTargets() {
  targets_ = options_.targets;
  std::vector<std::string> known = allTargets();
  for (const std::string &target : targets_)
    if (std::find(known.begin(), known.end(), target) == known.end()) {
      fprintf(stderr, "build-hierarchy: --targets: unknown level '%s'; known: %s\n", target.c_str(),
              join(known).c_str());
      return false;
    }
  for (const std::string &chip : options_.cubins)
    if (chip.rfind("sm_", 0) != 0 || chip.size() < 5 ||
        chip.find_first_not_of("0123456789", 3) != std::string::npos) {
      fprintf(stderr, "build-hierarchy: --cubin: '%s' is no chip; write sm_90\n", chip.c_str());
      return false;
    }
  return true;
}

bool Builder::load() {
  std::optional<spec::Input> input;
  if (options_.spec.empty()) {
    sourceName_ = options_.fromExamples.front();
    std::string name = options_.name.empty() ? fileStem(sourceName_) : options_.name;
    input = spec::loadFromExamples(options_.fromExamples, options_.rootLabel, name, diags_);
  } else {
    sourceName_ = options_.spec;
    std::string error;
    auto text = readFile(options_.spec, error);
    if (!text) {
      this->error(error);
      return false;
    }
    specDigest_ = sha256Hex(*text);
    input = spec::loadSpec(*text, options_.spec, diags_);
  }
  if (!input)
    return false;
  input_ = std::move(*input);
  if (!options_.name.empty())
    input_.spec.name = options_.name;
  if (options_.serial)
    input_.spec.serial = *options_.serial;
  for (const std::string &path : options_.unlabelled)
    input_.spec.unlabelled.push_back({path, path, {"--unlabelled", 0, 0}});
  for (const std::string &path : options_.calibration)
    input_.spec.calibration.push_back({path, path, {"--calibration", 0, 0}});
  input_.spec.alpha = options_.alpha.value_or(input_.spec.alpha);
  input_.spec.delta = options_.delta.value_or(input_.spec.delta);
  readCalibration(input_.spec.calibration, input_.tree, input_.spec.rootLabel, calibration_,
                  diags_);
  if (targets_.empty()) {
    std::vector<std::string> known = allTargets();
    for (const spec::Text &target : input_.spec.targets) {
      if (std::find(known.begin(), known.end(), target.text) == known.end())
        diags_.error(target.where, "unknown target '" + target.text + "'",
                     didYouMean(target.text, known));
      targets_.push_back(target.text);
    }
  }
  if (targets_.empty())
    targets_ = defaultTargets();
  if (specDigest_.empty()) {
    // Derived trees have no file: their identity is the list of zones.
    std::string paths;
    for (const spec::Zone &zone : input_.tree.zones)
      paths += zone.path + "\n";
    specDigest_ = sha256Hex(paths);
  }
  return !diags_.hasErrors();
}

bool Builder::emitSpec() {
  if (!options_.dumpSpec.empty()) {
    std::string error;
    if (!writeFileAtomically(options_.dumpSpec, spec::dumpSpec(input_.spec, options_.dumpSpec),
                             options_.force, error)) {
      this->error(error);
      return false;
    }
  }
  if (options_.stopAfter == "spec") {
    std::string text = spec::dumpSpec(input_.spec, "");
    fwrite(text.data(), 1, text.size(), stdout);
  }
  return true;
}

unsigned Builder::threads() const { return threadsFor(options_.threads); }

bool Builder::loadEncoder() {
  EncoderOptions options;
  const spec::EncoderSpec &spec = input_.spec.encoder;
  Location where{"--encoder", 0, 0};
  options.folder = options_.encoder;
  if (options.folder.empty() && spec.folder) {
    options.folder = spec.folder->path;
    where = spec.folder->where;
  }
  if (options.folder.empty()) {
    if (options_.finetune || options_.encoderLayers || options_.teachOnly)
      error("there is no encoder to fine-tune, to cut or to teach", "name one with --encoder=DIR");
    return !diags_.hasErrors();
  }
  options.layers = options_.encoderLayers ? options_.encoderLayers : spec.layers;
  options.cache = options_.cache;
  options.threads = threads();
  options.seed = options_.seed;
  encoder_ = EncoderStage::load(options, where, diags_);
  return encoder_ && phase("encoder");
}

bool Builder::trainModel() {
  data_ = gatherTrainingData(input_, options_.seed, diags_, inputs_);
  if (!phase("read"))
    return false;
  train::splitExamples(data_, options_.seed, input_.spec.calibration.empty());
  if (encoder_) {
    if ((options_.finetune || input_.spec.encoder.finetune) && !encoder_->finetune(data_))
      return false;
    phase("finetune");
    data_.teacher = encoder_->teacher();
  }
  train::TrainOptions trainOptions;
  trainOptions.threads = threads();
  trainOptions.seed = options_.seed;
  trainOptions.alpha = input_.spec.alpha;
  if (options_.beam) {
    trainOptions.beamWidth = *options_.beam;
    trainOptions.flatClasses = 1;
  }
  sections_.text = text::buildTextSection();
  std::span<const uint8_t> textSection(reinterpret_cast<const uint8_t *>(sections_.text.data()),
                                       sections_.text.size());
  spec::warnAboutKeywordOverlaps(input_.spec, input_.tree, sections_.text, diags_);
  model_ = train::train(data_, trainOptions, textSection, diags_, &report_);
  if (options_.teachOnly) {
    model_.head = {};
    model_.guard = {};
  }
  if (model_.embedding.dim == 0)
    model_
        .embedding = {}; // no stage 2: what packing and compiling see must not differ in leftovers
  return phase("train");
}

bool Builder::packSections() {
  const spec::ZoneTree &tree = input_.tree;
  std::string why;
  auto take = [&](std::optional<std::string> bytes, std::string &into) {
    if (!bytes) {
      error(why);
      return false;
    }
    into = std::move(*bytes);
    return true;
  };
  sections_.layout = model_.beam.present()
                         ? 1
                         : pack::chooseLayout(static_cast<uint32_t>(model_.classZone.size()));
  if (!take(pack::buildZonesSection(model_, tree, why), sections_.zones) ||
      !take(pack::buildKeywordsSection(model_.keywords, static_cast<uint32_t>(tree.zones.size()),
                                       why),
            sections_.keywords) ||
      !take(pack::buildFeaturesSection(model_.embedding, why), sections_.features) ||
      !take(pack::buildCentroidsSection(model_.embedding, sections_.layout, why),
            sections_.centroids))
    return false;
  if (model_.beam.present() && !take(pack::buildBeamSection(model_, tree, why), sections_.beam))
    return false;
  if (model_.head.present() && !encoder_->pack(sections_.wordpiece, sections_.encoder, why)) {
    error("the encoder cannot be packed: " + why);
    return false;
  }
  return packAcceptance() && phase("pack");
}

bool Builder::packAcceptance() {
  std::string why;
  auto acceptance = pack::buildAcceptanceSection(model_, input_.tree, why);
  if (!acceptance) {
    error(why);
    return false;
  }
  sections_.acceptance = std::move(*acceptance);
  if (model_.head.present()) {
    auto head = pack::buildHeadSection(model_, input_.tree, why);
    if (!head) {
      error(why);
      return false;
    }
    sections_.head = std::move(*head);
  }
  std::map<std::string, std::string> meta = inputs_;
  auto share = [](uint32_t part, uint32_t whole) {
    return std::to_string(part) + "/" + std::to_string(whole);
  };
  meta["name"] = input_.spec.name;
  meta["tool.version"] = semdns_version();
  meta["tool.llvm"] = LLVM_VERSION_STRING;
  meta["kernel.abi"] = std::to_string(SEMDNS_KERNEL_ABI);
  meta["targets"] = join(targets_);
  if (!options_.cubins.empty()) {
    meta["targets.cubin"] = join(options_.cubins);
    meta["tool.ptxas"] = ptxasVersion();
  }
  meta["spec.sha256"] = specDigest_;
  if (!input_.spec.rootLabel.empty())
    meta["train.root_label"] = input_.spec.rootLabel;
  meta["train.seed"] = std::to_string(options_.seed);
  meta["train.alpha"] = std::to_string(input_.spec.alpha);
  meta["train.examples"] = std::to_string(report_.examples);
  if (encoder_)
    for (const auto &[key, value] : encoder_->meta())
      meta[key] = value;
  if (promise_)
    for (const auto &[key, value] : promise_->meta)
      meta[key] = value;
  if (reach_.zones) {
    meta["facts.zones.reached"] = share(reach_.reached, reach_.zones);
    meta["facts.zones.unreachable"] = share(reach_.proved, reach_.zones);
  }
  meta["train.heldout"] = std::to_string(report_.heldOut);
  meta["train.heldout.best"] = share(report_.bestCorrect, report_.inScope);
  meta["train.heldout.answered"] = share(report_.answered, report_.inScope);
  meta["train.heldout.misrouted"] = share(report_.misrouted, report_.inScope);
  sections_.meta = pack::buildMeta(meta, why);
  if (sections_.meta.empty()) {
    error(why);
    return false;
  }
  return true;
}

bool Builder::compile() {
  CompileOptions compileOptions;
  compileOptions.name = input_.spec.name;
  compileOptions.serial = input_.spec.serial;
  compileOptions.layout = sections_.layout;
  semdns_tokv_header features;
  std::memcpy(&features, sections_.features.data(), sizeof features);
  compileOptions.bucketCount = features.bucket_count;
  semdns_encm_header encoder;
  if (!sections_.encoder.empty()) {
    std::memcpy(&encoder, sections_.encoder.data(), sizeof encoder);
    compileOptions.encoder = &encoder;
  }
  compileOptions.targets = targets_;
  compileOptions.cubins = options_.cubins;
  compileOptions.stopAfter = options_.stopAfter;
  if (!options_.dumpIrTo.empty()) {
    if (::mkdir(options_.dumpIrTo.c_str(), 0777) != 0 && errno != EEXIST) {
      error("cannot make the folder '" + options_.dumpIrTo + "': " + std::strerror(errno));
      return false;
    }
    compileOptions.dump = [this](const std::string &name, const std::string &text) {
      std::string why;
      if (!writeFileAtomically(options_.dumpIrTo + "/" + name, text, true, why))
        error(why);
    };
  }
  compileOptions.timing = [this](const std::string &name, double seconds) { time(name, seconds); };
  bool ok = compileKernels(input_.tree, model_, compileOptions, sourceName_, diags_, kernels_);
  return phase("compile") && ok;
}

bool Builder::calibrate() {
  std::vector<calibrate::Row> rows;
  for (const train::Example &example : data_.examples)
    if (example.kind == train::ExampleKind::Labelled && example.part != train::Part::Train)
      rows.push_back(
          {example.text, example.zone,
           example.part == train::Part::Tune ? calibrate::Part::Tune : calibrate::Part::Calibrate});
  if (!input_.spec.calibration.empty()) {
    rows.insert(rows.end(), calibration_.begin(), calibration_.end());
    std::vector<std::string_view> training;
    for (const train::Example &example : data_.examples)
      training.push_back(example.text);
    warnAboutLeakage(rows, training, {input_.spec.calibration[0].written, 0, 0}, threads(), diags_);
  }
  calibrate::Options options;
  options.alpha = input_.spec.alpha;
  options.delta = input_.spec.delta;
  options.perZone = input_.spec.perZone;
  options.encoder = model_.head.present();
  options.base = {model_.guard, model_.acceptance, model_.head.acceptance};
  options.threads = threads();
  options.where = [this](uint32_t zone) { return input_.tree.zones[zone].where; };
  options.source = {sourceName_, 0, 0};
  promise_ = calibrate::calibrateArtifact(assemble({}), rows, options, diags_);
  if (!promise_)
    return false;
  model_.guard = promise_->rules.guard;
  model_.acceptance = promise_->rules.embedding;
  model_.head.acceptance = promise_->rules.encoder;
  if (!packAcceptance())
    return false;
  std::string calibrated = assemble({});
  reach_ = checkReach(calibrated, input_, diags_);
  // What the calibration rows look like in use, for `evaluate-hierarchy --drift` to compare with.
  std::vector<std::string_view> texts;
  for (const calibrate::Row &row : rows)
    if (row.part == calibrate::Part::Calibrate)
      texts.push_back(row.text);
  if (!texts.empty()) {
    std::string why;
    auto traffic = eval::trafficMeta(calibrated, texts, why);
    if (!traffic) {
      error(why);
      return false;
    }
    promise_->meta.merge(*traffic);
  }
  return packAcceptance() && phase("calibrate"); // META knows what was seen
}

std::string Builder::assemble(const std::string &gold) const {
  pack::ArtifactWriter writer(SEMDNS_KIND_HIERARCHY, input_.spec.serial);
  auto data = [&](uint32_t tag, uint32_t version, const std::string &bytes) {
    writer.add(tag, 0, version, SEMDNS_SECTION_CRITICAL, 0, SEMDNS_SECTION_ALIGN, bytes);
  };
  data(SEMDNS_TAG_META, SEMDNS_META_VERSION, sections_.meta);
  data(SEMDNS_TAG_ZTRE, SEMDNS_ZTRE_VERSION, sections_.zones);
  data(SEMDNS_TAG_TEXT, SEMDNS_TEXT_VERSION, sections_.text);
  data(SEMDNS_TAG_KEYW, SEMDNS_KEYW_VERSION, sections_.keywords);
  data(SEMDNS_TAG_TOKV, SEMDNS_TOKV_VERSION, sections_.features);
  data(SEMDNS_TAG_CENT, SEMDNS_CENT_VERSION, sections_.centroids);
  if (!sections_.beam.empty())
    data(SEMDNS_TAG_BEAM, SEMDNS_BEAM_VERSION, sections_.beam);
  if (!sections_.encoder.empty()) {
    data(SEMDNS_TAG_WPCE, SEMDNS_WPCE_VERSION, sections_.wordpiece);
    data(SEMDNS_TAG_ENCM, SEMDNS_ENCM_VERSION, sections_.encoder);
  }
  data(SEMDNS_TAG_CLSF, SEMDNS_CLSF_VERSION, sections_.acceptance);
  if (!sections_.encoder.empty())
    data(SEMDNS_TAG_HEAD, SEMDNS_HEAD_VERSION, sections_.head);
  // Routing does without codec tables: they join the finished artifact alone.
  for (const CodecSection &codec : codecs_)
    writer.add(codec.tag, codec.target, codec.version, 0, 0, SEMDNS_SECTION_ALIGN, codec.bytes);
  // A reader may do without kernels: the portable ones answer the same.
  for (const KernelSection &kernel : kernels_)
    if (kernel.tag == SEMDNS_TAG_KCPU)
      writer.add(kernel.tag, kernel.target, SEMDNS_KERNEL_ABI, SEMDNS_SECTION_CODE,
                 sections_.layout, SEMDNS_CODE_ALIGN, kernel.bytes);
    else
      writer.add(kernel.tag, kernel.target, SEMDNS_KGPU_VERSION, 0, sections_.layout,
                 SEMDNS_SECTION_ALIGN, kernel.bytes);
  if (!gold.empty())
    data(SEMDNS_TAG_GOLD, SEMDNS_GOLD_VERSION, gold);
  return writer.finish();
}

void Builder::warnAboutSerial(const std::string &bytes) {
  semdns_header before, after;
  struct stat info;
  if (::stat(options_.output.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return;
  FILE *old = fopen(options_.output.c_str(), "rb");
  bool whole = old && fread(&before, sizeof before, 1, old) == 1;
  if (old)
    fclose(old);
  if (!whole)
    return;
  std::memcpy(&after, bytes.data(), sizeof after);
  if (std::memcmp(before.magic, after.magic, sizeof after.magic) == 0 &&
      before.serial == after.serial &&
      std::memcmp(before.root_digest, after.root_digest, sizeof after.root_digest) != 0)
    diags_.warning({options_.output, 0, 0},
                   "other bytes under the same serial " + std::to_string(after.serial) +
                       " as the file that is replaced",
                   "raise `serial` in the spec, or give --serial=" +
                       std::to_string(after.serial + 1));
}

void Builder::summarise(const std::string &bytes) {
  if (options_.timing) {
    fprintf(stderr, "%-28s %8s\n", "phase", "seconds");
    for (const auto &[name, seconds] : times_)
      fprintf(stderr, "%-28s %8.3f\n", name.c_str(), seconds);
  }
  if (options_.quiet)
    return;
  fprintf(stderr,
          "%s: %zu zones, %zu classes, %zu engines, %zu keywords; %u texts trained on; "
          "%u rows of %u dimensions; %zu kernels; %.1f MB, serial %llu\n",
          options_.output.c_str(), input_.tree.zones.size(), model_.classZone.size(),
          input_.tree.engines.size(), model_.keywords.terms.size(), report_.examples, report_.rows,
          report_.dim, kernels_.size(), static_cast<double>(bytes.size()) / 1e6,
          static_cast<unsigned long long>(input_.spec.serial));
  if (report_.inScope)
    fprintf(stderr, "tuning slice of %u: best guess right %.1f %%%s\n", report_.heldOut,
            100.0 * (model_.head.present() ? report_.headCorrect : report_.bestCorrect) /
                report_.inScope,
            model_.head.present()
                ? (" with stage 3, " + percent(report_.bestCorrect, report_.inScope) +
                   " with stages 1 and 2 alone")
                      .c_str()
                : "");
  if (encoder_)
    fprintf(stderr, "encoder: %u layers of width %u; %llu texts embedded, %llu from the cache\n",
            encoder_->model().shape.layers, encoder_->model().shape.width,
            static_cast<unsigned long long>(encoder_->embedded()),
            static_cast<unsigned long long>(encoder_->remembered()));
  if (promise_)
    fprintf(stderr, "risk: %s\n", calibrate::describe(promise_->main()).c_str());
  fprintf(stderr, "digest %s\n", pack::rootDigestHex(bytes).c_str());
}

ExitCode Builder::proveAndWrite() {
  std::vector<std::string> queries;
  for (const spec::TestCase &test : input_.tests)
    queries.push_back(test.query);
  size_t step = std::max<size_t>(1, input_.examples.size() / kSelfCheckTexts);
  for (size_t i = 0; i < input_.examples.size(); i += step)
    queries.push_back(input_.examples[i].text);
  std::vector<pack::GoldQuery> answers;
  std::string why;
  if (!answersAgree(assemble({}), queries, answers, why)) {
    error("internal error: the artifact does not prove itself: " + why,
          "please report this with the spec that shows it");
    return finish(kInternal);
  }
  answers.resize(input_.tests.size());
  bool failed = false;
  for (size_t i = 0; i < answers.size(); ++i) {
    const spec::TestCase &test = input_.tests[i];
    const auto &zones = input_.tree.zones;
    answers[i].expectedZone = test.zone;
    if (answers[i].answerZone >= test.zone && answers[i].answerZone < zones[test.zone].subtreeEnd)
      continue;
    failed = true;
    char confidence[32];
    snprintf(confidence, sizeof confidence, "%.3f", answers[i].confidence / 65536.0);
    diags_.error(test.where,
                 "test fails: \"" + test.query + "\" is answered by " +
                     zones[answers[i].answerZone].name + " (confidence " + confidence +
                     "), expected " + zones[test.zone].name,
                 "best guess was " + zones[answers[i].bestZone].name +
                     "; add examples or keywords to the expected zone");
  }
  if (failed)
    return finish(kNegative);
  std::string gold;
  if (!answers.empty()) {
    auto section = pack::buildGoldSection(answers, why);
    if (!section) {
      error(why);
      return rejected();
    }
    gold = std::move(*section);
  }
  codecs_ = gatherCodecs(input_, options_.keepCodecs, diags_);
  if (diags_.hasErrors())
    return rejected();
  std::string bytes = assemble(gold);
  if (!codecs_.empty() && !checkCodecs(bytes, why)) {
    error("the runtime refuses the artifact's codec tables: " + why,
          "mine the libraries again with this version's mine-patterns");
    return rejected();
  }
  // The very bytes that are written have been opened and asked.
  std::vector<pack::GoldQuery> again;
  std::vector<std::string> tests(queries.begin(),
                                 queries.begin() + static_cast<ptrdiff_t>(answers.size()));
  if (!answersAgree(bytes, tests, again, why)) {
    error("internal error: the finished artifact does not prove itself: " + why);
    return finish(kInternal);
  }
  phase("prove");
  if (ExitCode code = checkRegressions(bytes, options_.gate, input_.spec.rootLabel, diags_);
      code != kDone)
    return finish(code);
  if (options_.output != "-")
    warnAboutSerial(bytes);
  if (diags_.hasErrors())
    return rejected();
  if (!writeFileAtomically(options_.output, bytes, options_.force, why)) {
    error(why);
    return rejected();
  }
  phase("write");
  finish(kDone);
  summarise(bytes);
  return kDone;
}

ExitCode Builder::run() {
  if (!chooseTargets())
    return kUsage;
  for (const std::string &path : {options_.output, options_.dumpSpec})
    if (!path.empty())
      if (auto obstacle = outputObstacle(path, options_.force)) {
        diags_.error({}, *obstacle);
        return rejected();
      }
  if (!load() || !phase("spec") || !emitSpec())
    return rejected();
  bool onlySpec = options_.output.empty() && options_.stopAfter.empty();
  if (options_.stopAfter == "spec" || onlySpec)
    return finish(kDone);
  if (!loadEncoder() || !trainModel() || !packSections() || !compile())
    return rejected();
  if (!options_.stopAfter.empty())
    return finish(kDone);
  if (!calibrate())
    return rejected();
  return proveAndWrite();
}

} // namespace

ExitCode build(const BuildOptions &options) { return Builder(options).run(); }

} // namespace semdns::driver
