#include "lib/calibrate/calibrate.h"
#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "semdns/semdns.hpp"

#include <algorithm>
#include <atomic>

namespace semdns::calibrate {

namespace {

constexpr size_t kBlock = 32; ///< texts that a thread takes at a time

} // namespace

std::optional<std::vector<semdns_evidence>> measure(semdns_artifact *artifact,
                                                    std::span<const std::string_view> texts,
                                                    unsigned threads, std::string &error) {
  Error why;
  Resolver resolver(Artifact::share(artifact), why);
  if (!resolver) {
    error = why.message();
    return std::nullopt;
  }
  threads = unsigned(std::clamp<size_t>(texts.size() / kBlock, 1, std::max(threads, 1u)));
  std::vector<Scratch> scratches;
  for (unsigned t = 0; t < threads; ++t) {
    if (!scratches.emplace_back(resolver, why)) {
      error = why.message();
      return std::nullopt;
    }
  }
  std::vector<semdns_evidence> evidence(texts.size());
  std::atomic<bool> refused{false};
  Progress progress("measure", texts.size(), "queries");
  parallelFor((texts.size() + kBlock - 1) / kBlock, threads, [&](size_t block, size_t worker) {
    if (refused)
      return;
    const size_t begin = block * kBlock;
    if (worker == 0)
      progress.update(begin);
    for (size_t i = begin; i < std::min(begin + kBlock, texts.size()); ++i)
      if (resolver.measure(scratches[worker], Resolver::query(texts[i]), evidence[i]) != SEMDNS_OK)
        refused = true;
  });
  if (refused) {
    error = "the runtime refuses to measure a query";
    return std::nullopt;
  }
  return evidence;
}

std::string rowsDigest(std::span<const Row> rows, const Tree &tree) {
  std::string all;
  for (const Row &row : rows)
    if (row.part == Part::Calibrate) {
      all += tree.name[row.zone];
      all += '\0';
      all += row.text;
      all += '\n';
    }
  return sha256Hex(all);
}

std::optional<Result> calibrateArtifact(std::string_view bytes, std::span<const Row> rows,
                                        const Options &options, Diagnostics &diags) {
  Error why;
  const Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), {}, why);
  if (!artifact) {
    diags.error(options.source,
                std::string("calibration cannot open the artifact: ") + why.message());
    return std::nullopt;
  }
  const Tree tree = treeOf(artifact.raw());
  std::vector<std::string_view> texts;
  for (const Row &row : rows)
    texts.push_back(row.text);
  std::string error;
  auto evidence = measure(artifact.raw(), texts, options.threads, error);
  if (!evidence) {
    diags.error(options.source, "calibration: " + error);
    return std::nullopt;
  }
  std::vector<Sample> tune, calibration;
  for (size_t i = 0; i < rows.size(); ++i)
    (rows[i].part == Part::Tune ? tune : calibration).push_back({(*evidence)[i], rows[i].zone});
  Result result = calibrateSamples(tree, tune, calibration, options, diags);
  result.meta["risk.calibration.sha256"] = rowsDigest(rows, tree);
  return result;
}

} // namespace semdns::calibrate
