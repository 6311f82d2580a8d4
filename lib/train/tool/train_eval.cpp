// train-eval TRAIN.jsonl|SPEC.txtpb TEST.jsonl [--root-label=L] [--threads=N] [--seed=N] [--dim=N]
// [--rows=N] [--embeddings=FILE] [--patterns=FILE]
// [--stand-in-teacher]: trains on the first file and scores the second with the trainer's
// integer inference. For the trainer's own development; what counts is evaluate-hierarchy on a
// built artifact.
#include "lib/patterns/patterns.h"
#include "lib/spec/load.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "lib/text/freeze.h"
#include "lib/train/embedding.h"
#include "lib/train/head.h"
#include "lib/train/keywords.h"
#include "lib/train/numeric.h"
#include "lib/train/snippets.h"
#include "lib/train/train.h"
#include "semdns/format/keywords.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

using namespace semdns;
using namespace semdns::train;

namespace {

struct Tree {
  std::vector<Zone> zones;
  std::map<std::string, uint32_t> zoneOf; ///< label -> zone
};

/// Zones of '/'-separated labels, in preorder.
Tree treeOf(const std::vector<LabelledText> &rows, const std::string &rootLabel) {
  std::set<std::vector<std::string>> paths;
  auto split = [](const std::string &label) {
    std::vector<std::string> levels(1);
    for (char c : label)
      if (c == '/')
        levels.emplace_back();
      else
        levels.back() += c;
    return levels;
  };
  for (const LabelledText &row : rows) {
    if (*row.label == rootLabel)
      continue;
    std::vector<std::string> levels = split(*row.label);
    for (size_t n = 1; n <= levels.size(); ++n)
      paths.insert({levels.begin(), levels.begin() + ptrdiff_t(n)});
  }
  Tree tree;
  tree.zones.push_back({0, 0, 1, "."});
  std::map<std::vector<std::string>, uint32_t> index;
  for (const std::vector<std::string> &path : paths) { // lexicographic order is preorder
    uint32_t z = uint32_t(tree.zones.size());
    std::vector<std::string> parent(path.begin(), path.end() - 1);
    std::string name;
    for (const std::string &level : path)
      name += (name.empty() ? "" : "/") + level;
    tree.zones.push_back({parent.empty() ? 0 : index[parent], uint32_t(path.size()), z + 1, name});
    index[path] = z;
    tree.zoneOf[name] = z;
  }
  for (size_t z = tree.zones.size(); z-- > 1;) {
    Zone &parent = tree.zones[tree.zones[z].parent];
    parent.subtreeEnd = std::max(parent.subtreeEnd, tree.zones[z].subtreeEnd);
  }
  if (!rootLabel.empty())
    tree.zoneOf[rootLabel] = 0;
  return tree;
}

/// A hierarchy file's tree, keywords, patterns and corpora, as lib/driver gathers them.
Tree readSpec(const std::string &path, TrainingData &data, Diagnostics &diags) {
  Tree tree;
  std::optional<spec::Input> input = spec::loadSpecFile(path, diags);
  if (!input)
    return tree;
  for (const spec::LabelledExample &example : input->examples)
    data.examples.push_back({example.text, example.zone, ExampleKind::Labelled});
  for (uint32_t z = 0; z < input->tree.zones.size(); ++z) {
    const spec::Zone &zone = input->tree.zones[z];
    tree.zones.push_back({z ? zone.parent : 0, zone.depth, zone.subtreeEnd, zone.path});
    tree.zoneOf[zone.path] = z;
    for (const std::string &keyword : zone.keywords)
      data.keywords.push_back({keyword, z, 0, true});
    SnippetOptions snippets;
    if (!zone.corpora.empty())
      sampleSnippets(zone.corpora, z, snippets, data.examples, diags);
    for (const std::string &file : zone.patterns) {
      patterns::ReadError error;
      auto library = patterns::readPlib(file, error);
      if (!library)
        continue;
      auto [keyword, end] = library->ofKind(SEMDNS_PATTERN_KEYWORD);
      for (; keyword != end; ++keyword)
        data.keywords.push_back(
            {keyword->text, z,
             uint32_t(std::clamp<int64_t>(int64_t(keyword->score) * 100 >> 16, 1, 1000)), false});
      auto [phrase, phrasesEnd] = library->ofKind(SEMDNS_PATTERN_PHRASE);
      for (; phrase != phrasesEnd; ++phrase)
        data.examples.push_back({phrase->text, z, ExampleKind::Pattern});
    }
  }
  data.zones = tree.zones;
  return tree;
}

/// SHA-256 over everything in the model.
std::string digestOf(const pack::RoutingModel &m) {
  std::string bytes;
  auto put = [&](const auto &values) {
    for (auto v : values)
      bytes.append(reinterpret_cast<const char *>(&v), sizeof v);
  };
  const pack::EmbeddingModel &e = m.embedding;
  put(std::vector<uint32_t>{e.dim, e.unknownNorm, e.gain, m.keywords.acceptVotes,
                            m.keywords.acceptPurity, m.keywords.confidence});
  put(e.hashes);
  put(e.rows);
  put(e.norms);
  put(e.classes);
  put(m.classZone);
  put(m.acceptance.threshold);
  put(m.head.classes);
  put(m.head.bias);
  put(m.head.acceptance.threshold);
  put(std::vector<int32_t>{m.acceptance.rootOdds, m.guard.odds, m.guard.rejectOdds,
                           m.head.acceptance.rootOdds});
  put(std::vector<uint32_t>{m.guard.confidence, m.head.gain, m.head.mix});
  for (const pack::Term &term : m.keywords.terms) {
    put(term.words);
    put(std::vector<uint32_t>{term.zone, term.weight});
    bytes += term.text;
  }
  return sha256Hex(bytes);
}

/// Embeddings from a file of records: FNV-1a of the text (u64), then `kWidth` floats. Texts that it
/// lacks go to FILE.missing as JSON lines, and the program ends with status 3.
class EmbeddingFile {
public:
  static constexpr uint32_t kWidth = 384;
  explicit EmbeddingFile(const std::string &path) : path_(path) {
    std::string error;
    bytes_ = readFile(path, error).value_or("");
    for (size_t at = 0; at + kRecord <= bytes_.size(); at += kRecord) {
      uint64_t hash;
      std::memcpy(&hash, &bytes_[at], sizeof hash);
      index_[hash] = at + sizeof hash;
    }
  }
  std::vector<float> operator()(std::span<const std::string> texts) const {
    std::vector<float> out(texts.size() * kWidth);
    std::string missing;
    for (size_t i = 0; i < texts.size(); ++i) {
      auto it = index_.find(hashOf(texts[i]));
      if (it == index_.end())
        missing += "{\"text\": " + jsonString(texts[i]) + "}\n";
      else
        std::memcpy(&out[i * kWidth], &bytes_[it->second], kWidth * sizeof(float));
    }
    if (!missing.empty()) {
      std::string error;
      writeFileAtomically(path_ + ".missing", missing, true, error);
      std::exit(3);
    }
    return out;
  }

private:
  static constexpr size_t kRecord = sizeof(uint64_t) + kWidth * sizeof(float);
  static uint64_t hashOf(const std::string &text) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned char c : text)
      hash = (hash ^ c) * UINT64_C(0x100000001b3);
    return hash;
  }
  static std::string jsonString(const std::string &text) {
    std::string out = "\"";
    char escape[8];
    for (unsigned char c : text)
      if (c < 0x20 || c == '"' || c == '\\') {
        std::snprintf(escape, sizeof escape, "\\u%04x", c);
        out += escape;
      } else {
        out += char(c);
      }
    return out + "\"";
  }
  std::string path_, bytes_;
  std::unordered_map<uint64_t, size_t> index_;
};

/// A teacher for tests of the arithmetic: sums of the words' seeded random directions.
std::vector<float> standIn(std::span<const std::string> texts) {
  constexpr size_t kWidth = EmbeddingFile::kWidth;
  std::vector<float> out;
  for (const std::string &text : texts) {
    std::vector<float> sum(kWidth, 1e-3f);
    uint64_t hash = 7;
    for (size_t i = 0; i <= text.size(); ++i) {
      if (i < text.size() && text[i] != ' ') {
        hash = hash * 1099511628211u + uint8_t(text[i]);
        continue;
      }
      Random random(hash);
      for (float &v : sum)
        v += float(random.normal());
      hash = 7;
    }
    double square = 0;
    for (float v : sum)
      square += double(v) * double(v);
    for (float v : sum)
      out.push_back(float(double(v) / std::sqrt(square)));
  }
  return out;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> files;
  std::string rootLabel;
  TrainOptions options;
  std::function<std::vector<float>(std::span<const std::string>)> teacher;
  std::string patternsFile;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    auto value = [&](const char *prefix) { return arg.substr(std::string(prefix).size()); };
    if (arg.starts_with("--root-label="))
      rootLabel = value("--root-label=");
    else if (arg.starts_with("--threads="))
      options.threads = unsigned(std::atoi(value("--threads=").c_str()));
    else if (arg.starts_with("--seed="))
      options.seed = uint64_t(std::atoi(value("--seed=").c_str()));
    else if (arg.starts_with("--dim="))
      options.maxDim = uint32_t(std::atoi(value("--dim=").c_str()));
    else if (arg.starts_with("--rows="))
      options.maxRows = uint32_t(std::atoi(value("--rows=").c_str()));
    else if (arg == "--stand-in-teacher")
      teacher = standIn;
    else if (arg.starts_with("--patterns="))
      patternsFile = value("--patterns=");
    else if (arg.starts_with("--embeddings="))
      teacher = EmbeddingFile(value("--embeddings="));
    else
      files.push_back(arg);
  }
  if (files.size() != 2) {
    std::fprintf(
        stderr,
        "usage: train-eval TRAIN.jsonl TEST.jsonl [--root-label=L] [--threads=N] [--seed=N] "
        "[--dim=N] [--rows=N] [--embeddings=FILE]\n");
    return 2;
  }
  Diagnostics diags;
  bool isSpec = files[0].ends_with(".txtpb");
  std::vector<LabelledText> trainRows;
  if (!isSpec)
    trainRows = readJsonLines(files[0], true, diags);
  std::vector<LabelledText> testRows = readJsonLines(files[1], true, diags), patternRows;
  if (!patternsFile.empty())
    patternRows = readJsonLines(patternsFile, true, diags);
  if (diags.hasErrors()) {
    diags.print(stderr);
    return 1;
  }
  TrainingData data;
  Tree tree;
  if (isSpec) {
    tree = readSpec(files[0], data, diags);
  } else {
    std::vector<LabelledText> all = trainRows;
    all.insert(all.end(), patternRows.begin(), patternRows.end());
    tree = treeOf(all, rootLabel);
    data.zones = tree.zones;
    for (const LabelledText &row : trainRows)
      data.examples.push_back({row.text, tree.zoneOf.at(*row.label), ExampleKind::Labelled});
    for (const LabelledText &row : patternRows)
      data.examples.push_back({row.text, tree.zoneOf.at(*row.label), ExampleKind::Pattern});
  }
  if (diags.hasErrors()) {
    diags.print(stderr);
    return 1;
  }
  if (teacher) {
    data.teacher.width = EmbeddingFile::kWidth;
    data.teacher.embed = teacher;
  }
  std::string text = text::buildTextSection();
  std::span<const uint8_t> textSection(reinterpret_cast<const uint8_t *>(text.data()), text.size());
  double start = seconds();
  TrainReport report;
  pack::RoutingModel model = train::train(data, options, textSection, diags, &report);
  double took = seconds() - start;
  diags.print(stderr, false, 5);
  if (diags.hasErrors())
    return 1;

  const pack::EmbeddingModel &e = model.embedding;
  Vocabulary rows; // the model's own rows as a vocabulary
  for (uint32_t r = 0; r < e.hashes.size(); ++r) {
    rows.hashes.push_back(e.hashes[r]);
    if (r)
      rows.index.emplace(e.hashes[r], r);
  }
  std::vector<uint32_t> rowOf(e.hashes.size());
  for (uint32_t r = 0; r < rowOf.size(); ++r)
    rowOf[r] = r;
  Extractor extractor({e.wordNgramMax, e.charNgramMin, e.charNgramMax, e.punct}, textSection);
  TermMatcher matcher(model.keywords.terms, tree.zones);
  uint32_t inScope = 0, best = 0, keyword = 0, keywordWrong = 0, cascade = 0, answered = 0,
           misrouted = 0, outOfScope = 0, outRejected = 0, features = 0;
  uint32_t alone2 = 0, out2 = 0, best3 = 0, alone3 = 0, out3 = 0, both = 0, outBoth = 0,
           guarded = 0;
  uint32_t described = 0, describedBy2 = 0, describedBy3 = 0, describedByBoth = 0;
  std::set<uint32_t> patternZones;
  for (const LabelledText &row : patternRows)
    patternZones.insert(tree.zoneOf.at(*row.label));
  std::vector<float> testEmbeddings;
  if (teacher) {
    std::vector<std::string> texts;
    for (const LabelledText &row : testRows)
      texts.push_back(row.text);
    testEmbeddings = teacher(texts);
  }
  std::vector<uint32_t> weights;
  uint32_t firstReal = !model.classZone.empty() && model.classZone[0] == 0 ? 1 : 0;
  for (const LabelledText &row : testRows) {
    auto it = tree.zoneOf.find(*row.label);
    uint32_t truth = it == tree.zoneOf.end() ? UINT32_MAX : it->second;
    Tokens tokens;
    extractor.extract(row.text, tokens);
    features += uint32_t(tokens.features.size());
    Pooled p = scoreInteger(e, rowOf, countFeatures(tokens, rows));
    uint32_t k =
        uint32_t(std::max_element(p.scores.begin() + firstReal, p.scores.end()) - p.scores.begin());
    uint64_t sum = softWeights(p, e.gain, weights);
    uint32_t zone = model.classZone[k], bestZone = zone;
    int32_t odds = oddsOf(p, e.gain, firstReal == 1);
    uint32_t said2 = odds < model.acceptance.rootOdds ? 0 : zone, said3 = 0, saidBoth = 0;
    if (teacher) {
      size_t at = size_t(&row - testRows.data()) * EmbeddingFile::kWidth;
      CodedEmbedding coded = codeEmbedding({&testEmbeddings[at], EmbeddingFile::kWidth});
      std::vector<int32_t> x = headLogits(model.head, coded, relativeLogits(p, e.gain));
      auto top = std::max_element(x.begin() + firstReal, x.end());
      int32_t odds3 = firstReal ? *top - x[0] : INT32_MAX;
      uint32_t zone3 = model.classZone[size_t(top - x.begin())];
      said3 = odds3 < model.head.acceptance.rootOdds ? 0 : zone3;
      best3 += truth != 0 && zone3 == truth;
      uint64_t confidence = uint64_t(weights[k]) * 65536 / sum;
      bool passes = confidence >= model.guard.confidence && odds >= model.guard.odds;
      bool rejects = odds < model.guard.rejectOdds;
      guarded += passes || rejects;
      saidBoth = rejects ? 0 : passes ? zone : said3;
    }
    if (patternZones.count(truth)) {
      ++described;
      describedBy2 += said2 == truth;
      describedBy3 += said3 == truth;
      describedByBoth += saidBoth == truth;
    }
    (truth ? alone2 : out2) += said2 == truth;
    (truth ? alone3 : out3) += said3 == truth;
    (truth ? both : outBoth) += saidBoth == truth;
    while (odds >= model.acceptance.rootOdds && zone) {
      uint64_t inside = 0;
      for (size_t c = 0; c < weights.size(); ++c)
        if (model.classZone[c] >= zone && model.classZone[c] < tree.zones[zone].subtreeEnd)
          inside += weights[c];
      if (inside * 65536 / sum >= model.acceptance.threshold[zone])
        break;
      zone = tree.zones[zone].parent;
    }
    if (odds < model.acceptance.rootOdds)
      zone = 0;
    Verdict v = matcher.match(tokens.words);
    bool byKeyword = model.keywords.acceptVotes != SEMDNS_NEVER &&
                     v.accepted(model.keywords.acceptVotes, model.keywords.acceptPurity);
    uint32_t said = byKeyword ? v.zone : zone;
    keyword += byKeyword;
    keywordWrong += byKeyword && v.zone != truth;
    if (truth == 0) {
      ++outOfScope;
      outRejected += said == 0;
      continue;
    }
    ++inScope;
    best += bestZone == truth;
    cascade += (byKeyword ? v.zone : bestZone) == truth;
    answered += said != 0;
    misrouted +=
        said != 0 && !(truth != UINT32_MAX && said <= truth && truth < tree.zones[said].subtreeEnd);
  }
  double n = inScope;
  std::printf(
      "%s\n  in scope %u: stage 2 alone %.2f %%, cascade %.2f %%; answered %.1f %%, misrouted "
      "%.2f %%; out of scope %u, to the root %.1f %%\n",
      files[1].c_str(), inScope, 100 * best / n, 100 * cascade / n, 100 * answered / n,
      100 * misrouted / n, outOfScope, outOfScope ? 100.0 * outRejected / outOfScope : 0.0);
  std::printf(
      "  stage 1: %zu terms, votes >= %u, purity %u, answers %.1f %% of %zu, wrong %u; held "
      "out: %u answered, %u wrong of %u\n",
      model.keywords.terms.size(), model.keywords.acceptVotes, model.keywords.acceptPurity,
      100.0 * keyword / double(testRows.size()), testRows.size(), keywordWrong,
      report.keywordAnswered, report.keywordWrong, report.heldOut);
  std::printf(
      "  %u rows x %u, %u classes, %.1f features a text, gain %u, threshold %u, %.1f s; held "
      "out: %u of %u right, %u misrouted of %u answered\n",
      report.rows, report.dim, report.classes, double(features) / double(testRows.size()), e.gain,
      model.acceptance.threshold.size() > 1 ? model.acceptance.threshold[1] : 0, took,
      report.bestCorrect, report.inScope, report.misrouted, report.answered);
  double o = std::max(outOfScope, 1u);
  std::printf("  at the root odds: stage 2 %.2f %% / oos %.1f %%", 100 * alone2 / n,
              100 * out2 / o);
  if (teacher)
    std::printf("; stage 3 best %.2f %%, %.2f %% / %.1f %%; guarded %.2f %% / %.1f %%, %.1f %% by "
                "stage 2; teacher %u, stage 3 %u, guarded %u of the held out",
                100 * best3 / n, 100 * alone3 / n, 100 * out3 / o, 100 * both / n,
                100 * outBoth / o, 100.0 * guarded / double(testRows.size()), report.teacherCorrect,
                report.headCorrect, report.guarded);
  if (described)
    std::printf("\n  zones of patterns: %u texts, right: stage 2 %u, stage 3 %u, guarded %u",
                described, describedBy2, describedBy3, describedByBoth);
  std::printf("\n  model %s\n", digestOf(model).c_str());
  return 0;
}
