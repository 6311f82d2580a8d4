// Routes the same queries with libsemdns and with fastText in one process, on one thread, and says
// how long each takes: `peer-bench ARTIFACT TRAIN.jsonl TEST.jsonl` prints one JSON object.
//
// fastText is given every advantage that its users would give it: lower-cased text, one stream
// object reused, no file or Python in the timed part. Each query is timed by itself, the two
// routers in turns, and counts with its fastest repeat.

#include "lib/support/json_lines.h"
#include "semdns/semdns.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fasttext/fasttext.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sstream>
#include <unistd.h>

namespace {

constexpr int kRepeats = 15;

uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

/// fastText splits at white space and its labels may hold none.
std::string fastTextLine(std::string text) {
  for (char &c : text)
    c = c == '\n' ? ' ' : static_cast<char>(tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string fastTextLabel(std::string label) {
  std::replace(label.begin(), label.end(), ' ', '_');
  return "__label__" + label;
}

nlohmann::json summary(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (double t : times)
    sum += t;
  auto at = [&](double q) {
    return times[static_cast<size_t>(q * static_cast<double>(times.size() - 1))];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"mean", sum / static_cast<double>(times.size())}};
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: peer-bench ARTIFACT TRAIN.jsonl TEST.jsonl\n");
    return 2;
  }
  semdns::Diagnostics diags;
  auto train = semdns::readJsonLines(argv[2], true, diags);
  auto test = semdns::readJsonLines(argv[3], true, diags);
  if (diags.hasErrors()) {
    diags.print(stderr);
    return 1;
  }

  semdns_error error = {};
  error.size = sizeof error;
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_scratch *scratch = nullptr;
  if (semdns_artifact_open_path(argv[1], nullptr, &artifact, &error) != SEMDNS_OK ||
      semdns_resolver_create(artifact, nullptr, &resolver, &error) != SEMDNS_OK ||
      semdns_scratch_create(resolver, &scratch, &error) != SEMDNS_OK) {
    fprintf(stderr, "peer-bench: %s\n", error.message);
    return 1;
  }
  semdns_artifact_info info = {};
  info.size = sizeof info;
  semdns_artifact_get_info(artifact, &info);

  std::string file = "/tmp/semdns-peer-" + std::to_string(getpid()) + ".txt";
  {
    std::ofstream out(file);
    for (const auto &row : train)
      out << fastTextLabel(*row.label) << ' ' << fastTextLine(row.text) << '\n';
  }
  fasttext::Args args;
  args.input = file;
  args.model = fasttext::model_name::sup;
  args.loss = fasttext::loss_name::softmax;
  args.lr = 0.5;
  args.epoch = 25;
  args.wordNgrams = 2;
  args.minCount = 1;
  args.minn = 0;
  args.maxn = 0;
  args.bucket = 2000000;
  args.thread = 2;
  args.verbose = 0;
  fasttext::FastText peer;
  peer.train(args);
  remove(file.c_str());

  // After fastText's own training threads are gone.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  sched_setaffinity(0, sizeof one, &one);

  std::vector<std::string> lines;
  for (const auto &row : test)
    lines.push_back(fastTextLine(row.text) + "\n");
  std::vector<double> ours(test.size(), 1e18), theirs(test.size(), 1e18);
  size_t theirCorrect = 0, inScope = 0, ourCorrect = 0;
  std::vector<std::pair<fasttext::real, std::string>> predictions;
  uint64_t overhead = UINT64_MAX;
  for (int i = 0; i < 1000; ++i) {
    uint64_t a = nanoseconds(), b = nanoseconds();
    overhead = std::min(overhead, b - a);
  }
  std::istringstream stream;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (size_t i = 0; i < test.size(); ++i) {
      stream.clear();
      stream.str(lines[i]);
      predictions.clear();
      uint64_t begin = nanoseconds();
      peer.predictLine(stream, predictions, 1, 0.0);
      uint64_t end = nanoseconds();
      theirs[i] = std::min(theirs[i], static_cast<double>(end - begin - overhead));
      if (repeat == 0 && !predictions.empty())
        theirCorrect += predictions[0].second == fastTextLabel(*test[i].label);
    }
    for (size_t i = 0; i < test.size(); ++i) {
      semdns_query query = {};
      query.size = sizeof query;
      query.text = test[i].text.data();
      query.text_size = test[i].text.size();
      static semdns_answer answer;
      answer.size = sizeof answer;
      uint64_t begin = nanoseconds();
      semdns_resolve(resolver, scratch, &query, &answer);
      uint64_t end = nanoseconds();
      ours[i] = std::min(ours[i], static_cast<double>(end - begin - overhead));
      if (repeat == 0) {
        ++inScope;
        ourCorrect += *test[i].label == answer.best.path;
      }
    }
  }
  nlohmann::ordered_json out;
  out["queries"] = test.size();
  out["repeats"] = kRepeats;
  out["isa"] = info.isa;
  out["semdns_ns"] = summary(ours);
  out["fasttext_ns"] = summary(theirs);
  out["speedup_p50"] =
      out["fasttext_ns"]["p50"].get<double>() / out["semdns_ns"]["p50"].get<double>();
  out["semdns_best_path_all_rows"] = static_cast<double>(ourCorrect) / static_cast<double>(inScope);
  out["fasttext_accuracy_all_rows"] =
      static_cast<double>(theirCorrect) / static_cast<double>(test.size());
  printf("%s\n", out.dump(2).c_str());
  semdns_scratch_destroy(scratch);
  semdns_resolver_destroy(resolver);
  semdns_artifact_release(artifact);
  return 0;
}
