#include "lib/driver/training_data.h"

#include "lib/mine/corpus.h"
#include "lib/patterns/patterns.h"
#include "lib/support/files.h"
#include "lib/train/snippets.h"

#include <algorithm>

namespace semdns::driver {

namespace {

constexpr uint32_t kMaxUnlabelled = 20000; // texts of one `unlabelled` file

/// The file's name for META, which holds UTF-8 only.
std::string baseName(const std::string &path) {
  std::string name = path.substr(path.rfind('/') + 1);
  while (auto bad = firstInvalidUtf8(name))
    name[*bad] = '?';
  return name;
}

/// Content digest of a file or of a folder's files, in reading order.
std::string contentDigest(const std::string &path, Diagnostics &diags) {
  std::string digests;
  for (const mine::CorpusFile &file : mine::listCorpusFiles({path}, diags)) {
    std::string error;
    auto bytes = readFile(file.path, error);
    if (!bytes) {
      diags.error({file.path, 0, 0}, error);
      return {};
    }
    digests += sha256Hex(*bytes);
  }
  return digests.size() == 64 ? digests : sha256Hex(digests);
}

/// What a library knows of its domain: telling terms vote in stage 1 and are short texts for stage
/// 2, phrases are texts only.
void addPatterns(const std::string &path, uint32_t zone, train::TrainingData &data,
                 Diagnostics &diags) {
  patterns::ReadError error;
  auto library = patterns::readPlib(path, error);
  if (!library) {
    diags.error({path, 0, 0}, error.message,
                error.incompatible ? "mine it again with this version's mine-patterns" : "");
    return;
  }
  auto [keyword, keywordsEnd] = library->ofKind(SEMDNS_PATTERN_KEYWORD);
  for (; keyword != keywordsEnd; ++keyword) {
    // Scores are Q16 bits of evidence; a term's weight is what a thousandth part of them tells.
    int64_t weight = std::clamp<int64_t>(int64_t(keyword->score) * 100 >> 16, 1, 1000);
    data.keywords.push_back({keyword->text, zone, static_cast<uint32_t>(weight), false});
  }
  auto [phrase, phrasesEnd] = library->ofKind(SEMDNS_PATTERN_PHRASE);
  for (; phrase != phrasesEnd; ++phrase)
    data.examples.push_back({phrase->text, zone, train::ExampleKind::Pattern});
}

class Inputs {
public:
  Inputs(std::map<std::string, std::string> &pairs, Diagnostics &diags)
      : pairs_(pairs), diags_(diags) {}

  void add(const char *role, const std::string &path) {
    if (!seen_.emplace(std::string(role) + path, 0).second)
      return;
    char number[16];
    snprintf(number, sizeof number, "%04zu", seen_.size());
    pairs_[std::string("input.") + role + "." + number + "." + baseName(path) + ".sha256"] =
        contentDigest(path, diags_);
  }

private:
  std::map<std::string, std::string> &pairs_;
  std::map<std::string, int> seen_;
  Diagnostics &diags_;
};

} // namespace

train::TrainingData gatherTrainingData(const spec::Input &input, uint64_t seed, Diagnostics &diags,
                                       std::map<std::string, std::string> &inputs) {
  train::TrainingData data;
  Inputs digests(inputs, diags);
  const auto &zones = input.tree.zones;
  for (const spec::Zone &zone : zones)
    data.zones.push_back(
        {zone.parent == spec::kNone ? 0 : zone.parent, zone.depth, zone.subtreeEnd, zone.name});
  for (const spec::LabelledExample &example : input.examples)
    data.examples.push_back({example.text, example.zone, train::ExampleKind::Labelled});
  auto noteExamples = [&](auto &&self, const spec::ZoneSpec &zone) -> void {
    for (const spec::FileRef &file : zone.examples)
      digests.add("examples", file.path);
    for (const spec::ZoneSpec &child : zone.zones)
      self(self, child);
  };
  noteExamples(noteExamples, input.spec.root);
  for (uint32_t i = 0; i < zones.size(); ++i) {
    const spec::Zone &zone = zones[i];
    for (const std::string &keyword : zone.keywords)
      data.keywords.push_back({keyword, i, 0, true});
    // A zone with nothing but a description is recognised by it: through the encoder, if there is
    // one.
    bool bare = zone.subtreeEnd == i + 1 && zone.exampleCount == 0 && zone.keywords.empty() &&
                zone.corpora.empty() && zone.patterns.empty();
    if (bare && !zone.description.empty())
      data.examples.push_back({zone.description, i, train::ExampleKind::Pattern});
    for (const std::string &path : zone.corpora)
      digests.add("corpus", path);
    if (!zone.corpora.empty()) {
      train::SnippetOptions snippets;
      snippets.seed = seed + i;
      train::sampleSnippets(zone.corpora, i, snippets, data.examples, diags);
    }
    if (!zone.patterns.empty() && zone.subtreeEnd > i + 1)
      diags.warning(zone.where,
                    "patterns of '" + zone.name +
                        "', which has zones below it, make a class of that very zone: texts like "
                        "them are answered there and no deeper",
                    "mine a library per leaf zone and name it there");
    for (const std::string &path : zone.patterns) {
      digests.add("patterns", path);
      addPatterns(path, i, data, diags);
    }
  }
  for (const spec::FileRef &file : input.spec.unlabelled) {
    digests.add("unlabelled", file.path);
    train::SnippetOptions snippets;
    snippets.count = kMaxUnlabelled;
    snippets.minWords = 1;
    snippets.seed = seed;
    std::vector<train::Example> texts;
    train::sampleSnippets({file.path}, 0, snippets, texts, diags);
    for (train::Example &text : texts)
      data.unlabelled.push_back(std::move(text.text));
  }
  return data;
}

} // namespace semdns::driver
