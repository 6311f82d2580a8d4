#include "lib/driver/encoder.h"

#include "lib/encoder/finetune.h"
#include "lib/encoder/forward.h"
#include "lib/encoder/import.h"
#include "lib/encoder/quantise.h"
#include "lib/encoder/store.h"
#include "lib/pack/encoder_build.h"
#include "lib/support/files.h"
#include "lib/support/progress.h"

#include <algorithm>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace semdns::driver {

std::unique_ptr<EncoderStage> EncoderStage::load(const EncoderOptions &options,
                                                 const Location &where, Diagnostics &diags) {
  size_t before = diags.errorCount();
  auto model = encoder::importEncoder(options.folder, diags);
  if (!model) {
    if (diags.errorCount() != before)
      diags.note(where, "the encoder '" + options.folder + "' is named here");
    return nullptr;
  }
  if (options.layers > model->shape.layers) {
    diags.error(where,
                "the encoder has " + std::to_string(model->shape.layers) + " layers, not " +
                    std::to_string(options.layers),
                "leave the number out to use all of them");
    return nullptr;
  }
  if (options.layers)
    *model = encoder::truncated(*model, options.layers);
  return std::unique_ptr<EncoderStage>(new EncoderStage(options, std::move(*model), diags));
}

EncoderStage::EncoderStage(EncoderOptions options, encoder::Model model, Diagnostics &diags)
    : options_(std::move(options)), model_(std::move(model)), importedDigest_(model_.digest),
      diags_(&diags) {
  tokeniser_.emplace(model_.tokeniser);
  openCache();
}

std::string EncoderStage::cacheFolder() const {
  if (options_.cache.empty())
    return encoder::defaultCacheFolder();
  return options_.cache == "none" ? "" : options_.cache;
}

void EncoderStage::openCache() {
  cache_.emplace(cacheFolder(), model_.digest + " " + encoder::arithmetic(), model_.shape.width,
                 *diags_);
}

bool EncoderStage::finetune(const train::TrainingData &data) {
  uint32_t room = encoder::windowTokens(model_.shape);
  std::vector<std::vector<uint32_t>> windows;
  std::vector<uint32_t> zones, labels;
  for (const train::Example &example : data.examples) {
    if (example.kind != train::ExampleKind::Labelled || example.part != train::Part::Train)
      continue;
    windows.push_back(tokeniser_->window(example.text, {}, room));
    zones.push_back(example.zone);
  }
  std::vector<uint32_t> classes = zones;
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  if (classes.size() < 2) {
    diags_->error({"--finetune", 0, 0}, "fine-tuning needs labelled examples of two zones or more",
                  "leave --finetune out: the encoder is used as it is");
    return false;
  }
  for (uint32_t zone : zones)
    labels.push_back(
        uint32_t(std::lower_bound(classes.begin(), classes.end(), zone) - classes.begin()));
  encoder::FinetuneOptions tuning = encoder::optionsFor(windows);
  tuning.seed = options_.seed;
  tuning.threads = options_.threads;
  uint32_t count = uint32_t(classes.size());
  std::string key = encoder::finetuneKey(model_, windows, labels, count, tuning);
  tuned_ = encoder::describe(tuning);
  std::string folder = cacheFolder(), why;
  std::string path = folder.empty() ? "" : folder + "/finetuned-" + key;
  std::optional<encoder::Finetuned> result;
  if (!path.empty() && ::access(path.c_str(), R_OK) == 0) {
    result = encoder::loadFinetuned(path, why);
    if (!result)
      diags_->warning({path, 0, 0}, "the fine-tuned encoder in the cache is damaged: " + why,
                      "it is made anew");
  }
  if (!result) {
    Progress progress("fine-tuning", uint64_t(tuning.epochs) * windows.size(), "texts");
    result = encoder::finetune(model_, windows, labels, count, tuning, &progress);
    if (!result) {
      diags_->error({"--finetune", 0, 0}, "the encoder cannot be fine-tuned on these examples");
      return false;
    }
    if (!path.empty() && !encoder::saveFinetuned(*result, path, why))
      diags_->warning({path, 0, 0}, "the fine-tuned encoder cannot be kept: " + why,
                      "the next build makes it again; name a folder with --cache");
  }
  model_ = std::move(result->model);
  // Training's head starts from this one where the two have the same classes.
  std::vector<uint32_t> taught;
  for (const train::Example &example : data.examples)
    taught.push_back(example.zone);
  for (const train::Keyword &keyword : data.keywords)
    taught.push_back(keyword.zone);
  std::sort(taught.begin(), taught.end());
  taught.erase(std::unique(taught.begin(), taught.end()), taught.end());
  if (taught == classes) {
    head_ = std::move(result->classes);
    for (float &value : head_)
      value *= result->scale;
  }
  openCache();
  return true;
}

train::Teacher EncoderStage::teacher() {
  train::Teacher teacher;
  teacher.width = model_.shape.width;
  teacher.head = head_;
  teacher.embed = [this](std::span<const std::string> texts) {
    uint32_t room = encoder::windowTokens(model_.shape);
    std::vector<std::vector<uint32_t>> windows;
    windows.reserve(texts.size());
    for (const std::string &text : texts)
      windows.push_back(tokeniser_->window(text, {}, room));
    return cache_->embed(windows, [this](std::span<const std::vector<uint32_t>> missing) {
      Progress progress("embedding", missing.size(), "texts");
      return encoder::embed(model_, missing, options_.threads, &progress);
    });
  };
  return teacher;
}

bool EncoderStage::pack(std::string &wordpiece, std::string &section, std::string &why) const {
  auto pieces = encoder::buildWordPieceSection(model_.tokeniser, why);
  if (!pieces)
    return false;
  auto bytes = pack::buildEncoderSection(encoder::quantise(model_, model_.shape.layers), why);
  if (!bytes)
    return false;
  wordpiece = std::move(*pieces);
  section = std::move(*bytes);
  return true;
}

std::map<std::string, std::string> EncoderStage::meta() const {
  std::map<std::string, std::string> pairs;
  pairs["encoder.sha256"] = importedDigest_;
  pairs["encoder.layers"] = std::to_string(model_.shape.layers);
  pairs["encoder.arithmetic"] = encoder::arithmetic();
  if (!model_.licence.empty())
    pairs["encoder.licence"] = model_.licence;
  if (!tuned_.empty()) {
    pairs["encoder.finetuned"] = tuned_;
    pairs["encoder.finetuned.sha256"] = model_.digest;
  }
  return pairs;
}

} // namespace semdns::driver
