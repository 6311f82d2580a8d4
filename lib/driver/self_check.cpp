#include "lib/driver/self_check.h"

#include "semdns/semdns.hpp"

namespace semdns::driver {

namespace {

Artifact open(std::string_view bytes, const std::string &isa, std::string &error) {
  OpenOptions options;
  options.isa = isa.c_str();
  Error why;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), options, why);
  if (!artifact)
    error = isa + ": " + why.message();
  return artifact;
}

bool sameAnswer(const pack::GoldQuery &a, const pack::GoldQuery &b) {
  return a.answerZone == b.answerZone && a.bestZone == b.bestZone && a.stage == b.stage &&
         a.confidence == b.confidence;
}

} // namespace

bool answerQueries(std::string_view bytes, const std::string &isa,
                   const std::vector<std::string> &queries, std::vector<pack::GoldQuery> &answers,
                   std::string &error) {
  const Artifact artifact = open(bytes, isa, error);
  if (!artifact)
    return false;
  Error why;
  Resolver resolver(artifact, why);
  Scratch scratch;
  if (resolver)
    scratch = Scratch(resolver, why);
  if (!scratch) {
    error = why.message();
    return false;
  }
  answers.clear();
  for (const std::string &text : queries) {
    Answer answer;
    if (resolver.resolve(scratch, Resolver::query(text), answer) != SEMDNS_OK) {
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
    const Artifact artifact = open(bytes, "portable", error);
    if (!artifact)
      return false;
    std::vector<const char *> names(semdns_artifact_isas(artifact.raw(), nullptr, 0));
    semdns_artifact_isas(artifact.raw(), names.data(), names.size());
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
