#include "lib/codec/vocabulary.h"

#include "semdns/format/model.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

namespace semdns::codec {
namespace {

bool isLetter(uint8_t c) { return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0x80; }
bool isDigit(uint8_t c) { return c >= '0' && c <= '9'; }
bool isSpace(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

enum class Class { Word, Number, Space, Punctuation };

/// The next piece of text that a token does not reach beyond.
size_t nextPiece(std::string_view text, size_t at, Class &what) {
  size_t end = at;
  if (text[at] == ' ' && at + 1 < text.size() && !isSpace(uint8_t(text[at + 1])))
    ++end; // a space belongs to what follows
  const uint8_t c = uint8_t(text[end]);
  if (isLetter(c)) {
    what = Class::Word;
    while (end < text.size() && isLetter(uint8_t(text[end])) && end - at < 40)
      ++end;
  } else if (isDigit(c)) {
    what = Class::Number;
    const size_t start = end;
    while (end < text.size() && isDigit(uint8_t(text[end])) && end - start < 4)
      ++end;
  } else if (isSpace(c)) {
    what = Class::Space;
    while (end < text.size() && isSpace(uint8_t(text[end])) && end - at < 48) {
      // The last space before a word goes with the word, except after a line's end.
      if (text[end] == ' ' && end + 1 < text.size() && !isSpace(uint8_t(text[end + 1])) &&
          end > at && text.substr(at, end - at).find('\n') == text.npos)
        break;
      ++end;
    }
  } else {
    what = Class::Punctuation;
    while (end < text.size() && !isLetter(uint8_t(text[end])) && !isDigit(uint8_t(text[end])) &&
           !isSpace(uint8_t(text[end])) && end - at < 32)
      ++end;
  }
  return end;
}

struct Count {
  uint64_t occurrences = 0;
  uint32_t documents = 0, lastDocument = ~0u;
};
using Counts = std::unordered_map<std::string_view, Count>;

void add(Counts &counts, std::string_view text, uint64_t n, uint32_t document) {
  Count &c = counts[text];
  c.occurrences += n;
  c.documents += c.lastDocument != document;
  c.lastDocument = document;
}

struct Candidate {
  uint64_t gain;
  std::string_view text;
  bool operator<(const Candidate &other) const {
    return gain != other.gain ? gain > other.gain : text < other.text;
  }
};

void take(const Counts &counts, uint32_t minDocuments, size_t limit,
          std::vector<std::string> &tokens) {
  std::vector<Candidate> all;
  for (const auto &[text, c] : counts)
    if (text.size() > 1 && text.size() <= SEMDNS_MODEL_MAX_TOKEN && c.documents >= minDocuments &&
        c.occurrences >= 4)
      all.push_back({c.occurrences * text.size(), text});
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size() && i < limit; ++i)
    tokens.emplace_back(all[i].text);
}

} // namespace

std::vector<std::string> chooseTokens(std::span<const std::string_view> documents,
                                      uint32_t maxTokens, uint32_t minDocuments) {
  Counts whole;
  for (size_t d = 0; d < documents.size(); ++d)
    for (size_t at = 0; at < documents[d].size();) {
      Class what;
      const size_t end = nextPiece(documents[d], at, what);
      add(whole, documents[d].substr(at, end - at), 1, uint32_t(d));
      at = end;
    }
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b)
    tokens.push_back(std::string(1, char(b)));
  take(whole, minDocuments, maxTokens - maxTokens / 6 - 256, tokens);

  // Pieces of what was not taken; each piece of text is looked at once, with its count.
  std::vector<std::string_view> taken(tokens.begin(), tokens.end());
  std::sort(taken.begin(), taken.end());
  std::vector<std::pair<std::string_view, Count>> rest;
  for (const auto &entry : whole)
    if (!std::binary_search(taken.begin(), taken.end(), entry.first))
      rest.push_back(entry);
  std::sort(rest.begin(), rest.end(),
            [](const auto &a, const auto &b) { return a.first < b.first; });
  Counts pieces;
  for (size_t r = 0; r < rest.size(); ++r) {
    const auto &[text, count] = rest[r];
    // A document that a piece is in is told by the whole it is part of: distinct wholes or, for one
    // whole, its documents.
    auto note = [&](std::string_view piece) {
      Count &c = pieces[piece];
      c.occurrences += count.occurrences;
      c.documents = std::max(c.documents, count.documents);
    };
    for (size_t from = 0; from < text.size() && from < 16; ++from)
      for (size_t size = 2; size <= 8 && from + size <= text.size(); ++size)
        note(text.substr(from, size));
  }
  for (const std::string_view text : taken)
    pieces.erase(text);
  take(pieces, minDocuments, maxTokens - std::min<size_t>(maxTokens, tokens.size()), tokens);
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

Vocabulary tabulate(const std::vector<std::string> &tokens) {
  Vocabulary v;
  const size_t n = tokens.size();
  v.offsets.push_back(0);
  v.parents.resize(n);
  v.lengths.resize(n);
  v.codes.resize(n);
  for (size_t i = 0; i < n; ++i) {
    v.bytes.insert(v.bytes.end(), tokens[i].begin(), tokens[i].end());
    v.offsets.push_back(uint32_t(v.bytes.size()));
    v.parents[i] = uint16_t(i);
    if (i) {
      // The longest proper prefix is the token before or one of that one's prefixes.
      size_t p = i - 1;
      for (;;) {
        if (tokens[p].size() < tokens[i].size() &&
            memcmp(tokens[p].data(), tokens[i].data(), tokens[p].size()) == 0) {
          v.parents[i] = uint16_t(p);
          break;
        }
        if (v.parents[p] == p)
          break;
        p = v.parents[p];
      }
    }
  }
  // firsts[b1 << 8 | b2]: tokens before the first that begins with b1 b2; one of a single byte b1
  // counts as before b1 0.
  v.firsts.resize(65537);
  size_t at = 0;
  for (uint32_t key = 0; key <= 65536; ++key) {
    while (at < n) {
      const std::string &t = tokens[at];
      const uint32_t first = uint8_t(t[0]);
      const bool before = t.size() == 1 ? first <= key >> 8 : (first << 8 | uint8_t(t[1])) < key;
      if (!before)
        break;
      ++at;
    }
    v.firsts[key] = uint16_t(at);
  }
  return v;
}

void assignCodes(Vocabulary &v, const std::vector<std::string> &tokens,
                 const std::vector<uint64_t> &counts) {
  const size_t n = tokens.size();
  // Neighbours in the tree share their first bits' statistics: tokens are ordered by kind, then by
  // their ends, which tell an English word's part of speech.
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  auto kind = [&](const std::string &t) {
    const uint8_t last = uint8_t(t.back());
    const bool spaced = t.size() > 1 && t[0] == ' ';
    return isLetter(last) ? 4 + spaced : isDigit(last) ? 2 + spaced : isSpace(last) ? 0 : 1;
  };
  std::vector<std::string> keys(n);
  for (size_t i = 0; i < n; ++i)
    keys[i] = char('a' + kind(tokens[i])) + std::string(tokens[i].rbegin(), tokens[i].rend());
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  const uint64_t total = std::accumulate(counts.begin(), counts.end(), uint64_t{0}) + n;
  for (uint64_t floor = total / (1u << 19) + 1;; floor *= 4) {
    std::vector<uint64_t> sums(n + 1, 0);
    for (size_t i = 0; i < n; ++i)
      sums[i + 1] = sums[i] + counts[order[i]] + floor;
    v.children.assign(2 * (n - 1), 0);
    struct Part {
      size_t from, to, slot; // slot: of the children array; ~0: the root
      uint32_t code, depth;
    };
    std::vector<Part> stack{{0, n, ~size_t{0}, 0, 0}};
    size_t nodes = 0;
    bool tooDeep = false;
    while (!stack.empty() && !tooDeep) {
      const Part part = stack.back();
      stack.pop_back();
      if (part.to - part.from == 1) {
        const uint32_t token = order[part.from];
        v.codes[token] = part.code;
        v.lengths[token] = uint8_t(part.depth);
        v.children[part.slot] = uint16_t(0x8000 | token);
        continue;
      }
      tooDeep = part.depth >= SEMDNS_MODEL_MAX_CODE;
      const size_t node = nodes++;
      if (part.slot != ~size_t{0})
        v.children[part.slot] = uint16_t(node);
      const uint64_t half = sums[part.from] + (sums[part.to] - sums[part.from]) / 2;
      size_t cut = size_t(std::lower_bound(sums.begin() + ptrdiff_t(part.from) + 1,
                                           sums.begin() + ptrdiff_t(part.to), half) -
                          sums.begin());
      cut = std::min(cut, part.to - 1);
      if (cut > part.from + 1 && half - sums[cut - 1] < sums[cut] - half)
        --cut;
      stack.push_back({cut, part.to, 2 * node + 1, part.code << 1 | 1, part.depth + 1});
      stack.push_back({part.from, cut, 2 * node, part.code << 1, part.depth + 1});
    }
    if (!tooDeep)
      return;
  }
}

} // namespace semdns::codec
