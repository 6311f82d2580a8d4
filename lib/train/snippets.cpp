#include "lib/train/snippets.h"

#include "lib/mine/corpus.h"
#include "lib/train/numeric.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace semdns::train {

namespace {

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f'; }

/// Where a sentence may end: '.', '!' or '?' before white space, not after a single letter
/// (initials).
bool endsSentence(std::string_view text, size_t i) {
  char c = text[i];
  if (c != '.' && c != '!' && c != '?')
    return false;
  if (i + 1 < text.size() && !isBlank(text[i + 1]))
    return false;
  return !(c == '.' && (i < 2 || isBlank(text[i - 2])));
}

/// Runs `visit` over the snippets of a document: words joined by single spaces.
template <typename Visit>
void cutSnippets(std::string_view text, const SnippetOptions &options, Visit &&visit) {
  std::string snippet;
  uint32_t words = 0;
  auto flush = [&] {
    if (words >= options.minWords)
      visit(snippet);
    snippet.clear();
    words = 0;
  };
  for (size_t i = 0; i < text.size();) {
    if (isBlank(text[i])) {
      // An empty line ends a snippet; so does an indented one: a heading, an entry or code.
      if (text[i] == '\n' && i + 1 < text.size() && isBlank(text[i + 1]))
        flush();
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && !isBlank(text[end]))
      ++end;
    if (words)
      snippet += ' ';
    snippet += text.substr(i, end - i);
    ++words;
    if (endsSentence(text, end - 1) || words == options.maxWords)
      flush();
    i = end;
  }
  flush();
}

} // namespace

uint32_t sampleSnippets(const std::vector<std::string> &paths, uint32_t zone,
                        const SnippetOptions &options, std::vector<Example> &examples,
                        Diagnostics &diags, const std::function<void(uint64_t)> &progress) {
  if (options.count == 0 || options.maxWords == 0)
    return 0;
  // Bottom-k sampling by a seeded hash of the snippet: uniform over distinct snippets, and
  // independent of how often one occurs.
  struct Entry {
    uint64_t key, order;
    std::string text;
  };
  auto larger = [](const Entry &a, const Entry &b) { return a.key < b.key; }; // max-heap
  std::vector<Entry> heap;
  std::unordered_map<uint64_t, bool> held;
  uint64_t order = 0;
  mine::forEachDocument(
      paths, diags,
      [&](const mine::Document &document) {
        cutSnippets(document.text, options, [&](const std::string &snippet) {
          ++order;
          uint64_t key = options.seed * UINT64_C(0x9e3779b97f4a7c15) + zone;
          for (unsigned char c : snippet)
            key = (key ^ c) * UINT64_C(0x100000001b3);
          key = Random(key).next();
          if (heap.size() == options.count && key >= heap.front().key)
            return;
          if (!held.emplace(key, true).second)
            return;
          if (heap.size() == options.count) {
            std::pop_heap(heap.begin(), heap.end(), larger);
            held.erase(heap.back().key);
            heap.pop_back();
          }
          heap.push_back({key, order, snippet});
          std::push_heap(heap.begin(), heap.end(), larger);
        });
        return true;
      },
      progress);
  std::sort(heap.begin(), heap.end(),
            [](const Entry &a, const Entry &b) { return a.order < b.order; });
  for (Entry &entry : heap)
    examples.push_back({std::move(entry.text), zone, ExampleKind::Snippet});
  return uint32_t(heap.size());
}

} // namespace semdns::train
