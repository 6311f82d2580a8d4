#include "lib/driver/gate.h"

#include "lib/calibrate/stored.h"
#include "lib/eval/evaluate.h"
#include "lib/support/files.h"

#include <optional>

namespace semdns::driver {
namespace {

/// What a subject says about one query.
struct Heard {
  bool right = false;
  std::string answer; ///< "path (confidence 0.93, embedding)"
};

struct Regression {
  Location where;
  std::string text, expected, before, after;
};

ExitCode exitCodeOf(const Error &error) {
  const semdns_status status = error.status();
  return status == SEMDNS_ERROR_VERSION || status == SEMDNS_ERROR_KIND ||
                 status == SEMDNS_ERROR_FEATURE
             ? kIncompatible
             : kRejected;
}

class Gate {
public:
  Gate(const GateOptions &options, const std::string &rootLabel, Diagnostics &diags)
      : options_(options), rootLabel_(rootLabel), diags_(diags) {}
  ExitCode run(std::string_view bytes);

private:
  bool golden(const std::string &oldBytes);
  bool labelled(const std::string &file);
  void ask(const Location &where, const std::string &text, const std::string &expected,
           bool belowToo);
  std::optional<Heard> hear(eval::Subject &subject, const std::string &text,
                            const std::string &expected, bool belowToo);
  ExitCode verdict();

  const GateOptions &options_;
  const std::string &rootLabel_;
  Diagnostics &diags_;
  eval::Subject old_, new_;
  uint64_t asked_ = 0, fixed_ = 0;
  bool refused_ = false;
  std::vector<Regression> regressions_;
};

std::optional<Heard> Gate::hear(eval::Subject &subject, const std::string &text,
                                const std::string &expected, bool belowToo) {
  Answer answer;
  if (subject.resolver.resolve(subject.scratch, Resolver::query(text), answer) != SEMDNS_OK)
    return std::nullopt;
  Heard heard;
  const uint32_t zone = subject.artifact.findZone(expected.c_str());
  for (uint32_t i = 0; zone != UINT32_MAX && i < answer->chain_count; ++i)
    if (answer->chain[i].index == zone && (i == 0 || belowToo))
      heard.right = true;
  char more[96];
  std::snprintf(more, sizeof more, " (confidence %.3f, %s)", answer.confidence(),
                semdns_stage_text(answer->stage));
  heard.answer = answer.zone().path + std::string(more);
  if (zone == UINT32_MAX)
    heard.answer += ", which has no zone '" + expected + "'";
  return heard;
}

void Gate::ask(const Location &where, const std::string &text, const std::string &expected,
               bool belowToo) {
  const std::optional<Heard> before = hear(old_, text, expected, belowToo),
                             after = hear(new_, text, expected, belowToo);
  if (!before || !after) {
    refused_ = true;
    return;
  }
  ++asked_;
  fixed_ += !before->right && after->right;
  if (before->right && !after->right)
    regressions_.push_back({where, text, expected, before->answer, after->answer});
}

bool Gate::golden(const std::string &oldBytes) {
  std::string error;
  const auto gold = calibrate::readGold(oldBytes, error);
  if (!gold) {
    diags_.error({options_.against, 0, 0}, error);
    return false;
  }
  for (const pack::GoldQuery &query : *gold)
    ask({options_.against, 0, 0}, query.text, old_.zones[query.expectedZone].path,
        /*belowToo=*/true);
  return true;
}

bool Gate::labelled(const std::string &file) {
  const size_t errors = diags_.errorCount();
  const std::vector<LabelledText> rows = readJsonLines(file, /*requireLabel=*/true, diags_);
  const eval::Labels labels(new_.zones, rootLabel_), oldLabels(old_.zones, rootLabel_);
  std::vector<std::string> paths;
  for (const eval::ZoneInfo &zone : new_.zones)
    paths.push_back(zone.path);
  for (const LabelledText &row : rows) {
    eval::Truth truth = labels.find(*row.label);
    std::string expected = new_.zones[truth.zone].path;
    if (!truth.known) { // a zone that only the old one has is lost, not mistyped
      truth = oldLabels.find(*row.label);
      expected = old_.zones[truth.zone].path;
    }
    if (!truth.known)
      diags_.error({file, row.line, 0}, "label '" + *row.label + "' is no zone of either artifact",
                   didYouMean(*row.label, paths));
    else
      ask({file, row.line, 0}, row.text, expected, /*belowToo=*/false);
  }
  return diags_.errorCount() == errors;
}

ExitCode Gate::verdict() {
  const bool met = regressions_.size() <= options_.maxRegressions;
  for (const Regression &r : regressions_) {
    std::string text = r.text.substr(0, 200);
    std::string message = "regression: \"" + text + (r.text.size() > 200 ? "...\"" : "\"") +
                          " was answered right by " + r.before + ", now by " + r.after;
    std::string help = "expected " + r.expected;
    if (met)
      diags_.warning(r.where, std::move(message), std::move(help));
    else
      diags_.error(r.where, std::move(message), std::move(help));
  }
  if (!met)
    diags_.error({options_.against, 0, 0},
                 std::to_string(regressions_.size()) + " regressions of " + std::to_string(asked_) +
                     " queries, at most " + std::to_string(options_.maxRegressions) + " allowed",
                 std::to_string(fixed_) +
                     " queries got right; add examples for the zones above, or raise "
                     "--max-regressions");
  else if (!options_.quiet)
    std::fprintf(stderr, "gate met: against %s, %llu queries: %zu regressions, %llu got right\n",
                 options_.against.c_str(), static_cast<unsigned long long>(asked_),
                 regressions_.size(), static_cast<unsigned long long>(fixed_));
  return met ? kDone : kNegative;
}

ExitCode Gate::run(std::string_view bytes) {
  std::string why;
  const std::optional<std::string> oldBytes = readFile(options_.against, why);
  if (!oldBytes) {
    diags_.error({options_.against, 0, 0}, why);
    return kRejected;
  }
  for (const auto &[file, content, subject] :
       {std::tuple{options_.against, std::string_view(*oldBytes), &old_},
        std::tuple{std::string("the new artifact"), bytes, &new_}}) {
    Error error;
    Artifact artifact = Artifact::openMemory(content.data(), content.size(), OpenOptions{}, error);
    if (artifact)
      *subject = eval::Subject::of(file, std::move(artifact), error);
    if (!subject->artifact) {
      diags_.error({file, 0, 0}, error.message());
      return exitCodeOf(error);
    }
  }
  if (!golden(*oldBytes))
    return kRejected;
  bool good = true;
  for (const std::string &file : options_.regressionSets)
    good = labelled(file) && good;
  if (!good)
    return kRejected;
  if (refused_) {
    diags_.error({options_.against, 0, 0}, "internal error: the runtime refuses a query");
    return kInternal;
  }
  if (!asked_)
    diags_.warning({options_.against, 0, 0}, "no golden queries to compare by",
                   "give its spec `test {}` blocks, or name --regression-set=FILE");
  return verdict();
}

} // namespace

ExitCode checkRegressions(std::string_view bytes, const GateOptions &options,
                          const std::string &rootLabel, Diagnostics &diags) {
  return options.against.empty() ? kDone : Gate(options, rootLabel, diags).run(bytes);
}

} // namespace semdns::driver
