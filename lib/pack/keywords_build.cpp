#include "lib/pack/keywords_build.h"

#include "lib/pack/section_bytes.h"

#include <algorithm>
#include <unordered_map>

namespace semdns::pack {
namespace {

// Bounds the step table (64 bytes per 4 slots) against terms that overlap without end.
constexpr size_t kMaxSteps = size_t{1} << 25;

struct State {
  uint32_t fail = 0;
  std::vector<std::pair<uint32_t, uint32_t>> children; // (word id, state), sorted when resolved
  std::vector<uint32_t> terms;                         // that end here, shorter ones included
};

struct Step {
  uint64_t key;
  uint32_t state;
};

bool fill(std::vector<semdns_step_bucket> &buckets, const std::vector<Step> &steps) {
  auto count = static_cast<uint32_t>(buckets.size());
  for (const Step &step : steps) {
    semdns_step_bucket &bucket = buckets[semdns_bucket(semdns_hash_mix(step.key), count)];
    uint32_t slot = 0;
    while (slot < 4 && bucket.key[slot])
      ++slot;
    if (slot == 4)
      return false;
    bucket.key[slot] = step.key;
    bucket.state[slot] = step.state;
  }
  return true;
}

std::optional<std::vector<semdns_step_bucket>> buildSteps(const std::vector<Step> &steps) {
  for (uint32_t count = firstBucketCount(steps.size(), 2); count;
       count = nextBucketCount(count, steps.size())) {
    std::vector<semdns_step_bucket> buckets(count);
    if (fill(buckets, steps))
      return buckets;
  }
  return std::nullopt;
}

bool check(const KeywordModel &model, uint32_t zoneCount, std::string &error) {
  if (model.terms.size() > SEMDNS_MAX_TERMS) {
    error = std::to_string(model.terms.size()) + " keywords; the limit is " +
            std::to_string(SEMDNS_MAX_TERMS);
    return false;
  }
  if (model.acceptPurity > 65536 || model.confidence > 65536) {
    error = "purity and confidence of stage 1 are at most 65536";
    return false;
  }
  for (const Term &term : model.terms) {
    const char *what = nullptr;
    if (term.words.empty() || term.words.size() > SEMDNS_MAX_TERM_WORDS)
      what = "has no word, or more than 8";
    else if (term.zone == 0 || term.zone >= zoneCount)
      what = "belongs to no zone below the root";
    else if (term.weight == 0 || term.weight > SEMDNS_MAX_TERM_WEIGHT)
      what = "has a weight outside 1..65535";
    if (what) {
      error = "keyword '" + term.text + "' " + what;
      return false;
    }
  }
  return true;
}

} // namespace

std::optional<std::string> buildKeywordsSection(const KeywordModel &model, uint32_t zoneCount,
                                                std::string &error) {
  if (!check(model, zoneCount, error))
    return std::nullopt;

  std::vector<uint64_t> words; // id 0 is no word
  for (const Term &term : model.terms)
    words.insert(words.end(), term.words.begin(), term.words.end());
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  words.insert(words.begin(), 0);
  auto wordTable = buildBuckets(words, 1);

  // The trie.
  std::vector<State> states(1);
  std::unordered_map<uint64_t, uint32_t> edges;
  for (size_t number = 0; number < model.terms.size(); ++number) {
    uint32_t state = 0;
    for (uint64_t hash : model.terms[number].words) {
      auto word = static_cast<uint32_t>(std::lower_bound(words.begin() + 1, words.end(), hash) -
                                        words.begin());
      auto [edge, isNew] = edges.emplace(uint64_t{state} << 32 | word, states.size());
      if (isNew) {
        states[state].children.emplace_back(word, edge->second);
        states.emplace_back();
      }
      state = edge->second;
    }
    states[state].terms.push_back(static_cast<uint32_t>(number));
  }

  // Breadth first, so that the state a failure leads to is complete before it is needed: children
  // then hold every step of a state that differs from the initial state's, inherited ones included.
  std::vector<uint32_t> order{0};
  std::vector<Step> steps;
  size_t outputCount = 0;
  for (size_t next = 0; next < order.size(); ++next) {
    uint32_t number = order[next];
    State &state = states[number];
    std::sort(state.children.begin(), state.children.end());
    const State &fail = states[state.fail];
    for (auto [word, child] : state.children) {
      order.push_back(child);
      if (number == 0)
        continue;
      // Where the failure state goes on this word, else where the initial state goes.
      auto step = [&](const State &from) {
        auto it = std::lower_bound(from.children.begin(), from.children.end(),
                                   std::pair<uint32_t, uint32_t>{word, 0});
        return it != from.children.end() && it->first == word ? it->second : 0;
      };
      uint32_t target = step(fail);
      states[child].fail = target ? target : step(states[0]);
    }
    if (number != 0) {
      state.terms.insert(state.terms.end(), fail.terms.begin(), fail.terms.end());
      if (state.fail != 0) {
        std::vector<std::pair<uint32_t, uint32_t>> merged;
        std::set_union(state.children.begin(), state.children.end(), fail.children.begin(),
                       fail.children.end(), std::back_inserter(merged),
                       [](const auto &a, const auto &b) { return a.first < b.first; });
        state.children = std::move(merged);
      }
    }
    outputCount += state.terms.size();
    if (steps.size() + state.children.size() > kMaxSteps || outputCount > kMaxSteps) {
      error = "keywords overlap too much: more than " + std::to_string(kMaxSteps) +
              " steps; have fewer keywords of several words that begin where others end";
      return std::nullopt;
    }
    for (auto [word, child] : state.children)
      steps.push_back({uint64_t{number} << 32 | word, child});
  }

  auto stepTable = buildSteps(steps);
  if (!wordTable || !stepTable) {
    error = "keyword hashes collide: no table size tells them apart";
    return std::nullopt;
  }

  std::vector<uint32_t> outputBegin{0}, outputs;
  for (const State &state : states) {
    outputs.insert(outputs.end(), state.terms.begin(), state.terms.end());
    outputBegin.push_back(static_cast<uint32_t>(outputs.size()));
  }
  std::vector<semdns_term> terms;
  std::string strings;
  for (const Term &term : model.terms) {
    if (strings.size() + term.text.size() > UINT32_MAX) {
      error = "keywords have more than 4 GiB of text";
      return std::nullopt;
    }
    terms.push_back({term.zone, term.weight, static_cast<uint32_t>(strings.size()),
                     static_cast<uint32_t>(term.text.size())});
    strings += term.text;
  }

  semdns_keyw_header header = {};
  header.word_count = static_cast<uint32_t>(words.size() - 1);
  header.word_buckets = static_cast<uint32_t>(wordTable->size());
  header.step_buckets = static_cast<uint32_t>(stepTable->size());
  header.state_count = static_cast<uint32_t>(states.size());
  header.output_count = static_cast<uint32_t>(outputs.size());
  header.term_count = static_cast<uint32_t>(terms.size());
  header.string_bytes = static_cast<uint32_t>(strings.size());
  header.accept_votes = model.acceptVotes;
  header.accept_purity = model.acceptPurity;
  header.confidence = model.confidence;
  SectionBytes bytes(sizeof header);
  header.words_offset = bytes.append(*wordTable);
  header.steps_offset = bytes.append(*stepTable);
  header.output_begin_offset = bytes.append(outputBegin);
  header.outputs_offset = bytes.append(outputs);
  header.terms_offset = bytes.append(terms);
  header.strings_offset = bytes.append(strings.data(), strings.size());
  return bytes.finish(header);
}

} // namespace semdns::pack
