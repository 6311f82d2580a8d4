#include "lib/pack/keywords_build.h"

#include "lib/pack/section_bytes.h"

#include <algorithm>
#include <unordered_map>

namespace semdns::pack {
namespace {

// Bounds the outputs: a term is listed in every state whose words end with it.
constexpr size_t kMaxOutputs = size_t{1} << 25;

struct State {
  uint32_t fail = 0, depth = 0;
  std::vector<std::pair<uint32_t, uint32_t>> children; // (word id, state)
  std::vector<uint32_t> terms;                         // that end here, shorter ones included
};

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

  // Breadth first: the failure state of a state is shallower, hence complete before it is needed.
  std::vector<uint32_t> order{0}, number(states.size(), 0);
  size_t outputCount = 0;
  for (size_t next = 0; next < order.size(); ++next) {
    uint32_t current = order[next];
    State &state = states[current];
    number[current] = static_cast<uint32_t>(next);
    std::sort(state.children.begin(), state.children.end());
    for (auto [word, child] : state.children) {
      order.push_back(child);
      states[child].depth = state.depth + 1;
      // The longest proper suffix that is a state: follow failures until one has this word.
      uint32_t suffix = current;
      while (suffix) {
        suffix = states[suffix].fail;
        auto edge = edges.find(uint64_t{suffix} << 32 | word);
        if (edge != edges.end()) {
          states[child].fail = edge->second;
          break;
        }
      }
    }
    const std::vector<uint32_t> &shorter = states[state.fail].terms;
    if (current != 0)
      state.terms.insert(state.terms.end(), shorter.begin(), shorter.end());
    outputCount += state.terms.size();
    if (outputCount > kMaxOutputs) {
      error = "keywords overlap too much: more than " + std::to_string(kMaxOutputs) +
              " ends of keywords; the same keyword stands in too many zones";
      return std::nullopt;
    }
  }
  if (!wordTable) {
    error = "keyword hashes collide: no table size tells them apart";
    return std::nullopt;
  }

  std::vector<uint32_t> roots(words.size(), 0), outputs;
  std::vector<semdns_keyw_state> packed;
  std::vector<semdns_keyw_edge> packedEdges;
  for (uint32_t current : order) {
    const State &state = states[current];
    packed.push_back({static_cast<uint32_t>(packedEdges.size()),
                      static_cast<uint32_t>(outputs.size()), number[state.fail], state.depth});
    outputs.insert(outputs.end(), state.terms.begin(), state.terms.end());
    for (auto [word, child] : state.children)
      if (current == 0)
        roots[word] = number[child];
      else
        packedEdges.push_back({word, number[child]});
  }
  packed.push_back(
      {static_cast<uint32_t>(packedEdges.size()), static_cast<uint32_t>(outputs.size()), 0, 0});
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
  header.state_count = static_cast<uint32_t>(states.size());
  header.edge_count = static_cast<uint32_t>(packedEdges.size());
  header.output_count = static_cast<uint32_t>(outputs.size());
  header.term_count = static_cast<uint32_t>(terms.size());
  header.string_bytes = static_cast<uint32_t>(strings.size());
  header.accept_votes = model.acceptVotes;
  header.accept_purity = model.acceptPurity;
  header.confidence = model.confidence;
  SectionBytes bytes(sizeof header);
  header.words_offset = bytes.append(*wordTable);
  header.roots_offset = bytes.append(roots);
  header.states_offset = bytes.append(packed);
  header.edges_offset = bytes.append(packedEdges);
  header.outputs_offset = bytes.append(outputs);
  header.terms_offset = bytes.append(terms);
  header.strings_offset = bytes.append(strings.data(), strings.size());
  return bytes.finish(header);
}

} // namespace semdns::pack
