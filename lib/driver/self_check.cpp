#include "lib/driver/self_check.h"

#include "semdns/semdns.h"

#include <memory>

namespace semdns::driver {

namespace {

struct Close {
  void operator()(semdns_artifact *p) const { semdns_artifact_release(p); }
  void operator()(semdns_resolver *p) const { semdns_resolver_destroy(p); }
  void operator()(semdns_scratch *p) const { semdns_scratch_destroy(p); }
};
template <typename T> using Owned = std::unique_ptr<T, Close>;

semdns_error emptyError() {
  semdns_error error = {};
  error.size = sizeof error;
  return error;
}

Owned<semdns_artifact> open(std::string_view bytes, const std::string &isa, std::string &error) {
  semdns_open_options options = {};
  options.size = sizeof options;
  options.isa = isa.c_str();
  semdns_error why = emptyError();
  semdns_artifact *artifact = nullptr;
  if (semdns_artifact_open_memory(bytes.data(), bytes.size(), &options, &artifact, &why) !=
      SEMDNS_OK)
    error = isa + ": " + why.message;
  return Owned<semdns_artifact>(artifact);
}

bool sameAnswer(const pack::GoldQuery &a, const pack::GoldQuery &b) {
  return a.answerZone == b.answerZone && a.bestZone == b.bestZone && a.stage == b.stage &&
         a.confidence == b.confidence;
}

} // namespace

bool answerQueries(std::string_view bytes, const std::string &isa,
                   const std::vector<std::string> &queries, std::vector<pack::GoldQuery> &answers,
                   std::string &error) {
  Owned<semdns_artifact> artifact = open(bytes, isa, error);
  if (!artifact)
    return false;
  semdns_error why = emptyError();
  semdns_resolver *resolver = nullptr;
  if (semdns_resolver_create(artifact.get(), nullptr, &resolver, &why) != SEMDNS_OK) {
    error = why.message;
    return false;
  }
  Owned<semdns_resolver> ownedResolver(resolver);
  semdns_scratch *scratch = nullptr;
  if (semdns_scratch_create(resolver, &scratch, &why) != SEMDNS_OK) {
    error = why.message;
    return false;
  }
  Owned<semdns_scratch> ownedScratch(scratch);
  answers.clear();
  auto answer = std::make_unique<semdns_answer>();
  for (const std::string &text : queries) {
    semdns_query query = {};
    query.size = sizeof query;
    query.text = text.data();
    query.text_size = text.size();
    *answer = {};
    answer->size = sizeof *answer;
    if (semdns_resolve(resolver, scratch, &query, answer.get()) != SEMDNS_OK) {
      error = isa + ": the runtime refuses a query";
      return false;
    }
    pack::GoldQuery gold;
    gold.text = text;
    gold.answerZone = answer->zone.index;
    gold.bestZone = answer->best.index;
    gold.stage = answer->stage;
    gold.confidence = answer->zone.confidence;
    answers.push_back(std::move(gold));
  }
  return true;
}

bool answersAgree(std::string_view bytes, const std::vector<std::string> &queries,
                  std::vector<pack::GoldQuery> &answers, std::string &error) {
  if (!answerQueries(bytes, "portable", queries, answers, error))
    return false;
  std::vector<std::string> levels;
  {
    Owned<semdns_artifact> artifact = open(bytes, "portable", error);
    if (!artifact)
      return false;
    std::vector<const char *> names(semdns_artifact_isas(artifact.get(), nullptr, 0));
    semdns_artifact_isas(artifact.get(), names.data(), names.size());
    for (const char *name : names)
      if (semdns_isa_runnable(name))
        levels.push_back(name);
  }
  for (const std::string &level : levels) {
    std::vector<pack::GoldQuery> others;
    if (!answerQueries(bytes, level, queries, others, error))
      return false;
    for (size_t i = 0; i < queries.size(); ++i)
      if (!sameAnswer(answers[i], others[i])) {
        error = "the kernel for " + level + " and the portable one answer \"" + queries[i] +
                "\" differently";
        return false;
      }
  }
  return true;
}

} // namespace semdns::driver
